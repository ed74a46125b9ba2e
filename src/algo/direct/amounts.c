/* What a pass reads, multiplies and writes. */
#include "direct.h"

enum {
    MOST_TAPS = 256, /* along an axis: more are rare, and long to count */
    FAR = 64,        /* elements: what is written further apart costs no more */
};

struct cvg_amounts cvg_amounts_of(const struct cvg_shape *s, cvg_pass pass)
{
    const double N = (double)s->N, strides = (double)s->stride[0] * (double)s->stride[1] * (double)s->stride[2];
    const int gradient = pass == CVG_GRAD_INPUT;
    struct cvg_amounts x = {
        .read = N * (double)s->C * (double)s->in_size,
        .written = N * (double)s->K * (double)s->out_size,
        .products = N * (double)s->K * (double)s->out_size * (double)s->taps,
    };
    x.result = gradient ? x.read : x.written;
    x.all = x.result * (double)(gradient ? s->Kg : s->Cg) * (double)s->filter_size / (gradient ? strides : 1);
    x.steps = gradient && s->stride[2] > 1 ? CVG_DIRECT_STRIDED * fmin((double)s->stride[2], FAR) * x.result : 0;
    return x;
}

int64_t cvg_inside_share(const struct cvg_shape *s, cvg_pass pass)
{
    int64_t share = 100;
    for (int i = 0; i < 3; i++) {
        if (s->filter[i] > MOST_TAPS || s->in[i] > INT32_MAX || s->out[i] > INT32_MAX)
            continue;
        int64_t inside = 0; /* pairs of an output position and a tap that meets the input */
        for (int64_t tap = 0; tap < s->filter[i]; tap++) {
            int64_t low, end;
            cvg_inside(tap * s->dilation[i] - s->pad[i], s->stride[i], s->out[i], s->in[i], &low, &end);
            inside += end - low;
        }
        const int64_t all = pass == CVG_GRAD_INPUT ? cvg_ceil_div(s->in[i], s->stride[i]) : s->out[i];
        share = share * inside / cvg_times(all, s->filter[i]);
    }
    return share;
}
