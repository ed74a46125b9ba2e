/* From the user's descriptor to one validated internal shape. */
#ifndef CVG_SHAPE_H
#define CVG_SHAPE_H

#include "error.h"
#include "number.h"

/*
 * A problem of any rank as one of rank 3: missing leading axes have size 1,
 * filter 1, stride 1, dilation 1 and no padding.  Axis 0 is depth (D T O),
 * 1 rows (H R P), 2 columns (W S Q).  Every product below fits in int64_t, and
 * every tensor in PTRDIFF_MAX bytes.
 */
struct cvg_shape {
    cvg_type type, grad_type, bias_type; /* of operands and results, of gradients, of the bias */
    int rank;                            /* as the user gave it, 1 to 3 */
    int64_t N, C, K, G;
    int64_t Cg, Kg; /* channels of one group: C/G, K/G */
    int64_t in[3], filter[3], out[3];
    int64_t stride[3], dilation[3];
    int64_t pad[3], pad_end[3]; /* pad: at the begin */
    int64_t in_size;            /* D*H*W */
    int64_t filter_size;        /* T*R*S */
    int64_t out_size;           /* O*P*Q */
    int64_t taps;               /* Cg * filter_size: the products behind one output */
    cvg_layout layout;
    cvg_weight_layout weight_layout;
    cvg_steps in_steps, out_steps;          /* elements between neighbours; axes as above */
    int64_t in_span, out_span;              /* elements from the first to the last, of one image at least */
    int64_t weight_k, weight_c, weight_tap; /* elements between neighbours of the weight */
    int pairs; /* of bfloat16: direct sums add products of two channels together, the second first (docs/numerics.md):
                */
};

/*
 * cvg_shape.pairs: channels are floats and listed so, or the source's elements are pairs of channels as they lie.  In
 * grad_weight elements are pairs of positions, or these are floats and listed so.
 */
enum { CVG_PAIRS_LISTED = 1, CVG_PAIRS_STORED, CVG_PAIRS_ZIPPED, CVG_PAIRS_SWAPPED };

static inline int cvg_pairs_of(const struct cvg_shape *shape) { return CVG_HALVES ? shape->pairs : 0; }

/* Whether elements are pairs. */
static inline int cvg_are_pairs(const struct cvg_shape *shape)
{
    return cvg_pairs_of(shape) == CVG_PAIRS_STORED || cvg_pairs_of(shape) == CVG_PAIRS_ZIPPED;
}

/* Whether pairs are of positions. */
static inline int cvg_is_zipped(const struct cvg_shape *shape) { return cvg_pairs_of(shape) >= CVG_PAIRS_ZIPPED; }

/* Whether what axis 0 or 1 counts follows each other without gaps, if that of the axes further in does. */
static inline int cvg_joins(const int64_t extent[3], const int64_t step[3], int axis)
{
    return extent[axis] == 1 || step[axis] == (axis ? 1 : extent[1]) * extent[2] * step[2];
}

/* Whether neighbours along rows lie next to each other, and rows and planes follow each other, in input and output. */
int cvg_rows_follow(const struct cvg_shape *shape);

/* Whether there are any. */
static inline int cvg_strides(const struct cvg_shape *s) { return (s->stride[0] | s->stride[1] | s->stride[2]) > 1; }

/* Whether each destination is a sum over the channels of one element of the source, and none of padding. */
static inline int cvg_one_tap(const struct cvg_shape *s)
{
    int one = s->filter_size == 1;
    for (int i = 0; i < 3; i++)
        one &= s->pad[i] == 0 && (s->out[i] - 1) * s->stride[i] < s->in[i];
    return one;
}

/* Of one tap, the problem whose input is grad_output and whose grad_output is the input: its weight is turned. */
struct cvg_shape cvg_shape_swapped(const struct cvg_shape *shape);

/* The same problem of so many images, of floats without gaps. */
void cvg_shape_dense(const struct cvg_shape *shape, int64_t images, struct cvg_shape *dense);

/*
 * Whether the channels that forward or grad_input sums over lie in pairs, channels last: fills in the problem of half
 * as many, whose source is made of pairs.  Its weight's steps are still those of single numbers.
 */
int cvg_shape_pairs(const struct cvg_shape *shape, cvg_pass pass, struct cvg_shape *paired);

/*
 * Whether grad_weight sums over pairs of positions, channels last: fills in the problem whose elements are pairs, or
 * floats.  With filters of one tap (cvg_one_tap) they are neighbours in an image (pixels), and units pairs are one
 * image.  Else they are neighbours in a row, of an even number of them; then units are images, and rows have their
 * padding.  Element x of a row of the input is a pair of what two neighbours of a row of the output meet.
 */
int cvg_shape_zip(const struct cvg_shape *shape, int64_t units, int stored, struct cvg_shape *zipped);

/*
 * Whether every filter covers its whole image, once, and both lie alike: then the problem is a matrix product, of
 * images of one pixel whose channels are all that lies in an image, one after the other.  Fills in that problem,
 * channels last.
 */
int cvg_shape_flat(const struct cvg_shape *shape, struct cvg_shape *flat);

/* Checks conv and fills shape; on failure writes the sentence to error (may be NULL). */
cvg_status cvg_shape_init(struct cvg_shape *shape, const cvg_conv *conv, cvg_error *error);

/*
 * A struct of the caller's, which may be that of an older or a newer program: fields that it lacks keep what own holds,
 * those that this library does not know must be 0.  least: the size of the first version.  name: for sentences.
 */
cvg_status cvg_struct_read(void *own, size_t size, size_t least, const void *theirs, const char *name,
                           cvg_error *error);

#endif
