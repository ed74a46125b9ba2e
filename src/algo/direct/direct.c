/* Method 1: loops over plain tensors, all on the microkernel.  A filter as large as its image is a matrix product. */
#include "direct.h"

/* In the order in which they are asked; the last of each kind fits all. */
static const struct cvg_form *const forms[] = {
#ifndef __OPTIMIZE_SIZE__ /* groups and depthwise give the same bits, only slower */
    &cvg_direct_planes,    &cvg_direct_squares,
#endif
    &cvg_direct_groups,    &cvg_direct_dots,     &cvg_direct_weight_last, &cvg_direct_weight, /* grad_weight */
    &cvg_direct_depthwise,
#ifndef __OPTIMIZE_SIZE__ /* channels and pixels give the same bits, only slower */
    &cvg_direct_dense,
#endif
    &cvg_direct_pixels,    &cvg_direct_channels,
};

/* Whether kernels do not have what a form needs.  The next form that fits has the same bits. */
static int lacks(const struct cvg_kernels *kernels, const struct cvg_form *form, const struct cvg_shape *s,
                 cvg_pass pass)
{
    return (form == &cvg_direct_planes && !kernels->filter_frame) ||
           (form == &cvg_direct_squares && !(cvg_is_half(s->type)      ? kernels->filter_halves != NULL
                                             : pass == CVG_GRAD_WEIGHT ? kernels->weigh_squares != NULL
                                             : s->Cg == 1              ? kernels->filter_depth != NULL
                                                                       : kernels->filter_squares != NULL));
}

/* The form of a pass, by the shape alone; or that of some kernels. */
static const struct cvg_form *form_of(const struct cvg_shape *s, cvg_pass pass, const struct cvg_kernels *kernels)
{
    const struct cvg_form *const *form = forms;
    if (cvg_are_pairs(s) || cvg_is_zipped(s)) /* see pairs() */
        return pass != CVG_GRAD_WEIGHT ? &cvg_direct_channels
               : s->Cg > CVG_FEW_ROWS  ? &cvg_direct_weight_last
                                       : &cvg_direct_weight;
    while (!(*form)->fits(s, pass) || (cvg_is_half(s->type) && !(*form)->reads) ||
           (CVG_FAST && kernels && lacks(kernels, *form, s, pass)))
        form++;
    return *form;
}

static int pairs(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_form *const form = form_of(s, pass, NULL);
    return form == &cvg_direct_channels || form == &cvg_direct_weight_last || form == &cvg_direct_weight;
}

static CVG_ONCE int reads(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_form *const form = form_of(s, pass, NULL);
    return form->reads && form->reads(s, pass);
}

static CVG_ONCE double cost(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    struct cvg_shape flat;
    (void)self;
    if (cvg_shape_flat(s, &flat))
        s = &flat;
    return form_of(s, pass, NULL)->cost(s, pass) + CVG_DIRECT_CALL;
}

static CVG_ONCE void prepare(const struct cvg_algorithm *self, const struct cvg_shape *s,
                             const struct cvg_kernels *kernels, cvg_pass pass, int workers, struct cvg_work *work)
{
    (void)self;
    form_of(s, pass, kernels)->prepare(s, kernels, pass, workers, work);
}

const struct cvg_algorithm cvg_direct = {
    .id = CVG_DIRECT,
    .name = "direct",
    .pairs = CVG_HALVES ? pairs : NULL,
    .reads = CVG_HALVES ? reads : NULL,
    .flat = 1,
    .cost = cost,
    .prepare = prepare,
    .grad_bias = cvg_grad_bias_sums,
};
