/* The plan: a validated problem and the algorithm chosen for each pass. */
#ifndef CVG_PLAN_H
#define CVG_PLAN_H

#include "algo/algo.h"

struct cvg_plan {
    struct cvg_shape shape;
    double gradient_scale;
    size_t workspace_limit;
    double error_growth;
    struct cvg_threads threads;
    const struct cvg_kernels *kernels;
    struct {
        const struct cvg_algorithm *algorithm;
        int pinned; /* by the options */
        size_t workspace;
        int workers;
    } pass[CVG_PASS_COUNT];
};

#endif
