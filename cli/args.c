/* From the command line's words to problems and options. */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const pass_names[CVG_PASS_COUNT] = {"forward", "grad_input", "grad_weight"};

const char *type_name(cvg_type type) { return cvg_type_name(type); }

enum {
    TABLES = VERIFY | BENCH,
    PLANS = TABLES | RUN | INFO,
    GEOMETRY = EXPLAIN | PLANS,
    MODELS = PREDICT | EVALUATE | EXPORT,
};

const struct option_info option_info[OPTIONS] = {
    [OPT_ALGO] = {"--algo", PLANS, 0},
    [OPT_AUGMENT] = {"--augment", TRAIN, 0},
    [OPT_BATCH] = {"--batch", TRAIN, 0},
    [OPT_BIAS] = {"--bias", RUN, 0},
    [OPT_CHECK_PLANNER] = {"--check-planner", BENCH, 1},
    [OPT_CLIP] = {"--clip", TRAIN, 0},
    [OPT_CROP] = {"--crop", EXPLAIN, 1},
    [OPT_DATA] = {"--data", TRAIN | EVALUATE, 0},
    [OPT_DEMO] = {"--demo", TRAIN, 1},
    [OPT_DILATION] = {"--dilation", GEOMETRY, 0},
    [OPT_DTAG] = {"--dtag", PLANS, 0},
    [OPT_EPOCHS] = {"--epochs", TRAIN, 0},
    [OPT_ERROR_GROWTH] = {"--error-growth", PLANS | TRAIN | MODELS, 0},
    [OPT_EVERY] = {"--every", TRAIN, 0},
    [OPT_EXACT] = {"--exact", PLANS | TRAIN | MODELS, 1},
    [OPT_EXPORT] = {"--export", INFO, 0},
    [OPT_FIGURE] = {"--figure", EXPLAIN, 0},
    [OPT_FORMAT] = {"--format", EXPLAIN | BENCH | PREDICT | EXPORT, 0},
    [OPT_FREEZE] = {"--freeze", TRAIN, 0},
    [OPT_GRAD_OUTPUT] = {"--grad-output", EXPLAIN | RUN, 0},
    [OPT_GRAY] = {"--gray", PACK, 1},
    [OPT_GROUPS] = {"--groups", GEOMETRY, 0},
    [OPT_HELP] = {"--help", DEMO | EXPLAIN | PLANS | TRAIN | MODELS | PACK, 1},
    [OPT_IMPORT] = {"--import", INFO, 0},
    [OPT_INIT] = {"--init", TRAIN, 0},
    [OPT_INPUT] = {"--input", EXPLAIN | RUN, 0},
    [OPT_INPUT_SHAPE] = {"--input-shape", GEOMETRY & ~RUN, 0},
    [OPT_JSON] = {"--json", BENCH, 0},
    [OPT_LANG] = {"--lang", EXPLAIN, 0},
    [OPT_LAYOUT] = {"--layout", PLANS | TRAIN, 0},
    [OPT_LEARNING_RATE] = {"--learning-rate", TRAIN, 0},
    [OPT_MEAN] = {"--mean", RUN, 1},
    [OPT_MEASURE] = {"--measure", INFO, 0},
    [OPT_MEMORY] = {"--memory", TRAIN, 0},
    [OPT_MIN_TIME] = {"--min-time", BENCH, 0},
    [OPT_MODEL] = {"--model", MODELS, 0},
    [OPT_MOMENTUM] = {"--momentum", TRAIN, 0},
    [OPT_NESTEROV] = {"--nesterov", TRAIN, 1},
    [OPT_OPTIMIZER] = {"--optimizer", TRAIN, 0},
    [OPT_OUTPUT] = {"-o", EXPLAIN | BENCH | RUN | TRAIN | EXPORT | PACK, 0},
    [OPT_OUTPUT_PADDING] = {"--output-padding", RUN, 0},
    [OPT_PAD] = {"--pad", GEOMETRY, 0},
    [OPT_PASS] = {"--pass", BENCH, 0},
    [OPT_PEER] = {"--peer", BENCH, 0},
    [OPT_RANDOM] = {"--random", VERIFY, 0},
    [OPT_RESUME] = {"--resume", TRAIN, 0},
    [OPT_SCHEDULE] = {"--schedule", TRAIN, 0},
    [OPT_SEED] = {"--seed", VERIFY | TRAIN, 0},
    [OPT_SHAPES] = {"--shapes", TABLES, 0},
    [OPT_SHARD] = {"--shard", TRAIN, 0},
    [OPT_SIZE] = {"--size", PACK, 0},
    [OPT_STAG] = {"--stag", PLANS, 0},
    [OPT_STRIDE] = {"--stride", GEOMETRY, 0},
    [OPT_TAKE] = {"--take", EXPLAIN | RUN, 0},
    [OPT_TEST] = {"--test", TRAIN, 0},
    [OPT_THREADS] = {"--threads", PLANS | TRAIN | EVALUATE, 0},
    [OPT_TIME_LIMIT] = {"--time-limit", VERIFY, 0},
    [OPT_TOP] = {"--top", PREDICT, 0},
    [OPT_TYPE] = {"--type", PLANS | TRAIN | MODELS, 0},
    [OPT_WARMUP] = {"--warmup", TRAIN, 0},
    [OPT_WEIGHT] = {"--weight", EXPLAIN | RUN, 0},
    [OPT_WEIGHT_DECAY] = {"--weight-decay", TRAIN, 0},
    [OPT_WEIGHT_LAYOUT] = {"--weight-layout", PLANS, 0},
    [OPT_WEIGHT_SHAPE] = {"--weight-shape", GEOMETRY & ~RUN, 0},
};

void args_axes(const struct args *args, enum option option, int dims, int64_t *values)
{
    const char *text = args->option[option];
    if (!text)
        return;
    const int count = numbers_parse(text, values, dims);
    if (count != 1 && count != dims)
        die(EXIT_BAD_INPUT, "%s is \"%s\"; must be %d numbers with commas between, or one for all",
            option_info[option].name, text, dims);
    for (int i = count; i < dims; i++)
        values[i] = values[0];
}

/*
 * Channels that do not fit.  The commonest reason is an array in another layout: then channels would fit in another
 * place, and the sentence says so.
 */
static _Noreturn void die_of_channels(const int64_t *input, const int64_t *weight, int rank, int64_t groups)
{
    static const char *const spatial[] = {"W", "H,W", "D,H,W"}, *const filter[] = {"S", "R,S", "T,R,S"};
    const int dims = rank - 2;
    const int64_t channels = input[1], last = input[rank - 1];
    char in[100], w[100], guess[200] = "";
    shape_print(input, rank, in, sizeof in);
    shape_print(weight, rank, w, sizeof w);
    if (last == weight[1] * groups)
        snprintf(guess, sizeof guess, "; input looks like channels last (N,%s,C)", spatial[dims - 1]);
    else if (last == weight[rank - 1] * groups)
        snprintf(guess, sizeof guess, "; both look like channels last (N,%s,C and K,%s,C/groups)", spatial[dims - 1],
                 filter[dims - 1]);
    else if (last == weight[rank - 2] * groups)
        snprintf(guess, sizeof guess, "; both look like channels last (N,%s,C and %s,C/groups,K)", spatial[dims - 1],
                 filter[dims - 1]);
    else if (channels == weight[rank - 1] * groups)
        snprintf(guess, sizeof guess, "; weight looks like channels last (K,%s,C/groups)", filter[dims - 1]);
    else if (channels == weight[rank - 2] * groups)
        snprintf(guess, sizeof guess, "; weight looks like channels last (%s,C/groups,K)", filter[dims - 1]);
    die(EXIT_BAD_INPUT,
        "weight has %" PRId64 " channels a group; input has %" PRId64 " channels in %" PRId64
        " %s; input is %s, expected N,C,%s; weight is %s, expected K,C/groups,%s%s",
        weight[1], channels, groups, groups == 1 ? "group" : "groups", in, spatial[dims - 1], w, filter[dims - 1],
        guess);
}

cvg_conv args_conv(const struct args *args, const int64_t *input, int input_rank, const int64_t *weight,
                   int weight_rank)
{
    cvg_conv conv = CVG_CONV_INIT;
    cvg_error error;
    int64_t out[3], pads[6] = {0};

    if (input_rank < 3 || input_rank > 5)
        die(EXIT_BAD_INPUT, "input has %d axes; must have 3 to 5 (N, C and 1 to 3 more)", input_rank);
    if (weight_rank != input_rank)
        die(EXIT_BAD_INPUT, "weight has %d axes and input %d; must have as many", weight_rank, input_rank);
    const int dims = conv.spatial_dims = input_rank - 2;
    conv.batch = input[0];
    conv.in_channels = input[1];
    conv.out_channels = weight[0];
    if (args->option[OPT_GROUPS] && numbers_parse(args->option[OPT_GROUPS], &conv.groups, 1) != 1)
        die(EXIT_BAD_INPUT, "--groups is \"%s\"; must be a number", args->option[OPT_GROUPS]);
    for (int i = 0; i < dims; i++) {
        conv.in[i] = input[2 + i];
        conv.filter[i] = weight[2 + i];
    }
    args_axes(args, OPT_STRIDE, dims, conv.stride);
    args_axes(args, OPT_DILATION, dims, conv.dilation);
    if (args->option[OPT_PAD]) {
        const int count = numbers_parse(args->option[OPT_PAD], pads, 2 * dims);
        if (count != 1 && count != dims && count != 2 * dims)
            die(EXIT_BAD_INPUT,
                "--pad is \"%s\"; must be %d numbers with commas between (all begins, then all "
                "ends), %d for both sides alike, or one for all",
                args->option[OPT_PAD], 2 * dims, dims);
        for (int i = 0; i < dims; i++) {
            conv.pad_begin[i] = pads[count == 1 ? 0 : i];
            conv.pad_end[i] = pads[count == 1 ? 0 : count == dims ? i : dims + i];
        }
    }
    if (conv.groups >= 1 && conv.in_channels != weight[1] * conv.groups)
        die_of_channels(input, weight, input_rank, conv.groups);
    if (cvg_output_size(&conv, out, &error))
        die(EXIT_BAD_INPUT, "%s", error.text);
    return conv;
}

void args_refuse_geometry(const struct args *args)
{
    static const enum option geometry[] = {OPT_STRIDE, OPT_PAD, OPT_DILATION, OPT_GROUPS};
    for (size_t i = 0; i < sizeof geometry / sizeof *geometry; i++)
        if (args->option[geometry[i]])
            die(EXIT_BAD_INPUT, "%s is \"%s\"; it goes with --input-shape, and a problem string says its own",
                option_info[geometry[i]].name, args->option[geometry[i]]);
}

int args_problems(const struct args *args, struct problem **problems)
{
    cvg_error error;
    int count = 0;
    *problems = NULL;
    if (args->option[OPT_SHAPES]) {
        count = problem_read_table(problems, args->option[OPT_SHAPES], &error);
        if (count < 0)
            die(EXIT_BAD_INPUT, "%s", error.text);
    }
    struct problem *more = realloc(*problems, (size_t)(count + args->count + 2) * sizeof *more);
    if (!more) {
        free(*problems);
        die(EXIT_WRONG, "out of memory");
    }
    *problems = more;
    if (!args->option[OPT_INPUT_SHAPE])
        args_refuse_geometry(args);
    if (args->option[OPT_INPUT_SHAPE] && count + args->count > 0)
        die(EXIT_BAD_INPUT, "--input-shape is \"%s\"; it names a problem of its own, beside which no other is taken",
            args->option[OPT_INPUT_SHAPE]);
    for (int i = 0; i < args->count; i++, count++) {
        (*problems)[count] = (struct problem){.conv = CVG_CONV_INIT};
        if (!problem_parse(&(*problems)[count], args->word[i], &error))
            die(EXIT_BAD_INPUT, "%s", error.text);
    }
    if (args->option[OPT_INPUT_SHAPE] || args->option[OPT_WEIGHT_SHAPE]) {
        int64_t input[5], weight[5];
        const char *in = args->option[OPT_INPUT_SHAPE], *w = args->option[OPT_WEIGHT_SHAPE];
        if (!in || !w)
            die(EXIT_BAD_INPUT, "%s is missing; a problem by shapes needs --input-shape and --weight-shape",
                in ? "--weight-shape" : "--input-shape");
        const int input_rank = numbers_parse(in, input, 5);
        const int weight_rank = numbers_parse(w, weight, 5);
        if (input_rank < 0)
            die(EXIT_BAD_INPUT, "--input-shape is \"%s\"; must be 3 to 5 numbers with commas between", in);
        if (weight_rank < 0)
            die(EXIT_BAD_INPUT, "--weight-shape is \"%s\"; must be 3 to 5 numbers with commas between", w);
        (*problems)[count++] = (struct problem){.conv = args_conv(args, input, input_rank, weight, weight_rank)};
    }
    (*problems)[count] = (struct problem){.conv = CVG_CONV_INIT}; /* so that wrong layouts are told without a problem */
    for (int i = 0; i <= count; i++)
        args_layout(args, &(*problems)[i].conv);
    return count;
}

/*
 * The items of a list with commas between, each by its place among names; dies of one that is
 * not there.
 */
static int list_of(const char *option, const char *text, const char *const *names, int name_count, int *items, int most)
{
    int count = 0;
    for (const char *at = text;;) {
        const size_t length = strcspn(at, ",");
        int found = -1;
        for (int i = 0; i < name_count; i++)
            if (names[i] && strlen(names[i]) == length && !strncmp(at, names[i], length))
                found = i;
        if (found < 0 || count == most) {
            fprintf(stderr, "convgrad: %s is \"%s\"; must be some of", option, text);
            for (int i = 0; i < name_count; i++)
                if (names[i])
                    fprintf(stderr, " %s", names[i]);
            fprintf(stderr, ", with commas between\n");
            exit(EXIT_BAD_INPUT);
        }
        for (int i = 0; i < count; i++)
            if (items[i] == found)
                die(EXIT_BAD_INPUT, "%s is \"%s\"; names %s twice", option, text, names[found]);
        items[count++] = found;
        if (!at[length])
            return count;
        at += length + 1;
    }
}

int args_algos(const struct args *args, cvg_algo algos[CVG_ALGO_COUNT])
{
    const char *names[CVG_ALGO_COUNT];
    int items[CVG_ALGO_COUNT], count = 0;
    for (int i = 0; i < CVG_ALGO_COUNT; i++) {
        names[i] = cvg_algo_name((cvg_algo)i);
        if (i != CVG_AUTO && !(args->option[OPT_EXACT] && cvg_algo_mixes((cvg_algo)i)))
            items[count++] = i;
    }
    if (args->option[OPT_ALGO])
        count = list_of("--algo", args->option[OPT_ALGO], names, CVG_ALGO_COUNT, items, CVG_ALGO_COUNT);
    for (int i = 0; args->option[OPT_EXACT] && i < count; i++)
        if (cvg_algo_mixes((cvg_algo)items[i]))
            die(EXIT_BAD_INPUT, "--algo is \"%s\"; %s mixes neighbours, which --exact leaves out",
                args->option[OPT_ALGO], names[items[i]]);
    for (int i = 0; i < count; i++)
        algos[i] = (cvg_algo)items[i];
    return count;
}

/* Which of some names an option's value is; standard if it is absent. */
static int one_of(const struct args *args, enum option option, const char *const *names, int count, int standard)
{
    const char *text = args->option[option];
    int item = standard;
    if (text && list_of(option_info[option].name, text, names, count, &item, 1) != 1)
        return standard;
    return item;
}

int args_layout(const struct args *args, cvg_conv *conv)
{
    static const char *const layouts[] = {"channels_first", "channels_last"}, *const tags[] = {"abx", "axb"};
    static const char *const weights[] = {"kcrs", "krsc", "rsck"};
    static const struct {
        enum option option;
        const char *const *names;
    } ways[] = {{OPT_LAYOUT, layouts}, {OPT_STAG, tags}, {OPT_DTAG, tags}}; /* of saying it */
    int named = -1;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const int one = one_of(args, ways[i].option, ways[i].names, 2, -1);
        if (one >= 0 && named >= 0 && one != named)
            die(EXIT_BAD_INPUT, "%s is \"%s\"; input and output have one layout", option_info[ways[i].option].name,
                args->option[ways[i].option]);
        named = one >= 0 ? one : named;
    }
    if (named < 0 && !args->option[OPT_WEIGHT_LAYOUT])
        return 0;
    conv->layout = named == 1 ? CVG_CHANNELS_LAST : CVG_CHANNELS_FIRST;
    /* Frameworks whose tensors have channels last keep weights so, too. */
    conv->weight_layout =
        (cvg_weight_layout)one_of(args, OPT_WEIGHT_LAYOUT, weights, 3, named == 1 ? CVG_KRSC : CVG_KCRS);
    return 1;
}

cvg_algo args_algo(const struct args *args)
{
    cvg_algo algos[CVG_ALGO_COUNT];
    if (!args->option[OPT_ALGO])
        return CVG_AUTO;
    if (args_algos(args, algos) != 1)
        die(EXIT_BAD_INPUT, "--algo is \"%s\"; must be one algorithm", args->option[OPT_ALGO]);
    return algos[0];
}

int args_types(const struct args *args, int standard, int known, cvg_type types[CVG_TYPE_COUNT])
{
    const char *names[CVG_TYPE_COUNT];
    int items[CVG_TYPE_COUNT], count = standard < 0 ? known : 1;
    for (int i = 0; i < known; i++) {
        names[i] = cvg_type_name((cvg_type)i);
        items[i] = standard < 0 ? i : standard;
    }
    if (args->option[OPT_TYPE])
        count = list_of("--type", args->option[OPT_TYPE], names, known, items, known);
    for (int i = 0; i < count; i++)
        types[i] = (cvg_type)items[i];
    return count;
}

int args_passes(const struct args *args, cvg_pass passes[CVG_PASS_COUNT])
{
    int items[CVG_PASS_COUNT] = {0, 1, 2}, count = CVG_PASS_COUNT;
    if (args->option[OPT_PASS])
        count = list_of("--pass", args->option[OPT_PASS], pass_names, CVG_PASS_COUNT, items, CVG_PASS_COUNT);
    for (int i = 0; i < count; i++)
        passes[i] = (cvg_pass)items[i];
    return count;
}

int args_threads(const struct args *args, const char *standard, int *threads, int most)
{
    const char *text = args->option[OPT_THREADS] ? args->option[OPT_THREADS] : standard;
    int64_t numbers[16];
    const int count = numbers_parse(text, numbers, most < 16 ? most : 16);
    int good = count > 0;
    for (int i = 0; good && i < count; i++) {
        good = numbers[i] >= 0 && numbers[i] <= 4096;
        threads[i] = good ? (int)numbers[i] : 0;
    }
    if (!good)
        die(EXIT_BAD_INPUT, "--threads is \"%s\"; must be %s from 0 to 4096", text,
            most > 1 ? "numbers with commas between," : "a number");
    return count;
}

int64_t args_count(const struct args *args, enum option option, int64_t standard, int64_t least)
{
    const char *text = args->option[option];
    int64_t value;
    if (!text)
        return standard;
    if (numbers_parse(text, &value, 1) != 1 || value < least)
        die(EXIT_BAD_INPUT, "%s is \"%s\"; must be a whole number of at least %" PRId64, option_info[option].name, text,
            least);
    return value;
}

double args_number(const struct args *args, enum option option, double standard, double least)
{
    const char *text = args->option[option];
    char *end;
    if (!text)
        return standard;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < least)
        die(EXIT_BAD_INPUT, "%s is \"%s\"; must be a number of at least %g", option_info[option].name, text, least);
    return value;
}

void args_take(const struct args *args, struct array *input, struct array *grad_output)
{
    const char *text = args->option[OPT_TAKE];
    cvg_error error;
    int64_t begin, end;
    char range[44], *colon;
    if (!text)
        return;
    snprintf(range, sizeof range, "%s", text);
    colon = strchr(range, ':');
    if (colon)
        *colon = 0;
    if (!colon || numbers_parse(range, &begin, 1) != 1 || numbers_parse(colon + 1, &end, 1) != 1)
        die(EXIT_BAD_INPUT, "--take is \"%s\"; must be BEGIN:END, such as 0:64", text);
    const int64_t batch = input->rank ? input->shape[0] : 0;
    if (!array_take(input, begin, end, &error))
        die(EXIT_BAD_INPUT, "--take %s", error.text);
    if (grad_output && grad_output->rank && grad_output->shape[0] == batch)
        array_take(grad_output, begin, end, &error);
}
