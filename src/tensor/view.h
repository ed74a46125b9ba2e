/*
 * Where the elements of the caller's tensors lie.  Only this room and algo/definition.c know: all others are told
 * addresses and steps, or have rectangles of positions read and written.
 *
 * A rectangle is count[3] positions from first[3] on.  Lanes are neighbouring channels: of a rectangle turned to
 * lanes, position i of channel l lies at i*lanes + l.
 */
#ifndef CVG_VIEW_H
#define CVG_VIEW_H

#include "task.h"

/* A tensor of images: N x channels x three axes.  Steps count elements, between neighbours. */
struct cvg_view {
    char *base;
    cvg_type type;
    int64_t size; /* bytes of a stored element */
    int64_t channels, extent[3];
    int64_t image, channel, step[3];
};

/* Tensors that are like the input, and like the output. */
struct cvg_view cvg_view_in(const struct cvg_task *task, const void *data);
struct cvg_view cvg_view_out(const struct cvg_task *task, const void *data);

/* What filters of one tap without padding meet of the input: as many positions as the output has. */
struct cvg_view cvg_view_met(const struct cvg_task *task, const void *data);

/* What forward and, with gradient, grad_input read and write. */
struct cvg_view cvg_view_source(const struct cvg_task *task, int gradient);
struct cvg_view cvg_view_result(const struct cvg_task *task, int gradient);

/* The address of an element. */
static inline char *cvg_view_at(const struct cvg_view *v, int64_t n, int64_t channel, int64_t d, int64_t h, int64_t w)
{
    return v->base + (n * v->image + channel * v->channel + d * v->step[0] + h * v->step[1] + w * v->step[2]) * v->size;
}

/* The same of a channel's first element, channels counted through all images. */
static inline char *cvg_view_channel(const struct cvg_view *v, int64_t index)
{
    return cvg_view_at(v, index / v->channels, index % v->channels, 0, 0, 0);
}

/* Channels stand first where neighbours along a row do; else they stand last, and their step is 1. */
static inline int cvg_view_last(const struct cvg_view *v) { return v->step[2] != 1; }

/* Reads count numbers, step apart, in the kernels' type. */
static inline void cvg_view_take(const struct cvg_view *v, const struct cvg_kernels *kernels, const char *from,
                                 int64_t step, int64_t count, char *to)
{
    if (cvg_is_half(v->type))
        kernels->half[v->type - CVG_BF16].widen(to, from, step, count);
    else
        kernels->gather(to, from, step, count);
}

/* Whether the positions of a channel follow each other step[2] apart, without gaps between rows or planes. */
int cvg_view_is_line(const struct cvg_view *v);

/* Copies a rectangle of one channel, row after row; what lies outside the tensor is 0. */
void cvg_read_rectangle(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                        const int64_t first[3], const int64_t count[3], char *to);

/* A rectangle inside the tensor, of width channels from one on, turned to lanes; and the way back, to the result. */
void cvg_read_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel, int width,
                    const int64_t first[3], const int64_t count[3], int lanes, void *to);
void cvg_write_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel, int width,
                     const int64_t first[3], const int64_t count[3], int lanes, const void *sums,
                     const struct cvg_finish *finish);

/*
 * Of halves whose result is float: scales sums, lanes of each position, so that none is -0; finish is left with the
 * rest.  Of others nothing happens.
 */
void cvg_finish_positive(const struct cvg_task *task, char *sums, int lanes, int64_t positions,
                         struct cvg_finish *finish);

/* Finishes sums that have grown in the result itself, of channels that are neighbours. */
void cvg_finish_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                      int width, const int64_t first[3], const int64_t count[3], const struct cvg_finish *finish);

/*
 * The same as cvg_read_lanes(), of a rectangle that may reach outside the tensor, where there are zeros.  framed: they
 * are there already.
 */
void cvg_read_framed_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                           int width, const int64_t first[3], const int64_t count[3], int lanes, int framed, char *to);

/*
 * A rectangle that may reach outside the tensor, for width channels from one on of groups of m, channels last: at each
 * position so many copies of lanes, in which those of group g hold channel g*copies + copy.
 */
void cvg_read_copies(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                     int64_t width, const int64_t first[3], const int64_t count[3], int64_t m, int64_t copies,
                     int64_t lanes, char *to);

/*
 * Positions by their numbers, in row-major order, count from one on, of width channels turned to lanes (or of one, if
 * lanes is 1); and the way back, of one channel.
 */
void cvg_read_positions(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                        int width, int64_t position, int64_t count, int lanes, char *to);
void cvg_write_positions(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                         int64_t position, int64_t count, const char *sums, const struct cvg_finish *finish);

/*
 * Elements of images from n on as they lie in memory but for gaps, count from number first on: widened to floats; and
 * the way back, from sums, through a finish without a bias.  The caller's tensors of halves are read and written
 * so, and results of float beside them.
 */
void cvg_read_elements(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t first,
                       int64_t count, float *to);
void cvg_write_elements(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t first,
                        int64_t count, const float *sums, const struct cvg_finish *finish);

/*
 * Pairs of positions of halves, channels last, numbered through all images, count from one on: as kernels->pair() has
 * them, or without that as floats.  A last one without a second has zeros.
 */
void cvg_read_pairs(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t first, int64_t count,
                    float *to);

/* Columns of rows, some of which may be outside: pairs of columns that lie apart, step apart; or as floats all columns.
 */
struct cvg_columns {
    int64_t first, count, step, apart;
};

/* The same of rows, count from one on, numbered through all planes and images. */
void cvg_read_rows(const struct cvg_view *v, const struct cvg_kernels *kernels, const struct cvg_columns *columns,
                   int64_t first, int64_t count, float *to);

/* An array of so many elements, one after the other, as a tensor of one image. */
struct cvg_view cvg_view_array(cvg_type type, const void *data, int64_t count);

/* The sums of width channels over all positions of images; best of so many channels at a time. */
int64_t cvg_sum_lanes(const struct cvg_view *v);
void cvg_sum_positions(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t images, int64_t channel,
                       int width, void *sums);

/* ---- the weight: K x C/G x taps, or what is like it ---- */

/* Steps between neighbours, in elements. */
struct cvg_filters {
    char *base;
    int64_t size;
    int64_t k, c, tap;
};

struct cvg_filters cvg_filters_of(const struct cvg_task *task, const void *data);

/* The address of a tap of channel c of its group. */
static inline char *cvg_filter_at(const struct cvg_filters *f, int64_t k, int64_t c, int64_t tap)
{
    return f->base + (k * f->k + c * f->c + tap * f->tap) * f->size;
}

/* Reads the taps of width filters from k on, of channel 0, to [tap][lane], taps step apart. */
void cvg_read_filters(const struct cvg_filters *f, const struct cvg_kernels *kernels, int64_t k, int width,
                      int64_t taps, int64_t step, char *to);

/* Writes sums [c][tap][lane], whose lanes are k, of which width exist. */
void cvg_write_filters(const struct cvg_filters *f, const struct cvg_kernels *kernels, int64_t k, int width, int64_t c,
                       int64_t c_count, int64_t tap, int64_t taps, int lanes, const char *sums,
                       const struct cvg_finish *finish);

#endif
