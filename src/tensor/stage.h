/*
 * Halves are computed as float: some images at a time are widened into the workspace, the pass is done there, on dense
 * tensors of float of the same layouts, and its result is rounded to where it belongs.  How many images that are
 * follows from the shape alone, and in grad_weight, whose sums go on from round to round, so do the bits.
 */
#ifndef CVG_STAGE_H
#define CVG_STAGE_H

#include "view.h"

struct cvg_stage {
    int64_t units, each, rounds;    /* images or pairs; of one round, the last may have fewer */
    int64_t in_unit, out_unit;      /* floats of one, of the input and of the output */
    int64_t out, weight, bias, all; /* where tensors begin in it, in floats; the input is the first */
};

/* The stage of a shape of halves, and the shape of float that is computed in it. */
struct cvg_stage cvg_stage_of(const struct cvg_shape *shape, struct cvg_shape *inner);

/* Of pairs of positions (cvg_shape_zip), the same ones in each round whether they are stored or not. */
int cvg_stage_zip(const struct cvg_shape *shape, int stored, struct cvg_shape *zipped, struct cvg_stage *stage);

/* Floats of a stage that has nothing but a weight and a bias, or a bias. */
static inline int64_t cvg_stage_weight(const struct cvg_stage *stage) { return stage->all - stage->weight; }
static inline int64_t cvg_stage_bias(const struct cvg_stage *stage) { return stage->all - stage->bias; }

#endif
