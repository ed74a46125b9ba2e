#include "cli.h"
#include "geometry.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The letters of a problem string. */
enum { GROUPS, BATCH, IN_CHANNELS, OUT_CHANNELS, SCALARS };
static const char *const scalar_keys[SCALARS] = {"g", "mb", "ic", "oc"};

enum { OUT, IN, FILTER, STRIDE, PADDING, DILATION, KINDS }; /* OUT first: see complete() */
static const char kind_keys[KINDS] = {'o', 'i', 'k', 's', 'p', 'd'};
static const char axis_keys[3] = {'d', 'h', 'w'};

struct letters {
    int has_scalar[SCALARS], has[KINDS][3];
    int64_t scalar[SCALARS], value[KINDS][3];
};

/* Matches one key at text; returns its length and where its number goes, or 0. */
static int match_key(const char *text, struct letters *letters, int **has, int64_t **value)
{
    for (int i = 0; i < SCALARS; i++) {
        const size_t length = strlen(scalar_keys[i]);
        if (!strncmp(text, scalar_keys[i], length)) {
            *has = &letters->has_scalar[i];
            *value = &letters->scalar[i];
            return (int)length;
        }
    }
    for (int kind = 0; kind < KINDS; kind++)
        for (int axis = 0; axis < 3; axis++)
            if (text[0] == kind_keys[kind] && text[1] == axis_keys[axis]) {
                *has = &letters->has[kind][axis];
                *value = &letters->value[kind][axis];
                return 2;
            }
    return 0;
}

static int read_letters(const char *text, struct letters *letters, char *name, size_t name_size, cvg_error *error)
{
    for (const char *at = text; *at;) {
        int *has;
        int64_t *value;
        char *end;
        if (*at == '_') { /* benchdnn allows it between entries */
            at++;
            continue;
        }
        if (*at == 'n') { /* the name ends the string */
            const size_t length = strlen(at + 1);
            const int quoted = length >= 2 && at[1] == '"' && at[length] == '"';
            snprintf(name, name_size, "%.*s", (int)(quoted ? length - 2 : length), at + 1 + quoted);
            return 1;
        }
        const int length = match_key(at, letters, &has, &value);
        if (!length)
            return cli_fail(error, "problem \"%.100s\": cannot read \"%.20s\"", text, at);
        if (!isdigit((unsigned char)at[length]))
            return cli_fail(error, "problem \"%.100s\": %.*s needs a number", text, length, at);
        errno = 0;
        *value = strtoll(at + length, &end, 10);
        if (errno)
            return cli_fail(error, "problem \"%.100s\": the number of %.*s does not fit in 64 bits", text, length, at);
        if (*has)
            return cli_fail(error, "problem \"%.100s\": %.*s stands there twice", text, length, at);
        *has = 1;
        at = end;
    }
    return 1;
}

/*
 * The padding that makes the output as large as told: the symmetric padding if
 * that does, else as much at the end as it takes.  0 with a sentence if none can.
 */
static int pads_from_output(const char *text, const struct letters *l, int axis, int64_t *begin, int64_t *end,
                            cvg_error *error)
{
    const int64_t most = 1 << 30, in = l->value[IN][axis], out = l->value[OUT][axis];
    const int64_t stride = l->value[STRIDE][axis];
    for (int kind = 0; kind < KINDS; kind++)
        if (l->value[kind][axis] > most)
            return cli_fail(error, "problem \"%.100s\": %c%c is too large beside o%c", text, kind_keys[kind],
                            axis_keys[axis], axis_keys[axis]);
    if (out < 1 || stride < 1)
        return cli_fail(error, "problem \"%.100s\": %c%c is 0; must be at least 1", text, out < 1 ? 'o' : 's',
                        axis_keys[axis]);
    const int64_t extent = (l->value[FILTER][axis] - 1) * (l->value[DILATION][axis] + 1) + 1;
    const int64_t missing = (out - 1) * stride + extent - in; /* all padding that the steps need */
    if (!l->has[PADDING][axis])
        *begin = *end = missing > 0 ? missing / 2 : 0;
    if (in + *begin + *end < extent || (in + *begin + *end - extent) / stride + 1 != out)
        *end = missing > *begin ? missing - *begin : 0;
    const int64_t got = in + *begin + *end < extent ? 0 : (in + *begin + *end - extent) / stride + 1;
    if (got != out)
        return cli_fail(error, "problem \"%.100s\": o%c is %" PRId64 "; the other sizes give %" PRId64, text,
                        axis_keys[axis], out, got);
    return 1;
}

/* Fills in what is not said: as on the axis before, or the usual. */
static int complete(const char *text, struct letters *l, int first, cvg_error *error)
{
    for (int axis = first; axis < 3; axis++)
        for (int kind = 0; kind < KINDS; kind++) {
            if (l->has[kind][axis])
                continue;
            /* An output size goes with its own input size only. */
            if (axis > first && l->has[kind][axis - 1] && !(kind == OUT && l->has[IN][axis])) {
                l->has[kind][axis] = 1;
                l->value[kind][axis] = l->value[kind][axis - 1];
            } else if (kind == IN || kind == FILTER) {
                return cli_fail(error, "problem \"%.100s\": %c%c is missing", text, kind_keys[kind], axis_keys[axis]);
            } else if (kind == STRIDE) {
                l->value[kind][axis] = 1;
            }
        }
    return 1;
}

int problem_parse(struct problem *problem, const char *text, cvg_error *error)
{
    struct letters l = {.scalar = {1, 0, 0, 0}};
    cvg_conv *conv = &problem->conv;

    problem->name[0] = 0;
    if (!read_letters(text, &l, problem->name, sizeof problem->name, error))
        return 0;
    for (int i = BATCH; i < SCALARS; i++)
        if (!l.has_scalar[i])
            return cli_fail(error, "problem \"%.100s\": %s is missing", text, scalar_keys[i]);
    int first = 2; /* the first axis that the problem has */
    for (int kind = 0; kind < KINDS; kind++)
        for (int axis = 1; axis >= 0; axis--)
            if (l.has[kind][axis] && axis < first)
                first = axis;
    if (!complete(text, &l, first, error))
        return 0;
    conv->spatial_dims = 3 - first;
    conv->groups = l.scalar[GROUPS];
    conv->batch = l.scalar[BATCH];
    conv->in_channels = l.scalar[IN_CHANNELS];
    conv->out_channels = l.scalar[OUT_CHANNELS];
    for (int axis = first, i = 0; axis < 3; axis++, i++) {
        if (l.value[DILATION][axis] == INT64_MAX)
            return cli_fail(error, "problem \"%.100s\": d%c does not fit in 64 bits", text, axis_keys[axis]);
        conv->in[i] = l.value[IN][axis];
        conv->filter[i] = l.value[FILTER][axis];
        conv->stride[i] = l.value[STRIDE][axis];
        conv->dilation[i] = l.value[DILATION][axis] + 1;
        conv->pad_begin[i] = conv->pad_end[i] = l.value[PADDING][axis];
        if (l.has[OUT][axis] && !pads_from_output(text, &l, axis, &conv->pad_begin[i], &conv->pad_end[i], error))
            return 0;
    }
    int64_t out[3];
    cvg_error why;
    if (cvg_output_size(conv, out, &why))
        return cli_fail(error, "problem \"%.60s\": %.160s", text, why.text);
    return 1;
}

void problem_print(const cvg_conv *conv, char *text, size_t size)
{
    int64_t out[3] = {0};
    size_t length = 0;
    const int first = 3 - conv->spatial_dims;
    cvg_output_size(conv, out, NULL);

#define ADD(...)                                                                    \
    do {                                                                            \
        const int added = snprintf(text + length, size - length, __VA_ARGS__);      \
        length = length + (size_t)added < size ? length + (size_t)added : size - 1; \
    } while (0)
    if (conv->groups != 1)
        ADD("g%" PRId64, conv->groups);
    ADD("mb%" PRId64 "ic%" PRId64 "oc%" PRId64, conv->batch, conv->in_channels, conv->out_channels);
    for (int i = 0; i < conv->spatial_dims; i++) {
        const char axis = axis_keys[first + i];
        ADD("_i%c%" PRId64, axis, conv->in[i]);
        if (conv->pad_begin[i] != conv->pad_end[i])
            ADD("o%c%" PRId64, axis, out[i]);
        ADD("k%c%" PRId64 "s%c%" PRId64 "d%c%" PRId64 "p%c%" PRId64, axis, conv->filter[i], axis, conv->stride[i], axis,
            conv->dilation[i] - 1, axis, conv->pad_begin[i]);
    }
#undef ADD
}

static int has_steps(const cvg_conv *conv)
{
    static const cvg_steps none = {0, 0, {0, 0, 0}};
    return memcmp(&conv->in_steps, &none, sizeof none) || memcmp(&conv->out_steps, &none, sizeof none);
}

void layout_print(const cvg_conv *conv, char *text, size_t size)
{
    static const char *const weights[] = {[CVG_KCRS] = "kcrs", [CVG_KRSC] = "krsc", [CVG_RSCK] = "rsck"};
    const int last = conv->layout == CVG_CHANNELS_LAST, other = conv->weight_layout != (last ? CVG_KRSC : CVG_KCRS);
    snprintf(text, size, "%s%s%s%s", last ? " --layout channels_last" : "", other ? " --weight-layout " : "",
             other ? weights[conv->weight_layout] : "", has_steps(conv) ? ", views" : "");
}

/* Appends " --name 1,2,3" of one or two lists. */
static void add_list(char *text, size_t size, const char *name, const int64_t *values, int count, const int64_t *more,
                     int more_count)
{
    size_t length = strlen(text);
    length += (size_t)snprintf(text + length, size - length, "%s--%s ", length ? " " : "", name);
    for (int i = 0; i < count + more_count && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%" PRId64, i ? "," : "",
                                   i < count ? values[i] : more[i - count]);
}

void problem_arguments(const cvg_conv *conv, char *text, size_t size)
{
    struct problem back = {.conv = CVG_CONV_INIT};
    cvg_error error;
    char string[256];
    const int dims = conv->spatial_dims;
    if (has_steps(conv)) { /* verify draws them */
        snprintf(text, size, "--random 1");
        return;
    }
    problem_print(conv, string, sizeof string);
    int same = problem_parse(&back, string, &error);
    for (int i = 0; i < dims; i++)
        same = same && back.conv.pad_end[i] == conv->pad_end[i];
    if (same) {
        snprintf(text, size, "'%s'", string);
        layout_print(conv, text + strlen(text), size - strlen(text));
        return;
    }
    const int64_t input[2] = {conv->batch, conv->in_channels};
    const int64_t weight[2] = {conv->out_channels, conv->in_channels / conv->groups};
    text[0] = 0;
    add_list(text, size, "input-shape", input, 2, conv->in, dims);
    add_list(text, size, "weight-shape", weight, 2, conv->filter, dims);
    add_list(text, size, "stride", conv->stride, dims, NULL, 0);
    add_list(text, size, "pad", conv->pad_begin, dims, conv->pad_end, dims);
    add_list(text, size, "dilation", conv->dilation, dims, NULL, 0);
    add_list(text, size, "groups", &conv->groups, 1, NULL, 0);
    layout_print(conv, text + strlen(text), size - strlen(text));
}

int numbers_parse(const char *text, int64_t *numbers, int most)
{
    int count = 0;
    for (;;) {
        char *end;
        if (count == most || !(isdigit((unsigned char)*text) || (*text == '-' && isdigit((unsigned char)text[1]))))
            return -1;
        errno = 0;
        numbers[count++] = strtoll(text, &end, 10);
        if (errno)
            return -1;
        if (!*end)
            return count;
        if (*end != ',')
            return -1;
        text = end + 1;
    }
}

static const char table_header[] = "name,n,c,h,w,k,r,s,stride_h,stride_w,pad_top,pad_left,pad_bottom,pad_right,"
                                   "dilation_h,dilation_w,groups";

enum { TABLE_NUMBERS = 16 };

/* Reads one line of a table; 0 with a sentence if it cannot. */
static int read_row(struct problem *problem, const char *path, int line, char *text, cvg_error *error)
{
    int64_t v[TABLE_NUMBERS];
    char *comma = strchr(text, ',');
    cvg_conv *conv = &problem->conv;
    cvg_error why;
    int64_t out[3];

    if (!comma)
        return cli_fail(error, "%.100s:%d: has no columns", path, line);
    snprintf(problem->name, sizeof problem->name, "%.*s", (int)(comma - text), text);
    for (int i = 0; i < TABLE_NUMBERS; i++) {
        char *at = comma ? comma + 1 : NULL;
        comma = at ? strchr(at, ',') : NULL;
        if (at && comma)
            *comma = 0;
        if (!at || numbers_parse(at, &v[i], 1) != 1)
            return cli_fail(error, "%.100s:%d: column %d is \"%.20s\"; must be a number", path, line, i + 2,
                            at ? at : "");
    }
    conv->spatial_dims = 2;
    conv->batch = v[0];
    conv->in_channels = v[1];
    conv->out_channels = v[4];
    conv->groups = v[15];
    for (int axis = 0; axis < 2; axis++) {
        conv->in[axis] = v[2 + axis];
        conv->filter[axis] = v[5 + axis];
        conv->stride[axis] = v[7 + axis];
        conv->pad_begin[axis] = v[9 + axis];
        conv->pad_end[axis] = v[11 + axis];
        conv->dilation[axis] = v[13 + axis];
    }
    if (cvg_output_size(conv, out, &why))
        return cli_fail(error, "%.60s:%d: %s", path, line, why.text);
    return 1;
}

int problem_read_table(struct problem **problems, const char *path, cvg_error *error)
{
    char text[1024];
    int count = 0, line = 0;
    FILE *file = fopen(path, "r");

    *problems = NULL;
    if (!file) {
        cli_fail(error, "%.100s: %s", path, strerror(errno));
        return -1;
    }
    int good = 1;
    while (good && fgets(text, sizeof text, file)) {
        const size_t length = strcspn(text, "\r\n");
        line++;
        if (!text[length] && length == sizeof text - 1)
            good = cli_fail(error, "%.100s:%d: longer than %zu characters", path, line, sizeof text - 2);
        text[length] = 0;
        const size_t header = strlen(table_header);
        if (good && line == 1)
            good = (!strncmp(text, table_header, header) && (!text[header] || text[header] == ',')) ||
                   cli_fail(error, "%.100s:1: the header must begin with \"%s\"", path, table_header);
        if (!good || line == 1 || !*text)
            continue;
        struct problem *more = realloc(*problems, (size_t)(count + 1) * sizeof *more);
        if (!more) {
            good = cli_fail(error, "%.100s: out of memory", path);
            break;
        }
        *problems = more;
        more[count] = (struct problem){.conv = CVG_CONV_INIT};
        good = read_row(&more[count++], path, line, text, error);
    }
    if (good && ferror(file))
        good = cli_fail(error, "%.100s: %s", path, strerror(errno));
    if (good && line == 0)
        good = cli_fail(error, "%.100s:1: the header must begin with \"%s\"", path, table_header);
    fclose(file);
    if (good)
        return count;
    free(*problems);
    *problems = NULL;
    return -1;
}

struct sizes problem_sizes(const cvg_conv *conv)
{
    const struct geometry g = geometry_of(conv);
    struct sizes z = {
        .input = g.N * g.C * g.in_size,
        .weight = g.K * g.Cg * g.filter_size,
        .output = g.N * g.K * g.out_size,
        .bias = g.K,
        .terms = (double)g.Cg * (double)g.filter_size,
        .input_terms = (double)g.Kg * (double)g.filter_size,
        .weight_terms = (double)g.N * (double)g.out_size,
    };
    z.macs = (double)z.output * z.terms;
    return z;
}
