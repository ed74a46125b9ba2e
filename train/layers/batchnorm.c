/*
 * batchnorm.  In training the mean and variance are those of the shard, in double, by two passes over lanes in a fixed
 * order, which is the same in each layout.  What the running statistics need is left in their places of the gradient
 * (convgrad_train.h): sums that are taken from the old running mean, so that they add up over shards, with little
 * cancellation.  Frozen, it uses the running ones.
 */
#ifndef real
#include "../network.h"

#include <math.h>

enum { LANES = 8, SOME = 256 /* channels at a time, channels last */, WEIGHT = 0, BIAS = 1, MEAN = 2, VARIANCE = 3 };

/* What a backward pass keeps of a channel. */
struct kept {
    double mean, inverse; /* 1 / deviation */
};

static cvg_status batchnorm_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    cvg_status status;
    l->value = 0.1;
    l->eps = 1e-5;
    l->out = l->in;
    if ((status = cvt_read_number(line, cvt_take_key(line, "momentum"), "momentum", &l->value)) ||
        (status = cvt_read_number(line, cvt_take_key(line, "eps"), "eps", &l->eps)))
        return status;
    if (!(l->value >= 0 && l->value <= 1))
        return cvt_line_fail(line, "momentum is %g; must be 0 to 1", l->value);
    if (!(l->eps > 0))
        return cvt_line_fail(line, "eps is %g; must be more than 0", l->eps);
    cvt_add_parameter(n, l, "weight", 1, &l->in.channels, 0, 0, 1, 0);
    cvt_add_parameter(n, l, "bias", 1, &l->in.channels, 0, 0, 0, 0);
    cvt_add_parameter(n, l, "running_mean", 1, &l->in.channels, 0, 0, 0, 1);
    cvt_add_parameter(n, l, "running_var", 1, &l->in.channels, 0, 0, 1, 1);
    l->keep_size = (size_t)l->in.channels * sizeof(struct kept);
    return CVG_OK;
}

/* The sum of lanes, as a tree; they lie step apart. */
static double sum_of(const double *lane, int step)
{
    const double a = lane[0] + lane[4 * step], b = lane[2 * step] + lane[6 * step];
    const double c = lane[step] + lane[5 * step], d = lane[3 * step] + lane[7 * step];
    return (a + b) + (c + d);
}

/* Channels that are worked at together: one, or channels last, some. */
static int some(const struct cvt_call *c, int64_t channel)
{
    const int64_t left = c->layer->in.channels - channel;
    return c->run->network->layout == CVG_CHANNELS_FIRST ? 1 : left < SOME ? (int)left : SOME;
}

#define SELF "layers/batchnorm.c"
#include "../twice.h"

const struct cvt_kind cvt_batchnorm = {
    .name = "batchnorm",
    .usage = "batchnorm [momentum=0.1] [eps=1e-5]",
    .make = batchnorm_make,
    .forward = {batchnorm_f32, batchnorm_f64},
    .backward = {batchnorm_back_f32, batchnorm_back_f64},
    .reads_x = 1,
};

#else

/* Adds x - from, or its square, of one sample's channel to lanes. */
static void OF(add_lanes)(const real *x, int64_t count, double from, int square, double lane[LANES])
{
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int j = 0; j < LANES; j++) {
            const double d = (double)x[i + j] - from;
            lane[j] += square ? d * d : d;
        }
    for (int j = 0; i < count; i++, j++) {
        const double d = (double)x[i] - from;
        lane[j] += square ? d * d : d;
    }
}

/* Channels last: sums of x - from, or of its squares, of some channels; each has lanes of its own, in the same order.
 */
static void OF(sums_last)(const struct cvt_call *c, const real *x, int some, const double *from, int square,
                          double *sum)
{
    const struct cvt_shape *in = &c->layer->in;
    double lane[LANES][SOME] = {{0}};
    for (int64_t s = 0; s < c->run->count; s++)
        for (int64_t i = 0; i < in->pixels; i++, x += in->channels)
            for (int j = 0; j < some; j++) {
                const double d = (double)x[j] - from[j];
                lane[i % LANES][j] += square ? d * d : d;
            }
    for (int j = 0; j < some; j++)
        sum[j] = sum_of(&lane[0][j], SOME);
}

/* The same in the network's layout, from the first channel on. */
static void OF(sums)(const struct cvt_call *c, int64_t first, int some, const double *from, int square, double *sum)
{
    const struct cvt_shape *in = &c->layer->in;
    const real *x = c->x;
    if (c->run->network->layout == CVG_CHANNELS_LAST) {
        OF(sums_last)(c, x + first, some, from, square, sum);
        return;
    }
    double lane[LANES] = {0};
    for (int64_t s = 0; s < c->run->count; s++)
        OF(add_lanes)(x + s * in->elements + first * in->pixels, in->pixels, *from, square, lane);
    *sum = sum_of(lane, 1);
}

/* y = (x - mean) * factor + bias */
static void OF(normalize)(const struct cvt_call *c, int64_t first, int some, const real *mean, const real *factor,
                          const real *bias)
{
    const struct cvt_shape *in = &c->layer->in;
    const int last = c->run->network->layout == CVG_CHANNELS_LAST;
    for (int64_t s = 0; s < c->run->count; s++) {
        const int64_t at = s * in->elements + (last ? first : first * in->pixels);
        const real *x = (const real *)c->x + at;
        real *y = (real *)c->y + at;
        for (int64_t i = 0; i < in->pixels && last; i++, x += in->channels, y += in->channels)
            for (int j = 0; j < some; j++)
                y[j] = (x[j] - mean[j]) * factor[j] + bias[j];
        for (int64_t i = 0; i < in->pixels && !last; i++)
            y[i] = (x[i] - *mean) * *factor + *bias;
    }
}

static void OF(batchnorm)(const struct cvt_call *c)
{
    const struct cvt_layer *l = c->layer;
    const real *weight = cvt_value(c, WEIGHT), *bias = cvt_value(c, BIAS);
    const real *running_mean = cvt_value(c, MEAN), *running_var = cvt_value(c, VARIANCE);
    const double count = (double)(c->run->count * l->in.pixels), zero[SOME] = {0};
    const int own = c->run->use == CVG_TRAIN && !l->frozen;
    struct kept *keep = c->keep;
    int n;
    for (int64_t k = 0; k < l->in.channels; k += n) {
        double mean[SOME], squares[SOME];
        real from[SOME], factor[SOME];
        n = some(c, k);
        if (own) {
            OF(sums)(c, k, n, zero, 0, mean);
            for (int j = 0; j < n; j++)
                mean[j] /= count;
            OF(sums)(c, k, n, mean, 1, squares);
        }
        for (int j = 0; j < n; j++) {
            const double old = (double)running_mean[k + j];
            if (own) {
                const double off = mean[j] - old;
                ((real *)cvt_gradient(c, MEAN))[k + j] = (real)(count * off);
                ((real *)cvt_gradient(c, VARIANCE))[k + j] = (real)(squares[j] + count * off * off);
            }
            const double middle = own ? mean[j] : old, variance = own ? squares[j] / count : (double)running_var[k + j];
            const double inverse = 1 / sqrt(variance + l->eps);
            if (keep)
                keep[k + j] = (struct kept){middle, inverse};
            from[j] = (real)middle;
            factor[j] = (real)(inverse * (double)weight[k + j]);
        }
        OF(normalize)(c, k, n, from, factor, bias + k);
    }
}

/* Channels last: sums of dy, and of dy (x - mean), of some channels. */
static void OF(gradient_last)(const struct cvt_call *c, const real *x, const real *dy, int some,
                              const struct kept *keep, double *sum, double *product)
{
    const struct cvt_shape *in = &c->layer->in;
    double lane[LANES][SOME] = {{0}}, with_x[LANES][SOME] = {{0}};
    for (int64_t s = 0; s < c->run->count; s++)
        for (int64_t i = 0; i < in->pixels; i++, x += in->channels, dy += in->channels)
            for (int j = 0; j < some; j++) {
                lane[i % LANES][j] += (double)dy[j];
                with_x[i % LANES][j] += (double)dy[j] * ((double)x[j] - keep[j].mean);
            }
    for (int j = 0; j < some; j++) {
        sum[j] = sum_of(&lane[0][j], SOME);
        product[j] = sum_of(&with_x[0][j], SOME);
    }
}

/* Channels first: the same of one channel of a sample. */
static void OF(gradient_lanes)(const real *x, const real *dy, int64_t count, double mean, double lane[LANES],
                               double with_x[LANES])
{
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int j = 0; j < LANES; j++) {
            lane[j] += (double)dy[i + j];
            with_x[j] += (double)dy[i + j] * ((double)x[i + j] - mean);
        }
    for (int j = 0; i < count; i++, j++) {
        lane[j] += (double)dy[i];
        with_x[j] += (double)dy[i] * ((double)x[i] - mean);
    }
}

/* Sums of dy, and of dy (x - mean) / deviation, over some channels. */
static void OF(gradient_sums)(const struct cvt_call *c, int64_t first, int some, double *sum, double *product)
{
    const struct cvt_shape *in = &c->layer->in;
    const struct kept *keep = (const struct kept *)c->keep + first;
    const real *x = c->x, *dy = c->dy;
    double lane[LANES] = {0}, with_x[LANES] = {0};
    if (c->run->network->layout == CVG_CHANNELS_LAST) {
        OF(gradient_last)(c, x + first, dy + first, some, keep, sum, product);
    } else {
        for (int64_t at = first * in->pixels; at < c->run->count * in->elements; at += in->elements)
            OF(gradient_lanes)(x + at, dy + at, in->pixels, keep->mean, lane, with_x);
        *sum = sum_of(lane, 1);
        *product = sum_of(with_x, 1);
    }
    for (int j = 0; j < some; j++)
        product[j] *= keep[j].inverse;
}

/* dx = ((dy - from) - (x - mean) * slope) * factor */
struct OF(line) {
    real mean[SOME], from[SOME], slope[SOME], factor[SOME];
};

static void OF(gradient_input)(const struct cvt_call *c, int64_t first, int some, const struct OF(line) * v)
{
    const struct cvt_shape *in = &c->layer->in;
    const int last = c->run->network->layout == CVG_CHANNELS_LAST;
    for (int64_t s = 0; s < c->run->count; s++) {
        const int64_t at = s * in->elements + (last ? first : first * in->pixels);
        const real *x = (const real *)c->x + at, *dy = (const real *)c->dy + at;
        real *dx = (real *)c->dx + at;
        for (int64_t i = 0; i < in->pixels && last; i++, x += in->channels, dy += in->channels, dx += in->channels)
            for (int j = 0; j < some; j++)
                dx[j] = ((dy[j] - v->from[j]) - (x[j] - v->mean[j]) * v->slope[j]) * v->factor[j];
        for (int64_t i = 0; i < in->pixels && !last; i++)
            dx[i] = ((dy[i] - *v->from) - (x[i] - *v->mean) * *v->slope) * *v->factor;
    }
}

static void OF(batchnorm_back)(const struct cvt_call *c)
{
    const struct cvt_layer *l = c->layer;
    const real *weight = cvt_value(c, WEIGHT);
    const struct kept *keep = c->keep;
    const double count = (double)(c->run->count * l->in.pixels);
    int n;
    for (int64_t k = 0; k < l->in.channels; k += n) {
        double sum[SOME], product[SOME];
        struct OF(line) v;
        n = some(c, k);
        if (!l->frozen)
            OF(gradient_sums)(c, k, n, sum, product);
        for (int j = 0; j < n; j++) {
            if (l->frozen) {
                sum[j] = product[j] = 0;
            } else {
                ((real *)cvt_gradient(c, WEIGHT))[k + j] = (real)product[j];
                ((real *)cvt_gradient(c, BIAS))[k + j] = (real)sum[j];
            }
            v.mean[j] = (real)keep[k + j].mean;
            v.from[j] = (real)(sum[j] / count);
            v.slope[j] = (real)(product[j] / count * keep[k + j].inverse);
            v.factor[j] = (real)((double)weight[k + j] * keep[k + j].inverse);
        }
        if (c->dx)
            OF(gradient_input)(c, k, n, &v);
    }
}

#endif
