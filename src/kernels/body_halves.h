/* The kernels that widen and narrow halves; a part of body.h, which says what it needs. */

#ifdef HALF_VECTORS
INLINE vec vec_of_bf16(half_vec halves) { return (vec)(bits_of_halves(halves) << 16); }

#ifndef BF16_VECTORS
/* bf16_of() of a vector. */
INLINE half_vec bf16_of_vec(vec value)
{
    const bits_vec bits = (bits_vec)value, nan = (bits_vec)(value != value);
    const bits_vec rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return halves_of_bits((nan & (bits >> 16 | 0x40)) | (~nan & rounded));
}
#endif

/* Of a vector of halves left exist, which lie some steps apart, or as neighbours. */
INLINE half_vec halves_apart(const uint16_t *s, int64_t step, int64_t left)
{
    uint16_t block[VW];
    half_vec halves;
    for (int i = 0; i < VW && i < left; i++, s += step) {
        block[i] = *s;
        ONE_ADDRESS(s); /* one by one: they are few */
    }
    memcpy(&halves, block, sizeof halves);
    return halves;
}

INLINE half_vec halves_load(const uint16_t *s, const int64_t left)
{
    half_vec halves;
    if (left < VW)
        return halves_part(s, left);
    memcpy(&halves, s, sizeof halves);
    return halves;
}

INLINE void halves_store(uint16_t *d, int64_t step, half_vec halves, const int64_t left)
{
    uint16_t block[VW];
    if (left >= VW && step == 1) {
        memcpy(d, &halves, sizeof halves);
        return;
    }
    if (left == VW / 2 && step == 1) {
        memcpy(d, &halves, sizeof halves / 2);
        return;
    }
    memcpy(block, &halves, sizeof halves);
    for (int i = 0; i < VW && i < left; i++, d += step) {
        *d = block[i];
        ONE_ADDRESS(d);
    }
}

#define HALF(name) name##_bf16
#define WIDEN_VEC(v) vec_of_bf16(v)
#define NARROW_VEC(v) bf16_of_vec(v)
#include "body_kind.h"

#ifndef F16_VECTORS
/* of_f16() and f16_of() of vectors. */
INLINE vec vec_of_f16(half_vec halves)
{
    const bits_vec half = bits_of_halves(halves), rest = (half & 0x7fff) << 13;
    const bits_vec value = (bits_vec)v_mul((vec)rest, v_splat(0x1p112f)), high = (bits_vec)(rest >= 0x0f800000);
    return (vec)((half & 0x8000) << 16 | (high & (rest | 0x7f800000)) | (~high & value));
}

INLINE half_vec f16_of_vec(vec value)
{
    const bits_vec bits = (bits_vec)value, sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    const bits_vec normal = (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13;
    const bits_vec subnormal = (bits_vec)v_add((vec)rest, v_splat(0.5f)) - 0x3f000000;
    const bits_vec nan = (bits_vec)(rest > 0x7f800000), high = (bits_vec)(rest >= 0x477ff000);
    const bits_vec low = (bits_vec)(rest < 0x38800000), finite = (low & subnormal) | (~low & normal);
    const bits_vec other = 0x7c00 | (nan & (0x200 | (rest >> 13 & 0x3ff)));
    return halves_of_bits(sign | (high & other) | (~high & finite));
}
#endif

#define HALF(name) name##_f16
#define WIDEN_VEC(v) vec_of_f16(v)
#define NARROW_VEC(v) f16_of_vec(v)
#include "body_kind.h"

#include "body_halfnine.h"

#define DEPTH(name) half_##name
#define ELEMENT uint16_t
#define ELEMENT_PHASES
#define ELEMENT_LOAD(p) half_load(p)
#define ELEMENT_STORE(p, v) halves_store(p, 1, bf16_of_vec(v), VW)
#include "body_depth.h"
#else
INLINE float bits_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The upper half, and one more if the lower one is more than half of its last bit, or half and that is odd. */
INLINE uint16_t bf16_of(float value)
{
    const uint32_t bits = float_bits(value), nan = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? nan : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

INLINE float of_bf16(uint16_t half) { return bits_float((uint32_t)half << 16); }

/* As a float whose exponent is 112 less, which makes subnormal numbers of both kinds the same. */
INLINE float of_f16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff) << 13;
    const float value = bits_float(rest) * 0x1p112f;
    return bits_float(sign | (rest >= 0x0f800000 ? rest | 0x7f800000 : float_bits(value)));
}

/*
 * Adding a number whose last bit is that of the half rounds to nearest even: for subnormal halves a constant, for
 * others one that grows with the exponent.
 */
INLINE uint16_t f16_of(float value)
{
    const uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;
    const uint32_t normal = (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13;
    const uint32_t subnormal = float_bits(bits_float(rest) + 0.5f) - 0x3f000000; /* 0.5 has the last bit 2^-24 */
    const uint32_t half = rest > 0x7f800000    ? 0x7e00 | (rest >> 13 & 0x3ff)
                          : rest >= 0x477ff000 ? 0x7c00
                          : rest < 0x38800000  ? subnormal
                                               : normal;
    return (uint16_t)(sign | half);
}

/* Elements one by one, which compilers make vectors of where they are neighbours. */
#define WIDEN(type)                                                                   \
    static void widen_##type(void *dst, const void *src, int64_t step, int64_t count) \
    {                                                                                 \
        float *const d = dst;                                                         \
        const uint16_t *const s = src;                                                \
        int64_t i = 0;                                                                \
        for (; step == 1 && i < count; i++)                                           \
            d[i] = of_##type(s[i]);                                                   \
        for (; i < count; i++)                                                        \
            d[i] = of_##type(s[i * step]);                                            \
    }
#define NARROW_HALF(type)                                                              \
    static void narrow_##type(void *dst, int64_t step, const void *src, int64_t count) \
    {                                                                                  \
        uint16_t *const d = dst;                                                       \
        const float *const s = src;                                                    \
        int64_t i = 0;                                                                 \
        for (; step == 1 && i < count; i++)                                            \
            d[i] = type##_of(s[i] + 0.0f);                                             \
        for (; i < count; i++)                                                         \
            d[i * step] = type##_of(s[i] + 0.0f);                                      \
    }
WIDEN(f16)
NARROW_HALF(bf16)
NARROW_HALF(f16)

/*
 * Rows in whole vectors, whose number of elements is a constant, and a rest.  The order of finishes is that of float
 * sums that are narrowed later: a bias, then 0, then old values.
 */
enum { HALF_BLOCK = 16 };
#define WIDEN_ROWS(type)                                                                                      \
    static void widen_rows_##type(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t rows, \
                                  int64_t count)                                                              \
    {                                                                                                         \
        float *d = dst;                                                                                       \
        const uint16_t *s = src;                                                                              \
        for (int64_t r = 0; r < rows; r++, d += dst_row, s += src_row) {                                      \
            int64_t i = 0;                                                                                    \
            for (; i + HALF_BLOCK <= count; i += HALF_BLOCK) {                                                \
                uint16_t block[HALF_BLOCK];                                                                   \
                memcpy(block, s + i, sizeof block);                                                           \
                for (int j = 0; j < HALF_BLOCK; j++)                                                          \
                    d[i + j] = of_##type(block[j]);                                                           \
            }                                                                                                 \
            for (; i < count; i++)                                                                            \
                d[i] = of_##type(s[i]);                                                                       \
        }                                                                                                     \
    }
WIDEN_ROWS(f16)

WIDEN(bf16)
WIDEN_ROWS(bf16)
enum { PUT_BLOCK = HALF_BLOCK };
INLINE void put_block(const enum base base, uint16_t *d, const float *s, const float *bias, float scale,
                      const int count)
{
    float value[PUT_BLOCK];
    uint16_t half[PUT_BLOCK];
    for (int l = 0; l < count; l++)
        value[l] = (base == BIAS ? bias[l] + scale * s[l] : scale * s[l]) + 0.0f;
    if (base == OLD) {
        memcpy(half, d, (unsigned)count * sizeof *half);
        for (int l = 0; l < count; l++)
            value[l] = of_bf16(half[l]) + value[l];
    }
    for (int l = 0; l < count; l++)
        half[l] = bf16_of(value[l]);
    memcpy(d, half, (unsigned)count * sizeof *half);
}

INLINE void put_halves(const enum base base, uint16_t *d, int64_t dst_step, const float *s, int64_t src_step, int width,
                       int64_t count, float scale, const float *bias)
{
    for (int64_t i = 0; i < count; i++, d += dst_step, s += src_step) {
        int l = 0;
        for (; l + PUT_BLOCK <= width; l += PUT_BLOCK)
            put_block(base, d + l, s + l, base == BIAS ? bias + l : NULL, scale, PUT_BLOCK);
        if (l < width)
            put_block(base, d + l, s + l, base == BIAS ? bias + l : NULL, scale, width - l);
    }
}

static void put_lanes_bf16(void *dst, int64_t dst_step, const void *src, int64_t src_step, int width, int64_t count,
                           const struct cvg_finish *finish)
{
    const float scale = (float)finish->scale;
    BY_BASE(finish->bias, finish->accumulate,
            put_halves(base, dst, dst_step, src, src_step, width, count, scale, finish->bias));
}

/* The same by other kernels, for less code. */
static void put_lanes_f16(void *dst, int64_t dst_step, const void *src, int64_t src_step, int width, int64_t count,
                          const struct cvg_finish *finish)
{
    static const float zeros[HALF_BLOCK];
    float value[HALF_BLOCK], old[HALF_BLOCK];
    for (int64_t i = 0; i < count; i++)
        for (int l = 0; l < width; l += HALF_BLOCK) {
            const int now = width - l < HALF_BLOCK ? width - l : HALF_BLOCK;
            const float *const bias = finish->bias;
            uint16_t *const d = (uint16_t *)dst + i * dst_step + l;
            const struct cvg_finish own = {.scale = finish->scale, .bias = bias ? bias + l : zeros};
            put_lanes(value, 0, (const float *)src + i * src_step + l, 0, now, 1, &own);
            for (int j = 0; j < now && finish->accumulate; j++)
                old[j] = of_f16(d[j]) + value[j];
            narrow_f16(d, 1, finish->accumulate ? old : value, now);
        }
}
#endif
