/*
 * Looks for cliffs: small shapes whose time for one multiply-add is far over that of a smoother
 * neighbour, which differs in one thing: input or output channels of a group, height or width
 * rounded up to a multiple of 8, or no dilation, or one group less.
 *
 *   cliffs [SHAPES [RATIO [LEAST [SEED]]]]      default 3000, 3, 20000 and 1
 *
 * Prints every shape and pass over the ratio, if it has at least LEAST multiply-adds (under that
 * the cost of a call shows, which the summary gives), and a summary.  Batch 1, one thread, f32,
 * channels and widths 1 to 40, filters 1 to 7.
 */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 7 };

static int64_t up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

static int64_t draw(struct random *random, int64_t least, int64_t most)
{
    return least + (int64_t)(random_bits(random) % (uint64_t)(most - least + 1));
}

static cvg_conv draw_conv(struct random *random)
{
    cvg_conv conv = CVG_CONV_INIT;
    const int64_t groups = draw(random, 0, 3) ? 1 : draw(random, 2, 8);
    const int64_t most = 40 / groups;
    conv.groups = groups;
    conv.in_channels = groups * draw(random, 1, most);
    conv.out_channels = groups * draw(random, 1, most);
    for (int i = 0; i < 2; i++) {
        conv.in[i] = draw(random, 1, 40);
        conv.filter[i] = draw(random, 1, 7);
        conv.stride[i] = draw(random, 0, 2) ? 1 : draw(random, 2, 3);
        conv.dilation[i] = draw(random, 0, 4) ? 1 : 2;
        conv.pad_begin[i] = conv.pad_end[i] = draw(random, 0, conv.filter[i]);
    }
    return conv;
}

enum change { IN_CHANNELS, OUT_CHANNELS, HEIGHT, WIDTH, DILATION, GROUPS, CHANGES };
static const char *const change_names[] = {"in_channels", "out_channels", "height", "width", "dilation", "groups"};

static cvg_conv smoother(const cvg_conv *conv, enum change change)
{
    const int64_t C = conv->in_channels / conv->groups, K = conv->out_channels / conv->groups;
    cvg_conv smooth = *conv;
    switch (change) {
    case IN_CHANNELS: smooth.in_channels = conv->groups * up(C, 8); break;
    case OUT_CHANNELS: smooth.out_channels = conv->groups * up(K, 8); break;
    case HEIGHT: smooth.in[0] = up(conv->in[0], 8); break;
    case WIDTH: smooth.in[1] = up(conv->in[1], 8); break;
    case DILATION: smooth.dilation[0] = smooth.dilation[1] = 1; break;
    default:
        smooth.groups = conv->groups > 1 ? conv->groups - 1 : 1;
        smooth.in_channels = smooth.groups * C;
        smooth.out_channels = smooth.groups * K;
    }
    return smooth;
}

static int same(const cvg_conv *a, const cvg_conv *b)
{
    char x[256], y[256];
    problem_print(a, x, sizeof x);
    problem_print(b, y, sizeof y);
    return !strcmp(x, y);
}

/* Nanoseconds for one multiply-add, by pass. */
static void time_conv(const cvg_conv *conv, double ns[CVG_PASS_COUNT])
{
    const struct sizes z = problem_sizes(conv);
    cvg_plan *plan = plan_of(conv, CVG_AUTO, 1, 1);
    void *workspace = workspace_of(plan);
    float *input = cli_alloc((size_t)z.input, 4), *weight = cli_alloc((size_t)z.weight, 4);
    float *output = cli_alloc((size_t)z.output, 4);
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        double best = INFINITY;
        for (int run = 0; run < RUNS; run++) {
            const double begin = seconds();
            if (pass == CVG_FORWARD)
                cvg_forward(plan, input, weight, NULL, output, workspace);
            else if (pass == CVG_GRAD_INPUT)
                cvg_grad_input(plan, output, weight, input, CVG_OVERWRITE, workspace);
            else
                cvg_grad_weight(plan, input, output, weight, CVG_OVERWRITE, workspace);
            best = fmin(best, seconds() - begin);
        }
        ns[pass] = best * 1e9 / z.macs;
    }
    free(output);
    free(weight);
    free(input);
    free(workspace);
    cvg_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    const int shapes = argc > 1 ? atoi(argv[1]) : 3000;
    const double most = argc > 2 ? atof(argv[2]) : 3, least = argc > 3 ? atof(argv[3]) : 20000;
    struct random random = {argc > 4 ? strtoull(argv[4], NULL, 10) : 1};
    double worst[CVG_PASS_COUNT] = {0}, sum[CVG_PASS_COUNT] = {0}, call[CVG_PASS_COUNT];
    long over[CVG_PASS_COUNT] = {0}, pairs = 0;
    const cvg_conv smallest = CVG_CONV_INIT;
    time_conv(&smallest, call);
    for (int done = 0; done < shapes;) {
        int64_t out[3];
        double ns[CVG_PASS_COUNT];
        char text[256];
        const cvg_conv conv = draw_conv(&random);
        if (cvg_output_size(&conv, out, NULL))
            continue; /* the filter does not fit */
        done++;
        if (problem_sizes(&conv).macs < least)
            continue;
        time_conv(&conv, ns);
        problem_print(&conv, text, sizeof text);
        for (int change = 0; change < CHANGES; change++) {
            double smooth_ns[CVG_PASS_COUNT];
            const cvg_conv smooth = smoother(&conv, (enum change)change);
            if (same(&conv, &smooth))
                continue;
            time_conv(&smooth, smooth_ns);
            pairs++;
            for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
                const double ratio = ns[pass] / smooth_ns[pass];
                worst[pass] = fmax(worst[pass], ratio);
                sum[pass] += log(ratio);
                if (ratio <= most)
                    continue;
                over[pass]++;
                printf("%-11s %5.1f times its neighbour in %-12s  %.3f ns  %s\n", pass_names[pass], ratio,
                       change_names[change], ns[pass], text);
            }
        }
    }
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        printf("%-11s %d shapes, %ld neighbours: %ld over %g times, worst %.1f, geometric mean %.2f; a call %.0f ns\n",
               pass_names[pass], shapes, pairs, over[pass], most, worst[pass], exp(sum[pass] / (double)pairs),
               call[pass]);
    return 0;
}
