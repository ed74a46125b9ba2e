/* AVX2 kernels, double. */
#include "kernels.h"

#if defined(CVG_HAVE_AVX2) && defined(CVG_HAVE_F64)
typedef double real;

#include "target.h"
TARGET("avx2,fma")
#include "simd_avx2.h"

#define KERNELS cvg_kernels_avx2_f64
#define KERNELS_ISA "avx2"
#define KERNELS_TYPE CVG_F64
#define TILE_1 cvg_tile_avx2_narrow_f64
#define FEW_TILES /* for less code */
#include "body.h"
TARGET_END
#endif
