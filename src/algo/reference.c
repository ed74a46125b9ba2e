/*
 * The definition, and nothing else: each result is one plain sum in double,
 * rounded once.  Slow and obviously right; every other algorithm answers to it.
 */
#include "algo.h"

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

/* Row-major index into a box of three axes. */
static int64_t at(const int64_t size[3], int64_t a, int64_t b, int64_t c)
{
    return (a * size[1] + b) * size[2] + c;
}

static void finish(const struct cvg_task *t, int64_t index, double sum)
{
    const double old = t->accumulate ? t->kernels->load(t->result, index) : 0;
    t->kernels->store(t->result, index, old + t->scale * sum);
}

/* Job: one n and k.  output[n][k][o][p][q] */
static void forward_job(void *context, int64_t job, int worker)
{
    const struct cvg_task *t = context;
    const struct cvg_shape *s = t->shape;
    const int64_t n = job / s->K, k = job % s->K, g = k / s->Kg;
    (void)worker;

    for (int64_t o = 0; o < s->out[0]; o++)
        for (int64_t p = 0; p < s->out[1]; p++)
            for (int64_t q = 0; q < s->out[2]; q++) {
                double sum = t->bias ? t->kernels->load(t->bias, k) : 0;
                for (int64_t c = 0; c < s->Cg; c++)
                    for (int64_t a = 0; a < s->filter[0]; a++)
                        for (int64_t r = 0; r < s->filter[1]; r++)
                            for (int64_t b = 0; b < s->filter[2]; b++) {
                                const int64_t d = meet(s, 0, o, a), h = meet(s, 1, p, r),
                                              w = meet(s, 2, q, b);
                                if (d < 0 || h < 0 || w < 0)
                                    continue;
                                sum += t->kernels->load(t->weight, (k * s->Cg + c) * s->filter_size +
                                                                       at(s->filter, a, r, b)) *
                                       t->kernels->load(t->input, (n * s->C + g * s->Cg + c) *
                                                                          s->in_size +
                                                                      at(s->in, d, h, w));
                            }
                finish(t, (n * s->K + k) * s->out_size + at(s->out, o, p, q), sum);
            }
}

/* Job: one n and c.  grad_input[n][c][d][h][w] */
static void grad_input_job(void *context, int64_t job, int worker)
{
    const struct cvg_task *t = context;
    const struct cvg_shape *s = t->shape;
    const int64_t n = job / s->C, c = job % s->C, g = c / s->Cg;
    (void)worker;

    for (int64_t d = 0; d < s->in[0]; d++)
        for (int64_t h = 0; h < s->in[1]; h++)
            for (int64_t w = 0; w < s->in[2]; w++) {
                double sum = 0;
                for (int64_t k = g * s->Kg; k < (g + 1) * s->Kg; k++)
                    for (int64_t a = 0; a < s->filter[0]; a++) {
                        const int64_t o = carry(s, 0, d, a);
                        for (int64_t r = 0; o >= 0 && r < s->filter[1]; r++) {
                            const int64_t p = carry(s, 1, h, r);
                            for (int64_t b = 0; p >= 0 && b < s->filter[2]; b++) {
                                const int64_t q = carry(s, 2, w, b);
                                if (q < 0)
                                    continue;
                                sum += t->kernels->load(t->grad_output, (n * s->K + k) *
                                                                                s->out_size +
                                                                            at(s->out, o, p, q)) *
                                       t->kernels->load(t->weight,
                                                        (k * s->Cg + c % s->Cg) * s->filter_size +
                                                            at(s->filter, a, r, b));
                            }
                        }
                    }
                finish(t, (n * s->C + c) * s->in_size + at(s->in, d, h, w), sum);
            }
}

/* Job: one k and c.  grad_weight[k][c][t][r][s] */
static void grad_weight_job(void *context, int64_t job, int worker)
{
    const struct cvg_task *t = context;
    const struct cvg_shape *s = t->shape;
    const int64_t k = job / s->Cg, c = job % s->Cg, g = k / s->Kg;
    (void)worker;

    for (int64_t a = 0; a < s->filter[0]; a++)
        for (int64_t r = 0; r < s->filter[1]; r++)
            for (int64_t b = 0; b < s->filter[2]; b++) {
                double sum = 0;
                for (int64_t n = 0; n < s->N; n++)
                    for (int64_t o = 0; o < s->out[0]; o++) {
                        const int64_t d = meet(s, 0, o, a);
                        for (int64_t p = 0; d >= 0 && p < s->out[1]; p++) {
                            const int64_t h = meet(s, 1, p, r);
                            for (int64_t q = 0; h >= 0 && q < s->out[2]; q++) {
                                const int64_t w = meet(s, 2, q, b);
                                if (w < 0)
                                    continue;
                                sum += t->kernels->load(t->grad_output, (n * s->K + k) *
                                                                                s->out_size +
                                                                            at(s->out, o, p, q)) *
                                       t->kernels->load(t->input, (n * s->C + g * s->Cg + c) *
                                                                          s->in_size +
                                                                      at(s->in, d, h, w));
                            }
                        }
                    }
                finish(t, (k * s->Cg + c) * s->filter_size + at(s->filter, a, r, b), sum);
            }
}

/* Job: one k.  grad_bias[k] */
static void grad_bias_job(void *context, int64_t k, int worker)
{
    const struct cvg_task *t = context;
    const struct cvg_shape *s = t->shape;
    double sum = 0;
    (void)worker;

    for (int64_t n = 0; n < s->N; n++)
        for (int64_t i = 0; i < s->out_size; i++)
            sum += t->kernels->load(t->grad_output, (n * s->K + k) * s->out_size + i);
    finish(t, k, sum);
}

static size_t workspace(const struct cvg_shape *shape, const struct cvg_kernels *kernels,
                        cvg_pass pass, int workers)
{
    (void)shape, (void)kernels, (void)pass, (void)workers;
    return 0;
}

static void forward(const struct cvg_task *task)
{
    const struct cvg_shape *s = task->shape;
    cvg_parallel(task->threads, task->workers, s->N * s->K, forward_job, (void *)task);
}

static void grad_input(const struct cvg_task *task)
{
    const struct cvg_shape *s = task->shape;
    cvg_parallel(task->threads, task->workers, s->N * s->C, grad_input_job, (void *)task);
}

static void grad_weight(const struct cvg_task *task)
{
    const struct cvg_shape *s = task->shape;
    cvg_parallel(task->threads, task->workers, s->K * s->Cg, grad_weight_job, (void *)task);
}

static void grad_bias(const struct cvg_task *task)
{
    cvg_parallel(task->threads, task->workers, task->shape->K, grad_bias_job, (void *)task);
}

/* A slow product in double for each of the definition's, and for each tap of an element that finds none. */
static double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const double N = (double)s->N, K = (double)s->K, taps = (double)s->taps;
    return 200 * N * K * taps * (double)(pass == CVG_GRAD_INPUT ? s->in_size : s->out_size);
}

const struct cvg_algorithm cvg_reference = {
    .id = CVG_REFERENCE,
    .name = "reference",
    .cost = cost,
    .workspace = workspace,
    .run = {forward, grad_input, grad_weight},
    .grad_bias = grad_bias,
};
