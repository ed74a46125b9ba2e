/*
 * What the x86 vectors share: 32-byte vectors, in which AVX2 computes and in
 * which AVX-512, too, turns blocks.  real is defined by the includer; where a
 * function asks for its size, the other branch is never run.
 */
#include <immintrin.h>
#include <stdint.h>

typedef real tvec __attribute__((vector_size(32)));
enum { TW = 32 / sizeof(real), IS_FLOAT = sizeof(real) == sizeof(float) };

static inline tvec t_splat(real x)
{
    return IS_FLOAT ? (tvec)_mm256_set1_ps((float)x) : (tvec)_mm256_set1_pd((double)x);
}

static inline tvec t_load(const real *p)
{
    return IS_FLOAT ? (tvec)_mm256_loadu_ps((const float *)p) : (tvec)_mm256_loadu_pd((const double *)p);
}

static inline void t_store(real *p, tvec v)
{
    if (IS_FLOAT)
        _mm256_storeu_ps((float *)p, (__m256)v);
    else
        _mm256_storeu_pd((double *)p, (__m256d)v);
}

static inline tvec t_mul(tvec a, tvec b) { return a * b; }
static inline tvec t_add(tvec a, tvec b) { return a + b; }

/* 8 x 8: pairs, then pairs of pairs, then halves. */
static inline void turn_f32(__m256 r[8])
{
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            u[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0x44);
            u[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + 2 + j], 0xee);
        }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}

/* 4 x 4 */
static inline void turn_f64(__m256d r[4])
{
    const __m256d a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    const __m256d c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(a, c, 0x20);
    r[1] = _mm256_permute2f128_pd(b, d, 0x20);
    r[2] = _mm256_permute2f128_pd(a, c, 0x31);
    r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

/* The even elements of a, then those of b. */
static inline tvec t_even(tvec a, tvec b)
{
    const __m256d even =
        IS_FLOAT ? (__m256d)_mm256_shuffle_ps((__m256)a, (__m256)b, 0x88) : _mm256_unpacklo_pd((__m256d)a, (__m256d)b);
    return (tvec)_mm256_permute4x64_pd(even, 0xd8); /* quarters 0 2 1 3 */
}

/* The odd elements of a, then those of b. */
static inline tvec t_odd(tvec a, tvec b)
{
    const __m256d odd =
        IS_FLOAT ? (__m256d)_mm256_shuffle_ps((__m256)a, (__m256)b, 0xdd) : _mm256_unpackhi_pd((__m256d)a, (__m256d)b);
    return (tvec)_mm256_permute4x64_pd(odd, 0xd8);
}

/* a[0] b[0] a[1] b[1] ... */
static inline void t_zip(tvec a, tvec b, tvec zipped[2])
{
    const __m256d low =
        IS_FLOAT ? (__m256d)_mm256_unpacklo_ps((__m256)a, (__m256)b) : _mm256_unpacklo_pd((__m256d)a, (__m256d)b);
    const __m256d high =
        IS_FLOAT ? (__m256d)_mm256_unpackhi_ps((__m256)a, (__m256)b) : _mm256_unpackhi_pd((__m256d)a, (__m256d)b);
    zipped[0] = (tvec)_mm256_permute2f128_pd(low, high, 0x20);
    zipped[1] = (tvec)_mm256_permute2f128_pd(low, high, 0x31);
}

static inline void t_turn(tvec block[TW])
{
    if (IS_FLOAT)
        turn_f32((__m256 *)block);
    else
        turn_f64((__m256d *)block);
}
