/*
 * exp, log and cos of train/real.c against the C library's in long double, Philox's published answers, and shuffles.
 *
 *   train_leaves          a sample of all floats
 *   train_leaves 1        every float: 45 minutes; 61: every 61st, in a minute
 *   train_leaves 2 1      every second float from number 1 on: half of the work, for another core
 *   train_leaves bits     one number that stands for the bits of results: equal on every machine
 */
#include "../train/random.h"
#include "../train/real.h"
#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t all_bits = 0xe529a78573e246f2; /* what "bits" prints, whatever compiled it and runs it */

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Errors in units of the last place of a type with so many digits; results of 0 and subnormal ones have the least. */
static double error_of(long double got, long double want, int digits, int least)
{
    int power;
    if (isnan(got) || isnan(want))
        return isnan(got) && isnan(want) ? 0 : INFINITY;
    if (isinf(got) || isinf(want))
        return got == want ? 0 : INFINITY;
    frexpl(want, &power);
    power = power - digits < least ? least : power - digits;
    return (double)(fabsl(got - want) / ldexpl(1, power));
}

static const struct function {
    const char *name;
    double (*ours)(double);
    long double (*reference)(long double);
} functions[] = {{"exp", cvg_exp, expl}, {"log", cvg_log, logl}};

/* One value of a function; the largest errors so far, in a double's and in a float's last places. */
static void compare(const struct function *f, double x, double worst[2])
{
    const double got = f->ours(x);
    const long double want = f->reference(x);
    const int beyond = want >= 0x1.fffffffffffff8p1023L; /* of a double's range */
    const double error = beyond ? isinf(got) ? 0 : INFINITY : error_of(got, want, 53, -1074);
    const float rounded = (float)got;
    const double in_float = isinf(rounded) && want > 3.4028235677973366e38L ? 0 : error_of(rounded, want, 24, -149);
    check(error <= 2, "%s(%a) is %a; is %La, off by %g of a double's last place", f->name, x, got, want, error);
    check(in_float <= 0.500001, "%s(%a) as float is %a; is %La, off by %g of its last place", f->name, x,
          (double)rounded, want, in_float);
    worst[0] = error > worst[0] ? error : worst[0];
    worst[1] = in_float > worst[1] ? in_float : worst[1];
}

static void floats(uint32_t step, uint32_t first)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        double worst[2] = {0, 0};
        uint64_t count = 0;
        for (uint64_t bits = first; bits < 1ull << 32; bits += step, count++)
            compare(&functions[i], (double)float_of((uint32_t)bits), worst);
        for (int n = 0; n < 200000; n++) /* doubles, too: near 1, where log is small, and over exp's whole range */
            compare(&functions[i], i ? 1 + (n - 100000) * 0x1p-19 : (n - 100000) * 0x1.e8p-8, worst);
        printf("%s: %" PRIu64 " floats, off by at most %.3f of a double's last place and %.6f of a float's\n",
               functions[i].name, count, worst[0], worst[1]);
    }
}

static void cosines(void)
{
    double worst = 0;
    for (int64_t n = -3000000; n <= 3000000; n += 7) {
        const double turns = (double)n / (1 << 20);
        /* an exact fraction of a turn, then the C library: 2 pi in long double has an error of its own of 2^-64 */
        const long double at = turns - rint(turns), want = cosl(6.283185307179586476925286766559L * at);
        const double error = fabs((double)(cvg_cos2pi(turns) - want)) * 0x1p53;
        worst = error > worst ? error : worst;
        check(error <= 2, "cos2pi(%a) is off by %g of 2^-53", turns, error);
    }
    printf("cos: off by at most %.3f of 2^-53\n", worst);
    static const double exact[][2] = {{0, 1}, {0.25, 0}, {0.5, -1}, {-0.75, 0}, {1, 1}, {-0x1p50, 1}, {0x1.8p20, 1}};
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        check(cvg_cos2pi(exact[i][0]) == exact[i][1], "cos2pi(%a) is %a", exact[i][0], cvg_cos2pi(exact[i][0]));
    check(isnan(cvg_cos2pi(INFINITY)) && isnan(cvg_cos2pi(NAN)) && isnan(cvg_cos2pi(0x1p51)), "cos2pi of no number");
}

static void ends(void)
{
    check(cvg_exp(0) == 1 && cvg_exp(-0.0) == 1 && cvg_exp(INFINITY) == INFINITY && cvg_exp(-INFINITY) == 0 &&
              isnan(cvg_exp(NAN)) && cvg_exp(1e300) == INFINITY && cvg_exp(-1e300) == 0,
          "exp of 0, infinities or NaN");
    check(cvg_log(1) == 0 && cvg_log(0) == -INFINITY && cvg_log(-0.0) == -INFINITY && cvg_log(INFINITY) == INFINITY &&
              isnan(cvg_log(-1)) && isnan(cvg_log(-INFINITY)) && isnan(cvg_log(NAN)),
          "log of 0, 1, infinities, NaN or a negative number");
    for (int power = -1074; power < 1024; power++) {
        const double want = (double)(power * 0.693147180559945309417232121458L);
        check(fabs(cvg_log(ldexp(1, power)) - want) <= fabs(want) * 0x1p-52, "log(2^%d)", power);
    }
}

/* FNV-1a of results over all of both ranges. */
static uint64_t bits_of_results(void)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (int64_t n = -800000; n < 800000; n++) {
        const double results[3] = {cvg_exp((double)n / 1024), cvg_log(float_of((uint32_t)(n + 800000) * 2683)),
                                   cvg_cos2pi((double)n / 999983)};
        for (int i = 0; i < 3; i++) {
            uint64_t bits;
            memcpy(&bits, &results[i], sizeof bits);
            hash = (hash ^ (isnan(results[i]) ? 1 : bits)) * 0x100000001b3;
        }
    }
    return hash;
}

/* ---- random numbers ---- */

static void published_answers(void)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {
        /* Random123, tests/kat_vectors, philox4x32 10 */
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t got[4];
        cvg_philox(known[i].counter, known[i].key, got);
        check(!memcmp(got, known[i].want, sizeof got), "Philox's published answer %zu: %08x %08x %08x %08x", i, got[0],
              got[1], got[2], got[3]);
    }
}

/* Each part of the key and of the counter makes other numbers. */
static void all_parts_count(void)
{
    uint32_t out[9][4];
    const struct cvg_random_key key = cvg_random_key(1, CVG_RANDOM_INIT, 0);
    cvg_random(key, 0, 0, 0, out[0]);
    cvg_random(key, 1, 0, 0, out[1]);
    cvg_random(key, 0, 1, 0, out[2]);
    cvg_random(key, 0, 1ull << 32, 0, out[3]);
    cvg_random(key, 0, 0, 1, out[4]);
    cvg_random(cvg_random_key(2, CVG_RANDOM_INIT, 0), 0, 0, 0, out[5]);
    cvg_random(cvg_random_key(1ull << 32 | 1, CVG_RANDOM_INIT, 0), 0, 0, 0, out[6]);
    cvg_random(cvg_random_key(1, CVG_RANDOM_ORDER, 0), 0, 0, 0, out[7]);
    cvg_random(cvg_random_key(1, CVG_RANDOM_INIT, 1), 0, 0, 0, out[8]);
    for (int i = 0; i < 9; i++)
        for (int j = 0; j < i; j++)
            check(memcmp(out[i], out[j], sizeof out[i]) != 0, "numbers %d and %d are equal", i, j);
}

/* Numbers side by side are those of one block after the other. */
static void side_by_side(void)
{
    static const uint32_t firsts[] = {0, 1, 32, 0xfffffff0}, epochs[] = {0, 5};
    static const uint64_t samples[] = {0, 12345, (1ull << 32) + 3};
    const struct cvg_random_key key = cvg_random_key(1ull << 40 | 9, CVG_RANDOM_DROPOUT, 4);
    uint32_t some[CVG_RANDOM_SOME], one[4];
    for (int n = 0; n < 24; n++) {
        const uint32_t first = firsts[n % 4], epoch = epochs[n / 4 % 2];
        cvg_random_some(key, epoch, samples[n / 8], first, some);
        for (uint32_t i = 0; i < CVG_RANDOM_SOME / 4; i++) {
            cvg_random(key, epoch, samples[n / 8], first + i, one);
            check(!memcmp(some + 4 * i, one, sizeof one), "block %u of those from %u on, epoch %u", i, first, epoch);
        }
    }
}

static void draws(void)
{
    static const uint32_t words[] = {0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    static const uint64_t counts[] = {1, 2, 3, 7, 1000, 0x7fffffff, 0xffffffff, 1ull << 32};
    for (size_t i = 0; i < 6; i++) {
        check(cvg_random_uniform(words[i]) >= 0 && cvg_random_uniform(words[i]) < 1, "uniform(%x)", words[i]);
        for (size_t j = 0; j < 6; j++)
            for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
                /* the definition, one bit of the number after the other: floor(number count / 2^64) */
                const uint64_t number = (uint64_t)words[i] << 32 | words[j];
                uint64_t whole = 0, part = 0; /* of the product, in units of 2^64 and below */
                for (int bit = 63; bit >= 0; bit--) {
                    whole = whole << 1 | part >> 63;
                    part <<= 1;
                    if (number >> bit & 1 && (part += counts[k]) < counts[k])
                        whole++;
                }
                check(cvg_random_below(words[i], words[j], counts[k]) == whole, "%x %x below %" PRIu64, words[i],
                      words[j], counts[k]);
            }
    }
}

static void shuffles(void)
{
    static uint32_t order[1000], again[1000];
    static const uint32_t counts[] = {0, 1, 2, 3, 10, 999, 1000};
    const struct cvg_random_key key = cvg_random_key(7, CVG_RANDOM_ORDER, 0);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        unsigned char seen[1000] = {0};
        int good = 1;
        cvg_random_order(key, 3, counts[i], order);
        for (uint32_t n = 0; n < counts[i]; n++)
            good &= order[n] < counts[i] && !seen[order[n]]++;
        check(good, "an order of %u is no permutation", counts[i]);
    }
    cvg_random_order(key, 3, 1000, again);
    check(!memcmp(order, again, sizeof order), "the same epoch has another order");
    cvg_random_order(key, 4, 1000, again);
    check(memcmp(order, again, sizeof order) != 0, "another epoch has the same order");

    /* All 24 orders of four are equally likely: 24,000 draws, each within 6 standard deviations (31) of 1,000. */
    int seen[256] = {0}, orders = 0;
    for (uint32_t epoch = 0; epoch < 24000; epoch++) {
        cvg_random_order(key, epoch, 4, order);
        seen[order[0] << 6 | order[1] << 4 | order[2] << 2 | order[3]]++;
    }
    for (int i = 0; i < 256; i++)
        if (seen[i]) {
            orders++;
            check(seen[i] > 814 && seen[i] < 1186, "order %d of four came %d times of 24,000", i, seen[i]);
        }
    check(orders == 24, "%d of 24 orders of four came", orders);
}

int main(int argc, char **argv)
{
    const uint64_t bits = bits_of_results();
    const int step = argc > 1 ? atoi(argv[1]) : 9973;
    if (step < 1) {
        printf("%016" PRIx64 "\n", bits);
        return 0;
    }
    check(bits == all_bits, "the bits of exp, log and cos are %016" PRIx64, bits);
    floats((uint32_t)step, argc > 2 ? (uint32_t)atoi(argv[2]) : 0);
    cosines();
    ends();
    published_answers();
    all_parts_count();
    side_by_side();
    draws();
    shuffles();
    return check_summary();
}
