/*
 * Looks for cliffs: shapes whose time for one multiply-add is far over that of a smoother neighbour, or of the best of
 * other libraries in the layout that it likes best.
 *
 *   cliffs [FAMILY [SHAPES [RATIO [LEAST [SEED]]]]]      default small, 3000, 3, 20000 and 1
 *
 * FAMILY small has channels and widths 1 to 40, filters 1 to 7 and batch 1; its neighbours differ in one thing: input
 * or output channels of a group, height or width rounded up to a multiple of 8, or no dilation, or one group less.
 * networks has what people train: channels to 2048, images 1 to 56, depthwise, 1x1, filters as large as the image,
 * strides, batch 1 to 64, both layouts; neighbours have channels rounded up to 64, images to 16, 4 times the batch, the
 * other layout, and the best peer takes part, where this build has one.
 *
 * Prints every shape and pass over the ratio, if it has at least LEAST multiply-adds (under that
 * the cost of a call shows, which the summary gives), and a summary.  One thread, f32.
 */
#include "bench.h"

#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 7, CHANGES = 6 };
static const double MOST_MACS = 1e9;

static int64_t up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

static int64_t draw(struct random *random, int64_t least, int64_t most)
{
    return least + (int64_t)(random_bits(random) % (uint64_t)(most - least + 1));
}

static cvg_conv draw_small(struct random *random)
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

/* One of count numbers. */
static int64_t one_of(struct random *random, const int64_t *numbers, int64_t count)
{
    return numbers[draw(random, 0, count - 1)];
}

static cvg_conv draw_network(struct random *random)
{
    static const int64_t channels[] = {16,  24,  32,  48,  64,  96,  128,  144,  192,
                                       256, 384, 512, 576, 832, 960, 1024, 1280, 2048};
    static const int64_t images[] = {1, 2, 4, 7, 8, 10, 13, 14, 17, 20, 28, 35, 56}, filters[] = {3, 3, 3, 5, 7};
    static const int64_t batches[] = {1, 2, 8, 32, 64};
    enum { DEPTHWISE, POINTWISE, FULL, FIRST, DENSE, KINDS };
    const int kind = (int)draw(random, 0, KINDS - 1);
    const int64_t wide = sizeof channels / sizeof *channels,
                  image = one_of(random, images, sizeof images / sizeof *images);
    cvg_conv conv = CVG_CONV_INIT;
    conv.layout = draw(random, 0, 1) ? CVG_CHANNELS_LAST : CVG_CHANNELS_FIRST;
    conv.weight_layout = conv.layout == CVG_CHANNELS_LAST ? CVG_KRSC : CVG_KCRS;
    conv.batch = one_of(random, batches, sizeof batches / sizeof *batches);
    conv.in_channels = kind == FIRST ? draw(random, 1, 4) : one_of(random, channels, kind == FULL ? 12 : wide);
    conv.out_channels = kind == DEPTHWISE ? conv.in_channels : one_of(random, channels, kind >= FULL ? 12 : wide);
    conv.groups = kind == DEPTHWISE ? conv.in_channels : 1;
    const int64_t filter = kind == POINTWISE ? 1
                           : kind == DENSE   ? (image < 14 ? image : 7)
                                             : one_of(random, filters, sizeof filters / sizeof *filters);
    for (int i = 0; i < 2; i++) {
        conv.in[i] = kind == FIRST ? 4 * image : kind == DENSE ? filter : image;
        conv.filter[i] = filter;
        conv.pad_begin[i] = conv.pad_end[i] = kind == DENSE ? 0 : filter / 2;
    }
    conv.stride[0] = conv.stride[1] = kind != DENSE && !draw(random, 0, 2) ? 2 : 1;
    if (kind == FULL && !draw(random, 0, 3)) /* the same size, with gaps */
        for (int i = 0; i < 2; i++) {
            conv.dilation[i] = 2;
            conv.pad_begin[i] = conv.pad_end[i] = filter - 1;
        }
    while (conv.batch > 1 && problem_sizes(&conv).macs > MOST_MACS)
        conv.batch /= 2;
    return conv;
}

static cvg_conv smoother_small(const cvg_conv *conv, int change)
{
    const int64_t C = conv->in_channels / conv->groups, K = conv->out_channels / conv->groups;
    cvg_conv smooth = *conv;
    switch (change) {
    case 0: smooth.in_channels = conv->groups * up(C, 8); break;
    case 1: smooth.out_channels = conv->groups * up(K, 8); break;
    case 2: smooth.in[0] = up(conv->in[0], 8); break;
    case 3: smooth.in[1] = up(conv->in[1], 8); break;
    case 4: smooth.dilation[0] = smooth.dilation[1] = 1; break;
    default:
        smooth.groups = conv->groups > 1 ? conv->groups - 1 : 1;
        smooth.in_channels = smooth.groups * C;
        smooth.out_channels = smooth.groups * K;
    }
    return smooth;
}

static cvg_conv smoother_network(const cvg_conv *conv, int change)
{
    cvg_conv smooth = *conv;
    switch (change) {
    case 0: smooth.in_channels = conv->groups > 1 ? conv->in_channels : up(conv->in_channels, 64); break;
    case 1: smooth.out_channels = conv->groups > 1 ? conv->out_channels : up(conv->out_channels, 64); break;
    case 2:
        for (int i = 0; i < 2; i++) {
            const int whole = conv->filter[i] == conv->in[i]; /* a filter as large as the image stays so */
            smooth.in[i] = whole ? conv->in[i] : up(conv->in[i], 16);
        }
        break;
    case 3: smooth.batch = 4 * conv->batch; break;
    case 4:
        smooth.layout = conv->layout == CVG_CHANNELS_LAST ? CVG_CHANNELS_FIRST : CVG_CHANNELS_LAST;
        smooth.weight_layout = smooth.layout == CVG_CHANNELS_LAST ? CVG_KRSC : CVG_KCRS;
        break;
    default: smooth.dilation[0] = smooth.dilation[1] = 1;
    }
    return smooth;
}

static const struct family {
    const char *name;
    cvg_conv (*draw)(struct random *random);
    cvg_conv (*smoother)(const cvg_conv *conv, int change);
    const char *changes[CHANGES];
    int peers; /* take part */
} families[] = {
    {"small", draw_small, smoother_small, {"in_channels", "out_channels", "height", "width", "dilation", "groups"}, 0},
    {"networks",
     draw_network,
     smoother_network,
     {"in_channels", "out_channels", "image", "batch", "layout", "dilation"},
     1},
};

static int same(const cvg_conv *a, const cvg_conv *b)
{
    char x[256], y[256];
    problem_print(a, x, sizeof x);
    problem_print(b, y, sizeof y);
    return !strcmp(x, y) && a->layout == b->layout;
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

/* The same by the best peer, in the layout that it likes best; infinite where there is none. */
static void time_peers(const cvg_conv *conv, double ns[CVG_PASS_COUNT])
{
    struct layer layer = bench_layer_of(conv);
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        double best = INFINITY;
        for (int p = 0; peers[p]; p++) {
            cvg_error why;
            void *state = peers[p]->open(conv, (cvg_pass)pass, &layer, 1, &why);
            for (int run = 0; state && run < RUNS; run++) {
                const double begin = seconds();
                peers[p]->run(state);
                best = fmin(best, seconds() - begin);
            }
            if (state)
                peers[p]->close(state);
        }
        ns[pass] = best * 1e9 / problem_sizes(conv).macs;
    }
    bench_layer_free(&layer);
}

struct tally {
    double most, worst[CVG_PASS_COUNT], sum[CVG_PASS_COUNT];
    long over[CVG_PASS_COUNT], pairs;
};

/* Counts a shape beside what it is compared with, and tells of passes over the ratio. */
static void compare(struct tally *tally, const cvg_conv *conv, const double *ns, const double *other, const char *than)
{
    char text[256];
    problem_print(conv, text, sizeof text);
    layout_print(conv, text + strlen(text), sizeof text - strlen(text));
    tally->pairs++;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        const double ratio = ns[pass] / other[pass];
        tally->worst[pass] = fmax(tally->worst[pass], ratio);
        tally->sum[pass] += log(ratio);
        if (ratio <= tally->most)
            continue;
        tally->over[pass]++;
        printf("%-11s %5.1f times %-12s  %.3f ns  %s\n", pass_names[pass], ratio, than, ns[pass], text);
    }
    fflush(stdout);
}

static void summary(const struct tally *tally, const char *than)
{
    for (int pass = 0; tally->pairs && pass < CVG_PASS_COUNT; pass++)
        printf("%-11s beside %ld %s: %ld over %g times, worst %.1f, geometric mean %.2f\n", pass_names[pass],
               tally->pairs, than, tally->over[pass], tally->most, tally->worst[pass],
               exp(tally->sum[pass] / (double)tally->pairs));
}

int main(int argc, char **argv)
{
    const struct family *family = families;
    const size_t known = sizeof families / sizeof *families;
    for (size_t i = 0; argc > 1 && i < known && strcmp(family->name, argv[1]); i++)
        family = families + i;
    if (argc > 1 && strcmp(family->name, argv[1])) {
        fprintf(stderr, "FAMILY is \"%s\"; must be small or networks\n", argv[1]);
        return 2;
    }
    const int shapes = argc > 2 ? atoi(argv[2]) : 3000;
    const double most = argc > 3 ? atof(argv[3]) : 3, least = argc > 4 ? atof(argv[4]) : 20000;
    struct random random = {argc > 5 ? strtoull(argv[5], NULL, 10) : 1};
    struct tally neighbours = {.most = most}, best = {.most = most};
    double call[CVG_PASS_COUNT];
    const cvg_conv smallest = CVG_CONV_INIT;
    time_conv(&smallest, call);
    for (int done = 0; done < shapes;) {
        int64_t out[3];
        double ns[CVG_PASS_COUNT], other[CVG_PASS_COUNT];
        const cvg_conv conv = family->draw(&random);
        if (cvg_output_size(&conv, out, NULL))
            continue; /* the filter does not fit */
        done++;
        if (problem_sizes(&conv).macs < least || problem_sizes(&conv).macs > MOST_MACS)
            continue;
        time_conv(&conv, ns);
        if (family->peers && peers[0]) {
            time_peers(&conv, other);
            compare(&best, &conv, ns, other, "best peer");
        }
        for (int change = 0; change < CHANGES; change++) {
            const cvg_conv smooth = family->smoother(&conv, change);
            if (same(&conv, &smooth) || cvg_output_size(&smooth, out, NULL))
                continue;
            time_conv(&smooth, other);
            compare(&neighbours, &conv, ns, other, family->changes[change]);
        }
    }
    summary(&neighbours, "neighbours");
    summary(&best, "best peers");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        printf("%-11s %d shapes; a call %.0f ns\n", pass_names[pass], shapes, call[pass]);
    return 0;
}
