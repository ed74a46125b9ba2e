/*
 * oneDNN 2.x in three ways:
 *
 *   onednn          the layouts it likes best; operands are there already, nothing is reordered
 *   onednn-plain    plain tensors in and out, whatever it makes of them
 *   onednn-reorder  plain tensors in and out, reordered to and from its favourite layouts in the
 *                   measured time
 */
#include "cli.h"
#include "peer.h"

#include <dnnl.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { OPERANDS = 3 }; /* the two that a pass reads, and the one that it writes */

struct state {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t hint, desc;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[OPERANDS];
    dnnl_memory_t plain[OPERANDS], memory[OPERANDS];
    dnnl_primitive_t reorder[OPERANDS]; /* NULL: plain is memory */
    int reorders;                       /* in the measured time */
};

/* Everything is released at the end of the process's use of it; handles may be NULL. */
static void close_pass(void *state)
{
    struct state *s = state;
    for (int i = 0; i < OPERANDS; i++) {
        if (s->memory[i] != s->plain[i] && s->memory[i])
            dnnl_memory_destroy(s->memory[i]);
        if (s->plain[i])
            dnnl_memory_destroy(s->plain[i]);
        if (s->reorder[i])
            dnnl_primitive_destroy(s->reorder[i]);
    }
    if (s->primitive)
        dnnl_primitive_destroy(s->primitive);
    if (s->desc)
        dnnl_primitive_desc_destroy(s->desc);
    if (s->hint)
        dnnl_primitive_desc_destroy(s->hint);
    if (s->stream)
        dnnl_stream_destroy(s->stream);
    if (s->engine)
        dnnl_engine_destroy(s->engine);
    free(s);
}

static void reorder(struct state *s, int operand, int back)
{
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, back ? s->memory[operand] : s->plain[operand]},
                               {DNNL_ARG_TO, back ? s->plain[operand] : s->memory[operand]}};
    dnnl_primitive_execute(s->reorder[operand], s->stream, 2, args);
}

static void run_pass(void *state)
{
    struct state *s = state;
    for (int i = 0; s->reorders && i < OPERANDS - 1; i++)
        if (s->reorder[i])
            reorder(s, i, 0);
    dnnl_primitive_execute(s->primitive, s->stream, OPERANDS, s->args);
    if (s->reorders && s->reorder[OPERANDS - 1])
        reorder(s, OPERANDS - 1, 1);
    dnnl_stream_wait(s->stream);
}

/* The layouts of the caller's tensors; tensors with channels last, whatever the weight; or what oneDNN likes. */
enum form { PLAIN, LAST, FAVOURITE };

static dnnl_format_tag_t tag_of(const cvg_conv *conv, enum form form)
{
    static const dnnl_format_tag_t tags[2][3] = {{dnnl_abc, dnnl_abcd, dnnl_abcde}, {dnnl_acb, dnnl_acdb, dnnl_acdeb}};
    if (form == FAVOURITE)
        return dnnl_format_tag_any;
    return tags[form == LAST || conv->layout == CVG_CHANNELS_LAST][conv->spatial_dims - 1];
}

/* The same of the weight; with groups they are its first axis. */
static dnnl_format_tag_t weight_tag_of(const cvg_conv *conv, enum form form)
{
    static const dnnl_format_tag_t tags[3][2][3] = {
        [CVG_KCRS] = {{dnnl_abc, dnnl_abcd, dnnl_abcde}, {dnnl_abcd, dnnl_abcde, dnnl_abcdef}},
        [CVG_KRSC] = {{dnnl_acb, dnnl_acdb, dnnl_acdeb}, {dnnl_abdc, dnnl_abdec, dnnl_abdefc}},
        [CVG_RSCK] = {{dnnl_cba, dnnl_cdba, dnnl_cdeba}, {dnnl_dcab, dnnl_decab, dnnl_defcab}},
    };
    return form == PLAIN ? tags[conv->weight_layout][conv->groups > 1][conv->spatial_dims - 1] : dnnl_format_tag_any;
}

struct geometry {
    int axes;
    dnnl_dims_t input, weight, output, stride, dilation, begin, end;
    int weight_axes;
};

static struct geometry geometry_of(const cvg_conv *conv)
{
    struct geometry g = {.axes = 2 + conv->spatial_dims};
    int64_t out[3];
    const int grouped = conv->groups > 1;
    cvg_output_size(conv, out, NULL);
    g.weight_axes = g.axes + grouped;
    g.input[0] = g.output[0] = conv->batch;
    g.input[1] = conv->in_channels;
    g.output[1] = conv->out_channels;
    g.weight[0] = conv->groups; /* overwritten when there are none */
    g.weight[grouped] = conv->out_channels / conv->groups;
    g.weight[grouped + 1] = conv->in_channels / conv->groups;
    for (int i = 0; i < conv->spatial_dims; i++) {
        g.input[2 + i] = conv->in[i];
        g.output[2 + i] = out[i];
        g.weight[grouped + 2 + i] = conv->filter[i];
        g.stride[i] = conv->stride[i];
        g.dilation[i] = conv->dilation[i] - 1;
        g.begin[i] = conv->pad_begin[i];
        g.end[i] = (out[i] - 1) * conv->stride[i] + (conv->filter[i] - 1) * conv->dilation[i] + 1 - conv->in[i] -
                   conv->pad_begin[i]; /* what the stride does not reach left out */
    }
    return g;
}

static dnnl_data_type_t type_of(const cvg_conv *conv)
{
    return conv->type == CVG_F32    ? dnnl_f32
           : conv->type == CVG_BF16 ? dnnl_bf16
           : conv->type == CVG_F16  ? dnnl_f16
                                    : dnnl_data_type_undef;
}

/* Makes the primitive of a pass on tensors of a form. */
static dnnl_status_t make_primitive(struct state *s, const cvg_conv *conv, cvg_pass pass, enum form form)
{
    const struct geometry g = geometry_of(conv);
    dnnl_memory_desc_t input, weight, output;
    dnnl_convolution_desc_t forward, backward;
    dnnl_status_t status;
    const dnnl_format_tag_t tag = tag_of(conv, form), weight_tag = weight_tag_of(conv, form);
    const dnnl_data_type_t type = type_of(conv);
    if ((status = dnnl_memory_desc_init_by_tag(&input, g.axes, g.input, type, tag)) ||
        (status = dnnl_memory_desc_init_by_tag(&weight, g.weight_axes, g.weight, type, weight_tag)) ||
        (status = dnnl_memory_desc_init_by_tag(&output, g.axes, g.output, type, tag)) ||
        (status = dnnl_dilated_convolution_forward_desc_init(&forward, dnnl_forward_training, dnnl_convolution_direct,
                                                             &input, &weight, NULL, &output, g.stride, g.dilation,
                                                             g.begin, g.end)))
        return status;
    if (pass == CVG_FORWARD) {
        status = dnnl_primitive_desc_create(&s->desc, &forward, NULL, s->engine, NULL);
    } else {
        status =
            pass == CVG_GRAD_INPUT
                ? dnnl_dilated_convolution_backward_data_desc_init(&backward, dnnl_convolution_direct, &input, &weight,
                                                                   &output, g.stride, g.dilation, g.begin, g.end)
                : dnnl_dilated_convolution_backward_weights_desc_init(&backward, dnnl_convolution_direct, &input,
                                                                      &weight, NULL, &output, g.stride, g.dilation,
                                                                      g.begin, g.end);
        if (status || (status = dnnl_primitive_desc_create(&s->hint, &forward, NULL, s->engine, NULL)))
            return status;
        status = dnnl_primitive_desc_create(&s->desc, &backward, NULL, s->engine, s->hint);
    }
    return status ? status : dnnl_primitive_create(&s->primitive, s->desc);
}

/* The operands of each pass, in the order read, read, written. */
static const struct {
    dnnl_query_t query[OPERANDS];
    int arg[OPERANDS];
} roles[CVG_PASS_COUNT] = {
    {{dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md}, {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST}},
    {{dnnl_query_diff_dst_md, dnnl_query_weights_md, dnnl_query_diff_src_md},
     {DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_SRC}},
    {{dnnl_query_src_md, dnnl_query_diff_dst_md, dnnl_query_diff_weights_md},
     {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS}},
};

/* Makes the memories of one operand, and the reorder between them if they differ. */
static dnnl_status_t make_operand(struct state *s, const cvg_conv *conv, cvg_pass pass, int i,
                                  const struct array *array, int is_weight)
{
    const dnnl_memory_desc_t *liked = dnnl_primitive_desc_query_md(s->desc, roles[pass].query[i], 0);
    const struct geometry g = geometry_of(conv);
    const int axes = is_weight ? g.weight_axes : g.axes;
    const dnnl_format_tag_t tag = is_weight ? weight_tag_of(conv, PLAIN) : tag_of(conv, PLAIN);
    const dnnl_data_type_t type = type_of(conv);
    dnnl_memory_desc_t plain;
    dnnl_dims_t dims;
    dnnl_primitive_desc_t pd;
    dnnl_status_t status;
    memcpy(dims, liked->dims, sizeof dims);
    if ((status = dnnl_memory_desc_init_by_tag(&plain, axes, dims, type, tag)) ||
        (status = dnnl_memory_create(&s->plain[i], &plain, s->engine, array->data)))
        return status;
    s->memory[i] = s->plain[i];
    if (!dnnl_memory_desc_equal(&plain, liked)) {
        const int back = i == OPERANDS - 1;
        if ((status = dnnl_memory_create(&s->memory[i], liked, s->engine, DNNL_MEMORY_ALLOCATE)) ||
            (status = dnnl_reorder_primitive_desc_create(&pd, back ? liked : &plain, s->engine, back ? &plain : liked,
                                                         s->engine, NULL)))
            return status;
        status = dnnl_primitive_create(&s->reorder[i], pd);
        dnnl_primitive_desc_destroy(pd);
        if (!status && !back)
            reorder(s, i, 0);
    }
    s->args[i] = (dnnl_exec_arg_t){roles[pass].arg[i], s->memory[i]};
    return status;
}

static void *open_as(const cvg_conv *conv, cvg_pass pass, struct layer *l, int threads, cvg_error *error,
                     enum form form, int reorders)
{
#ifdef _OPENMP
    omp_set_num_threads(threads);
#else
    (void)threads;
#endif
    struct state *s = cli_alloc(1, sizeof *s);
    const struct array *operands[CVG_PASS_COUNT][OPERANDS] = {
        {&l->input, &l->weight, &l->output},
        {&l->grad_output, &l->weight, &l->grad_input},
        {&l->input, &l->grad_output, &l->grad_weight},
    };
    dnnl_status_t status = type_of(conv) ? dnnl_success : dnnl_unimplemented;
    s->reorders = reorders;
    if (!status)
        status = dnnl_engine_create(&s->engine, dnnl_cpu, 0);
    if (!status)
        status = dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags);
    if (!status)
        status = make_primitive(s, conv, pass, form);
    for (int i = 0; !status && i < OPERANDS; i++)
        status = make_operand(s, conv, pass, i, operands[pass][i],
                              operands[pass][i] == &l->weight || operands[pass][i] == &l->grad_weight);
    if (!status)
        return s;
    close_pass(s);
    cli_fail(error, status == dnnl_unimplemented ? "it has no implementation of this" : "it answers with status %d",
             (int)status);
    return NULL;
}

static void *open_favourite(const cvg_conv *conv, cvg_pass pass, struct layer *layer, int threads, cvg_error *error)
{
    return open_as(conv, pass, layer, threads, error, FAVOURITE, 0);
}

static void *open_plain(const cvg_conv *conv, cvg_pass pass, struct layer *layer, int threads, cvg_error *error)
{
    if (conv->layout != CVG_CHANNELS_FIRST || conv->weight_layout != CVG_KCRS) {
        cli_fail(error, "for these layouts it has its reference alone; see onednn-nhwc");
        return NULL;
    }
    return open_as(conv, pass, layer, threads, error, PLAIN, 0);
}

static void *open_reorder(const cvg_conv *conv, cvg_pass pass, struct layer *layer, int threads, cvg_error *error)
{
    return open_as(conv, pass, layer, threads, error, FAVOURITE, 1);
}

static void *open_last(const cvg_conv *conv, cvg_pass pass, struct layer *layer, int threads, cvg_error *error)
{
    return open_as(conv, pass, layer, threads, error, LAST, 0);
}

const struct peer peer_onednn = {"onednn", "onednn", 0, open_favourite, run_pass, close_pass};
const struct peer peer_onednn_plain = {"onednn", "onednn-plain", 1, open_plain, run_pass, close_pass};
const struct peer peer_onednn_nhwc = {"onednn", "onednn-nhwc", 0, open_last, run_pass, close_pass};
const struct peer peer_onednn_reorder = {"onednn", "onednn-reorder", 1, open_reorder, run_pass, close_pass};
