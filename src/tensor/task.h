/* One call of one pass, and the elements of its tensors. */
#ifndef CVG_TASK_H
#define CVG_TASK_H

#include "../kernels/kernels.h"
#include "../shape.h"
#include "sizes.h"

/* Everything an algorithm may look at. */
struct cvg_task {
    const struct cvg_shape *shape;
    const struct cvg_kernels *kernels;
    const void *input, *weight, *grad_output; /* those that the pass reads */
    void *result;                             /* output, grad_input, grad_weight or grad_bias */
    cvg_type type, result_type, bias_type;    /* of what is read, of the result, and of the finish's bias, as stored */
    struct cvg_finish finish; /* of the result's sums; a bias has an element for each channel of the result */
};

/* The address of element index of an array of the kernels' type. */
static inline void *cvg_at(const struct cvg_task *task, const void *array, int64_t index)
{
    return (char *)array + index * (int64_t)task->kernels->size;
}

/* What becomes of sums that are no result yet. */
static const struct cvg_finish cvg_plain = {.scale = 1};

/* What becomes of the sums of a channel of the result, and of those after it. */
static inline struct cvg_finish cvg_finish_of(const struct cvg_task *task, int64_t channel)
{
    struct cvg_finish finish = task->finish;
    if (finish.bias)
        finish.bias = cvg_at(task, finish.bias, channel);
    return finish;
}

#endif
