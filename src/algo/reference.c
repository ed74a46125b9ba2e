/*
 * The definition, and nothing else: each result is one plain sum in double,
 * rounded once.  Slow and obviously right; every other algorithm answers to it.
 */
#include "definition.h"

static void finish(const struct cvg_task *t, int64_t index, double sum)
{
    const double old = t->accumulate ? t->kernels->load(t->result, index) : 0;
    t->kernels->store(t->result, index, old + t->scale * sum);
}

/* Job: one channel of one image of the output. */
static void forward_job(void *context, int64_t job, int worker)
{
    const struct cvg_task *t = context;
    const double bias = t->bias ? t->kernels->load(t->bias, job % t->shape->K) : 0;
    (void)worker;
    for (int64_t i = job * t->shape->out_size; i < (job + 1) * t->shape->out_size; i++)
        finish(t, i, bias + cvg_definition(t, CVG_FORWARD, i).value);
}

/* Job: one channel of one image of the input. */
static void grad_input_job(void *context, int64_t job, int worker)
{
    const struct cvg_task *t = context;
    (void)worker;
    for (int64_t i = job * t->shape->in_size; i < (job + 1) * t->shape->in_size; i++)
        finish(t, i, cvg_definition(t, CVG_GRAD_INPUT, i).value);
}

/* Job: the filter of one k and c. */
static void grad_weight_job(void *context, int64_t job, int worker)
{
    const struct cvg_task *t = context;
    (void)worker;
    for (int64_t i = job * t->shape->filter_size; i < (job + 1) * t->shape->filter_size; i++)
        finish(t, i, cvg_definition(t, CVG_GRAD_WEIGHT, i).value);
}

struct bias_call {
    const struct cvg_task *task;
    int64_t channels, size;
};

/* Job: one channel. */
static void grad_bias_job(void *context, int64_t channel, int worker)
{
    const struct bias_call *call = context;
    (void)worker;
    finish(call->task, channel, cvg_definition_grad_bias(call->task, channel, call->channels, call->size).value);
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

static void grad_bias(const struct cvg_task *task, int64_t channels, int64_t size)
{
    struct bias_call call = {task, channels, size};
    cvg_parallel(task->threads, task->workers, channels, grad_bias_job, &call);
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
