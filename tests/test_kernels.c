/*
 * Each kernel of each instruction set against plain C, for every tail; with --bench, the
 * microkernel's speed beside the peak.  Integers, so that every sum is exact.
 */
#include "check.h"
#include "cli.h"
#include "cpu.h"
#include "algo/winograd/winograd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8192 };

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

/* A microkernel's operands: offsets anywhere in the first 1,000 elements. */
struct offsets {
    int64_t row[CVG_TILE_ROWS], place[CVG_TILE_ROWS], a[64], b[64];
};

static struct offsets offsets_of(int lanes, struct random *random)
{
    struct offsets o;
    for (int i = 0; i < CVG_TILE_ROWS; i++) {
        o.row[i] = (int64_t)(random_bits(random) % 1000);
        o.place[i] = (i * 5 % CVG_TILE_ROWS) * (lanes + 3); /* in any order */
    }
    for (int i = 0; i < 64; i++) {
        o.a[i] = (int64_t)(random_bits(random) % 1000);
        o.b[i] = (int64_t)(random_bits(random) % 1000);
    }
    return o;
}

/* A finish that halves, with base 0 none, 1 a bias, 2 the old value; whole lines may be streamed. */
static const struct cvg_finish *finish_of(const void *bias, int base)
{
    static struct cvg_finish finish;
    finish = (struct cvg_finish){.scale = 0.5, .bias = base == 1 ? bias : NULL, .accumulate = base == 2, .streams = 1};
    return &finish;
}

static void check_tile(struct space *s, const struct cvg_tile *tile, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int rows = 1; rows <= tile->rows; rows++)
        for (int count = 0; count <= 33; count += count < 6 ? 1 : 9)
            for (int way = 0; way < 12; way++) {
                struct offsets o = offsets_of(tile->lanes, random);
                const int first = way % 2, near = way / 2 % 3 == 1, even = way / 2 % 3 == 2, tiles = way < 6 ? 0 : 3;
                const int64_t acc_tile = CVG_TILE_ROWS * (tile->lanes + 3);
                const struct cvg_terms terms = {
                    .count = count, .a = o.a, .b = o.b, .tiles = tiles, .b_tile = 300, .acc_tile = acc_tile};
                for (int i = 0; (near || even) && i < rows; i++)
                    o.row[i] = near ? i : 5 + 41 * i;
                fill(&s->a, random);
                fill(&s->b, random);
                fill(&s->acc, random);
                memcpy(s->old.data, s->acc.data, MOST * k->size);
                cvg_run_tiles(tile, (int64_t)k->size, rows, &terms, s->a.data, near ? NULL : o.row, s->b.data,
                              s->acc.data, o.place, first);
                int good = 1;
                for (int n = 0; n == 0 || n < tiles; n++)
                    for (int i = 0; i < rows; i++)
                        for (int l = 0; l < tile->lanes; l++) {
                            const int64_t at = n * acc_tile + o.place[i] + l;
                            double want = first ? 0 : array_get(&s->old, at);
                            for (int j = 0; j < count; j++)
                                want += array_get(&s->a, o.row[i] + o.a[j]) *
                                        array_get(&s->b, n * terms.b_tile + o.b[j] + l);
                            good &= array_get(&s->acc, at) == want;
                            array_set(&s->old, at, want);
                        }
                good &= !memcmp(s->acc.data, s->old.data, MOST * k->size); /* and nothing else */
                check(good, "%s %s: tile of %d x %d, %d terms, first %d, near %d, even %d, %d tiles", k->isa,
                      type_name(k->type), rows, tile->lanes, count, first, near, even, tiles);
            }
}

/*
 * On numbers that round: a sum cut anywhere and continued has the bits of the whole, and any
 * tile has the bits of a plain loop, fused where the instruction set fuses.
 */
static void check_bits(struct space *s, const struct cvg_tile *tile, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    const struct offsets o = offsets_of(tile->lanes, random);
    const struct cvg_terms whole = {.count = 40, .a = o.a, .b = o.b};
    for (int64_t i = 0; i < MOST; i++) {
        array_set(&s->a, i, random_uniform(random));
        array_set(&s->b, i, random_uniform(random));
    }
    memset(s->old.data, 0, MOST * k->size);
    memset(s->acc.data, 0, MOST * k->size);
    tile->run(tile->rows, &whole, s->a.data, o.row, s->b.data, s->old.data, o.place, 1);
    for (int cut = 0; cut <= 40; cut++) {
        const struct cvg_terms low = {.count = cut, .a = o.a, .b = o.b};
        const struct cvg_terms high = {.count = 40 - cut, .a = o.a + cut, .b = o.b + cut};
        tile->run(tile->rows, &low, s->a.data, o.row, s->b.data, s->acc.data, o.place, 1);
        tile->run(tile->rows, &high, s->a.data, o.row, s->b.data, s->acc.data, o.place, 0);
        check(!memcmp(s->acc.data, s->old.data, MOST * k->size), "%s %s: a sum cut at %d has other bits", k->isa,
              type_name(k->type), cut);
    }
    if (!strcmp(k->isa, "portable"))
        return; /* fused or not, as the compiler has it */
    int good = 1;
    for (int i = 0; i < tile->rows; i++)
        for (int l = 0; l < tile->lanes; l++) {
            double want = 0;
            for (int j = 0; j < 40; j++) {
                const double a = array_get(&s->a, o.row[i] + o.a[j]), b = array_get(&s->b, o.b[j] + l);
                want = k->type == CVG_F32 ? (double)fmaf((float)a, (float)b, (float)want) : fma(a, b, want);
            }
            good &= array_get(&s->old, o.place[i] + l) == want;
        }
    check(good, "%s %s: the tile of %d lanes is not a chain of fused multiply-adds", k->isa, type_name(k->type),
          tile->lanes);
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

            /* put with each base; steps on both sides */
            for (int base = 0; base < 3; base++)
                for (int src_step = 1; src_step <= 2; src_step++) {
                    memcpy(s->acc.data, s->old.data, MOST * k->size);
                    k->put(s->acc.data, step, s->a.data, src_step, count, finish_of(s->b.data, base));
                    good = 1;
                    for (int64_t i = 0; i < MOST; i++) {
                        double want = array_get(&s->old, i);
                        if (i % step == 0 && i / step < count)
                            want = 0.5 * array_get(&s->a, i / step * src_step) + (base == 1   ? array_get(&s->b, 0)
                                                                                  : base == 2 ? want
                                                                                              : 0);
                        good &= array_get(&s->acc, i) == want;
                    }
                    check(good, "%s %s: put of %d by %d, base %d", k->isa, type_name(k->type), count, step, base);
                }
        }
}

/* turn of one or two rows, unturn and put_lanes with each base; lines of lanes lie step apart. */
static void check_turn(struct space *s, int lanes, int step, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int width = 1; width <= lanes; width += width < 20 ? 1 : 11)
        for (int count = 0; count <= 35; count++) {
            int good = 1;
            fill(&s->a, random);
            fill(&s->b, random);
            fill(&s->acc, random);
            memcpy(s->old.data, s->acc.data, MOST * k->size);
            const int rows = count <= 17 ? 1 + (width + count) % 2 : 1;
            k->turn(s->acc.data, count * step, step, lanes, s->a.data, 3, 41, width, rows, count);
            for (int64_t at = 0; at < MOST; at++) {
                const int64_t i = at / step, l = at % step;
                const double want = i >= rows * count || l >= lanes ? array_get(&s->old, at)
                                    : l < width ? array_get(&s->a, i / count * 3 + l * 41 + i % count)
                                                : 0;
                good &= array_get(&s->acc, at) == want;
            }
            check(good, "%s %s: turn of %d x %d to %d lanes", k->isa, type_name(k->type), width, count, lanes);
            for (int base = 0; base < 3; base++) {
                memcpy(s->acc.data, s->old.data, MOST * k->size);
                k->put_lanes(s->acc.data, step, s->a.data, lanes, width, count, finish_of(s->b.data, base));
                good = 1;
                for (int64_t at = 0; at < MOST; at++) {
                    const int64_t i = at / step, l = at % step;
                    double want = array_get(&s->old, at);
                    if (l < width && i < count)
                        want = 0.5 * array_get(&s->a, i * lanes + l) + (base == 1   ? array_get(&s->b, l)
                                                                        : base == 2 ? want
                                                                                    : 0);
                    good &= array_get(&s->acc, at) == want;
                }
                check(good, "%s %s: put_lanes of %d x %d from %d lanes, base %d", k->isa, type_name(k->type), width,
                      count, lanes, base);
            }
            const int apart = width % 2 || width > 128 ? 41 : 48; /* rows; the latter may be whole lines */
            for (int base = 0; base < 3; base++) {
                memcpy(s->acc.data, s->old.data, MOST * k->size);
                k->unturn(s->acc.data, apart, s->a.data, step, width, count, finish_of(s->b.data, base));
                good = 1;
                for (int64_t at = 0; at < MOST; at++) {
                    const int64_t l = at / apart, i = at % apart;
                    double want = array_get(&s->old, at);
                    if (l < width && i < count)
                        want = 0.5 * array_get(&s->a, i * step + l) + (base == 1   ? array_get(&s->b, l)
                                                                       : base == 2 ? want
                                                                                   : 0);
                    good &= array_get(&s->acc, at) == want;
                }
                check(good, "%s %s: unturn of %d x %d from %d lanes, base %d", k->isa, type_name(k->type), width, count,
                      lanes, base);
            }
        }
}

/* copy, and put_rows with each base: rows apart, steps, and every count around the vectors. */
static void check_plane(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int count = 0; count <= 37; count++)
        for (int step = 1; step <= 3; step++)
            for (int rows = 0; rows <= 3; rows++) {
                int good = 1;
                fill(&s->a, random);
                fill(&s->b, random);
                fill(&s->acc, random);
                memcpy(s->old.data, s->acc.data, MOST * k->size);
                k->copy(s->acc.data, 41, s->a.data, 130, step, rows, count);
                for (int64_t at = 0; at < MOST; at++) {
                    const int64_t r = at / 41, i = at % 41;
                    good &= array_get(&s->acc, at) ==
                            (r < rows && i < count ? array_get(&s->a, r * 130 + i * step) : array_get(&s->old, at));
                }
                check(good, "%s %s: copy of %d x %d by %d", k->isa, type_name(k->type), rows, count, step);
                for (int base = 0; base < 3; base++) {
                    memcpy(s->acc.data, s->old.data, MOST * k->size);
                    k->put_rows(s->acc.data, 130, step, s->a.data, 41, rows, count, finish_of(s->b.data, base));
                    good = 1;
                    for (int64_t at = 0; at < MOST; at++) {
                        const int64_t r = at / 130, i = at % 130;
                        double want = array_get(&s->old, at);
                        if (r < rows && i % step == 0 && i / step < count)
                            want = 0.5 * array_get(&s->a, r * 41 + i / step) + (base == 1   ? array_get(&s->b, 0)
                                                                                : base == 2 ? want
                                                                                            : 0);
                        good &= array_get(&s->acc, at) == want;
                    }
                    check(good, "%s %s: put_rows of %d x %d by %d, base %d", k->isa, type_name(k->type), rows, count,
                          step, base);
                }
            }
}

/* dot on integers, for every block and tail, with NaN just past every line; then its bits, and fold. */
static void check_dot(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    enum { ROW = 11, LINE = 40 };
    int64_t a_at[CVG_DOT_ROWS], b_at[CVG_DOT_COLUMNS];
    for (int rows = 1; rows <= CVG_DOT_ROWS; rows++)
        for (int columns = 1; columns <= k->dot_columns[rows - 1]; columns++)
            for (int count = 1; count < LINE; count++) {
                const int lines = count % 3 + 1;
                fill(&s->a, random);
                fill(&s->b, random);
                fill(&s->acc, random);
                for (int i = 0; i < CVG_DOT_ROWS; i++)
                    a_at[i] = i * 200;
                for (int j = 0; j < CVG_DOT_COLUMNS; j++)
                    b_at[j] = count % 2 ? (j * 4 % CVG_DOT_COLUMNS) * 200 : j / 3 * LINE + j % 3 * 400;
                for (int r = 0; r < lines; r++) {
                    for (int i = 0; i < CVG_DOT_ROWS; i++)
                        array_set(&s->a, a_at[i] + r * LINE + count, NAN);
                    for (int j = 0; j < CVG_DOT_COLUMNS; j++)
                        array_set(&s->b, b_at[j] + r * LINE + count, NAN);
                }
                memcpy(s->old.data, s->acc.data, MOST * k->size);
                k->dot(rows, columns, s->a.data, a_at, LINE, s->b.data, b_at, LINE, lines, count, s->acc.data, ROW);
                for (int i = 0; i < rows; i++)
                    for (int j = 0; j < columns; j++)
                        for (int r = 0; r < lines; r++)
                            for (int t = 0; t < count; t++) {
                                const int64_t to = (i * ROW + j) * 16 + t % 16;
                                array_set(&s->old, to,
                                          array_get(&s->old, to) + array_get(&s->a, a_at[i] + r * LINE + t) *
                                                                       array_get(&s->b, b_at[j] + r * LINE + t));
                            }
                check(!memcmp(s->acc.data, s->old.data, MOST * k->size), "%s %s: dot of %d x %d, %d lines of %d",
                      k->isa, type_name(k->type), rows, columns, lines, count);
            }
    for (int rows = 1; rows < CVG_DOT_ROWS; rows++)
        check(k->dot_columns[rows] <= k->dot_columns[rows - 1] && k->dot_columns[0] > 0, "%s: dot_columns", k->isa);

    fill(&s->a, random);
    k->fold(s->acc.data, s->a.data, 20);
    for (int i = 0; i < 20; i++) {
        double want = 0;
        for (int l = 0; l < 16; l++)
            want += array_get(&s->a, i * 16 + l);
        check(array_get(&s->acc, i) == want, "%s %s: fold", k->isa, type_name(k->type));
    }
}

/* The points kernel against the whole matrix, for each that Winograd's algorithms use. */
static void check_points(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    const double u = k->type == CVG_F32 ? 0x1p-24 : 0x1p-53;
    enum { OUTER = 2, COUNT = 3, STEP = 37, ITEM = 300, NEXT = 1000 };
    for (int n = 4; n <= CVG_POINTS; n += 2)
        for (int r = 2; r < n; r++) {
            const struct cvg_winograd_size size = cvg_winograd_size_of(n, r);
            struct cvg_winograd_maps maps;
            cvg_winograd_maps_of(&size, k, &maps);
            const struct cvg_points *all[] = {&maps.spread_input, &maps.evaluate_output, &maps.evaluate_weight,
                                              &maps.collect_output, &maps.collect_weight};
            for (int which = 0; which < 5; which++) {
                struct cvg_points p = *all[which];
                const struct array matrix = {.type = k->type, .data = (void *)(uintptr_t)p.matrix};
                p.outer = OUTER, p.src_outer = p.dst_outer = NEXT;
                p.count = COUNT, p.src_item = p.dst_item = ITEM;
                p.src_step = p.dst_step = STEP;
                fill(&s->a, random);
                fill(&s->acc, random);
                memcpy(s->old.data, s->acc.data, MOST * k->size);
                k->points(&p, s->a.data, s->acc.data);
                int good = 1, written = 0;
                for (int64_t at = 0; at < MOST; at++) {
                    const int64_t o = at / NEXT, i = at % NEXT / ITEM, y = at % NEXT % ITEM / STEP,
                                  l = at % NEXT % ITEM % STEP;
                    if (o >= OUTER || i >= COUNT || y >= p.out || l >= k->vector) {
                        good &= array_get(&s->acc, at) == array_get(&s->old, at);
                        continue;
                    }
                    double want = 0, absolute = 0;
                    for (int x = 0; x < p.in; x++) {
                        const double term = array_get(&matrix, y * CVG_POINTS + x) *
                                            array_get(&s->a, o * NEXT + i * ITEM + x * STEP + l);
                        want += term;
                        absolute += fabs(term);
                    }
                    good &= fabs(array_get(&s->acc, at) - want) <= (p.in + 2) * u * absolute;
                    written++;
                }
                check(good && written == OUTER * COUNT * p.out * k->vector, "%s %s: points %d, filter %d, matrix %d",
                      k->isa, type_name(k->type), n, r, which);
            }
        }
}

/* The matrices themselves, in double: sliding a filter, and the gradient of one, as the definition has them. */
static void check_winograd(struct random *random)
{
    for (int n = 4; n <= CVG_POINTS; n += 2)
        for (int r = 2; r < n; r++) {
            const struct cvg_winograd_axis a = cvg_winograd_axis_of(n, r);
            double x[CVG_POINTS], w[CVG_POINTS], dy[CVG_POINTS], y[CVG_POINTS] = {0}, dw[CVG_POINTS] = {0}, most = 0;
            for (int i = 0; i < n; i++) {
                x[i] = random_uniform(random);
                w[i] = random_uniform(random);
                dy[i] = random_uniform(random);
            }
            for (int i = 0; i < n; i++) {
                double at_x = 0, at_w = 0, at_dy = 0;
                for (int j = 0; j < n; j++) {
                    at_x += a.spread_input[i][j] * x[j];
                    at_w += j < r ? a.evaluate_weight[i][j] * w[j] : 0;
                    at_dy += j < a.m ? a.evaluate_output[i][j] * dy[j] : 0;
                }
                for (int j = 0; j < a.m; j++)
                    y[j] += a.evaluate_output[i][j] * at_w * at_x;
                for (int j = 0; j < r; j++)
                    dw[j] += a.evaluate_weight[i][j] * at_dy * at_x;
            }
            for (int j = 0; j < a.m; j++)
                for (int i = 0; i < r; i++) {
                    y[j] -= w[i] * x[j + i];
                    dw[i] -= dy[j] * x[j + i];
                }
            for (int j = 0; j < n; j++)
                most = fmax(most, fmax(fabs(y[j]), fabs(dw[j])));
            check(a.m == n - r + 1 && most < 1e-11, "F(%d, %d) is off by %g", a.m, r, most);
        }
}

/* stencil on integers: every count of rows and columns around the vectors, each base; NaN beside what it may read. */
static void check_stencil(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    enum { SRC_ROW = 90, DST_ROW = 70, ROW_COUNTS = 19, COLUMNS = 53 };
    const int64_t a[] = {4, 0, 2}, b[] = {SRC_ROW + 1, 0, 2 * SRC_ROW + 3};
    for (int rows = 1; rows <= ROW_COUNTS; rows += rows < 9 ? 1 : 5)
        for (int count = 1; count <= COLUMNS; count++)
            for (int base = 0; base < 3; base++) {
                const struct cvg_terms terms = {.count = 3, .a = a, .b = b};
                int good = 1;
                fill(&s->a, random);
                fill(&s->b, random);
                fill(&s->acc, random);
                for (int r = 0; r < rows + 2; r++)
                    for (int i = count + 3; i < SRC_ROW; i++)
                        array_set(&s->b, r * SRC_ROW + i, NAN);
                memcpy(s->old.data, s->acc.data, MOST * k->size);
                k->stencil(rows, count, &terms, s->a.data, s->b.data, SRC_ROW, s->acc.data, DST_ROW,
                           finish_of((char *)s->a.data + 7 * k->size, base));
                for (int64_t at = 0; at < MOST; at++) {
                    const int64_t r = at / DST_ROW, i = at % DST_ROW;
                    double want = array_get(&s->old, at);
                    if (r < rows && i < count) {
                        double sum = 0;
                        for (int j = 0; j < 3; j++)
                            sum += array_get(&s->a, a[j]) * array_get(&s->b, r * SRC_ROW + b[j] + i);
                        want = 0.5 * sum + (base == 1 ? array_get(&s->a, 7) : base == 2 ? want : 0);
                    }
                    good &= array_get(&s->acc, at) == want;
                }
                check(good, "%s %s: stencil of %d x %d, base %d", k->isa, type_name(k->type), rows, count, base);
            }
}

/* A plane, and what filters it; NaN in and around its gaps. */
struct plane {
    struct cvg_frame frame;
    int64_t rows, count, channels;
};

enum { PLANE_FROM = 300, PLANE_CHANNEL = 1500, PLANE_WEIGHTS = 64, PLANE_ROW = 60, RESULT_CHANNEL = 2000 };

static int64_t random_below(struct random *random, int64_t end)
{
    return (int64_t)(random_bits(random) % (uint64_t)end);
}

static struct plane draw_plane(struct space *s, struct random *random, int64_t taps, int64_t step)
{
    struct plane p = {.rows = 1 + random_below(random, 9), .count = 1 + random_below(random, 40)};
    struct cvg_frame *const f = &p.frame;
    const int64_t along = step == 1 && random_below(random, 2) ? -1 : 1;
    p.channels = 1 + random_below(random, 3);
    for (int i = 0; i < 2; i++) {
        f->taps[i] = taps;
        f->step[i] = step;
        f->tap_step[i] = along;
        f->extent[i] = 1 + random_below(random, i == 0 ? 9 : 50);
        f->first[i] = (along < 0) * (taps - 1) - random_below(random, 4);
    }
    f->row = f->extent[1] + random_below(random, 3);
    f->weight_step[0] = taps + random_below(random, 2);
    f->weight_step[1] = 1;
    f->next = PLANE_CHANNEL;
    f->weight_next = PLANE_WEIGHTS;
    fill(&s->a, random);
    fill(&s->b, random);
    fill(&s->acc, random);
    return p;
}

/* Sets all but the planes to NaN. */
static void surround_planes(struct space *s, const struct plane *p)
{
    const struct cvg_frame *const f = &p->frame;
    for (int64_t i = 0; i < MOST; i++) {
        const int64_t at = (i - PLANE_FROM) % PLANE_CHANNEL;
        if (i < PLANE_FROM || at / f->row >= f->extent[0] || at % f->row >= f->extent[1])
            array_set(&s->b, i, NAN);
    }
    memcpy(s->old.data, s->acc.data, MOST * s->k->size);
}

/* What a destination and a tap meet, in a plane that is spread if apart is 2; 0 outside. */
static double met_at(const struct space *s, const struct plane *p, int64_t from, int64_t r, int64_t i, int64_t y,
                     int64_t x, int apart)
{
    const struct cvg_frame *const f = &p->frame;
    const int64_t row = f->first[0] + (apart == 2 ? r - y : r * f->step[0] + y * f->tap_step[0]);
    const int64_t column = f->first[1] + (apart == 2 ? i - x : i * f->step[1] + x * f->tap_step[1]);
    if (row < 0 || column < 0 || row % apart || column % apart || row / apart >= f->extent[0] ||
        column / apart >= f->extent[1])
        return 0;
    return array_get(&s->b, PLANE_FROM + from + row / apart * f->row + column / apart);
}

static void check_filtered(struct space *s, const struct plane *p, int apart, int base)
{
    const struct cvg_frame *const f = &p->frame;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t r = 0; r < p->rows; r++)
            for (int64_t i = 0; i < p->count; i++) {
                const int64_t to = c * RESULT_CHANNEL + r * PLANE_ROW + i;
                double sum = 0;
                for (int64_t y = 0; y < f->taps[0]; y++)
                    for (int64_t x = 0; x < f->taps[1]; x++)
                        sum += array_get(&s->a, c * f->weight_next + y * f->weight_step[0] + x) *
                               met_at(s, p, c * f->next, r, i, y, x, apart);
                array_set(&s->old, to,
                          0.5 * sum + (base == 1   ? array_get(&s->a, 7 + c)
                                       : base == 2 ? array_get(&s->old, to)
                                                   : 0));
            }
    check(!memcmp(s->acc.data, s->old.data, MOST * s->k->size),
          "%s %s: planes of %d x %d, %d apart, filter %d x %d, step %d %d, base %d", s->k->isa, type_name(s->k->type),
          (int)p->rows, (int)p->count, apart, (int)f->taps[0], (int)f->taps[1], (int)f->step[0], (int)f->step[1], base);
}

static void check_weighed(struct space *s, const struct plane *p)
{
    for (int64_t y = 0; y < 3; y++)
        for (int64_t x = 0; x < 3; x++)
            for (int64_t at = 0; at < p->channels * p->rows * p->count; at++) {
                const int64_t c = at / (p->rows * p->count), r = at / p->count % p->rows, i = at % p->count;
                const int64_t to = (3 * y + x) * 16 + i % 16;
                const double g = array_get(&s->a, c * RESULT_CHANNEL + r * PLANE_ROW + i);
                array_set(&s->old, to, array_get(&s->old, to) + g * met_at(s, p, c * p->frame.next, r, i, y, x, 1));
            }
    check(!memcmp(s->acc.data, s->old.data, MOST * s->k->size), "%s %s: weight of planes %d x %d, step %d", s->k->isa,
          type_name(s->k->type), (int)p->rows, (int)p->count, (int)p->frame.step[0]);
}

/* filter_frame, filter_spread and weigh_frame on integers. */
static void check_frames(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int n = 0; n < 3000 && k->filter_frame; n++) {
        const int64_t taps = n % 5 == 0 ? 5 : 3, step = n % 5 == 1 ? 2 : 1;
        const int base = n % 3;
        const struct cvg_finish *const finish = finish_of((char *)s->a.data + 7 * k->size, base);
        const char *const from = (char *)s->b.data + PLANE_FROM * k->size;
        struct plane p = draw_plane(s, random, taps, step);
        surround_planes(s, &p);
        k->filter_frame(&p.frame, p.rows, p.count, p.channels, s->a.data, from, s->acc.data, PLANE_ROW, RESULT_CHANNEL,
                        finish);
        check_filtered(s, &p, 1, base);

        p = draw_plane(s, random, 3, 2);
        for (int i = 0; i < 2; i++)
            p.frame.first[i] = random_below(random, 5);
        surround_planes(s, &p);
        k->filter_spread(&p.frame, p.rows, p.count, p.channels, s->a.data, from, s->acc.data, PLANE_ROW, RESULT_CHANNEL,
                         finish);
        check_filtered(s, &p, 2, base);

        p = draw_plane(s, random, 3, 1 + n % 2); /* at most a column at either side is outside */
        for (int i = 0; i < 2; i++)
            p.frame.tap_step[i] = 1;
        p.frame.first[0] = -random_below(random, 4);
        p.frame.first[1] = -random_below(random, 2);
        p.count = 1 + random_below(random, 40 / (1 + n % 2));
        p.frame.extent[1] = p.frame.first[1] + (p.count - 1) * p.frame.step[1] + 2 + random_below(random, 3);
        p.frame.extent[1] = p.frame.extent[1] > 0 ? p.frame.extent[1] : 1;
        p.frame.row = p.frame.extent[1] + random_below(random, 3);
        surround_planes(s, &p);
        k->weigh_frame(&p.frame, p.channels, p.rows, p.count, from, s->a.data, RESULT_CHANNEL, PLANE_ROW, s->acc.data);
        check_weighed(s, &p);
    }
}

/* A plane channels last; for each destination half of the taps, or one more, are inside; size: destinations. */
static struct cvg_frame draw_last(struct random *random, int64_t width, int64_t taps, int64_t most_step,
                                  int64_t size[2])
{
    struct cvg_frame f = {.column = width + random_below(random, 3), .tap_step = {1, 1}, .taps = {taps, taps}};
    const int64_t half = taps / 2;
    for (int i = 0; i < 2; i++) {
        f.extent[i] = half + 1 + random_below(random, 8);
        f.first[i] = -random_below(random, half + 1);
        f.step[i] = 1 + random_below(random, most_step);
        size[i] = 1 + random_below(random, (f.extent[i] - half - 1 - f.first[i]) / f.step[i] + 1);
    }
    f.row = f.extent[1] * f.column + random_below(random, 3);
    return f;
}

/* Where what a destination and a tap meet lies in the source, from PLANE_FROM on; -1 outside. */
static int64_t met_last(const struct cvg_frame *f, int64_t r, int64_t i, int64_t y, int64_t x)
{
    const int64_t row = f->first[0] + r * f->step[0] + y, column = f->first[1] + i * f->step[1] + x;
    const int inside = row >= 0 && row < f->extent[0] && column >= 0 && column < f->extent[1];
    return inside ? PLANE_FROM + row * f->row + column * f->column : -1;
}

/* Sets all of the source but a plane to NaN. */
static void surround_last(struct space *s, const struct cvg_frame *f, int64_t width)
{
    for (int64_t at = 0; at < MOST; at++) {
        const int64_t from = at - PLANE_FROM, row = from / f->row, column = from % f->row / f->column;
        if (from < 0 || row >= f->extent[0] || column >= f->extent[1] || from % f->row % f->column >= width)
            array_set(&s->b, at, NAN);
    }
    memcpy(s->old.data, s->acc.data, MOST * s->k->size);
}

/* weigh_nine on integers, or weigh_squares, of groups of 8. */
static void check_nine(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int n = 0; n < 2000 && k->weigh_nine; n++) {
        const int64_t group = k->weigh_squares && n % 2 ? 8 : 1;
        const int64_t width = group > 1 ? 8 * (2 + random_below(random, 4)) : 1 + random_below(random, 40);
        const int64_t step = width + random_below(random, 3);
        const int64_t tap = width + random_below(random, 3);
        int64_t size[2];
        const struct cvg_frame f = draw_last(random, width, 3, 2, size);
        const int64_t line = size[1] * step + random_below(random, 3);
        fill(&s->a, random);
        fill(&s->b, random);
        fill(&s->acc, random);
        for (int64_t at = 0; at < MOST; at++)
            if (at / line >= size[0] || at % line / step >= size[1] || at % line % step >= width)
                array_set(&s->a, at, NAN);
        surround_last(s, &f, width);
        const char *const source = (char *)s->b.data + PLANE_FROM * k->size;
        if (group > 1)
            k->weigh_squares(&f, size[0], size[1], width, group, source, s->a.data, line, step, s->acc.data, tap);
        else
            k->weigh_nine(&f, size[0], size[1], width, source, s->a.data, line, step, s->acc.data, tap);
        for (int64_t at = 0; at < 9 * size[0] * size[1]; at++) {
            const int64_t t = at % 9, i = at / 9 % size[1], r = at / 9 / size[1];
            const int64_t from = met_last(&f, r, i, t / 3, t % 3);
            for (int64_t j = 0; j < group * width && from >= 0; j++) {
                const int64_t l = j % width, other = j / width, to = (9 * other + t) * tap + l;
                array_set(&s->old, to,
                          array_get(&s->old, to) + array_get(&s->a, r * line + i * step + l / group * group + other) *
                                                       array_get(&s->b, from + l));
            }
        }
        check(!memcmp(s->acc.data, s->old.data, MOST * k->size),
              "%s %s: nine weights of %d channels, %d a group, %d x %d", k->isa, type_name(k->type), (int)width,
              (int)group, (int)size[0], (int)size[1]);
    }
}

/* filter_squares on integers, or filter_depth. */
static void check_squares(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int n = 0; n < 4000 && k->filter_squares; n++) {
        const int deep = n % 2, leaves = k->weigh_squares != NULL; /* 3x3 without steps to filter_squares */
        const int64_t width = 8 * (1 + random_below(random, 5)), group = deep ? 1 : 2 << random_below(random, 3);
        const int64_t step = width + random_below(random, 3), tap = width + random_below(random, 3);
        const int64_t wide = deep ? 3 + 2 * random_below(random, 3) : 3, taps = wide * wide;
        const int base = n % 3;
        int64_t size[2];
        struct cvg_frame f = draw_last(random, width, wide, deep && wide < 7 ? 2 : 1, size);
        const int64_t line = size[1] * step + random_below(random, 3);
        if (deep && leaves && wide == 3 && f.step[1] == 1)
            continue;
        f.weight_step[0] = wide * tap;
        f.weight_step[1] = tap;
        f.weight_next = taps * tap;
        fill(&s->a, random);
        fill(&s->b, random);
        fill(&s->acc, random);
        surround_last(s, &f, width);
        const char *const source = (char *)s->b.data + PLANE_FROM * k->size;
        const struct cvg_finish *const finish = finish_of((char *)s->a.data + 7 * k->size, base);
        if (deep)
            k->filter_depth(&f, size[0], size[1], width, s->a.data, source, s->acc.data, line, step, finish);
        else
            k->filter_squares(&f, size[0], size[1], width, group, s->a.data, source, s->acc.data, line, step, finish);
        for (int64_t at = 0; at < size[0] * size[1] * width; at++) {
            const int64_t l = at % width, i = at / width % size[1], r = at / width / size[1];
            const int64_t to = r * line + i * step + l;
            double sum = 0;
            for (int64_t t = 0; t < taps * group; t++) {
                const int64_t from = met_last(&f, r, i, t % taps / wide, t % wide);
                if (from >= 0)
                    sum += array_get(&s->a, t * tap + l) * array_get(&s->b, from + l / group * group + t / taps);
            }
            array_set(&s->old, to,
                      0.5 * sum + (base == 1   ? array_get(&s->a, 7 + l)
                                   : base == 2 ? array_get(&s->old, to)
                                               : 0));
        }
        check(!memcmp(s->acc.data, s->old.data, MOST * k->size),
              "%s %s: squares of %d x %d taps of %d channels, %d a group, %d x %d", k->isa, type_name(k->type),
              (int)wide, (int)wide, (int)width, (int)group, (int)size[0], (int)size[1]);
    }
}

static void check_zip(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int step = 1; step <= 3; step++)
        for (int count = 0; count <= 41; count++)
            for (int rows = 0; rows <= 3; rows++)
                for (int base = 0; base < 3; base++) {
                    int good = 1;
                    fill(&s->a, random);
                    fill(&s->b, random);
                    fill(&s->acc, random);
                    memcpy(s->old.data, s->acc.data, MOST * k->size);
                    k->zip(s->acc.data, 50, s->a.data, 200, 45, step, rows, count, finish_of(s->b.data, base));
                    for (int64_t at = 0; at < MOST; at++) {
                        const int64_t r = at / 50, i = at % 50;
                        double want = array_get(&s->old, at);
                        if (r < rows && i < count)
                            want =
                                array_get(&s->a, i % step * 200 + r * 45 + i / step) + (base == 1 ? array_get(&s->b, 0)
                                                                                        : base == 2 ? want
                                                                                                    : 0);
                        good &= array_get(&s->acc, at) == want;
                    }
                    check(good, "%s %s: zip of %d x %d by %d, base %d", k->isa, type_name(k->type), rows, count, step,
                          base);
                }
}

static void check_sum(struct space *s, struct random *random)
{
    const struct cvg_kernels *k = s->k;
    for (int images = 0; images <= 2; images++)
        for (int rows = 1; rows <= 3; rows++)
            for (int width = 1; width <= 20; width += 6)
                for (int count = 0; count <= 39; count++) {
                    const int64_t counts[] = {1, rows, count}, step[] = {0, 41 * width, width};
                    int good = 1;
                    fill(&s->a, random);
                    k->sum(s->acc.data, width, s->a.data, images, rows * step[1], counts, step);
                    for (int l = 0; l < width; l++) {
                        double want = 0;
                        for (int r = 0; r < images * rows; r++)
                            for (int i = 0; i < count; i++)
                                want += array_get(&s->a, r * step[1] + i * step[2] + l);
                        good &= array_get(&s->acc, l) == want;
                    }
                    check(good, "%s %s: sum of %d x %d x %d, %d lanes", k->isa, type_name(k->type), images, rows, count,
                          width);
                }
}

/* A float by its bits. */
static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Every half, and floats around every boundary between halves: as the program's own arrays have them. */
static void check_halves(const struct cvg_kernels *k, cvg_type type)
{
    enum { ALL = 1 << 16, STEP = 3 };
    struct array halves, floats, want;
    const int64_t shape[1] = {ALL * STEP};
    cvg_error error;
    long wrong = 0;
    if (!array_new(&halves, type, 1, shape, &error) || !array_new(&want, type, 1, shape, &error) ||
        !array_new(&floats, CVG_F32, 1, shape, &error))
        exit(1);
    float *const values = floats.data;
    uint16_t *const bits = halves.data;
    for (int64_t step = 1; step <= STEP; step += STEP - 1) {
        for (int i = 0; i < ALL; i++)
            bits[i * step] = (uint16_t)i;
        k->half[type - CVG_BF16].widen(values, bits, step, ALL);
        for (int i = 0; i < ALL; i++) {
            const double value = array_get(&halves, i * step);
            wrong += isnan(value) ? !isnan(values[i]) : values[i] != value || !signbit(values[i]) != !signbit(value);
        }
        check(wrong == 0, "%s: %ld halves of %s, %d apart, widened to others", k->isa, wrong, type_name(type),
              (int)step);
    }
    for (int64_t step = 1; step <= STEP; step += STEP - 1)
        /* All that differ in the higher bits; of the lower ones those about every half of a unit of either kind. */
        for (uint32_t low = 0; low < 1u << 16; low += step == 1 ? 0x800 : 0x8000) {
            for (int i = 0; i < ALL; i++)
                values[i] = float_of((uint32_t)i << 16 | ((low + (uint32_t)i % 3 - 1) & 0xffff));
            k->half[type - CVG_BF16].narrow(bits, step, values, ALL);
            for (int i = 0; i < ALL; i++) {
                array_set(&want, 0, values[i] + 0.0f); /* no -0 */
                const uint16_t half = *(uint16_t *)want.data;
                wrong += isnan(values[i]) ? !isnan(array_get(&halves, i * step)) : bits[i * step] != half;
            }
            check(wrong == 0, "%s: %ld floats made other halves of %s than the nearest", k->isa, wrong,
                  type_name(type));
        }
    array_free(&halves);
    array_free(&floats);
    array_free(&want);
}

/* The microkernel alone, on operands in the first-level cache. */
static void bench_tile(struct space *s, const struct cvg_tile *tile)
{
    const struct cvg_kernels *k = s->k;
    const int64_t near = 2048 / tile->lanes, count = 4 * near;
    int64_t row[CVG_TILE_ROWS], place[CVG_TILE_ROWS], a[8192], b[8192];
    const struct cvg_terms terms = {.count = count, .a = a, .b = b};
    double best = INFINITY;
    for (int64_t j = 0; j < count; j++) {
        a[j] = j % near;
        b[j] = j % near * tile->lanes;
    }
    for (int i = 0; i < tile->rows; i++) {
        row[i] = i;
        place[i] = i * tile->lanes;
    }
    for (int repeat = 0; repeat < 200; repeat++) {
        const double begin = seconds();
        for (int i = 0; i < 100; i++)
            tile->run(tile->rows, &terms, s->a.data, row, s->b.data, s->acc.data, place, 1);
        best = fmin(best, (seconds() - begin) / 100);
    }
    const double rate = 2.0 * tile->rows * tile->lanes * (double)count / best;
    printf("%-9s %s  tile %2d x %3d  %8.2f GFLOP/s  %5.1f %% of peak%s\n", k->isa, type_name(k->type), tile->rows,
           tile->lanes, rate * 1e-9, 100 * rate / peak_flops(k->type, 1), tile == &k->tile[k->main] ? "  main" : "");
}

static void check_set(const struct cvg_kernels *kernels, int bench)
{
    struct random random = {7};
    const cvg_type type = kernels->type;
    struct space s = {kernels, array_of(type), array_of(type), array_of(type), array_of(type)};
    for (int i = 0; i < kernels->tiles; i++)
        if (bench) {
            bench_tile(&s, &kernels->tile[i]);
        } else {
            check(i == 0 || kernels->tile[i].lanes < kernels->tile[i - 1].lanes, "%s: tiles out of order",
                  kernels->isa);
            check(kernels->tile[i].lanes % kernels->tile[kernels->tiles - 1].lanes == 0, "%s: odd lanes", kernels->isa);
            check_tile(&s, &kernels->tile[i], &random);
            check_bits(&s, &kernels->tile[i], &random);
            check_turn(&s, kernels->tile[i].lanes, kernels->tile[i].lanes + (i == kernels->main ? 5 : 0), &random);
        }
    if (!bench) {
        check_rows(&s, &random);
        check_plane(&s, &random);
        check_dot(&s, &random);
        check_stencil(&s, &random);
        check_frames(&s, &random);
        check_nine(&s, &random);
        check_squares(&s, &random);
        check_points(&s, &random);
        check_zip(&s, &random);
        check_sum(&s, &random);
    }
    array_free(&s.a);
    array_free(&s.b);
    array_free(&s.acc);
    array_free(&s.old);
}

int main(int argc, char **argv)
{
    const int bench = argc > 1 && !strcmp(argv[1], "--bench");
    struct random random = {17};
    check_winograd(&random);
    for (int i = 0; cvg_cpu_name(i); i++)
        for (int type = CVG_F32; type <= CVG_F64; type++) {
            const struct cvg_kernels *kernels = cvg_cpu_set(i, (cvg_type)type);
            if (kernels)
                check_set(kernels, bench);
            for (int half = CVG_BF16; kernels && kernels->half[0].widen && !bench && half <= CVG_F16; half++)
                check_halves(kernels, (cvg_type)half);
            const int none = !kernels && strcmp(cvg_cpu_name(i), "avx512bf16"); /* that has no tiles of floats */
            if (none)
                printf("SKIPPED %s %s: this processor lacks it\n", cvg_cpu_name(i), type_name((cvg_type)type));
        }
    return bench ? 0 : check_summary();
}
