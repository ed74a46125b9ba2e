/*
 * Splitting the sums of grad_weight.  A pass whose weight is too small to give
 * every thread its own part of it splits the sum over batch and pixels into a
 * number of parts that depends on the shape alone; the parts are sums of their
 * own, added pairwise in a fixed tree.
 */
#ifndef CVG_PARTS_H
#define CVG_PARTS_H

#include "../tensor/view.h"
#include "algo.h"

/* The most parts that a weight of so many jobs is given, whatever the batch: what to reserve. */
int64_t cvg_parts_most(const struct cvg_shape *shape, int64_t jobs);

/* The parts of a weight of so many jobs and a sum over so many units: 1 to cvg_parts_most. */
int64_t cvg_parts(const struct cvg_shape *shape, int64_t jobs, int64_t units);

/* Shares room for the partial sums of most parts, if there may be several. */
void cvg_parts_share(const struct cvg_shape *shape, const struct cvg_kernels *kernels, int64_t most,
                     struct cvg_work *work);

/* The last phase: adds work->parts partial sums into the result, if there are several. */
void cvg_parts_phase(const struct cvg_shape *shape, struct cvg_work *work);

/* Where the sums of a part are written, and how: partial sums, or the result itself. */
struct cvg_filters cvg_parts_filters(const struct cvg_job *job, int64_t part);
const struct cvg_finish *cvg_parts_finish(const struct cvg_job *job);

#endif
