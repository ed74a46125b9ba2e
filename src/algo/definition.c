#include "definition.h"

/*
 * The input position that output position p and tap r meet along an axis, or
 * -1 when that is padding.
 */
static int64_t meet(const struct cvg_shape *s, int axis, int64_t p, int64_t r)
{
    const int64_t h = p * s->stride[axis] - s->pad[axis] + r * s->dilation[axis];
    return h >= 0 && h < s->in[axis] ? h : -1;
}

/* The output position that tap r carries to input position h, or -1 when there is none. */
static int64_t carry(const struct cvg_shape *s, int axis, int64_t h, int64_t r)
{
    const int64_t from = h + s->pad[axis] - r * s->dilation[axis];
    if (from < 0 || from % s->stride[axis])
        return -1;
    return from / s->stride[axis] < s->out[axis] ? from / s->stride[axis] : -1;
}

/* Where an element of the input or of the output lies, and a weight. */
static int64_t at(const cvg_steps *steps, int64_t n, int64_t channel, int64_t d, int64_t h, int64_t w)
{
    return n * steps->image + channel * steps->channel + d * steps->axis[0] + h * steps->axis[1] + w * steps->axis[2];
}

static int64_t filter_at(const struct cvg_shape *s, int64_t k, int64_t c, int64_t t, int64_t r, int64_t q)
{
    const int64_t tap = (t * s->filter[1] + r) * s->filter[2] + q;
    return k * s->weight_k + c * s->weight_c + tap * s->weight_tap;
}

static void add(const struct cvg_task *t, struct cvg_sum *sum, const void *a, int64_t i, const void *b, int64_t j)
{
    const double product = cvg_load(t->type, a, i) * cvg_load(t->type, b, j);
    sum->value += product;
    sum->absolute += fabs(product);
}

/* output[n][k][o][p][q] */
static struct cvg_sum output(const struct cvg_task *t, int64_t index)
{
    const struct cvg_shape *s = t->shape;
    const int64_t k = index / s->out_size % s->K, n = index / s->out_size / s->K, g = k / s->Kg;
    int64_t place[3];
    struct cvg_sum sum = {0, 0};
    cvg_split(index % s->out_size, s->out, place);
    for (int64_t c = 0; c < s->Cg; c++)
        for (int64_t a = 0; a < s->filter[0]; a++) {
            const int64_t d = meet(s, 0, place[0], a);
            for (int64_t r = 0; d >= 0 && r < s->filter[1]; r++) {
                const int64_t h = meet(s, 1, place[1], r);
                for (int64_t b = 0; h >= 0 && b < s->filter[2]; b++) {
                    const int64_t w = meet(s, 2, place[2], b);
                    if (w >= 0)
                        add(t, &sum, t->weight, filter_at(s, k, c, a, r, b), t->input,
                            at(&s->in_steps, n, g * s->Cg + c, d, h, w));
                }
            }
        }
    return sum;
}

/* grad_input[n][c][d][h][w] */
static struct cvg_sum grad_input(const struct cvg_task *t, int64_t index)
{
    const struct cvg_shape *s = t->shape;
    const int64_t c = index / s->in_size % s->C, n = index / s->in_size / s->C, g = c / s->Cg;
    int64_t place[3];
    struct cvg_sum sum = {0, 0};
    cvg_split(index % s->in_size, s->in, place);
    for (int64_t k = g * s->Kg; k < (g + 1) * s->Kg; k++)
        for (int64_t a = 0; a < s->filter[0]; a++) {
            const int64_t o = carry(s, 0, place[0], a);
            for (int64_t r = 0; o >= 0 && r < s->filter[1]; r++) {
                const int64_t p = carry(s, 1, place[1], r);
                for (int64_t b = 0; p >= 0 && b < s->filter[2]; b++) {
                    const int64_t q = carry(s, 2, place[2], b);
                    if (q >= 0)
                        add(t, &sum, t->grad_output, at(&s->out_steps, n, k, o, p, q), t->weight,
                            filter_at(s, k, c % s->Cg, a, r, b));
                }
            }
        }
    return sum;
}

/* grad_weight[k][c][t][r][s] */
static struct cvg_sum grad_weight(const struct cvg_task *t, int64_t index)
{
    const struct cvg_shape *s = t->shape;
    const int64_t c = index / s->filter_size % s->Cg, k = index / s->filter_size / s->Cg, g = k / s->Kg;
    int64_t tap[3];
    struct cvg_sum sum = {0, 0};
    cvg_split(index % s->filter_size, s->filter, tap);
    for (int64_t n = 0; n < s->N; n++)
        for (int64_t o = 0; o < s->out[0]; o++) {
            const int64_t d = meet(s, 0, o, tap[0]);
            for (int64_t p = 0; d >= 0 && p < s->out[1]; p++) {
                const int64_t h = meet(s, 1, p, tap[1]);
                for (int64_t q = 0; h >= 0 && q < s->out[2]; q++) {
                    const int64_t w = meet(s, 2, q, tap[2]);
                    if (w >= 0)
                        add(t, &sum, t->grad_output, at(&s->out_steps, n, k, o, p, q), t->input,
                            at(&s->in_steps, n, g * s->Cg + c, d, h, w));
                }
            }
        }
    return sum;
}

struct cvg_sum cvg_definition(const struct cvg_task *task, cvg_pass pass, int64_t index)
{
    return pass == CVG_FORWARD      ? output(task, index)
           : pass == CVG_GRAD_INPUT ? grad_input(task, index)
                                    : grad_weight(task, index);
}

struct cvg_sum cvg_definition_grad_bias(const struct cvg_task *t, int64_t channel, int transposed)
{
    const struct cvg_shape *s = t->shape;
    const int64_t *extent = transposed ? s->in : s->out;
    const cvg_steps *steps = transposed ? &s->in_steps : &s->out_steps;
    struct cvg_sum sum = {0, 0};
    for (int64_t n = 0; n < s->N; n++)
        for (int64_t d = 0; d < extent[0]; d++)
            for (int64_t h = 0; h < extent[1]; h++)
                for (int64_t w = 0; w < extent[2]; w++) {
                    const double value = cvg_load(t->type, t->grad_output, at(steps, n, channel, d, h, w));
                    sum.value += value;
                    sum.absolute += fabs(value);
                }
    return sum;
}

int64_t cvg_element_of(const struct cvg_shape *s, enum cvg_like like, int64_t index)
{
    int64_t place[3];
    if (like == CVG_LIKE_BIAS)
        return index;
    if (like == CVG_LIKE_WEIGHT)
        return index / s->taps * s->weight_k + index / s->filter_size % s->Cg * s->weight_c +
               index % s->filter_size * s->weight_tap;
    const int64_t size = like == CVG_LIKE_INPUT ? s->in_size : s->out_size,
                  channels = like == CVG_LIKE_INPUT ? s->C : s->K;
    cvg_split(index % size, like == CVG_LIKE_INPUT ? s->in : s->out, place);
    return at(like == CVG_LIKE_INPUT ? &s->in_steps : &s->out_steps, index / size / channels, index / size % channels,
              place[0], place[1], place[2]);
}
