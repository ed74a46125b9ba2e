/* Method 1: loops over plain tensors, all on the microkernel. */
#include "direct.h"

enum {
    DENSE_PIXELS = 96,     /* of a plane: fewer leave too much of the last vector unused */
    PIXEL_CHANNELS = 12,   /* up to as many destination channels, pixels make better lanes */
    STRIDED_CHANNELS = 32, /* or as many, if what they write is as far apart as a stride */
    MANY_PHASES = 16,      /* of stride: more leave few destinations that sum the same taps */
    MOST_TAPS = 256,
    MOSTLY_INSIDE = 60, /* percent of products with padding left out */
    DOTS = 4,           /* up to as many k, grad_weight by dot products beats lanes of k */
    DOT_PIXELS = 8,     /* if rows are as long */
    OVERHEAD = 20000,   /* of the cost: of a call, in multiplications */
    PACKED = 40,        /* of the cost: of an element of the weight */
    STRIDED = 24,       /* of the cost: of an element that is written so many elements further on */
    NARROW = 32,        /* channels as lanes: fewer leave vectors unused */
    SHORT_SUM = 32,     /* products of a sum that does not repay turning lanes to rows */
};

/* Whether every destination is a sum over the channels of one source element. */
static int is_dense(const struct cvg_shape *s, cvg_pass pass)
{
    int dense = s->filter_size == 1;
    for (int i = 0; i < 3; i++) {
        dense &= s->pad[i] == 0 && (s->out[i] - 1) * s->stride[i] < s->in[i];
        dense &= pass == CVG_FORWARD || s->in[i] == s->out[i];
    }
    return dense;
}

/* Of the products of a destination and a tap, how many percent do not fall on padding. */
static int64_t inside_share(const struct cvg_shape *s, const struct cvg_gather *view)
{
    int64_t share = 100;
    for (int i = 0; i < 3; i++) {
        if (s->filter[i] > MOST_TAPS || s->in[i] > INT32_MAX || s->out[i] > INT32_MAX)
            continue;       /* rare, and long to count */
        int64_t inside = 0; /* pairs of an output position and a tap that meets the input */
        for (int64_t tap = 0; tap < s->filter[i]; tap++) {
            const int64_t first = tap * s->dilation[i] - s->pad[i]; /* the input at output 0 */
            const int64_t low = first < 0 ? cvg_ceil_div(-first, s->stride[i]) : 0;
            const int64_t end = first < s->in[i] ? (s->in[i] - 1 - first) / s->stride[i] + 1 : 0;
            inside += cvg_max(0, cvg_min(end, s->out[i]) - low);
        }
        const int64_t all = view->gradient ? cvg_ceil_div(s->in[i], s->stride[i]) : s->out[i];
        share = share * inside / cvg_times(all, s->filter[i]);
    }
    return share;
}

static const struct cvg_form *form_of(const struct cvg_shape *s, cvg_pass pass)
{
    if (pass == CVG_GRAD_WEIGHT)
        return s->Kg <= DOTS && s->out[2] >= DOT_PIXELS ? &cvg_direct_dots : &cvg_direct_weight;
    const struct cvg_gather view = cvg_gather_of(s, pass);
    if (s->Cg == 1 && s->filter_size > 1)
        return &cvg_direct_depthwise;
    if (is_dense(s, pass) && s->out_size >= DENSE_PIXELS)
        return &cvg_direct_dense;
    if (view.gradient && cvg_times(s->stride[0], cvg_times(s->stride[1], s->stride[2])) > MANY_PHASES)
        return &cvg_direct_pixels; /* whose lanes are of one phase, however far apart */
    if (view.M > CVG_FEW_CHANNELS && inside_share(s, &view) < MOSTLY_INSIDE)
        return &cvg_direct_channels; /* which leaves the padding out */
    const int strided = view.gradient && s->stride[2] > 1;
    if (view.M <= (strided ? STRIDED_CHANNELS : PIXEL_CHANNELS) || view.L * s->filter_size <= SHORT_SUM)
        return &cvg_direct_pixels;
    return &cvg_direct_channels;
}

/*
 * What AUTO expects, in multiplications at the processor's peak; the constants are fitted to
 * measured times, see docs/algorithms.md.
 */
static double cost(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    (void)self;
    const struct cvg_form *form = form_of(s, pass);
    const double N = (double)s->N, products = N * (double)s->K * (double)s->out_size * (double)s->taps;
    const double read = N * (double)s->C * (double)s->in_size, written = N * (double)s->K * (double)s->out_size;
    if (form == &cvg_direct_weight)
        return products / 0.78 * (s->Cg > DOTS && s->Cg < NARROW / 2 ? 1.5 : 1) + 20 * (read + written) + OVERHEAD;
    if (form == &cvg_direct_dots)
        return products / 0.45 + 15 * (read + written) + OVERHEAD;
    const struct cvg_gather view = cvg_gather_of(s, pass);
    const double result = view.gradient ? read : written;
    const double strides = (double)s->stride[0] * (double)s->stride[1] * (double)s->stride[2];
    /* Products with what is padding, which most forms multiply, too. */
    const double all = result * (double)view.L * (double)s->filter_size / (view.gradient ? strides : 1);
    const double steps = view.gradient && s->stride[2] > 1 ? STRIDED * fmin((double)s->stride[2], 64) * result : 0;
    if (form == &cvg_direct_depthwise)
        return all / (view.gradient && s->Kg > 1 ? 0.22 : 0.6) + 30 * result + steps + OVERHEAD;
    if (form == &cvg_direct_dense)
        return products / 0.72 + OVERHEAD;
    if (form == &cvg_direct_pixels) {
        const double share =
            steps > 0 && view.M > PIXEL_CHANNELS ? 0.7 : 0.43 + fmin(0.2, (double)s->filter_size / 245);
        return all / share + 10 * result + steps + OVERHEAD;
    }
    const double lanes = view.M < NARROW / 2 ? 4 : view.M < NARROW ? 1.5 : 1;
    const double packing = PACKED * (double)s->G * (double)view.M * (double)view.L * (double)s->filter_size;
    return all * (double)inside_share(s, &view) / 100 / 0.87 * lanes + packing + (steps > 0 ? steps : 25 * result) +
           OVERHEAD;
}

static void prepare(const struct cvg_algorithm *self, const struct cvg_shape *s, const struct cvg_kernels *kernels,
                    cvg_pass pass, int workers, struct cvg_work *work)
{
    (void)self, (void)workers;
    form_of(s, pass)->prepare(s, kernels, pass, work);
}

const struct cvg_algorithm cvg_direct = {
    .id = CVG_DIRECT,
    .name = "direct",
    .cost = cost,
    .prepare = prepare,
    .grad_bias = cvg_grad_bias_sums,
};
