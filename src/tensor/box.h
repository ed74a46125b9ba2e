/*
 * Axes and boxes: where a convolution reads, for every stride, dilation and
 * padding, and the zero-padded copy of it that the microkernel can read
 * without a test.
 *
 * Along one axis, destination i and tap m meet the source element
 *
 *   source(i, m) = source_first + i * source_step + m * tap_source_step
 *
 * which is zero padding when it falls outside the source.  In forward and
 * grad_weight the destinations are all output positions, source_step is the
 * stride and tap_source_step the dilation.  In grad_input the destinations are
 * the input positions of one stride phase, first, first + stride, ...: only
 * every so-many-th tap reaches them, and with those alone the source advances
 * by 1.  So no pass ever multiplies by the zeros of a stuffed gradient.
 *
 * A box holds the source elements that a block of destinations meets, so laid
 * out that neighbouring destinations read neighbouring elements: a line of each
 * axis holds the sources of a run of destinations at slot(i, m) = slot(m) + i.
 * Taps whose sources interleave at whole steps share a class of slots; when the
 * taps lie so far apart that sharing saves nothing, each has slots of its own.
 * An axis therefore never has more than taps * count slots, however large
 * stride, dilation or padding are.  Classes of all three axes come first, then
 * the three lines: all that one tap reads lies within length[0] x length[1] x
 * length[2] elements.
 */
#ifndef CVG_BOX_H
#define CVG_BOX_H

#include "view.h"

struct cvg_axis {
    int64_t first, step, count; /* destination coordinates: first + i*step, i < count */
    int64_t source_first, source_step, source_size;
    int64_t tap_first, tap_step, taps; /* filter coordinates: tap_first + m*tap_step, m < taps */
    int64_t tap_source_step;
    /* The slots, see cvg_axis_part. */
    int64_t classes, length; /* slots = classes * length */
    int64_t period, shift, lead;
};

/* The whole axis as forward and grad_weight walk it: destinations are output positions. */
struct cvg_axis cvg_axis_forward(const struct cvg_shape *shape, int axis);

/* One stride phase of an axis as grad_input walks it; phase < min(stride, in). */
struct cvg_axis cvg_axis_phase(const struct cvg_shape *shape, int axis, int64_t phase);

/*
 * A run of destinations of one axis, at + i*step for i < count, that sum the same
 * taps: tap + m*tap_step for m < taps.  Destination i and tap m meet the source
 * element source + i*source_step + m*tap_source_step.
 */
struct cvg_run {
    int64_t at, step, count;
    int64_t source, source_step;
    int64_t tap, tap_step, taps, tap_source_step;
};

/*
 * Walks the runs of destinations [begin, end) of an axis.  With clip every run
 * has exactly the taps that meet the source, so that nothing is read outside it;
 * without, one run for each stride phase has the taps that any of it needs.
 */
struct cvg_runs {
    const struct cvg_shape *shape;
    int axis;
    int gradient; /* 0: forward and grad_weight; 1: grad_input */
    int clip;
    int64_t begin, end;
    int64_t phase, next; /* where the walk is, counted from begin; start at 0 */
};

/* The next run; 0 after the last. */
int cvg_run_next(struct cvg_runs *runs, struct cvg_run *run);

/* The source coordinates that runs read: *low and the end *high; both 0 if none. */
void cvg_runs_extent(struct cvg_runs runs, int64_t *low, int64_t *high);

/* Destinations [begin, begin + count) of an axis, its packed line laid out. */
struct cvg_axis cvg_axis_part(struct cvg_axis axis, int64_t begin, int64_t count);

/* A box: the product of three axes, channel by channel. */
struct cvg_box {
    struct cvg_axis axis[3];
    int64_t cells;   /* slots of one class: the product of the three lengths */
    int64_t channel; /* slots of one channel; INT64_MAX stands for more than fits */
};

struct cvg_box cvg_box_of(struct cvg_axis depth, struct cvg_axis row, struct cvg_axis column);

/* Where destination 0 meets tap (a, b, c), in its channel; destination i lies further on. */
int64_t cvg_box_slot(const struct cvg_box *box, int64_t a, int64_t b, int64_t c);

/*
 * Lists of two offsets for each of count terms of a channel, continued for further channels, each as the one before but
 * for its steps.  Returns how many there are.
 */
int64_t cvg_terms_go_on(int64_t count, int64_t channels, int64_t *a, int64_t a_step, int64_t *b, int64_t b_step);

/* Lists the second of each two terms first, as processors add them that multiply pairs. */
void cvg_terms_swap(int64_t *a, int64_t *b, int64_t count);

/*
 * Lists where the weights and the box elements of all taps of channels lie, channel by channel:
 * weights of taps tap_step apart (in a filter of filter[3]) and of channels l_step.  Returns
 * how many there are.
 */
int64_t cvg_box_terms(const struct cvg_box *box, const int64_t filter[3], int64_t tap_step, int64_t l_step,
                      int64_t channels, int64_t *weight, int64_t *slot);

/*
 * Copies what lies inside the source into the box, of so many channels from one on, counted through all images; what
 * lies outside must already be zero there.
 */
void cvg_box_pack(const struct cvg_box *box, const struct cvg_kernels *kernels, const struct cvg_view *source,
                  int64_t channel, int64_t channels, void *packed);

/*
 * A pass cut into pieces: every axis into stride phases (one, in forward) and
 * each phase into parts of at most part[axis] destinations.
 */
struct cvg_pieces {
    int gradient; /* 0: forward and grad_weight; 1: grad_input */
    int64_t phases[3], parts[3], part[3];
    int64_t count;        /* of pieces; some of the last part of a short phase may be empty */
    struct cvg_box bound; /* has at least the slots of every piece */
};

/* Pieces of at most about positions destinations each. */
struct cvg_pieces cvg_pieces_of(const struct cvg_shape *shape, int gradient, int64_t positions);

/* The box of piece index; 0 when the piece is empty. */
int cvg_piece(const struct cvg_shape *shape, const struct cvg_pieces *pieces, int64_t index, struct cvg_box *box);

#endif
