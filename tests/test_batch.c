/*
 * A sample's bits do not depend on the samples beside it: forward and grad_input of a batch, and of parts of it, by the
 * same algorithm.  Drawn problems of all ranks, types and layouts, and layers of networks.
 */
#include "check.h"
#include "convgrad.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 7 };

static uint32_t seed = 1;

static int64_t draw(int64_t least, int64_t most)
{
    seed = seed * 1664525u + 1013904223u;
    return least + (int64_t)((seed >> 8) % (uint32_t)(most - least + 1));
}

static void *filled(size_t bytes, cvg_type type)
{
    void *memory = calloc(bytes ? bytes : 1, 1);
    if (!memory)
        exit(2);
    for (size_t i = 0; i < bytes / (type == CVG_F32 ? 4 : 8); i++)
        if (type == CVG_F32)
            ((float *)memory)[i] = (float)draw(-1000, 1000) / 999;
        else
            ((double *)memory)[i] = (double)draw(-1000, 1000) / 999;
    return memory;
}

static void run(const cvg_plan *plan, int pass, const void *from, const void *weight, void *to)
{
    void *workspace = malloc(cvg_plan_workspace_size(plan, (cvg_pass)pass) + 1);
    const cvg_status status = pass == CVG_FORWARD ? cvg_forward(plan, from, weight, NULL, to, workspace)
                                                  : cvg_grad_input(plan, from, weight, to, CVG_OVERWRITE, workspace);
    check(status == CVG_OK, "pass %d", pass);
    free(workspace);
}

/* All parts of one problem, by each algorithm that does it. */
static int test_problem(cvg_conv conv)
{
    int64_t out[3], sizes[2] = {conv.in_channels, conv.out_channels},
                    taps = conv.in_channels / conv.groups * conv.out_channels;
    int compared = 0;
    conv.batch = BATCH;
    if (cvg_output_size(&conv, out, NULL))
        return 0;
    for (int i = 0; i < conv.spatial_dims; i++) {
        sizes[0] *= conv.in[i];
        sizes[1] *= out[i];
        taps *= conv.filter[i];
    }
    const size_t element = cvg_type_size(conv.type);
    void *weight = filled((size_t)taps * element, conv.type);
    for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++)
        for (int pass = CVG_FORWARD; pass <= CVG_GRAD_INPUT; pass++) {
            const size_t from = (size_t)sizes[pass] * element, to = (size_t)sizes[1 - pass] * element;
            cvg_options options = CVG_OPTIONS_INIT;
            cvg_plan *all, *part;
            options.algo[pass] = (cvg_algo)algo;
            conv.batch = BATCH;
            if (algo == CVG_REFERENCE || cvg_plan_create(&all, &conv, &options, NULL))
                continue;
            char *source = filled(BATCH * from, conv.type), *want = filled(BATCH * to, conv.type),
                 *got = filled(BATCH * to, conv.type);
            run(all, pass, source, weight, want);
            cvg_plan_destroy(all);
            for (int64_t count = 1; count < BATCH; count += 2)
                for (int64_t at = 0; at + count <= BATCH; at += 3) {
                    conv.batch = count;
                    check(cvg_plan_create(&part, &conv, &options, NULL) == CVG_OK, "batch %d is refused", (int)count);
                    run(part, pass, source + (size_t)at * from, weight, got);
                    cvg_plan_destroy(part);
                    compared++;
                    check(
                        memcmp(got, want + (size_t)at * to, (size_t)count * to) == 0,
                        "%s, %s of %d samples from %d on: other bits; rank %d, type %d, layout %d, C %d K %d G %d, in %dx%dx%d, "
                        "filter %dx%dx%d, stride %dx%d, pad %dx%d",
                        cvg_algo_name((cvg_algo)algo), pass ? "grad_input" : "forward", (int)count, (int)at,
                        conv.spatial_dims, conv.type, conv.layout, (int)conv.in_channels, (int)conv.out_channels,
                        (int)conv.groups, (int)conv.in[0], (int)conv.in[1], (int)conv.in[2], (int)conv.filter[0],
                        (int)conv.filter[1], (int)conv.filter[2], (int)conv.stride[0], (int)conv.stride[1],
                        (int)conv.pad_begin[0], (int)conv.pad_begin[1]);
                }
            free(source);
            free(want);
            free(got);
        }
    free(weight);
    return compared;
}

static cvg_conv drawn(void)
{
    static const int64_t most_in[] = {60, 20, 8};
    cvg_conv conv = CVG_CONV_INIT;
    conv.type = (cvg_type)draw(0, 1);
    conv.spatial_dims = (int)draw(1, 3);
    conv.layout = (cvg_layout)draw(0, 1);
    conv.weight_layout = (cvg_weight_layout)draw(0, 2);
    conv.groups = draw(0, 2) ? 1 : draw(2, 9);
    conv.in_channels = conv.groups * (draw(0, 2) ? draw(1, 5) : draw(1, 40 / conv.groups + 1));
    conv.out_channels = conv.groups * (draw(0, 2) ? draw(1, 5) : draw(1, 40 / conv.groups + 1));
    for (int i = 0; i < conv.spatial_dims; i++) {
        conv.in[i] = draw(1, most_in[conv.spatial_dims - 1]);
        conv.filter[i] = draw(1, draw(0, 1) ? 3 : 5);
        conv.stride[i] = draw(0, 2) ? 1 : draw(1, 3);
        conv.dilation[i] = draw(0, 3) ? 1 : draw(1, 3);
        conv.pad_begin[i] = draw(0, 2);
        conv.pad_end[i] = draw(0, 2);
    }
    return conv;
}

int main(int argc, char **argv)
{
    /* C, K, groups, side, filter, stride, pad */
    static const int64_t layers[][7] = {
        {1, 16, 1, 28, 5, 1, 2},   {16, 32, 1, 14, 5, 1, 2}, {32, 32, 1, 16, 3, 1, 1}, {64, 128, 1, 8, 3, 2, 1},
        {64, 64, 64, 14, 3, 1, 1}, {256, 64, 1, 1, 1, 1, 0}, {48, 96, 1, 7, 1, 1, 0},  {3, 24, 1, 32, 3, 1, 1},
    };
    const int problems = argc > 1 ? atoi(argv[1]) : 300;
    long compared = 0;
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
        for (int kind = 0; kind < 4; kind++) {
            const int64_t *l = layers[i];
            cvg_conv conv = CVG_CONV_INIT;
            conv.type = (cvg_type)(kind % 2);
            conv.layout = (cvg_layout)(kind / 2);
            conv.in_channels = l[0];
            conv.out_channels = l[1];
            conv.groups = l[2];
            for (int axis = 0; axis < 2; axis++) {
                conv.in[axis] = l[3];
                conv.filter[axis] = l[4];
                conv.stride[axis] = l[5];
                conv.pad_begin[axis] = conv.pad_end[axis] = l[6];
            }
            compared += test_problem(conv);
        }
    for (int i = 0; i < problems; i++)
        compared += test_problem(drawn());
    printf("%ld parts of batches compared\n", compared);
    check(compared > 10 * problems, "too few");
    return check_summary();
}
