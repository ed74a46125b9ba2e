/*
 * What a job of groups.c works on: a region of some channels, opened as it lies in the caller's tensors, or copied,
 * image after image.
 */
#ifndef CVG_GROUPS_OPEN_H
#define CVG_GROUPS_OPEN_H

#include "../../tensor/window.h"
#include "direct.h"

/* One pass, cut into jobs; by the shape alone. */
struct cvg_groups {
    struct cvg_gather view; /* by these names, grad_weight is like forward */
    struct cvg_regions regions;
    int weight;                /* grad_weight */
    int many;                  /* channels in or out of a group */
    int nine;                  /* rows of grad_weight are read as they lie, by a kernel of its own, */
    int asks;                  /* and are asked for before they are read, */
    int64_t near;              /* or so many channels at a time are copied to lie near each other, or 0 */
    int halves;                /* the same of halves */
    int copied, turned;        /* the source, and the destination, to lanes of a job, which are floats */
    int clip[3];               /* in place, borders are classes of their own */
    int64_t channels;          /* of the destination */
    int64_t row;               /* elements between taps of the packed weight: all channels, in whole lines */
    int64_t c_count, c_blocks; /* of one job, in whole lines; */
    int64_t lanes;             /* that are copied at a time */
};

/* Pieces of a worker's scratch: copied source, turned destination, sums of grad_weight, terms, classes. */
enum { CVG_GROUPS_SOURCE, CVG_GROUPS_DESTINATION, CVG_GROUPS_SUMS, CVG_GROUPS_A, CVG_GROUPS_B, CVG_GROUPS_CLASSES };

/* Channels of a job as neighbours: in the caller's tensor, or copied, from coordinate first on. */
struct cvg_groups_lanes {
    struct cvg_view view;
    int64_t first[3];
};

/* A region of some channels: all its images and channels at once, or copied one by one, and some at a time. */
struct cvg_groups_block {
    const struct cvg_job *job;
    const struct cvg_groups *cut;
    struct cvg_view from, to; /* the caller's tensors, source and destination */
    int64_t first, end;       /* channels; */
    int64_t channel, width;   /* those that are open */
    struct cvg_region region;
    struct cvg_window window; /* its steps are those of source */
    int64_t listed;           /* classes, if they are the same for all images and channels */
    struct cvg_groups_lanes source, destination;
};

/* A class and its terms; of grad_weight they are taps. */
struct cvg_groups_class {
    struct cvg_class class;
    struct cvg_terms terms;
};

/* Where a class reads and writes: addresses of its first source and destination in an image and plane. */
struct cvg_groups_place {
    char *source, *destination;
    int64_t rows, count;
    int64_t source_row, source_step, row, step; /* elements between rows, and between neighbours */
};

/* Opens a block of channels of a region, piece by piece, and does something to each. */
void cvg_groups_run(const struct cvg_job *job, int64_t channels, int64_t region,
                    void (*run)(const struct cvg_groups_block *block));

/* Does something to each plane of each class of what is open. */
void cvg_groups_each(const struct cvg_groups_block *block,
                     void (*run)(const struct cvg_groups_block *block, const struct cvg_groups_class *class,
                                 const struct cvg_groups_place *at));

/*
 * Columns that lie 1 KiB or a multiple of it apart meet in the fewest sets of the cache, and 3x3 taps read each row of
 * the source three times: first some channels, of so many rows of results, are copied to lie near each other; with a
 * stride, of 4 KiB.  How many, or 0: it is read as it lies.
 */
enum { CVG_GROUPS_NEAR = 32768 }; /* bytes of a copy */
int64_t cvg_groups_near(const struct cvg_shape *shape, int gradient);
int64_t cvg_groups_near_rows(int64_t columns, int64_t stride);

/* Copies what they read of width channels, of the first row on, and has the frame be of the copy, which it returns. */
const char *cvg_groups_bring(const struct cvg_kernels *kernels, struct cvg_frame *frame, const char *src, int64_t rows,
                             int64_t channels, int64_t width, char *near);

/* Job: packs the weight to [l][tap][channel], a block of channels. */
void cvg_groups_pack(const struct cvg_job *job, int64_t index);

#endif
