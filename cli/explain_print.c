/* An explanation as text, as JSON, and as a page. */
#include "explain.h"
#include "page.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void explain_text(FILE *out, const struct explanation *e)
{
    static const struct {
        enum explained first;
        enum sentence heading;
    } parts[] = {{X, SAY_GIVEN}, {COL_X, SAY_FORWARD}, {DELTA_IN_2D, SAY_BACKWARD}, {INPUT_PADDED, SAY_METHOD_1}};
    char problem[256];
    problem_print(&e->conv, problem, sizeof problem);
    fprintf(out, explain_say(e, SAY_PROBLEM), problem);
    if (*e->whole)
        fprintf(out, explain_say(e, SAY_CUT), e->whole);
    if (e->files[0] && !e->files[2])
        fputs(explain_say(e, SAY_ONES), out);
    for (int i = 0; i < EXPLAINED; i++) {
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            if (parts[p].first == (enum explained)i)
                fprintf(out, "\n---- %s ----\n\n", explain_say(e, parts[p].heading));
        if (i == DELTA_OUT)
            explain_steps(out, e);
        explain_array(out, e, (enum explained)i);
        fputc('\n', out);
    }
    fprintf(out, explain_say(e, SAY_DIFFERENCE), e->disagreement);
}

static void json_axes(FILE *out, const char *name, const int64_t *numbers, int count)
{
    fprintf(out, "\"%s\": [", name);
    for (int i = 0; i < count; i++)
        fprintf(out, "%s%" PRId64, i ? ", " : "", numbers[i]);
    fputc(']', out);
}

static void json_conv(FILE *out, const cvg_conv *conv)
{
    const struct {
        const char *name;
        const int64_t *numbers;
    } axes[] = {{"in", conv->in},
                {"filter", conv->filter},
                {"stride", conv->stride},
                {"dilation", conv->dilation},
                {"pad_begin", conv->pad_begin},
                {"pad_end", conv->pad_end}};
    fprintf(out,
            "{\"spatial_dims\": %d, \"batch\": %" PRId64 ", \"in_channels\": %" PRId64 ", \"out_channels\": %" PRId64
            ", \"groups\": %" PRId64,
            conv->spatial_dims, conv->batch, conv->in_channels, conv->out_channels, conv->groups);
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++) {
        fprintf(out, ", ");
        json_axes(out, axes[i].name, axes[i].numbers, conv->spatial_dims);
    }
    fputc('}', out);
}

static void json_source(FILE *out, const struct explanation *e)
{
    static const char *const names[3] = {"input", "weight", "grad_output"};
    fprintf(out, ", \"source\": ");
    for (int i = 0; i < 3 && e->files[0]; i++) {
        fprintf(out, "%s\"%s\": ", i ? ", " : "{", names[i]);
        if (e->files[i])
            json_string(out, e->files[i]);
        else
            fputs("null", out);
    }
    fputs(e->files[0] ? "}" : "null", out);
}

void explain_json(FILE *out, const struct explanation *e)
{
    char problem[256];
    problem_print(&e->conv, problem, sizeof problem);
    fprintf(out, "{\"problem\": \"%s\", \"arrays\": {", problem);
    for (int i = 0; i < EXPLAINED; i++) {
        const struct array *a = &e->array[i];
        fprintf(out, "%s\n  \"%s\": {", i ? "," : "", explained_names[i]);
        json_axes(out, "shape", a->shape, a->rank);
        fprintf(out, ", \"values\": [");
        for (int64_t j = 0; j < a->count; j++) {
            fputs(j ? ", " : "", out);
            json_number(out, array_get(a, j));
        }
        fprintf(out, "], \"name\": \"%s\"}", explain_say(e, i));
    }
    fprintf(out, "\n}, \"conv\": ");
    json_conv(out, &e->conv);
    json_source(out, e);
    fprintf(out, ", \"whole\": ");
    if (*e->whole)
        json_string(out, e->whole);
    else
        fprintf(out, "null");
    fprintf(out, ", \"page_limit\": %d, \"difference\": ", EXPLAIN_PAGE_CELLS);
    json_number(out, e->disagreement);
    fprintf(out, "}\n");
}

void explain_page(FILE *out, const struct explanation *e)
{
    fputs(page_explain.before, out);
    explain_json(out, e);
    fputs(page_explain.after, out);
}
