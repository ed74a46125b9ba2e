#include "real.h"

#include <math.h> /* INFINITY and NAN alone */
#include <stdint.h>
#include <string.h>

/*
 * No product may be fused with a sum, or bits would differ between builds.  The flag -ffp-contract=off says so for
 * CMake's builds, this for all others: gcc does not know the standard's pragma, clang not gcc's.  (Only clang's own
 * -ffp-contract=fast overrules it.)
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* ln 2 in two parts: products of the first with whole numbers up to 2^20 are exact. */
static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;

/* The double of these bits. */
static double of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* 2^power, for -1022 to 1023. */
static double power_of_two(int power) { return of_bits((uint64_t)(power + 1023) << 52); }

/* c[0] + c[1] x + c[2] x^2 ... */
static double polynomial(const double *c, int count, double x)
{
    double sum = c[count - 1];
    for (int i = count - 2; i >= 0; i--)
        sum = sum * x + c[i];
    return sum;
}

double cvg_exp(double x)
{
    /* Taylor's terms from r^2 on.  |r| <= ln 2 / 2: the first left out, r^14 / 14!, is below 2^-57. */
    static const double c[] = {
        1.0 / 2,     1.0 / 6,      1.0 / 24,      1.0 / 120,      1.0 / 720,       1.0 / 5040,
        1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800,
    };
    if (x != x)
        return x;
    if (x > 710)
        return INFINITY;
    if (x < -746)
        return 0;
    const double turns = x * 0x1.71547652b82fep0; /* 1 / ln 2 */
    const int k = (int)(turns < 0 ? turns - 0.5 : turns + 0.5);
    const double high = x - k * ln2_high, low = k * ln2_low, r = high - low;
    /* e^r = 1 + (r + r^2 (1/2 + ...)), with what r lost when low was taken off */
    const double e = 1 + (high + (r * r * polynomial(c, sizeof c / sizeof *c, r) - low));
    return e * power_of_two(k / 2) * power_of_two(k - k / 2);
}

double cvg_log(double x)
{
    /* log m = 2 (s + s^3/3 + s^5/5 ...), s = (m - 1) / (m + 1).  |s| <= 0.172: what is left out is below 2^-60. */
    static const double c[] = {
        1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23,
    };
    uint64_t bits;
    int power = 0;
    if (x == 0)
        return -INFINITY;
    if (!(x > 0))
        return x != x ? x : NAN;
    if (x == INFINITY)
        return x;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        power = -54;
    }
    memcpy(&bits, &x, sizeof bits);
    /* m from 1/sqrt 2 to sqrt 2: the exponent changes at the upper bits of sqrt 2. */
    const uint64_t half = 0x3ff6a09e00000000, one = 0x3ff0000000000000, mantissa = bits & 0xfffffffffffff;
    const int up = (mantissa | one) >= half;
    power += (int)(bits >> 52) - 1023 + up;
    const double f = of_bits(mantissa | (up ? one - (1ull << 52) : one)) - 1; /* exact */
    const double s = f / (2 + f), z = s * s;
    const double rest = s * (f - 2 * z * polynomial(c, sizeof c / sizeof *c, z)); /* log m = f - rest */
    return power * ln2_high - ((rest - power * ln2_low) - f);
}

double cvg_cos2pi(double turns)
{
    /* Taylor's terms of sin and cos in x^2.  x <= pi/4: the first left out is below 2^-57. */
    static const double sine[] = {
        -1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
        -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000,
    };
    static const double cosine[] = {
        1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000,
    };
    const double two_pi = 0x1.921fb54442d18p2;
    if (!(turns >= -0x1p50 && turns <= 0x1p50))
        return turns != turns ? turns : NAN;
    turns -= (double)(int64_t)turns; /* exact, as all that follows up to x */
    double at = turns < 0 ? -turns : turns, sign = 1;
    at = at > 0.5 ? 1 - at : at;
    if (at > 0.25) {
        at = 0.5 - at;
        sign = -1;
    }
    const double x = two_pi * (at <= 0.125 ? at : 0.25 - at), z = x * x;
    if (at > 0.125)
        return sign * (x + x * z * polynomial(sine, sizeof sine / sizeof *sine, z));
    return sign * (1 - (z / 2 - z * z * polynomial(cosine, sizeof cosine / sizeof *cosine, z)));
}
