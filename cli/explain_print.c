/* convgrad explain: the arrays of an explanation as text or JSON. */
#include "explain.h"
#include "output.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const own_names[EXPLAINED] = {
    "input", "weight", "grad_output", "input as the column matrix", "weight as a matrix", "output",
    "grad_output as a matrix", "grad_bias, mean over the batch",
    "grad_weight as a matrix, mean over the batch", "grad_weight, mean over the batch",
    "grad_input as the column matrix", "grad_input", "input with its padding",
    "grad_output with zeros stuffed in, as if stride were 1", "the same, padded for the full convolution",
    "weight rotated by 180 degrees",
};

/* Those that NumPy holds as floats in the textbook's program: 0. where others print 0 */
static const unsigned prints_floats =
    1u << COL_X | 1u << DB | 1u << DW_COL | 1u << DW | 1u << DELTA_OUT | 1u << Y;

/* One element as NumPy prints it: integers bare, floats with their point. */
static int print_number(char *text, size_t size, double value, int floats, int integers)
{
    if (integers)
        return snprintf(text, size, floats ? "%.0f." : "%.0f", value);
    return snprintf(text, size, "%.8g", value);
}

void explain_array(FILE *out, const struct explanation *e, enum explained which)
{
    const struct array *a = &e->array[which];
    char text[64], shape[100];
    int width = 0, integers = 1;
    const int floats = prints_floats >> which & 1;

    shape_print(a->shape, a->rank, shape, sizeof shape);
    fprintf(out, "%s  = %s, %s\n", explained_names[which], own_names[which], shape);
    for (int64_t i = 0; i < a->count; i++)
        integers &= fabs(array_get(a, i)) < 1e15 && array_get(a, i) == floor(array_get(a, i));
    for (int64_t i = 0; i < a->count; i++) {
        const int n = print_number(text, sizeof text, array_get(a, i), floats, integers);
        width = n > width ? n : width;
    }
    if (a->count == 0)
        fprintf(out, " []\n");
    for (int64_t i = 0; i < a->count; i++) {
        /* Axes that begin and end at this element, counted from the last. */
        int begins = 0, ends = 0;
        for (int64_t axis = a->rank - 1, block = 1; axis >= 0; axis--) {
            block *= a->shape[axis];
            begins += i % block == 0;
            ends += (i + 1) % block == 0;
        }
        if (begins) {
            if (i && begins > 1)
                fputc('\n', out);
            fprintf(out, " %*s", a->rank - begins, "");
            for (int b = 0; b < begins; b++)
                fputc('[', out);
        } else {
            fputc(' ', out);
        }
        print_number(text, sizeof text, array_get(a, i), floats, integers);
        fprintf(out, "%*s", width, text);
        for (int b = 0; b < ends; b++)
            fputc(']', out);
        if (ends)
            fputc('\n', out);
    }
}

static void print_text(FILE *out, struct explanation *e)
{
    static const struct {
        enum explained first;
        const char *heading;
    } parts[] = {
        {X, "given"},
        {COL_X, "method 2, forward: y as a matrix = col_x . col_w"},
        {DELTA_IN_2D, "method 2, backward: dB = column sums of delta_in_2d / batch; "
                      "dW = col_x^T . delta_in_2d / batch; dcol = delta_in_2d . col_w^T"},
        {INPUT_PADDED, "method 1: dW = input_padded convolved with dz_stride_1 / batch; "
                       "delta_out = dz_padded convolved with rot_weights"},
    };
    char problem[256];
    problem_print(&e->conv, problem, sizeof problem);
    fprintf(out, "problem %s\n", problem);
    for (int i = 0; i < EXPLAINED; i++) {
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            if (parts[p].first == (enum explained)i)
                fprintf(out, "\n---- %s ----\n\n", parts[p].heading);
        if (i == DELTA_OUT)
            explain_steps(out, e);
        explain_array(out, e, (enum explained)i);
        fputc('\n', out);
    }
    fprintf(out, "largest difference between method 1, method 2 and the library: %.3g\n", e->disagreement);
}

static void print_json(FILE *out, const struct explanation *e)
{
    char problem[256];
    problem_print(&e->conv, problem, sizeof problem);
    fprintf(out, "{\"problem\": \"%s\", \"arrays\": {", problem);
    for (int i = 0; i < EXPLAINED; i++) {
        const struct array *a = &e->array[i];
        fprintf(out, "%s\n  \"%s\": {\"shape\": [", i ? "," : "", explained_names[i]);
        for (int axis = 0; axis < a->rank; axis++)
            fprintf(out, "%s%" PRId64, axis ? ", " : "", a->shape[axis]);
        fprintf(out, "], \"values\": [");
        for (int64_t j = 0; j < a->count; j++) {
            const double value = array_get(a, j);
            if (isfinite(value))
                fprintf(out, "%s%.17g", j ? ", " : "", value);
            else
                fprintf(out, "%snull", j ? ", " : ""); /* JSON has no NaN and no infinity */
        }
        fprintf(out, "], \"name\": \"%s\"}", own_names[i]);
    }
    fprintf(out, "\n}}\n");
}

/* The operands from files. */
static struct explanation explain_files(const struct args *args)
{
    static const enum option options[3] = {OPT_INPUT, OPT_WEIGHT, OPT_GRAD_OUTPUT};
    static const char *const names[3] = {"--input", "--weight", "--grad-output"};
    struct array operand[3];
    cvg_error error;
    int64_t want[5];

    for (int i = 0; i < 3; i++) {
        if (!args->option[options[i]])
            die(EXIT_BAD_INPUT, "explain with files needs --input, --weight and --grad-output; %s is missing",
                names[i]);
        if (!array_read(&operand[i], args->option[options[i]], &error) ||
            !array_convert(&operand[i], CVG_F64, &error))
            die(EXIT_BAD_INPUT, "%s: %s", names[i], error.text);
    }
    if (args->option[OPT_TAKE])
        die(EXIT_BAD_INPUT, "explain does not take --take");
    const cvg_conv conv = args_conv(args, operand[0].shape, operand[0].rank, operand[1].shape, operand[1].rank);
    want[0] = conv.batch;
    want[1] = conv.out_channels;
    cvg_output_size(&conv, want + 2, NULL);
    int same = operand[2].rank == operand[0].rank;
    for (int i = 0; same && i < operand[2].rank; i++)
        same = operand[2].shape[i] == want[i];
    if (!same) {
        char got[100], must[100];
        shape_print(operand[2].shape, operand[2].rank, got, sizeof got);
        shape_print(want, operand[0].rank, must, sizeof must);
        die(EXIT_BAD_INPUT, "--grad-output has shape %s; must be %s", got, must);
    }
    return explain(&conv, operand[0], operand[1], operand[2]);
}

static struct explanation explain_args(struct args args)
{
    struct problem *problems;
    if (args.option[OPT_INPUT] || args.option[OPT_WEIGHT] || args.option[OPT_GRAD_OUTPUT]) {
        if (args.count)
            die(EXIT_BAD_INPUT, "explain takes a problem or files; \"%s\" stands beside files", args.word[0]);
        return explain_files(&args);
    }
    for (int example = 1; example <= 2 && args.count == 1; example++)
        if (!strcmp(args.word[0], example == 1 ? "simple" : "complex")) {
            args_refuse_geometry(&args);
            return explain_example(example);
        }
    if (args_problems(&args, &problems) != 1)
        die(EXIT_BAD_INPUT, "explain needs one of simple, complex, a problem, or files");
    struct explanation e = explain_counting(&problems[0].conv);
    free(problems);
    return e;
}

int command_explain(const struct args *args)
{
    const char *format = args->option[OPT_FORMAT] ? args->option[OPT_FORMAT] : "text";
    const char *path = args->option[OPT_OUTPUT];
    struct output out = {.file = stdout};

    if (strcmp(format, "text") && strcmp(format, "json"))
        die(EXIT_BAD_INPUT, "--format is \"%s\"; must be text or json", format);
    struct explanation e = explain_args(*args);
    if (path)
        output_open(&out, "-o", path);
    if (!strcmp(format, "json"))
        print_json(out.file, &e);
    else
        print_text(out.file, &e);
    explanation_free(&e);
    if (path)
        output_close(&out);
    return 0;
}
