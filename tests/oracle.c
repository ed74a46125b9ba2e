#include "oracle.h"

#include <math.h>
#include <string.h>

void oracle_run(const cvg_conv *conv, const struct oracle *o)
{
    /* Positions as digits of one number: the last axis counts fastest. */
    int64_t in = 1, filter = 1, out = 1, size[3] = {0};
    const int dims = conv->spatial_dims;
    const int64_t C = conv->in_channels, K = conv->out_channels;
    const int64_t Cg = C / conv->groups, Kg = K / conv->groups;

    for (int i = 0; i < dims; i++) {
        const int64_t reach = conv->dilation[i] * (conv->filter[i] - 1) + 1;
        size[i] = (conv->in[i] + conv->pad_begin[i] + conv->pad_end[i] - reach) / conv->stride[i] + 1;
        in *= conv->in[i];
        filter *= conv->filter[i];
        out *= size[i];
    }
    memset(o->grad_input, 0, sizeof(double) * (size_t)(conv->batch * C * in));
    memset(o->grad_input_sum, 0, sizeof(double) * (size_t)(conv->batch * C * in));
    memset(o->grad_weight, 0, sizeof(double) * (size_t)(K * Cg * filter));
    memset(o->grad_weight_sum, 0, sizeof(double) * (size_t)(K * Cg * filter));
    memset(o->grad_bias, 0, sizeof(double) * (size_t)K);
    memset(o->grad_bias_sum, 0, sizeof(double) * (size_t)K);

    for (int64_t y = 0; y < conv->batch * K * out; y++) {
        const int64_t k = y / out % K, n = y / out / K;
        const double dy = o->grad_output[y];
        o->output[y] = o->bias ? o->bias[k] : 0;
        o->output_sum[y] = fabs(o->output[y]);
        o->grad_bias[k] += dy;
        o->grad_bias_sum[k] += fabs(dy);
        for (int64_t tap = 0; tap < filter; tap++) {
            int64_t position = 0, unit = 1, pixel = y % out, rest = tap, inside = 1;
            for (int i = dims - 1; i >= 0; i--) {
                const int64_t at =
                    pixel % size[i] * conv->stride[i] - conv->pad_begin[i] + rest % conv->filter[i] * conv->dilation[i];
                inside &= at >= 0 && at < conv->in[i];
                position += at * unit;
                unit *= conv->in[i];
                pixel /= size[i];
                rest /= conv->filter[i];
            }
            for (int64_t c = 0; inside && c < Cg; c++) {
                const int64_t x = (n * C + k / Kg * Cg + c) * in + position;
                const int64_t w = (k * Cg + c) * filter + tap;
                o->output[y] += o->input[x] * o->weight[w];
                o->output_sum[y] += fabs(o->input[x] * o->weight[w]);
                o->grad_input[x] += dy * o->weight[w];
                o->grad_input_sum[x] += fabs(dy * o->weight[w]);
                o->grad_weight[w] += dy * o->input[x];
                o->grad_weight_sum[w] += fabs(dy * o->input[x]);
            }
        }
    }
}
