/* What costs of several algorithms are made of. */
#include "algo.h"

enum { MOST_TAPS = 256 }; /* along an axis: more are rare, and long to count */

int64_t cvg_inside_share(const struct cvg_shape *s, cvg_pass pass, int axes)
{
    int64_t share = 100;
    for (int i = 0; i < axes; i++) {
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
