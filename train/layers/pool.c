/* maxpool, avgpool, global_avgpool, by PyTorch's rules (convgrad_train.h).  A window is cut to the input. */
#ifndef real
#include "../network.h"

#include <string.h>

enum {
    WINDOW = 65536, /* places are kept in 16 bits */
    SOME = 64,      /* results, or channels, at a time */
    OFFSETS = 64,   /* of places, that are worked out once */
};

/* As wide as float, and as double. */
typedef int32_t mask_f32;
typedef int64_t mask_f64;

/* Any rank as three axes. */
struct pool {
    int64_t planes, in[3], out[3], window[3], stride[3], padding[3];
    int64_t in_size, out_size;
    int64_t channels; /* beside each other, channels last: then a sample is a plane; or 1 */
};

static struct pool pool_of(const struct cvt_call *c)
{
    const struct cvt_layer *l = c->layer;
    const int last = c->run->network->layout == CVG_CHANNELS_LAST;
    const int64_t channels = last ? l->in.channels : 1;
    struct pool p = {.planes = c->run->count * l->in.channels / channels,
                     .in = {1, 1, 1},
                     .out = {1, 1, 1},
                     .window = {1, 1, 1},
                     .stride = {1, 1, 1},
                     .in_size = l->in.pixels * channels,
                     .out_size = l->out.pixels * channels,
                     .channels = channels};
    for (int i = 0, at = 3 - l->in.rank; i < l->in.rank; i++, at++) {
        p.in[at] = l->in.size[i];
        p.out[at] = l->out.size[i];
        p.window[at] = l->filter[i];
        p.stride[at] = l->stride[i];
        p.padding[at] = l->padding[i];
    }
    return p;
}

/* The part of a window that lies in the input: its first element, and places [begin, end) of it, of each axis. */
struct window {
    int64_t first[3], begin[3], end[3];
};

static struct window window_of(const struct pool *p, const int64_t at[3])
{
    struct window w;
    for (int i = 0; i < 3; i++) {
        w.first[i] = at[i] * p->stride[i] - p->padding[i];
        w.begin[i] = w.first[i] < 0 ? -w.first[i] : 0;
        w.end[i] = w.first[i] + p->window[i] > p->in[i] ? p->in[i] - w.first[i] : p->window[i];
    }
    return w;
}

/* The usual one: rank 2, 2x2, side by side. */
static int is_quarter(const struct pool *p)
{
    return p->channels == 1 && p->in[0] == 1 && p->window[0] == 1 && p->window[1] == 2 && p->window[2] == 2 &&
           p->stride[1] == 2 && p->stride[2] == 2 && p->padding[0] + p->padding[1] + p->padding[2] == 0;
}

static cvg_status pool_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    const char *window = cvt_take(line);
    const int rank = l->in.rank;
    int64_t size[3] = {1, 1, 1}, places = 1;
    cvg_status status;
    if (rank == 0)
        return cvt_line_fail(line, "%s needs an input with axes; it is %s", l->kind->name, cvt_shape_text(&l->in).text);
    if (!window)
        return cvt_line_fail(line, "%s has no size; write %s", l->kind->name, l->kind->usage);
    if ((status = cvt_read_axes(line, window, "the size", rank, 1, l->filter)))
        return status;
    memcpy(l->stride, l->filter, sizeof l->stride);
    if ((status = cvt_read_axes(line, cvt_take_key(line, "stride"), "stride", rank, 1, l->stride)) ||
        (status = cvt_read_axes(line, cvt_take_key(line, "padding"), "padding", rank, 0, l->padding)))
        return status;
    for (int i = 0; i < rank; i++) {
        if (l->padding[i] > l->filter[i] / 2)
            return cvt_line_fail(line, "padding is %lld; must be at most half of the size %lld",
                                 (long long)l->padding[i], (long long)l->filter[i]);
        if (l->filter[i] > l->in.size[i] + 2 * l->padding[i])
            return cvt_line_fail(line, "%s %s is larger than its input %s", l->kind->name, window,
                                 cvt_shape_text(&l->in).text);
        size[i] = (l->in.size[i] + 2 * l->padding[i] - l->filter[i]) / l->stride[i] + 1;
        places = cvt_times(places, l->filter[i]);
    }
    if (places > WINDOW)
        return cvt_line_fail(line, "%s %s has more than %d elements", l->kind->name, window, WINDOW);
    l->out = cvt_shape_of(l->in.channels, rank, size);
    if (l->kind == &cvt_maxpool)
        l->keep_size = (size_t)cvt_times(l->out.elements, n->shard) * sizeof(uint16_t);
    return CVG_OK;
}

static cvg_status global_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    const int64_t ones[3] = {1, 1, 1};
    (void)n;
    if (l->in.rank == 0)
        return cvt_line_fail(line, "global_avgpool needs an input with axes; it is %s", cvt_shape_text(&l->in).text);
    for (int i = 0; i < l->in.rank; i++)
        l->filter[i] = l->stride[i] = l->in.size[i];
    l->out = cvt_shape_of(l->in.channels, l->in.rank, ones);
    return CVG_OK;
}

#define SELF "layers/pool.c"
#include "../twice.h"

const struct cvt_kind cvt_maxpool = {
    .name = "maxpool",
    .usage = "maxpool SIZE [stride=SIZE] [padding=0]",
    .make = pool_make,
    .forward = {max_f32, max_f64},
    .backward = {max_back_f32, max_back_f64},
};

const struct cvt_kind cvt_avgpool = {
    .name = "avgpool",
    .usage = "avgpool SIZE [stride=SIZE] [padding=0]",
    .make = pool_make,
    .forward = {average_f32, average_f64},
    .backward = {average_back_f32, average_back_f64},
};

const struct cvt_kind cvt_global_avgpool = {
    .name = "global_avgpool",
    .usage = "global_avgpool",
    .make = global_make,
    .forward = {average_f32, average_f64},
    .backward = {average_back_f32, average_back_f64},
};

#else

/* The first maximum of a window; a NaN wins. */
static void OF(max_window)(const struct pool *p, const struct window *w, const real *x, real *y, uint16_t *place)
{
    real most = 0;
    int64_t found = -1;
    for (int64_t t = w->begin[0]; t < w->end[0]; t++)
        for (int64_t r = w->begin[1]; r < w->end[1]; r++)
            for (int64_t s = w->begin[2]; s < w->end[2]; s++) {
                const real value = x[((w->first[0] + t) * p->in[1] + w->first[1] + r) * p->in[2] + w->first[2] + s];
                if (found < 0 || value > most || value != value) {
                    most = value;
                    found = (t * p->window[1] + r) * p->window[2] + s;
                }
            }
    *y = most;
    *place = (uint16_t)found;
}

/* Bits of a where m is -1, of b where it is 0: no branch, which random data would make the processor guess. */
static inline real OF(choose)(OF(mask) m, real a, real b)
{
    OF(mask) x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    x = (x & m) | (y & ~m);
    memcpy(&a, &x, sizeof a);
    return a;
}

/* Of 2x2 windows side by side, some of a row. */
static void OF(max_some)(int count, const real *restrict a, const real *restrict b, real *restrict y,
                         OF(mask) *restrict place)
{
    for (int q = 0; q < count; q++) {
        const real v0 = a[2 * q], v1 = a[2 * q + 1], v2 = b[2 * q], v3 = b[2 * q + 1];
        const OF(mask) upper = -((v1 > v0) | (v1 != v1)), lower = -((v3 > v2) | (v3 != v3));
        const real high = OF(choose)(upper, v1, v0), low = OF(choose)(lower, v3, v2);
        const OF(mask) below = -((low > high) | (low != low));
        y[q] = OF(choose)(below, low, high);
        place[q] = (below & (2 - lower)) | (~below & -upper);
    }
}

/* A plane of them; place NULL: nobody asks. */
static void OF(max_quarter)(const struct pool *p, const real *x, real *y, uint16_t *place)
{
    OF(mask) some[SOME];
    for (int64_t row = 0; row < p->out[1]; row++, y += p->out[2]) {
        const real *a = x + 2 * row * p->in[2], *b = a + p->in[2];
        for (int64_t q = 0; q < p->out[2]; q += SOME) {
            const int count = p->out[2] - q < SOME ? (int)(p->out[2] - q) : SOME;
            OF(max_some)(count, a + 2 * q, b + 2 * q, y + q, some);
            for (int i = 0; place && i < count; i++)
                *place++ = (uint16_t)some[i];
        }
    }
}

/* Its gradient, each element of dx once. */
static void OF(quarter_back)(const struct pool *p, const real *restrict dy, const uint16_t *restrict place,
                             real *restrict dx)
{
    for (int64_t row = 0; row < p->out[1]; row++, dy += p->out[2], place += p->out[2]) {
        real *restrict a = dx + 2 * row * p->in[2], *restrict b = a + p->in[2];
        for (int64_t q = 0; q < p->out[2]; q++) {
            const real g = dy[q];
            a[2 * q] = OF(choose)(-(OF(mask))(place[q] == 0), g, 0);
            a[2 * q + 1] = OF(choose)(-(OF(mask))(place[q] == 1), g, 0);
            b[2 * q] = OF(choose)(-(OF(mask))(place[q] == 2), g, 0);
            b[2 * q + 1] = OF(choose)(-(OF(mask))(place[q] == 3), g, 0);
        }
        if (p->in[2] % 2)
            a[p->in[2] - 1] = b[p->in[2] - 1] = 0;
    }
    if (p->in[1] % 2)
        memset(dx + (p->in[1] - 1) * p->in[2], 0, (size_t)p->in[2] * sizeof *dx);
}

/* Where an element of a window lies in the plane. */
static int64_t OF(element)(const struct pool *p, const struct window *w, int64_t t, int64_t r, int64_t s)
{
    return (((w->first[0] + t) * p->in[1] + w->first[1] + r) * p->in[2] + w->first[2] + s) * p->channels;
}

/* Of each channel what is more than y; the first element of a window always. */
static void OF(take)(int64_t channels, const real *restrict x, int first, uint16_t here, real *restrict y,
                     uint16_t *restrict place)
{
    for (int64_t c = 0; c < channels; c++) {
        const real value = x[c];
        const OF(mask) more = -(first | (value > y[c]) | (value != value));
        y[c] = OF(choose)(more, value, y[c]);
        if (place)
            place[c] = (uint16_t)((here & more) | (place[c] & ~more));
    }
}

/* A window, channels last. */
static void OF(max_last)(const struct pool *p, const struct window *w, const real *x, real *y, uint16_t *place)
{
    int first = 1;
    for (int64_t t = w->begin[0]; t < w->end[0]; t++)
        for (int64_t r = w->begin[1]; r < w->end[1]; r++)
            for (int64_t s = w->begin[2]; s < w->end[2]; s++, first = 0) {
                const uint16_t here = (uint16_t)((t * p->window[1] + r) * p->window[2] + s);
                OF(take)(p->channels, x + OF(element)(p, w, t, r, s), first, here, y, place);
            }
}

static void OF(max_last_back)(const struct pool *p, const struct window *w, const real *restrict dy,
                              const uint16_t *restrict place, real *restrict dx)
{
    for (int64_t t = w->begin[0]; t < w->end[0]; t++)
        for (int64_t r = w->begin[1]; r < w->end[1]; r++)
            for (int64_t s = w->begin[2]; s < w->end[2]; s++) {
                const uint16_t here = (uint16_t)((t * p->window[1] + r) * p->window[2] + s);
                real *to = dx + OF(element)(p, w, t, r, s);
                for (int64_t c = 0; c < p->channels; c++)
                    to[c] += OF(choose)(-(OF(mask))(place[c] == here), dy[c], 0);
            }
}

static void OF(max)(const struct cvt_call *c)
{
    const struct pool p = pool_of(c);
    const real *x = c->x;
    real *y = c->y;
    uint16_t *place = c->keep, unused;
    for (int64_t plane = 0; plane < p.planes; plane++, x += p.in_size) {
        if (is_quarter(&p)) {
            OF(max_quarter)(&p, x, y, place);
            y += p.out_size;
            place = place ? place + p.out_size : NULL;
            continue;
        }
        for (int64_t o = 0; o < p.out[0]; o++)
            for (int64_t row = 0; row < p.out[1]; row++)
                for (int64_t q = 0; q < p.out[2]; q++, y += p.channels) {
                    const int64_t at[3] = {o, row, q};
                    const struct window w = window_of(&p, at);
                    if (p.channels > 1)
                        OF(max_last)(&p, &w, x, y, place);
                    else
                        OF(max_window)(&p, &w, x, y, place ? place : &unused);
                    place = place ? place + p.channels : NULL;
                }
    }
}

/* Where a place of a window lies from its first element. */
static int64_t OF(offset_of)(const struct pool *p, int64_t place)
{
    const int64_t s = place % p->window[2], above = place / p->window[2];
    return (above / p->window[1] * p->in[1] + above % p->window[1]) * p->in[2] + s;
}

static void OF(max_back)(const struct cvt_call *c)
{
    const struct pool p = pool_of(c);
    const real *dy = c->dy;
    const uint16_t *place = c->keep;
    real *dx = c->dx;
    int64_t offset[OFFSETS];
    const int64_t places = p.window[0] * p.window[1] * p.window[2];
    for (int64_t i = 0; i < places && i < OFFSETS; i++)
        offset[i] = OF(offset_of)(&p, i);
    for (int64_t plane = 0; dx && plane < p.planes; plane++, dx += p.in_size) {
        if (is_quarter(&p)) {
            OF(quarter_back)(&p, dy, place, dx);
            dy += p.out_size;
            place += p.out_size;
            continue;
        }
        memset(dx, 0, (size_t)p.in_size * sizeof *dx);
        for (int64_t i = 0; i < p.out_size && p.channels > 1; i += p.channels) {
            const int64_t q = i / p.channels, above = q / p.out[2];
            const int64_t at[3] = {above / p.out[1], above % p.out[1], q % p.out[2]};
            const struct window w = window_of(&p, at);
            OF(max_last_back)(&p, &w, dy, place, dx);
            dy += p.channels;
            place += p.channels;
        }
        for (int64_t o = 0; o < p.out[0] && p.channels == 1; o++)
            for (int64_t row = 0; row < p.out[1]; row++) {
                const int64_t depth = o * p.stride[0] - p.padding[0], line = row * p.stride[1] - p.padding[1];
                int64_t first = (depth * p.in[1] + line) * p.in[2] - p.padding[2];
                for (int64_t q = 0; q < p.out[2]; q++, first += p.stride[2], place++)
                    dx[first + (*place < OFFSETS ? offset[*place] : OF(offset_of)(&p, *place))] += *dy++;
            }
    }
}

/* The sum of a window, in double, divided by count. */
static real OF(average_window)(const struct pool *p, const struct window *w, double count, const real *x)
{
    double sum = 0;
    for (int64_t t = w->begin[0]; t < w->end[0]; t++)
        for (int64_t r = w->begin[1]; r < w->end[1]; r++) {
            const real *line = x + OF(element)(p, w, t, r, 0);
            for (int64_t s = w->begin[2]; s < w->end[2]; s++)
                sum += (double)line[s];
        }
    return (real)(sum / count);
}

static void OF(share_window)(const struct pool *p, const struct window *w, real share, real *dx)
{
    for (int64_t t = w->begin[0]; t < w->end[0]; t++)
        for (int64_t r = w->begin[1]; r < w->end[1]; r++) {
            real *line = dx + OF(element)(p, w, t, r, 0);
            for (int64_t s = w->begin[2]; s < w->end[2]; s++)
                line[s] += share;
        }
}

/* Channels last: the same of each channel. */
static void OF(average_last)(const struct pool *p, const struct window *w, double count, const real *x, real *y)
{
    for (int64_t k = 0; k < p->channels; k += SOME, x += SOME, y += SOME) {
        const int some = p->channels - k < SOME ? (int)(p->channels - k) : SOME;
        double sum[SOME] = {0};
        for (int64_t t = w->begin[0]; t < w->end[0]; t++)
            for (int64_t r = w->begin[1]; r < w->end[1]; r++)
                for (int64_t s = w->begin[2]; s < w->end[2]; s++)
                    for (int j = 0; j < some; j++)
                        sum[j] += (double)x[OF(element)(p, w, t, r, s) + j];
        for (int j = 0; j < some; j++)
            y[j] = (real)(sum[j] / count);
    }
}

static void OF(share_last)(const struct pool *p, const struct window *w, double count, const real *dy, real *dx)
{
    for (int64_t k = 0; k < p->channels; k += SOME, dy += SOME, dx += SOME) {
        const int some = p->channels - k < SOME ? (int)(p->channels - k) : SOME;
        real share[SOME];
        for (int j = 0; j < some; j++)
            share[j] = (real)((double)dy[j] / count);
        for (int64_t t = w->begin[0]; t < w->end[0]; t++)
            for (int64_t r = w->begin[1]; r < w->end[1]; r++)
                for (int64_t s = w->begin[2]; s < w->end[2]; s++)
                    for (int j = 0; j < some; j++)
                        dx[OF(element)(p, w, t, r, s) + j] += share[j];
    }
}

/* The windows of a plane, or of a sample. */
static void OF(average_plane)(const struct pool *p, double count, const real *x, real *y)
{
    for (int64_t o = 0; o < p->out[0]; o++)
        for (int64_t row = 0; row < p->out[1]; row++)
            for (int64_t q = 0; q < p->out[2]; q++, y += p->channels) {
                const int64_t at[3] = {o, row, q};
                const struct window w = window_of(p, at);
                if (p->channels > 1)
                    OF(average_last)(p, &w, count, x, y);
                else
                    *y = OF(average_window)(p, &w, count, x);
            }
}

static void OF(share_plane)(const struct pool *p, double count, const real *dy, real *dx)
{
    memset(dx, 0, (size_t)p->in_size * sizeof *dx);
    for (int64_t o = 0; o < p->out[0]; o++)
        for (int64_t row = 0; row < p->out[1]; row++)
            for (int64_t q = 0; q < p->out[2]; q++, dy += p->channels) {
                const int64_t at[3] = {o, row, q};
                const struct window w = window_of(p, at);
                if (p->channels > 1)
                    OF(share_last)(p, &w, count, dy, dx);
                else
                    OF(share_window)(p, &w, (real)((double)*dy / count), dx);
            }
}

static void OF(average)(const struct cvt_call *c)
{
    const struct pool p = pool_of(c);
    const double count = (double)(p.window[0] * p.window[1] * p.window[2]);
    for (int64_t plane = 0; plane < p.planes; plane++)
        OF(average_plane)(&p, count, (const real *)c->x + plane * p.in_size, (real *)c->y + plane * p.out_size);
}

static void OF(average_back)(const struct cvt_call *c)
{
    const struct pool p = pool_of(c);
    const double count = (double)(p.window[0] * p.window[1] * p.window[2]);
    for (int64_t plane = 0; c->dx && plane < p.planes; plane++)
        OF(share_plane)(&p, count, (const real *)c->dy + plane * p.out_size, (real *)c->dx + plane * p.in_size);
}

#endif
