/* NEON kernels, double. */
#include "kernels.h"

#ifdef CVG_HAVE_NEON
typedef double real;

#include "simd_neon.h"

#define KERNELS cvg_kernels_neon_f64
#define KERNELS_ISA "neon"
#define KERNELS_TYPE CVG_F64
#include "body.h"
#endif
