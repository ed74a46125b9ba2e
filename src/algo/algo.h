/* What an algorithm provides, and what it is given. */
#ifndef CVG_ALGO_H
#define CVG_ALGO_H

#include "../run/job.h"
#include "../tensor/task.h"

#include <math.h>

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
    int stored;                                                 /* it reads and writes halves as they are stored; */
    int (*pairs)(const struct cvg_shape *inner, cvg_pass pass); /* or in pairs, what it would do as floats; or NULL */
    int (*reads)(const struct cvg_shape *inner, cvg_pass pass); /* or by the view's reader and writer alone; or NULL */
    int flat; /* a filter as large as its image is prepared and run as one of one pixel (cvg_shape_flat) */
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
    const double nu = n * cvg_roundoff(type);
    return nu < 1 ? nu / (1 - nu) : HUGE_VAL;
}

/* The products behind one element of a pass's result, at most. */
static inline double cvg_products(const struct cvg_shape *s, cvg_pass pass)
{
    return pass == CVG_GRAD_WEIGHT ? (double)s->N * (double)s->out_size
                                   : (double)(pass == CVG_FORWARD ? s->Cg : s->Kg) * (double)s->filter_size;
}

/* Of functions that run once for a plan, or for long between two calls of kernels: they are compiled for size. */
#if defined(__GNUC__) && !defined(__OPTIMIZE_SIZE__)
#define CVG_ONCE __attribute__((cold))
#else
#define CVG_ONCE
#endif

/* Whether no near cache holds the result of forward or grad_input. */
static inline int cvg_is_far(const struct cvg_shape *s, cvg_pass pass)
{
    enum { FAR = 3 << 19 }; /* elements */
    return cvg_times(s->N, pass == CVG_FORWARD ? s->K * s->out_size : s->C * s->in_size) >= FAR;
}

/* How much larger than by direct sums an algorithm's error is likely to be. */
static inline double cvg_growth(const struct cvg_algorithm *algorithm, const struct cvg_shape *shape, cvg_pass pass)
{
    return algorithm->error_growth ? algorithm->error_growth(algorithm, shape, pass) : 1;
}

/*
 * grad_bias by kernels->sum: 16 partial sums for each channel (algo/grad_bias.c).  The state of grad_bias is an int: 1
 * if task->grad_output is like the input, of a transposed convolution.
 */
void cvg_grad_bias_sums(const struct cvg_job *job, int64_t channel);

/*
 * Of the products of a destination and a tap along the first so many axes, how many percent do not fall on padding.
 * Planes that are all padding are left out by every form, rows and columns by some.
 */
int64_t cvg_inside_share(const struct cvg_shape *shape, cvg_pass pass, int axes);

/* How a plan works, for people; builds for size do not say. */
static inline void cvg_work_describe(struct cvg_work *work,
                                     void (*describe)(const struct cvg_work *, struct cvg_text *))
{
    work->describe = CVG_FAST ? describe : NULL;
}

#endif
