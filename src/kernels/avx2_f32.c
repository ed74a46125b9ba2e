/* AVX2 kernels, float. */
#include "kernels.h"

#if defined(CVG_HAVE_AVX2) && defined(CVG_HAVE_F32)
typedef float real;

#include "target.h"
TARGET("avx2,fma")
#include "simd_avx2.h"

#define KERNELS cvg_kernels_avx2_f32
#define KERNELS_ISA "avx2"
#define KERNELS_TYPE CVG_F32
#define TILE_1 cvg_tile_avx2_narrow_f32
#define HALVES
#define HALF_VECTORS
#define FRAMES
#include "body.h"
TARGET_END
#endif
