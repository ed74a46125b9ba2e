/*
 * How forward and grad_input with lanes of destination channels (channels.c) are cut into jobs, and where these work.
 */
#ifndef CVG_CHANNELS_CUT_H
#define CVG_CHANNELS_CUT_H

#include "../../run/job.h"
#include "../../tensor/gather.h"
#include "../../tensor/window.h"

/* One pass, cut into jobs, which does not change the order of the sums. */
struct cvg_channels {
    struct cvg_gather view;
    struct cvg_shape line; /* the problem, each image one line, if it can be */
    struct cvg_regions regions;
    int64_t m_count, m_blocks;
    int64_t groups; /* of one job: they share lists of destinations */
    int widest;     /* the widest tile: the main one, or channels last, where rows are no neighbours, that for such */
    int padded;     /* columns meet padding */
    int in_place;   /* no window */
    int lanes;      /* of a window are channels, as they are neighbours in the source */
    int ahead;      /* the source of a tile to come is asked for: it is read once, from memory */
    int in_result;  /* sums of whole panels grow in the result, where channels are neighbours, or, of pairs that are
                       all added at once, are rounded to it; */
    int claims;     /* which no near cache holds */
    int clip[3];    /* border columns are classes of their own; else the window is padded */
    int64_t l_count;
    int pack_once;       /* the weight, for all regions */
    int weight_in_place; /* whole panels, whose lanes are neighbours: so few destinations do not repay packing */
    int64_t weight_size; /* elements of one group's packed weight */
    int64_t even;        /* destinations of a region, if they and what they read lie evenly apart: all share lists */
};

/* Pieces of a worker's scratch. */
enum { WINDOW, WEIGHT, SUMS, ROW, PLACE, TO, A, B };

void cvg_channels_cut(const struct cvg_shape *shape, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                      struct cvg_channels *cut);

/* The jobs of all regions. */
int64_t cvg_channels_jobs(const struct cvg_shape *shape, const struct cvg_channels *cut);

/* Elements of the lists that all regions share: row, place, to. */
static inline int64_t cvg_channels_lists(const struct cvg_channels *cut) { return CVG_FAST ? 3 * cut->even : 0; }

/* Shares lists and the packed weight, [group][panel][l][tap][lane]; lays out scratch; enough for any batch. */
void cvg_channels_lay_out(const struct cvg_shape *shape, const struct cvg_kernels *kernels,
                          const struct cvg_channels *cut, struct cvg_work *work);

#endif
