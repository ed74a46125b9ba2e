/* From model text to a network: lines, layers, parameters, plans of every size of shard. */
#include "network.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_LAYERS = 1000, MOST_SHARD = 256, MOST_CHANNELS = 1 << 24 /* of the input: each has a mean and a std */ };

static const struct cvt_kind *const kinds[] = {
    &cvt_conv,  &cvt_conv_transpose, &cvt_linear,  &cvt_relu,           &cvt_leaky_relu,
    &cvt_relu6, &cvt_maxpool,        &cvt_avgpool, &cvt_global_avgpool, &cvt_batchnorm,
    &cvt_add,   &cvt_flatten,        &cvt_dropout, &cvt_cross_entropy,  &cvt_mse,
};

const struct cvt_kind *cvt_kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

/* ---- lines ---- */

/* A list of numbers with commas: one for all channels, or one for each. */
static cvg_status read_list(struct cvt_line *line, const char *text, const char *what, int64_t channels, double *to)
{
    int64_t count = 0;
    const char *at = text, *end = "";
    if (!text)
        return CVG_OK;
    int good = 1;
    for (;; at = end + 1) {
        const double value = cvt_parse_number(at, &end);
        good = end != at && count < channels && value - value == 0;
        if (good)
            to[count++] = value;
        if (!good || *end != ',')
            break;
    }
    if (!good || *end || (count != 1 && count != channels))
        return cvt_line_fail(line, "%s is \"%.60s\"; must be one number, or %lld with commas", what, text,
                             (long long)channels);
    for (int64_t c = count; c < channels; c++)
        to[c] = to[0];
    return CVG_OK;
}

static cvg_status read_input_line(cvg_network *n, struct cvt_line *line)
{
    const char *usage = "input CHANNELSxHxW [scale=1/255] [mean=M] [std=S]", *size = cvt_take(line);
    int64_t whole[4] = {0}, count = 0;
    double scale = 1;
    cvg_status status;
    if (!size)
        return cvt_line_fail(line, "input has no size; write %s", usage);
    for (const char *at = size, *end = size; *at; at = *end ? end + 1 : end) {
        const double value = cvt_parse_number(at, &end);
        if (count == 4 || end == at || (*end && *end != 'x') || (*end && !end[1]) ||
            !(value >= 1 && value < 2147483648.0) || value != (double)(int64_t)value)
            return cvt_line_fail(line, "the input's size is \"%.40s\"; must be 1 to 4 whole numbers with x between",
                                 size);
        whole[count++] = (int64_t)value;
    }
    n->input = cvt_shape_of(whole[0], (int)count - 1, whole + 1);
    if (n->input.elements >= CVT_MOST || n->input.channels > MOST_CHANNELS)
        return cvt_line_fail(line, "the input %s is too large", size);
    if ((status = cvt_read_number(line, cvt_take_key(line, "scale"), "scale", &scale)))
        return status;
    n->factor = malloc((size_t)n->input.channels * sizeof *n->factor);
    n->shift = malloc((size_t)n->input.channels * sizeof *n->shift);
    if (!n->factor || !n->shift)
        return cvt_fail(line->error, CVG_OUT_OF_MEMORY, "the input's mean and std could not be allocated");
    for (int64_t c = 0; c < n->input.channels; c++) {
        n->factor[c] = 1;
        n->shift[c] = 0;
    }
    if ((status = read_list(line, cvt_take_key(line, "mean"), "mean", n->input.channels, n->shift)) ||
        (status = read_list(line, cvt_take_key(line, "std"), "std", n->input.channels, n->factor)) ||
        (status = cvt_all_taken(line, usage)))
        return status;
    for (int64_t c = 0; c < n->input.channels; c++) {
        if (n->factor[c] == 0)
            return cvt_line_fail(line, "std is 0; must not be");
        n->shift[c] /= n->factor[c];
        n->factor[c] = scale / n->factor[c];
    }
    return CVG_OK;
}

static cvg_status read_layer_line(cvg_network *n, struct cvt_line *line)
{
    const struct cvt_kind *kind = cvt_kind_of(line->word[0]);
    if (!kind)
        return cvt_line_fail(line, "\"%.40s\" is no layer", line->word[0]);
    if (n->layers > 0 && n->layer[n->layers - 1].kind->is_loss)
        return cvt_line_fail(line, "%s follows the loss %s, which must be last", kind->name,
                             n->layer[n->layers - 1].kind->name);
    if (n->layers == MOST_LAYERS)
        return cvt_line_fail(line, "more than %d layers", MOST_LAYERS);
    struct cvt_layer *layer = &n->layer[n->layers];
    *layer = (struct cvt_layer){.kind = kind,
                                .index = n->layers,
                                .line = line->number,
                                .from = n->layers - 1,
                                .other = CVT_NONE,
                                .groups = 1,
                                .parameter = CVT_NONE,
                                .in = n->layers ? n->layer[n->layers - 1].out : n->input,
                                .stride = {1, 1, 1},
                                .filter = {1, 1, 1},
                                .dilation = {1, 1, 1}};
    memcpy(layer->text, line->text, sizeof layer->text);
    for (int i = 0; line->name && i < n->layers; i++)
        if (strcmp(n->layer[i].name, line->name) == 0)
            return cvt_line_fail(line, "the name \"%s\" is taken by line %d", line->name, n->layer[i].line);
    if (line->name)
        memcpy(layer->name, line->name, strlen(line->name));
    cvg_status status = kind->make(n, layer, line);
    if (status || (status = cvt_all_taken(line, kind->usage)))
        return status;
    if (cvt_times(layer->out.elements, n->shard) >= CVT_MOST)
        return cvt_line_fail(line, "the output of %s is too large", kind->name);
    for (int i = 0; i < n->parameters; i++)
        if (n->parameter[i].count >= CVT_MOST / 16)
            return cvt_line_fail(line, "%s has too many parameters", kind->name);
    n->layers++;
    return CVG_OK;
}

static cvg_status read_model(cvg_network *n, const char *text, size_t length, cvg_error *error)
{
    struct cvt_line line = {.error = error};
    size_t at = 0;
    int got, has_input = 0;
    cvg_status status;
    while ((got = cvt_next_line(&line, text, length, &at)) > 0) {
        if (line.words == 0)
            continue;
        const int is_input = strcmp(line.word[0], "input") == 0;
        if (is_input == has_input)
            return is_input ? cvt_line_fail(&line, "a second input")
                            : cvt_line_fail(&line, "the first line must be the input, such as \"input 1x28x28\"");
        if (is_input && line.name)
            return cvt_line_fail(&line, "the input has no name");
        has_input = 1;
        if ((status = is_input ? read_input_line(n, &line) : read_layer_line(n, &line)))
            return status;
    }
    if (got < 0)
        return CVG_INVALID_ARGUMENT;
    if (!has_input)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the model has no input line, such as \"input 1x28x28\"");
    if (n->layers == 0 || !n->layer[n->layers - 1].kind->is_loss)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the model's last line must be its loss: cross_entropy or mse");
    if (n->layers == 1)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the model has no layer besides its loss");
    return CVG_OK;
}

/* ---- what follows from the lines ---- */

static cvg_status freeze(cvg_network *n, const char *list, cvg_error *error)
{
    for (const char *at = list ? list : "", *end; *at; at = *end ? end + 1 : end) {
        const double first = cvt_parse_number(at, &end);
        const char *second = *end == '-' ? end + 1 : at;
        const double last = cvt_parse_number(second, &end);
        if (end == second || *at == '-' || *second == '-' || (*end && *end != ',') || !(first <= last) ||
            first != (double)(int64_t)first || last != (double)(int64_t)last || last >= n->layers - 1)
            return cvt_fail(error, CVG_INVALID_ARGUMENT,
                            "freeze is \"%.60s\"; must be numbers of layers such as 0-5,7; the last layer is %d", list,
                            n->layers - 2);
        for (int i = (int)first; i <= (int)last; i++)
            n->layer[i].frozen = 1;
    }
    return CVG_OK;
}

/* Offsets: what is trained first, statistics last; who needs a gradient. */
static void number_parameters(cvg_network *n)
{
    for (int statistic = 0; statistic < 2; statistic++) {
        for (int i = 0; i < n->parameters; i++)
            if (n->parameter[i].statistic == statistic) {
                n->parameter[i].offset = n->elements;
                n->elements += n->parameter[i].count;
                n->trained += statistic || n->layer[n->parameter[i].layer].frozen ? 0 : n->parameter[i].count;
            }
        n->moved = statistic ? n->moved : n->elements;
    }
    for (int i = 0; i < n->layers; i++) {
        struct cvt_layer *l = &n->layer[i];
        l->trains = (l->parameter != CVT_NONE && !l->frozen) || (l->from != CVT_NONE && n->layer[l->from].trains) ||
                    (l->other != CVT_NONE && n->layer[l->other].trains);
    }
}

static cvg_status make_plans(cvg_network *n, cvg_error *error)
{
    for (int i = 0; i < n->layers; i++) {
        struct cvt_layer *l = &n->layer[i];
        if (!l->kind->plan)
            continue;
        l->plan = calloc((size_t)n->shard + 1, sizeof *l->plan);
        l->back = calloc((size_t)n->shard + 1, sizeof *l->back);
        if (!l->plan || !l->back)
            return cvt_fail(error, CVG_OUT_OF_MEMORY, "the plans of layer %d (%s) could not be allocated", i,
                            l->kind->name);
        for (int64_t count = n->shard; count > 0; count--) { /* the full shard chooses for all */
            cvg_error why = {""};
            const cvg_status status = l->kind->plan(n, l, count, &why);
            if (status)
                return cvt_fail(error, status, "line %d: %s: %.200s", l->line, l->kind->name, why.text);
        }
        n->fuses = cvg_plan_fuses(l->plan[n->shard]);
    }
    return CVG_OK;
}

static cvg_status read_options(cvg_network *n, const cvg_network_options *given, cvg_error *error)
{
    const cvg_network_options defaults = CVG_NETWORK_OPTIONS_INIT, *options = given ? given : &defaults;
    if (options->struct_size != sizeof *options)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "options.struct_size is %zu; must be %zu", options->struct_size,
                        sizeof *options);
    if (options->type != CVG_F32 && options->type != CVG_F64)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "type is %d; that is no cvg_type", (int)options->type);
    if (options->shard < 1 || options->shard > MOST_SHARD)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "shard is %lld; must be 1 to %d", (long long)options->shard,
                        MOST_SHARD);
    n->type = options->type;
    n->size = n->type == CVG_F32 ? sizeof(float) : sizeof(double);
    n->shard = options->shard;
    if (options->layout != CVG_CHANNELS_FIRST && options->layout != CVG_CHANNELS_LAST)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "layout is %d; that is no cvg_layout", (int)options->layout);
    n->layout = options->layout;
    n->options = (cvg_options)CVG_OPTIONS_INIT;
    n->options.workspace_limit = options->workspace_limit;
    n->options.error_growth = options->error_growth;
    n->options.threads = options->threads;
    n->options.parallel_for = options->parallel_for;
    n->options.pool = options->pool;
    n->options.isa = options->isa;
    return CVG_OK;
}

static cvg_status make(cvg_network *n, const char *text, size_t length, const cvg_network_options *options,
                       cvg_error *error)
{
    cvg_status status = read_options(n, options, error);
    if (status)
        return status;
    size_t lines = 1;
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    if (lines > 10000 || length > 1000000)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the model has %zu lines and %zu bytes; at most 10000 and 1000000",
                        lines, length);
    n->layer = calloc(lines, sizeof *n->layer);
    n->parameter = calloc(lines * 4, sizeof *n->parameter);
    n->block = calloc(lines * 6 + 1, sizeof *n->block);
    n->text = malloc(length + 1);
    if (!n->layer || !n->parameter || !n->block || !n->text)
        return cvt_fail(error, CVG_OUT_OF_MEMORY, "the network of %zu lines could not be allocated", lines);
    memcpy(n->text, text, length);
    n->text[length] = 0;
    n->length = length;
    if ((status = read_model(n, text, length, error)) || (status = freeze(n, options ? options->freeze : NULL, error)))
        return status;
    number_parameters(n);
    if ((status = make_plans(n, error)))
        return status;
    cvt_place_blocks(n);
    return CVG_OK;
}

cvg_status cvg_network_create(cvg_network **network, const char *text, size_t length,
                              const cvg_network_options *options, cvg_error *error)
{
    if (error)
        error->text[0] = 0;
    if (!network)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "network is NULL");
    *network = NULL;
    if (!text)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "text is NULL");
    cvg_network *n = calloc(1, sizeof *n);
    if (!n)
        return cvt_fail(error, CVG_OUT_OF_MEMORY, "the network's %zu bytes could not be allocated", sizeof *n);
    const cvg_status status = make(n, text, length, options, error);
    if (status)
        cvg_network_destroy(n);
    else
        *network = n;
    return status;
}

void cvg_network_destroy(cvg_network *n)
{
    if (!n)
        return;
    for (int i = 0; i < n->layers; i++) {
        for (int64_t count = 0; n->layer[i].plan && count <= n->shard; count++)
            cvg_plan_destroy(n->layer[i].plan[count]);
        for (int64_t count = 0; n->layer[i].back && count <= n->shard; count++)
            cvg_plan_destroy(n->layer[i].back[count]);
        free(n->layer[i].plan);
        free(n->layer[i].back);
    }
    free(n->factor);
    free(n->shift);
    free(n->layer);
    free(n->parameter);
    free(n->block);
    free(n->text);
    free(n);
}
