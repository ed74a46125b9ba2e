/* conv and conv_transpose: through plans alone.  The transposed one is the gradient of its convolution's input. */
#include "../network.h"

#define OPTIONS "[stride=1] [padding=0] [dilation=1] [groups=1] [bias=1]"

/* The convolution of a layer; transposed: what that reads is its output. */
static cvg_conv conv_of(const cvg_network *n, const struct cvt_layer *l, int64_t count)
{
    const int transposed = l->kind == &cvt_conv_transpose;
    const struct cvt_shape *in = transposed ? &l->out : &l->in, *out = transposed ? &l->in : &l->out;
    cvg_conv conv = CVG_CONV_INIT;
    conv.type = n->type;
    conv.spatial_dims = l->in.rank;
    conv.layout = n->layout;
    conv.batch = count;
    conv.in_channels = in->channels;
    conv.out_channels = out->channels;
    conv.groups = l->groups;
    for (int i = 0; i < l->in.rank; i++) {
        conv.in[i] = in->size[i];
        conv.filter[i] = l->filter[i];
        conv.stride[i] = l->stride[i];
        conv.dilation[i] = l->dilation[i];
        conv.pad_begin[i] = conv.pad_end[i] = l->padding[i];
    }
    return conv;
}

/* Channels, filter and options; channels go to out. */
static cvg_status read_words(struct cvt_layer *l, struct cvt_line *line)
{
    const char *channels = cvt_take(line), *filter = cvt_take(line);
    const int rank = l->in.rank;
    int64_t bias = 1;
    cvg_status status;
    if (rank == 0)
        return cvt_line_fail(line, "%s needs an input with axes; it is %s", l->kind->name, cvt_shape_text(&l->in).text);
    if (!channels || !filter)
        return cvt_line_fail(line, "%s has no %s; write %s", l->kind->name, channels ? "filter" : "channels",
                             l->kind->usage);
    if ((status = cvt_read_whole(line, channels, "the number of channels", 1, 2147483647, &l->out.channels)) ||
        (status = cvt_read_axes(line, filter, "the filter", rank, 1, l->filter)) ||
        (status = cvt_read_axes(line, cvt_take_key(line, "stride"), "stride", rank, 1, l->stride)) ||
        (status = cvt_read_axes(line, cvt_take_key(line, "padding"), "padding", rank, 0, l->padding)) ||
        (status = cvt_read_axes(line, cvt_take_key(line, "dilation"), "dilation", rank, 1, l->dilation)) ||
        (status = cvt_read_whole(line, cvt_take_key(line, "groups"), "groups", 1, 2147483647, &l->groups)) ||
        (status = cvt_read_whole(line, cvt_take_key(line, "bias"), "bias", 0, 1, &bias)))
        return status;
    l->has_bias = (int)bias;
    if (l->in.channels % l->groups || l->out.channels % l->groups)
        return cvt_line_fail(line, "groups is %lld; the channels, %lld and %lld, must be multiples of it",
                             (long long)l->groups, (long long)l->in.channels, (long long)l->out.channels);
    return CVG_OK;
}

static void add_parameters(cvg_network *n, struct cvt_layer *l, int64_t first, int64_t second)
{
    const int64_t shape[5] = {first, second / l->groups, l->filter[0], l->filter[1], l->filter[2]};
    int64_t filter = 1;
    for (int i = 0; i < l->in.rank; i++)
        filter = cvt_times(filter, l->filter[i]);
    cvt_add_parameter(n, l, "weight", 2 + l->in.rank, shape, cvt_times(shape[1], filter), cvt_times(first, filter), 0,
                      0);
    if (l->has_bias)
        cvt_add_parameter(n, l, "bias", 1, &l->out.channels, 0, 0, 0, 0);
}

static cvg_status conv_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    int64_t size[3];
    cvg_error why = {""};
    cvg_status status = read_words(l, line);
    if (status)
        return status;
    const cvg_conv conv = conv_of(n, l, 1);
    if (cvg_output_size(&conv, size, &why))
        return cvt_line_fail(line, "conv: %.180s", why.text);
    l->out = cvt_shape_of(l->out.channels, l->in.rank, size);
    add_parameters(n, l, l->out.channels, l->in.channels);
    return CVG_OK;
}

static cvg_status transpose_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    int64_t size[3], back[3];
    cvg_error why = {""};
    cvg_status status = read_words(l, line);
    if (status ||
        (status = cvt_read_axes(line, cvt_take_key(line, "output_padding"), "output_padding", l->in.rank, 0, l->extra)))
        return status;
    for (int i = 0; i < l->in.rank; i++) {
        if (l->extra[i] >= l->stride[i])
            return cvt_line_fail(line, "output_padding is %lld; must be less than the stride %lld",
                                 (long long)l->extra[i], (long long)l->stride[i]);
        const int64_t reach = cvt_times(l->dilation[i], l->filter[i] - 1);
        size[i] = cvt_times(l->in.size[i] - 1, l->stride[i]) - 2 * l->padding[i] + reach + l->extra[i] + 1;
        if (size[i] < 1)
            return cvt_line_fail(line, "padding %lld leaves no output", (long long)l->padding[i]);
    }
    l->out = cvt_shape_of(l->out.channels, l->in.rank, size);
    const cvg_conv conv = conv_of(n, l, 1);
    if (cvg_output_size(&conv, back, &why))
        return cvt_line_fail(line, "conv_transpose: %.180s", why.text);
    add_parameters(n, l, l->in.channels, l->out.channels);
    return CVG_OK;
}

/* A plan; smaller shards take the algorithms of the full one. */
static cvg_status make_plan(const cvg_network *n, struct cvt_layer *l, int64_t count, cvg_error *error)
{
    const cvg_pass forward = l->kind == &cvt_conv_transpose ? CVG_GRAD_INPUT : CVG_FORWARD;
    cvg_options options = n->options;
    for (int pass = 0; pass < CVG_PASS_COUNT && count < n->shard; pass++)
        options.algo[pass] = cvg_plan_algo(l->plan[n->shard], (cvg_pass)pass);
    const cvg_conv conv = conv_of(n, l, count);
    const cvg_status status = cvg_plan_create(&l->plan[count], &conv, &options, error);
    if (status)
        return status;
    l->scratch_size[0] = cvt_larger(l->scratch_size[0], cvg_plan_workspace_size(l->plan[count], forward));
    for (int pass = 0; pass < CVG_PASS_COUNT && l->trains; pass++)
        if (pass != (int)forward)
            l->scratch_size[1] =
                cvt_larger(l->scratch_size[1], cvg_plan_workspace_size(l->plan[count], (cvg_pass)pass));
    return CVG_OK;
}

static void conv_forward(const struct cvt_call *c)
{
    cvg_forward(c->layer->plan[c->run->count], c->x, cvt_value(c, 0), c->layer->has_bias ? cvt_value(c, 1) : NULL, c->y,
                c->scratch);
}

static void conv_backward(const struct cvt_call *c)
{
    const int trained = !c->layer->frozen;
    cvg_backward(c->layer->plan[c->run->count], c->x, cvt_value(c, 0), c->dy, c->dx,
                 trained ? cvt_gradient(c, 0) : NULL, trained && c->layer->has_bias ? cvt_gradient(c, 1) : NULL,
                 CVG_OVERWRITE, c->scratch);
}

static void transpose_forward(const struct cvt_call *c)
{
    cvg_transpose_forward(c->layer->plan[c->run->count], c->x, cvt_value(c, 0),
                          c->layer->has_bias ? cvt_value(c, 1) : NULL, c->y, c->scratch);
}

static void transpose_backward(const struct cvt_call *c)
{
    const int trained = !c->layer->frozen;
    cvg_transpose_backward(c->layer->plan[c->run->count], c->x, cvt_value(c, 0), c->dy, c->dx,
                           trained ? cvt_gradient(c, 0) : NULL,
                           trained && c->layer->has_bias ? cvt_gradient(c, 1) : NULL, CVG_OVERWRITE, c->scratch);
}

const struct cvt_kind cvt_conv = {
    .name = "conv",
    .usage = "conv CHANNELS FILTER " OPTIONS,
    .make = conv_make,
    .plan = make_plan,
    .forward = {conv_forward, conv_forward},
    .backward = {conv_backward, conv_backward},
    .reads_x = 1,
};

const struct cvt_kind cvt_conv_transpose = {
    .name = "conv_transpose",
    .usage = "conv_transpose CHANNELS FILTER [output_padding=0] " OPTIONS,
    .make = transpose_make,
    .plan = make_plan,
    .forward = {transpose_forward, transpose_forward},
    .backward = {transpose_backward, transpose_backward},
    .reads_x = 1,
};
