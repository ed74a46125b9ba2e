/* dropout: an element's number is keyed by the seed, the layer, the epoch, and the sample's index in the data set. */
#ifndef real
#include "../network.h"
#include "../random.h"

static cvg_status dropout_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    l->value = 0.5;
    const cvg_status status = cvt_read_number(line, cvt_take(line), "the probability", &l->value);
    if (status)
        return status;
    if (!(l->value >= 0 && l->value < 1))
        return cvt_line_fail(line, "the probability is %g; must be at least 0 and less than 1", l->value);
    l->out = l->in;
    l->keep_size = (size_t)cvt_times(l->out.elements, n->shard); /* one byte each: whether it passes */
    return CVG_OK;
}

#define SELF "layers/dropout.c"
#include "../twice.h"

const struct cvt_kind cvt_dropout = {
    .name = "dropout",
    .usage = "dropout [0.5]",
    .make = dropout_make,
    .forward = {dropout_f32, dropout_f64},
    .backward = {dropout_back_f32, dropout_back_f64},
    .may_replace = 1,
};

#else

static void OF(dropout)(const struct cvt_call *c)
{
    const struct cvt_shape *out = &c->layer->out;
    const int64_t elements = out->elements, last = cvt_turned(c->run->network, out);
    const int64_t channel = last ? 1 : out->pixels, pixel = last ? out->channels : 1;
    const cvg_shard *shard = c->run->shard;
    const real *x = c->x, factor = (real)(1 / (1 - c->layer->value));
    real *y = c->y;
    if (c->run->use == CVG_PREDICT) {
        for (int64_t i = 0, count = c->run->count * elements; i < count && y != x; i++)
            y[i] = x[i];
        return;
    }
    const struct cvg_random_key key = cvg_random_key(shard->seed, CVG_RANDOM_DROPOUT, (uint32_t)c->layer->index);
    unsigned char *keep = c->keep;
    for (int64_t s = 0; s < c->run->count; s++) {
        const uint64_t sample = (uint64_t)(shard->index ? shard->index[s] : s);
        uint32_t number[4];
        int64_t i = 0; /* with channels first: the same elements pass in each layout */
        for (int64_t k = 0; k < out->channels; k++)
            for (int64_t p = 0; p < out->pixels; p++, i++) {
                const int64_t at = k * channel + p * pixel;
                if (i % 4 == 0)
                    cvg_random(key, (uint32_t)shard->epoch, sample, (uint32_t)(i / 4), number);
                const int passes = cvg_random_uniform(number[i % 4]) >= c->layer->value;
                y[at] = passes ? x[at] * factor : 0;
                if (keep)
                    keep[at] = (unsigned char)passes;
            }
        x += elements;
        y += elements;
        keep = keep ? keep + elements : NULL;
    }
}

static void OF(dropout_back)(const struct cvt_call *c)
{
    const unsigned char *keep = c->keep;
    const real *dy = c->dy, factor = (real)(1 / (1 - c->layer->value));
    real *dx = c->dx;
    for (int64_t i = 0, count = dx ? c->run->count * c->layer->out.elements : 0; i < count; i++)
        dx[i] = keep[i] ? dy[i] * factor : 0;
}

#endif
