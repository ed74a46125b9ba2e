/* grad_bias for the fast algorithms: bound by memory, so one plain pass over grad_output. */
#include "algo.h"

struct call {
    const struct cvg_task *task;
    int64_t channels, size;
};

static void job(void *context, int64_t channel, int worker)
{
    const struct call *call = context;
    const struct cvg_task *t = call->task;
    const double sum = t->kernels->sum(cvg_at(t, t->grad_output, channel * call->size), t->shape->N,
                                       call->channels * call->size, call->size);
    union {
        float f32;
        double f64;
    } element;
    (void)worker;
    t->kernels->store(&element, 0, sum);
    cvg_put_result(t, channel, 1, &element, 1, 1);
}

void cvg_grad_bias_sums(const struct cvg_task *task, int64_t channels, int64_t size)
{
    struct call call = {task, channels, size};
    cvg_parallel(task->threads, task->workers, channels, job, &call);
}
