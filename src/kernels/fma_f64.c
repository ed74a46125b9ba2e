/* Portable kernels where x86 has fused multiply-add, double. */
#include "kernels.h"

#if defined(CVG_HAVE_FMA) && defined(CVG_HAVE_F64)
typedef double real;

#include "target.h"
TARGET("fma")
#define X86_FMA
#define SMALL /* for the few processors that have it without AVX2 */
#include "simd_portable.h"

#define KERNELS cvg_kernels_fma_f64
#define KERNELS_ISA "fma"
#define KERNELS_TYPE CVG_F64
#include "body.h"
TARGET_END
#endif
