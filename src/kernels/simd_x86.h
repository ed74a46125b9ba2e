/*
 * What the x86 vectors share: 32-byte vectors, in which AVX2 computes and in
 * which AVX-512, too, turns blocks.  real is defined by the includer; where a
 * function asks for its size, the other branch is never run.
 */
#include <immintrin.h>
#include <stdint.h>

typedef real tvec __attribute__((vector_size(32)));
enum { TW = 32 / sizeof(real), TC = TW / 2, IS_FLOAT = sizeof(real) == sizeof(float) };

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

/* To memory past the caches; p is aligned. */
enum { STREAMS = IS_FLOAT };
static inline void t_stream(real *p, tvec v) { _mm256_stream_ps((float *)(void *)p, (__m256)v); }

static inline tvec t_mul(tvec a, tvec b) { return a * b; }
static inline tvec t_add(tvec a, tvec b) { return a + b; }

/* Two halves, each from its own place: memory brings them together, not the ports that shuffle. */
static inline __m256 halves_f32(const float *low, const float *high)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}

static inline __m256d halves_f64(const double *low, const double *high)
{
    return _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(low)), _mm_loadu_pd(high), 1);
}

/* Four columns of eight rows. */
static inline void turn_f32(__m256 to[4], const float *p, int64_t step)
{
    const float *high = p + 4 * step;
    __m256 r[4], t[4];
    __asm__("" : "+r"(high));
    for (int i = 0; i < 4; i++)
        r[i] = halves_f32(p + i * step, high + i * step);
    for (int i = 0; i < 2; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        to[2 * i] = _mm256_shuffle_ps(t[i], t[2 + i], 0x44);
        to[2 * i + 1] = _mm256_shuffle_ps(t[i], t[2 + i], 0xee);
    }
}

/* Two columns of four rows. */
static inline void turn_f64(__m256d to[2], const double *p, int64_t step)
{
    const __m256d even = halves_f64(p, p + 2 * step), odd = halves_f64(p + step, p + 3 * step);
    to[0] = _mm256_unpacklo_pd(even, odd);
    to[1] = _mm256_unpackhi_pd(even, odd);
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

static inline void t_load_turned(tvec to[TC], const real *p, int64_t step)
{
    if (IS_FLOAT)
        turn_f32((__m256 *)to, (const float *)p, step);
    else
        turn_f64((__m256d *)to, (const double *)p, step);
}
