/* Portable kernels, float. */
#include "kernels.h"

#ifdef CVG_HAVE_F32
typedef float real;

#ifdef CVG_HAVE_FMA
#define SMALL /* x86: for the few processors without fused multiply-add */
#endif
#include "simd_portable.h"

#define KERNELS cvg_kernels_portable_f32
#define KERNELS_ISA "portable"
#define KERNELS_TYPE CVG_F32
#define HALVES
#include "body.h"
#endif
