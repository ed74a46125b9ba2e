/*
 * Splitting the sums of grad_weight.  A pass whose weight is too small to give
 * every thread its own part of it splits the sum over batch and pixels into a
 * number of parts that depends on the shape alone; the parts are sums of their
 * own, added pairwise in a fixed tree.
 */
#ifndef CVG_PARTS_H
#define CVG_PARTS_H

#include "algo.h"

/* The most parts that a weight of so many jobs is given, whatever the batch: what to reserve. */
int64_t cvg_parts_most(const struct cvg_shape *shape, int64_t jobs);

/* The parts of a weight of so many jobs and a sum over so many units: 1 to cvg_parts_most. */
int64_t cvg_parts(const struct cvg_shape *shape, int64_t jobs, int64_t units);

/* Adds partial[parts][weights] into result; partial[0] is overwritten. */
void cvg_parts_add(const struct cvg_task *task, int64_t parts, void *partial);

#endif
