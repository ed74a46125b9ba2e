/* AVX-512: 64-byte vectors, 32 registers. */
#include "simd_x86.h"

typedef real vec __attribute__((vector_size(64)));
enum { VW = 64 / sizeof(real), MAIN_VECS = 2, SPREAD_VECS = 4, DOT_SUMS = 24 };
enum { ROWS_1 = 14, ROWS_2 = 14, ROWS_3 = 9, ROWS_4 = 6, ROWS_6 = 4, ROWS_12 = 2 };

static inline vec v_zero(void) { return (vec)_mm512_setzero_ps(); }

static inline vec v_splat(real x) { return IS_FLOAT ? (vec)_mm512_set1_ps((float)x) : (vec)_mm512_set1_pd((double)x); }

static inline vec v_load(const real *p) { return IS_FLOAT ? (vec)_mm512_loadu_ps(p) : (vec)_mm512_loadu_pd(p); }

/* The first count elements; the others are 0. */
static inline vec v_load_part(const real *p, int64_t count)
{
    const unsigned lanes = count < VW ? (1u << count) - 1 : (1u << VW) - 1;
    return IS_FLOAT ? (vec)_mm512_maskz_loadu_ps((__mmask16)lanes, p) : (vec)_mm512_maskz_loadu_pd((__mmask8)lanes, p);
}

static inline void v_store(real *p, vec v)
{
    if (IS_FLOAT)
        _mm512_storeu_ps(p, (__m512)v);
    else
        _mm512_storeu_pd(p, (__m512d)v);
}

static inline void v_store_part(real *p, vec v, int64_t count)
{
    const unsigned lanes = count < VW ? (1u << count) - 1 : (1u << VW) - 1;
    if (IS_FLOAT)
        _mm512_mask_storeu_ps(p, (__mmask16)lanes, (__m512)v);
    else
        _mm512_mask_storeu_pd(p, (__mmask8)lanes, (__m512d)v);
}

static inline vec v_mul(vec a, vec b) { return a * b; }
static inline vec v_add(vec a, vec b) { return a + b; }
static inline vec v_sub(vec a, vec b) { return a - b; }

static inline vec v_fma(vec a, vec b, vec c)
{
    return IS_FLOAT ? (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c)
                    : (vec)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}

/* Lanes of a vector by their numbers. */
#define V_PICK
typedef __m512i vindex;

static inline vindex v_index(const int64_t at[VW], int64_t shift)
{
    union {
        int32_t words[VW];
        int64_t longs[VW];
        vindex index;
    } u = {{0}};
    for (int i = 0; i < VW; i++)
        if (IS_FLOAT)
            u.words[i] = (int32_t)(at[i] + shift);
        else
            u.longs[i] = at[i] + shift;
    return u.index;
}

static inline vec v_pick(vec v, vindex index)
{
    return IS_FLOAT ? (vec)_mm512_permutexvar_ps(index, (__m512)v) : (vec)_mm512_permutexvar_pd(index, (__m512d)v);
}
