/*
 * A network as ONNX, opset 13.  Numbers of fields are those of onnx.proto3.  The parameters are the initialisers, under
 * their names; what else a node needs comes from Constant nodes.  Dropout is left out, as it passes everything.
 */
#include "export.h"

#include <stdlib.h>
#include <string.h>

enum { OPSET = 13, IR_VERSION = 7 };
enum { FLOAT = 1, DOUBLE = 11 };                               /* TensorProto.DataType */
enum { AS_FLOAT = 1, AS_INT = 2, AS_TENSOR = 4, AS_INTS = 7 }; /* AttributeProto.AttributeType */

/* The name of what a layer gives. */
struct name {
    char text[32];
};

struct graph {
    const struct model *model;
    struct message message;
    int last; /* the layer whose result is the output; -1: the input itself */
};

/* ---- pieces ---- */

static int element(const struct graph *g) { return g->model->facts.type == CVG_F32 ? FLOAT : DOUBLE; }

static int axes_of(const int64_t shape[4])
{
    int count = 0;
    while (count < 4 && shape[count])
        count++;
    return count;
}

static void add_number(struct message *node, const char *name, int64_t value)
{
    struct message a = {0};
    message_text(&a, 1, name);
    message_number(&a, 3, value);
    message_number(&a, 20, AS_INT);
    message_add(node, 5, &a);
}

static void add_float(struct message *node, const char *name, double value)
{
    struct message a = {0};
    message_text(&a, 1, name);
    message_float(&a, 2, (float)value);
    message_number(&a, 20, AS_FLOAT);
    message_add(node, 5, &a);
}

/* A list: first, and second behind it, unless that is NULL. */
static void add_list(struct message *node, const char *name, int rank, const int64_t *first, const int64_t *second)
{
    struct message a = {0};
    message_text(&a, 1, name);
    for (int i = 0; i < rank; i++)
        message_number(&a, 8, first[i]);
    for (int i = 0; second && i < rank; i++)
        message_number(&a, 8, second[i]);
    message_number(&a, 20, AS_INTS);
    message_add(node, 5, &a);
}

static struct message tensor_of(const struct graph *g, const char *name, int rank, const int64_t *shape,
                                const void *values, int64_t count)
{
    struct message t = {0};
    for (int i = 0; i < rank; i++)
        message_number(&t, 1, shape[i]);
    message_number(&t, 2, element(g));
    message_text(&t, 8, name);
    message_values(&t, 9, g->model->facts.type, values, count);
    return t;
}

/* A node without attributes so far: an empty name ends the inputs. */
static struct message node_of(const char *type, const char *const inputs[], const char *output)
{
    struct message node = {0};
    for (int i = 0; *inputs[i]; i++)
        message_text(&node, 1, inputs[i]);
    message_text(&node, 2, output);
    message_text(&node, 3, output); /* its own name, too */
    message_text(&node, 4, type);
    return node;
}

static void add_constant(struct graph *g, const char *name, int rank, const int64_t *shape, const double *values,
                         int64_t count)
{
    struct message node = node_of("Constant", (const char *const[]){""}, name), a = {0};
    char *typed = cli_alloc((size_t)count, sizeof(double));
    for (int64_t i = 0; i < count; i++)
        if (g->model->facts.type == CVG_F32)
            ((float *)typed)[i] = (float)values[i];
        else
            ((double *)typed)[i] = values[i];
    struct message tensor = tensor_of(g, name, rank, shape, typed, count);
    message_text(&a, 1, "value");
    message_add(&a, 5, &tensor);
    message_number(&a, 20, AS_TENSOR);
    message_add(&node, 5, &a);
    message_add(&g->message, 1, &node);
    free(typed);
}

/* A value's name, type and shape: N samples. */
static void add_value(struct graph *g, int field, const char *name, const int64_t shape[4])
{
    struct message value = {0}, type = {0}, tensor = {0}, sizes = {0}, samples = {0};
    message_text(&samples, 2, "N");
    message_add(&sizes, 1, &samples);
    for (int i = 0; i < axes_of(shape); i++) {
        struct message size = {0};
        message_number(&size, 1, shape[i]);
        message_add(&sizes, 1, &size);
    }
    message_number(&tensor, 1, element(g));
    message_add(&tensor, 2, &sizes);
    message_add(&type, 1, &tensor);
    message_text(&value, 1, name);
    message_add(&value, 2, &type);
    message_add(&g->message, field, &value);
}

/* ---- layers ---- */

static cvg_layer layer_at(const struct graph *g, int index)
{
    cvg_layer layer = {.struct_size = sizeof layer};
    cvg_network_get_layer(g->model->network, index, &layer);
    return layer;
}

/* The layer whose result a layer's is: another one's for dropout, -1 for the input. */
static int without_dropout(const struct graph *g, int index)
{
    while (index >= 0 && !strcmp(layer_at(g, index).kind, "dropout"))
        index = layer_at(g, index).from;
    return index;
}

static struct name name_of(const struct graph *g, int index)
{
    struct name name = {"scaled"};
    index = without_dropout(g, index);
    if (index >= 0 && index == g->last)
        strcpy(name.text, "output");
    else if (index >= 0)
        snprintf(name.text, sizeof name.text, "%d", index);
    return name;
}

static struct name join(int index, const char *part)
{
    struct name name;
    snprintf(name.text, sizeof name.text, "%d.%s", index, part);
    return name;
}

/* Whether a layer has a parameter of that name. */
static int has(const struct graph *g, const char *name)
{
    cvg_parameter p;
    for (int i = 0; cvg_network_parameter(g->model->network, i, &p); i++)
        if (!strcmp(p.name, name))
            return 1;
    return 0;
}

static void add_geometry(struct message *node, const cvg_layer *l)
{
    const int rank = axes_of(l->in) - 1;
    add_list(node, "kernel_shape", rank, l->filter, NULL);
    add_list(node, "strides", rank, l->stride, NULL);
    add_list(node, "pads", rank, l->padding, l->padding);
}

static void add_conv(struct message *node, const cvg_layer *l)
{
    const int rank = axes_of(l->in) - 1;
    add_geometry(node, l);
    add_list(node, "dilations", rank, l->dilation, NULL);
    add_number(node, "group", l->groups);
}

static void add_transpose(struct message *node, const cvg_layer *l)
{
    add_conv(node, l);
    add_list(node, "output_padding", axes_of(l->in) - 1, l->output_padding, NULL);
}

static void add_average(struct message *node, const cvg_layer *l)
{
    add_geometry(node, l);
    add_number(node, "count_include_pad", 1);
}

static void add_linear(struct message *node, const cvg_layer *l)
{
    (void)l;
    add_number(node, "transB", 1);
}

static void add_slope(struct message *node, const cvg_layer *l) { add_float(node, "alpha", l->value); }

static void add_eps(struct message *node, const cvg_layer *l) { add_float(node, "epsilon", l->eps); }

/* Words of the model, operators of ONNX, their parameters in order, and their attributes. */
static const struct kind {
    const char *word, *type, *parts[5];
    void (*attributes)(struct message *node, const cvg_layer *layer);
} kinds[] = {
    {"conv", "Conv", {"weight", "bias"}, add_conv},
    {"conv_transpose", "ConvTranspose", {"weight", "bias"}, add_transpose},
    {"linear", "Gemm", {"weight", "bias"}, add_linear},
    {"relu", "Relu", {NULL}, NULL},
    {"leaky_relu", "LeakyRelu", {NULL}, add_slope},
    {"relu6", "Clip", {"least", "most"}, NULL},
    {"maxpool", "MaxPool", {NULL}, add_geometry},
    {"avgpool", "AveragePool", {NULL}, add_average},
    {"global_avgpool", "GlobalAveragePool", {NULL}, NULL},
    {"batchnorm", "BatchNormalization", {"weight", "bias", "running_mean", "running_var"}, add_eps},
    {"add", "Add", {NULL}, NULL},
    {"flatten", "Flatten", {NULL}, NULL},
};

static void add_layer(struct graph *g, int index)
{
    const cvg_layer l = layer_at(g, index);
    const struct kind *kind = kinds;
    struct name from = name_of(g, l.from), part[5];
    const char *inputs[7] = {from.text};
    int count = 1;
    if (!strcmp(l.kind, "dropout"))
        return;
    while (strcmp(kind->word, l.kind)) {
        if (++kind == kinds + sizeof kinds / sizeof *kinds)
            die(EXIT_WRONG, "layer %d: %s cannot be written as ONNX", index, l.kind);
    }
    if (!strcmp(kind->type, "Clip")) {
        add_constant(g, join(index, "least").text, 0, NULL, (const double[]){0}, 1);
        add_constant(g, join(index, "most").text, 0, NULL, (const double[]){6}, 1);
    }
    for (int i = 0; kind->parts[i]; i++) {
        part[i] = join(index, kind->parts[i]);
        if (has(g, part[i].text) || !strcmp(kind->type, "Clip"))
            inputs[count++] = part[i].text;
    }
    const struct name other = name_of(g, l.other);
    if (!strcmp(kind->type, "Add"))
        inputs[count++] = other.text;
    inputs[count] = "";
    struct message node = node_of(kind->type, inputs, name_of(g, index).text);
    if (kind->attributes)
        kind->attributes(&node, &l);
    message_add(&g->message, 1, &node);
}

/* input * factor - shift, by channel. */
static void add_scaling(struct graph *g)
{
    const cvg_network_facts *facts = &g->model->facts;
    const int64_t channels = facts->input[0], shape[5] = {1, channels, 1, 1, 1};
    const int rank = axes_of(facts->input) + 1;
    double *factor = cli_alloc((size_t)channels, sizeof *factor), *shift = cli_alloc((size_t)channels, sizeof *shift);
    for (int64_t c = 0; c < channels; c++)
        cvg_network_scaling(g->model->network, c, &factor[c], &shift[c]);
    add_constant(g, "factor", rank, shape, factor, channels);
    add_constant(g, "shift", rank, shape, shift, channels);
    struct message times = node_of("Mul", (const char *const[]){"input", "factor", ""}, "times");
    message_add(&g->message, 1, &times);
    struct message minus = node_of("Sub", (const char *const[]){"times", "shift", ""}, "scaled");
    message_add(&g->message, 1, &minus);
    free(factor);
    free(shift);
}

void onnx_write(const struct model *model, FILE *file)
{
    const cvg_network_facts *facts = &model->facts;
    struct graph g = {.model = model};
    struct message whole = {0}, opset = {0}, note = {0};
    cvg_parameter p;
    if ((uint64_t)facts->parameters * type_size(facts->type) > 2000000000)
        die(EXIT_BAD_INPUT, "%s: has %lld parameters; an ONNX file has less than 2 GB", model->path,
            (long long)facts->parameters);
    g.last = without_dropout(&g, facts->layers - 2);
    add_scaling(&g);
    for (int i = 0; i < facts->layers - 1; i++)
        add_layer(&g, i);
    if (g.last < 0) { /* nothing but dropout */
        struct message node = node_of("Identity", (const char *const[]){"scaled", ""}, "output");
        message_add(&g.message, 1, &node);
    }
    message_text(&g.message, 2, "network");
    for (int i = 0; cvg_network_parameter(model->network, i, &p); i++) {
        const char *values = (const char *)model->parameters + (size_t)p.offset * type_size(facts->type);
        struct message tensor = tensor_of(&g, p.name, p.rank, p.shape, values, p.count);
        message_add(&g.message, 5, &tensor);
    }
    add_value(&g, 11, "input", facts->input);
    add_value(&g, 12, "output", facts->output);

    message_number(&whole, 1, IR_VERSION);
    message_text(&whole, 2, "convgrad");
    message_text(&whole, 3, cvg_version());
    message_add(&whole, 7, &g.message);
    message_number(&opset, 2, OPSET);
    message_add(&whole, 8, &opset);
    message_text(&note, 1, "model");
    message_text(&note, 2, model->text);
    message_add(&whole, 14, &note);
    fwrite(whole.bytes, 1, whole.size, file);
    message_free(&whole);
}
