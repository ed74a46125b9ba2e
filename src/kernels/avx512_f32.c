/* AVX-512 kernels, float. */
#include "kernels.h"

#if defined(CVG_HAVE_AVX512) && defined(CVG_HAVE_F32)
typedef float real;

#include "target.h"
TARGET("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")
#include "simd_avx512.h"

/* Halves: a vector of them, the first ones of it, as integers and back, and float16. */
typedef uint16_t half_vec __attribute__((vector_size(32)));
typedef uint32_t bits_vec __attribute__((vector_size(64)));

static inline half_vec halves_part(const uint16_t *p, int64_t left)
{
    return (half_vec)_mm256_maskz_loadu_epi16((__mmask16)((1u << left) - 1), p);
}

static inline bits_vec bits_of_halves(half_vec v) { return (bits_vec)_mm512_cvtepu16_epi32((__m256i)v); }

/* bf16_of() of a vector. */
static inline half_vec bf16_of_vec(vec v)
{
    static const uint16_t high[32] = {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31};
    const __m512i bits = (__m512i)v, up = _mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff));
    const __mmask16 odd = _mm512_test_epi32_mask(bits, _mm512_set1_epi32(0x10000));
    const __mmask16 nan = _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
    __m512i rounded = _mm512_mask_add_epi32(up, odd, up, _mm512_set1_epi32(1));
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    return (half_vec)_mm512_castsi512_si256(_mm512_permutexvar_epi16(_mm512_loadu_si512(high), rounded));
}

static inline vec vec_of_f16(half_vec v) { return (vec)_mm512_cvtph_ps((__m256i)v); }

static inline half_vec f16_of_vec(vec v)
{
    return (half_vec)_mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

#define KERNELS cvg_kernels_avx512_f32
#define KERNELS_ISA "avx512"
#define KERNELS_TYPE CVG_F32
#define NARROW cvg_tile_avx2_narrow_f32
#define NARROW_ROWS 12
#define NARROW_KERNELS cvg_kernels_avx2_f32
#define HALVES
#define HALF_VECTORS
#define F16_VECTORS
#define BF16_VECTORS
#define FRAMES
#include "body.h"
TARGET_END

#ifdef CVG_HAVE_AVX512BF16
/* The same with pairs of bfloat16; elements are moved as floats. */
TARGET("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,avx512bf16")
static inline vec pair_fma(vec a, vec b, vec sum)
{
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

static inline vec pair_splat(const real *p) /* which may lie at any even address */
{
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (vec)_mm512_set1_epi32(pair);
}

/* To nearest even, as narrow_bf16(): subnormal sums are zeros here anyway. */
static inline void pair_narrow(uint16_t *to, vec sum)
{
    _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh((__m512)v_add(sum, v_zero())));
}

static void pair_up(void *dst, const void *first, const void *second, int64_t step, int64_t pairs, int64_t count)
{
    enum { HALF = 16, ALL = 2 * HALF };
    static const int16_t order[ALL] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                       8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i low = _mm512_loadu_si512(order), high = _mm512_add_epi16(low, _mm512_set1_epi16(HALF));
    const int16_t *a = first, *b = second;
    int32_t *to = dst;
    if (step == count) { /* one line */
        count *= pairs;
        pairs = 1;
    }
    for (; pairs > 0; pairs--, a += step, b = b ? b + step : b, to += count)
        for (int64_t i = 0; i < count; i += ALL) {
            const __mmask32 mask = count - i < ALL ? ((__mmask32)1 << (count - i)) - 1 : ~(__mmask32)0;
            const __m512i one = _mm512_maskz_loadu_epi16(mask, a + i);
            const __m512i two = b ? _mm512_maskz_loadu_epi16(mask, b + i) : _mm512_setzero_si512();
            _mm512_mask_storeu_epi32(to + i, (__mmask16)mask, _mm512_permutex2var_epi16(one, low, two));
            if (mask >> HALF)
                _mm512_mask_storeu_epi32(to + i + HALF, (__mmask16)(mask >> HALF),
                                         _mm512_permutex2var_epi16(one, high, two));
        }
}

#undef TILE_NAME
#undef TILE_FMA
#undef TILE_SPLAT
#define TILE_NARROW(p, v) pair_narrow(p, v)
#define PAIR pair_up
#define TILE_NAME(name) pair_##name
#define TILE_FMA(a, b, sum) pair_fma(a, b, sum)
#define TILE_SPLAT(p) pair_splat(p)
#undef TILE_1
#undef TILE_1_LINKAGE
#define FEW_TILES
#undef CUT
#define CUT(rows) 8 /* for less code */
#include "body_tiles.h"
TARGET_END

#undef KERNELS
#undef KERNELS_ISA
#undef NARROW
#define KERNELS cvg_kernels_avx512bf16_pairs
#define KERNELS_ISA "avx512bf16"
static
#include "body_table.h"

#undef CUT
#define CUT(rows) CUT_ROWS(rows)

/* All the others are those of AVX-512. */
#undef TILE_NAME
#define TILE_NAME(name) name
#undef FEW_TILES
#undef KERNELS
#define KERNELS cvg_kernels_avx512bf16_f32
#define NARROW cvg_tile_avx2_narrow_f32
#define PAIRS &cvg_kernels_avx512bf16_pairs
#include "body_table.h"
#endif
#endif
