#include "number.h"

#include <math.h>
#include <string.h>

/* A half: one bit of sign, so many of the exponent, and so many of the fraction. */
struct format {
    int exponent, fraction;
};

static const struct {
    char name[5];
    size_t size;
    double roundoff;
    struct format half;
} types[CVG_TYPE_COUNT] = {
    [CVG_F32] = {"f32", 4, 0x1p-24, {0}},
    [CVG_F64] = {"f64", 8, 0x1p-53, {0}},
    [CVG_BF16] = {"bf16", 2, 0x1p-8, {8, 7}},
    [CVG_F16] = {"f16", 2, 0x1p-11, {5, 10}},
};

static int is_type(cvg_type type) { return (int)type >= 0 && (int)type < CVG_TYPE_COUNT; }

const char *cvg_type_name(cvg_type type) { return is_type(type) ? types[type].name : NULL; }

size_t cvg_type_size(cvg_type type) { return is_type(type) ? types[type].size : 0; }

double cvg_roundoff(cvg_type type) { return types[type].roundoff; }

static double from_half(uint16_t bits, struct format f)
{
    const int bias = (1 << (f.exponent - 1)) - 1, exponent = bits >> f.fraction & ((1 << f.exponent) - 1);
    const int fraction = bits & ((1 << f.fraction) - 1);
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == (1 << f.exponent) - 1)
        return fraction ? NAN : sign * HUGE_VAL;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - bias - f.fraction);
    return sign * ldexp((1 << f.fraction) + fraction, exponent - bias - f.fraction);
}

static uint16_t to_half(double value, struct format f)
{
    const int bias = (1 << (f.exponent - 1)) - 1, most = (1 << f.exponent) - 1;
    const int sign = signbit(value) ? 1 << 15 : 0;
    int exponent;
    if (isnan(value))
        return (uint16_t)(sign | most << f.fraction | 1 << (f.fraction - 1));
    if (isinf(value) || value == 0)
        return (uint16_t)(sign | (value == 0 ? 0 : most << f.fraction));
    frexp(value, &exponent); /* |value| = [1/2, 1) * 2^exponent */
    exponent = exponent - 1 > 1 - bias ? exponent - 1 : 1 - bias;
    const int unit = exponent - f.fraction; /* of the last bit */
    /* The fraction with its leading 1 carries into the exponent, as rounding up to the next power of two does. */
    const double units = nearbyint(ldexp(fabs(value), -unit)); /* to nearest even */
    const double bits = units + ldexp(exponent - (1 - bias), f.fraction);
    return (uint16_t)(sign | (int)fmin(bits, most << f.fraction));
}

double cvg_load(cvg_type type, const void *array, int64_t index)
{
    uint16_t half;
    if (type == CVG_F32)
        return ((const float *)array)[index];
    if (!cvg_is_half(type))
        return ((const double *)array)[index];
    memcpy(&half, (const char *)array + index * (int64_t)sizeof half, sizeof half);
    return from_half(half, types[type].half);
}

void cvg_store(cvg_type type, void *array, int64_t index, double value)
{
    if (type == CVG_F32)
        ((float *)array)[index] = (float)value;
    else if (!cvg_is_half(type))
        ((double *)array)[index] = value;
    else
        ((uint16_t *)array)[index] = to_half(value, types[type].half);
}

double cvg_rounded(cvg_type type, double value)
{
    double room;
    cvg_store(type, &room, 0, value);
    return cvg_load(type, &room, 0);
}
