/* grad_bias for the fast algorithms: bound by memory, so one plain pass over grad_output. */
#include "../tensor/view.h"
#include "algo.h"

void cvg_grad_bias_sums(const struct cvg_job *job, int64_t channel)
{
    const struct cvg_task *t = job->task;
    const int *transposed = cvg_state(job);
    const struct cvg_view tensor = *transposed ? cvg_view_in(t, t->grad_output) : cvg_view_out(t, t->grad_output);
    const double sum = t->kernels->sum(cvg_view_at(&tensor, 0, channel, 0, 0, 0), t->shape->N, tensor.image,
                                       *transposed ? t->shape->in_size : t->shape->out_size);
    union {
        float f32;
        double f64;
    } element;
    t->kernels->store(&element, 0, sum);
    t->kernels->put(cvg_at(t, t->result, channel), 1, &element, 1, 1, &t->finish);
}
