/*
 * Outside data, when it is there: every case of torch-grad and onnx-conv, by every algorithm in
 * f32 and f64, either through the library or through the program:
 *
 *   test_shared DATA library
 *   test_shared DATA run PROGRAM SCRATCH-DIRECTORY
 *
 * Exits with 77 (skipped) when DATA is not there.
 */
#include "check.h"
#include "cli.h"
#include "move.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXPECTED_TORCH = 77, EXPECTED_ONNX = 47 };

/* ---- case.json: one key per line ---- */

struct outside_case {
    char path[1024], text[4096];
    int transposed, has_bias, exact, dims;
    int64_t stride[3], dilation[3], pads[6], output_padding[3], groups;
};

/* What follows "key": in the text; NULL if it is not there. */
static const char *value_of(const struct outside_case *c, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *at = strstr(c->text, quoted);
    return at ? at + strlen(quoted) : NULL;
}

static int list_of(const struct outside_case *c, const char *key, int64_t *numbers)
{
    const char *at = value_of(c, key);
    int count = 0;
    if (!at || *at != '[')
        return 0;
    while (*at != ']' && count < 6) {
        char *end;
        numbers[count++] = strtoll(at + 1, &end, 10);
        at = end;
    }
    return count;
}

static int is_true(const struct outside_case *c, const char *key)
{
    const char *at = value_of(c, key);
    return at && !strncmp(at, "true", 4);
}

/* A number inside an object, such as abs_sum_max's "grad_x"; NAN if it is not there. */
static double inner_number(const struct outside_case *c, const char *object, const char *key)
{
    char quoted[64];
    const char *at = value_of(c, object), *end = at ? strchr(at, '}') : NULL;
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    at = at ? strstr(at, quoted) : NULL;
    return at && at < end ? strtod(at + strlen(quoted), NULL) : NAN;
}

static int read_case(struct outside_case *c, const char *data, const char *folder, const char *name)
{
    char path[2048];
    snprintf(c->path, sizeof c->path, "%s/%s/%s", data, folder, name);
    snprintf(path, sizeof path, "%s/case.json", c->path);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    c->text[fread(c->text, 1, sizeof c->text - 1, file)] = 0;
    fclose(file);
    const char *op = value_of(c, "op"), *groups = value_of(c, "groups");
    c->transposed = op && !strncmp(op, "\"ConvTranspose\"", 15);
    c->has_bias = is_true(c, "has_bias");
    c->exact = is_true(c, "exact_in_float32");
    c->dims = list_of(c, "strides", c->stride);
    c->groups = groups ? atoi(groups) : 1;
    list_of(c, "dilations", c->dilation);
    list_of(c, "pads", c->pads);
    list_of(c, "output_padding", c->output_padding);
    return check(c->dims >= 1 && c->dims <= 3, "%s: no strides", c->path);
}

static struct array read_named(const struct outside_case *c, const char *name)
{
    char path[2048];
    struct array array;
    cvg_error error;
    snprintf(path, sizeof path, "%s/%s.npy", c->path, name);
    if (!check(array_read(&array, path, &error), "%s", error.text))
        exit(1);
    return array;
}

/*
 * The tolerances of the data's own README: exact cases equal; with abs_sum_max 1e-6 of that in f32
 * and 1e-12 in f64; else (ONNX, stored as f32) 1e-4 relative plus 1e-5 * max(1, sqrt(products)).
 */
static void compare(const struct outside_case *c, const char *name, const struct array *got, const struct array *want,
                    const char *how, double more)
{
    const double sum = inner_number(c, "abs_sum_max", name);
    const double products = inner_number(c, "reduction_length", name);
    if (!check(got->count == want->count, "%s %s %s: has %lld elements", c->path, how, name, (long long)got->count))
        return;
    for (int64_t i = 0; i < want->count; i++) {
        const double g = array_get(got, i), w = array_get(want, i);
        const double data = c->exact        ? 0
                            : isfinite(sum) ? sum * (got->type == CVG_F32 ? 1e-6 : 1e-12)
                                            : 1e-4 * fabs(w) + 1e-5 * fmax(1, sqrt(products));
        const double bound = data + more;
        if (!check(fabs(g - w) <= bound, "%s %s %s: element %lld is %.9g, must be %.9g within %.3g", c->path, how, name,
                   (long long)i, g, w, bound))
            return;
    }
}

/* ---- through the library ---- */

static struct array like(const struct array *shape, cvg_type type)
{
    struct array array;
    cvg_error error;
    if (!array_new(&array, type, shape->rank, shape->shape, &error))
        exit(1);
    return array;
}

static struct array as(const struct array *from, cvg_type type)
{
    struct array to = like(from, type);
    for (int64_t i = 0; i < from->count; i++)
        array_set(&to, i, array_get(from, i));
    return to;
}

/* The convolution whose input is image and whose output is y: for a transposed one, turned round. */
static cvg_conv conv_of(const struct outside_case *c, const struct array *image, const struct array *w, cvg_type type)
{
    cvg_conv conv = CVG_CONV_INIT;
    conv.type = type;
    conv.spatial_dims = c->dims;
    conv.batch = image->shape[0];
    conv.in_channels = image->shape[1];
    conv.out_channels = w->shape[0];
    conv.groups = c->groups;
    for (int i = 0; i < c->dims; i++) {
        conv.in[i] = image->shape[2 + i];
        conv.filter[i] = w->shape[2 + i];
        conv.stride[i] = c->stride[i];
        conv.dilation[i] = c->dilation[i];
        conv.pad_begin[i] = c->pads[i];
        conv.pad_end[i] = c->pads[c->dims + i];
    }
    return conv;
}

/* grad_bias of a transposed convolution: the sums over its channels, by a plan of 1 x 1 filters. */
static void channel_sums(const struct array *g, cvg_type type, cvg_algo algo, cvg_layout layout, struct array *sums)
{
    cvg_conv conv = CVG_CONV_INIT;
    conv.layout = layout;
    conv.type = type;
    conv.spatial_dims = g->rank - 2;
    conv.batch = g->shape[0];
    conv.in_channels = conv.out_channels = g->shape[1];
    for (int i = 0; i < conv.spatial_dims; i++)
        conv.in[i] = g->shape[2 + i];
    cvg_plan *plan = plan_of(&conv, algo, 1, 1);
    cvg_grad_bias(plan, g->data, sums->data, CVG_OVERWRITE);
    cvg_plan_destroy(plan);
}

/* What a plan that does not add the definition's products may be off by. */
static double slack(const cvg_plan *plan, cvg_pass pass, double products)
{
    return cvg_plan_error_growth(plan, pass) > 1 ? cvg_plan_error_bound(plan, pass) * products : 0;
}

static int done; /* cases by the library that no algorithm refused */

static void by_library(const struct outside_case *c, int gradients, cvg_algo algo, cvg_type type, cvg_layout layout,
                       cvg_weight_layout weight_layout)
{
    struct array x0 = read_named(c, "x"), w0 = read_named(c, "w"), y0 = read_named(c, "y"), b0 = {0}, g0 = {0};
    char how[64];
    snprintf(how, sizeof how, "library %s %s, layouts %d %d", cvg_algo_name(algo), type_name(type), (int)layout,
             (int)weight_layout);
    if (c->has_bias)
        b0 = read_named(c, "b");
    if (gradients)
        g0 = read_named(c, "grad_out");
    struct array x = as(&x0, type), w = as(&w0, type), y = like(&y0, type), b = as(&b0, type), g = as(&g0, type);
    struct array dx = like(&x0, type), dw = like(&w0, type), db = like(&b0, type);
    cvg_conv conv = conv_of(c, c->transposed ? &y0 : &x0, &w0, type);
    conv.layout = layout;
    conv.weight_layout = weight_layout;
    const struct geometry at = geometry_of(&conv);
    place_fn *const of_x = c->transposed ? geometry_out : geometry_in, *const of_y =
                                                                           c->transposed ? geometry_in : geometry_out;
    cvg_error error;
    cvg_plan *plan = plan_try(&conv, algo, 2, 1, &error);
    if (!plan) { /* Winograd's do not do every problem */
        check(cvg_algo_mixes(algo), "%s: %s", c->path, error.text);
        struct array *all[] = {&x0, &w0, &y0, &b0, &g0, &x, &w, &y, &b, &g, &dx, &dw, &db};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            array_free(all[i]);
        return;
    }
    void *space = workspace_of(plan);
    const double a = array_largest(&x), k = array_largest(&w), grad = gradients ? array_largest(&g) : 0;
    const double by_forward = slack(plan, CVG_FORWARD, (c->transposed ? grad : a) * k);
    const double by_input = slack(plan, CVG_GRAD_INPUT, (c->transposed ? a : grad) * k);
    const double by_weight = slack(plan, CVG_GRAD_WEIGHT, a * grad);
    done++;

    if (c->transposed) {
        const int64_t plane = y.count / (y.shape[0] * y.shape[1]);
        for (int64_t i = 0; c->has_bias && i < y.count; i++)
            array_set(&y, i, array_get(&b, i / plane % y.shape[1]));
    }
    move(&x, &at, of_x, 0);
    move(&w, &at, geometry_weight, 0);
    move(&y, &at, of_y, 0);
    if (gradients)
        move(&g, &at, of_y, 0);
    if (c->transposed) {
        cvg_grad_input(plan, x.data, w.data, y.data, CVG_ACCUMULATE, space);
        if (gradients) {
            cvg_forward(plan, g.data, w.data, NULL, dx.data, space);
            cvg_grad_weight(plan, g.data, x.data, dw.data, CVG_OVERWRITE, space);
            if (c->has_bias)
                channel_sums(&g, type, algo, layout, &db);
        }
    } else {
        cvg_forward(plan, x.data, w.data, c->has_bias ? b.data : NULL, y.data, space);
        if (gradients)
            cvg_backward(plan, x.data, w.data, g.data, dx.data, dw.data, c->has_bias ? db.data : NULL, CVG_OVERWRITE,
                         space);
    }
    move(&y, &at, of_y, 1);
    move(&dx, &at, of_x, 1);
    move(&dw, &at, geometry_weight, 1);
    compare(c, "y", &y, &y0, how, c->transposed ? by_input : by_forward);
    if (gradients) {
        struct array want = read_named(c, "grad_x");
        compare(c, "grad_x", &dx, &want, how, c->transposed ? by_forward : by_input);
        array_free(&want);
        want = read_named(c, "grad_w");
        compare(c, "grad_w", &dw, &want, how, by_weight);
        array_free(&want);
        if (c->has_bias) {
            want = read_named(c, "grad_b");
            compare(c, "grad_b", &db, &want, how, 0);
            array_free(&want);
        }
    }
    free(space);
    cvg_plan_destroy(plan);
    struct array *all[] = {&x0, &w0, &y0, &b0, &g0, &x, &w, &y, &b, &g, &dx, &dw, &db};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(all[i]);
}

/* ---- through the program ---- */

static void append_list(char *command, size_t size, const char *option, const int64_t *numbers, int count)
{
    size_t length = strlen(command);
    length += (size_t)snprintf(command + length, size - length, " %s ", option);
    for (int i = 0; i < count; i++)
        length += (size_t)snprintf(command + length, size - length, "%s%lld", i ? "," : "", (long long)numbers[i]);
}

/* Runs the program on files of the case; with "grad_out" as input where a transposed one needs it. */
static int run_program(const struct outside_case *c, const char *program, const char *scratch, const char *kind,
                       const char *input, const char *grad_output, int bias, cvg_algo algo, cvg_type type)
{
    char command[8192];
    size_t length = (size_t)snprintf(command, sizeof command, "'%s' run %s --input '%s/%s.npy' --weight '%s/w.npy'",
                                     program, kind, c->path, input, c->path);
    if (grad_output)
        length += (size_t)snprintf(command + length, sizeof command - length, " --grad-output '%s/%s.npy'", c->path,
                                   grad_output);
    if (bias)
        snprintf(command + length, sizeof command - length, " --bias '%s/b.npy'", c->path);
    append_list(command, sizeof command, "--stride", c->stride, c->dims);
    append_list(command, sizeof command, "--dilation", c->dilation, c->dims);
    append_list(command, sizeof command, "--pad", c->pads, 2 * c->dims);
    append_list(command, sizeof command, "--groups", &c->groups, 1);
    if (!strcmp(kind, "transpose"))
        append_list(command, sizeof command, "--output-padding", c->output_padding, c->dims);
    length = strlen(command);
    snprintf(command + length, sizeof command - length, " --algo %s --type %s --threads 2 -o '%s' >/dev/null",
             cvg_algo_name(algo), type_name(type), scratch);
    return check(system(command) == 0, "fails: %s", command);
}

static void compare_file(const struct outside_case *c, const char *scratch, const char *file, const char *name,
                         const char *how)
{
    char path[2048];
    struct array got, want = read_named(c, name);
    cvg_error error;
    snprintf(path, sizeof path, "%s/%s.npy", scratch, file);
    if (check(array_read(&got, path, &error), "%s", error.text)) {
        compare(c, name, &got, &want, how, 0);
        array_free(&got);
    }
    array_free(&want);
}

static void by_program(const struct outside_case *c, int gradients, const char *program, const char *scratch,
                       cvg_algo algo, cvg_type type)
{
    char how[64];
    const int t = c->transposed;
    snprintf(how, sizeof how, "run %s %s", cvg_algo_name(algo), type_name(type));
    if (run_program(c, program, scratch, t ? "transpose" : "forward", "x", NULL, c->has_bias, algo, type))
        compare_file(c, scratch, "output", "y", how);
    if (!gradients)
        return;
    if (t) {
        /* The gradient of a transposed convolution's input is the convolution of grad_out. */
        if (run_program(c, program, scratch, "forward", "grad_out", NULL, 0, algo, type))
            compare_file(c, scratch, "output", "grad_x", how);
        if (run_program(c, program, scratch, "backward", "grad_out", "x", 0, algo, type))
            compare_file(c, scratch, "grad_weight", "grad_w", how);
    } else if (run_program(c, program, scratch, "backward", "x", "grad_out", 0, algo, type)) {
        compare_file(c, scratch, "grad_input", "grad_x", how);
        compare_file(c, scratch, "grad_weight", "grad_w", how);
        if (c->has_bias)
            compare_file(c, scratch, "grad_bias", "grad_b", how);
    }
}

#ifdef CVG_DEBUG
enum { step = 4 }; /* slow: channels first and last, each with the weights that go with them */
#else
enum { step = 1 };
#endif

static int check_folder(const char *data, const char *folder, int gradients, char **program)
{
    char path[1024];
    static struct outside_case c;
    int cases = 0;
    snprintf(path, sizeof path, "%s/%s", data, folder);
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.' || !read_case(&c, data, folder, entry->d_name))
            continue;
        cases++;
        for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++)
            for (int type = CVG_F32; type <= CVG_F64; type++)
                if (program && cvg_algo_mixes((cvg_algo)algo))
                    continue; /* the library's runs have them */
                else if (program)
                    by_program(&c, gradients, program[0], program[1], (cvg_algo)algo, (cvg_type)type);
                else /* in each layout with each of weights */
                    for (int layouts = 0; layouts < 6; layouts += step)
                        by_library(&c, gradients, (cvg_algo)algo, (cvg_type)type, (cvg_layout)(layouts / 3),
                                   (cvg_weight_layout)(layouts % 3));
    }
    if (directory)
        closedir(directory);
    return cases;
}

int main(int argc, char **argv)
{
    const int run = argc == 5 && !strcmp(argv[2], "run");
    if (!run && !(argc == 3 && !strcmp(argv[2], "library"))) {
        printf("usage: test_shared DATA library|run PROGRAM SCRATCH\n");
        return 1;
    }
    const int torch = check_folder(argv[1], "torch-grad", 1, run ? argv + 3 : NULL);
    const int onnx = check_folder(argv[1], "onnx-conv", 0, run ? argv + 3 : NULL);
    if (torch + onnx == 0) {
        printf("skipped: %s has no outside data\n", argv[1]);
        return 77;
    }
    check(torch >= EXPECTED_TORCH, "only %d cases of torch-grad", torch);
    check(onnx >= EXPECTED_ONNX, "only %d cases of onnx-conv", onnx);
    printf("%d cases of torch-grad, %d of onnx-conv, f32 and f64; %d runs of the library\n", torch, onnx, done);
    return check_summary();
}
