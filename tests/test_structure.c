/*
 * What users rely on beyond small errors: what lies outside a sum adds nothing to it.  By default where that
 * is promised, and with error_growth 1 everywhere.
 */
#include "check.h"
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { C = 16, SIDE = 16, PLANE = SIDE * SIDE };

static float input[C * PLANE], weight[C * C * 9], output[C * PLANE];

static cvg_conv conv_3x3(int64_t batch, int64_t channels, int64_t side)
{
    cvg_conv conv = CVG_CONV_INIT;
    conv.batch = batch;
    conv.in_channels = conv.out_channels = channels;
    for (int axis = 0; axis < 2; axis++) {
        conv.in[axis] = side;
        conv.filter[axis] = 3;
        conv.pad_begin[axis] = conv.pad_end[axis] = 1;
    }
    return conv;
}

static cvg_plan *plan_with(const cvg_conv *conv, double error_growth, cvg_algo algo)
{
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan;
    options.error_growth = error_growth;
    options.algo[0] = options.algo[1] = options.algo[2] = algo;
    check(cvg_plan_create(&plan, conv, &options, NULL) == CVG_OK, "cannot make the plan");
    return plan;
}

static void run(double error_growth, cvg_algo algo)
{
    const cvg_conv conv = conv_3x3(1, C, SIDE);
    cvg_plan *plan = plan_with(&conv, error_growth, algo);
    void *space = malloc(cvg_plan_workspace_most(plan) + 1);
    check(cvg_forward(plan, input, weight, NULL, output, space) == CVG_OK, "forward");
    free(space);
    cvg_plan_destroy(plan);
}

/* One element of 1e10 among zeros: cells outside of its 3x3 neighbourhood that are not 0. */
static int cells_reached(double error_growth, cvg_algo algo)
{
    struct random random = {1};
    int cells = 0;
    memset(input, 0, sizeof input);
    input[8 * SIDE + 8] = 1e10f;
    for (int i = 0; i < C * C * 9; i++)
        weight[i] = (float)random_uniform(&random);
    run(error_growth, algo);
    for (int k = 0; k < C; k++)
        for (int p = 0; p < SIDE; p++)
            for (int q = 0; q < SIDE; q++)
                cells += (abs(p - 8) > 1 || abs(q - 8) > 1) && output[k * PLANE + p * SIDE + q] != 0;
    return cells;
}

/* Small numbers around a pixel of large ones, and a filter of ones: the least result. */
static double least_sum(double error_growth, cvg_algo algo)
{
    double least = INFINITY;
    for (int i = 0; i < C * PLANE; i++)
        input[i] = i % PLANE == 8 * SIDE + 8 ? 1e6f : 1e-3f;
    for (int i = 0; i < C * C * 9; i++)
        weight[i] = 1;
    run(error_growth, algo);
    for (int i = 0; i < C * PLANE; i++)
        least = fmin(least, output[i]);
    return least;
}

static void check_examples(void)
{
    const struct {
        const char *what;
        double error_growth;
        cvg_algo algo;
    } ways[] = {{"by default", CVG_ERROR_GROWTH, CVG_AUTO},
                {"error_growth 1", 1, CVG_AUTO},
                {"reference", 1, CVG_REFERENCE},
                {"direct", 1, CVG_DIRECT},
                {"im2col", 1, CVG_IM2COL}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const int cells = cells_reached(ways[i].error_growth, ways[i].algo);
        const double least = least_sum(ways[i].error_growth, ways[i].algo);
        check(cells == 0, "%s: a large element reaches %d cells that do not read it", ways[i].what, cells);
        check(fabs(least - 0.064) < 1e-7, "%s: the least sum is %g; must be 0.064", ways[i].what, least);
    }
    /* So the checks can fail: */
    check(cells_reached(CVG_ERROR_GROWTH, CVG_WINOGRAD6) > 0, "winograd6 keeps structure; its documents say otherwise");
    check(least_sum(CVG_ERROR_GROWTH, CVG_WINOGRAD6) < 0.06, "winograd6 makes no negative sum");
}

/* Rank 1 keeps causality by default; a larger error_growth and a pinned algorithm still mix. */
static void check_rank_1(void)
{
    cvg_conv conv = CVG_CONV_INIT;
    int mixed = 0;
    conv.spatial_dims = 1;
    conv.filter[0] = 3;
    conv.in[0] = 512;
    for (int64_t channels = 8; channels <= 1024; channels *= 2) {
        conv.in_channels = conv.out_channels = channels;
        conv.batch = 16;
        cvg_plan *usual = plan_with(&conv, CVG_ERROR_GROWTH, CVG_AUTO), *loose = plan_with(&conv, 13, CVG_AUTO);
        cvg_plan *pinned = plan_with(&conv, CVG_ERROR_GROWTH, CVG_WINOGRAD6);
        for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
            check(cvg_plan_error_growth(usual, (cvg_pass)pass) == 1, "rank 1, %d channels, pass %d mixes",
                  (int)channels, pass);
            check(cvg_plan_algo(pinned, (cvg_pass)pass) == CVG_WINOGRAD6, "rank 1: pinned, and not taken");
            mixed += cvg_plan_error_growth(loose, (cvg_pass)pass) > 1;
        }
        cvg_plan_destroy(usual);
        cvg_plan_destroy(loose);
        cvg_plan_destroy(pinned);
    }
    check(mixed > 0, "rank 1 with error_growth 13 never mixes");
}

/* What AUTO says of algorithms that it left out tells whether each that mixes would have paid. */
static void check_margin(void)
{
    int taken = 0, close = 0;
    for (int64_t side = 4; side <= 56; side += 4)
        for (int64_t channels = 8; channels <= 256; channels *= 2) {
            const cvg_conv conv = conv_3x3(4, channels, side);
            cvg_plan *plan = plan_with(&conv, CVG_ERROR_GROWTH, CVG_AUTO);
            char text[8192];
            check(cvg_plan_describe(plan, text, sizeof text) < sizeof text, "long description");
            for (const char *at = text; (at = strstr(at, "only ")) != NULL; at++, close++) {
                const double ratio = atof(at + strlen("only "));
                check(ratio >= 1 && ratio <= 1.25, "%d channels, %d x %d: left out at %g", (int)channels, (int)side,
                      (int)side, ratio);
            }
            /* Where forward mixes, direct is expected to take at least 1.25 times as long. */
            const char *direct = strstr(text, "not direct: expected to take ");
            if (cvg_plan_error_growth(plan, CVG_FORWARD) > 1 && direct) {
                const double ratio = atof(direct + strlen("not direct: expected to take "));
                check(ratio >= 1.25, "%d channels, %d x %d: mixes for %g", (int)channels, (int)side, (int)side, ratio);
                taken++;
            }
            cvg_plan_destroy(plan);
        }
    check(taken > 0 && close > 0, "mixed %d times, left out %d times: nothing was checked", taken, close);
}

int main(void)
{
    check_examples();
    check_rank_1();
    check_margin();
    return check_summary();
}
