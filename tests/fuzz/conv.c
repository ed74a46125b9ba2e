/*
 * Descriptors and options of any bits: refused with a sentence, or a plan that keeps its promises; small
 * ones are run, and their results compared with the reference's.
 */
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ELEMENTS = 3000, MOST_PRODUCTS = 30000 };

/* Jobs in the reverse order, as a pool may. */
static void backwards(void *pool, int count, void (*task)(void *context, int index), void *context)
{
    (void)pool;
    for (int i = count - 1; i >= 0; i--)
        task(context, i);
}

static double take_real(struct bytes *bytes)
{
    static const double usual[] = {1, 0.5, -2, 12, 0, -1};
    const uint8_t which = take_byte(bytes);
    const uint64_t word = which < 0xf0 ? 0 : take_word(bytes);
    double real;
    memcpy(&real, &word, sizeof real);
    return which < 0xf0 ? usual[which % 6] : real;
}

/* All counts 1, but one that is as large as a tensor may be, nearly; rarely drawn otherwise. */
static void take_huge(struct bytes *bytes, cvg_conv *conv)
{
    int64_t *const fields[] = {&conv->batch, &conv->in_channels, &conv->out_channels};
    const uint8_t which = take_byte(bytes), shift = take_byte(bytes);
    conv->groups = conv->batch = conv->in_channels = conv->out_channels = 1;
    *fields[which % 3] = ((int64_t)1 << (50 + shift % 13)) - take_byte(bytes) % 3;
}

/* Options of this program, or of a newer one. */
struct newer {
    cvg_options options;
    char more[8];
};

static void take_problem(struct bytes *bytes, cvg_conv *conv, struct newer *newer)
{
    cvg_options *options = &newer->options;
    const uint8_t type = take_byte(bytes);
    conv->type = (cvg_type)(type < 0xf0 ? type % 2 : take_number(bytes));
    conv->spatial_dims = (int)take_number(bytes);
    conv->groups = take_number(bytes);
    conv->batch = take_number(bytes);
    /* Channels that groups divide, but for one in eight. */
    const int64_t times = take_byte(bytes) % 8 && conv->groups > 0 && conv->groups < 100 ? conv->groups : 1;
    conv->in_channels = take_number(bytes);
    conv->out_channels = take_number(bytes);
    if (llabs(conv->in_channels) < 1000 && llabs(conv->out_channels) < 1000) {
        conv->in_channels *= times;
        conv->out_channels *= times;
    }
    for (int i = 0; i < 3; i++) {
        conv->in[i] = take_number(bytes);
        conv->filter[i] = take_number(bytes);
        conv->stride[i] = take_number(bytes);
        conv->dilation[i] = take_number(bytes);
        conv->pad_begin[i] = take_number(bytes);
        conv->pad_end[i] = take_number(bytes);
    }
    for (int i = 0; i < CVG_PASS_COUNT; i++)
        options->algo[i] = (cvg_algo)(take_number(bytes));
    options->gradient_scale = take_real(bytes);
    options->error_growth = 12 * fabs(take_real(bytes));
    options->workspace_limit = (size_t)take_number(bytes);
    options->threads = (int)take_number(bytes);
    options->parallel_for = take_byte(bytes) % 2 ? backwards : NULL;
    if (take_byte(bytes) == 0xff)
        conv->struct_size--;
    if (take_byte(bytes) == 0xff) {
        options->struct_size = sizeof *newer;
        newer->more[7] = (char)(take_byte(bytes) == 0xff);
    }
    const uint8_t layouts = take_byte(bytes);
    conv->layout = (cvg_layout)(layouts < 0xf0 ? layouts % 2 : take_number(bytes));
    conv->weight_layout = (cvg_weight_layout)(layouts < 0xf0 ? layouts / 2 % 3 : take_number(bytes));
    if (take_byte(bytes) >= 0xc0) {
        int64_t *const steps[] = {&conv->in_steps.image,  &conv->in_steps.channel,  conv->in_steps.axis,
                                  &conv->out_steps.image, &conv->out_steps.channel, conv->out_steps.axis};
        for (int i = 0; i < 6; i++)
            for (int axis = 0; axis < (i % 3 == 2 ? 3 : 1); axis++)
                steps[i][axis] = take_byte(bytes) % 2 ? 0 : take_number(bytes);
    }
    if (take_byte(bytes) >= 0xf8) /* one size near the end of the address space */
        take_huge(bytes, conv);
}

static int64_t product(const int64_t *values, int count)
{
    int64_t result = 1;
    for (int i = 0; i < count; i++)
        result = result > MOST_ELEMENTS * (int64_t)MOST_PRODUCTS ? result
                                                                 : result * (values[i] < 1 << 20 ? values[i] : 1 << 20);
    return result;
}

/* ---- small plans are run: exactly sized operands, so that a sanitizer sees what is read beside them ---- */

static double get(cvg_type type, const void *data, int64_t i)
{
    return type == CVG_F32 ? ((const float *)data)[i] : ((const double *)data)[i];
}

static void put(cvg_type type, void *data, int64_t i, double value)
{
    if (type == CVG_F32)
        ((float *)data)[i] = (float)value;
    else
        ((double *)data)[i] = value;
}

/* Integers of -2 to 2, or NaN. */
static void *tensor(cvg_type type, int64_t count, int nan)
{
    void *data = malloc((size_t)count * (type == CVG_F32 ? 4 : 8));
    must(data || !count, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        const uint64_t mixed = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u >> 40;
        put(type, data, i, nan ? NAN : (double)(mixed % 5) - 2);
    }
    return data;
}

enum { INPUT, WEIGHT, BIAS, GRAD_OUTPUT, OUTPUT, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS, TENSORS };

static void run(const cvg_plan *plan, void **t, cvg_mode mode)
{
    char *workspace[CVG_PASS_COUNT];
    for (int i = 0; i < CVG_PASS_COUNT; i++) {
        const size_t size = cvg_plan_workspace_size(plan, (cvg_pass)i);
        workspace[i] = malloc(size + 1);
        must(workspace[i] != NULL, "out of memory");
        memset(workspace[i], 0xff, size + 1);
    }
    must(cvg_forward(plan, t[INPUT], t[WEIGHT], t[BIAS], t[OUTPUT], workspace[0] + 1) == CVG_OK &&
             cvg_grad_input(plan, t[GRAD_OUTPUT], t[WEIGHT], t[GRAD_INPUT], mode, workspace[1] + 1) == CVG_OK &&
             cvg_grad_weight(plan, t[INPUT], t[GRAD_OUTPUT], t[GRAD_WEIGHT], mode, workspace[2] + 1) == CVG_OK &&
             cvg_grad_bias(plan, t[GRAD_OUTPUT], t[GRAD_BIAS], mode) == CVG_OK,
         "a plan refuses to run");
    for (int i = 0; i < CVG_PASS_COUNT; i++)
        free(workspace[i]);
}

static void compare(const cvg_conv *conv, const int64_t *out, const cvg_options *options, const cvg_plan *plan,
                    cvg_mode mode)
{
    const int dims = conv->spatial_dims;
    const int64_t Cg = conv->in_channels / conv->groups;
    const int64_t input[] = {conv->batch, conv->in_channels, product(conv->in, dims)};
    const int64_t weight[] = {conv->out_channels, Cg, product(conv->filter, dims)};
    const int64_t output[] = {conv->batch, conv->out_channels, product(out, dims)};
    const int64_t sizes[4] = {product(input, 3), product(weight, 3), conv->out_channels, product(output, 3)};
    const int64_t products[] = {sizes[3], Cg, weight[2]};
    const double scale = options->gradient_scale;
    for (int i = 0; i < 4; i++)
        if (sizes[i] > MOST_ELEMENTS)
            return;
    static const cvg_steps none = {0, 0, {0, 0, 0}};
    if (memcmp(&conv->in_steps, &none, sizeof none) || memcmp(&conv->out_steps, &none, sizeof none))
        return; /* whose tensors have other sizes; convgrad verify runs such */
    if (product(products, 3) > MOST_PRODUCTS || !(scale == 1 || scale == 0.5 || scale == -2))
        return;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        if (cvg_plan_workspace_size(plan, (cvg_pass)pass) > 1 << 26)
            return;

    static const int like[TENSORS] = {0, 1, 2, 3, 3, 0, 1, 2}; /* results have operands' sizes */
    void *got[TENSORS], *want[TENSORS];
    cvg_options exact = *options;
    cvg_plan *reference;
    cvg_error error;
    exact.struct_size = sizeof exact;
    for (int i = 0; i < CVG_PASS_COUNT; i++)
        exact.algo[i] = CVG_REFERENCE;
    must(cvg_plan_create(&reference, conv, &exact, &error) == CVG_OK, "no reference: %s", error.text);
    for (int i = 0; i < TENSORS; i++) {
        const int results = i >= OUTPUT;
        got[i] = tensor(conv->type, sizes[like[i]], results && mode == CVG_OVERWRITE);
        want[i] = results ? tensor(conv->type, sizes[like[i]], mode == CVG_OVERWRITE) : got[i];
    }
    run(plan, got, mode);
    run(reference, want, mode);
    for (int i = OUTPUT; i < TENSORS; i++) {
        const cvg_pass pass = i == GRAD_BIAS ? CVG_GRAD_WEIGHT : (cvg_pass)(i - OUTPUT);
        double allowed = 0;
        if (i != GRAD_BIAS && cvg_algo_mixes(cvg_plan_algo(plan, pass))) /* of -2 to 2, added to as many */
            allowed = cvg_plan_error_bound(plan, pass) * 8 * fabs(i == OUTPUT ? 1 : scale);
        for (int64_t j = 0; j < sizes[like[i]]; j++)
            must(fabs(get(conv->type, got[i], j) - get(conv->type, want[i], j)) <= allowed,
                 "tensor %d by %s: element %lld is %g; must be %g within %g", i,
                 cvg_algo_name(cvg_plan_algo(plan, pass)), (long long)j, get(conv->type, got[i], j),
                 get(conv->type, want[i], j), allowed);
    }
    for (int i = 0; i < TENSORS; i++) {
        free(got[i]);
        if (i >= OUTPUT)
            free(want[i]);
    }
    cvg_plan_destroy(reference);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cvg_conv conv = CVG_CONV_INIT;
    struct newer newer = {CVG_OPTIONS_INIT, {0}};
    cvg_error error = {""};
    cvg_plan *plan, *again;
    char text[4000];
    int64_t out[3];
    struct bytes bytes = {data, data + size};

    take_problem(&bytes, &conv, &newer);
    const cvg_options options = newer.options;
    const cvg_mode mode = (cvg_mode)(take_byte(&bytes) % 2);
    const int valid = cvg_output_size(&conv, out, NULL) == CVG_OK;
    const cvg_status status = cvg_plan_create(&plan, &conv, &newer.options, &error);
    must(valid || status == CVG_INVALID_ARGUMENT, "a plan of no problem");
    if (status) {
        must(plan == NULL && (status == CVG_INVALID_ARGUMENT || status == CVG_UNSUPPORTED), "status %d", (int)status);
        must_tell(&error);
        return 0;
    }
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        const cvg_algo algo = cvg_plan_algo(plan, (cvg_pass)pass);
        const size_t bytes_needed = cvg_plan_workspace_size(plan, (cvg_pass)pass);
        must(algo > CVG_AUTO && algo < CVG_ALGO_COUNT && (options.algo[pass] == CVG_AUTO || options.algo[pass] == algo),
             "another algorithm than pinned");
        must(!options.workspace_limit || bytes_needed <= options.workspace_limit, "workspace over its limit");
        must(cvg_plan_threads(plan, (cvg_pass)pass) >= 1, "no thread");
        must(cvg_plan_error_bound(plan, (cvg_pass)pass) >= 0, "a bound that is none");
        must(
            cvg_plan_error_growth(plan, (cvg_pass)pass) >= 1 &&
                (options.algo[pass] != CVG_AUTO || cvg_plan_error_growth(plan, (cvg_pass)pass) <= options.error_growth),
            "more growth of errors than allowed");
    }
    must(cvg_plan_describe(plan, text, sizeof text) < sizeof text, "a long description");
    const size_t length = cvg_plan_export(plan, text, sizeof text);
    must(length < sizeof text, "a long text");
    must(cvg_plan_import(&again, text, length, &conv, &newer.options, &error) == CVG_OK, "its own text is refused: %s",
         error.text);
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        must(cvg_plan_algo(plan, (cvg_pass)pass) == cvg_plan_algo(again, (cvg_pass)pass),
             "the text says another algorithm");
    cvg_plan_destroy(again);
    compare(&conv, out, &newer.options, plan, mode);
    cvg_plan_destroy(plan);
    return 0;
}
