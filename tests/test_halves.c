/*
 * Halves: bfloat16 and float16.  Results by every instruction set that fuses multiply and add, and by every number of
 * threads, have the same bits, also where sums are tiny; cvg_verify() finds them right with gradients and bias of
 * either type, and with gaps.  Where sums are of pairs they have the bits of that order.   usage: test_halves
 * [PROBLEMS]
 */
#include "check.h"
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RESULTS = 4 };
static const char *const names[RESULTS] = {"output", "grad_input", "grad_weight", "grad_bias"};

static int64_t draw(struct random *random, int64_t least, int64_t most)
{
    return least + (int64_t)(random_bits(random) % (uint64_t)(most - least + 1));
}

static cvg_conv draw_conv(struct random *random)
{
    for (;;) {
        cvg_conv conv = CVG_CONV_INIT;
        int64_t out[3];
        conv.type = draw(random, 0, 3) ? CVG_BF16 : CVG_F16;
        conv.spatial_dims = (int)draw(random, 1, 3);
        conv.groups = draw(random, 0, 3) ? 1 : draw(random, 1, 4);
        conv.batch = draw(random, 1, 5);
        conv.in_channels = conv.groups * draw(random, 1, draw(random, 0, 1) ? 6 : 40);
        conv.out_channels = conv.groups * draw(random, 1, draw(random, 0, 1) ? 6 : 40);
        if (!draw(random, 0, 3)) /* depthwise */
            conv.groups = conv.in_channels = conv.out_channels = draw(random, 1, 80);
        for (int i = 0; i < conv.spatial_dims; i++) {
            conv.in[i] = draw(random, 1, conv.spatial_dims == 1 ? 60 : 13);
            conv.filter[i] = draw(random, 1, 3);
            conv.stride[i] = draw(random, 0, 1) ? 1 : draw(random, 1, 3);
            conv.dilation[i] = draw(random, 0, 3) ? 1 : 2;
            conv.pad_begin[i] = draw(random, 0, 2);
            conv.pad_end[i] = draw(random, 0, 2);
        }
        conv.layout = (cvg_layout)draw(random, 0, 1);
        conv.weight_layout = (cvg_weight_layout)draw(random, 0, 2);
        conv.grad_type = draw(random, 0, 1) ? CVG_F32 : CVG_SAME_TYPE;
        conv.bias_type = draw(random, 0, 1) ? CVG_F32 : CVG_SAME_TYPE;
        if (cvg_output_size(&conv, out, NULL) == CVG_OK)
            return conv;
    }
}

/* Channels last and some: grad_weight sums over pairs of positions, in several rounds if there are many. */
static cvg_conv draw_pairs(struct random *random)
{
    for (;;) {
        cvg_conv conv = CVG_CONV_INIT;
        int64_t out[3];
        const int one_tap = (int)draw(random, 0, 1);
        conv.type = CVG_BF16;
        conv.layout = CVG_CHANNELS_LAST;
        conv.weight_layout = (cvg_weight_layout)draw(random, 0, 2);
        conv.grad_type = draw(random, 0, 1) ? CVG_F32 : CVG_SAME_TYPE;
        conv.spatial_dims = (int)draw(random, 1, 3);
        conv.groups = draw(random, 0, 3) ? 1 : 2;
        conv.batch = draw(random, 1, 5);
        conv.in_channels = conv.groups * draw(random, 1, 40);
        conv.out_channels = conv.groups * draw(random, 1, 40);
        for (int i = 0; i < conv.spatial_dims; i++) {
            conv.in[i] = draw(random, 1, conv.spatial_dims == 1 ? 1000 : conv.spatial_dims == 2 ? 40 : 9);
            conv.stride[i] = draw(random, 0, 1) ? 1 : draw(random, 1, 3);
            conv.filter[i] = one_tap ? 1 : draw(random, 1, 3);
            conv.dilation[i] = draw(random, 0, 3) ? 1 : 2;
            conv.pad_begin[i] = one_tap ? 0 : draw(random, 0, 2);
            conv.pad_end[i] = one_tap ? 0 : draw(random, 0, 2);
        }
        if (cvg_output_size(&conv, out, NULL) == CVG_OK)
            return conv;
    }
}

/* 3x3 to 7x7 filters of one channel each, whole vectors, channels last: some sets read planes as they lie. */
static cvg_conv draw_nine(struct random *random)
{
    for (;;) {
        cvg_conv conv = CVG_CONV_INIT;
        int64_t out[3];
        conv.type = CVG_BF16;
        conv.layout = CVG_CHANNELS_LAST;
        conv.weight_layout = (cvg_weight_layout)draw(random, 0, 2);
        conv.grad_type = draw(random, 0, 2) ? CVG_SAME_TYPE : CVG_F32;
        conv.batch = draw(random, 1, 3);
        conv.groups = conv.in_channels = conv.out_channels = 16 * draw(random, 1, draw(random, 0, 3) ? 3 : 10);
        const int64_t half = draw(random, 0, 1) ? 1 : draw(random, 2, 3), stride = draw(random, 1, 2);
        for (int i = 0; i < 2; i++) {
            conv.in[i] = draw(random, half + 1, draw(random, 0, 3) ? 20 : 70);
            conv.filter[i] = 2 * half + 1;
            conv.stride[i] = draw(random, 0, 7) ? stride : draw(random, 1, 2);
            conv.pad_begin[i] = draw(random, 0, 2) ? half : draw(random, 0, half);
            conv.pad_end[i] = draw(random, 0, 2) ? half : draw(random, 0, half);
        }
        if (cvg_output_size(&conv, out, NULL) == CVG_OK)
            return conv;
    }
}

static struct array new_array(cvg_type type, int64_t count)
{
    struct array array;
    cvg_error error;
    if (!array_new(&array, type, 1, &count, &error))
        exit(1);
    return array;
}

/* Numbers whose products are ordinary; about the least normal float; or of all sizes that do not overflow. */
static void fill(struct array *array, struct random *random, int kind)
{
    static const int low[] = {-6, -70, -120}, high[] = {6, -50, 20};
    const int f16 = array->type == CVG_F16;
    for (int64_t i = 0; i < array->count; i++) {
        const double size = 1 + random_uniform(random) / 2;
        const int exponent = (int)draw(random, f16 && kind ? -24 : low[kind], f16 && kind ? -2 : high[kind]);
        array_set(array, i, ldexp(draw(random, 0, 1) ? size : -size, exponent));
    }
}

/* All results of a plan, one after the other; NaN as one of them. */
struct results {
    struct array array[RESULTS];
};

static struct results run(const cvg_plan *plan, const cvg_conv *conv, const struct array operand[4], int times)
{
    const struct sizes z = problem_sizes(conv);
    const cvg_type grad = conv->grad_type == CVG_SAME_TYPE ? conv->type : conv->grad_type;
    struct results r = {{new_array(conv->type, z.output), new_array(grad, z.input), new_array(grad, z.weight),
                         new_array(grad, z.bias)}};
    void *workspace = workspace_of(plan);
    memset(workspace, 0xff, cvg_plan_workspace_most(plan));
    cvg_forward(plan, operand[0].data, operand[1].data, operand[2].data, r.array[0].data, workspace);
    for (int i = 0; i < times; i++) /* overwritten, then added to */
        cvg_backward(plan, operand[0].data, operand[1].data, operand[3].data, r.array[1].data, r.array[2].data,
                     r.array[3].data, i ? CVG_ACCUMULATE : CVG_OVERWRITE, workspace);
    free(workspace);
    return r;
}

static void free_results(struct results *r)
{
    for (int i = 0; i < RESULTS; i++)
        array_free(&r->array[i]);
}

/* One problem by every set, pinned to an algorithm: the bits of the first. */
static long check_bits(int problem, struct random *random)
{
    const int pairs = problem % 4 == 3, nine = problem % 4 == 1;
    const cvg_conv conv = pairs ? draw_pairs(random) : nine ? draw_nine(random) : draw_conv(random);
    const struct sizes z = problem_sizes(&conv);
    const int kind = (int)draw(random, 0, 2);
    const cvg_algo algo =
        pairs || nine || draw(random, 0, 2) ? CVG_DIRECT : (cvg_algo)draw(random, CVG_REFERENCE, CVG_WINOGRAD8);
    struct array operand[4] = {new_array(conv.type, z.input), new_array(conv.type, z.weight),
                               new_array(conv.bias_type == CVG_F32 ? CVG_F32 : conv.type, z.bias),
                               new_array(conv.type, z.output)};
    struct results first;
    const char *by = NULL;
    long runs = 0;
    for (int i = 0; i < 4; i++)
        fill(&operand[i], random, kind);
    for (int i = 0; cvg_isa_name(i); i++) {
        cvg_options options = CVG_OPTIONS_INIT;
        cvg_plan *plan;
        options.isa = cvg_isa_name(i);
        options.threads = (int)draw(random, 1, 3);
        options.gradient_scale = 0.3;
        options.algo[0] = options.algo[1] = options.algo[2] = algo;
        if (cvg_plan_create(&plan, &conv, &options, NULL))
            break; /* all sets refuse it */
        if (!cvg_plan_fuses(plan) || strcmp(cvg_plan_isa(plan), options.isa)) {
            cvg_plan_destroy(plan);
            continue; /* another's kernels */
        }
        struct results r = run(plan, &conv, operand, 2);
        cvg_plan_destroy(plan);
        if (!by) {
            by = options.isa;
            first = r;
            continue;
        }
        for (int j = 0; j < RESULTS; j++) {
            int same = 1;
            for (int64_t k = 0; k < r.array[j].count; k++) {
                const double a = array_get(&r.array[j], k), b = array_get(&first.array[j], k);
                same &= isnan(a) ? isnan(b) : a == b && !signbit(a) == !signbit(b);
            }
            check(same, "problem %d, %s by %s, numbers of kind %d: %s by %s has other bits than by %s", problem,
                  type_name(conv.type), cvg_algo_name(algo), kind, names[j], options.isa, by);
        }
        free_results(&r);
        runs++;
    }
    if (by)
        free_results(&first);
    for (int i = 0; i < 4; i++)
        array_free(&operand[i]);
    return runs;
}

/* One problem, perhaps with gaps, against the definition. */
static void check_results(int problem, struct random *random)
{
    cvg_conv conv = problem % 8 == 7 ? draw_pairs(random) : problem % 8 == 3 ? draw_nine(random) : draw_conv(random);
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan;
    cvg_report report;
    char text[3000];
    options.threads = (int)draw(random, 1, 3);
    options.gradient_scale = draw(random, 0, 1) ? 1 : 0.5;
    options.algo[0] = options.algo[1] = options.algo[2] = (cvg_algo)draw(random, CVG_AUTO, CVG_WINOGRAD8);
    if (draw(random, 0, 1))
        layout_draw(&conv, random);
    if (cvg_plan_create(&plan, &conv, &options, NULL))
        return; /* the algorithm does not do it */
    cvg_plan_describe(plan, text, sizeof text);
    const cvg_status status = cvg_verify(plan, &report);
    check(status == CVG_OK, "problem %d: %s\n%.600s", problem, report.text, text);
    cvg_plan_destroy(plan);
}

/* A sum of pairs of positions, the last one of half a pair: of each pair the second product is added first. */
static void check_order(struct random *random)
{
    enum { POSITIONS = 23, STRIDE = 2, CHANNELS = 24 };
    cvg_conv conv = CVG_CONV_INIT;
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan;
    conv.type = CVG_BF16;
    conv.grad_type = CVG_F32;
    conv.layout = CVG_CHANNELS_LAST;
    conv.spatial_dims = 1;
    conv.batch = 1;
    conv.in_channels = conv.out_channels = CHANNELS;
    conv.in[0] = STRIDE * POSITIONS;
    conv.stride[0] = STRIDE;
    conv.filter[0] = 1;
    options.algo[CVG_GRAD_WEIGHT] = CVG_DIRECT;
    const struct sizes z = problem_sizes(&conv);
    struct array operand[4] = {new_array(CVG_BF16, z.input), new_array(CVG_BF16, z.weight), new_array(CVG_BF16, z.bias),
                               new_array(CVG_BF16, z.output)};
    for (int i = 0; i < 4; i++)
        fill(&operand[i], random, 0);
    if (cvg_plan_create(&plan, &conv, &options, NULL))
        exit(1);
    if (cvg_plan_fuses(plan)) {
        struct results r = run(plan, &conv, operand, 1);
        int same = 1;
        for (int k = 0; k < CHANNELS; k++)
            for (int c = 0; c < CHANNELS; c++) {
                float sum = 0;
                for (int i = 0; i < POSITIONS; i += 2)
                    for (int j = i + 1; j >= i; j--)
                        if (j < POSITIONS)
                            sum = fmaf((float)array_get(&operand[0], STRIDE * j * CHANNELS + c),
                                       (float)array_get(&operand[3], j * CHANNELS + k), sum);
                same &= sum == (float)array_get(&r.array[2], k * CHANNELS + c);
            }
        check(same, "grad_weight of pairs of positions has another order");
        free_results(&r);
    }
    cvg_plan_destroy(plan);
    for (int i = 0; i < 4; i++)
        array_free(&operand[i]);
}

enum kind { PLANES, PIXELS, DEPTHWISE };

/*
 * A problem whose images, or pairs of positions, are brought in several rounds, the last of which has fewer; and
 * gradients of float: those of halves are the same, rounded.  Or a depthwise one whose images would be brought one by
 * one, if they were brought.
 */
static void check_rounds(struct random *random, enum kind kind)
{
    const int pixels = kind == PIXELS;
    cvg_conv conv = CVG_CONV_INIT;
    struct results of[2];
    conv.type = CVG_BF16;
    conv.layout = pixels ? CVG_CHANNELS_LAST : CVG_CHANNELS_FIRST;
    conv.batch = kind == DEPTHWISE ? 2 : 7;
    conv.in_channels = conv.out_channels = kind == DEPTHWISE ? 1408 : pixels ? 20 : 6;
    conv.groups = kind == DEPTHWISE ? conv.in_channels : 1;
    for (int i = 0; i < 2; i++) {
        conv.in[i] = kind == DEPTHWISE ? 10 : 95;
        conv.filter[i] = pixels ? 1 : 3;
        conv.pad_begin[i] = conv.pad_end[i] = pixels ? 0 : 1;
    }
    const struct sizes z = problem_sizes(&conv);
    struct array operand[4] = {new_array(conv.type, z.input), new_array(conv.type, z.weight),
                               new_array(conv.type, z.bias), new_array(conv.type, z.output)};
    for (int i = 0; i < 4; i++)
        fill(&operand[i], random, 0);
    for (int i = 0; i < 2; i++) {
        cvg_options options = CVG_OPTIONS_INIT;
        cvg_plan *plan;
        cvg_report report;
        options.algo[0] = options.algo[1] = options.algo[2] = CVG_DIRECT;
        conv.grad_type = i ? CVG_F32 : CVG_SAME_TYPE;
        if (cvg_plan_create(&plan, &conv, &options, NULL))
            exit(1);
        check(cvg_verify(plan, &report) == CVG_OK, "several rounds: %s", report.text);
        of[i] = run(plan, &conv, operand, 1);
        cvg_plan_destroy(plan);
    }
    for (int j = 0; j < RESULTS; j++) {
        int same = 1, finer = 0;
        for (int64_t k = 0; k < of[0].array[j].count; k++) {
            const double half = array_get(&of[0].array[j], k), whole = array_get(&of[1].array[j], k);
            same &= half == type_rounded(CVG_BF16, whole);
            finer |= half != whole;
        }
        check(same && finer == (j > 0), "%s: with gradients of float, halves are not these, rounded", names[j]);
    }
    free_results(&of[0]);
    free_results(&of[1]);
    for (int i = 0; i < 4; i++)
        array_free(&operand[i]);
}

int main(int argc, char **argv)
{
    const int problems = argc > 1 ? atoi(argv[1]) : 150;
    struct random random = {11};
    long runs = 0;
    check_order(&random);
    check_rounds(&random, PLANES);
    check_rounds(&random, PIXELS);
    check_rounds(&random, DEPTHWISE);
    for (int i = 0; i < problems; i++) {
        runs += check_bits(i, &random);
        check_results(i, &random);
    }
    printf("%ld runs by another instruction set than the first\n", runs);
    return check_summary();
}
