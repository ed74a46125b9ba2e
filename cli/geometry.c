#include "geometry.h"

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
    return g;
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
