/* AVX2 with fused multiply-add: 32-byte vectors, 16 registers. */
#include "simd_x86.h"

typedef tvec vec;
enum { VW = TW, MAIN_VECS = 2, SPREAD_VECS = 2, DOT_SUMS = 12 };
enum { ROWS_1 = 12, ROWS_2 = 6, ROWS_3 = 4, ROWS_4 = 3, ROWS_6 = 2, ROWS_12 = 1 };

static inline vec v_zero(void) { return t_splat(0); }
static inline vec v_splat(real x) { return t_splat(x); }
static inline vec v_load(const real *p) { return t_load(p); }
/* For the first count lanes of a vector. */
static inline __m256i part_mask(int64_t count)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const int64_t words = (count < VW ? count : VW) * (int64_t)sizeof(real) / 4;
    return _mm256_loadu_si256((const __m256i *)(ones + 8 - words));
}

/* The first count elements; the others are 0. */
static inline vec v_load_part(const real *p, int64_t count)
{
    return (vec)_mm256_maskload_ps((const float *)p, part_mask(count));
}

/* The lanes from low to high. */
enum { FREE_MASKS = 0 };
typedef __m256i vmask;

static inline vmask v_mask(int low, int high) { return _mm256_andnot_si256(part_mask(low), part_mask(high)); }

static inline vec v_load_mask(const real *p, vmask lanes) { return (vec)_mm256_maskload_ps((const float *)p, lanes); }

static inline void v_store_mask(real *p, vec v, vmask lanes) { _mm256_maskstore_ps((float *)p, lanes, (__m256)v); }

/* The even elements of a, then those of b, in any order, and in theirs. */
static inline vec v_even(vec a, vec b)
{
    return IS_FLOAT ? (vec)_mm256_shuffle_ps((__m256)a, (__m256)b, 0x88)
                    : (vec)_mm256_unpacklo_pd((__m256d)a, (__m256d)b);
}

static inline vec v_ordered(vec v) { return (vec)_mm256_permute4x64_pd((__m256d)v, 0xd8); }

static inline void v_zip(vec a, vec b, vec zipped[2]) { t_zip(a, b, zipped); }

static inline void v_store(real *p, vec v) { t_store(p, v); }

static inline void v_store_part(real *p, vec v, int64_t count)
{
    _mm256_maskstore_ps((float *)p, part_mask(count), (__m256)v);
}

static inline vec v_mul(vec a, vec b) { return a * b; }
static inline vec v_add(vec a, vec b) { return a + b; }
static inline vec v_sub(vec a, vec b) { return a - b; }

static inline vec v_fma(vec a, vec b, vec c)
{
    return IS_FLOAT ? (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c)
                    : (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}

/* Lanes of a vector by their numbers. */
#define V_PICK
typedef __m256i vindex;

static inline vindex v_index(const int64_t at[VW], int64_t shift)
{
    union {
        int32_t words[8];
        vindex index;
    } u;
    for (int i = 0; i < 8; i++) /* halves of longer elements */
        u.words[i] = (int32_t)(IS_FLOAT ? at[i] + shift : 2 * (at[i / 2] + shift) + i % 2);
    return u.index;
}

static inline vec v_pick(vec v, vindex index) { return (vec)_mm256_permutevar8x32_ps((__m256)v, index); }
