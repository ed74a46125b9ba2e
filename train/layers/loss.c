/* cross_entropy (softmax inside) and mse: loss, hits, and the gradient of the outputs, all in double. */
#ifndef real
#include "../network.h"
#include "../real.h"

static cvg_status cross_entropy_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    (void)n;
    if (l->in.rank > 0 || l->in.channels < 2)
        return cvt_line_fail(line, "cross_entropy needs a flat input of at least 2 classes; it is %s",
                             cvt_shape_text(&l->in).text);
    l->out = l->in;
    return CVG_OK;
}

static cvg_status mse_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    (void)n;
    (void)line;
    l->out = l->in;
    return CVG_OK;
}

#define SELF "layers/loss.c"
#include "../twice.h"

cvg_status cvg_softmax(const cvg_network *n, int64_t count, void *output)
{
    if (!n || count < 0 || (count > 0 && !output))
        return CVG_INVALID_ARGUMENT;
    const int64_t classes = n->layer[n->layers - 2].out.elements;
    for (int64_t s = 0; s < count; s++)
        if (n->type == CVG_F32)
            softmax_f32(classes, (float *)output + s * classes);
        else
            softmax_f64(classes, (double *)output + s * classes);
    return CVG_OK;
}

const struct cvt_kind cvt_cross_entropy = {
    .name = "cross_entropy",
    .usage = "cross_entropy",
    .make = cross_entropy_make,
    .forward = {cross_entropy_f32, cross_entropy_f64},
    .is_loss = 1,
};

const struct cvt_kind cvt_mse = {
    .name = "mse",
    .usage = "mse",
    .make = mse_make,
    .forward = {mse_f32, mse_f64},
    .is_loss = 1,
};

#else

/* The largest of x, the first of equals; and the sum of e^(x - largest). */
static int64_t OF(largest)(int64_t count, const real *x, double *sum)
{
    int64_t most = 0;
    for (int64_t i = 1; i < count; i++)
        most = x[i] > x[most] ? i : most;
    *sum = 0;
    for (int64_t i = 0; i < count; i++)
        *sum += cvg_exp((double)x[i] - (double)x[most]);
    return most;
}

static void OF(softmax)(int64_t count, real *x)
{
    double sum;
    const double most = (double)x[OF(largest)(count, x, &sum)];
    for (int64_t i = 0; i < count; i++)
        x[i] = (real)(cvg_exp((double)x[i] - most) / sum);
}

static void OF(cross_entropy)(const struct cvt_call *c)
{
    const int64_t classes = c->layer->in.elements, *target = c->run->shard->target;
    const double batch = (double)c->run->shard->batch;
    const real *x = c->x;
    real *dx = c->dx;
    for (int64_t s = 0; s < c->run->count; s++, x += classes) {
        double sum;
        const int64_t most = OF(largest)(classes, x, &sum);
        c->run->loss->sum += cvg_log(sum) - ((double)x[target[s]] - (double)x[most]);
        c->run->loss->hits += most == target[s];
        for (int64_t i = 0; dx && i < classes; i++)
            *dx++ = (real)((cvg_exp((double)x[i] - (double)x[most]) / sum - (i == target[s])) / batch);
    }
}

static void OF(mse)(const struct cvt_call *c)
{
    const int64_t elements = c->layer->in.elements;
    const double batch = (double)c->run->shard->batch * (double)elements;
    const struct cvt_shape *in = &c->layer->in;
    /* targets have channels first; so have the outputs that were predicted */
    const int last = c->run->use == CVG_TRAIN && cvt_turned(c->run->network, in);
    const int64_t channel = last ? 1 : in->pixels, pixel = last ? in->channels : 1;
    const real *x = c->x, *target = c->run->shard->target;
    real *dx = c->dx;
    for (int64_t s = 0; s < c->run->count; s++, x += elements, dx = dx ? dx + elements : NULL) {
        double sum = 0;
        for (int64_t k = 0; k < in->channels; k++)
            for (int64_t p = 0; p < in->pixels; p++) {
                const int64_t at = k * channel + p * pixel;
                const double d = (double)x[at] - (double)*target++;
                sum += d * d;
                if (dx)
                    dx[at] = (real)(2 * d / batch);
            }
        c->run->loss->sum += sum / (double)elements;
    }
}

#endif
