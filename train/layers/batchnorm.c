/*
 * batchnorm.  In training the mean and variance are those of the shard, in double, by two passes over lanes in a fixed
 * order.  What the running statistics need is left in their places of the gradient (convgrad_train.h): sums that are
 * taken from the old running mean, so that they add up over shards, with little cancellation.  Frozen, it uses the
 * running ones.
 */
#ifndef real
#include "../network.h"

#include <math.h>

enum { LANES = 8, WEIGHT = 0, BIAS = 1, MEAN = 2, VARIANCE = 3 };

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
    l->keep_size = (size_t)l->in.channels * 2 * sizeof(double);
    return CVG_OK;
}

/* The sum of lanes, as a tree. */
static double sum_of(const double lane[LANES])
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
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

/* Mean, and sum of squares around it, of a channel. */
static void OF(statistics)(const struct cvt_call *c, int64_t channel, double *mean, double *squares)
{
    const int64_t pixels = c->layer->in.pixels, step = c->layer->in.elements, count = c->run->count;
    const real *x = (const real *)c->x + channel * pixels;
    double sum[LANES] = {0}, square[LANES] = {0};
    for (int64_t s = 0; s < count; s++)
        OF(add_lanes)(x + s * step, pixels, 0, 0, sum);
    *mean = sum_of(sum) / (double)(count * pixels);
    for (int64_t s = 0; s < count; s++)
        OF(add_lanes)(x + s * step, pixels, *mean, 1, square);
    *squares = sum_of(square);
}

/* y = (x - mean) * factor + bias */
static void OF(normalize)(const struct cvt_call *c, int64_t channel, real mean, real factor, real bias)
{
    const int64_t pixels = c->layer->in.pixels, step = c->layer->in.elements;
    for (int64_t s = 0; s < c->run->count; s++) {
        const real *x = (const real *)c->x + s * step + channel * pixels;
        real *y = (real *)c->y + s * step + channel * pixels;
        for (int64_t i = 0; i < pixels; i++)
            y[i] = (x[i] - mean) * factor + bias;
    }
}

static void OF(batchnorm)(const struct cvt_call *c)
{
    const struct cvt_layer *l = c->layer;
    const real *weight = cvt_value(c, WEIGHT), *bias = cvt_value(c, BIAS);
    const real *running_mean = cvt_value(c, MEAN), *running_var = cvt_value(c, VARIANCE);
    const double count = (double)(c->run->count * l->in.pixels);
    const int own = c->run->use == CVG_TRAIN && !l->frozen;
    double *keep = c->keep;
    for (int64_t k = 0; k < l->in.channels; k++) {
        double mean = (double)running_mean[k], variance = (double)running_var[k], squares;
        if (own) {
            OF(statistics)(c, k, &mean, &squares);
            variance = squares / count;
            const double off = mean - (double)running_mean[k];
            ((real *)cvt_gradient(c, MEAN))[k] = (real)(count * off);
            ((real *)cvt_gradient(c, VARIANCE))[k] = (real)(squares + count * off * off);
        }
        const double inverse = 1 / sqrt(variance + l->eps);
        if (keep) {
            keep[2 * k] = mean;
            keep[2 * k + 1] = inverse;
        }
        OF(normalize)(c, k, (real)mean, (real)(inverse * (double)weight[k]), bias[k]);
    }
}

/* Sums of dy, and of dy (x - mean) / deviation, over a channel. */
static void OF(gradient_sums)(const struct cvt_call *c, int64_t channel, double *sum, double *product)
{
    const int64_t pixels = c->layer->in.pixels, step = c->layer->in.elements;
    const double *keep = (const double *)c->keep + 2 * channel;
    double lane[LANES] = {0}, with_x[LANES] = {0};
    for (int64_t s = 0; s < c->run->count; s++) {
        const real *x = (const real *)c->x + s * step + channel * pixels;
        const real *dy = (const real *)c->dy + s * step + channel * pixels;
        int64_t i = 0;
        for (; i + LANES <= pixels; i += LANES)
            for (int j = 0; j < LANES; j++) {
                lane[j] += (double)dy[i + j];
                with_x[j] += (double)dy[i + j] * ((double)x[i + j] - keep[0]);
            }
        for (int j = 0; i < pixels; i++, j++) {
            lane[j] += (double)dy[i];
            with_x[j] += (double)dy[i] * ((double)x[i] - keep[0]);
        }
    }
    *sum = sum_of(lane);
    *product = sum_of(with_x) * keep[1];
}

static void OF(batchnorm_back)(const struct cvt_call *c)
{
    const struct cvt_layer *l = c->layer;
    const real *weight = cvt_value(c, WEIGHT);
    const double *keep = c->keep, count = (double)(c->run->count * l->in.pixels);
    for (int64_t k = 0; k < l->in.channels; k++) {
        double sum = 0, product = 0;
        if (!l->frozen) {
            OF(gradient_sums)(c, k, &sum, &product);
            ((real *)cvt_gradient(c, WEIGHT))[k] = (real)product;
            ((real *)cvt_gradient(c, BIAS))[k] = (real)sum;
        }
        const real factor = (real)((double)weight[k] * keep[2 * k + 1]), mean = (real)keep[2 * k];
        const real from = (real)(sum / count), slope = (real)(product / count * keep[2 * k + 1]);
        for (int64_t s = 0; c->dx && s < c->run->count; s++) {
            const int64_t at = s * l->in.elements + k * l->in.pixels;
            const real *x = (const real *)c->x + at, *dy = (const real *)c->dy + at;
            real *dx = (real *)c->dx + at;
            for (int64_t i = 0; i < l->in.pixels; i++)
                dx[i] = ((dy[i] - from) - (x[i] - mean) * slope) * factor;
        }
    }
}

#endif
