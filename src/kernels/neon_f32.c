/* NEON kernels, float. */
#include "kernels.h"

#if defined(CVG_HAVE_NEON) && defined(CVG_HAVE_F32)
typedef float real;

#include "simd_neon.h"

#define KERNELS cvg_kernels_neon_f32
#define KERNELS_ISA "neon"
#define KERNELS_TYPE CVG_F32
#define HALVES
#define FRAMES
#include "body.h"
#endif
