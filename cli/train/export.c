/* convgrad export: a trained network for other programs: ONNX, C source, or .npy arrays. */
#include "export.h"

#include "output.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- C ---- */

/* The start of the functions' names: the file's, made of what names in C may have. */
static void prefix_of(const char *path, char name[64])
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t length = 0;
    if (isdigit((unsigned char)*base) || *base == '.')
        name[length++] = 'n';
    for (; *base && *base != '.' && length < 60; base++)
        name[length++] = isalnum((unsigned char)*base) && (unsigned char)*base < 128 ? *base : '_';
    name[length] = 0;
}

/* A text as a literal, a line of it on a line. */
static void write_literal(FILE *file, const char *text)
{
    fputs("    \"", file);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if (*c == '\n')
            fputs(c[1] ? "\\n\"\n    \"" : "\\n", file);
        else if (*c == '"' || *c == '\\' || *c == '?' || *c < ' ' || *c > '~')
            fprintf(file, "\\%03o", *c);
        else
            fputc(*c, file);
    fputs("\";\n", file);
}

static int by_offset(const void *a, const void *b)
{
    const cvg_parameter *p = a, *q = b;
    return (p->offset > q->offset) - (p->offset < q->offset);
}

/* Hexadecimal: each number is just the one that was trained. */
static void write_values(const struct model *m, FILE *file)
{
    const cvg_type type = m->facts.type;
    const char *end = type == CVG_F32 ? "f" : "";
    cvg_parameter p;
    int count = 0;
    while (cvg_network_parameter(m->network, count, &p))
        count++;
    cvg_parameter *all = cli_alloc((size_t)count, sizeof *all);
    for (int i = 0; i < count; i++)
        cvg_network_parameter(m->network, i, &all[i]);
    qsort(all, (size_t)count, sizeof *all, by_offset);
    fprintf(file, "static const %s parameters[%" PRId64 "] = {\n", type == CVG_F32 ? "float" : "double",
            m->facts.parameters ? m->facts.parameters : 1);
    for (int i = 0; i < count; i++) {
        fprintf(file, "    /* %s", all[i].name);
        for (int j = 0; j < all[i].rank; j++)
            fprintf(file, "%s%" PRId64, j ? "x" : " ", all[i].shape[j]);
        fputs(" */", file);
        for (int64_t j = 0; j < all[i].count; j++)
            fprintf(file, "%s%a%s,", j % 5 ? " " : "\n    ", value_of(type, m->parameters, all[i].offset + j), end);
        fputc('\n', file);
    }
    fputs(count ? "};\n" : "    0,\n};\n", file);
    free(all);
}

static void write_c(const struct model *m, const char *path, FILE *file)
{
    const cvg_network_facts *facts = &m->facts;
    const char *type = facts->type == CVG_F32 ? "float" : "double";
    char name[64];
    prefix_of(path, name);
    fprintf(file,
            "/*\n * A trained network, for libconvgrad-train.  Made by convgrad %s export; its functions:\n *\n"
            " *   cvg_network *network = %s_create(&error);    NULL, and why in error, if it cannot be made\n"
            " *   void *workspace = malloc(cvg_network_workspace_size(network, CVG_PREDICT));\n"
            " *   %s_predict(network, input, count, output, workspace);\n"
            " *   cvg_network_destroy(network);\n *\n"
            " * input is count x %" PRId64 " %ss, before scale, mean and std; output count x %" PRId64 "%s.\n */\n",
            cvg_version(), name, name, facts->input_elements, type, facts->output_elements,
            facts->classifies ? ", logits: cvg_softmax()\n * makes probabilities of them" : "");
    fprintf(file, "#include <convgrad_train.h>\n\ncvg_network *%s_create(cvg_error *error);\n", name);
    fprintf(file,
            "cvg_status %s_predict(const cvg_network *network, const %s *input, int64_t count, %s *output,\n"
            "                      void *workspace);\n\nstatic const char model[] =\n",
            name, type, type);
    write_literal(file, m->text);
    fputc('\n', file);
    write_values(m, file);
    fprintf(file,
            "\ncvg_network *%s_create(cvg_error *error)\n{\n"
            "    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;\n    cvg_network *network;\n"
            "    options.type = %s;\n    options.shard = %" PRId64 "; /* this and error_growth decide bits */\n"
            "    options.error_growth = %a;\n"
            "    cvg_network_create(&network, model, sizeof model - 1, &options, error);\n    return network;\n}\n",
            name, facts->type == CVG_F32 ? "CVG_F32" : "CVG_F64", facts->shard, m->settings.error_growth);
    fprintf(file,
            "\ncvg_status %s_predict(const cvg_network *network, const %s *input, int64_t count, %s *output,\n"
            "                      void *workspace)\n{\n"
            "    return cvg_predict(network, parameters, input, count, output, workspace);\n}\n",
            name, type, type);
}

/* ---- .npy ---- */

/* One file a parameter: DIR/0.weight.npy. */
static void write_arrays(const struct model *m, const char *folder)
{
    struct file {
        char path[4096];
    } * paths;
    struct output *outputs;
    cvg_parameter p;
    int count = 0;
    while (cvg_network_parameter(m->network, count, &p))
        count++;
    outputs = cli_alloc((size_t)count, sizeof *outputs);
    paths = cli_alloc((size_t)count, sizeof *paths);
    output_folder("-o", folder);
    for (int i = 0; i < count; i++) {
        cvg_network_parameter(m->network, i, &p);
        struct array array = {.type = m->facts.type, .rank = p.rank, .count = p.count};
        memcpy(array.shape, p.shape, sizeof p.shape);
        array.data = (char *)m->parameters + (size_t)p.offset * type_size(m->facts.type);
        if (snprintf(paths[i].path, sizeof paths->path, "%s/%s.npy", folder, p.name) >= 4000)
            die(EXIT_BAD_INPUT, "-o is longer than 4000 characters");
        output_open(&outputs[i], "-o", paths[i].path);
        array_put(&array, outputs[i].file);
        output_end(&outputs[i]);
    }
    output_place(outputs, count);
    free(outputs);
    free(paths);
}

/* ---- the command ---- */

static const char *const formats[] = {"onnx", "c", "npy"};
enum { ONNX, C, NPY, FORMATS };

/* --format, or the end of the file's name. */
static int format_of(const struct args *args, const char *path)
{
    const char *dot = strrchr(path, '.'), *format = args->option[OPT_FORMAT];
    for (int i = 0; i < FORMATS; i++)
        if (format ? !strcmp(format, formats[i]) : i != NPY && dot && !strcmp(dot + 1, formats[i]))
            return i;
    if (!format)
        die(EXIT_BAD_INPUT, "--format is missing, and -o %s does not end in .onnx or .c; must be onnx, c or npy", path);
    die(EXIT_BAD_INPUT, "--format is \"%s\"; must be onnx, c or npy", format);
}

int command_export(const struct args *args)
{
    const char *path = args->option[OPT_OUTPUT];
    struct output output;
    if (args->count != 1)
        die(EXIT_BAD_INPUT, "export takes weights (a file, or a training's folder); has %d arguments", args->count);
    if (!path)
        die(EXIT_BAD_INPUT, "-o is missing; must be the file to write, or for npy the folder");
    const int format = format_of(args, path);
    struct model m = model_read(args, args->word[0]);
    if (format == NPY)
        write_arrays(&m, path);
    else {
        output_open(&output, "-o", path);
        if (format == ONNX)
            onnx_write(&m, output.file);
        else
            write_c(&m, path, output.file);
        output_close(&output);
    }
    model_free(&m);
    return 0;
}
