/* convgrad run: one layer on files. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct array read_operand(const struct args *args, enum option option, const char *name)
{
    struct array array;
    cvg_error error;
    if (!args->option[option])
        die(EXIT_BAD_INPUT, "run %s needs --%s FILE", args->word[0], name);
    if (!array_read(&array, args->option[option], &error))
        die(EXIT_BAD_INPUT, "--%s: %s", name, error.text);
    return array;
}

/* Makes an operand of the type that the layer has; other types are converted only if --type asks for it. */
static void convert(const struct args *args, struct array *array, const char *name, cvg_type type)
{
    cvg_error error;
    if (array->data && array->type != type && !args->option[OPT_TYPE])
        die(EXIT_BAD_INPUT, "--%s is %s and --input %s; give --type %s or %s to convert", name, type_name(array->type),
            type_name(type), type_name(type), type_name(array->type));
    if (array->data && !array_convert(array, type, &error))
        die(EXIT_WRONG, "%s", error.text);
}

static void must_have_shape(const struct array *array, const char *name, const int64_t *shape, int rank)
{
    char got[100], want[100];
    int same = array->rank == rank;
    for (int i = 0; same && i < rank; i++)
        same = array->shape[i] == shape[i];
    if (same)
        return;
    shape_print(array->shape, array->rank, got, sizeof got);
    shape_print(shape, rank, want, sizeof want);
    die(EXIT_BAD_INPUT, "--%s has shape %s; must be %s", name, got, want);
}

/* ---- results: written under other names, and given their own when all are there ---- */

enum { MOST_RESULTS = 3 };

struct results {
    const char *directory;
    int count, made_directory;
    char name[MOST_RESULTS][32];
    const struct array *array[MOST_RESULTS];
};

static void path_of(const struct results *r, int i, const char *suffix, char path[4096])
{
    if (snprintf(path, 4096, "%s/%s.npy%s", r->directory, r->name[i], suffix) >= 4096)
        die(EXIT_BAD_INPUT, "-o is longer than 4000 characters");
}

static void add_result(struct results *r, const char *name, const struct array *array)
{
    snprintf(r->name[r->count], sizeof r->name[0], "%s", name);
    r->array[r->count++] = array;
}

/* Removes what the first count results have left, those before placed under their own names, and dies. */
static _Noreturn void give_up(const struct results *r, int count, int placed, const char *why)
{
    char path[4096];
    for (int i = 0; i < count; i++) {
        path_of(r, i, i < placed ? "" : ".part", path);
        remove(path);
    }
    if (r->made_directory)
        remove(r->directory);
    die(EXIT_WRONG, "-o: %s", why);
}

/* What is left of results that were interrupted. */
static int drop_parts(void *context, int number)
{
    const struct results *r = context;
    char path[4096];
    (void)number;
    for (int i = 0; i < r->count; i++) {
        path_of(r, i, ".part", path);
        remove(path);
    }
    if (r->made_directory)
        remove(r->directory); /* only if nothing is in it */
    fputs("convgrad: interrupted\n", stderr);
    return EXIT_WRONG;
}

static void write_results(const struct args *args, struct results *r)
{
    char part[4096], path[4096], why[8300], shape[100];
    cvg_error error;

    r->directory = args->option[OPT_OUTPUT];
    interrupt_tells(drop_parts, r);
    interrupt_hold();
    if (mkdir(r->directory, 0777) == 0)
        r->made_directory = 1;
    else if (errno != EEXIST)
        die(EXIT_WRONG, "-o: %s: %s", r->directory, strerror(errno));
    interrupt_release();
    for (int i = 0; i < r->count; i++) {
        path_of(r, i, ".part", part);
        if (!array_write(r->array[i], part, &error))
            give_up(r, i, 0, error.text);
    }
    for (int i = 0; i < r->count; i++) { /* old results stay if one cannot be replaced */
        struct stat old;
        path_of(r, i, "", path);
        if (stat(path, &old) == 0 && !S_ISREG(old.st_mode)) {
            snprintf(why, sizeof why, "%s is there and is no plain file", path);
            give_up(r, r->count, 0, why);
        }
    }
    interrupt_hold(); /* all take their places, or none */
    for (int i = 0; i < r->count; i++) {
        path_of(r, i, ".part", part);
        path_of(r, i, "", path);
        if (rename(part, path)) {
            snprintf(why, sizeof why, "%s: %s", path, strerror(errno));
            give_up(r, r->count, i, why);
        }
    }
    interrupt_release();
    interrupt_tells(NULL, NULL);
    for (int i = 0; i < r->count; i++) {
        path_of(r, i, "", path);
        shape_print(r->array[i]->shape, r->array[i]->rank, shape, sizeof shape);
        printf("wrote %s  %s %s\n", path, type_name(r->array[i]->type), shape);
    }
}

/* ---- the three kinds of run ---- */

struct setup {
    cvg_type type;
    cvg_algo algo;
    int threads;
};

static struct setup setup_of(const struct args *args, cvg_type standard)
{
    struct setup setup;
    cvg_algo algos[CVG_ALGO_COUNT];
    cvg_type types[2];
    if (args_types(args, (int)standard, types) != 1)
        die(EXIT_BAD_INPUT, "--type is \"%s\"; run takes one", args->option[OPT_TYPE]);
    if (args_algos(args, algos) != 1 && args->option[OPT_ALGO])
        die(EXIT_BAD_INPUT, "--algo is \"%s\"; run takes one", args->option[OPT_ALGO]);
    setup.type = types[0];
    setup.algo = args->option[OPT_ALGO] ? algos[0] : CVG_AUTO;
    args_threads(args, "0", &setup.threads, 1);
    return setup;
}

/* An array of batch x channels x size. */
static struct array tensor(cvg_type type, int64_t batch, int64_t channels, const int64_t *size, int dims)
{
    struct array array;
    cvg_error error;
    int64_t shape[5] = {batch, channels};
    for (int i = 0; i < dims; i++)
        shape[2 + i] = size[i];
    if (!array_new(&array, type, dims + 2, shape, &error))
        die(EXIT_WRONG, "%s", error.text);
    return array;
}

static int run_forward(const struct args *args)
{
    struct array input = read_operand(args, OPT_INPUT, "input");
    struct array weight = read_operand(args, OPT_WEIGHT, "weight"), bias = {0};
    const struct setup setup = setup_of(args, input.type);
    struct results results = {0};
    int64_t out[3];

    args_take(args, &input, NULL);
    cvg_conv conv = args_conv(args, input.shape, input.rank, weight.shape, weight.rank);
    conv.type = setup.type;
    if (args->option[OPT_BIAS]) {
        bias = read_operand(args, OPT_BIAS, "bias");
        must_have_shape(&bias, "bias", &conv.out_channels, 1);
    }
    convert(args, &input, "input", setup.type);
    convert(args, &weight, "weight", setup.type);
    convert(args, &bias, "bias", setup.type);
    cvg_output_size(&conv, out, NULL);
    struct array output = tensor(setup.type, conv.batch, conv.out_channels, out, conv.spatial_dims);
    cvg_plan *plan = plan_of(&conv, setup.algo, setup.threads, 1);
    void *workspace = workspace_of(plan);
    cvg_forward(plan, input.data, weight.data, bias.data, output.data, workspace);
    add_result(&results, "output", &output);
    write_results(args, &results);
    free(workspace);
    cvg_plan_destroy(plan);
    array_free(&output);
    array_free(&bias);
    array_free(&weight);
    array_free(&input);
    return 0;
}

static int run_backward(const struct args *args)
{
    struct array input = read_operand(args, OPT_INPUT, "input");
    struct array weight = read_operand(args, OPT_WEIGHT, "weight");
    struct array grad_output = read_operand(args, OPT_GRAD_OUTPUT, "grad-output");
    const struct setup setup = setup_of(args, input.type);
    struct results results = {0};
    int64_t shape[5];

    args_take(args, &input, &grad_output);
    cvg_conv conv = args_conv(args, input.shape, input.rank, weight.shape, weight.rank);
    conv.type = setup.type;
    shape[0] = conv.batch;
    shape[1] = conv.out_channels;
    cvg_output_size(&conv, shape + 2, NULL);
    must_have_shape(&grad_output, "grad-output", shape, conv.spatial_dims + 2);
    convert(args, &input, "input", setup.type);
    convert(args, &weight, "weight", setup.type);
    convert(args, &grad_output, "grad-output", setup.type);
    struct array grad_input = tensor(setup.type, conv.batch, conv.in_channels, conv.in, conv.spatial_dims);
    struct array grad_weight = tensor(setup.type, weight.shape[0], weight.shape[1], conv.filter, conv.spatial_dims);
    struct array grad_bias = tensor(setup.type, conv.out_channels, 1, NULL, 0);
    grad_bias.rank = 1;

    /* The textbook's mean is over dW and dB; delta_out is the sum's own gradient. */
    const int mean = args->option[OPT_MEAN] && conv.batch > 0;
    cvg_plan *plan = plan_of(&conv, setup.algo, setup.threads, 1);
    cvg_plan *mean_plan = plan_of(&conv, setup.algo, setup.threads, mean ? 1.0 / (double)conv.batch : 1);
    void *workspace = workspace_of(plan);
    cvg_grad_input(plan, grad_output.data, weight.data, grad_input.data, CVG_OVERWRITE, workspace);
    cvg_backward(mean_plan, input.data, weight.data, grad_output.data, NULL, grad_weight.data, grad_bias.data,
                 CVG_OVERWRITE, workspace);
    add_result(&results, "grad_input", &grad_input);
    add_result(&results, "grad_weight", &grad_weight);
    add_result(&results, "grad_bias", &grad_bias);
    write_results(args, &results);
    free(workspace);
    cvg_plan_destroy(mean_plan);
    cvg_plan_destroy(plan);
    array_free(&grad_bias);
    array_free(&grad_weight);
    array_free(&grad_input);
    array_free(&grad_output);
    array_free(&weight);
    array_free(&input);
    return 0;
}

/* Channels that do not fit, and whether they would in another layout. */
static _Noreturn void die_of_channels(const struct array *input, const struct array *weight)
{
    char in[100], w[100];
    shape_print(input->shape, input->rank, in, sizeof in);
    shape_print(weight->shape, weight->rank, w, sizeof w);
    die(EXIT_BAD_INPUT,
        "--weight has %" PRId64 " input channels; --input has %" PRId64 "; input is %s, expected N,C and "
        "space; weight is %s, expected C,K/groups and filter%s",
        weight->shape[0], input->shape[1], in, w,
        input->shape[input->rank - 1] == weight->shape[0] ? "; input looks like channels last" : "");
}

/* The convolution that has input as its grad_output, from the output's own geometry options. */
static cvg_conv transposed_conv(const struct args *args, const struct array *input, const struct array *weight,
                                cvg_type type)
{
    int64_t groups = 1, stride[3] = {1, 1, 1}, dilation[3] = {1, 1, 1}, pad[6] = {0}, extra[3] = {0};
    int64_t out[5], back[3];

    const int dims = input->rank - 2;
    if (input->rank < 3 || input->rank > 5 || weight->rank != input->rank)
        die(EXIT_BAD_INPUT, "--input has %d axes and --weight %d; must have as many, 3 to 5", input->rank,
            weight->rank);
    if (weight->shape[0] != input->shape[1])
        die_of_channels(input, weight);
    if (args->option[OPT_GROUPS] &&
        (numbers_parse(args->option[OPT_GROUPS], &groups, 1) != 1 || groups < 1 || groups > input->shape[1]))
        die(EXIT_BAD_INPUT, "--groups is \"%s\"; must be 1 to %" PRId64, args->option[OPT_GROUPS], input->shape[1]);
    args_axes(args, OPT_STRIDE, dims, stride);
    args_axes(args, OPT_DILATION, dims, dilation);
    args_axes(args, OPT_OUTPUT_PADDING, dims, extra);
    const int pads = args->option[OPT_PAD] ? numbers_parse(args->option[OPT_PAD], pad, 2 * dims) : 0;
    out[0] = input->shape[0];
    out[1] = weight->shape[1] * groups;
    for (int i = 0; i < dims; i++) {
        const int64_t begin = pads == 1 ? pad[0] : pad[i];
        const int64_t end = pads == 1 ? pad[0] : pads == dims ? pad[i] : pad[dims + i];
        const struct {
            const char *name;
            int64_t value, least;
        } parts[] = {
            {"--input", input->shape[2 + i], 0},
            {"--weight", weight->shape[2 + i], 0},
            {"--stride", stride[i], 1},
            {"--dilation", dilation[i], 1},
            {"--pad", begin, 0},
            {"--pad", end, 0},
            {"--output-padding", extra[i], 0},
        };
        for (size_t j = 0; j < sizeof parts / sizeof *parts; j++)
            if (parts[j].value > INT32_MAX || parts[j].value < parts[j].least)
                die(EXIT_BAD_INPUT, "%s is %" PRId64 " on axis %d; must be %" PRId64 " to 2147483647", parts[j].name,
                    parts[j].value, i, parts[j].least);
        if (extra[i] >= stride[i])
            die(EXIT_BAD_INPUT, "--output-padding is %" PRId64 " on axis %d; must be less than the stride of %" PRId64,
                extra[i], i, stride[i]);
        out[2 + i] = (input->shape[2 + i] - 1) * stride[i] - begin - end + (weight->shape[2 + i] - 1) * dilation[i] +
                     1 + extra[i];
        if (out[2 + i] < 1)
            die(EXIT_BAD_INPUT, "the output would have %" PRId64 " elements along axis %d; must be at least 1",
                out[2 + i], i);
    }
    cvg_conv conv = args_conv(args, out, input->rank, weight->shape, weight->rank);
    conv.type = type;
    cvg_output_size(&conv, back, NULL);
    for (int i = 0; i < dims; i++)
        if (back[i] != input->shape[2 + i])
            die(EXIT_BAD_INPUT, "--input has %" PRId64 " elements along axis %d; the geometry leaves %" PRId64,
                input->shape[2 + i], i, back[i]);
    return conv;
}

/* The transposed convolution: its plan is that of the convolution that has input as its grad_output. */
static int run_transpose(const struct args *args)
{
    struct array input = read_operand(args, OPT_INPUT, "input");
    struct array weight = read_operand(args, OPT_WEIGHT, "weight"), bias = {0};
    const struct setup setup = setup_of(args, input.type);
    struct results results = {0};

    args_take(args, &input, NULL);
    const cvg_conv conv = transposed_conv(args, &input, &weight, setup.type);
    const int dims = input.rank - 2;
    if (args->option[OPT_BIAS]) {
        bias = read_operand(args, OPT_BIAS, "bias");
        must_have_shape(&bias, "bias", &conv.in_channels, 1);
    }
    convert(args, &input, "input", setup.type);
    convert(args, &weight, "weight", setup.type);
    convert(args, &bias, "bias", setup.type);
    struct array output = tensor(setup.type, conv.batch, conv.in_channels, conv.in, dims);
    cvg_plan *plan = plan_of(&conv, setup.algo, setup.threads, 1);
    void *workspace = workspace_of(plan);
    cvg_transpose_forward(plan, input.data, weight.data, bias.data, output.data, workspace);
    add_result(&results, "output", &output);
    write_results(args, &results);
    free(workspace);
    cvg_plan_destroy(plan);
    array_free(&output);
    array_free(&bias);
    array_free(&weight);
    array_free(&input);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const struct args *args);
    unsigned refuses; /* options, by bit */
} kinds[] = {
    {"forward", run_forward, 1u << OPT_GRAD_OUTPUT | 1u << OPT_MEAN | 1u << OPT_OUTPUT_PADDING},
    {"backward", run_backward, 1u << OPT_BIAS | 1u << OPT_OUTPUT_PADDING},
    {"transpose", run_transpose, 1u << OPT_GRAD_OUTPUT | 1u << OPT_MEAN},
};

int command_run(const struct args *args)
{
    static const struct {
        enum option option;
        const char *name;
    } sometimes[] = {
        {OPT_GRAD_OUTPUT, "--grad-output"},
        {OPT_MEAN, "--mean"},
        {OPT_BIAS, "--bias"},
        {OPT_OUTPUT_PADDING, "--output-padding"},
    };
    if (args->count != 1)
        die(EXIT_BAD_INPUT, "run needs one of forward, backward, transpose; has %d words", args->count);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(args->word[0], kinds[i].name))
            continue;
        for (size_t j = 0; j < sizeof sometimes / sizeof *sometimes; j++)
            if (args->option[sometimes[j].option] && kinds[i].refuses >> sometimes[j].option & 1)
                die(EXIT_BAD_INPUT, "run %s does not take %s", args->word[0], sometimes[j].name);
        if (!args->option[OPT_OUTPUT])
            die(EXIT_BAD_INPUT, "run %s needs -o DIRECTORY", args->word[0]);
        return kinds[i].run(args);
    }
    die(EXIT_BAD_INPUT, "run is \"%s\"; must be forward, backward or transpose", args->word[0]);
}
