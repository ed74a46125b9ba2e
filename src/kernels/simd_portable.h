/*
 * Vectors of 16 bytes in portable C; real is defined by the includer.  With
 * GNU vectors the compiler maps them to whatever the target has (SSE2, NEON);
 * without them they are small arrays.
 */
#include <math.h>
#include <string.h>

enum { VW = 16 / sizeof(real) };
#define TILE_ROWS 6
#define TILE_VECS 2

#if defined(__GNUC__) || defined(__clang__)
typedef real vec __attribute__((vector_size(16)));
#define AT(v, i) (v)[i]
#else
typedef struct { real x[VW]; } vec;
#define AT(v, i) (v).x[i]
#endif

static inline vec v_splat(real x)
{
#if defined(__GNUC__) || defined(__clang__)
    return x - (vec){0}; /* x - 0 is x, whatever its sign; compilers make it one shuffle */
#else
    vec v;
    for (int i = 0; i < VW; i++)
        AT(v, i) = x;
    return v;
#endif
}

static inline vec v_zero(void)
{
    return v_splat(0);
}

static inline vec v_load(const real *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void v_store(real *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

/* a*b + c: fused where the target has the instruction, two roundings elsewhere. */
static inline vec v_fma(vec a, vec b, vec c)
{
#if defined(FP_FAST_FMA) && defined(FP_FAST_FMAF)
    for (int i = 0; i < VW; i++)
        AT(c, i) = sizeof(real) == sizeof(float)
                       ? (real)fmaf((float)AT(a, i), (float)AT(b, i), (float)AT(c, i))
                       : (real)fma(AT(a, i), AT(b, i), AT(c, i));
    return c;
#elif defined(__GNUC__) || defined(__clang__)
    return a * b + c;
#else
    for (int i = 0; i < VW; i++)
        AT(c, i) += AT(a, i) * AT(b, i);
    return c;
#endif
}
