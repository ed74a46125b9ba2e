/* The definition of each result, one element at a time: what every algorithm answers to. */
#ifndef CVG_DEFINITION_H
#define CVG_DEFINITION_H

#include "algo.h"

/* A sum in double of exact products (or of numbers), and that of their absolute values. */
struct cvg_sum {
    double value, absolute;
};

/* Element index of a pass's result, from task's operands: without bias, scale and old values. */
struct cvg_sum cvg_definition(const struct cvg_task *task, cvg_pass pass, int64_t index);

/* The gradient of a channel's bias: the sum over task->grad_output, a tensor of N x channels x size. */
struct cvg_sum cvg_definition_grad_bias(const struct cvg_task *task, int64_t channel, int64_t channels, int64_t size);

#endif
