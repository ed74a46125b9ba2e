/* dropout: an element's number is keyed by the seed, the layer, the epoch, and the sample's index in the data set. */
#ifndef real
#include "../network.h"
#include "../random.h"

#include <math.h>
#include <string.h>

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

/* Which elements of a sample pass, from the one at first on: those whose number / 2^32 is at least the probability. */
static void draw(double probability, struct cvg_random_key key, uint32_t epoch, uint64_t sample, int64_t first,
                 int64_t count, unsigned char *passes)
{
    const uint64_t least = (uint64_t)ceil(probability * 0x1p32);
    uint32_t number[CVG_RANDOM_SOME];
    cvg_random_some(key, epoch, sample, (uint32_t)(first / 4), number);
    for (int64_t i = 0; i < count; i++)
        passes[i] = number[i] >= least;
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

/* What passes, times factor; to may be from. */
static void OF(pass)(int64_t count, const unsigned char *restrict keep, real factor, const real *from, real *to)
{
    for (int64_t i = 0; i < count; i++) {
        const real value = from[i], kept = keep[i] ? value : 0; /* read in any case: so the compiler may take masks */
        to[i] = kept * factor;
    }
}

/* Channels last: the same elements pass, which lie elsewhere; first counts with channels first. */
static void OF(pass_turned)(const struct cvt_shape *s, int64_t first, int64_t count, const unsigned char *passes,
                            real factor, const real *x, real *y, unsigned char *keep)
{
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = (first + i) % s->pixels * s->channels + (first + i) / s->pixels;
        y[at] = passes[i] ? x[at] * factor : 0;
        if (keep)
            keep[at] = passes[i];
    }
}

static void OF(dropout)(const struct cvt_call *c)
{
    const struct cvt_shape *out = &c->layer->out;
    const int64_t elements = out->elements, last = cvt_turned(c->run->network, out);
    const cvg_shard *shard = c->run->shard;
    const real *x = c->x, factor = (real)(1 / (1 - c->layer->value));
    real *y = c->y;
    if (c->run->use == CVG_PREDICT) {
        for (int64_t i = 0, count = c->run->count * elements; i < count && y != x; i++)
            y[i] = x[i];
        return;
    }
    const struct cvg_random_key key = cvg_random_key(shard->seed, CVG_RANDOM_DROPOUT, (uint32_t)c->layer->index);
    unsigned char passes[CVG_RANDOM_SOME], *keep = c->keep;
    for (int64_t s = 0; s < c->run->count; s++, x += elements, y += elements) {
        const uint64_t sample = (uint64_t)(shard->index ? shard->index[s] : s);
        for (int64_t i = 0; i < elements; i += CVG_RANDOM_SOME) {
            const int64_t count = elements - i < CVG_RANDOM_SOME ? elements - i : CVG_RANDOM_SOME;
            draw(c->layer->value, key, (uint32_t)shard->epoch, sample, i, count, passes);
            if (last) {
                OF(pass_turned)(out, i, count, passes, factor, x, y, keep);
                continue;
            }
            OF(pass)(count, passes, factor, x + i, y + i);
            if (keep)
                memcpy(keep + i, passes, (size_t)count);
        }
        keep = keep ? keep + elements : NULL;
    }
}

static void OF(dropout_back)(const struct cvt_call *c)
{
    const real factor = (real)(1 / (1 - c->layer->value));
    if (c->dx)
        OF(pass)(c->run->count * c->layer->out.elements, c->keep, factor, c->dy, c->dx);
}

#endif
