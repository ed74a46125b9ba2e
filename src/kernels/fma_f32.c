/* Portable kernels where x86 has fused multiply-add, float. */
#include "kernels.h"

#if defined(CVG_HAVE_FMA) && defined(CVG_HAVE_F32)
typedef float real;

#include "target.h"
TARGET("fma")
#define X86_FMA
#define SMALL /* for the few processors that have it without AVX2 */
#include "simd_portable.h"

#define KERNELS cvg_kernels_fma_f32
#define KERNELS_ISA "fma"
#define KERNELS_TYPE CVG_F32
#define HALVES
#include "body.h"
TARGET_END
#endif
