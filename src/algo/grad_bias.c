/* grad_bias for the fast algorithms: bound by memory, so one plain pass over grad_output. */
#include "../tensor/view.h"
#include "algo.h"

void cvg_grad_bias_sums(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const int *transposed = cvg_state(job);
    const struct cvg_view tensor = *transposed ? cvg_view_in(t, t->grad_output) : cvg_view_out(t, t->grad_output);
    const int64_t lanes = cvg_sum_lanes(&tensor), channel = index * lanes;
    double sums[CVG_SUM_LANES]; /* room for any type */
    if (channel >= tensor.channels)
        return; /* there are as many jobs as channels */
    const int width = (int)cvg_min(lanes, tensor.channels - channel);
    cvg_sum_positions(&tensor, t->kernels, t->shape->N, channel, width, sums);
    if (cvg_is_half(t->type)) {
        const struct cvg_view result = cvg_view_array(t->result_type, t->result, tensor.channels);
        cvg_write_elements(&result, t->kernels, 0, channel, width, (const float *)sums, &t->finish);
    } else {
        t->kernels->put(cvg_at(t, t->result, channel), 1, sums, 1, width, &t->finish);
    }
}
