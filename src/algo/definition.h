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

/* The gradient of a channel's bias: the sum over task->grad_output, which is like the input if transposed. */
struct cvg_sum cvg_definition_grad_bias(const struct cvg_task *task, int64_t channel, int transposed);

/* Where element index of such a tensor lies, counted in the order N C D H W, or K C/G T R S, whatever its layout. */
enum cvg_like { CVG_LIKE_INPUT, CVG_LIKE_OUTPUT, CVG_LIKE_WEIGHT, CVG_LIKE_BIAS };
int64_t cvg_element_of(const struct cvg_shape *shape, enum cvg_like like, int64_t index);

#endif
