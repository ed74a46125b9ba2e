/*
 * Each kernel of each instruction set against plain C, for every tail; with --bench, the
 * microkernel's speed beside the peak.  Integers, so that every sum is exact.
 */
#include "check.h"
#include "cli.h"
#include "kernels/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct cvg_kernels *const sets[] = {&cvg_kernels_portable_f32, &cvg_kernels_portable_f64};

enum { MOST = 4096 };

/* Arrays of either type. */
struct space {
    const struct cvg_kernels *k;
    struct array a, b, acc, old;
};

static struct array array_of(cvg_type type)
{
    struct array array;
    cvg_error error;
    const int64_t count = MOST;
    if (!array_new(&array, type, 1, &count, &error))
        exit(1);
    return array;
}

static void fill(struct array *array, struct random *random)
{
    for (int64_t i = 0; i < array->count; i++)
        array_set(array, i, (double)(random_bits(random) % 9) - 4);
}

static void check_tile(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int rows = 1; rows <= k->tile_rows; rows++)
        for (int terms = 0; terms <= 33; terms++)
            for (int first = 0; first < 2; first++) {
                int64_t row[64], col[64], brow[64];
                const int64_t ld = k->lanes + 3;
                fill(&s->a, random);
                fill(&s->b, random);
                fill(&s->acc, random);
                for (int i = 0; i < rows; i++)
                    row[i] = (int64_t)(random_bits(random) % 1000);
                for (int j = 0; j < terms; j++) {
                    col[j] = (int64_t)(random_bits(random) % 1000);
                    brow[j] = (int64_t)(random_bits(random) % 1000);
                }
                memcpy(s->old.data, s->acc.data, MOST * k->size);
                k->tile(rows, terms, s->a.data, row, col, s->b.data, brow, s->acc.data, ld, first);
                int good = 1;
                for (int64_t at = 0; at < MOST; at++) {
                    const int64_t i = at / ld, l = at % ld;
                    double want = array_get(&s->old, at);
                    if (i < rows && l < k->lanes) {
                        want = first ? 0 : want;
                        for (int j = 0; j < terms; j++)
                            want += array_get(&s->a, row[i] + col[j]) * array_get(&s->b, brow[j] + l);
                    }
                    good &= array_get(&s->acc, at) == want;
                }
                check(good, "%s %s: tile of %d rows, %d terms, first %d", k->isa, type_name(k->type), rows, terms,
                      first);
            }
}

/* A sum cut anywhere and continued has the bits of the whole, on numbers that round. */
static void check_continued(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    int64_t row[64], col[64], brow[64];
    for (int i = 0; i < 64; i++) {
        row[i] = (int64_t)(random_bits(random) % 1000);
        col[i] = (int64_t)(random_bits(random) % 1000);
        brow[i] = (int64_t)(random_bits(random) % 1000);
    }
    for (int64_t i = 0; i < MOST; i++) {
        array_set(&s->a, i, random_uniform(random));
        array_set(&s->b, i, random_uniform(random));
    }
    for (int cut = 0; cut <= 40; cut++) {
        k->tile(k->tile_rows, 40, s->a.data, row, col, s->b.data, brow, s->old.data, k->lanes, 1);
        k->tile(k->tile_rows, cut, s->a.data, row, col, s->b.data, brow, s->acc.data, k->lanes, 1);
        k->tile(k->tile_rows, 40 - cut, s->a.data, row, col + cut, s->b.data, brow + cut, s->acc.data, k->lanes, 0);
        check(!memcmp(s->acc.data, s->old.data, (size_t)(k->tile_rows * k->lanes) * k->size),
              "%s %s: a sum cut at %d has other bits", k->isa, type_name(k->type), cut);
    }
}

static void check_rows(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int count = 0; count <= 67; count++)
        for (int step = 1; step <= 3; step++) {
            int good = 1;
            fill(&s->a, random);
            fill(&s->b, random);
            fill(&s->acc, random);
            memcpy(s->old.data, s->acc.data, MOST * k->size);
            k->gather(s->acc.data, s->a.data, step, count);
            for (int64_t i = 0; i < MOST; i++)
                good &= array_get(&s->acc, i) == array_get(i < count ? &s->a : &s->old, i < count ? i * step : i);
            check(good, "%s %s: gather of %d by %d", k->isa, type_name(k->type), count, step);

            /* put: no base, a base of its own steps (0 too), and dst as base; steps on both sides */
            for (int base = 0; base < 4; base++)
                for (int src_step = 1; src_step <= 2; src_step++) {
                    const void *from = base == 0 ? NULL : base == 3 ? s->acc.data : s->b.data;
                    const int base_step = base == 1 ? 0 : base == 2 ? 1 : step;
                    memcpy(s->acc.data, s->old.data, MOST * k->size);
                    k->put(s->acc.data, step, s->a.data, src_step, count, 0.5, from, base_step);
                    good = 1;
                    for (int64_t i = 0; i < MOST; i++) {
                        double want = array_get(&s->old, i);
                        if (i % step == 0 && i / step < count)
                            want = 0.5 * array_get(&s->a, i / step * src_step) +
                                   (base == 0 ? 0
                                              : array_get(base == 3 ? &s->old : &s->b, i / step * base_step));
                        good &= array_get(&s->acc, i) == want;
                    }
                    check(good, "%s %s: put of %d by %d, base %d", k->isa, type_name(k->type), count, step, base);
                }
        }
}

static void check_turn_and_sum(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int width = 1; width <= k->lanes; width++)
        for (int count = 0; count <= 35; count++) {
            int good = 1;
            fill(&s->a, random);
            fill(&s->acc, random);
            memcpy(s->old.data, s->acc.data, MOST * k->size);
            k->turn(s->acc.data, s->a.data, 41, width, count);
            for (int64_t at = 0; at < MOST; at++) {
                const int64_t i = at / k->lanes, l = at % k->lanes;
                const double want = i >= count ? array_get(&s->old, at)
                                               : l < width ? array_get(&s->a, l * 41 + i) : 0;
                good &= array_get(&s->acc, at) == want;
            }
            check(good, "%s %s: turn of %d x %d", k->isa, type_name(k->type), width, count);
        }
    for (int rows = 0; rows <= 5; rows++)
        for (int count = 0; count <= 67; count++) {
            double want = 0;
            fill(&s->a, random);
            for (int r = 0; r < rows; r++)
                for (int i = 0; i < count; i++)
                    want += array_get(&s->a, r * 70 + i);
            check(k->sum(s->a.data, rows, 70, count) == want, "%s %s: sum of %d x %d", k->isa, type_name(k->type),
                  rows, count);
        }
    k->store(s->acc.data, 7, 2.5);
    check(k->load(s->acc.data, 7) == 2.5, "%s %s: load after store", k->isa, type_name(k->type));
}

/* The microkernel alone, on operands in the first-level cache. */
static void bench_tile(struct space *s)
{
    const struct cvg_kernels *k = s->k;
    const int64_t terms = 2048 / k->lanes;
    int64_t row[64], col[2048], brow[2048];
    double best = INFINITY;
    for (int64_t j = 0; j < terms; j++) {
        col[j] = j;
        brow[j] = j * k->lanes;
    }
    for (int i = 0; i < k->tile_rows; i++)
        row[i] = i * terms % 1024;
    for (int repeat = 0; repeat < 200; repeat++) {
        const double begin = seconds();
        for (int i = 0; i < 100; i++)
            k->tile(k->tile_rows, terms, s->a.data, row, col, s->b.data, brow, s->acc.data, k->lanes, 1);
        best = fmin(best, (seconds() - begin) / 100);
    }
    const double rate = 2.0 * k->tile_rows * k->lanes * (double)terms / best;
    printf("%-9s %s  tile %2d x %2d  %8.2f GFLOP/s  %5.1f %% of peak\n", k->isa, type_name(k->type), k->tile_rows,
           k->lanes, rate * 1e-9, 100 * rate / peak_flops(k->type, 1));
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const cvg_type type = sets[i]->type;
        struct random random = {i + 1};
        struct space s = {sets[i], array_of(type), array_of(type), array_of(type), array_of(type)};
        if (argc > 1 && !strcmp(argv[1], "--bench")) {
            bench_tile(&s);
        } else {
            check_tile(&s, &random);
            check_continued(&s, &random);
            check_rows(&s, &random);
            check_turn_and_sum(&s, &random);
        }
        array_free(&s.a);
        array_free(&s.b);
        array_free(&s.acc);
        array_free(&s.old);
    }
    return argc > 1 ? 0 : check_summary();
}
