/* Portable kernels where x86 has fused multiply-add, double. */
#include "kernels.h"

#ifdef CVG_HAVE_X86
typedef double real;

#include "target.h"
TARGET("fma")
#define X86_FMA
#include "simd_portable.h"

#define KERNELS cvg_kernels_fma_f64
#define KERNELS_ISA "fma"
#define KERNELS_TYPE CVG_F64
#include "body.h"
TARGET_END
#endif
