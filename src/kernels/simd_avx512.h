/* AVX-512: 64-byte vectors, 32 registers. */
#include "simd_x86.h"

typedef real vec __attribute__((vector_size(64)));
enum { VW = 64 / sizeof(real), MAIN_VECS = 2, SPREAD_VECS = 4, DOT_SUMS = sizeof(real) == 8 ? 12 : 24 };
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

/* The lanes from low to high; where a mask costs nothing, it need not be avoided. */
enum { FREE_MASKS = 1 };
typedef __mmask16 vmask;

static inline vmask v_mask(int low, int high) { return (vmask)((1u << high) - (1u << low)); }

static inline vec v_load_mask(const real *p, vmask lanes)
{
    return IS_FLOAT ? (vec)_mm512_maskz_loadu_ps(lanes, p) : (vec)_mm512_maskz_loadu_pd((__mmask8)lanes, p);
}

static inline void v_store_mask(real *p, vec v, vmask lanes)
{
    if (IS_FLOAT)
        _mm512_mask_storeu_ps(p, lanes, (__m512)v);
    else
        _mm512_mask_storeu_pd(p, (__mmask8)lanes, (__m512d)v);
}

/* Vectors of which each half is of a plane of its own. */
#define PLANE_PAIRS

/* Lanes of a lower half from a, and the same of the upper half from b. */
static inline vec v_load_pair(const real *a, const real *b, vmask lanes)
{
    if (IS_FLOAT)
        return (vec)_mm512_insertf32x8(_mm512_castps256_ps512(_mm256_maskz_loadu_ps((__mmask8)lanes, a)),
                                       _mm256_maskz_loadu_ps((__mmask8)lanes, b), 1);
    return (vec)_mm512_insertf64x4(_mm512_castpd256_pd512(_mm256_maskz_loadu_pd((__mmask8)lanes, a)),
                                   _mm256_maskz_loadu_pd((__mmask8)lanes, b), 1);
}

/* Compilers must not extract the upper half straight to memory: that would touch what the mask leaves out, too. */
#ifdef __GNUC__
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#else
#define IN_REGISTER(v)
#endif

static inline void v_store_pair(real *a, real *b, vec v, vmask lanes)
{
    if (IS_FLOAT) {
        __m256 high = _mm512_extractf32x8_ps((__m512)v, 1);
        IN_REGISTER(high);
        _mm256_mask_storeu_ps(a, (__mmask8)lanes, _mm512_castps512_ps256((__m512)v));
        _mm256_mask_storeu_ps(b, (__mmask8)lanes, high);
    } else {
        __m256d high = _mm512_extractf64x4_pd((__m512d)v, 1);
        IN_REGISTER(high);
        _mm256_mask_storeu_pd(a, (__mmask8)lanes, _mm512_castpd512_pd256((__m512d)v));
        _mm256_mask_storeu_pd(b, (__mmask8)lanes, high);
    }
}

/* The lower half of a, the upper half of b. */
static inline vec v_halves(vec a, vec b)
{
    return IS_FLOAT ? (vec)_mm512_mask_blend_ps(0xFF00, (__m512)a, (__m512)b)
                    : (vec)_mm512_mask_blend_pd(0xF0, (__m512d)a, (__m512d)b);
}

/* V_TURNS columns of VW rows of float. */
#define V_TURNS 8
static inline void v_load_turned(vec to[V_TURNS], const real *p, int64_t step)
{
    __m512 part[2][4];
    for (int h = 0; h < 2; h++, p += 8 * step) {
        const float *low = (const float *)p, *high = low + 4 * step;
        __m512 r[4], t[4];
        __asm__("" : "+r"(low), "+r"(high));
        for (int i = 0; i < 4; i++)
            r[i] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(low + i * step)),
                                      _mm256_loadu_ps(high + i * step), 1);
        for (int i = 0; i < 2; i++) {
            t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        for (int i = 0; i < 2; i++) {
            part[h][2 * i] = _mm512_shuffle_ps(t[i], t[2 + i], 0x44);
            part[h][2 * i + 1] = _mm512_shuffle_ps(t[i], t[2 + i], 0xee);
        }
    }
    for (int i = 0; i < 4; i++) {
        to[i] = (vec)_mm512_shuffle_f32x4(part[0][i], part[1][i], 0x88);
        to[4 + i] = (vec)_mm512_shuffle_f32x4(part[0][i], part[1][i], 0xdd);
    }
}

/* The even elements of a, then those of b, in any order, and in theirs. */
static inline vec v_ordered(vec v) { return v; }

static inline vec v_even(vec a, vec b)
{
    const __m512i at = IS_FLOAT ? _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0)
                                : _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0);
    return IS_FLOAT ? (vec)_mm512_permutex2var_ps((__m512)a, at, (__m512)b)
                    : (vec)_mm512_permutex2var_pd((__m512d)a, at, (__m512d)b);
}

/* a[0] b[0] a[1] b[1] ... */
static inline void v_zip(vec a, vec b, vec zipped[2])
{
    const __m512i low = IS_FLOAT ? _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0)
                                 : _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    const __m512i next = IS_FLOAT ? _mm512_set1_epi32(8) : _mm512_set1_epi64(4);
    const __m512i high = IS_FLOAT ? _mm512_add_epi32(low, next) : _mm512_add_epi64(low, next);
    zipped[0] = IS_FLOAT ? (vec)_mm512_permutex2var_ps((__m512)a, low, (__m512)b)
                         : (vec)_mm512_permutex2var_pd((__m512d)a, low, (__m512d)b);
    zipped[1] = IS_FLOAT ? (vec)_mm512_permutex2var_ps((__m512)a, high, (__m512)b)
                         : (vec)_mm512_permutex2var_pd((__m512d)a, high, (__m512d)b);
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
