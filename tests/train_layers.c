/*
 * Layers of networks, in both layouts.  Each one alone against its definition, written down once more in double: exact
 * on small integers.  Whole networks by central differences in double.  Identities of batch norm and softmax, a
 * sample's bits beside others, and mistakes in model text.
 */
#include "../train/network.h"
#include "../train/random.h"
#include "check.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint32_t seed = 1;

static int whole(int least, int most)
{
    seed = seed * 1664525u + 1013904223u;
    return least + (int)((seed >> 8) % (uint32_t)(most - least + 1));
}

static double uniform(void) { return whole(-1000000, 1000000) / 1000000.0; }

static cvg_layout layout; /* of every network that is made here */

static cvg_network *network_of(const char *text, cvg_type type, int64_t shard)
{
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    cvg_network *n;
    cvg_error error;
    options.type = type;
    options.shard = shard;
    options.layout = layout;
    if (!check(cvg_network_create(&n, text, strlen(text), &options, &error) == CVG_OK, "%s\n%s", error.text, text))
        exit(check_summary());
    return n;
}

static void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        exit(2);
    return memory;
}

/* ---- one layer and its definition ---- */

/* A layer with windows: any rank as three axes, the first ones 1. */
struct one {
    const char *input, *line;
    int64_t C, K, in[3], window[3], stride[3], padding[3], dilation[3], groups, out[3];
};

/* clang-format off */
#define ONES {1, 1, 1}
#define NONE {0, 0, 0}
static const struct one table[] = {
    {"3x9", "conv 4 3 padding=1 stride=2", 3, 4, {1, 1, 9}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, ONES, 1, {1, 1, 5}},
    {"4x7x6", "conv 6 3x2 dilation=2x1 groups=2 bias=0", 4, 6, {1, 7, 6}, {1, 3, 2}, ONES, NONE, {1, 2, 1}, 2, {1, 3, 5}},
    {"2x4x5x6", "conv 3 2x3x3 padding=0x1x1", 2, 3, {4, 5, 6}, {2, 3, 3}, ONES, {0, 1, 1}, ONES, 1, {3, 5, 6}},
    {"3x5", "conv_transpose 2 4 stride=3 padding=1 output_padding=2", 3, 2, {1, 1, 5}, {1, 1, 4}, {1, 1, 3}, {0, 0, 1}, ONES, 1, {1, 1, 16}},
    {"4x3x5", "conv_transpose 6 2x3 stride=2x1 groups=2 bias=0", 4, 6, {1, 3, 5}, {1, 2, 3}, {1, 2, 1}, NONE, ONES, 2, {1, 6, 7}},
    {"2x2x3x2", "conv_transpose 3 2 dilation=2", 2, 3, {2, 3, 2}, {2, 2, 2}, ONES, NONE, {2, 2, 2}, 1, {4, 5, 4}},
    {"13", "linear 7", 13, 7, ONES, ONES, ONES, NONE, ONES, 1, ONES},
    {"40", "linear 33 bias=0", 40, 33, ONES, ONES, ONES, NONE, ONES, 1, ONES},
    {"3x11", "maxpool 3 stride=2 padding=1", 3, 3, {1, 1, 11}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, ONES, 1, {1, 1, 6}},
    {"2x8x6", "maxpool 2", 2, 2, {1, 8, 6}, {1, 2, 2}, {1, 2, 2}, NONE, ONES, 1, {1, 4, 3}},
    {"2x9x7", "maxpool 2", 2, 2, {1, 9, 7}, {1, 2, 2}, {1, 2, 2}, NONE, ONES, 1, {1, 4, 3}},
    {"2x7x19", "maxpool 2 stride=2", 2, 2, {1, 7, 19}, {1, 2, 2}, {1, 2, 2}, NONE, ONES, 1, {1, 3, 9}},
    {"2x7x8", "maxpool 3x4 stride=1x2 padding=1x2", 2, 2, {1, 7, 8}, {1, 3, 4}, {1, 1, 2}, {0, 1, 2}, ONES, 1, {1, 7, 5}},
    {"1x4x5x6", "maxpool 2x3x2 stride=1 padding=1", 1, 1, {4, 5, 6}, {2, 3, 2}, ONES, ONES, ONES, 1, {5, 5, 7}},
    {"3x11", "avgpool 3 stride=2 padding=1", 3, 3, {1, 1, 11}, {1, 1, 3}, {1, 1, 2}, {0, 0, 1}, ONES, 1, {1, 1, 6}},
    {"2x8x6", "avgpool 2", 2, 2, {1, 8, 6}, {1, 2, 2}, {1, 2, 2}, NONE, ONES, 1, {1, 4, 3}},
    {"2x7x8", "avgpool 3x4 stride=1x2 padding=1x2", 2, 2, {1, 7, 8}, {1, 3, 4}, {1, 1, 2}, {0, 1, 2}, ONES, 1, {1, 7, 5}},
    {"1x4x5x6", "avgpool 2 stride=1", 1, 1, {4, 5, 6}, {2, 2, 2}, ONES, NONE, ONES, 1, {3, 4, 5}},
    {"3x5x4", "global_avgpool", 3, 3, {1, 5, 4}, {1, 5, 4}, ONES, NONE, ONES, 1, ONES},
};
/* clang-format on */

/* What the definition computes, all in double. */
struct sums {
    double *y, *dx, *dw, *db;
};

static int64_t product(const int64_t v[3]) { return v[0] * v[1] * v[2]; }

/* Calls visit for each pair of an element of the small side (window) and one of the large side that it meets. */
typedef void visit_fn(const struct one *o, void *context, int64_t small, int64_t large, int64_t tap);

static void meet(const struct one *o, const int64_t small[3], const int64_t large[3], visit_fn *visit, void *context)
{
    for (int64_t i = 0; i < product(small); i++)
        for (int64_t tap = 0; tap < product(o->window); tap++) {
            const int64_t place[3] = {i / (small[1] * small[2]), i / small[2] % small[1], i % small[2]};
            const int64_t step[3] = {tap / (o->window[1] * o->window[2]), tap / o->window[2] % o->window[1],
                                     tap % o->window[2]};
            int64_t at = 0, inside = 1;
            for (int a = 0; a < 3; a++) {
                const int64_t where = place[a] * o->stride[a] - o->padding[a] + step[a] * o->dilation[a];
                inside = inside && where >= 0 && where < large[a];
                at = at * large[a] + where;
            }
            if (inside)
                visit(o, context, i, at, tap);
        }
}

struct pair {
    const double *x, *w, *dy;
    struct sums *s;
    int64_t n, transposed;
};

/* Products of one position: all channels. */
static void multiply(const struct one *o, void *context, int64_t small, int64_t large, int64_t tap)
{
    const struct pair *p = context;
    const int64_t Cg = o->C / o->groups, Kg = o->K / o->groups, taps = product(o->window);
    const int64_t in = p->transposed ? small : large, out = p->transposed ? large : small;
    for (int64_t k = 0; k < o->K; k++)
        for (int64_t c = k / Kg * Cg; c < k / Kg * Cg + Cg; c++) {
            const int64_t x = (p->n * o->C + c) * product(o->in) + in, y = (p->n * o->K + k) * product(o->out) + out;
            const int64_t w = p->transposed ? (c * Kg + k % Kg) * taps + tap : (k * Cg + c % Cg) * taps + tap;
            p->s->y[y] += p->x[x] * p->w[w];
            p->s->dx[x] += p->dy[y] * p->w[w];
            p->s->dw[w] += p->dy[y] * p->x[x];
        }
}

static void define_products(const struct one *o, int64_t count, int transposed, const double *x, const double *w,
                            const double *b, const double *dy, struct sums *s)
{
    for (int64_t n = 0; n < count; n++) {
        struct pair p = {x, w, dy, s, n, transposed};
        meet(o, transposed ? o->in : o->out, transposed ? o->out : o->in, multiply, &p);
        for (int64_t k = 0; k < o->K; k++)
            for (int64_t i = 0; i < product(o->out); i++) {
                const int64_t y = (n * o->K + k) * product(o->out) + i;
                s->y[y] += b ? b[k] : 0;
                s->db[k] += dy[y];
            }
    }
}

/* Pools: the window's elements, in order. */
struct pooled {
    const double *x;
    double sum, most;
    int64_t found, where[512], count;
};

static void collect(const struct one *o, void *context, int64_t small, int64_t large, int64_t tap)
{
    struct pooled *p = context;
    (void)o;
    (void)tap;
    if (small != p->found)
        return;
    p->where[p->count++] = large;
}

static void define_pool(const struct one *o, int64_t count, int max, const double *x, const double *dy, struct sums *s)
{
    for (int64_t plane = 0; plane < count * o->C; plane++, x += product(o->in), s->dx += product(o->in))
        for (int64_t i = 0; i < product(o->out); i++, dy++, s->y++) {
            struct pooled p = {.found = i};
            meet(o, o->out, o->in, collect, &p);
            int64_t first = p.where[0];
            for (int64_t j = 0; j < p.count; j++) {
                p.sum += x[p.where[j]];
                first = x[p.where[j]] > x[first] ? p.where[j] : first;
            }
            *s->y = max ? x[first] : p.sum / (double)product(o->window);
            for (int64_t j = 0; !max && j < p.count; j++)
                s->dx[p.where[j]] += *dy / (double)product(o->window);
            if (max)
                s->dx[first] += *dy;
        }
}

static void put(cvg_type type, void *to, int64_t at, double value)
{
    if (type == CVG_F32)
        ((float *)to)[at] = (float)value;
    else
        ((double *)to)[at] = value;
}

static double get(cvg_type type, const void *from, int64_t at)
{
    return type == CVG_F32 ? (double)((const float *)from)[at] : ((const double *)from)[at];
}

/* As many equal elements; slack: units of the last place that sums of rounded shares may differ by. */
static void compare(const char *line, const char *what, cvg_type type, int64_t count, const void *got,
                    const double *want, double slack)
{
    for (int64_t i = 0; i < count; i++) {
        const double value = get(type, got, i), near = type == CVG_F32 ? (double)(float)want[i] : want[i];
        const double unit = fabs(near) * (type == CVG_F32 ? 0x1p-23 : 0x1p-52);
        if (!check(fabs(value - near) <= slack * unit, "%s, %s[%lld] is %.9g; must be %.9g", line, what, (long long)i,
                   value, near))
            return;
    }
}

enum { KEEP = 1 << 20 };

/* A copy of count arrays that have channels first, as the network has them; and back, over the copy's original. */
static void *as_inside(const cvg_network *n, const struct cvt_shape *s, int64_t count, const void *from)
{
    const size_t size = (size_t)(count * s->elements) * n->size;
    void *to = zeros(size, 1);
    if (cvt_turned(n, s))
        cvt_turn(n, s, count, 1, from, to);
    else
        memcpy(to, from, size);
    return to;
}

static void back_outside(const cvg_network *n, const struct cvt_shape *s, int64_t count, void *from, void *to)
{
    if (cvt_turned(n, s))
        cvt_turn(n, s, count, 0, from, to);
    else
        memcpy(to, from, (size_t)(count * s->elements) * n->size);
    free(from);
}

/* Runs one layer of a network, forward and backward, on given operands, which have channels first. */
static void run_layer(cvg_network *n, int64_t count, const void *x, const void *dy, const void *parameters, void *y,
                      void *dx, void *gradient)
{
    const struct cvt_layer *l = &n->layer[0];
    const cvg_shard shard = {.count = count, .batch = count};
    const struct cvt_run run = {.network = n,
                                .parameters = parameters,
                                .gradient = gradient,
                                .use = CVG_TRAIN,
                                .count = count,
                                .shard = &shard};
    void *keep = zeros(KEEP, 1), *scratch = zeros(KEEP, 8);
    void *in[2] = {as_inside(n, &l->in, count, x), as_inside(n, &l->in, count, dx)};
    void *out[2] = {as_inside(n, &l->out, count, y), as_inside(n, &l->out, count, dy)};
    check(l->keep_size <= KEEP, "keep");
    struct cvt_call call = {
        .run = &run, .layer = l, .x = in[0], .y = out[0], .dy = out[1], .dx = in[1], .keep = keep, .scratch = scratch};
    l->kind->forward[n->type](&call);
    l->kind->backward[n->type](&call);
    back_outside(n, &l->in, count, in[1], dx);
    back_outside(n, &l->out, count, out[0], y);
    free(in[0]);
    free(out[1]);
    free(keep);
    free(scratch);
}

static void test_one(const struct one *o, cvg_type type)
{
    enum { COUNT = 5 };
    char text[400];
    snprintf(text, sizeof text, "input %s\n%s\nmse\n", o->input, o->line);
    cvg_network *n = network_of(text, type, COUNT);
    /* dx is asked for though nothing before it is trained: the plans' room for it */
    const int products = n->parameters > 0;
    const int64_t in = COUNT * o->C * product(o->in), out = COUNT * o->K * product(o->out), P = n->elements;
    double *x = zeros((size_t)in, 8), *dy = zeros((size_t)out, 8), *w = zeros((size_t)P + 1, 8);
    struct sums s = {zeros((size_t)out, 8), zeros((size_t)in, 8), zeros((size_t)P + 1, 8), zeros((size_t)o->K, 8)};
    void *tx = zeros((size_t)in, 8), *tdy = zeros((size_t)out, 8), *tw = zeros((size_t)P, 8);
    void *ty = zeros((size_t)out, 8), *tdx = zeros((size_t)in, 8), *tg = zeros((size_t)P, 8);
    for (int64_t i = 0; i < in; i++)
        put(type, tx, i, x[i] = whole(-2, 2)); /* many ties */
    for (int64_t i = 0; i < out; i++)
        put(type, tdy, i, dy[i] = whole(-3, 3));
    for (int64_t i = 0; i < P; i++)
        put(type, tw, i, w[i] = whole(-2, 2));
    memset(ty, 0xff, (size_t)out * 8); /* NaN: each element must be written */
    memset(tdx, 0xff, (size_t)in * 8);
    memset(tg, 0xff, (size_t)P * 8);
    check(n->layer[0].out.elements * COUNT == out, "%s: %lld elements", o->line, (long long)n->layer[0].out.elements);
    run_layer(n, COUNT, tx, tdy, tw, ty, tdx, tg);
    const int64_t weights = products ? n->parameter[0].count : 0;
    const struct sums all = s;
    if (products)
        define_products(o, COUNT, n->layer[0].kind == &cvt_conv_transpose, x, w,
                        n->layer[0].has_bias ? w + weights : NULL, dy, &s);
    else
        define_pool(o, COUNT, n->layer[0].kind == &cvt_maxpool, x, dy, &s);
    /* an average's shares are rounded, and up to 12 of them added */
    const double slack = n->layer[0].kind == &cvt_avgpool ? 24 : n->layer[0].kind == &cvt_global_avgpool ? 1 : 0;
    compare(o->line, "y", type, out, ty, all.y, 0);
    for (int64_t i = 0; slack > 0 && i < in; i++) /* where shares cancel, compare with their size */
        if (fabs(get(type, tdx, i) - all.dx[i]) <= slack * 3 * (type == CVG_F32 ? 0x1p-24 : 0x1p-53))
            put(type, tdx, i, all.dx[i]);
    compare(o->line, "dx", type, in, tdx, all.dx, 0);
    if (products) {
        compare(o->line, "dw", type, weights, tg, all.dw, 0);
        if (n->layer[0].has_bias)
            compare(o->line, "db", type, o->K, (char *)tg + (size_t)weights * n->size, all.db, 0);
    }
    void *const memory[] = {x, dy, w, all.y, all.dx, all.dw, all.db, tx, tdy, tw, ty, tdx, tg};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    cvg_network_destroy(n);
}

static void test_activations(cvg_type type)
{
    static const char *const lines[] = {"relu", "leaky_relu 0.25", "relu6"};
    for (int kind = 0; kind < 3; kind++) {
        char text[100];
        snprintf(text, sizeof text, "input 21\n%s\nmse\n", lines[kind]);
        cvg_network *n = network_of(text, type, 1);
        double x[21], dy[21], y[21], dx[21], want_y[21], want_dx[21];
        for (int i = 0; i < 21; i++) {
            const double v = i - 10, low = v > 0 ? v : kind == 1 ? v / 4 : 0;
            put(type, x, i, v);
            put(type, dy, i, i + 1);
            want_y[i] = kind == 2 && low > 6 ? 6 : low;
            want_dx[i] = v > 0 && !(kind == 2 && v >= 6) ? i + 1 : kind == 1 ? (i + 1) / 4.0 : 0;
        }
        run_layer(n, 1, x, dy, NULL, y, dx, NULL);
        compare(lines[kind], "y", type, 21, y, want_y, 0);
        compare(lines[kind], "dx", type, 21, dx, want_dx, 0);
        put(type, x, 3, NAN);
        run_layer(n, 1, x, dy, NULL, y, dx, NULL);
        check(isnan(get(type, y, 3)), "%s of NaN is %g", lines[kind], get(type, y, 3));
        cvg_network_destroy(n);
    }
}

/* Which elements pass depends on seed, layer, epoch and the sample's index, not on its place in the shard. */
static void test_dropout(cvg_type type)
{
    enum { COUNT = 4, E = 3001, ALL = COUNT * E };
    cvg_network *n = network_of("input 3001\ndropout 0.25\nmse\n", type, COUNT);
    const int64_t index[COUNT] = {7, 9, 7, 1000000000000}, turned[COUNT] = {1000000000000, 7, 9, 9};
    double *x = zeros(ALL, 8), *y = zeros(ALL, 8), *dx = zeros(ALL, 8), *z = zeros(ALL, 8);
    unsigned char *keep = zeros(ALL, 1);
    for (int i = 0; i < ALL; i++)
        put(type, x, i, 1);
    const double factor = type == CVG_F32 ? (double)(float)(1 / 0.75) : 1 / 0.75;
    cvg_shard shard = {.count = COUNT, .batch = COUNT, .index = index, .epoch = 2, .seed = 5};
    const struct cvt_run run = {.network = n, .use = CVG_TRAIN, .count = COUNT, .shard = &shard};
    struct cvt_call call = {.run = &run, .layer = &n->layer[0], .x = x, .y = y, .dy = x, .dx = dx, .keep = keep};
    cvt_dropout.forward[type](&call);
    cvt_dropout.backward[type](&call);
    const struct cvg_random_key key = cvg_random_key(5, CVG_RANDOM_DROPOUT, 0);
    uint32_t number[4];
    int passed = 0, same = 0;
    for (int i = 0; i < ALL; i++) {
        const double value = get(type, y, i);
        if (i % E % 4 == 0)
            cvg_random(key, 2, (uint64_t)index[i / E], (uint32_t)(i % E / 4), number);
        check((value != 0) == (cvg_random_uniform(number[i % E % 4]) >= 0.25), "element %d of sample %d", i % E, i / E);
        passed += value != 0;
        check(value == 0 || value == factor, "dropout of 1 is %.17g", value);
        check(get(type, dx, i) == value, "the gradient does not pass where the value does");
    }
    /* 12,004 elements, of which some are the same twice: the standard deviation of the share is 0.0046 at most */
    check(fabs(passed / (double)ALL - 0.75) < 5 * 0.0046, "%d of %d pass", passed, ALL);
    check(memcmp(y, (char *)y + 2 * E * n->size, E * n->size) == 0, "one sample, two masks");
    call.y = z;
    shard.index = turned;
    cvt_dropout.forward[type](&call);
    check(memcmp((char *)z + E * n->size, y, E * n->size) == 0 &&
              memcmp(z, (char *)y + 3 * E * n->size, E * n->size) == 0,
          "the mask depends on the place in the shard");
    for (int other = 0; other < 3; other++) { /* another sample, epoch, seed */
        shard = (cvg_shard){
            .count = COUNT, .batch = COUNT, .index = index, .epoch = 2 + (other == 1), .seed = 5 + (other == 2)};
        cvt_dropout.forward[type](&call);
        same = 0;
        for (int i = 0; i < E; i++)
            same += get(type, y, i) == get(type, z, i + (other == 0 ? E : 0));
        check(same < 0.7 * E, "%d of %d elements are as before", same, E);
    }
    void *const memory[] = {x, y, z, dx, keep};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    cvg_network_destroy(n);
}

static void test_nan_in_pool(void)
{
    cvg_network *n = network_of("input 1x2x4\nmaxpool 2\nmse\n", CVG_F32, 1);
    const float x[8] = {1, NAN, 3, 4, 5, 6, 7, 8}, dy[2] = {1, 1};
    float y[2], dx[8];
    run_layer(n, 1, x, dy, NULL, y, dx, NULL);
    check(isnan(y[0]) && y[1] == 8, "maxpool of NaN: %g %g", (double)y[0], (double)y[1]);
    check(dx[1] == 1 && dx[7] == 1 && dx[5] == 0, "the gradient goes to NaN");
    cvg_network_destroy(n);
}

/* ---- identities ---- */

static void test_batchnorm(cvg_type type)
{
    enum { COUNT = 6, C = 3, PIXELS = 35, ALL = COUNT * C * PIXELS };
    cvg_network *n = network_of("input 3x5x7\nbatchnorm momentum=0.3 eps=0.001\nmse\n", type, COUNT);
    double x[ALL], dy[ALL], y[ALL], dx[ALL], p[12], g[12];
    const double unit = type == CVG_F32 ? 0x1p-24 : 0x1p-53;
    for (int i = 0; i < ALL; i++) {
        put(type, x, i, uniform() * 2 + i / PIXELS % C);
        put(type, dy, i, uniform());
    }
    for (int i = 0; i < 12; i++)
        put(type, p, i, 0.5 + 0.25 * i);
    run_layer(n, COUNT, x, dy, p, y, dx, g);
    for (int c = 0; c < C; c++) {
        double mean = 0, square = 0, sum = 0, with_x = 0, sum_dy = 0, with_dy = 0;
        const double w = get(type, p, c), b = get(type, p, C + c), old = get(type, p, 2 * C + c), m = COUNT * PIXELS;
#define EACH(i) \
    for (int j_ = 0, i = c * PIXELS; j_ < COUNT * PIXELS; j_++, i = (j_ / PIXELS * C + c) * PIXELS + j_ % PIXELS)
        EACH(i) mean += get(type, x, i) / m;
        EACH(i) square += (get(type, x, i) - mean) * (get(type, x, i) - mean);
        const double inverse = 1 / sqrt(square / m + 0.001);
        EACH(i)
        {
            const double hat = (get(type, x, i) - mean) * inverse;
            sum_dy += get(type, dy, i);
            with_dy += get(type, dy, i) * hat;
            sum += get(type, dx, i);
            with_x += get(type, dx, i) * hat;
        }
        EACH(i)
        {
            /* |hat| < 4, |w| < 2, |b| < 2: four roundings of numbers up to 8 */
            const double hat = (get(type, x, i) - mean) * inverse, want = hat * w + b;
            const double back = w * inverse * (get(type, dy, i) - sum_dy / m - hat * with_dy / m);
            check(fabs(get(type, y, i) - want) <= 48 * unit, "batchnorm y is %.17g; must be %.17g", get(type, y, i),
                  want);
            check(fabs(get(type, dx, i) - back) <= 48 * unit, "batchnorm dx is %.17g; must be %.17g", get(type, dx, i),
                  back);
        }
        /* dx is orthogonal to constants, and to x^ but for eps: each of m terms has an error of 48 units at most */
        const double left = get(type, p, c) * inverse * with_dy * 0.001 * inverse * inverse;
        check(fabs(sum) <= m * 48 * unit, "sum of dx: %g", sum);
        check(fabs(with_x - left) <= 4 * m * 48 * unit, "sum of dx x^: %g; must be %g", with_x, left);
        check(fabs(get(type, g, c) - with_dy) <= 64 * m * unit, "gradient of weight");
        check(fabs(get(type, g, C + c) - sum_dy) <= m * unit + m * m * 0x1p-52, "gradient of bias");
        check(fabs(get(type, g, 2 * C + c) - m * (mean - old)) <= 64 * m * unit, "sum for the running mean");
        check(fabs(get(type, g, 3 * C + c) - (square + m * (mean - old) * (mean - old))) <= 64 * m * unit,
              "sum for the running variance: %g", get(type, g, 3 * C + c));
    }
    cvg_network_destroy(n);
}

static void test_softmax(void)
{
    cvg_network *n = network_of("input 3\nrelu\ncross_entropy\n", CVG_F64, 4);
    double logits[12] = {1e30, -1e30, 0, 1, 2, 3, -1e30, -1e30, -1e30, 700, 701, -700}, dx[12], sum[4];
    const int64_t target[4] = {0, 0, 2, 2};
    cvg_loss loss = {.count = 4};
    const cvg_shard shard = {.count = 4, .batch = 8, .target = target};
    const struct cvt_run run = {.network = n, .use = CVG_TRAIN, .count = 4, .shard = &shard, .loss = &loss};
    const struct cvt_call call = {.run = &run, .layer = &n->layer[1], .x = logits, .dx = dx};
    cvt_cross_entropy.forward[CVG_F64](&call);
    for (int s = 0; s < 4; s++) {
        sum[s] = dx[3 * s] + dx[3 * s + 1] + dx[3 * s + 2];
        check(fabs(sum[s]) <= 4 * 0x1p-53 / 8, "gradients of softmax add up to %g", sum[s]);
    }
    const double want = 0 + log(exp(0) + exp(1) + exp(2)) + log(3) + (1401 + log1p(exp(-1)));
    check(fabs(loss.sum - want) <= 16 * 0x1p-53 * want, "loss is %.17g; must be %.17g", loss.sum, want);
    check(loss.hits == 1, "%lld hits", (long long)loss.hits);
    check(fabs(dx[3] - (exp(-2) / (1 + exp(-1) + exp(-2)) - 1) / 8) <= 4 * 0x1p-53, "gradient %g", dx[3]);
    check(cvg_softmax(n, 4, logits) == CVG_OK && logits[0] == 1 && logits[1] == 0 &&
              fabs(logits[6] - 1 / 3.0) < 0x1p-53,
          "softmax");
    cvg_network_destroy(n);
}

/* ---- whole networks ---- */

struct whole {
    cvg_network *n;
    cvg_network_facts facts;
    cvg_shard shard;
    double *p, *g, *x, *t, *other;
    int64_t target[16], index[16];
    void *workspace;
};

static struct whole whole_of(const char *text, cvg_type type, int64_t count)
{
    struct whole w = {.n = network_of(text, type, count), .facts = {.struct_size = sizeof w.facts}};
    check(cvg_network_get_facts(w.n, &w.facts) == CVG_OK, "facts");
    const size_t P = (size_t)w.facts.parameters;
    w.p = zeros(P, 8);
    w.g = zeros(P, 8);
    w.other = zeros(P, 8);
    w.x = zeros((size_t)(count * w.facts.input_elements), 8);
    w.t = zeros((size_t)(count * w.facts.output_elements), 8);
    for (int64_t i = 0; i < count * w.facts.input_elements; i++)
        put(type, w.x, i, uniform());
    for (int64_t i = 0; i < count * w.facts.output_elements; i++)
        put(type, w.t, i, uniform());
    for (int64_t i = 0; i < count; i++) {
        w.target[i] = i % (w.facts.output_elements);
        w.index[i] = 100 + 7 * i;
    }
    w.workspace = zeros(cvg_network_workspace_size(w.n, CVG_TRAIN) + cvg_network_workspace_size(w.n, CVG_PREDICT), 1);
    check(cvg_network_init(w.n, CVG_HE, 5, w.p) == CVG_OK, "init");
    return w;
}

static void whole_free(struct whole *w)
{
    void *const memory[] = {w->p, w->g, w->other, w->x, w->t, w->workspace};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    cvg_network_destroy(w->n);
}

static double loss_of(struct whole *w, int64_t count, double *gradient)
{
    cvg_loss loss;
    cvg_error error = {""};
    w->shard = (cvg_shard){.count = count,
                           .batch = 2 * count,
                           .input = w->x,
                           .target = w->facts.classifies ? (const void *)w->target : w->t,
                           .index = w->index,
                           .epoch = 3,
                           .seed = 9};
    check(cvg_loss_gradient(w->n, w->p, &w->shard, gradient, &loss, w->workspace, &error) == CVG_OK, "%s", error.text);
    return loss.sum / (double)(2 * count);
}

static const char *const networks[] = {
    "input 2x9x8 scale=0.5 mean=0.1,0.2 std=0.7\nconv 4 3x3 padding=1\nleaky_relu 0.1\navgpool 2x2 stride=1\n"
    "conv_transpose 3 2x2 stride=2\nglobal_avgpool\nflatten\nlinear 3\ncross_entropy\n",
    "input 2x8x8\nconv 4 3 padding=1 bias=0\nbatchnorm\nshort = relu\nconv 4 3 padding=1\nbatchnorm\nadd short\nrelu\n"
    "again = maxpool 2\nadd again\ndropout 0.3\nadd again\nflatten\nlinear 5\nrelu6\nlinear 3\ncross_entropy\n",
    "input 3x12\nconv 6 5 stride=2 groups=3\na = batchnorm\nrelu\nadd a\navgpool 2\nmse\n",
    "input 2x4x5x4\nconv 3 2x2x2\nbatchnorm\nrelu\nmaxpool 2x2x1\nflatten\ndropout 0.5\nlinear 4\nmse\n",
    "input 7 scale=9\nlinear 9\nrelu6\ndropout 0.5\nlinear 5\nrelu\ndropout 0.2\nleaky_relu\nlinear 3\nmse\n",
    "input 7\nlinear 9\nleaky_relu 0.2\nx = linear 9\nflatten\nadd x\nlinear 2\ncross_entropy\n",
};

static const char *const without_conv[] = {
    ("input 20x9x8 mean=0.3\nbatchnorm\nshort = relu\nmaxpool 3 stride=1 padding=1\nadd short\nleaky_relu 0.1\n"
     "avgpool 3 stride=2 padding=1\ndropout 0.4\nbatchnorm\nmaxpool 2\nflatten\nlinear 5\ncross_entropy\n"),
    "input 67x5x4x3\nbatchnorm\ndropout 0.2\navgpool 2 stride=1\nmse\n",
    "input 130x11\nbatchnorm\nrelu6\nmaxpool 3\nbatchnorm\nglobal_avgpool\nmse\n",
};

/* Central differences with step h: their error is h^2 f''' / 6 and 2^-52 |f| / h. */
static void test_differences(const char *text)
{
    struct whole w = whole_of(text, CVG_F64, 6);
    const double h = 1e-5;
    loss_of(&w, 6, w.g);
    int64_t looked = 0;
    cvg_parameter parameter;
    for (int i = 0; cvg_network_parameter(w.n, i, &parameter); i++)
        for (int64_t j = 0; parameter.trained && j < parameter.count; j += 1 + parameter.count / 40, looked++) {
            double *p = &w.p[parameter.offset + j];
            const double old = *p;
            *p = old + h;
            const double up = loss_of(&w, 6, w.other);
            *p = old - h;
            const double down = loss_of(&w, 6, w.other);
            *p = old;
            const double want = (up - down) / (2 * h), got = w.g[parameter.offset + j];
            check(fabs(got - want) <= 1e-7 * (1 + fabs(want)), "%s[%lld]: gradient %.10g, differences %.10g\n%s",
                  parameter.name, (long long)j, got, want, text);
        }
    check(looked > 20, "%lld elements were looked at", (long long)looked);
    whole_free(&w);
}

/* A sample's prediction has the same bits alone and beside others; the loss of a shard, too, with any batch. */
static void test_alone(const char *text, cvg_type type)
{
    enum { COUNT = 13 };
    struct whole w = whole_of(text, type, COUNT);
    const size_t in = (size_t)w.facts.input_elements * w.n->size, out = (size_t)w.facts.output_elements * w.n->size;
    char *all = zeros(COUNT, out), *one = zeros(COUNT, out);
    check(cvg_predict(w.n, w.p, w.x, COUNT, all, w.workspace) == CVG_OK, "predict");
    for (int count = 1; count < COUNT; count++)
        for (int at = 0; at + count <= COUNT; at += 3) {
            check(cvg_predict(w.n, w.p, (char *)w.x + (size_t)at * in, count, one, w.workspace) == CVG_OK, "predict");
            check(memcmp(one, all + (size_t)at * out, (size_t)count * out) == 0, "%d samples from %d on\n%s", count, at,
                  text);
        }
    free(all);
    free(one);
    whole_free(&w);
}

/* Without convolutions, both layouts give the same bits; with them, sums in another order (f64: 1e-12 of the largest).
 */
static void test_layouts(const char *text, int exact)
{
    enum { COUNT = 6 };
    struct whole first, last;
    const uint32_t same = seed;
    first = whole_of(text, CVG_F64, COUNT);
    layout = CVG_CHANNELS_LAST;
    seed = same;
    last = whole_of(text, CVG_F64, COUNT);
    layout = CVG_CHANNELS_FIRST;
    const int64_t P = first.facts.parameters, out = COUNT * first.facts.output_elements;
    const double a = loss_of(&first, COUNT, first.g), b = loss_of(&last, COUNT, last.g);
    double most = 0, *y = zeros((size_t)(2 * out), 8);
    for (int64_t i = 0; i < P; i++)
        most = fmax(most, fabs(first.g[i]));
    const double slack = exact ? 0 : 1e-12;
    check(fabs(a - b) <= slack * fabs(a), "loss %.17g, channels last %.17g\n%s", a, b, text);
    for (int64_t i = 0; i < P; i++)
        check(fabs(first.g[i] - last.g[i]) <= slack * most, "gradient %lld is %.17g, channels last %.17g\n%s",
              (long long)i, first.g[i], last.g[i], text);
    check(cvg_predict(first.n, first.p, first.x, COUNT, y, first.workspace) == CVG_OK, "predict");
    check(cvg_predict(last.n, last.p, last.x, COUNT, y + out, last.workspace) == CVG_OK, "predict");
    for (int64_t i = 0; i < out; i++)
        check(fabs(y[i] - y[out + i]) <= slack * (1 + fabs(y[i])), "output %.17g, channels last %.17g\n%s", y[i],
              y[out + i], text);
    free(y);
    whole_free(&first);
    whole_free(&last);
}

/* Larger layers, where other algorithms and forms are chosen. */
static const char *const larger[] = {
    "input 1x28x28\nconv 16 5x5 padding=2\nrelu\nmaxpool 2\nconv 32 5x5 padding=2\nrelu\nmaxpool 2\nflatten\nlinear 128\n"
    "relu\nlinear 10\ncross_entropy\n",
    "input 3x16x16\nconv 32 3x3 padding=1\nbatchnorm\nrelu\nconv 64 3x3 stride=2 padding=1\nrelu\nconv 64 3x3 padding=1 "
    "groups=64\nglobal_avgpool\nflatten\nlinear 100\ncross_entropy\n",
    "input 4x100\nconv 64 7 padding=3\nrelu\nmaxpool 4\nflatten\nlinear 300\nrelu\nlinear 7\ncross_entropy\n",
    "input 1568\nlinear 128\nrelu\nlinear 10\ncross_entropy\n",
};

/* Every byte of the workspace may hold anything, and results are where they were. */
static void test_workspace(const char *text)
{
    struct whole w = whole_of(text, CVG_F64, 5);
    const size_t size = cvg_network_workspace_size(w.n, CVG_TRAIN);
    loss_of(&w, 5, w.g);
    char *guarded = malloc(size + 65);
    if (!guarded)
        exit(2);
    memset(guarded, 0xff, size + 65);
    free(w.workspace);
    w.workspace = guarded + 1; /* of any alignment */
    memset(w.other, 0xff, (size_t)w.facts.parameters * 8);
    loss_of(&w, 5, w.other);
    check(memcmp(w.g, w.other, (size_t)w.facts.parameters * 8) == 0, "the workspace's contents matter\n%s", text);
    for (size_t i = size + 1; i < size + 65; i++)
        check(guarded[i] == (char)0xff, "written past the workspace\n%s", text);
    w.workspace = guarded;
    whole_free(&w);
}

/* Each plan of each size finds its room in the layer's. */
static void test_scratch(const char *text, cvg_type type)
{
    cvg_network *n = network_of(text, type, 13);
    for (int i = 0; i < n->layers; i++)
        for (int64_t count = 1; n->layer[i].plan && count <= 13; count++) {
            const struct cvt_layer *l = &n->layer[i];
            const int transposed = l->kind == &cvt_conv_transpose, linear = l->kind == &cvt_linear;
            const cvg_pass forward = transposed ? CVG_GRAD_INPUT : CVG_FORWARD;
            check(l->scratch_size[0] >= cvg_plan_workspace_size(l->plan[count], forward), "room of layer %d forward",
                  i);
            for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
                const size_t need = cvg_plan_workspace_size(linear ? l->back[count] : l->plan[count], (cvg_pass)pass);
                check(pass == (linear ? (int)CVG_GRAD_WEIGHT : (int)forward) || l->scratch_size[1] >= need,
                      "room of layer %d, pass %d", i, pass);
            }
        }
    cvg_network_destroy(n);
}

/* The gradient of what is frozen is 0, and what lies before the first layer that is trained is not asked for. */
static void test_frozen(void)
{
    const char text[] = "input 1x6x6\nconv 3 3x3\nbatchnorm\nrelu\nconv 2 3x3\nflatten\nlinear 3\ncross_entropy\n";
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    cvg_parameter p;
    struct whole w = whole_of(text, CVG_F64, 6), f = whole_of(text, CVG_F64, 6);
    options.type = CVG_F64;
    options.shard = 6;
    cvg_network_destroy(f.n);
    options.freeze = "0-1,5";
    check(cvg_network_create(&f.n, text, sizeof text - 1, &options, NULL) == CVG_OK, "freeze");
    check(cvg_network_workspace_size(f.n, CVG_TRAIN) <= cvg_network_workspace_size(w.n, CVG_TRAIN), "more room");
    memset(f.g, 0xff, (size_t)f.facts.parameters * 8);
    loss_of(&f, 6, f.g);
    for (int i = 0; cvg_network_parameter(f.n, i, &p); i++)
        for (int64_t j = 0; j < p.count; j++)
            check(p.trained == (p.layer == 3) && (p.trained ? f.g[p.offset + j] != 0 : f.g[p.offset + j] == 0),
                  "%s[%lld] has gradient %g", p.name, (long long)j, f.g[p.offset + j]);
    whole_free(&w);
    whole_free(&f);
}

/* ---- mistakes ---- */

static void test_mistakes(void)
{
    static const struct {
        const char *text, *say;
    } bad[] = {
        {"", "the model has no input line"},
        {"conv 3 3\n", "line 1: the first line must be the input"},
        {"input 1x8x8\n# only\n", "the model's last line must be its loss"},
        {"input 1x8x8\nmse\n", "the model has no layer besides its loss"},
        {"input 1x8x8\ninput 1x8x8\n", "line 2: a second input"},
        {"input 1x8x8x8x8\nrelu\nmse\n", "line 1: the input's size is \"1x8x8x8x8\""},
        {"input 0x8\nrelu\nmse\n", "line 1: the input's size is \"0x8\""},
        {"input 8x\nrelu\nmse\n", "line 1: the input's size is \"8x\""},
        {"input 2x8 mean=1,2,3\nrelu\nmse\n", "line 1: mean is \"1,2,3\"; must be one number, or 2 with commas"},
        {"input 2x8 std=0\nrelu\nmse\n", "line 1: std is 0"},
        {"input 1x8x8\nsigmoid\nmse\n", "line 2: \"sigmoid\" is no layer"},
        {"input 1x8x8\r\n\r\nconv 3\r\nmse\r\n", "line 3: conv has no filter"},
        {"input 1x8x8\nconv 3 3x3x3\nmse\n", "line 2: the filter is \"3x3x3\"; must be one whole number, or 2 with x"},
        {"input 1x8x8\nconv 3 9x9\nmse\n", "line 2: conv: "},
        {"input 1x8x8\nconv 3 3 pading=1\nmse\n", "line 2: \"pading=1\" is not understood here; write conv CHANNELS"},
        {"input 1x8x8\nconv 3 3 groups=2\nmse\n", "line 2: groups is 2; the channels, 1 and 3,"},
        {"input 1x8x8\nconv 1000000000 3\nconv 1000000000 3\nmse\n", "line 3: conv: weight is too large"},
        {"input 1x8x8\nmaxpool 9\nmse\n", "line 2: maxpool 9 is larger than its input 1x8x8"},
        {"input 1x8x8\nmaxpool 3 padding=2\nmse\n", "line 2: padding is 2; must be at most half"},
        {"input 1x8x8\nlinear 3\nmse\n", "line 2: linear needs a flat input; it is 1x8x8: put flatten before it"},
        {"input 8\nconv 3 3\nmse\n", "line 2: conv needs an input with axes"},
        {"input 8\nadd x\nmse\n", "line 2: no line before has the name \"x\""},
        {"input 8\nx = relu\nlinear 3\nadd x\nmse\n", "line 4: add x: its shape is 8, that of the line before 3"},
        {"input 8\nx = relu\nx = relu\nmse\n", "line 3: the name \"x\" is taken by line 2"},
        {"input 8\nx =\nmse\n", "line 2: no layer after \"x =\""},
        {"input 8\nrelu\nmse\ncross_entropy\n", "line 4: cross_entropy follows the loss mse"},
        {"input 8x2\nrelu\ncross_entropy\n", "line 3: cross_entropy needs a flat input"},
        {"input 8\ndropout 1\nmse\n", "line 2: the probability is 1"},
        {"input 8\nleaky_relu -1\nmse\n", "line 2: the slope is -1"},
        {"input 8\nbatchnorm eps=0\nmse\n", "line 2: eps is 0"},
        {"input 8\nbatchnorm momentum=nan\nmse\n", "line 2: momentum is \"nan\"; must be a number"},
        {"input 1x4\nconv_transpose 2 2 output_padding=1\nmse\n", "line 2: output_padding is 1; must be less than"},
        {"input 8\nrelu relu\nmse\n", "line 2: \"relu\" is not understood here; write relu"},
        {"input 8\nlinear 99999999999999999999\nmse\n", "line 2: the number of outputs is"},
    };
    cvg_network *n;
    cvg_error error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        check(cvg_network_create(&n, bad[i].text, strlen(bad[i].text), NULL, &error) != CVG_OK && !n, "taken: %s",
              bad[i].text);
        check(strncmp(error.text, bad[i].say, strlen(bad[i].say)) == 0, "\"%s\" instead of \"%s\"", error.text,
              bad[i].say);
    }
    const char zero[] = "input 8\nre\0lu\nmse\n";
    check(cvg_network_create(&n, zero, sizeof zero - 1, NULL, &error) != CVG_OK &&
              strcmp(error.text, "line 2: byte 0 is no text") == 0,
          "%s", error.text);
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    static const char *const freezes[] = {"3", "1-9", "x", "1-", "-1", "0,,1", "2-1"};
    for (size_t i = 0; i < sizeof freezes / sizeof *freezes; i++) {
        options.freeze = freezes[i];
        const char *good = "input 8\nlinear 3\nrelu\nlinear 3\nmse\n";
        check(cvg_network_create(&n, good, strlen(good), &options, &error) == CVG_INVALID_ARGUMENT &&
                  strncmp(error.text, "freeze is ", 10) == 0,
              "freeze=%s: %s", freezes[i], error.text);
    }
    options.freeze = NULL;
    options.layout = (cvg_layout)2;
    check(cvg_network_create(&n, "input 8\nrelu\nmse\n", 19, &options, &error) == CVG_INVALID_ARGUMENT &&
              strcmp(error.text, "layout is 2; that is no cvg_layout") == 0,
          "%s", error.text);
    struct whole w = whole_of("input 8\nlinear 3\nbatchnorm\ncross_entropy\n", CVG_F32, 4);
    cvg_loss loss;
    w.target[1] = 3;
    w.shard = (cvg_shard){.count = 4, .batch = 4, .input = w.x, .target = w.target, .index = w.index};
    check(cvg_loss_gradient(w.n, w.p, &w.shard, w.g, &loss, w.workspace, &error) == CVG_INVALID_ARGUMENT &&
              strcmp(error.text, "the target of sample 107 is 3; must be 0 to 2") == 0,
          "%s", error.text);
    w.shard.count = 1;
    check(cvg_loss_gradient(w.n, w.p, &w.shard, w.g, &loss, w.workspace, &error) == CVG_INVALID_ARGUMENT &&
              strstr(error.text, "one value a channel"),
          "%s", error.text);
    w.shard.count = 2;
    w.target[1] = 2;
    put(CVG_F32, w.p, 5, INFINITY);
    check(cvg_loss_gradient(w.n, w.p, &w.shard, w.g, &loss, w.workspace, &error) == CVG_OK && loss.bad_layer == 0 &&
              loss.bad_elements == 2,
          "layer %d, %lld elements", loss.bad_layer, (long long)loss.bad_elements);
    whole_free(&w);
}

/* What programs that write networks in other forms are told; tests/train_export.py holds the geometry by values. */
static void test_layers_told(void)
{
    const char *text = "input 2x5x6 scale=0.5 mean=1,2 std=4\nconv_transpose 4 3x2 stride=2x1 padding=1x0 "
                       "output_padding=1x0 groups=2\na = batchnorm eps=0.25 momentum=0.5\nadd a\nglobal_avgpool\nmse\n";
    cvg_network *n = network_of(text, CVG_F32, 4);
    cvg_layer l = {.struct_size = sizeof l};
    double factor = 0, shift = 0;
    if (!n)
        return;
    check(!cvg_network_get_layer(n, 0, &l) && !strcmp(l.kind, "conv_transpose") && l.from == -1 && l.other == -1 &&
              l.in[0] == 2 && l.in[1] == 5 && l.in[2] == 6 && !l.in[3] && l.out[0] == 4 && l.out[1] == 10 &&
              l.out[2] == 7 && l.filter[0] == 3 && l.filter[1] == 2 && l.stride[0] == 2 && l.stride[1] == 1 &&
              l.padding[0] == 1 && !l.padding[1] && l.output_padding[0] == 1 && !l.output_padding[1] && l.groups == 2,
          "conv_transpose is told wrongly");
    check(!cvg_network_get_layer(n, 1, &l) && l.from == 0 && l.eps == 0.25 && l.value == 0.5,
          "batchnorm is told wrongly");
    check(!cvg_network_get_layer(n, 2, &l) && l.from == 1 && l.other == 1, "add is told wrongly");
    check(!cvg_network_get_layer(n, 3, &l) && l.filter[0] == 10 && l.filter[1] == 7, "global_avgpool is told wrongly");
    check(!cvg_network_get_layer(n, 4, &l) && !strcmp(l.kind, "mse") && l.in[0] == 4 && !l.out[0],
          "mse is told wrongly");
    check(cvg_network_get_layer(n, 5, &l) && cvg_network_get_layer(n, -1, &l) && cvg_network_get_layer(n, 0, NULL) &&
              cvg_network_get_layer(NULL, 0, &l),
          "a layer that is not there is told");
    l.struct_size--;
    check(cvg_network_get_layer(n, 0, &l) == CVG_INVALID_ARGUMENT, "another struct_size is taken");
    check(cvg_network_scaling(n, 1, &factor, &shift) == 1 && factor == 0.125 && shift == 0.5, "scaling is %g, %g",
          factor, shift);
    check(!cvg_network_scaling(n, 2, &factor, &shift) && !cvg_network_scaling(n, -1, &factor, &shift) &&
              !cvg_network_scaling(n, 0, NULL, &shift) && !cvg_network_scaling(NULL, 0, &factor, &shift),
          "scaling of what is not there");
    cvg_network_destroy(n);
}

static void test_layout(void)
{
    for (int type = CVG_F32; type <= CVG_F64; type++) {
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)
            test_one(&table[i], (cvg_type)type);
        test_activations((cvg_type)type);
        test_batchnorm((cvg_type)type);
        test_dropout((cvg_type)type);
        for (size_t i = 0; i < sizeof larger / sizeof *larger; i++)
            test_alone(larger[i], (cvg_type)type);
        for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
            test_alone(networks[i], (cvg_type)type);
    }
    test_nan_in_pool();
    test_layers_told();
    test_softmax();
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        test_differences(networks[i]);
        test_workspace(networks[i]);
    }
    for (size_t i = 0; i < sizeof larger / sizeof *larger; i++) {
        test_workspace(larger[i]);
        test_scratch(larger[i], CVG_F32);
        test_scratch(larger[i], CVG_F64);
    }
}

int main(void)
{
    for (int i = CVG_CHANNELS_FIRST; i <= CVG_CHANNELS_LAST; i++) {
        layout = (cvg_layout)i;
        test_layout();
    }
    layout = CVG_CHANNELS_FIRST;
    for (size_t i = 0; i < sizeof without_conv / sizeof *without_conv; i++) {
        test_layouts(without_conv[i], 1);
        test_differences(without_conv[i]);
    }
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++)
        test_layouts(networks[i], 0);
    test_frozen();
    test_mistakes();
    return check_summary();
}
