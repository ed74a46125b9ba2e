/*
 * Positions of two operands as the microkernel walks them, level by level: what grad_weight, channels last, multiplies.
 */
#ifndef CVG_POSITIONS_H
#define CVG_POSITIONS_H

#include "../../kernels/kernels.h"
#include "../../tensor/window.h"

/* Steps of rows and lanes, outermost first. */
struct cvg_positions {
    int64_t levels;
    int64_t count[CVG_LEVELS], rows[CVG_LEVELS], lanes[CVG_LEVELS];
};

int64_t cvg_positions_count(const struct cvg_positions *positions);

/* Copies so many lanes or rows of all positions, which step says, to places that lie to_step apart. */
void cvg_positions_copy(const struct cvg_kernels *kernels, const struct cvg_positions *positions, const int64_t *step,
                        const char *from, int64_t width, char *to, int64_t to_step);

/* The steps of positions that are copied, to_step apart. */
void cvg_positions_copied(const struct cvg_positions *positions, int64_t to_step, int64_t *step);

#endif
