/*
 * The parts of the direct algorithm: its forms, of which the first that fits a pass does it (direct.c).  One has all
 * passes of groups of few channels (groups.c).  forward and grad_input (gather.h) have four more: channels as lanes
 * (channels.c), pixels as lanes for few channels (pixels.c), one for one tap (dense.c), and one for groups of one
 * channel (depthwise.c), which reads planes as they lie for most filters (planes.c).  grad_weight has three: lanes of k
 * (weight.c), both tensors as they lie with channels last (weight_last.c), or dot products (dots.c).
 */
#ifndef CVG_DIRECT_H
#define CVG_DIRECT_H

#include "../../tensor/gather.h"
#include "../algo.h"
#include "../cost.h"

#include <math.h>

/* One form: what it is for, what AUTO expects of it, and how it is prepared (struct cvg_algorithm). */
struct cvg_form {
    int (*fits)(const struct cvg_shape *shape, cvg_pass pass);
    double (*cost)(const struct cvg_shape *shape, cvg_pass pass);
    void (*prepare)(const struct cvg_shape *shape, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                    struct cvg_work *work);
    /* Whether halves are read and written as they are, the weight and sums as floats; NULL: they never are. */
    int (*reads)(const struct cvg_shape *shape, cvg_pass pass);
};

/* Jobs that keep workers busy, so that jobs may as well be larger: each has tables to make and boxes to clear. */
static inline int64_t cvg_enough_jobs(int workers) { return workers == 1 ? 1 : 8 * (int64_t)workers; }

/* Whether so many jobs, all alike, keep workers busy; where a cut does not change bits. */
static inline int cvg_busy(int64_t jobs, int workers) { return jobs % workers == 0 || jobs >= 4 * (int64_t)workers; }

/* Whether taps are squares of 3x3 that meet at most a row and a column outside at either side; step: at most. */
static inline int cvg_are_nine(const struct cvg_shape *s, int64_t step)
{
    int nine = s->filter_size == 9 && s->stride[0] == 1;
    for (int i = 1; i < 3; i++)
        nine &= s->filter[i] == 3 && s->dilation[i] == 1 && s->stride[i] <= step && s->in[i] > 1 &&
                (s->pad[i] | s->pad_end[i]) <= 1;
    return nine && s->in[0] == s->out[0];
}

/* Up to as many destination channels, the weight is read in place. */
enum { CVG_FEW_CHANNELS = 6 };

/* Up to as many input channels, tile rows of grad_weight are pairs of a channel and a tap. */
enum { CVG_FEW_ROWS = 4 };

extern const struct cvg_form cvg_direct_channels, cvg_direct_pixels, cvg_direct_dense, cvg_direct_depthwise,
    cvg_direct_planes;                                                                   /* forward, grad_input */
extern const struct cvg_form cvg_direct_groups, cvg_direct_squares;                      /* all passes */
extern const struct cvg_form cvg_direct_weight_last, cvg_direct_weight, cvg_direct_dots; /* grad_weight */

/* How weight_last.c cuts grad_weight: regions, and parts of the sum, for which it shares memory. */
struct cvg_regions cvg_weight_last_cut(const struct cvg_shape *shape, const struct cvg_kernels *kernels, int workers,
                                       struct cvg_work *work);

/* Whether planes of groups of one channel in are read as they lie: by planes.c, or in grad_weight by dots.c. */
int cvg_reads_planes(const struct cvg_shape *shape, cvg_pass pass);

/*
 * What a square of taps meets, of destinations from a row and column on, in a channel of the source as it lies; steps
 * of the weight and next planes are left to the caller.  gradient: of grad_input, whose source may be spread.
 */
struct cvg_frame cvg_frame_of(const struct cvg_shape *shape, int gradient, const struct cvg_view *source, int64_t row,
                              int64_t column);

/* What a pass reads, multiplies and writes, for costs. */
struct cvg_amounts {
    double read, written; /* elements of input and output */
    double products;
    double result; /* elements of the result of forward or grad_input; */
    double all;    /* its products with what is padding, which most forms multiply, too; */
    double steps;  /* and what writing it far apart costs, with stride */
};

struct cvg_amounts cvg_amounts_of(const struct cvg_shape *shape, cvg_pass pass);

#endif
