/* Prints a hash of all results of every algorithm and of halves, scaled and accumulated: the same for every build. */
#include <convgrad.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 8, C = 20, K = 40, H = 21, W = 19, S = 3 };
static float input[N * C * H * W], weight[K * C * S * S], bias[K], output[N * K * H * W];
static float grad_input[N * C * H * W], grad_weight[K * C * S * S], grad_bias[K];

static void fill(float *x, size_t count)
{
    static unsigned state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
}

/* Turns floats to bfloat16, so many of them. */
static void halve(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        ((uint16_t *)x)[i] = (uint16_t)(bits >> 16);
    }
}

static unsigned long long hash(const void *data, size_t size, unsigned long long state)
{
    for (size_t i = 0; i < size; i++)
        state = (state ^ ((const unsigned char *)data)[i]) * 1099511628211u;
    return state;
}

int main(void)
{
    for (int run = 0; run < 6 * CVG_ALGO_COUNT; run++) {
        const int algo = run % CVG_ALGO_COUNT, half = run / 3 / CVG_ALGO_COUNT;
        const int layout = run / CVG_ALGO_COUNT % 3; /* channels first, and twice last */
        if (algo == CVG_AUTO || (half && algo == CVG_REFERENCE))
            continue; /* the latter is slow, and plain C */
        cvg_conv conv = CVG_CONV_INIT;
        if (half)
            conv.type = CVG_BF16;
        conv.batch = N;
        conv.in_channels = C;
        conv.out_channels = K;
        conv.in[0] = H;
        conv.in[1] = W;
        conv.filter[0] = conv.filter[1] = S;
        for (int i = 0; i < 2; i++)
            conv.pad_begin[i] = conv.pad_end[i] = 1;
        conv.layout = layout ? CVG_CHANNELS_LAST : CVG_CHANNELS_FIRST;
        conv.weight_layout = (cvg_weight_layout)layout;
        cvg_options options = CVG_OPTIONS_INIT;
        cvg_plan *plan;
        cvg_error error;
        size_t most = 1;
        options.algo[0] = options.algo[1] = options.algo[2] = (cvg_algo)algo;
        options.gradient_scale = 1.0 / 3;
        options.isa = getenv("CVG_ISA");
        const cvg_status status = cvg_plan_create(&plan, &conv, &options, &error);
        if (status && half)
            break; /* a build without halves */
        if (status)
            return printf("%s\n", error.text), 1;
        for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
            if (cvg_plan_workspace_size(plan, (cvg_pass)pass) > most)
                most = cvg_plan_workspace_size(plan, (cvg_pass)pass);
        void *workspace = malloc(most);
        fill(input, sizeof input / sizeof *input);
        fill(weight, sizeof weight / sizeof *weight);
        fill(bias, K);
        fill(grad_input, sizeof grad_input / sizeof *grad_input);
        fill(grad_weight, sizeof grad_weight / sizeof *grad_weight);
        fill(grad_bias, K);
        float *const all[] = {input, weight, bias, grad_input, grad_weight, grad_bias};
        const size_t counts[] = {sizeof input / sizeof *input, sizeof weight / sizeof *weight, K};
        for (int i = 0; half && i < 6; i++)
            halve(all[i], counts[i % 3]);
        cvg_forward(plan, input, weight, bias, output, workspace);
        cvg_backward(plan, input, weight, output, grad_input, grad_weight, grad_bias, CVG_ACCUMULATE, workspace);
        unsigned long long state = hash(output, sizeof output >> half, 14695981039346656037u);
        state = hash(grad_input, sizeof grad_input >> half, state);
        state = hash(grad_weight, sizeof grad_weight >> half, state);
        printf("%s %s %d %016llx\n", half ? "bf16" : "f32", cvg_algo_name((cvg_algo)algo), layout,
               hash(grad_bias, sizeof grad_bias >> half, state));
        free(workspace);
        cvg_plan_destroy(plan);
    }
    return 0;
}
