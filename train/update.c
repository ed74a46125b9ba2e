/*
 * Slices of parameters: sums of gradients, their squares, and the optimisers, as torch.optim.SGD and AdamW have them.
 * All arithmetic is elementwise, in the network's type, so that slices may be anybody's.
 *
 * Moments of what gets no gradient any more shrink until they are subnormal, and stay there: 0.9 times the least number
 * is rounded to itself.  Processors take a hundred times as long for those.  So a moment that is next to nothing is 0.
 */
#ifndef real
#include "trainer.h"

#include <float.h>
#include <math.h>

/* The part of a slice that is trained, range after range. */
#define EACH_RANGE(t, first, last)                                                        \
    for (int r_ = 0; r_ < (t)->ranges; r_++)                                              \
        for (int64_t first = (t)->range[r_].begin > begin ? (t)->range[r_].begin : begin, \
                     last = (t)->range[r_].end < end ? (t)->range[r_].end : end;          \
             first < last; first = last)

/* What one step does to each element, in double. */
struct rates {
    double rate, factor; /* the learning rate; what clipping multiplies gradients with */
    double scale1, scale2;
};

#define SELF "update.c"
#include "twice.h"

double cvt_slice_squares(const cvg_trainer *t, const void *gradient, int64_t begin, int64_t end)
{
    return t->network->type == CVG_F32 ? squares_f32(t, gradient, begin, end) : squares_f64(t, gradient, begin, end);
}

void cvt_slice_add(const cvg_network *n, int64_t begin, int64_t end, void *to, const void *from)
{
    n->type == CVG_F32 ? add_f32(begin, end, to, from) : add_f64(begin, end, to, from);
}

void cvt_slice_update(const cvg_trainer *t, struct cvt_state *state, const void *gradient, double rate, double factor,
                      int64_t begin, int64_t end)
{
    struct rates rates = {.rate = rate, .factor = factor};
    rates.scale1 = 1 / (1 - state->beta1_power * t->recipe.beta1);
    rates.scale2 = 1 / sqrt(1 - state->beta2_power * t->recipe.beta2);
    const int adam = t->recipe.optimizer == CVG_ADAMW;
    if (t->network->type == CVG_F32)
        adam ? adamw_f32(t, state, gradient, &rates, begin, end) : sgd_f32(t, state, gradient, &rates, begin, end);
    else
        adam ? adamw_f64(t, state, gradient, &rates, begin, end) : sgd_f64(t, state, gradient, &rates, begin, end);
}

void cvt_update_statistics(const cvg_trainer *t, void *parameters, const void *sums, int64_t count)
{
    const cvg_network *n = t->network;
    for (int i = 0; i < n->layers; i++)
        if (n->layer[i].kind == &cvt_batchnorm && !n->layer[i].frozen) {
            const double values = (double)(count * n->layer[i].in.pixels);
            n->type == CVG_F32 ? statistics_f32(n, &n->layer[i], parameters, sums, t->begin, values)
                               : statistics_f64(n, &n->layer[i], parameters, sums, t->begin, values);
        }
}

#else

static void OF(add)(int64_t begin, int64_t end, real *to, const real *from)
{
    for (int64_t i = begin; i < end; i++)
        to[i] += from[i];
}

/* In 8 lanes, so that it does not wait for each sum. */
static double OF(squares)(const cvg_trainer *t, const real *g, int64_t begin, int64_t end)
{
    double lane[8] = {0};
    EACH_RANGE(t, first, last)
    {
        int64_t i = first - t->begin;
        for (; i + 8 <= last - t->begin; i += 8)
            for (int j = 0; j < 8; j++)
                lane[j] += (double)g[i + j] * (double)g[i + j];
        for (int j = 0; i < last - t->begin; i++, j++)
            lane[j] += (double)g[i] * (double)g[i];
    }
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

/* 0 for what is less than 2^12 times the least normal number, so that a learning rate times it is normal, too. */
static inline real OF(flush)(real m)
{
    const real least = sizeof(real) == sizeof(float) ? (real)(FLT_MIN * 4096) : (real)(DBL_MIN * 4096);
    const real size = m < 0 ? -m : m;
    return size < least ? 0 : m;
}

/* kind: 0 plain, 1 momentum, 2 Nesterov's; a constant where it is inlined, so that each is a loop for the vectorizer.
 */
static inline void OF(sgd_some)(int kind, const cvg_trainer *t, const struct rates *rates, int64_t count,
                                real *restrict p, real *restrict m, const real *restrict gradient)
{
    const real rate = (real)rates->rate, factor = (real)rates->factor, decay = (real)t->recipe.weight_decay;
    const real momentum = (real)t->recipe.momentum;
    for (int64_t i = 0; i < count; i++) {
        real g = gradient[i] * factor + p[i] * decay;
        if (kind > 0) {
            m[i] = OF(flush)(m[i] * momentum + g);
            g = kind == 2 ? g + m[i] * momentum : m[i];
        }
        p[i] -= rate * g;
    }
}

static void OF(sgd)(const cvg_trainer *t, struct cvt_state *state, const real *gradient, const struct rates *rates,
                    int64_t begin, int64_t end)
{
    real *p = (real *)(void *)((char *)state + t->parameters_at);
    real *m = (real *)(void *)((char *)state + t->moment_at[0]);
    EACH_RANGE(t, first, last)
    {
        const int64_t count = last - first;
        const real *g = gradient + (first - t->begin);
        if (t->moments == 0)
            OF(sgd_some)(0, t, rates, count, p + first, NULL, g);
        else if (t->recipe.nesterov)
            OF(sgd_some)(2, t, rates, count, p + first, m + first, g);
        else
            OF(sgd_some)(1, t, rates, count, p + first, m + first, g);
    }
}

static void OF(adamw)(const cvg_trainer *t, struct cvt_state *state, const real *restrict gradient,
                      const struct rates *rates, int64_t begin, int64_t end)
{
    real *restrict p = (real *)(void *)((char *)state + t->parameters_at);
    real *restrict m = (real *)(void *)((char *)state + t->moment_at[0]);
    real *restrict v = (real *)(void *)((char *)state + t->moment_at[1]);
    const real factor = (real)rates->factor, keep = (real)(1 - rates->rate * t->recipe.weight_decay);
    const real beta1 = (real)t->recipe.beta1, beta2 = (real)t->recipe.beta2;
    const real new1 = (real)(1 - t->recipe.beta1), new2 = (real)(1 - t->recipe.beta2);
    const real step = (real)(rates->rate * rates->scale1), scale2 = (real)rates->scale2, eps = (real)t->recipe.epsilon;
    EACH_RANGE(t, first, last)
    for (int64_t i = first; i < last; i++) {
        const real g = gradient[i - t->begin] * factor;
        m[i] = OF(flush)(m[i] * beta1 + g * new1);
        v[i] = OF(flush)(v[i] * beta2 + g * g * new2);
        const real root = sizeof(real) == sizeof(float) ? (real)sqrtf((float)v[i]) : (real)sqrt((double)v[i]);
        p[i] = p[i] * keep - step * m[i] / (root * scale2 + eps);
    }
}

/* Running mean and variance, the latter unbiased, from the sums that shards left (layers/batchnorm.c). */
static void OF(statistics)(const cvg_network *n, const struct cvt_layer *l, real *parameters, const real *sums,
                           int64_t own, double values)
{
    const struct cvt_parameter *mean = &n->parameter[l->parameter + 2], *variance = mean + 1;
    for (int64_t c = 0; c < l->in.channels; c++) {
        const double old = (double)parameters[mean->offset + c], off = (double)sums[mean->offset + c - own] / values;
        const double squares = (double)sums[variance->offset + c - own] - off * off * values;
        const double unbiased = (squares > 0 ? squares : 0) / (values - 1);
        parameters[mean->offset + c] = (real)(old + l->value * off);
        parameters[variance->offset + c] =
            (real)((1 - l->value) * (double)parameters[variance->offset + c] + l->value * unbiased);
    }
}

#endif
