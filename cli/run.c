/* convgrad run: one layer on files. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a run reads, by the options that name it, and what it writes. */
enum operand { INPUT, WEIGHT, BIAS, GRAD_OUTPUT, OPERANDS };
static const enum option options[OPERANDS] = {OPT_INPUT, OPT_WEIGHT, OPT_BIAS, OPT_GRAD_OUTPUT};

enum { MOST_RESULTS = 3 };

/* A layer, of which a kind of run computes something. */
struct run {
    const struct args *args;
    cvg_conv conv;
    int threads;
    cvg_algo algo;
    cvg_type words; /* what uint16 stand for, or CVG_SAME_TYPE */
    struct array operand[OPERANDS], result[MOST_RESULTS];
};

/* ---- results: written under other names, and given their own when all are there ---- */

struct results {
    const char *directory;
    int count, made_directory;
    const char *name[MOST_RESULTS];
    const struct array *array[MOST_RESULTS];
};

static void path_of(const struct results *r, int i, const char *suffix, char path[4096])
{
    if (snprintf(path, 4096, "%s/%s.npy%s", r->directory, r->name[i], suffix) >= 4096)
        die(EXIT_BAD_INPUT, "-o is longer than 4000 characters");
}

static void add_result(struct results *r, const char *name, const struct array *array)
{
    r->name[r->count] = name;
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

/* Tensors like these of a convolution. */
enum like { LIKE_INPUT, LIKE_OUTPUT, LIKE_WEIGHT, LIKE_BIAS, LIKE_INPUT_BIAS };

/* Fills in its shape; returns its rank. */
static int shape_of(const cvg_conv *conv, enum like like, int64_t shape[5])
{
    int64_t out[3];
    const int64_t *const axes[] = {conv->in, out, conv->filter};
    cvg_output_size(conv, out, NULL);
    shape[0] = like == LIKE_INPUT_BIAS ? conv->in_channels : like >= LIKE_WEIGHT ? conv->out_channels : conv->batch;
    shape[1] = like == LIKE_INPUT    ? conv->in_channels
               : like == LIKE_OUTPUT ? conv->out_channels
                                     : conv->in_channels / conv->groups;
    if (like > LIKE_WEIGHT)
        return 1;
    memcpy(shape + 2, axes[like], (size_t)conv->spatial_dims * sizeof *shape);
    return conv->spatial_dims + 2;
}

/*
 * Turns the shape of an array in the order of its memory to the order N C D H W or K C/G T R S, or back: axes, of which
 * the last (or, of RSCK, the last two) belongs to channels, move.
 */
static void turn_shape(struct array *array, int is_weight, const cvg_conv *conv, int back)
{
    int64_t old[ARRAY_MOST_AXES];
    const int rank = array->rank;
    int at[ARRAY_MOST_AXES], channels[2] = {0, 1}; /* where N and C, or K and C/G, stand in memory */
    if (is_weight ? conv->weight_layout == CVG_KRSC : conv->layout == CVG_CHANNELS_LAST)
        channels[1] = rank - 1;
    if (is_weight && conv->weight_layout == CVG_RSCK) {
        channels[0] = rank - 1;
        channels[1] = rank - 2;
    }
    memcpy(old, array->shape, sizeof old);
    for (int i = 0, from = 0; i < rank && rank > 2; i++) {
        at[i] = i < 2 ? channels[i] : from;
        while (i >= 2 && (at[i] == channels[0] || at[i] == channels[1]))
            at[i] = ++from;
        from += i >= 2;
        array->shape[back ? at[i] : i] = old[back ? i : at[i]];
    }
}

static void forward(struct run *r, const cvg_plan *plan, void *workspace)
{
    const struct array *o = r->operand;
    cvg_forward(plan, o[INPUT].data, o[WEIGHT].data, o[BIAS].data, r->result[0].data, workspace);
}

/* The textbook's mean is over dW and dB; delta_out is the sum's own gradient. */
static void backward(struct run *r, const cvg_plan *plan, void *workspace)
{
    const struct array *o = r->operand, *to = r->result;
    const int mean = r->args->option[OPT_MEAN] && r->conv.batch > 0;
    cvg_plan *mean_plan = plan_of(&r->conv, r->algo, r->threads, mean ? 1.0 / (double)r->conv.batch : 1);
    cvg_grad_input(plan, o[GRAD_OUTPUT].data, o[WEIGHT].data, to[0].data, CVG_OVERWRITE, workspace);
    cvg_backward(mean_plan, o[INPUT].data, o[WEIGHT].data, o[GRAD_OUTPUT].data, NULL, to[1].data, to[2].data,
                 CVG_OVERWRITE, workspace);
    cvg_plan_destroy(mean_plan);
}

/* Its plan is that of the convolution that has input as its grad_output. */
static void transpose(struct run *r, const cvg_plan *plan, void *workspace)
{
    const struct array *o = r->operand;
    cvg_transpose_forward(plan, o[INPUT].data, o[WEIGHT].data, o[BIAS].data, r->result[0].data, workspace);
}

static cvg_conv plain_conv(const struct args *args, const struct array *input, const struct array *weight)
{
    return args_conv(args, input->shape, input->rank, weight->shape, weight->rank);
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
static cvg_conv transposed_conv(const struct args *args, const struct array *input, const struct array *weight)
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
    cvg_output_size(&conv, back, NULL);
    for (int i = 0; i < dims; i++)
        if (back[i] != input->shape[2 + i])
            die(EXIT_BAD_INPUT, "--input has %" PRId64 " elements along axis %d; the geometry leaves %" PRId64,
                input->shape[2 + i], i, back[i]);
    return conv;
}

#define BIT(option) ((uint64_t)1 << (option))
_Static_assert(OPTIONS <= 64, "BIT");

/* Those options that not all kinds take, by bit, and the operand beside input and weight. */
static const struct kind {
    const char *name;
    uint64_t takes;
    enum operand operand;
    int needed;
    enum like like; /* the operand */
    cvg_conv (*conv)(const struct args *args, const struct array *input, const struct array *weight);
    void (*compute)(struct run *run, const cvg_plan *plan, void *workspace);
    int count;
    struct {
        const char *name;
        enum like like;
    } result[MOST_RESULTS];
} kinds[] = {
    /* clang-format off */
    {"forward", BIT(OPT_BIAS), BIAS, 0, LIKE_BIAS, plain_conv, forward,
     1, {{"output", LIKE_OUTPUT}}},
    {"backward", BIT(OPT_GRAD_OUTPUT) | BIT(OPT_MEAN), GRAD_OUTPUT, 1, LIKE_OUTPUT, plain_conv, backward,
     3, {{"grad_input", LIKE_INPUT}, {"grad_weight", LIKE_WEIGHT}, {"grad_bias", LIKE_BIAS}}},
    {"transpose", BIT(OPT_BIAS) | BIT(OPT_OUTPUT_PADDING), BIAS, 0, LIKE_INPUT_BIAS, transposed_conv, transpose,
     1, {{"output", LIKE_INPUT}}},
    /* clang-format on */
};

static const struct kind *kind_of(const struct args *args)
{
    static const enum option sometimes[] = {OPT_GRAD_OUTPUT, OPT_MEAN, OPT_BIAS, OPT_OUTPUT_PADDING};
    if (args->count != 1)
        die(EXIT_BAD_INPUT, "run needs one of forward, backward, transpose; has %d words", args->count);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(args->word[0], kinds[i].name))
            continue;
        for (size_t j = 0; j < sizeof sometimes / sizeof *sometimes; j++)
            if (args->option[sometimes[j]] && !(kinds[i].takes >> sometimes[j] & 1))
                die(EXIT_BAD_INPUT, "run %s does not take %s", args->word[0], option_info[sometimes[j]].name);
        if (!args->option[OPT_OUTPUT])
            die(EXIT_BAD_INPUT, "run %s needs -o DIRECTORY", args->word[0]);
        return &kinds[i];
    }
    die(EXIT_BAD_INPUT, "run is \"%s\"; must be forward, backward or transpose", args->word[0]);
}

/* The type of halves that --type asks for, so that files of uint16 can have them. */
static cvg_type words_of(const struct args *args)
{
    cvg_type types[CVG_TYPE_COUNT];
    const int count = args_types(args, CVG_F32, CVG_TYPE_COUNT, types);
    return count == 1 && cvg_type_size(types[0]) == 2 ? types[0] : CVG_SAME_TYPE;
}

static void read_operand(struct run *r, enum operand which, int needed)
{
    const char *name = option_info[options[which]].name, *path = r->args->option[options[which]];
    cvg_error error;
    if (!path && needed)
        die(EXIT_BAD_INPUT, "run %s needs %s FILE", r->args->word[0], name);
    if (path && !array_read_words(&r->operand[which], path, r->words, &error))
        die(EXIT_BAD_INPUT, "%s: %s", name, error.text);
}

/* Makes an operand of the type that the layer has; other types are converted only if --type asks for it. */
static void convert(struct run *r, enum operand which)
{
    struct array *array = &r->operand[which];
    const char *own = type_name(array->type), *type = type_name(r->conv.type);
    cvg_error error;
    if (!array->data || array->type == r->conv.type)
        return;
    if (!r->args->option[OPT_TYPE])
        die(EXIT_BAD_INPUT, "%s is %s and --input %s; give --type %s or %s to convert",
            option_info[options[which]].name, own, type, type, own);
    if (!array_convert(array, r->conv.type, &error))
        die(EXIT_WRONG, "%s", error.text);
}

static void must_have_shape(const struct run *r, enum operand which, enum like like)
{
    const struct array *array = &r->operand[which];
    int64_t shape[5];
    char got[100], want[100];
    const int rank = shape_of(&r->conv, like, shape);
    if (!array->data || (array->rank == rank && !memcmp(array->shape, shape, (size_t)rank * sizeof *shape)))
        return;
    shape_print(array->shape, array->rank, got, sizeof got);
    shape_print(shape, rank, want, sizeof want);
    die(EXIT_BAD_INPUT, "%s has shape %s; must be %s", option_info[options[which]].name, got, want);
}

int command_run(const struct args *args)
{
    const struct kind *kind = kind_of(args);
    struct run r = {.args = args, .algo = args_algo(args)};
    struct results results = {0};
    struct array *operand = r.operand;
    cvg_type types[CVG_TYPE_COUNT];
    cvg_error error;

    r.words = words_of(args);
    read_operand(&r, INPUT, 1);
    read_operand(&r, WEIGHT, 1);
    read_operand(&r, kind->operand, kind->needed);
    if (args_types(args, (int)operand[INPUT].type, CVG_TYPE_COUNT, types) != 1)
        die(EXIT_BAD_INPUT, "--type is \"%s\"; run takes one", args->option[OPT_TYPE]);
    args_threads(args, "0", &r.threads, 1);
    args_take(args, &operand[INPUT], kind->operand == GRAD_OUTPUT ? &operand[GRAD_OUTPUT] : NULL);
    cvg_conv layout = CVG_CONV_INIT;
    args_layout(args, &layout);
    turn_shape(&operand[INPUT], 0, &layout, 0);
    turn_shape(&operand[WEIGHT], 1, &layout, 0);
    turn_shape(&operand[GRAD_OUTPUT], 0, &layout, 0);
    r.conv = kind->conv(args, &operand[INPUT], &operand[WEIGHT]);
    r.conv.type = types[0];
    r.conv.layout = layout.layout;
    r.conv.weight_layout = layout.weight_layout;
    must_have_shape(&r, kind->operand, kind->like);
    for (int i = 0; i < OPERANDS; i++)
        convert(&r, (enum operand)i);
    for (int i = 0; i < kind->count; i++) {
        int64_t shape[5];
        const int rank = shape_of(&r.conv, kind->result[i].like, shape);
        if (!array_new(&r.result[i], r.conv.type, rank, shape, &error))
            die(EXIT_WRONG, "%s", error.text);
        r.result[i].words = operand[INPUT].words;
        turn_shape(&r.result[i], kind->result[i].like == LIKE_WEIGHT, &layout, 1);
        add_result(&results, kind->result[i].name, &r.result[i]);
    }
    cvg_plan *plan = plan_of(&r.conv, r.algo, r.threads, 1);
    void *workspace = workspace_of(plan);
    kind->compute(&r, plan, workspace);
    write_results(args, &results);
    free(workspace);
    cvg_plan_destroy(plan);
    for (int i = 0; i < MOST_RESULTS; i++)
        array_free(&r.result[i]);
    for (int i = 0; i < OPERANDS; i++)
        array_free(&operand[i]);
    return 0;
}
