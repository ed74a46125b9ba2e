/* NEON kernels, double. */
#include "kernels.h"

#if defined(CVG_HAVE_NEON) && defined(CVG_HAVE_F64)
typedef double real;

#include "simd_neon.h"

#define KERNELS cvg_kernels_neon_f64
#define KERNELS_ISA "neon"
#define KERNELS_TYPE CVG_F64
#include "body.h"
#endif
