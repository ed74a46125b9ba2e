#include "geometry.h"

/* The steps of a view, 0 where the caller wants no gaps; returns its span. */
static int64_t steps_of(const cvg_conv *conv, const cvg_steps *view, int64_t channels, const int64_t extent[3],
                        int64_t steps[5])
{
    static const int order[2][5] = {{4, 3, 2, 1, 0}, {1, 4, 3, 2, 0}}; /* from the innermost on */
    const int64_t counts[5] = {conv->batch, channels, extent[0], extent[1], extent[2]};
    int64_t given[5] = {view->image, view->channel}, next = 1, last = 0;
    for (int i = 0; i < conv->spatial_dims; i++)
        given[5 - conv->spatial_dims + i] = view->axis[i];
    for (int i = 0; i < 5; i++) {
        const int axis = order[conv->layout == CVG_CHANNELS_LAST][i];
        steps[axis] = given[axis] ? given[axis] : next;
        next = steps[axis] * counts[axis];
        last += steps[axis] * (counts[axis] - 1);
    }
    return conv->batch ? last + 1 : 0;
}

struct geometry geometry_of(const cvg_conv *conv)
{
    struct geometry g = {.N = conv->batch,
                         .C = conv->in_channels,
                         .K = conv->out_channels,
                         .G = conv->groups,
                         .in_size = 1,
                         .filter_size = 1,
                         .out_size = 1};
    int64_t out[3];
    cvg_output_size(conv, out, NULL);
    g.Cg = g.C / g.G;
    g.Kg = g.K / g.G;
    for (int axis = 0; axis < 3; axis++) {
        const int from = axis - (3 - conv->spatial_dims);
        g.in[axis] = from < 0 ? 1 : conv->in[from];
        g.filter[axis] = from < 0 ? 1 : conv->filter[from];
        g.out[axis] = from < 0 ? 1 : out[from];
        g.stride[axis] = from < 0 ? 1 : conv->stride[from];
        g.dilation[axis] = from < 0 ? 1 : conv->dilation[from];
        g.pad[axis] = from < 0 ? 0 : conv->pad_begin[from];
        g.pad_end[axis] = from < 0 ? 0 : conv->pad_end[from];
        g.extent[axis] = (g.filter[axis] - 1) * g.dilation[axis] + 1;
        g.dense[axis] = g.in[axis] + g.pad[axis] + g.pad_end[axis] - g.extent[axis] + 1;
        g.in_size *= g.in[axis];
        g.filter_size *= g.filter[axis];
        g.out_size *= g.out[axis];
    }
    g.in_span = steps_of(conv, &conv->in_steps, g.C, g.in, g.in_steps);
    g.out_span = steps_of(conv, &conv->out_steps, g.K, g.out, g.out_steps);
    const int64_t kcrs[] = {g.Cg * g.filter_size, g.filter_size, 1}, krsc[] = {g.Cg * g.filter_size, 1, g.Cg};
    const int64_t rsck[] = {1, g.K, g.Cg * g.K};
    const int64_t *const weight = conv->weight_layout == CVG_KCRS   ? kcrs
                                  : conv->weight_layout == CVG_KRSC ? krsc
                                                                    : rsck;
    for (int i = 0; i < 3; i++)
        g.weight_steps[i] = weight[i];
    return g;
}

static int64_t place(int64_t index, int64_t channels, const int64_t extent[3], const int64_t steps[5])
{
    const int64_t size = extent[0] * extent[1] * extent[2];
    int64_t at[3];
    geometry_split(index % size, extent, at);
    return index / size / channels * steps[0] + index / size % channels * steps[1] + at[0] * steps[2] +
           at[1] * steps[3] + at[2] * steps[4];
}

int64_t geometry_in(const struct geometry *g, int64_t index) { return place(index, g->C, g->in, g->in_steps); }

int64_t geometry_out(const struct geometry *g, int64_t index) { return place(index, g->K, g->out, g->out_steps); }

int64_t geometry_weight(const struct geometry *g, int64_t index)
{
    return index / g->filter_size / g->Cg * g->weight_steps[0] + index / g->filter_size % g->Cg * g->weight_steps[1] +
           index % g->filter_size * g->weight_steps[2];
}

void geometry_split(int64_t index, const int64_t size[3], int64_t at[3])
{
    at[2] = index % size[2];
    at[1] = index / size[2] % size[1];
    at[0] = index / size[2] / size[1];
}

int64_t geometry_join(const int64_t at[3], const int64_t size[3])
{
    for (int i = 0; i < 3; i++)
        if (at[i] < 0 || at[i] >= size[i])
            return -1;
    return (at[0] * size[1] + at[1]) * size[2] + at[2];
}

int64_t geometry_meet(const struct geometry *g, int64_t pixel, int64_t tap)
{
    int64_t o[3], t[3], at[3];
    geometry_split(pixel, g->out, o);
    geometry_split(tap, g->filter, t);
    for (int i = 0; i < 3; i++)
        at[i] = o[i] * g->stride[i] - g->pad[i] + t[i] * g->dilation[i];
    return geometry_join(at, g->in);
}

int64_t geometry_carry(const struct geometry *g, int64_t position, int64_t tap)
{
    int64_t at[3], t[3], o[3];
    geometry_split(position, g->in, at);
    geometry_split(tap, g->filter, t);
    for (int i = 0; i < 3; i++) {
        const int64_t from = at[i] + g->pad[i] - t[i] * g->dilation[i];
        if (from < 0 || from % g->stride[i])
            return -1;
        o[i] = from / g->stride[i];
    }
    return geometry_join(o, g->out);
}
