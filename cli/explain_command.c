/* convgrad explain: which problem, of which numbers, in which form. */
#include "explain.h"
#include "output.h"

#include <stdlib.h>
#include <string.h>

/* What is explained: a problem whose tensors count 0, 1, 2, ..., or files; grad_output without a file is ones. */
struct subject {
    cvg_conv conv, whole;
    int cut; /* conv is a part of whole */
    const char *files[3];
    struct array operand[3]; /* of the files; of the whole */
};

static void read_files(struct subject *subject, const struct args *args)
{
    static const enum option options[3] = {OPT_INPUT, OPT_WEIGHT, OPT_GRAD_OUTPUT};
    static const char *const names[3] = {"--input", "--weight", "--grad-output"};
    struct array *operand = subject->operand;
    cvg_error error;
    int64_t want[5];

    for (int i = 0; i < 3; i++) {
        subject->files[i] = args->option[options[i]];
        if (!subject->files[i] && options[i] != OPT_GRAD_OUTPUT)
            die(EXIT_BAD_INPUT, "explain with files needs --input and --weight; %s is missing", names[i]);
        if (!subject->files[i])
            continue;
        if (!array_read(&operand[i], subject->files[i], &error) || !array_convert(&operand[i], CVG_F64, &error))
            die(EXIT_BAD_INPUT, "%s: %s", names[i], error.text);
    }
    args_take(args, &operand[0], &operand[2]);
    subject->conv = args_conv(args, operand[0].shape, operand[0].rank, operand[1].shape, operand[1].rank);
    want[0] = subject->conv.batch;
    want[1] = subject->conv.out_channels;
    cvg_output_size(&subject->conv, want + 2, NULL);
    if (!subject->files[2]) {
        if (!array_new(&operand[2], CVG_F64, operand[0].rank, want, &error))
            die(EXIT_WRONG, "%s", error.text);
        for (int64_t i = 0; i < operand[2].count; i++)
            array_set(&operand[2], i, 1);
    }
    int same = operand[2].rank == operand[0].rank;
    for (int i = 0; same && i < operand[2].rank; i++)
        same = operand[2].shape[i] == want[i];
    if (!same) {
        char got[100], must[100];
        shape_print(operand[2].shape, operand[2].rank, got, sizeof got);
        shape_print(want, operand[0].rank, must, sizeof must);
        die(EXIT_BAD_INPUT, "--grad-output has shape %s; must be %s", got, must);
    }
}

static void choose_subject(struct subject *subject, const struct args *args)
{
    struct problem *problems;
    if (args->option[OPT_INPUT] || args->option[OPT_WEIGHT] || args->option[OPT_GRAD_OUTPUT]) {
        if (args->count)
            die(EXIT_BAD_INPUT, "explain takes a problem or files; \"%s\" stands beside files", args->word[0]);
        read_files(subject, args);
        return;
    }
    if (args->option[OPT_TAKE])
        die(EXIT_BAD_INPUT, "--take is \"%s\"; it takes images of --input, which is missing", args->option[OPT_TAKE]);
    for (int example = 1; example <= 2 && args->count == 1; example++)
        if (!strcmp(args->word[0], example == 1 ? "simple" : "complex")) {
            args_refuse_geometry(args);
            subject->conv = explain_example_conv(example);
            return;
        }
    if (args->count == 1 && !strpbrk(args->word[0], "0123456789"))
        die(EXIT_BAD_INPUT,
            "there is no example \"%s\"; there are simple and complex, and any small problem, such as "
            "mb1ic1ih5oc1kh3sh2ph1",
            args->word[0]);
    if (args_problems(args, &problems) != 1)
        die(EXIT_BAD_INPUT, "explain needs one of simple, complex, a problem, or files");
    subject->conv = problems[0].conv;
    free(problems);
}

/* A form, and what it can show. */
struct form {
    const char *format, *figure; /* figure: NULL if there is but one */
    int (*fits)(const cvg_conv *conv);
    const char *limit;
    void (*print)(FILE *out, const struct explanation *e);
    int speaks; /* the language that is asked for */
};

static const struct form forms[] = {
    {"text", NULL, explain_fits_text, EXPLAIN_TEXT_LIMIT, explain_text, 1},
    {"json", NULL, explain_fits_text, EXPLAIN_TEXT_LIMIT, explain_json, 0},
    {"html", NULL, explain_fits_page, EXPLAIN_PAGE_LIMIT, explain_page, 0},
    {"svg", "col2img", explain_fits_figure, EXPLAIN_FIGURE_LIMIT, explain_col2img, 1},
    {"svg", "im2col", explain_fits_figure, EXPLAIN_FIGURE_LIMIT, explain_im2col, 1},
};

static const struct form *choose_form(const struct args *args)
{
    const char *format = args->option[OPT_FORMAT], *figure = args->option[OPT_FIGURE];
    int known = 0;
    if (!format)
        format = figure ? "svg" : "text";
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(format, forms[i].format)) {
            known = 1;
            if (!figure || (forms[i].figure && !strcmp(figure, forms[i].figure)))
                return &forms[i];
        }
    if (!known)
        die(EXIT_BAD_INPUT, "--format is \"%s\"; must be text, json, html or svg", format);
    if (strcmp(format, "svg"))
        die(EXIT_BAD_INPUT, "--figure is \"%s\"; it goes with --format svg", figure);
    die(EXIT_BAD_INPUT, "--figure is \"%s\"; must be col2img or im2col", figure);
}

static enum language choose_language(const struct args *args, const struct form *form)
{
    const char *name = args->option[OPT_LANG];
    const int language = name ? explain_language(name) : ENGLISH;
    if (language < 0)
        die(EXIT_BAD_INPUT, "--lang is \"%s\"; must be en or zh", name);
    if (name && !form->speaks)
        die(EXIT_BAD_INPUT, "--lang is \"%s\"; it goes with --format text and svg (a page speaks both)", name);
    return (enum language)language;
}

/* Cuts the problem down to what the form can show, if it was asked to; dies if it must and may not. */
static void fit(struct subject *subject, const struct form *form, int may_cut)
{
    char part[256];
    subject->whole = subject->conv;
    if (form->fits(&subject->conv))
        return;
    if (!explain_cut(&subject->conv, form->fits))
        die(EXIT_BAD_INPUT, "the problem has more than the %s that --format %s shows, however it is cut", form->limit,
            form->format);
    subject->cut = may_cut;
    if (may_cut)
        return;
    problem_print(&subject->conv, part, sizeof part);
    die(EXIT_BAD_INPUT,
        "the problem has more than the %s that --format %s shows; a part of it that fits is %s: "
        "--crop takes that",
        form->limit, form->format, part);
}

static struct explanation explain_subject(struct subject *subject)
{
    const cvg_conv *conv = &subject->conv;
    struct explanation e;
    if (subject->files[0]) {
        const int dims = conv->spatial_dims;
        int64_t begin[3][5] = {{0}};
        int64_t shape[3][5] = {{conv->batch, conv->in_channels},
                               {conv->out_channels, conv->in_channels / conv->groups},
                               {conv->batch, conv->out_channels}};
        struct array part[3];
        cvg_output_size(conv, &shape[2][2], NULL);
        memcpy(&shape[0][2], conv->in, (size_t)dims * sizeof *conv->in);
        memcpy(&shape[1][2], conv->filter, (size_t)dims * sizeof *conv->filter);
        for (int axis = 0; axis < dims; axis++) {
            /* From the middle, where a picture has most to show, by whole strides, so that outputs stay outputs. */
            begin[2][2 + axis] = (subject->whole.in[axis] - conv->in[axis]) / 2 / conv->stride[axis];
            begin[0][2 + axis] = begin[2][2 + axis] * conv->stride[axis];
        }
        for (int i = 0; i < 3; i++) {
            part[i] = explain_cut_array(&subject->operand[i], begin[i], shape[i]);
            array_free(&subject->operand[i]);
        }
        e = explain(conv, part[0], part[1], part[2]);
        memcpy(e.files, subject->files, sizeof e.files);
    } else {
        e = explain_counting(conv);
    }
    if (subject->cut)
        problem_print(&subject->whole, e.whole, sizeof e.whole);
    return e;
}

int command_explain(const struct args *args)
{
    const struct form *form = choose_form(args);
    const enum language language = choose_language(args, form);
    const char *path = args->option[OPT_OUTPUT];
    struct subject subject = {.conv = CVG_CONV_INIT};
    struct output out = {.file = stdout};

    choose_subject(&subject, args);
    fit(&subject, form, args->option[OPT_CROP] != NULL);
    struct explanation e = explain_subject(&subject);
    e.language = language;
    if (path)
        output_open(&out, "-o", path);
    form->print(out.file, &e);
    explanation_free(&e);
    if (path)
        output_close(&out);
    return 0;
}
