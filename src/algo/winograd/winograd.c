/* Winograd's algorithms: what they refuse, how their errors grow, what they cost. */
#include "../cost.h"
#include "winograd.h"

#include <math.h>

enum { MOST_PLANES = 64 }; /* of a filter: each takes its own tiles */

/* Of costs. */
enum {
    LANES = 8,            /* channels are transformed in vectors of as many, */
    BLOCK = 128,          /* and multiplied in blocks of as many */
    GROUP = 64,           /* tiles at a time, */
    GROUP_WEIGHT = 128,   /* in grad_weight of many channels */
    NEAR_BYTES = 1 << 20, /* of sums that stay in the second-level cache */
};

/* Why a problem is none for an algorithm's points; NULL if it is one. */
static const char *refuses(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    (void)pass;
    for (int i = 0; i < 3; i++) {
        if (s->stride[i] != 1 && s->out[i] > 1)
            return "the filter moves by more than one element";
        if (i && s->dilation[i] != 1 && s->filter[i] > 1)
            return "the filter has gaps";
    }
    if (s->filter[0] > MOST_PLANES || !cvg_winograd_split(self->points, s->filter[1]) ||
        !cvg_winograd_split(self->points, s->filter[2]))
        return "the filter is too large for its points";
    return s->filter[1] * s->filter[2] == 1 ? "the filter has one element along rows and columns" : NULL;
}

/* The larger norms of two axes, as those of both. */
static struct cvg_winograd_norms norms_of(const struct cvg_winograd *w, cvg_pass pass)
{
    struct cvg_winograd_norms norms = {1, 1};
    for (int i = 0; i < 2; i++) {
        const struct cvg_winograd_axis axis = cvg_winograd_axis_of(w->axis[i].n, w->axis[i].r);
        const struct cvg_winograd_norms one = cvg_winograd_norms_of(&axis, pass == CVG_GRAD_WEIGHT);
        norms.absolute *= one.absolute;
        norms.square *= one.square;
    }
    return norms;
}

/*
 * The sums over channels or tiles are as many times shorter than the definition's as a tile has
 * products, which norms.square takes into account.  The rest is measured (docs/numerics.md): the
 * transforms' own roundings add a third, and more where few channels are added; direct's
 * grad_weight is more exact than one sum in order, for its sums are of parts.
 */
static double error_growth(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_winograd w = cvg_winograd_of(s, self->points, pass, 1);
    const double channels = (double)w.subs * (double)(pass == CVG_FORWARD ? s->Cg : s->Kg);
    const double factor = pass == CVG_GRAD_WEIGHT ? 16.0 / 3 : 16.0 / 9 + 12 / channels;
    return sqrt(1 + factor * norms_of(&w, pass).square);
}

/*
 * Each term of the trilinear form passes, along an axis, through at most n + n + r roundings of
 * the three transforms, and three coefficients, which are themselves rounded; through those of
 * the sum over channels or tiles; and through scale and sum with an old value.
 */
static double error_bound(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_winograd w = cvg_winograd_of(s, self->points, pass, 1);
    const double coefficient = s->type == CVG_F32 ? 1 + 0x1p-20 : 16; /* computed in double */
    const double tiles = (double)s->N * (double)w.depth.planes * (double)w.tiles[0] * (double)w.tiles[1];
    const double channels = (double)w.subs * (double)(pass == CVG_FORWARD ? s->Cg : s->Kg);
    const double length = pass == CVG_GRAD_WEIGHT ? tiles : channels;
    double roundings = length + 3, products = length;
    for (int i = 0; i < 2; i++) {
        const struct cvg_winograd_size *a = &w.axis[i];
        products *= pass == CVG_GRAD_WEIGHT ? a->m : a->r;
        if (a->n > 1)
            roundings += 2 * a->n + (pass == CVG_GRAD_WEIGHT ? a->m : a->r) + 3 * coefficient;
    }
    return cvg_gamma(s->type, roundings) * norms_of(&w, pass).absolute * products;
}

/* What AUTO expects. */
static double cost(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    const int n = self->points;
    const struct cvg_winograd w = cvg_winograd_of(s, n, pass, 1);
    const double tiles = (double)s->N * (double)w.depth.planes * (double)w.tiles[0] * (double)w.tiles[1];
    const double share = (double)cvg_inside_share(s, pass, 1) / 100 * (double)s->filter[0] / (double)w.depth.taps;
    const double subs = (double)w.subs, g = (double)s->G * (pass == CVG_GRAD_WEIGHT ? subs : 1);
    const double from = (double)(pass == CVG_GRAD_INPUT ? s->Kg : s->Cg) * (pass == CVG_GRAD_WEIGHT ? 1 : subs);
    const double to = (double)(pass == CVG_GRAD_INPUT ? s->Cg : s->Kg);
    const double from_lanes = LANES * ceil(from / LANES), to_lanes = LANES * ceil(to / LANES);
    const double size = s->type == CVG_F32 ? 4 : 8, turns = ceil(tiles / GROUP);
    const double transform = (n == 8 ? CVG_WINOGRAD_TRANSFORM_8 : CVG_WINOGRAD_TRANSFORM) *
                             (w.axis[0].n == 1 || w.axis[1].n == 1 ? CVG_WINOGRAD_ONE_AXIS : 1);
    const double again = n == 8 ? (1 + CVG_WINOGRAD_AGAIN * (subs - 1)) / subs : 1; /* few sub-filters read the same */
    double sum = share * tiles * g * from * to_lanes / CVG_WINOGRAD_SHARE;          /* products */
    if (pass == CVG_GRAD_WEIGHT) {
        const double rounds = ceil(share * tiles / GROUP_WEIGHT);
        const double near = (double)w.points * fmin(from, BLOCK) * fmin(to, BLOCK) * size;
        sum += share * tiles * g * (from_lanes * ceil(to / BLOCK) + to_lanes * ceil(from / BLOCK)) *
               CVG_WINOGRAD_GRADIENT * transform * again;
        sum *= w.flat > 1 ? CVG_WINOGRAD_SUBS : 1;
        sum += g * from * to_lanes *
               ((w.flat > 1 ? CVG_WINOGRAD_BACK_SUBS : CVG_WINOGRAD_BACK) +
                (near <= NEAR_BYTES ? 0 : CVG_WINOGRAD_SUMS * (2 * rounds - 1)));
    } else {
        const double bytes = (double)w.points * from * to * g * size;
        sum += tiles * (share * LANES * ceil(g * from / LANES) * again + g * to_lanes) * transform;
        sum += g * from * to_lanes * (n == 8 ? CVG_WINOGRAD_WEIGHT_8 : CVG_WINOGRAD_WEIGHT) *
               (bytes <= (double)cvg_winograd_shared_bytes(&w) ? 1 : turns);
        sum *= w.flat > 1 && to < LANES ? CVG_WINOGRAD_FEW : 1;
    }
    return sum * (double)w.points + CVG_WINOGRAD_CALL;
}

static CVG_ONCE void prepare(const struct cvg_algorithm *self, const struct cvg_shape *s,
                             const struct cvg_kernels *kernels, cvg_pass pass, int workers, struct cvg_work *work)
{
    if (pass == CVG_GRAD_WEIGHT)
        cvg_winograd_weight(s, kernels, self->points, workers, work);
    else
        cvg_winograd_gather(s, kernels, pass, self->points, workers, work);
}

/* Tensors are read and written by the view alone. */
static int reads(const struct cvg_shape *s, cvg_pass pass)
{
    (void)s, (void)pass;
    return 1;
}

const struct cvg_algorithm cvg_winograd4 = {
    .id = CVG_WINOGRAD4,
    .name = "winograd4",
    .points = 4,
    .mixes = 1,
    .reads = CVG_HALVES ? reads : NULL,
    .refuses = refuses,
    .error_growth = error_growth,
    .error_bound = error_bound,
    .cost = cost,
    .prepare = prepare,
    .grad_bias = cvg_grad_bias_sums,
};

const struct cvg_algorithm cvg_winograd6 = {
    .id = CVG_WINOGRAD6,
    .name = "winograd6",
    .points = 6,
    .mixes = 1,
    .reads = CVG_HALVES ? reads : NULL,
    .refuses = refuses,
    .error_growth = error_growth,
    .error_bound = error_bound,
    .cost = cost,
    .prepare = prepare,
    .grad_bias = cvg_grad_bias_sums,
};

const struct cvg_algorithm cvg_winograd8 = {
    .id = CVG_WINOGRAD8,
    .name = "winograd8",
    .points = 8,
    .mixes = 1,
    .reads = CVG_HALVES ? reads : NULL,
    .refuses = refuses,
    .error_growth = error_growth,
    .error_bound = error_bound,
    .cost = cost,
    .prepare = prepare,
    .grad_bias = cvg_grad_bias_sums,
};
