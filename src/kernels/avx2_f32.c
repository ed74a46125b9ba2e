/* AVX2 kernels, float. */
#include "kernels.h"

#include <string.h>

#if defined(CVG_HAVE_AVX2) && defined(CVG_HAVE_F32)
typedef float real;

#include "target.h"
TARGET("avx2,fma")
#include "simd_avx2.h"

typedef uint16_t half_vec __attribute__((vector_size(16)));
typedef uint32_t bits_vec __attribute__((vector_size(32)));

/* The first left of 8, in registers: what is written one by one waits, when it is read as a whole. */
static inline half_vec halves_part(const uint16_t *p, int64_t left)
{
    uint64_t word[2] = {0, 0};
    if (left >= 4)
        memcpy(word, p, sizeof *word);
    for (int64_t i = left & 4; i < left; i++)
        word[left / 4] |= (uint64_t)p[i] << 16 * (i & 3);
    return (half_vec)_mm_set_epi64x((int64_t)word[1], (int64_t)word[0]);
}

/* As integers, and back. */
static inline bits_vec bits_of_halves(half_vec v) { return (bits_vec)_mm256_cvtepu16_epi32((__m128i)v); }

static inline half_vec halves_of_bits(bits_vec v)
{
    const __m256i all = (__m256i)v;
    return (half_vec)_mm_packus_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
}

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
