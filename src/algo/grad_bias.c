/* grad_bias for the fast algorithms: bound by memory, so one plain pass over grad_output. */
#include "algo.h"

void cvg_grad_bias_sums(const struct cvg_job *job, int64_t channel)
{
    const struct cvg_task *t = job->task;
    const struct cvg_channels *tensor = cvg_state(job);
    const double sum = t->kernels->sum(cvg_at(t, t->grad_output, channel * tensor->size), t->shape->N,
                                       tensor->channels * tensor->size, tensor->size);
    union {
        float f32;
        double f64;
    } element;
    t->kernels->store(&element, 0, sum);
    t->kernels->put(cvg_at(t, t->result, channel), 1, &element, 1, 1, &t->finish);
}
