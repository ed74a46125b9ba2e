/* AVX2 with fused multiply-add: 32-byte vectors, 16 registers. */
#include "simd_x86.h"

typedef tvec vec;
enum { VW = TW, MAIN_VECS = 2, DOT_SUMS = 12 };
enum { ROWS_1 = 12, ROWS_2 = 6, ROWS_3 = 4, ROWS_4 = 3, ROWS_6 = 2, ROWS_12 = 1 };

static inline vec v_zero(void) { return t_splat(0); }
static inline vec v_splat(real x) { return t_splat(x); }
static inline vec v_load(const real *p) { return t_load(p); }
/* The first count elements; the others are 0. */
static inline vec v_load_part(const real *p, int64_t count)
{
    static const int32_t ones[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const int64_t words = (count < VW ? count : VW) * (int64_t)sizeof *p / 4;
    const __m256i mask = _mm256_loadu_si256((const __m256i *)(ones + 8 - words));
    return (vec)_mm256_maskload_ps((const float *)p, mask);
}

static inline void v_store(real *p, vec v) { t_store(p, v); }

static inline vec v_fma(vec a, vec b, vec c)
{
    return IS_FLOAT ? (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c)
                    : (vec)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
