/* Method 1: loops over plain tensors, all on the microkernel. */
#include "direct.h"

enum { FEW_CHANNELS = 6 }; /* of lanes' worth, pixels make better lanes */

struct cvg_gather cvg_gather_of(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_gather forward = {
        .M = s->Kg,
        .L = s->Cg,
        .m_step = s->taps,
        .l_step = s->filter_size,
        .source_size = s->in_size,
        .dst_size = s->out_size,
        .source_extent = s->in,
        .dst_extent = s->out,
    };
    const struct cvg_gather grad_input = {
        .gradient = 1,
        .M = s->Cg,
        .L = s->Kg,
        .m_step = s->filter_size,
        .l_step = s->taps,
        .source_size = s->out_size,
        .dst_size = s->in_size,
        .source_extent = s->out,
        .dst_extent = s->in,
    };
    return pass == CVG_FORWARD ? forward : grad_input;
}

int64_t cvg_panel_lanes(const struct cvg_kernels *kernels, int64_t count)
{
    const int64_t narrow = kernels->tile[kernels->tiles - 1].lanes;
    return cvg_times(cvg_ceil_div(count, narrow), narrow);
}

const struct cvg_tile *cvg_panel_tile(const struct cvg_kernels *kernels, int64_t lanes)
{
    const int64_t need = cvg_panel_lanes(kernels, lanes);
    const struct cvg_tile *tile = cvg_main_tile(kernels);
    while (tile->lanes > need)
        tile++;
    return tile;
}

static const struct cvg_form *form_of(const struct cvg_shape *s, cvg_pass pass)
{
    if (pass == CVG_GRAD_WEIGHT)
        return s->Kg <= FEW_CHANNELS && s->out[2] > s->Kg ? &cvg_direct_dots : &cvg_direct_weight;
    return cvg_gather_of(s, pass).M <= FEW_CHANNELS ? &cvg_direct_pixels : &cvg_direct_channels;
}

static size_t workspace(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                        int workers)
{
    struct cvg_arena arena = cvg_arena_on(NULL);
    form_of(s, pass)->layout(s, kernels, pass, workers, &arena);
    return arena.overflow ? SIZE_MAX : cvg_arena_size(&arena);
}

static void forward(const struct cvg_task *task)
{
    form_of(task->shape, CVG_FORWARD)->run(task, CVG_FORWARD);
}

static void grad_input(const struct cvg_task *task)
{
    form_of(task->shape, CVG_GRAD_INPUT)->run(task, CVG_GRAD_INPUT);
}

static void grad_weight(const struct cvg_task *task)
{
    form_of(task->shape, CVG_GRAD_WEIGHT)->run(task, CVG_GRAD_WEIGHT);
}

const struct cvg_algorithm cvg_direct = {
    .id = CVG_DIRECT,
    .name = "direct",
    .workspace = workspace,
    .run = {forward, grad_input, grad_weight},
    .grad_bias = cvg_grad_bias_sums,
};
