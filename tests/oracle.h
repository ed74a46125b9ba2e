/*
 * An independent definition of the convolution and its gradients, of another
 * form than all code of the library: one nest visits every product once, and all
 * four results come from the same index relation.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include "convgrad.h"

/* Results in double, and sums[] of the absolute values of their terms; the caller owns all. */
struct oracle {
    const double *input, *weight, *bias, *grad_output;
    double *output, *grad_input, *grad_weight, *grad_bias;
    double *output_sum, *grad_input_sum, *grad_weight_sum, *grad_bias_sum;
};

void oracle_run(const cvg_conv *conv, const struct oracle *o);

#endif
