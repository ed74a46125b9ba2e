/*
 * The definition, and nothing else: each result is one plain sum in double,
 * rounded once.  Slow and obviously right; every other algorithm answers to it.
 */
#include "definition.h"

/* Writes element index of the result, in a channel of it. */
static void finish(const struct cvg_task *t, enum cvg_like like, int64_t channel, int64_t index, double sum)
{
    const struct cvg_finish *f = &t->finish;
    const int64_t at = cvg_element_of(t->shape, like, index);
    const double base = f->bias         ? cvg_load(t->bias_type, f->bias, channel)
                        : f->accumulate ? cvg_load(t->result_type, t->result, at)
                                        : 0;
    cvg_store(t->result_type, t->result, at, base + f->scale * sum);
}

/* Job: one channel of one image of the output. */
static void forward_job(const struct cvg_job *job, int64_t channel)
{
    const struct cvg_task *t = job->task;
    for (int64_t i = channel * t->shape->out_size; i < (channel + 1) * t->shape->out_size; i++)
        finish(t, CVG_LIKE_OUTPUT, channel % t->shape->K, i, cvg_definition(t, CVG_FORWARD, i).value);
}

/* Job: one channel of one image of the input. */
static void grad_input_job(const struct cvg_job *job, int64_t channel)
{
    const struct cvg_task *t = job->task;
    for (int64_t i = channel * t->shape->in_size; i < (channel + 1) * t->shape->in_size; i++)
        finish(t, CVG_LIKE_INPUT, channel % t->shape->C, i, cvg_definition(t, CVG_GRAD_INPUT, i).value);
}

/* Job: the filter of one k and c. */
static void grad_weight_job(const struct cvg_job *job, int64_t filter)
{
    const struct cvg_task *t = job->task;
    for (int64_t i = filter * t->shape->filter_size; i < (filter + 1) * t->shape->filter_size; i++)
        finish(t, CVG_LIKE_WEIGHT, 0, i, cvg_definition(t, CVG_GRAD_WEIGHT, i).value);
}

static void grad_bias_job(const struct cvg_job *job, int64_t channel)
{
    const int *transposed = cvg_state(job);
    finish(job->task, CVG_LIKE_BIAS, channel, channel, cvg_definition_grad_bias(job->task, channel, *transposed).value);
}

static CVG_ONCE void prepare(const struct cvg_algorithm *self, const struct cvg_shape *s,
                             const struct cvg_kernels *kernels, cvg_pass pass, int workers, struct cvg_work *work)
{
    static cvg_job_fn *const run[] = {forward_job, grad_input_job, grad_weight_job};
    const int64_t jobs[] = {s->N * s->K, s->N * s->C, s->K * s->Cg};
    (void)self, (void)kernels, (void)workers;
    cvg_work_phase(work, jobs[pass], run[pass]);
}

/* A slow product in double for each of the definition's, and for each tap of an element that finds none. */
static double cost(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    const double N = (double)s->N, K = (double)s->K, taps = (double)s->taps;
    (void)self;
    return 200 * N * K * taps * (double)(pass == CVG_GRAD_INPUT ? s->in_size : s->out_size);
}

const struct cvg_algorithm cvg_reference = {
    .id = CVG_REFERENCE,
    .name = "reference",
    .stored = 1,
    .cost = cost,
    .prepare = prepare,
    .grad_bias = grad_bias_job,
};
