/* Portable kernels, double. */
#include "kernels.h"

#ifdef CVG_HAVE_F64
typedef double real;

#ifdef CVG_HAVE_FMA
#define SMALL /* x86: for the few processors without fused multiply-add */
#endif
#include "simd_portable.h"

#define KERNELS cvg_kernels_portable_f64
#define KERNELS_ISA "portable"
#define KERNELS_TYPE CVG_F64
#include "body.h"
#endif
