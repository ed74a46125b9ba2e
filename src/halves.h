/* Passes on halves: of floats, some images at a time (tensor/stage.h). */
#ifndef CVG_HALVES_H
#define CVG_HALVES_H

#include "plan.h"

typedef void cvg_run_fn(const struct cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, void *workspace);

/*
 * Runs a pass on task's tensors of halves by run, which has the same workspace and is given floats in the place of all
 * halves; of weight and bias alone, by an algorithm that reads and writes the others itself; or of the bias, by kernels
 * of pairs.
 */
typedef void cvg_run_half_fn(const struct cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, void *workspace,
                             cvg_run_fn *run);
cvg_run_half_fn cvg_run_halves, cvg_run_reading, cvg_run_pairs;

#endif
