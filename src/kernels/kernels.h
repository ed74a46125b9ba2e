/*
 * The kernels: the only code that knows element types and vectors.  They see
 * pointers, steps and counts; never shapes, threads, memory or errors.
 *
 * Every instruction set provides one struct cvg_kernels for each type, all with
 * the same bits: lanes are independent sums, and each sum runs in one order.
 * Steps and offsets count elements.  Operands do not overlap unless said.
 */
#ifndef CVG_KERNELS_H
#define CVG_KERNELS_H

#include "convgrad.h"

/*
 * Multiply-add is fused where the code says so and nowhere else, whatever the compiler's flags:
 * or bits would differ between builds.
 */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/*
 * The products of one sum: pairs of offsets.
 * A tile may be repeated further on in b and acc: tiles 0 and 1 stand for one; see cvg_run_tiles().
 * While sums run, memory may be asked for: with each product from ahead on, ahead_step bytes further; or not, if NULL.
 * claims: that of new sums is asked for before they run, as no near cache holds it.
 * narrows: pairs' sums are rounded to bfloat16 as they are stored, with places that count those; 0 is added before.
 */
struct cvg_terms {
    int64_t count;
    const int64_t *a, *b;
    int64_t tiles, b_tile, acc_tile;
    const char *ahead;
    int64_t ahead_step;
    int claims, narrows;
};

/* Builds for size have 0: they leave out what makes the same bits faster. */
#ifdef __OPTIMIZE_SIZE__
enum { CVG_FAST = 0 };
#else
enum { CVG_FAST = 1 };
#endif

/*
 * The microkernel: for i < rows and l < lanes, j in order,
 *
 *   acc[place[i] + l] = (first ? 0 : acc[place[i] + l]) +
 *       sum over j < count of a[row[i] + terms.a[j]] * b[terms.b[j] + l]
 *
 * row NULL stands for row[i] = i, neighbours, which are fastest.  With them, unless it is single, it runs for
 * every tile n < tiles, with b + n*b_tile and acc + n*acc_tile.  A sum continued with first = 0 has the bits of one
 * uninterrupted sum.
 */
typedef void cvg_tile_fn(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b,
                         void *acc, const int64_t *place, int first);

/* The microkernel for one number of lanes and up to so many rows. */
struct cvg_tile {
    int lanes, rows;
    cvg_tile_fn *run;
    int single; /* run leaves tiles of neighbouring rows, too, to cvg_run_tiles() */
};

/* Runs it for all terms.tiles tiles, whatever their rows; size: bytes of an element. */
static inline void cvg_run_tiles(const struct cvg_tile *tile, int64_t size, int rows, const struct cvg_terms *terms,
                                 const void *a, const int64_t *row, const char *b, char *acc, const int64_t *place,
                                 int first)
{
    for (int64_t n = 0; n == 0 || ((row || tile->single) && n < terms->tiles); n++)
        tile->run(rows, terms, a, row, b + n * terms->b_tile * size, acc + n * terms->acc_tile * size, place, first);
}

/* At most; clang 14 keeps arrays that are walked in more than 8 steps in memory. */
#ifdef __clang__
enum { CVG_TILE_ROWS = 8 };
#else
enum { CVG_TILE_ROWS = 14 };
#endif
enum { CVG_TILES = 7, CVG_DOT_ROWS = 4, CVG_DOT_COLUMNS = 9, CVG_SUM_LANES = 64 };

/*
 * One axis of a Winograd transform: how it turns in elements into out ones, by a matrix of the
 * kernels' type with rows CVG_POINTS apart, and where they lie.  The matrices have the form that
 * algo/winograd_points.h gives them: pairs of points +a and -a.
 */
enum { CVG_POINTS = 8 };
enum cvg_points_kind {
    CVG_EVALUATE, /* out points from in coefficients */
    CVG_SPREAD,   /* out = in points: the transposed interpolation */
    CVG_COLLECT   /* out elements from in points: the transposed evaluation */
};
struct cvg_points {
    enum cvg_points_kind kind;
    int in, out; /* both 1: nothing but a copy */
    const void *matrix;
    int64_t outer, src_outer, dst_outer;
    int64_t count, src_item, dst_item;
    int64_t src_step, dst_step;
};

/*
 * What becomes of finished sums that are written: base + (scale * sum), each operation rounded, where base is the
 * bias, or with accumulate the old value, or neither (bias is NULL).  With streams, put_lanes() and unturn() may write
 * whole lines of the cache straight to memory, past the caches, for which the result is too large.
 */
struct cvg_finish {
    double scale;
    const void *bias;
    int accumulate, streams;
};

/*
 * A plane of one channel as a filter meets it: destination (r, i) and tap (y, x) meet the element in row first[0] +
 * r*step[0] + y*tap_step[0] and column first[1] + i*step[1] + x*tap_step[1], or nothing, if it is not in extent.
 */
struct cvg_frame {
    int64_t extent[2], row; /* rows and columns, and elements between rows, of the source; */
    int64_t column;         /* and between columns, channels last */
    int64_t first[2], step[2], tap_step[2], taps[2];
    int64_t weight_step[2]; /* elements between weights of neighbouring taps */
    int asks;               /* the source comes from far, and is asked for before it is read; if 2, the result, too */
    int64_t next, weight_next; /* the same between planes that are filtered each for itself, and their weights */
};

struct cvg_kernels {
    const char *isa;
    cvg_type type;
    int rounds_twice; /* products are rounded before they are added: not the bits of the other sets */
    size_t size;      /* bytes of one element */
    int vector;       /* elements of one vector */

    struct cvg_tile tile[CVG_TILES]; /* widest first */
    int tiles;
    int main;   /* the tile nearest the processor's peak */
    int spread; /* the best one whose rows are no neighbours: fewer rows, fewer addresses */
    /* Every count of lanes is a multiple of the narrowest tile's. */

    /*
     * Dot products in 16 partial sums each, for i < rows and j < columns:
     *
     *   sums[(i*sums_row + j)*16 + t % 16] += sum over r < lines, t < count, in this order, of
     *       a[a_at[i] + r*a_line + t] * b[b_at[j] + r*b_line + t]
     *
     * columns <= dot_columns[rows - 1], which is 0 where so many rows are too many.
     */
    void (*dot)(int rows, int columns, const void *a, const int64_t *a_at, int64_t a_line, const void *b,
                const int64_t *b_at, int64_t b_line, int64_t lines, int64_t count, void *sums, int64_t sums_row);
    int dot_columns[CVG_DOT_ROWS];

    /* dst[i] = the 16 partial sums from src[16*i] on, added pairwise, i < count */
    void (*fold)(void *dst, const void *src, int64_t count);

    /*
     * A filter of one channel along rows: for r < rows, i < count, in the order of the terms,
     *
     *   dst[r*dst_row + i] = finish of the sum over j of
     *       weight[terms.a[j]] * src[r*src_row + terms.b[j] + i]
     *
     * with one bias for all.
     */
    void (*stencil)(int64_t rows, int64_t count, const struct cvg_terms *terms, const void *weight, const void *src,
                    int64_t src_row, void *dst, int64_t dst_row, const struct cvg_finish *finish);

    /*
     * Filters of planes as they lie, of 3x3 or 5x5 taps that follow each other, up or down, and 3x3 with steps of 2,
     * down: for c < channels, r < rows, i < count, in the order of lines y and taps x,
     *
     *   dst[c*dst_channel + r*dst_row + i] = finish of the sum over y, x of
     *       weight[c*weight_next + y*weight_step[0] + x*weight_step[1]] * src[c*next + what (r, i) and (y, x) meet]
     *
     * with bias[c].  Rows outside the source are left out; columns outside it are multiplied as 0.  This and the two
     * that follow are NULL in most sets.
     */
    void (*filter_frame)(const struct cvg_frame *frame, int64_t rows, int64_t count, int64_t channels,
                         const void *weight, const void *src, void *dst, int64_t dst_row, int64_t dst_channel,
                         const struct cvg_finish *finish);

    /*
     * The same of planes whose elements are spread, two apart, and three by three taps: destination (r, i) and tap
     * (y, x) meet the element in row (first[0] + r - y)/2 and column (first[1] + i - x)/2, if both are whole numbers;
     * first[] is not negative; step[] and tap_step[] are not looked at.
     */
    void (*filter_spread)(const struct cvg_frame *frame, int64_t rows, int64_t count, int64_t channels,
                          const void *weight, const void *src, void *dst, int64_t dst_row, int64_t dst_channel,
                          const struct cvg_finish *finish);

    /*
     * And the gradient of 3x3 weights of a plane, with steps of 1 or 2, down, as dot() has it; at most one column at
     * either side is outside.
     *
     *   sums[(y*taps[1] + x)*16 + i % 16] += sum over n < images, r < rows, i < count, in this order, of
     *       gradient[n*gradient_image + r*gradient_row + i] * src[n*next + what (r, i) and (y, x) meet]
     */
    void (*weigh_frame)(const struct cvg_frame *frame, int64_t images, int64_t rows, int64_t count, const void *src,
                        const void *gradient, int64_t gradient_image, int64_t gradient_row, void *sums);

    /*
     * Filters of one channel each, channels last: for r < rows, i < count, l < width, in the order of the terms,
     *
     *   dst[r*dst_row + i*dst_step + l] = finish of the sum over j of
     *       weight[terms.b[j] + l] * src[r*src_row + i*src_step + terms.a[j] + l]
     *
     * with bias[l] for lane l.
     */
    void (*filter_lanes)(int64_t rows, int64_t count, int64_t width, const struct cvg_terms *terms, const void *weight,
                         const void *src, int64_t src_row, int64_t src_step, void *dst, int64_t dst_row,
                         int64_t dst_step, const struct cvg_finish *finish);

    /*
     * And the gradient of their weight: for t < taps, l < width, in the order of r < rows and i < count,
     *
     *   sums[to[t] + l] += sum over r, i of gradient[r*gradient_row + i*gradient_step + l] *
     *                                       src[r*src_row + i*src_step + at[t] + l]
     */
    void (*weigh_lanes)(int64_t rows, int64_t count, int64_t width, int64_t taps, const int64_t *at, const int64_t *to,
                        const void *src, int64_t src_row, int64_t src_step, const void *gradient, int64_t gradient_row,
                        int64_t gradient_step, void *sums);

    /*
     * The same of 3x3 taps of planes as they lie, with steps of 1 or 2, down; at most one column or row at either side
     * is outside, and two of each are inside.
     *
     *   sums[(3*y + x)*sums_tap + l] += sum over r < rows and i < count, in this order, of
     *       gradient[r*gradient_row + i*gradient_step + l] * src[what (r, i) and (y, x) meet, + l]
     *
     * for l < width.  NULL in small sets.
     */
    void (*weigh_nine)(const struct cvg_frame *frame, int64_t rows, int64_t count, int64_t width, const void *src,
                       const void *gradient, int64_t gradient_row, int64_t gradient_step, void *sums, int64_t sums_tap);

    /*
     * Filters of 3x3 taps of groups of 2, 4 or 8 channels, channels last, in planes like those, with steps of 1:
     * for r < rows, i < count, l < width, a multiple of 8, in the order of k, lines y and taps x,
     *
     *   dst[r*dst_row + i*dst_step + l] = finish of the sum over k < group, y, x of
     *       weight[k*weight_next + y*weight_step[0] + x*weight_step[1] + l] *
     *       src[what (r, i) and (y, x) meet, + l/group*group + k]
     *
     * with bias[l].  NULL in most sets.
     */
    void (*filter_squares)(const struct cvg_frame *frame, int64_t rows, int64_t count, int64_t width, int64_t group,
                           const void *weight, const void *src, void *dst, int64_t dst_row, int64_t dst_step,
                           const struct cvg_finish *finish);

    /*
     * The gradient of their weights, of groups of 8 channels; steps may be 2.  With weigh_nine's order of sums,
     *
     *   sums[(9*k + 3*y + x)*sums_tap + l] += sum over r < rows and i < count of
     *       gradient[r*gradient_row + i*gradient_step + l/group*group + k] * src[what (r, i) and (y, x) meet, + l]
     *
     * for k < group, l < width, a multiple of 8, at least 16.  NULL in most sets.
     */
    void (*weigh_squares)(const struct cvg_frame *frame, int64_t rows, int64_t count, int64_t width, int64_t group,
                          const void *src, const void *gradient, int64_t gradient_row, int64_t gradient_step,
                          void *sums, int64_t sums_tap);

    /*
     * dst[r*dst_row + i] = finish of src[i % step * src_step + r*src_row + i / step], r < rows, i < count,
     * with one bias for all; but src is scaled already, the scale is not looked at
     */
    void (*zip)(void *dst, int64_t dst_row, const void *src, int64_t src_step, int64_t src_row, int64_t step,
                int64_t rows, int64_t count, const struct cvg_finish *finish);

    /*
     * For o < outer, i < count, y < out and l < vector, in one order of its own for each kind:
     *
     *   dst[o*dst_outer + i*dst_item + y*dst_step + l] = sum over x < in of
     *       matrix[y*CVG_POINTS + x] * src[o*src_outer + i*src_item + x*src_step + l]
     */
    void (*points)(const struct cvg_points *points, const void *src, void *dst);

    /* dst[i] = src[i*step], i < count */
    void (*gather)(void *dst, const void *src, int64_t step, int64_t count);

    /* dst[r*dst_row + i] = src[r*src_row + i*step], r < rows, i < count */
    void (*copy)(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t step, int64_t rows,
                 int64_t count);

    /* dst[r*dst_row + i*step] = finish of src[r*src_row + i], r < rows, i < count, with one bias for all */
    void (*put_rows)(void *dst, int64_t dst_row, int64_t step, const void *src, int64_t src_row, int64_t rows,
                     int64_t count, const struct cvg_finish *finish);

    /*
     * dst[(i*copies + copy)*lanes + l] = src[i*src_step + (first + l)/m*copies + copy], i < count, copy < copies and
     * l < width; a whole vector is written for the last lanes
     */
    void (*copy_groups)(void *dst, int64_t lanes, const void *src, int64_t src_step, int64_t count, int64_t first,
                        int64_t width, int64_t m, int64_t copies);

    /*
     * dst[r*dst_row + i*dst_step + l] = l < width ? src[r*src_row + l*step + i] : 0, r < rows, i < count, l < lanes;
     * width <= lanes
     */
    void (*turn)(void *dst, int64_t dst_row, int64_t dst_step, int lanes, const void *src, int64_t src_row,
                 int64_t step, int width, int64_t rows, int64_t count);

    /* The way back: dst[l*step + i] = finish of src[i*src_step + l], i < count, l < width, with bias[l] for lane l */
    void (*unturn)(void *dst, int64_t step, const void *src, int64_t src_step, int width, int64_t count,
                   const struct cvg_finish *finish);

    /* dst[i*dst_step + l] = finish of src[i*src_step + l], i < count, l < width, with bias[l] for lane l; or in place
     */
    void (*put_lanes)(void *dst, int64_t dst_step, const void *src, int64_t src_step, int width, int64_t count,
                      const struct cvg_finish *finish);

    /* dst[i*dst_step] = finish of src[i*src_step], i < count, with one bias for all */
    void (*put)(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t count,
                const struct cvg_finish *finish);

    /*
     * dst[l] = the sum over n < images and positions (d, h, w) of src[n*image + d*step[0] + h*step[1] + w*step[2] + l],
     * l < width <= CVG_SUM_LANES: position i of an image, counted row by row, goes to partial sum i % 16, and the 16
     * are added pairwise at the end, on every instruction set.
     */
    void (*sum)(void *dst, int width, const void *src, int64_t images, int64_t image, const int64_t count[3],
                const int64_t step[3]);

    /*
     * Halves, by their cvg_type less CVG_BF16, in kernels of float: dst[i] = src[i*step], i < count, and back, rounded
     * to nearest even: dst[i*step] = src[i] + 0, so that there is no -0.
     */
    struct {
        void (*widen)(void *dst, const void *src, int64_t step, int64_t count);
        /* dst[r*dst_row + i] = src[r*src_row + i], r < rows, i < count */
        void (*widen_rows)(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t rows, int64_t count);
        void (*narrow)(void *dst, int64_t step, const void *src, int64_t count);
        /* dst[i*dst_step + l], as put_lanes() has it, of floats src[i*src_step + l] and bias[l] */
        void (*put_lanes)(void *dst, int64_t dst_step, const void *src, int64_t src_step, int width, int64_t count,
                          const struct cvg_finish *finish);
    } half[2];

    /*
     * The same of groups of one channel, and of 5x5 and 7x7 taps, too, that are given by taps[]; with steps of 1, or of
     * 2 but for 7x7; sets that have weigh_squares() leave 3x3 without steps to filter_squares().  And of planes of
     * bfloat16, whose weight and bias are floats; width is a multiple of 16.
     */
    void (*filter_depth)(const struct cvg_frame *frame, int64_t rows, int64_t count, int64_t width, const void *weight,
                         const void *src, void *dst, int64_t dst_row, int64_t dst_step,
                         const struct cvg_finish *finish);
    void (*filter_halves)(const struct cvg_frame *frame, int64_t rows, int64_t count, int64_t width, const void *weight,
                          const void *src, void *dst, int64_t dst_row, int64_t dst_step,
                          const struct cvg_finish *finish);

    /*
     * weigh_nine() of bfloat16; sums are floats, width is a multiple of 16, and what is outside is multiplied as 0.
     * NULL in most sets.
     */
    void (*weigh_halves)(const struct cvg_frame *frame, int64_t rows, int64_t count, int64_t width, const void *src,
                         const void *gradient, int64_t gradient_row, int64_t gradient_step, void *sums,
                         int64_t sums_tap);

    /*
     * The same kernels, but for tiles: their elements of a and b are pairs of bfloat16, of which the products of the
     * second numbers are added first.  NULL: there are none.
     */
    const struct cvg_kernels *pairs;
    /*
     * Pairs of bfloat16: dst[p*count + i] = first[p*step + i], second[p*step + i], p < pairs, i < count; second NULL:
     * zeros.
     */
    void (*pair)(void *dst, const void *first, const void *second, int64_t step, int64_t pairs, int64_t count);
};

/*
 * What a build has.  It leaves sets and types out by -DCVG_NO_AVX512, _AVX2, _FMA, _NEON, _F32 or _F64, as
 * -DCVG_SETS=... and -DCVG_TYPES=... of CMake do; the portable set is always there.
 */
#if defined(__x86_64__) && defined(__GNUC__)
#ifndef CVG_NO_FMA
#define CVG_HAVE_FMA 1
#endif
#ifndef CVG_NO_AVX2
#define CVG_HAVE_AVX2 1
#endif
#if defined(CVG_HAVE_AVX2) && !defined(CVG_NO_AVX512)
#define CVG_HAVE_AVX512 1 /* with the narrow tile of AVX2 */
#endif
#elif defined(__aarch64__) && defined(__GNUC__) && !defined(CVG_NO_NEON)
#define CVG_HAVE_NEON 1
#endif
#if defined(CVG_HAVE_AVX512) && !defined(CVG_NO_F32) && !defined(CVG_NO_HALVES) && \
    ((defined(__clang__) && __clang_major__ >= 9) || (!defined(__clang__) && __GNUC__ >= 10))
#define CVG_HAVE_AVX512BF16 1
#endif
#ifndef CVG_NO_F32
#define CVG_HAVE_F32 1
#endif
#ifndef CVG_NO_F64
#define CVG_HAVE_F64 1
#endif

extern const struct cvg_kernels cvg_kernels_portable_f32, cvg_kernels_portable_f64;
extern const struct cvg_kernels cvg_kernels_fma_f32, cvg_kernels_fma_f64;
extern const struct cvg_kernels cvg_kernels_avx2_f32, cvg_kernels_avx2_f64;
extern const struct cvg_kernels cvg_kernels_avx512_f32, cvg_kernels_avx512_f64;
extern const struct cvg_kernels cvg_kernels_avx512bf16_f32;            /* that has pairs, for halves */
extern cvg_tile_fn cvg_tile_avx2_narrow_f32, cvg_tile_avx2_narrow_f64; /* serve AVX-512, too */
extern const struct cvg_kernels cvg_kernels_neon_f32, cvg_kernels_neon_f64;

#endif
