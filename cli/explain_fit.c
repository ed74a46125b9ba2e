/* How much of a problem can be shown, and cutting it down to that. */
#include "explain.h"

/* Elements of all arrays of an explanation together. */
static double cells(const cvg_conv *conv)
{
    int64_t out[3];
    double in = 1, filter = 1, outs = 1, padded = 1, dense = 1, full = 1;
    cvg_output_size(conv, out, NULL);
    for (int i = 0; i < conv->spatial_dims; i++) {
        const double extent = (double)(conv->filter[i] - 1) * (double)conv->dilation[i] + 1;
        const double all = (double)conv->in[i] + (double)conv->pad_begin[i] + (double)conv->pad_end[i];
        in *= (double)conv->in[i];
        filter *= (double)conv->filter[i];
        outs *= (double)out[i];
        padded *= all;
        dense *= all - extent + 1;
        full *= (double)conv->in[i] + extent - 1;
    }
    const double N = (double)conv->batch, C = (double)conv->in_channels, K = (double)conv->out_channels;
    const double weight = K * C / (double)conv->groups * filter, taps = C * filter;
    return N * C * (2 * in + padded) + 3 * weight + N * K * (3 * outs + dense + full) + 2 * N * outs * taps +
           2 * taps * K + K;
}

int explain_fits_text(const cvg_conv *conv) { return cells(conv) <= 300000; }

int explain_fits_page(const cvg_conv *conv) { return cells(conv) <= EXPLAIN_PAGE_CELLS; }

int explain_fits_figure(const cvg_conv *conv)
{
    int64_t out[3];
    cvg_output_size(conv, out, NULL);
    double rows = (double)conv->batch, image = (double)conv->in_channels, taps = image;
    for (int i = 0; i < conv->spatial_dims; i++) {
        rows *= (double)out[i];
        image *= (double)conv->in[i];
        taps *= (double)conv->filter[i];
    }
    return rows <= 16 && image <= 128 && taps <= 128;
}

/* Lets one axis have so many output elements, fewer than it has; 0 if that changes nothing. */
static int shorten(cvg_conv *conv, int axis, int64_t out)
{
    const int64_t extent = (conv->filter[axis] - 1) * conv->dilation[axis] + 1;
    const int64_t need =
        (out - 1) * conv->stride[axis] + extent - conv->pad_begin[axis]; /* of input and padding after it */
    const int64_t in = need < 1 ? 1 : need < conv->in[axis] ? need : conv->in[axis];
    const int64_t pad_end = need > in ? need - in : 0;
    const int changed = in != conv->in[axis] || pad_end != conv->pad_end[axis];
    conv->in[axis] = in;
    conv->pad_end[axis] = pad_end;
    return changed;
}

/* Shortens the longest axis that has more output elements than least and can be shortened; 0 if there is none. */
static int shorten_longest(cvg_conv *conv, int64_t least)
{
    enum { FAR = 64 }; /* beyond it by halves */
    int64_t out[3];
    cvg_output_size(conv, out, NULL);
    for (;;) {
        int longest = 0;
        for (int i = 1; i < conv->spatial_dims; i++)
            if (out[i] > out[longest])
                longest = i;
        if (out[longest] <= least)
            return 0;
        if (shorten(conv, longest, out[longest] > FAR ? out[longest] / 2 : out[longest] - 1))
            return 1;
        out[longest] = 0; /* its padding alone makes so many */
    }
}

int explain_cut(cvg_conv *conv, int (*fits)(const cvg_conv *conv))
{
    enum { FEW = 6 }; /* output elements of an axis, before channels go */
    while (!fits(conv)) {
        const int64_t K = conv->out_channels / conv->groups, C = conv->in_channels / conv->groups;
        if (conv->batch > 1) {
            conv->batch = 1;
        } else if (shorten_longest(conv, FEW)) {
            continue;
        } else if (conv->groups > 1) { /* the first group's channels come first: what is kept begins each tensor */
            conv->groups = 1;
            conv->out_channels = K;
            conv->in_channels = C;
        } else if (K > 1 || C > 1) {
            conv->out_channels = (K + 1) / 2;
            conv->in_channels = (C + 1) / 2;
        } else if (!shorten_longest(conv, 1)) {
            return 0;
        }
    }
    return 1;
}

struct array explain_cut_array(const struct array *array, const int64_t *begin, const int64_t *shape)
{
    struct array part;
    cvg_error error;
    if (!array_new(&part, array->type, array->rank, shape, &error))
        die(EXIT_WRONG, "%s", error.text);
    for (int64_t i = 0; i < part.count; i++) {
        int64_t from = 0, rest = i, step = 1;
        for (int axis = array->rank - 1; axis >= 0; axis--) {
            from += (begin[axis] + rest % shape[axis]) * step;
            rest /= shape[axis];
            step *= array->shape[axis];
        }
        array_set(&part, i, array_get(array, from));
    }
    return part;
}
