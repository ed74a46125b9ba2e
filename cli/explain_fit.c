/* How much of a problem can be shown, and cutting it down to that. */
#include "explain.h"

#include <math.h>

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

int explain_fits_text(const cvg_conv *conv)
{
    return cells(conv) <= 300000;
}

int explain_fits_page(const cvg_conv *conv)
{
    return cells(conv) <= 12000; /* MOST_CELLS of page/engine.js */
}

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

/* Lets one axis have an output element less; the input keeps what the others need. */
static void shorten(cvg_conv *conv, int axis, int64_t out)
{
    const int64_t extent = (conv->filter[axis] - 1) * conv->dilation[axis] + 1;
    const int64_t need = (out - 2) * conv->stride[axis] + extent - conv->pad_begin[axis];
    if (need < conv->in[axis])
        conv->in[axis] = need < 1 ? 1 : need;
    conv->pad_end[axis] = need > conv->in[axis] ? need - conv->in[axis] : 0;
}

int explain_cut(cvg_conv *conv, int (*fits)(const cvg_conv *conv))
{
    enum { FEW = 6 }; /* output elements of an axis, before channels go */
    for (double now, before = INFINITY; !fits(conv); before = now) {
        now = cells(conv);
        if (now >= before)
            return 0; /* padding longer than what is left */
        const int64_t K = conv->out_channels / conv->groups, C = conv->in_channels / conv->groups;
        int64_t out[3];
        int longest = 0;
        cvg_output_size(conv, out, NULL);
        for (int i = 1; i < conv->spatial_dims; i++)
            if (out[i] > out[longest])
                longest = i;
        if (conv->batch > 1) {
            conv->batch = 1;
        } else if (out[longest] > 2 * FEW) { /* far: at once */
            shorten(conv, longest, out[longest] / 2 + 2);
        } else if (out[longest] > FEW) {
            shorten(conv, longest, out[longest]);
        } else if (conv->groups > 1) { /* the first group's channels come first: what is kept begins each tensor */
            conv->groups = 1;
            conv->out_channels = K;
            conv->in_channels = C;
        } else if (K > 1 || C > 1) {
            conv->out_channels = (K + 1) / 2;
            conv->in_channels = (C + 1) / 2;
        } else if (out[longest] > 1) {
            shorten(conv, longest, out[longest]);
        } else {
            return 0;
        }
    }
    return 1;
}

struct array explain_cut_array(const struct array *array, const int64_t *shape)
{
    struct array part;
    cvg_error error;
    if (!array_new(&part, array->type, array->rank, shape, &error))
        die(EXIT_WRONG, "%s", error.text);
    for (int64_t i = 0; i < part.count; i++) {
        int64_t from = 0, rest = i, step = 1;
        for (int axis = array->rank - 1; axis >= 0; axis--) {
            from += rest % shape[axis] * step;
            rest /= shape[axis];
            step *= array->shape[axis];
        }
        array_set(&part, i, array_get(array, from));
    }
    return part;
}
