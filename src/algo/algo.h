/* What an algorithm provides, and what it is given. */
#ifndef CVG_ALGO_H
#define CVG_ALGO_H

#include "../kernels/kernels.h"
#include "../run/job.h"
#include "../shape.h"

#include <math.h>

/* One call of one pass: everything an algorithm may look at. */
struct cvg_task {
    const struct cvg_shape *shape;
    const struct cvg_kernels *kernels;
    const void *input, *weight, *grad_output; /* those that the pass reads */
    void *result; /* output, grad_input, grad_weight or grad_bias */
    struct cvg_finish finish; /* of the result's sums; a bias has an element for each channel of the result */
};

/*
 * An algorithm: one constant object in its own file, listed once in plan.c.  Every function is given that object.
 * Sums may be split by shape only, never by workers, lanes or tile_rows.
 */
struct cvg_algorithm {
    cvg_algo id;
    const char *name;
    int points; /* of Winograd's algorithms, along an axis */
    int mixes;  /* neighbours: an element leaves a rounding error in results that do not read it */
    /* Why it cannot do a pass, as a clause; NULL if it can.  NULL for one that can do all. */
    const char *(*refuses)(const struct cvg_algorithm *self, const struct cvg_shape *shape, cvg_pass pass);
    /*
     * How much larger than by direct sums the error is likely to be, and the a-priori bound of
     * cvg_plan_error_bound() (docs/numerics.md).  NULL: 1, and that of any order of the sums.
     */
    double (*error_growth)(const struct cvg_algorithm *self, const struct cvg_shape *shape, cvg_pass pass);
    double (*error_bound)(const struct cvg_algorithm *self, const struct cvg_shape *shape, cvg_pass pass);
    /* The time that AUTO expects, in multiplications at the processor's peak (docs/algorithms.md, AUTO). */
    double (*cost)(const struct cvg_algorithm *self, const struct cvg_shape *shape, cvg_pass pass);
    /*
     * Decides how a pass runs: phases, workspace and its own state, into empty work.  Only phases may depend on the
     * workers; the workspace may not grow with the batch.
     */
    void (*prepare)(const struct cvg_algorithm *self, const struct cvg_shape *shape, const struct cvg_kernels *kernels,
                    cvg_pass pass, int workers, struct cvg_work *work);
    /* Goes with grad_weight: job = one channel of task->grad_output, the sum over its elements. */
    cvg_job_fn *grad_bias;
};

extern const struct cvg_algorithm cvg_reference, cvg_direct, cvg_im2col, cvg_winograd4, cvg_winograd6, cvg_winograd8;

/* gamma(n) = n u / (1 - n u) of a type's unit roundoff u; infinite where that says nothing. */
static inline double cvg_gamma(cvg_type type, double n)
{
    const double nu = n * (type == CVG_F32 ? 0x1p-24 : 0x1p-53);
    return nu < 1 ? nu / (1 - nu) : HUGE_VAL;
}

/* The products behind one element of a pass's result, at most. */
static inline double cvg_products(const struct cvg_shape *s, cvg_pass pass)
{
    return pass == CVG_GRAD_WEIGHT ? (double)s->N * (double)s->out_size
                                   : (double)(pass == CVG_FORWARD ? s->Cg : s->Kg) * (double)s->filter_size;
}

/* How much larger than by direct sums an algorithm's error is likely to be. */
static inline double cvg_growth(const struct cvg_algorithm *algorithm, const struct cvg_shape *shape, cvg_pass pass)
{
    return algorithm->error_growth ? algorithm->error_growth(algorithm, shape, pass) : 1;
}

/* A tensor whose channels are summed, N x channels x size elements: the state of grad_bias. */
struct cvg_channels {
    int64_t channels, size;
};

/* grad_bias by kernels->sum: 16 partial sums for each channel (algo/grad_bias.c). */
void cvg_grad_bias_sums(const struct cvg_job *job, int64_t channel);

static inline int64_t cvg_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t cvg_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t cvg_ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* a * b of non-negative sizes; INT64_MAX stands for all that does not fit. */
static inline int64_t cvg_times(int64_t a, int64_t b)
{
    return b && a > INT64_MAX / b ? INT64_MAX : a * b;
}

/* a + b of non-negative sizes; INT64_MAX stands for all that does not fit. */
static inline int64_t cvg_plus(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* An odd multiple of line that count fits in, nearly: the first at or after the last multiple; saturating as above. */
static inline int64_t cvg_odd_lines(int64_t count, int64_t line)
{
    return cvg_times(count / line | 1, line);
}

/* Splits a row-major index of a box into its three coordinates. */
static inline void cvg_split(int64_t index, const int64_t size[3], int64_t place[3])
{
    place[2] = index % size[2];
    place[1] = index / size[2] % size[1];
    place[0] = index / size[2] / size[1];
}

/* The tile nearest the processor's peak. */
static inline const struct cvg_tile *cvg_main_tile(const struct cvg_kernels *kernels)
{
    return &kernels->tile[kernels->main];
}

/* The narrowest tile: what counts of lanes are rounded up to. */
static inline const struct cvg_tile *cvg_narrow_tile(const struct cvg_kernels *kernels)
{
    return &kernels->tile[kernels->tiles - 1];
}

/* count rounded up to whole main tiles. */
static inline int64_t cvg_to_lanes(const struct cvg_kernels *kernels, int64_t count)
{
    const int64_t lanes = cvg_main_tile(kernels)->lanes;
    return cvg_times(cvg_ceil_div(count, lanes), lanes);
}

/* Asks for the cache lines of some bytes, which need not be valid. */
static inline void cvg_prefetch(const void *from, int64_t bytes)
{
#if defined(__GNUC__)
    for (int64_t i = 0; i < bytes; i += CVG_ALIGNMENT)
        __builtin_prefetch((const char *)from + i);
#else
    (void)from;
    (void)bytes;
#endif
}

/* The address of element index of an array. */
static inline void *cvg_at(const struct cvg_task *task, const void *array, int64_t index)
{
    return (char *)array + index * (int64_t)task->kernels->size;
}

/* What becomes of sums that are no result yet. */
static const struct cvg_finish cvg_plain = {.scale = 1};

/* What becomes of the sums of a channel of the result, and of those after it. */
static inline struct cvg_finish cvg_finish_of(const struct cvg_task *task, int64_t channel)
{
    struct cvg_finish finish = task->finish;
    if (finish.bias)
        finish.bias = cvg_at(task, finish.bias, channel);
    return finish;
}

#endif
