/* What a pass reads, multiplies and writes. */
#include "direct.h"

enum { FAR = 64 }; /* elements: what is written further apart costs no more */

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
