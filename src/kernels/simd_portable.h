/*
 * Vectors of 16 bytes in portable C; real is defined by the includer.  With
 * GNU vectors the compiler maps them to whatever the target has (SSE2, NEON);
 * without them, or where numbers are wider than their type (x87), they are small arrays.
 */
#if defined(__OPTIMIZE_SIZE__) && !defined(SMALL)
#define SMALL /* fewer sums at a time, and one piece of code for several cases */
#endif

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef X86_FMA /* x86 with fused multiply-add, which the compiler may not know of */
#include <immintrin.h>
#endif

enum { VW = 16 / sizeof(real), TW = VW, TC = TW, MAIN_VECS = 2, SPREAD_VECS = 2 };
#ifdef SMALL
enum { ROWS_1 = 4, ROWS_2 = 4, ROWS_3 = 2, ROWS_4 = 2, ROWS_6 = 1, ROWS_12 = 1, DOT_SUMS = 4 * 16 / VW / 4 };
#else
enum { ROWS_1 = 12, ROWS_2 = 6, ROWS_3 = 4, ROWS_4 = 2, ROWS_6 = 2, ROWS_12 = 1, DOT_SUMS = 12 };
#endif

/* 16: numbers wider than _Float16 keep their type, as gcc says with -march=native on processors that have it. */
#if defined(__GNUC__) && (FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16)
#define GNU_VECTORS
typedef real vec __attribute__((vector_size(16)));
#define AT(v, i) (v)[i]
#else
typedef struct {
    real x[VW];
} vec;
#define AT(v, i) (v).x[i]
#endif

static inline vec v_splat(real x)
{
#ifdef GNU_VECTORS
    return x - (vec){0}; /* x - 0 is x, whatever its sign; compilers make it one shuffle */
#else
    vec v;
    for (int i = 0; i < VW; i++)
        AT(v, i) = x;
    return v;
#endif
}

static inline vec v_zero(void) { return v_splat(0); }

static inline vec v_load(const real *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* The first count elements; the others are 0. */
static inline vec v_load_part(const real *p, int64_t count)
{
    vec v = v_zero();
    memcpy(&v, p, count < VW ? (size_t)count * sizeof *p : sizeof v);
    return v;
}

static inline void v_store(real *p, vec v) { memcpy(p, &v, sizeof v); }

#if !defined(X86_FMA) && !(defined(FP_FAST_FMA) && defined(FP_FAST_FMAF))
#define ROUNDS_TWICE
#endif

/* a*b + c: fused where the target has the instruction, two roundings elsewhere. */
static inline vec v_fma(vec a, vec b, vec c)
{
#if defined(X86_FMA)
    return sizeof(real) == sizeof(float) ? (vec)_mm_fmadd_ps((__m128)a, (__m128)b, (__m128)c)
                                         : (vec)_mm_fmadd_pd((__m128d)a, (__m128d)b, (__m128d)c);
#elif !defined(ROUNDS_TWICE)
    for (int i = 0; i < VW; i++)
        AT(c, i) = sizeof(real) == sizeof(float) ? (real)fmaf((float)AT(a, i), (float)AT(b, i), (float)AT(c, i))
                                                 : (real)fma(AT(a, i), AT(b, i), AT(c, i));
    return c;
#elif defined(GNU_VECTORS)
    return a * b + c;
#else
    for (int i = 0; i < VW; i++)
        AT(c, i) += AT(a, i) * AT(b, i);
    return c;
#endif
}

typedef vec tvec;

static inline tvec t_splat(real x) { return v_splat(x); }
static inline tvec t_load(const real *p) { return v_load(p); }
static inline void t_store(real *p, tvec v) { v_store(p, v); }
enum { STREAMS = 0 };
static inline void t_stream(real *p, tvec v) { t_store(p, v); }

static inline tvec t_mul(tvec a, tvec b)
{
    for (int i = 0; i < TW; i++)
        AT(a, i) *= AT(b, i);
    return a;
}

static inline tvec t_add(tvec a, tvec b)
{
    for (int i = 0; i < TW; i++)
        AT(a, i) += AT(b, i);
    return a;
}

/* The even elements of a, then those of b. */
static inline tvec t_even(tvec a, tvec b)
{
    tvec even = a;
    for (int i = 0; i < TW; i++)
        AT(even, i) = i < TW / 2 ? AT(a, 2 * i) : AT(b, 2 * i - TW);
    return even;
}

/* The odd elements of a, then those of b. */
static inline tvec t_odd(tvec a, tvec b)
{
    tvec odd = a;
    for (int i = 0; i < TW; i++)
        AT(odd, i) = i < TW / 2 ? AT(a, 2 * i + 1) : AT(b, 2 * i + 1 - TW);
    return odd;
}

/* a[0] b[0] a[1] b[1] ... */
static inline void t_zip(tvec a, tvec b, tvec zipped[2])
{
    zipped[0] = a;
    zipped[1] = b;
    for (int i = 0; i < TW; i++) {
        AT(zipped[2 * i / TW], 2 * i % TW) = AT(a, i);
        AT(zipped[2 * i / TW], 2 * i % TW + 1) = AT(b, i);
    }
}

static inline void v_store_part(real *p, vec v, int64_t count)
{
    memcpy(p, &v, count < VW ? (size_t)count * sizeof *p : sizeof v);
}

static inline vec v_mul(vec a, vec b) { return t_mul(a, b); }
static inline vec v_add(vec a, vec b) { return t_add(a, b); }
static inline vec v_sub(vec a, vec b)
{
    for (int i = 0; i < VW; i++)
        AT(a, i) -= AT(b, i);
    return a;
}

static inline void t_load_turned(tvec block[TC], const real *p, int64_t step)
{
    for (int i = 0; i < TC; i++) {
        real column[TW];
        for (int j = 0; j < TW; j++)
            column[j] = p[j * step + i];
        block[i] = t_load(column);
    }
}
