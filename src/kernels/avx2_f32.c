/* AVX2 kernels, float. */
#include "kernels.h"

#include <string.h>

#if defined(CVG_HAVE_AVX2) && defined(CVG_HAVE_F32)
typedef float real;

#include "target.h"
TARGET("avx2,fma")
#include "simd_avx2.h"

typedef uint16_t half8 __attribute__((vector_size(16)));

/* The first left of 8, in registers: what is written one by one waits, when it is read as a whole. */
static inline half8 halves_part(const uint16_t *p, int64_t left)
{
    uint64_t word[2] = {0, 0};
    if (left >= 4)
        memcpy(word, p, sizeof *word);
    for (int64_t i = left & 4; i < left; i++)
        word[left / 4] |= (uint64_t)p[i] << 16 * (i & 3);
    return (half8)_mm_set_epi64x((int64_t)word[1], (int64_t)word[0]);
}

#define KERNELS cvg_kernels_avx2_f32
#define KERNELS_ISA "avx2"
#define KERNELS_TYPE CVG_F32
#define TILE_1 cvg_tile_avx2_narrow_f32
#define HALVES
#define HALF_VECTORS
#define HALVES_PART(p, left) halves_part(p, left)
#define FRAMES
#include "body.h"
TARGET_END
#endif
