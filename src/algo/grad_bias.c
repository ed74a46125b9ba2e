/* grad_bias for the fast algorithms: bound by memory, so one plain pass over grad_output. */
#include "algo.h"

static void job(void *context, int64_t k, int worker)
{
    const struct cvg_task *t = context;
    const struct cvg_shape *s = t->shape;
    const double sum = t->kernels->sum(cvg_at(t, t->grad_output, k * s->out_size), s->N,
                                 s->K * s->out_size, s->out_size);
    union {
        float f32;
        double f64;
    } element;
    (void)worker;
    t->kernels->store(&element, 0, sum);
    cvg_put_result(t, k, 1, &element, 1, 1);
}

void cvg_grad_bias_sums(const struct cvg_task *task)
{
    cvg_parallel(task->threads, task->workers, task->shape->K, job, (void *)task);
}
