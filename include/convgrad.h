/*
 * convgrad: convolution with training, on the CPU, in plain C.
 *
 * Four computations: the forward pass and the gradients of the input, of the
 * weight and of the bias.  Rank 1, 2 and 3; float and double, bfloat16 and float16; any stride,
 * dilation, group count and padding.  "Convolution" means cross-correlation
 * throughout, as in every framework: the filter is not flipped.
 *
 * How to use it:
 *
 *   1. Fill a cvg_conv (start from CVG_CONV_INIT) with the sizes.
 *   2. Make a plan from it: cvg_plan_create().  Mistakes are found here, and
 *      the cvg_error names the field and its value.
 *   3. Allocate cvg_plan_workspace_size() bytes for the pass you want.
 *   4. Run the pass as often as you like: cvg_forward(), cvg_grad_input(),
 *      cvg_grad_weight(), cvg_grad_bias(), or cvg_backward() for several.
 *      Running never allocates, and never fails but for a NULL operand.
 *   5. cvg_plan_destroy().
 *
 * Names.  N batch, C input channels, D H W input size, K output channels,
 * T R S filter size, O P Q output size, G groups.  A problem of rank 2 uses
 * H W, R S and P Q; of rank 1 only W, S and Q.
 *
 * Layouts.  Plain row-major arrays without gaps, if nothing else is said:
 *
 *   input, grad_input     N x C   x [D x] [H x] W      or channels last, N x [D x] [H x] W x C
 *   output, grad_output   N x K   x [O x] [P x] Q      and               N x [O x] [P x] Q x K
 *   weight, grad_weight   K x C/G x [T x] [R x] S      or K x [T x] [R x] S x C/G, or [T x] [R x] S x C/G x K
 *   bias, grad_bias       K
 *
 * cvg_conv.layout and .weight_layout say which; in_steps and out_steps let tensors be parts of larger ones.
 * Results of one layout may differ from those of another in their last bits, where another form is best for it.
 *
 * Elements are float or double, as cvg_conv.type says, at their natural
 * alignment; or 16 bits of bfloat16 or float16 in a uint16_t.  An operand that has no elements (batch 0) may be NULL.
 *
 * Halves (CVG_BF16 and CVG_F16) are how operands and results are stored.  Products are exact and summed in float; each
 * result is rounded once, to nearest even.  NaN stays NaN, too large a float16 becomes infinite, and no result is -0.
 * cvg_conv.grad_type lets gradients be float all the same, to be added up over steps.  The order of sums, and what
 * becomes of tiny ones, is in docs/numerics.md (Halves).
 *
 * Threads.  A plan never changes after it was made: any number of threads may
 * run it at once, each with its own workspace and its own results.  The
 * library has no globals and no thread-locals.
 *
 * Same bits.  For one cvg_conv and one set of options, results are
 * bit-identical for every thread count and every run, and on every instruction
 * set with fused multiply-add.  What one image gives in output and grad_input does
 * not depend on the images beside it either, by the same algorithm: pin one, since
 * CVG_AUTO may choose another for another batch.
 *
 * The error bound of each algorithm and pass is in docs/numerics.md.
 */
#ifndef CONVGRAD_H
#define CONVGRAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define CVG_API __attribute__((visibility("default")))
#else
#define CVG_API
#endif

#define CVG_VERSION_MAJOR 0
#define CVG_VERSION_MINOR 1
#define CVG_VERSION_PATCH 0

typedef enum cvg_status {
    CVG_OK = 0,
    CVG_INVALID_ARGUMENT = 1, /* wrong on every machine: null, negative, overflow */
    CVG_UNSUPPORTED = 2,      /* valid, but the pinned algorithm or the limit cannot do it */
    CVG_OUT_OF_MEMORY = 3,    /* the plan itself (about 1 KiB) could not be allocated */
    CVG_WRONG_RESULT = 4      /* cvg_verify() found one */
} cvg_status;

typedef enum cvg_type {
    CVG_SAME_TYPE = -1, /* of grad_type and bias_type: that of the operands */
    CVG_F32 = 0,        /* float */
    CVG_F64 = 1,        /* double */
    CVG_BF16 = 2,       /* bfloat16: the upper half of a float */
    CVG_F16 = 3         /* float16 of IEEE 754 */
} cvg_type;
#define CVG_TYPE_COUNT 4

typedef enum cvg_pass { CVG_FORWARD = 0, CVG_GRAD_INPUT = 1, CVG_GRAD_WEIGHT = 2 } cvg_pass;
#define CVG_PASS_COUNT 3

typedef enum cvg_algo {
    CVG_AUTO = 0,      /* the library chooses, from the descriptor and options alone */
    CVG_REFERENCE = 1, /* the definition, summed in double; slow, needs no workspace */
    CVG_DIRECT = 2,    /* method 1: no column matrix, no multiplication by stuffed zeros */
    CVG_IM2COL = 3,    /* method 2: column matrix, matrix product, col2im */
    CVG_WINOGRAD4 = 4, /* fewer products, by polynomials evaluated at 4 points for each axis: */
    CVG_WINOGRAD6 = 5, /* at 6, */
    CVG_WINOGRAD8 = 6  /* at 8; along rows and columns, without stride or gaps there */
} cvg_algo;
#define CVG_ALGO_COUNT 7

typedef enum cvg_mode {
    CVG_OVERWRITE = 0, /* result = scale * gradient; old contents are not read */
    CVG_ACCUMULATE = 1 /* result = result + scale * gradient */
} cvg_mode;

/* Where channels stand among the axes of input, output and their gradients. */
typedef enum cvg_layout {
    CVG_CHANNELS_FIRST = 0, /* N x C x [D x] [H x] W */
    CVG_CHANNELS_LAST = 1   /* N x [D x] [H x] W x C: PyTorch's channels_last, TensorFlow's and JAX's NHWC */
} cvg_layout;

/* The axes of weight and its gradient; any goes with each cvg_layout. */
typedef enum cvg_weight_layout {
    CVG_KCRS = 0, /* K x C/G x [T x] [R x] S */
    CVG_KRSC = 1, /* K x [T x] [R x] S x C/G: PyTorch's channels_last */
    CVG_RSCK = 2  /* [T x] [R x] S x C/G x K: TensorFlow's HWIO; its depthwise H x W x C x M is the same memory */
} cvg_weight_layout;

/*
 * A view: how many elements of a larger tensor lie between neighbours along each axis; 0 = as if there were no gaps.
 * The innermost step (axis[spatial_dims - 1], or of channels last channel) is 1 or 0.  axis[spatial_dims - 1] of
 * channels last is the step between pixels.  No step may be less than what one element along it takes.
 */
typedef struct cvg_steps {
    int64_t image, channel, axis[3];
} cvg_steps;

/*
 * The problem.  Arrays are indexed by axis in the order of the layout: for
 * spatial_dims 2, [0] is the row axis (H R P) and [1] the column axis (W S Q);
 * entries at and past spatial_dims are ignored.
 *
 * The size of the output along each axis is
 *
 *   floor((in + pad_begin + pad_end - dilation * (filter - 1) - 1) / stride) + 1
 *
 * and must be at least 1.  Input that the last step of the stride does not
 * reach takes no part, and has gradient 0.  No entry of an array may be over 2^60.
 *
 * This struct and cvg_options grow at their ends.  A smaller one, of an older program, gets the defaults
 * for what it lacks; a larger one, of a newer program, is taken if what this library does not know is 0.
 */
typedef struct cvg_conv {
    size_t struct_size;   /* sizeof(cvg_conv); set by CVG_CONV_INIT */
    cvg_type type;        /* of all operands and results, but for grad_type and bias_type */
    int spatial_dims;     /* 1, 2 or 3 */
    int64_t batch;        /* N >= 0 */
    int64_t in_channels;  /* C >= 1, a multiple of groups */
    int64_t out_channels; /* K >= 1, a multiple of groups */
    int64_t groups;       /* G >= 1 */
    int64_t in[3];        /* >= 1 */
    int64_t filter[3];    /* >= 1 */
    int64_t stride[3];    /* >= 1 */
    int64_t dilation[3];  /* >= 1; 1 means none */
    int64_t pad_begin[3]; /* >= 0; zeros before the first element; may exceed the filter */
    int64_t pad_end[3];   /* >= 0; zeros after the last element */
    cvg_layout layout;    /* of input, output and their gradients */
    cvg_weight_layout weight_layout;
    cvg_steps in_steps;  /* of input and grad_input; all 0: no gaps */
    cvg_steps out_steps; /* of output and grad_output */
    cvg_type grad_type;  /* of grad_input, grad_weight and grad_bias: CVG_SAME_TYPE, type, or of halves CVG_F32 */
    cvg_type bias_type;  /* of bias: the same */
} cvg_conv;

/* clang-format off */
#define CVG_CONV_INIT                                                                                     \
    {                                                                                                     \
        sizeof(cvg_conv), CVG_F32, 2, 1, 1, 1, 1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0},  \
        {0, 0, 0}, CVG_CHANNELS_FIRST, CVG_KCRS, {0, 0, {0, 0, 0}}, {0, 0, {0, 0, 0}},                     \
            CVG_SAME_TYPE, CVG_SAME_TYPE                                                                  \
    }
/* clang-format on */

/*
 * The host's own thread pool, as one function: call task(context, index) once
 * for every index in [0, count), on any threads, in any order, at once or one
 * after the other, and return when all have returned.  What the tasks wrote
 * must then be visible to the caller.
 */
typedef void cvg_parallel_for(void *pool, int count, void (*task)(void *context, int index), void *context);

/*
 * error_growth bounds how much larger than that of direct sums the error of what CVG_AUTO takes
 * is likely to be, root mean square, on random data (docs/numerics.md).  The default, three and a
 * half bits, leaves room for Winograd's at 6 points (2 to 6) and for most filters at 8.
 *
 * Structure.  1 leaves only algorithms that add the products of the definition.  Their results keep
 * its structure to the bit: an element outside the sum of a result adds nothing to it, sums of
 * non-negative products are never negative, and an infinity or NaN stays where the definition takes
 * it.  (Zeros of padding count as elements: an infinite weight or grad_output times such a zero may
 * be NaN.)  Winograd's algorithms mix neighbours, so a large element leaves a rounding error in
 * proportion to it beside its place.  CVG_AUTO takes such an algorithm only for rank 2 and 3, and
 * only where it expects it to be 1.25 times as fast as every other one.  An error_growth above the
 * default drops both conditions.  A pinned algorithm is taken whatever its error.
 */
#define CVG_ERROR_GROWTH 12.0 /* the default */

typedef struct cvg_options {
    size_t struct_size;             /* sizeof(cvg_options); set by CVG_OPTIONS_INIT */
    cvg_algo algo[CVG_PASS_COUNT];  /* by cvg_pass: pin one, or CVG_AUTO */
    double error_growth;            /* AUTO's limit; 1 = exact algorithms only; see above */
    double gradient_scale;          /* multiplies every gradient; 1/N gives the textbook's mean */
    size_t workspace_limit;         /* bytes for any one pass; 0 = no limit */
    int threads;                    /* 0 = as many as OpenMP, or the machine, offers */
    cvg_parallel_for *parallel_for; /* the host's pool; NULL = OpenMP if built with it */
    void *pool;                     /* handed to parallel_for */
    const char *isa;                /* a name of cvg_isa_name(); NULL or "" = the best that there is */
} cvg_options;

#define CVG_OPTIONS_INIT                                                                                   \
    {                                                                                                      \
        sizeof(cvg_options), {CVG_AUTO, CVG_AUTO, CVG_AUTO}, CVG_ERROR_GROWTH, 1.0, 0, 0, NULL, NULL, NULL \
    }

/*
 * What CVG_CONV_INIT and CVG_OPTIONS_INIT hold, for languages without C's initialisers: size is that of the
 * caller's struct, which may be that of an older header.
 */
CVG_API void cvg_conv_init(cvg_conv *conv, size_t size);
CVG_API void cvg_options_init(cvg_options *options, size_t size);

/*
 * One sentence that names the field and its value, without a final stop.  Empty on success.
 * It never changes its size.
 */
typedef struct cvg_error {
    char text[240];
} cvg_error;

typedef struct cvg_plan cvg_plan;

/* "MAJOR.MINOR.PATCH" of the library that is running. */
CVG_API const char *cvg_version(void);

/* A few words for a status; "unknown status" for a number that is none. */
CVG_API const char *cvg_status_string(cvg_status status);

/*
 * The names of the instruction sets that this build and processor have, best first, such as "avx512", "avx2", "fma",
 * "neon", "portable"; NULL past the last.
 */
CVG_API const char *cvg_isa_name(int index);

/*
 * Whether an algorithm mixes neighbours (cvg_options): 1 for Winograd's, 0 for those that add the
 * definition's products.
 */
CVG_API int cvg_algo_mixes(cvg_algo algo);

/* "f32", "f64", "bf16" or "f16", and the bytes of an element; NULL and 0 for a number that is no type of elements. */
CVG_API const char *cvg_type_name(cvg_type type);
CVG_API size_t cvg_type_size(cvg_type type);

/* "auto", "reference", "direct", "im2col", "winograd4" ...; NULL for a number that is no algorithm. */
CVG_API const char *cvg_algo_name(cvg_algo algo);

/*
 * cvg_output_size() computes the output's size along each axis into
 * out[0..spatial_dims-1].  It checks conv as cvg_plan_create() does, and
 * returns CVG_OK or CVG_INVALID_ARGUMENT.  error may be NULL.
 */
CVG_API cvg_status cvg_output_size(const cvg_conv *conv, int64_t *out, cvg_error *error);

/*
 * cvg_plan_create() checks the problem and the options, chooses an algorithm
 * for each pass, and stores a new plan in *plan.
 *
 *   options  NULL for the defaults of CVG_OPTIONS_INIT
 *   error    NULL, or where to write the sentence
 *
 * CVG_AUTO takes the algorithm that a model of costs expects to be fastest, of those that
 * keep error_growth and the workspace limit: a choice by conv and options alone.  (One that mixes
 * neighbours must be 1.25 times as fast, see cvg_options.)  When the limit is too small for all threads, fewer are
 * used, so that the limit never changes the result with the thread count.
 *
 * Returns CVG_OK; or CVG_INVALID_ARGUMENT for a descriptor or an option that cannot be right, or an isa that
 * the processor lacks; CVG_UNSUPPORTED when a pinned algorithm refuses the problem or the limit;
 * CVG_OUT_OF_MEMORY.
 * *plan is NULL on failure.
 */
CVG_API cvg_status cvg_plan_create(cvg_plan **plan, const cvg_conv *conv, const cvg_options *options, cvg_error *error);

/*
 * cvg_plan_measure() makes a plan as cvg_plan_create() does, but for each pass that options leave
 * to CVG_AUTO it times the algorithms that keep error_growth and the workspace limit, for about
 * so many seconds in all (each at least twice), and takes the fastest.  It allocates tensors of the
 * problem's sizes for that time.  The choice depends on the machine and the moment: keep it with
 * cvg_plan_export() to have the same bits again.
 *
 * Returns what cvg_plan_create() returns; CVG_INVALID_ARGUMENT if seconds is negative or NaN.
 */
CVG_API cvg_status cvg_plan_measure(cvg_plan **plan, const cvg_conv *conv, const cvg_options *options, double seconds,
                                    cvg_error *error);

/*
 * cvg_plan_export() writes a plan's choices as readable text with the problem, the limits, the
 * library's version and a check sum.  Like snprintf: at most size bytes, ends with a 0 if size > 0,
 * returns the length of the full text.  That of a NULL plan is empty.
 *
 * cvg_plan_import() makes a plan for conv and options with the choices of such a text of length
 * bytes.  A text of another problem, type, limit or version of the library, a pinned algorithm that
 * it contradicts, and any damage to it are refused with a reason, as CVG_INVALID_ARGUMENT: results
 * never change silently.  Threads, gradient_scale and the pool are those of options.
 */
CVG_API size_t cvg_plan_export(const cvg_plan *plan, char *text, size_t size);
CVG_API cvg_status cvg_plan_import(cvg_plan **plan, const char *text, size_t length, const cvg_conv *conv,
                                   const cvg_options *options, cvg_error *error);

/* Frees a plan; NULL is fine.  No thread may be running it. */
CVG_API void cvg_plan_destroy(cvg_plan *plan);

/*
 * The exact number of bytes that a pass needs as workspace; 0 if none, if plan is
 * NULL, or if pass is no cvg_pass.  The workspace may have any alignment.  It does not grow with the batch; of halves
 * only up to 2 MiB, or twice the weight as float, or what one image takes as float.
 */
CVG_API size_t cvg_plan_workspace_size(const cvg_plan *plan, cvg_pass pass);

/* The largest of the three: one workspace for every pass.  0 if plan is NULL. */
CVG_API size_t cvg_plan_workspace_most(const cvg_plan *plan);

/* The algorithm chosen for a pass; CVG_AUTO only if plan is NULL or pass no cvg_pass. */
CVG_API cvg_algo cvg_plan_algo(const cvg_plan *plan, cvg_pass pass);

/* The number of threads that a pass will use, at least 1; 1 if plan is NULL. */
CVG_API int cvg_plan_threads(const cvg_plan *plan, cvg_pass pass);

/*
 * The instruction set of a plan's kernels, such as "avx2"; "" if plan is NULL.  And whether they multiply and
 * add with one rounding: then results have the same bits as those of every other set that does.
 */
CVG_API const char *cvg_plan_isa(const cvg_plan *plan);
CVG_API int cvg_plan_fuses(const cvg_plan *plan);

/*
 * An a-priori bound of the error of a pass: no element of its result is further from the exact one than
 * this, times the largest absolute value of each operand, barring underflow, and before bias, scale or
 * accumulation.  Infinite where it says nothing; 0 if plan is NULL or pass no cvg_pass.
 */
CVG_API double cvg_plan_error_bound(const cvg_plan *plan, cvg_pass pass);

/*
 * How much larger than that of direct sums the error is likely to be (cvg_options).  1 for an algorithm
 * that adds the definition's products, and so keeps its structure; more than 1 for one that mixes
 * neighbours; 0 if plan is NULL or pass no cvg_pass.
 */
CVG_API double cvg_plan_error_growth(const cvg_plan *plan, cvg_pass pass);

/*
 * Describes a plan in plain text: the problem, the kernels, and for each pass
 * the algorithm, its workspace and threads, how it cuts the work, whether it keeps structure, and why each other
 * algorithm was not taken, with the times of those that cvg_plan_measure() timed.  Like snprintf:
 * writes at most size bytes, always ends with a 0 if size > 0, and returns the length of the full
 * text.  That of a NULL plan is empty.
 */
CVG_API size_t cvg_plan_describe(const cvg_plan *plan, char *text, size_t size);

/*
 * cvg_forward() computes
 *
 *   output[n][k][p][q] = bias[k] + sum over c, r, s of
 *       weight[k][c][r][s] *
 *       input[n][g*C/G + c][p*stride_h - pad_top + r*dilation_h]
 *                          [q*stride_w - pad_left + s*dilation_w]
 *
 * where g = k / (K/G), c runs over the C/G channels of group g, and positions
 * outside the input count as zero; alike for rank 1 and 3.
 *
 *   input      N x C x H x W      read
 *   weight     K x C/G x R x S    read
 *   bias       K                  read; may be NULL for none
 *   output     N x K x P x Q      written
 *   workspace  cvg_plan_workspace_size(plan, CVG_FORWARD) bytes of any
 *              alignment; contents on entry and exit are unspecified; may be
 *              NULL if that size is 0
 *
 * output and workspace may not overlap any operand.  Returns CVG_OK, or
 * CVG_INVALID_ARGUMENT if a required pointer is NULL: cvg_check_call() says which.  Never allocates.
 * gradient_scale does not apply.  Source: the definition, docs/derivation.md 1.
 */
CVG_API cvg_status cvg_forward(const cvg_plan *plan, const void *input, const void *weight, const void *bias,
                               void *output, void *workspace);

/*
 * cvg_grad_input() computes the gradient of the loss with respect to input:
 *
 *   grad_input[n][c][h][w] = gradient_scale * sum over k, r, s, p, q of
 *       grad_output[n][k][p][q] * weight[k][c][r][s]
 *       where p*stride_h - pad_top  + r*dilation_h = h
 *       and   q*stride_w - pad_left + s*dilation_w = w,
 *
 * k running over the output channels of c's group.
 *
 *   grad_output  N x K x P x Q      read
 *   weight       K x C/G x R x S    read
 *   grad_input   N x C x H x W      written, or added to with CVG_ACCUMULATE
 *   workspace    as above, for CVG_GRAD_INPUT
 *
 * Overlap, errors and allocation as for cvg_forward(); also
 * CVG_INVALID_ARGUMENT if mode is no cvg_mode.  Source: docs/derivation.md 3.
 */
CVG_API cvg_status cvg_grad_input(const cvg_plan *plan, const void *grad_output, const void *weight, void *grad_input,
                                  cvg_mode mode, void *workspace);

/*
 * cvg_grad_weight() computes the gradient of the loss with respect to weight:
 *
 *   grad_weight[k][c][r][s] = gradient_scale * sum over n, p, q of
 *       grad_output[n][k][p][q] *
 *       input[n][g*C/G + c][p*stride_h - pad_top + r*dilation_h]
 *                          [q*stride_w - pad_left + s*dilation_w]
 *
 * with g = k / (K/G), and positions outside the input counting as zero.
 *
 *   input        N x C x H x W      read
 *   grad_output  N x K x P x Q      read
 *   grad_weight  K x C/G x R x S    written, or added to with CVG_ACCUMULATE
 *   workspace    as above, for CVG_GRAD_WEIGHT
 *
 * Overlap, errors and allocation as for cvg_grad_input().  With batch 0 the
 * gradient is zero.  Source: docs/derivation.md 4.
 */
CVG_API cvg_status cvg_grad_weight(const cvg_plan *plan, const void *input, const void *grad_output, void *grad_weight,
                                   cvg_mode mode, void *workspace);

/*
 * cvg_grad_bias() computes the gradient of the loss with respect to bias:
 *
 *   grad_bias[k] = gradient_scale * sum over n, p, q of grad_output[n][k][p][q]
 *
 *   grad_output  N x K x P x Q    read
 *   grad_bias    K                written, or added to with CVG_ACCUMULATE
 *
 * Needs no workspace; follows the algorithm of CVG_GRAD_WEIGHT.  Overlap,
 * errors and allocation as for cvg_grad_input().  Source: docs/derivation.md 2.
 */
CVG_API cvg_status cvg_grad_bias(const cvg_plan *plan, const void *grad_output, void *grad_bias, cvg_mode mode);

/*
 * cvg_backward() computes any subset of the three gradients, with the same bits
 * as the calls above: a NULL grad_input, grad_weight or grad_bias is left out,
 * and input or weight may be NULL when no gradient asked for reads it.
 * workspace: the larger of the sizes of the passes asked for.  All operands are
 * checked before anything is written.
 */
CVG_API cvg_status cvg_backward(const cvg_plan *plan, const void *input, const void *weight, const void *grad_output,
                                void *grad_input, void *grad_weight, void *grad_bias, cvg_mode mode, void *workspace);

/*
 * Why a call would return CVG_INVALID_ARGUMENT: the first thing that is wrong with its arguments, by name,
 * such as "weight is NULL" or "workspace is NULL; grad_input needs 4096 bytes".  first and second are the
 * operands in the order of the pass's own call: input and weight, grad_output and weight, input and
 * grad_output; a transposed convolution is the pass that does it.  Returns CVG_OK or
 * CVG_INVALID_ARGUMENT; computes nothing.  error may be NULL.
 */
CVG_API cvg_status cvg_check_call(const cvg_plan *plan, cvg_pass pass, const void *first, const void *second,
                                  const void *result, cvg_mode mode, const void *workspace, cvg_error *error);

/*
 * The transposed convolution is the gradient of the input of a convolution, taken as a layer of its
 * own.  Its plan is that of the convolution, so the names of sizes are exchanged: the layer reads
 * K channels of P x Q, and gives C channels of H x W.
 *
 * cvg_transpose_forward() computes
 *
 *   output[n][c][h][w] = bias[c] + sum over k, r, s, p, q as in cvg_grad_input()
 *
 *   input      N x K x P x Q      read
 *   weight     K x C/G x R x S    read
 *   bias       C                  read; may be NULL for none
 *   output     N x C x H x W      written
 *   workspace  cvg_plan_workspace_size(plan, CVG_GRAD_INPUT) bytes
 *
 * It takes the algorithm of CVG_GRAD_INPUT.  gradient_scale does not apply.
 *
 * cvg_transpose_backward() computes any subset of its gradients; NULL leaves one out:
 *
 *   grad_input   N x K x P x Q      by the algorithm of CVG_FORWARD, from grad_output and weight
 *   grad_weight  K x C/G x R x S    by that of CVG_GRAD_WEIGHT, from grad_output and input
 *   grad_bias    C                  sum over n, h, w of grad_output
 *
 *   grad_output  N x C x H x W      read
 *   workspace    the larger of the sizes of the passes asked for; cvg_plan_workspace_most() is enough
 *
 * Operands, overlap, mode, gradient_scale, batch 0, errors and same bits as for cvg_forward() and
 * cvg_backward().  Source: docs/derivation.md 3.
 */
CVG_API cvg_status cvg_transpose_forward(const cvg_plan *plan, const void *input, const void *weight, const void *bias,
                                         void *output, void *workspace);
CVG_API cvg_status cvg_transpose_backward(const cvg_plan *plan, const void *input, const void *weight,
                                          const void *grad_output, void *grad_input, void *grad_weight, void *grad_bias,
                                          cvg_mode mode, void *workspace);

/*
 * What cvg_verify() did, and one sentence on the first check that failed; empty if none did.  It never changes its
 * size.
 */
typedef struct cvg_report {
    int64_t checks, failures;
    char text[240];
} cvg_report;

/*
 * cvg_verify() runs all passes of a plan on operands of its own, and compares their results with the
 * definition: exactly on small integers where the algorithm's sums are exact, within the derived bound
 * otherwise (docs/numerics.md), overwritten and accumulated; and on zeros with a few large elements,
 * between which exact algorithms must leave zeros.  At most about 2000 elements of each
 * result are compared, drawn if there are more.  One thread must give the same bits as the plan's, and
 * nothing may be written outside the results and the workspace.  For applications that want to know
 * at start-up that their own shapes are right on this machine.
 *
 * Takes the time of about eight of each pass and of some 10^8 multiplications, and allocates tensors of the problem's
 * sizes.  Returns CVG_OK, CVG_WRONG_RESULT, CVG_OUT_OF_MEMORY, or CVG_INVALID_ARGUMENT if plan or report
 * is NULL.
 */
CVG_API cvg_status cvg_verify(const cvg_plan *plan, cvg_report *report);

#ifdef __cplusplus
}
#endif

#endif
