/* AVX-512 kernels, double. */
#include "kernels.h"

#if defined(CVG_HAVE_AVX512) && defined(CVG_HAVE_F64)
typedef double real;

#include "target.h"
TARGET("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
#include "simd_avx512.h"

#define KERNELS cvg_kernels_avx512_f64
#define KERNELS_ISA "avx512"
#define KERNELS_TYPE CVG_F64
#define NARROW cvg_tile_avx2_narrow_f64
#define NARROW_ROWS 12
#define NARROW_KERNELS cvg_kernels_avx2_f64
#define FEW_TILES /* for less code */
#include "body.h"
TARGET_END
#endif
