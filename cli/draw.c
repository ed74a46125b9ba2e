/* Random problems that look for edges. */
#include "cli.h"

#include <math.h>

enum {
    MOST_ELEMENTS = 40000,  /* of any tensor */
    MOST_PRODUCTS = 150000, /* of a pass, so that the reference is quick */
};

static int64_t between(struct random *random, int64_t low, int64_t high)
{
    return low + (int64_t)(random_bits(random) % (uint64_t)(high - low + 1));
}

static int one_in(struct random *random, int n) { return random_bits(random) % (unsigned)n == 0; }

/* Channels of a group: few, or around the widths of vectors and tiles. */
static int64_t channels(struct random *random)
{
    static const int64_t width[] = {4, 8, 12, 16, 24, 32, 48, 64, 96, 128};
    if (one_in(random, 2))
        return between(random, 1, 6);
    const int64_t w = width[random_bits(random) % (sizeof width / sizeof *width)];
    return w + between(random, -1, 1);
}

static void axis(struct random *random, cvg_conv *conv, int i)
{
    conv->in[i] = one_in(random, 6) ? 1 : one_in(random, 8) ? between(random, 30, 300) : between(random, 2, 20);
    conv->filter[i] = one_in(random, 8)    ? conv->in[i] /* the image */
                      : one_in(random, 10) ? between(random, 8, 29)
                                           : between(random, 1, 7);
    conv->stride[i] = one_in(random, 2) ? 1 : one_in(random, 12) ? between(random, 7, 100) : between(random, 2, 4);
    conv->dilation[i] = one_in(random, 3) ? one_in(random, 10) ? between(random, 5, 60) : between(random, 2, 4) : 1;
    if (one_in(random, 3))
        return;
    const int64_t reach = conv->dilation[i] * (conv->filter[i] - 1) + 1;
    const int64_t most = one_in(random, 8) ? reach + 5 : reach / 2 + 1; /* past the filter, or not */
    conv->pad_begin[i] = between(random, 0, most);
    conv->pad_end[i] = one_in(random, 2) ? conv->pad_begin[i] : between(random, 0, most);
}

void problem_draw(struct problem *problem, struct random *random)
{
    for (;;) {
        cvg_conv conv = CVG_CONV_INIT;
        int64_t out[3];
        conv.spatial_dims = one_in(random, 2) ? 2 : (int)between(random, 1, 3);
        conv.batch = one_in(random, 30) ? 0 : one_in(random, 10) ? between(random, 5, 40) : between(random, 1, 3);
        conv.groups = one_in(random, 3) ? between(random, 2, 20) : 1;
        conv.in_channels = conv.groups * (conv.groups > 1 && one_in(random, 2) ? 1 : channels(random));
        conv.out_channels =
            conv.groups * (conv.groups > 1 && one_in(random, 2) ? between(random, 1, 3) : channels(random));
        for (int i = 0; i < conv.spatial_dims; i++)
            axis(random, &conv, i);
        if (cvg_output_size(&conv, out, NULL))
            continue;
        const struct sizes z = problem_sizes(&conv);
        const double most = fmax(fmax((double)z.input, (double)z.output), (double)z.weight);
        if (most > MOST_ELEMENTS || z.macs > MOST_PRODUCTS)
            continue;
        *problem = (struct problem){.conv = conv};
        return;
    }
}

/* Steps of a tensor, each with a gap now and then. */
static void steps(struct random *random, const cvg_conv *conv, int64_t channels, const int64_t extent[3], cvg_steps *to)
{
    const int last = conv->layout == CVG_CHANNELS_LAST, dims = conv->spatial_dims;
    int64_t step = last ? channels : 1;
    for (int i = dims - 1; i >= 0; i--) {
        step += last || i < dims - 1 ? one_in(random, 3) * between(random, 1, 7) : 0;
        to->axis[i] = step;
        step *= extent[i];
    }
    to->channel = last ? 1 : step + one_in(random, 3) * between(random, 1, 7);
    to->image = (last ? step : to->channel * channels) + one_in(random, 3) * between(random, 1, 7);
}

void layout_draw(cvg_conv *conv, struct random *random)
{
    int64_t out[3];
    if (one_in(random, 2))
        return;
    conv->layout = one_in(random, 4) ? CVG_CHANNELS_FIRST : CVG_CHANNELS_LAST;
    conv->weight_layout = (cvg_weight_layout)between(random, CVG_KCRS, CVG_RSCK);
    if (one_in(random, 2))
        return;
    cvg_output_size(conv, out, NULL);
    steps(random, conv, conv->in_channels, conv->in, &conv->in_steps);
    steps(random, conv, conv->out_channels, out, &conv->out_steps);
}
