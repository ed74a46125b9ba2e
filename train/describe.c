/* What a network is, in words and numbers; its parameters, and how they start. */
#include "network.h"
#include "random.h"

#include <math.h>
#include <string.h>

int64_t cvg_shard_default(int64_t batch)
{
    for (int64_t shard = 32; shard > 8; shard /= 2)
        if (batch >= 4 * shard)
            return shard;
    return batch < 8 ? (batch < 1 ? 1 : batch) : 8;
}

int cvg_network_parameter(const cvg_network *n, int index, cvg_parameter *parameter)
{
    if (!n || !parameter || index < 0 || index >= n->parameters)
        return 0;
    const struct cvt_parameter *p = &n->parameter[index];
    *parameter = (cvg_parameter){.name = p->name,
                                 .layer = p->layer,
                                 .rank = p->rank,
                                 .offset = p->offset,
                                 .count = p->count,
                                 .trained = !p->statistic && !n->layer[p->layer].frozen};
    memcpy(parameter->shape, p->shape, sizeof p->shape);
    return 1;
}

const char *cvg_network_layer(const cvg_network *n, int index)
{
    return n && index >= 0 && index < n->layers ? n->layer[index].text : NULL;
}

size_t cvg_network_workspace_size(const cvg_network *n, cvg_use use)
{
    return n && (use == CVG_PREDICT || use == CVG_TRAIN) ? n->workspace[use] : 0;
}

static void put_shape(const struct cvt_shape *s, int64_t to[4])
{
    to[0] = s->channels;
    for (int i = 0; i < s->rank; i++)
        to[1 + i] = s->size[i];
}

cvg_status cvg_network_get_facts(const cvg_network *n, cvg_network_facts *facts)
{
    if (!n || !facts || facts->struct_size != sizeof *facts)
        return CVG_INVALID_ARGUMENT;
    const struct cvt_layer *last = &n->layer[n->layers - 2];
    const int classifies = n->layer[n->layers - 1].kind == &cvt_cross_entropy;
    *facts = (cvg_network_facts){.struct_size = sizeof *facts,
                                 .type = n->type,
                                 .layers = n->layers,
                                 .shard = n->shard,
                                 .input_elements = n->input.elements,
                                 .output_elements = last->out.elements,
                                 .target_elements = classifies ? 1 : last->out.elements,
                                 .parameters = n->elements,
                                 .trained = n->trained,
                                 .classifies = classifies,
                                 .fuses = n->fuses};
    put_shape(&n->input, facts->input);
    put_shape(&last->out, facts->output);
    return CVG_OK;
}

cvg_status cvg_network_get_layer(const cvg_network *n, int index, cvg_layer *layer)
{
    if (!n || !layer || layer->struct_size != sizeof *layer || index < 0 || index >= n->layers)
        return CVG_INVALID_ARGUMENT;
    const struct cvt_layer *l = &n->layer[index];
    *layer = (cvg_layer){.struct_size = sizeof *layer,
                         .kind = l->kind->name,
                         .from = l->from,
                         .other = l->other,
                         .groups = l->groups,
                         .value = l->value,
                         .eps = l->eps};
    put_shape(&l->in, layer->in);
    if (!l->kind->is_loss)
        put_shape(&l->out, layer->out);
    memcpy(layer->filter, l->filter, sizeof layer->filter);
    memcpy(layer->stride, l->stride, sizeof layer->stride);
    memcpy(layer->padding, l->padding, sizeof layer->padding);
    memcpy(layer->dilation, l->dilation, sizeof layer->dilation);
    memcpy(layer->output_padding, l->extra, sizeof layer->output_padding);
    return CVG_OK;
}

int cvg_network_scaling(const cvg_network *n, int64_t channel, double *factor, double *shift)
{
    if (!n || !factor || !shift || channel < 0 || channel >= n->input.channels)
        return 0;
    *factor = n->factor[channel];
    *shift = n->shift[channel];
    return 1;
}

/* Multiplications of a layer for one sample, in millions. */
static double products(const cvg_network *n, const struct cvt_layer *l)
{
    if (!l->plan)
        return 0;
    const double pixels = (double)(l->kind == &cvt_conv_transpose ? l->in.pixels : l->out.pixels);
    return (double)n->parameter[l->parameter].count * pixels / 1e6;
}

size_t cvg_network_describe(const cvg_network *n, char *text, size_t size)
{
    struct cvt_text t = {text, size, 0};
    double all = 0;
    if (text && size)
        *text = 0;
    if (!n)
        return 0;
    cvt_print(&t, "layer  %-36s %-16s %11s %10s  algorithms\n", "", "output", "parameters", "10^6 mult.");
    cvt_print(&t, "       %-36s %-16s\n", "input", cvt_shape_text(&n->input).text);
    for (int i = 0; i < n->layers; i++) {
        const struct cvt_layer *l = &n->layer[i];
        int64_t count = 0;
        for (int j = 0; j < n->parameters; j++)
            count += n->parameter[j].layer == i ? n->parameter[j].count : 0;
        const double million = products(n, l);
        all += million;
        cvt_print(&t, "%5d  %-36s %-16s %11lld %10.3f ", i, l->text,
                  l->kind->is_loss ? "" : cvt_shape_text(&l->out).text, (long long)count, million);
        for (int pass = 0; l->plan && pass < CVG_PASS_COUNT; pass++)
            cvt_print(&t, " %s", cvg_algo_name(cvg_plan_algo(l->plan[n->shard], (cvg_pass)pass)));
        cvt_print(&t, "%s\n", l->frozen ? " frozen" : "");
    }
    cvt_print(&t, "%lld parameters, %lld of them trained; %.3f million multiplications a sample\n",
              (long long)n->elements, (long long)n->trained, all);
    cvt_print(&t, "shards of %lld samples; workspace of one: %zu bytes to predict, %zu to train\n", (long long)n->shard,
              n->workspace[CVG_PREDICT], n->workspace[CVG_TRAIN]);
    return t.length;
}

static void put(const cvg_network *n, void *parameters, int64_t at, double value)
{
    if (n->type == CVG_F32)
        ((float *)parameters)[at] = (float)value;
    else
        ((double *)parameters)[at] = value;
}

cvg_status cvg_network_init(const cvg_network *n, cvg_init init, uint64_t seed, void *parameters)
{
    if (!n || !parameters || (init != CVG_HE && init != CVG_XAVIER))
        return CVG_INVALID_ARGUMENT;
    for (int i = 0; i < n->parameters; i++) {
        const struct cvt_parameter *p = &n->parameter[i];
        const struct cvg_random_key key = cvg_random_key(seed, CVG_RANDOM_INIT, (uint32_t)p->layer);
        const double fan = (double)p->fan_in + (init == CVG_XAVIER ? (double)p->fan_out : 0);
        const double bound = p->fan_in ? sqrt(6 / fan) : 0;
        uint32_t number[4] = {0};
        for (int64_t j = 0; j < p->count; j++) {
            if (p->fan_in && j % 4 == 0)
                cvg_random(key, 0, (uint64_t)(j / 4) >> 32, (uint32_t)(j / 4), number);
            put(n, parameters, p->offset + j,
                p->fan_in ? (cvg_random_uniform(number[j % 4]) * 2 - 1) * bound : p->value);
        }
    }
    return CVG_OK;
}
