/* NEON of AArch64: 16-byte vectors, 32 registers. */
#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

typedef real vec __attribute__((vector_size(16)));
enum {
    VW = 16 / sizeof(real),
    TW = VW,
    TC = TW,
    MAIN_VECS = 4,
    SPREAD_VECS = 4,
    DOT_SUMS = 24,
    IS_FLOAT = sizeof(real) == sizeof(float)
};
enum { ROWS_1 = 14, ROWS_2 = 12, ROWS_3 = 8, ROWS_4 = 6, ROWS_6 = 4, ROWS_12 = 2 };

static inline vec v_splat(real x) { return IS_FLOAT ? (vec)vdupq_n_f32((float)x) : (vec)vdupq_n_f64((double)x); }

static inline vec v_zero(void) { return v_splat(0); }

static inline vec v_load(const real *p)
{
    return IS_FLOAT ? (vec)vld1q_f32((const float *)p) : (vec)vld1q_f64((const double *)p);
}

/* The first count elements; the others are 0. */
static inline vec v_load_part(const real *p, int64_t count)
{
    vec v = v_zero();
    memcpy(&v, p, count < VW ? (size_t)count * sizeof *p : sizeof v);
    return v;
}

static inline void v_store(real *p, vec v)
{
    if (IS_FLOAT)
        vst1q_f32((float *)p, (float32x4_t)v);
    else
        vst1q_f64((double *)p, (float64x2_t)v);
}

static inline void v_store_part(real *p, vec v, int64_t count)
{
    memcpy(p, &v, count < VW ? (size_t)count * sizeof *p : sizeof v);
}

static inline vec v_mul(vec a, vec b) { return a * b; }
static inline vec v_add(vec a, vec b) { return a + b; }
static inline vec v_sub(vec a, vec b) { return a - b; }

static inline vec v_fma(vec a, vec b, vec c)
{
    return IS_FLOAT ? (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b)
                    : (vec)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}

typedef vec tvec;

static inline tvec t_splat(real x) { return v_splat(x); }
static inline tvec t_load(const real *p) { return v_load(p); }
static inline void t_store(real *p, tvec v) { v_store(p, v); }
enum { STREAMS = 0 };
static inline void t_stream(real *p, tvec v) { t_store(p, v); }
static inline tvec t_mul(tvec a, tvec b) { return a * b; }
static inline tvec t_add(tvec a, tvec b) { return a + b; }

/* 4 x 4: pairs of 32 bits, then of 64 */
static inline void turn_f32(float32x4_t r[4])
{
    const float64x2_t a = (float64x2_t)vtrn1q_f32(r[0], r[1]), b = (float64x2_t)vtrn2q_f32(r[0], r[1]);
    const float64x2_t c = (float64x2_t)vtrn1q_f32(r[2], r[3]), d = (float64x2_t)vtrn2q_f32(r[2], r[3]);
    r[0] = (float32x4_t)vtrn1q_f64(a, c);
    r[1] = (float32x4_t)vtrn1q_f64(b, d);
    r[2] = (float32x4_t)vtrn2q_f64(a, c);
    r[3] = (float32x4_t)vtrn2q_f64(b, d);
}

/* The even elements of a, then those of b. */
static inline tvec t_even(tvec a, tvec b)
{
    return IS_FLOAT ? (vec)vuzp1q_f32((float32x4_t)a, (float32x4_t)b) : (vec)vuzp1q_f64((float64x2_t)a, (float64x2_t)b);
}

/* The odd elements of a, then those of b. */
static inline tvec t_odd(tvec a, tvec b)
{
    return IS_FLOAT ? (vec)vuzp2q_f32((float32x4_t)a, (float32x4_t)b) : (vec)vuzp2q_f64((float64x2_t)a, (float64x2_t)b);
}

/* The even elements of a, then those of b, in any order, and in theirs. */
static inline vec v_even(vec a, vec b) { return t_even(a, b); }
static inline vec v_ordered(vec v) { return v; }

/* The lanes from low to high. */
enum { FREE_MASKS = 0 };
typedef struct {
    int low, high;
} vmask;

static inline vmask v_mask(int low, int high) { return (vmask){low, high}; }

static inline vec v_load_mask(const real *p, vmask lanes)
{
    vec v = v_zero();
    for (int i = 0; i < VW; i++)
        if (i >= lanes.low && i < lanes.high)
            v[i] = p[i];
    return v;
}

static inline void v_store_mask(real *p, vec v, vmask lanes)
{
    for (int i = 0; i < VW; i++)
        if (i >= lanes.low && i < lanes.high)
            p[i] = v[i];
}

/* a[0] b[0] a[1] b[1] ... */
static inline void t_zip(tvec a, tvec b, tvec zipped[2])
{
    zipped[0] =
        IS_FLOAT ? (vec)vzip1q_f32((float32x4_t)a, (float32x4_t)b) : (vec)vzip1q_f64((float64x2_t)a, (float64x2_t)b);
    zipped[1] =
        IS_FLOAT ? (vec)vzip2q_f32((float32x4_t)a, (float32x4_t)b) : (vec)vzip2q_f64((float64x2_t)a, (float64x2_t)b);
}

static inline void v_zip(vec a, vec b, vec zipped[2]) { t_zip(a, b, zipped); }

static inline void t_load_turned(tvec block[TC], const real *p, int64_t step)
{
    for (int i = 0; i < TW; i++)
        block[i] = t_load(p + i * step);
    if (IS_FLOAT) {
        turn_f32((float32x4_t *)block);
    } else {
        const float64x2_t a = (float64x2_t)block[0], b = (float64x2_t)block[1];
        block[0] = (vec)vtrn1q_f64(a, b);
        block[1] = (vec)vtrn2q_f64(a, b);
    }
}
