/* What layers are built from: shapes, parameters, and where their arrays lie. */
#include "network.h"

#include <stdio.h>

int64_t cvt_times(int64_t a, int64_t b) { return a > 0 && b > CVT_MOST / a ? CVT_MOST : a * b; }

struct cvt_shape cvt_shape_of(int64_t channels, int rank, const int64_t size[3])
{
    struct cvt_shape s = {.channels = channels, .rank = rank, .pixels = 1};
    for (int i = 0; i < rank; i++) {
        s.size[i] = size[i];
        s.pixels = cvt_times(s.pixels, size[i]);
    }
    s.elements = cvt_times(s.pixels, channels);
    return s;
}

struct cvt_shape_text cvt_shape_text(const struct cvt_shape *s)
{
    struct cvt_shape_text text;
    struct cvt_text to = {text.text, sizeof text.text, 0};
    cvt_print(&to, "%lld", (long long)s->channels);
    for (int i = 0; i < s->rank; i++)
        cvt_print(&to, "x%lld", (long long)s->size[i]);
    return text;
}

void cvt_add_parameter(cvg_network *n, struct cvt_layer *layer, const char *part, int rank, const int64_t *shape,
                       int64_t fan_in, int64_t fan_out, double value, int statistic)
{
    struct cvt_parameter *p = &n->parameter[n->parameters];
    *p = (struct cvt_parameter){.layer = layer->index,
                                .rank = rank,
                                .statistic = statistic,
                                .count = 1,
                                .fan_in = fan_in,
                                .fan_out = fan_out,
                                .value = value};
    snprintf(p->name, sizeof p->name, "%d.%s", layer->index, part);
    for (int i = 0; i < rank; i++) {
        p->shape[i] = shape[i];
        p->count = cvt_times(p->count, shape[i]);
    }
    if (layer->parameter == CVT_NONE)
        layer->parameter = n->parameters;
    n->parameters++;
}

const void *cvt_value(const struct cvt_call *call, int part)
{
    const cvg_network *n = call->run->network;
    return call->run->parameters + (size_t)n->parameter[call->layer->parameter + part].offset * n->size;
}

void *cvt_gradient(const struct cvt_call *call, int part)
{
    const cvg_network *n = call->run->network;
    return call->run->gradient + (size_t)n->parameter[call->layer->parameter + part].offset * n->size;
}

void *cvt_block_at(const struct cvt_run *run, int block)
{
    if (block == CVT_NONE)
        return NULL;
    const struct cvt_block *b = &run->network->block[block];
    return b->begin[run->use] <= b->end[run->use] ? run->base + b->at[run->use] : NULL;
}
