/* Portable kernels where x86 has fused multiply-add, float. */
#include "kernels.h"

#ifdef CVG_HAVE_X86
typedef float real;

#include "target.h"
TARGET("fma")
#define X86_FMA
#include "simd_portable.h"

#define KERNELS cvg_kernels_fma_f32
#define KERNELS_ISA "fma"
#define KERNELS_TYPE CVG_F32
#include "body.h"
TARGET_END
#endif
