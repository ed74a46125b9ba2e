/*
 * linear: two convolutions of one tap.  Forward, a sample is an image of one pixel, so that its bits do not depend on
 * the samples beside it.  For gradients, samples x outputs (dy) are the weight of a convolution that reads the layer's
 * weight, outputs (channels) x inputs (pixels): its forward is the gradient of the input, its grad_input that of the
 * weight.  That is 2 to 20 times as fast as the passes of a convolution whose filter is the image.
 */
#include "../network.h"

static cvg_status linear_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    const char *outputs = cvt_take(line);
    int64_t bias = 1, count = 0;
    cvg_status status;
    if (!outputs)
        return cvt_line_fail(line, "linear has no number of outputs; write %s", l->kind->usage);
    if ((status = cvt_read_whole(line, outputs, "the number of outputs", 1, 2147483647, &count)) ||
        (status = cvt_read_whole(line, cvt_take_key(line, "bias"), "bias", 0, 1, &bias)))
        return status;
    if (l->in.rank > 0)
        return cvt_line_fail(line, "linear needs a flat input; it is %s: put flatten before it",
                             cvt_shape_text(&l->in).text);
    l->has_bias = (int)bias;
    l->out = cvt_shape_of(count, 0, NULL);
    const int64_t shape[2] = {l->out.channels, l->in.channels};
    cvt_add_parameter(n, l, "weight", 2, shape, shape[1], shape[0], 0, 0);
    if (bias)
        cvt_add_parameter(n, l, "bias", 1, shape, 0, 0, 0, 0);
    return CVG_OK;
}

static cvg_status make_plan(const cvg_network *n, struct cvt_layer *l, int64_t count, cvg_error *error)
{
    cvg_conv forward = CVG_CONV_INIT;
    forward.type = n->type;
    forward.spatial_dims = 1;
    cvg_conv back = forward;
    forward.batch = count;
    forward.in_channels = l->in.channels;
    forward.out_channels = l->out.channels;
    back.in_channels = l->out.channels;
    back.out_channels = count;
    back.in[0] = l->in.channels;

    cvg_options options = n->options, back_options = n->options;
    for (int pass = 0; pass < CVG_PASS_COUNT && count < n->shard; pass++) {
        options.algo[pass] = cvg_plan_algo(l->plan[n->shard], (cvg_pass)pass);
        back_options.algo[pass] = cvg_plan_algo(l->back[n->shard], (cvg_pass)pass);
    }
    cvg_status status = cvg_plan_create(&l->plan[count], &forward, &options, error);
    if (status || (status = cvg_plan_create(&l->back[count], &back, &back_options, error)))
        return status;
    l->scratch_size[0] = cvt_larger(l->scratch_size[0], cvg_plan_workspace_size(l->plan[count], CVG_FORWARD));
    for (int pass = CVG_FORWARD; pass <= CVG_GRAD_INPUT && l->trains; pass++)
        l->scratch_size[1] = cvt_larger(l->scratch_size[1], cvg_plan_workspace_size(l->back[count], (cvg_pass)pass));
    return CVG_OK;
}

static void linear_forward(const struct cvt_call *c)
{
    cvg_forward(c->layer->plan[c->run->count], c->x, cvt_value(c, 0), c->layer->has_bias ? cvt_value(c, 1) : NULL, c->y,
                c->scratch);
}

static void linear_backward(const struct cvt_call *c)
{
    const cvg_plan *back = c->layer->back[c->run->count];
    if (!c->layer->frozen) {
        cvg_grad_input(back, c->x, c->dy, cvt_gradient(c, 0), CVG_OVERWRITE, c->scratch);
        if (c->layer->has_bias)
            cvg_grad_bias(c->layer->plan[c->run->count], c->dy, cvt_gradient(c, 1), CVG_OVERWRITE);
    }
    if (c->dx)
        cvg_forward(back, cvt_value(c, 0), c->dy, NULL, c->dx, c->scratch);
}

const struct cvt_kind cvt_linear = {
    .name = "linear",
    .usage = "linear OUTPUTS [bias=1]",
    .make = linear_make,
    .plan = make_plan,
    .forward = {linear_forward, linear_forward},
    .backward = {linear_backward, linear_backward},
    .reads_x = 1,
};
