/* What each mistake is answered with, and the rest of the public face. */
#include "check.h"
#include "cli.h"
#include "convgrad.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static cvg_conv good_conv(void)
{
    cvg_conv c = CVG_CONV_INIT;
    c.batch = 2;
    c.in_channels = 4;
    c.out_channels = 6;
    c.groups = 2;
    for (int i = 0; i < 3; i++) {
        c.in[i] = 8;
        c.filter[i] = 3;
    }
    return c;
}

/* One field set to one value. */
enum field {
    TYPE,
    DIMS,
    BATCH,
    C,
    K,
    G,
    IN0,
    IN1,
    FILTER0,
    FILTER1,
    STRIDE0,
    STRIDE1,
    DILATION0,
    DILATION1,
    BEGIN0,
    BEGIN1,
    END0,
    END1,
    LAYOUT,
    WEIGHT_LAYOUT,
    IN_IMAGE,
    IN_CHANNEL,
    IN_STEP0,
    IN_STEP1,
    OUT_STEP1,
    GRAD_TYPE,
    BIAS_TYPE,
    SIZE
};

static void set(cvg_conv *c, enum field field, int64_t value)
{
    switch (field) {
    case TYPE: c->type = (cvg_type)value; break;
    case GRAD_TYPE: c->grad_type = (cvg_type)value; break;
    case BIAS_TYPE: c->bias_type = (cvg_type)value; break;
    case DIMS: c->spatial_dims = (int)value; break;
    case BATCH: c->batch = value; break;
    case C: c->in_channels = value; break;
    case K: c->out_channels = value; break;
    case G: c->groups = value; break;
    case IN0: c->in[0] = value; break;
    case IN1: c->in[1] = value; break;
    case FILTER0: c->filter[0] = value; break;
    case FILTER1: c->filter[1] = value; break;
    case STRIDE0: c->stride[0] = value; break;
    case STRIDE1: c->stride[1] = value; break;
    case DILATION0: c->dilation[0] = value; break;
    case DILATION1: c->dilation[1] = value; break;
    case BEGIN0: c->pad_begin[0] = value; break;
    case BEGIN1: c->pad_begin[1] = value; break;
    case END0: c->pad_end[0] = value; break;
    case END1: c->pad_end[1] = value; break;
    case LAYOUT: c->layout = (cvg_layout)value; break;
    case WEIGHT_LAYOUT: c->weight_layout = (cvg_weight_layout)value; break;
    case IN_IMAGE: c->in_steps.image = value; break;
    case IN_CHANNEL: c->in_steps.channel = value; break;
    case IN_STEP0: c->in_steps.axis[0] = value; break;
    case IN_STEP1: c->in_steps.axis[1] = value; break;
    case OUT_STEP1: c->out_steps.axis[1] = value; break;
    case SIZE: c->struct_size = (size_t)value; break;
    }
}

static const struct {
    enum field field;
    int64_t value;
    const char *sentence; /* what it must begin with */
} bad_convs[] = {
    {TYPE, 4, "type is 4; that is no cvg_type"},
    {TYPE, -1, "type is -1; that is no cvg_type"},
    {GRAD_TYPE, CVG_F64, "grad_type is 1; must be CVG_SAME_TYPE, as type is f32"},
    {BIAS_TYPE, CVG_BF16, "bias_type is 2; must be CVG_SAME_TYPE, as type is f32"},
    {DIMS, 0, "spatial_dims is 0; must be 1, 2 or 3"},
    {DIMS, 4, "spatial_dims is 4; must be 1, 2 or 3"},
    {DIMS, -1, "spatial_dims is -1; must be 1, 2 or 3"},
    {BATCH, -1, "batch is -1; must be at least 0"},
    {BATCH, INT64_MIN, "batch is -9223372036854775808; must be at least 0"},
    {C, 0, "in_channels is 0; must be at least 1"},
    {C, -4, "in_channels is -4; must be at least 1"},
    {C, 5, "in_channels is 5; must be a multiple of groups, 2"},
    {K, 0, "out_channels is 0; must be at least 1"},
    {K, -6, "out_channels is -6; must be at least 1"},
    {K, 7, "out_channels is 7; must be a multiple of groups, 2"},
    {G, 0, "groups is 0; must be at least 1"},
    {G, -2, "groups is -2; must be at least 1"},
    {G, 3, "in_channels is 4; must be a multiple of groups, 3"},
    {G, 4, "out_channels is 6; must be a multiple of groups, 4"},
    {IN0, 0, "in[0] is 0; must be at least 1"},
    {IN1, -8, "in[1] is -8; must be at least 1"},
    {IN0, 2, "filter[0] is 3 with dilation 1; it does not fit in the padded input of 2 (2 + 0 + 0)"},
    {FILTER0, 0, "filter[0] is 0; must be at least 1"},
    {FILTER1, -1, "filter[1] is -1; must be at least 1"},
    {FILTER1, 9, "filter[1] is 9 with dilation 1; it does not fit in the padded input of 8 (8 + 0 + 0)"},
    {FILTER0, INT64_MAX, "filter[0] is 9223372036854775807; must be at most 1152921504606846976"},
    {STRIDE0, 0, "stride[0] is 0; must be at least 1"},
    {STRIDE1, 0, "stride[1] is 0; must be at least 1"},
    {STRIDE1, -3, "stride[1] is -3; must be at least 1"},
    {DILATION0, 0, "dilation[0] is 0; must be at least 1"},
    {DILATION1, -1, "dilation[1] is -1; must be at least 1"},
    {DILATION1, 4, "filter[1] is 3 with dilation 4; it does not fit in the padded input of 8"},
    {DILATION0, INT64_MAX, "dilation[0] is 9223372036854775807; must be at most 1152921504606846976"},
    {BEGIN0, -1, "pad_begin[0] is -1; must be at least 0"},
    {BEGIN1, -2, "pad_begin[1] is -2; must be at least 0"},
    {END0, -1, "pad_end[0] is -1; must be at least 0"},
    {END1, INT64_MIN, "pad_end[1] is -9223372036854775808; must be at least 0"},
    {DILATION0, (int64_t)1 << 60, "filter[0] is 3 with dilation 1152921504606846976; it does not fit"},
    {STRIDE0, ((int64_t)1 << 60) + 1, "stride[0] is 1152921504606846977; must be at most 1152921504606846976"},
    {BEGIN0, INT64_MAX, "pad_begin[0] is 9223372036854775807; must be at most 1152921504606846976"},
    {END1, INT64_MAX, "pad_end[1] is 9223372036854775807; must be at most 1152921504606846976"},
    {BATCH, INT64_MAX, "input is too large: "},
    {BATCH, INT64_MAX / 1000, "input is too large: "},
    {C, INT64_MAX / 2 * 2, "input is too large: "},
    {K, INT64_MAX / 2 * 2, "weight is too large: "},
    {IN0, (int64_t)1 << 59, "input is too large: "},
    {END0, INT64_MAX / 16, "output is too large: "},
    {LAYOUT, 2, "layout is 2; that is no cvg_layout"},
    {LAYOUT, -1, "layout is -1; that is no cvg_layout"},
    {WEIGHT_LAYOUT, 3, "weight_layout is 3; that is no cvg_weight_layout"},
    {IN_STEP1, 2, "in_steps.axis[1] is 2; must be at most 1"},
    {OUT_STEP1, -1, "out_steps.axis[1] is -1; must be at least 1"},
    {IN_STEP0, 7, "in_steps.axis[0] is 7; must be at least 8"},
    {IN_CHANNEL, 63, "in_steps.channel is 63; must be at least 64"},
    {IN_IMAGE, 255, "in_steps.image is 255; must be at least 256"},
    {IN_IMAGE, INT64_MAX, "in_steps.image is 9223372036854775807; must be at most "},
    {IN_IMAGE, INT64_MAX / 4, "in_steps.image is 2305843009213693951; so far apart the tensor does not fit"},
    {SIZE, 0, "conv.struct_size is 0; must be "},
    {SIZE, 100000, "conv.struct_size is 100000; must be "},
};

static void check_bad_convs(void)
{
    for (size_t i = 0; i < sizeof bad_convs / sizeof *bad_convs; i++) {
        cvg_conv conv = good_conv();
        cvg_plan *plan = (cvg_plan *)(uintptr_t)1;
        cvg_error error = {"untouched"}, other = {"untouched"};
        int64_t out[3];
        set(&conv, bad_convs[i].field, bad_convs[i].value);
        const cvg_status status = cvg_plan_create(&plan, &conv, NULL, &error);
        check(status == CVG_INVALID_ARGUMENT, "descriptor %zu: status %d", i, status);
        check(plan == NULL, "descriptor %zu: the plan is not NULL", i);
        check(!strncmp(error.text, bad_convs[i].sentence, strlen(bad_convs[i].sentence)),
              "descriptor %zu: \"%s\", must begin with \"%s\"", i, error.text, bad_convs[i].sentence);
        check(cvg_output_size(&conv, out, &other) == CVG_INVALID_ARGUMENT && !strcmp(error.text, other.text),
              "descriptor %zu: cvg_output_size says \"%s\"", i, other.text);
        check(cvg_plan_create(&plan, &conv, NULL, NULL) == CVG_INVALID_ARGUMENT, "descriptor %zu: no error", i);
    }
}

static void check_bad_option(cvg_options options, cvg_status status, const char *sentence)
{
    const cvg_conv conv = good_conv();
    cvg_plan *plan;
    cvg_error error = {"untouched"};
    const cvg_status got = cvg_plan_create(&plan, &conv, &options, &error);
    check(got == status && plan == NULL, "option \"%s\": status %d", sentence, got);
    check(!strncmp(error.text, sentence, strlen(sentence)), "\"%s\", must begin with \"%s\"", error.text, sentence);
    cvg_plan_destroy(plan);
}

static void check_bad_options(void)
{
    cvg_options o = CVG_OPTIONS_INIT;
    o.algo[CVG_FORWARD] = (cvg_algo)77;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "algo[CVG_FORWARD] is 77; that is no cvg_algo");
    o = (cvg_options)CVG_OPTIONS_INIT;
    o.algo[CVG_GRAD_WEIGHT] = (cvg_algo)-1;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "algo[CVG_GRAD_WEIGHT] is -1; that is no cvg_algo");
    o = (cvg_options)CVG_OPTIONS_INIT;
    o.error_growth = 0.5;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "error_growth is 0.5; must be at least 1");
    o.error_growth = NAN;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "error_growth is ");
    o = (cvg_options)CVG_OPTIONS_INIT;
    o.gradient_scale = NAN;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "gradient_scale is ");
    o.gradient_scale = INFINITY;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "gradient_scale is inf; must be finite");
    o = (cvg_options)CVG_OPTIONS_INIT;
    o.threads = -1;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "threads is -1; must be 0 to 4096");
    o.threads = 4097;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "threads is 4097; must be 0 to 4096");
    o = (cvg_options)CVG_OPTIONS_INIT;
    o.struct_size = 3;
    check_bad_option(o, CVG_INVALID_ARGUMENT, "options.struct_size is 3; must be ");
    o = (cvg_options)CVG_OPTIONS_INIT;
    o.algo[CVG_GRAD_INPUT] = CVG_IM2COL;
    o.workspace_limit = 100;
    check_bad_option(o, CVG_UNSUPPORTED, "workspace_limit is 100; grad_input by im2col needs at least ");

    o = (cvg_options)CVG_OPTIONS_INIT;
    o.isa = "vax";
    check_bad_option(o, CVG_INVALID_ARGUMENT, "isa is \"vax\"; this processor has ");
}

/* Structs of older and newer programs. */
static void check_growing_structs(void)
{
    struct {
        cvg_options known;
        char more[24];
    } newer;
    cvg_conv conv = good_conv(), again;
    cvg_options older = CVG_OPTIONS_INIT;
    cvg_error error;
    cvg_plan *plan;
    cvg_options_init(&newer.known, sizeof newer);
    check(newer.known.struct_size == sizeof newer && newer.known.error_growth == CVG_ERROR_GROWTH && !newer.more[23],
          "options_init");
    check(cvg_plan_create(&plan, &conv, &newer.known, &error) == CVG_OK, "options of a newer program: %s", error.text);
    char text[1024];
    const size_t length = cvg_plan_export(plan, text, sizeof text);
    cvg_plan_destroy(plan);
    check(cvg_plan_import(&plan, text, length, &conv, &newer.known, &error) == CVG_OK, "import, newer: %s", error.text);
    cvg_plan_destroy(plan);
    check(cvg_plan_measure(&plan, &conv, &newer.known, 0, &error) == CVG_OK, "measure, newer: %s", error.text);
    cvg_plan_destroy(plan);
    newer.more[20] = 1;
    check(cvg_plan_create(&plan, &conv, &newer.known, &error) == CVG_INVALID_ARGUMENT &&
              strstr(error.text, "must be 0"),
          "options that this library does not know: %s", error.text);
    older.struct_size = offsetof(cvg_options, isa);
    older.isa = "beyond its end";
    check(cvg_plan_create(&plan, &conv, &older, &error) == CVG_OK, "options of an older program: %s", error.text);
    cvg_plan_destroy(plan);
    memset(&again, 0x55, sizeof again);
    cvg_conv_init(&again, sizeof again);
    check(again.struct_size == sizeof again && again.filter[2] == 1 && again.pad_end[2] == 0 && again.groups == 1,
          "conv_init");
    cvg_conv first = good_conv();
    first.struct_size = offsetof(cvg_conv, layout);
    first.layout = CVG_CHANNELS_LAST; /* beyond its end */
    check(cvg_plan_create(&plan, &first, NULL, &error) == CVG_OK, "a descriptor of an older program: %s", error.text);
    char told[4096];
    cvg_plan_describe(plan, told, sizeof told);
    check(!strstr(told, "channels_last"), "what stands past an older descriptor is read");
    cvg_plan_destroy(plan);
    memset(&older, 0x55, sizeof older);
    cvg_options_init(&older, offsetof(cvg_options, isa)); /* writes no more than that */
    check(older.struct_size == offsetof(cvg_options, isa) && ((const unsigned char *)&older.isa)[0] == 0x55,
          "options_init of an older one");
    cvg_conv_init(NULL, sizeof again);
}

static void check_null_plan_arguments(void)
{
    const cvg_conv conv = good_conv();
    cvg_plan *plan;
    cvg_error error;
    int64_t out[3];
    check(cvg_plan_create(NULL, &conv, NULL, &error) == CVG_INVALID_ARGUMENT && !strcmp(error.text, "plan is NULL"),
          "NULL plan: %s", error.text);
    check(cvg_plan_create(&plan, NULL, NULL, &error) == CVG_INVALID_ARGUMENT && !strcmp(error.text, "conv is NULL"),
          "NULL conv: %s", error.text);
    check(cvg_output_size(&conv, NULL, &error) == CVG_INVALID_ARGUMENT && !strcmp(error.text, "out is NULL"),
          "NULL out: %s", error.text);
    check(cvg_output_size(NULL, out, &error) == CVG_INVALID_ARGUMENT && !strcmp(error.text, "conv is NULL"),
          "NULL conv: %s", error.text);
    check(cvg_output_size(&conv, out, &error) == CVG_OK && error.text[0] == 0 && out[0] == 6 && out[1] == 6,
          "output size %d x %d", (int)out[0], (int)out[1]);
    cvg_plan_destroy(NULL);
}

/* Every required pointer, left out in turn; nothing may be written. */
static void check_null_operands(int64_t batch)
{
    cvg_conv conv = good_conv();
    cvg_plan *plan;
    float x[2 * 4 * 64] = {0}, w[6 * 2 * 9] = {0}, y[2 * 6 * 36] = {0}, b[6] = {0};
    cvg_options options = CVG_OPTIONS_INIT;
    options.algo[0] = options.algo[1] = options.algo[2] = CVG_DIRECT;
    conv.batch = batch;
    check(cvg_plan_create(&plan, &conv, &options, NULL) == CVG_OK, "cannot make the plan");
    void *s = malloc(1 << 22);
    const cvg_status bad = CVG_INVALID_ARGUMENT;
    const cvg_mode set = CVG_OVERWRITE;
    const struct {
        const char *what;
        cvg_status got, want;
    } calls[] = {
        {"forward, plan", cvg_forward(NULL, x, w, b, y, s), bad},
        {"forward, input", cvg_forward(plan, NULL, w, b, y, s), bad},
        {"forward, weight", cvg_forward(plan, x, NULL, b, y, s), bad},
        {"forward, output", cvg_forward(plan, x, w, b, NULL, s), bad},
        {"forward, workspace", cvg_forward(plan, x, w, b, y, NULL), bad},
        {"forward, no bias", cvg_forward(plan, x, w, NULL, y, s), CVG_OK},
        {"grad_input, plan", cvg_grad_input(NULL, y, w, x, set, s), bad},
        {"grad_input, grad_output", cvg_grad_input(plan, NULL, w, x, set, s), bad},
        {"grad_input, weight", cvg_grad_input(plan, y, NULL, x, set, s), bad},
        {"grad_input, grad_input", cvg_grad_input(plan, y, w, NULL, set, s), bad},
        {"grad_input, workspace", cvg_grad_input(plan, y, w, x, set, NULL), bad},
        {"grad_input, mode", cvg_grad_input(plan, y, w, x, (cvg_mode)2, s), bad},
        {"grad_weight, plan", cvg_grad_weight(NULL, x, y, w, set, s), bad},
        {"grad_weight, input", cvg_grad_weight(plan, NULL, y, w, set, s), bad},
        {"grad_weight, grad_output", cvg_grad_weight(plan, x, NULL, w, set, s), bad},
        {"grad_weight, grad_weight", cvg_grad_weight(plan, x, y, NULL, set, s), bad},
        {"grad_weight, workspace", cvg_grad_weight(plan, x, y, w, set, NULL), bad},
        {"grad_weight, mode", cvg_grad_weight(plan, x, y, w, (cvg_mode)-1, s), bad},
        {"grad_bias, plan", cvg_grad_bias(NULL, y, b, set), bad},
        {"grad_bias, grad_output", cvg_grad_bias(plan, NULL, b, set), bad},
        {"grad_bias, grad_bias", cvg_grad_bias(plan, y, NULL, set), bad},
        {"grad_bias, mode", cvg_grad_bias(plan, y, b, (cvg_mode)9), bad},
        {"transpose, plan", cvg_transpose_forward(NULL, y, w, NULL, x, s), bad},
        {"transpose, input", cvg_transpose_forward(plan, NULL, w, NULL, x, s), bad},
        {"transpose, weight", cvg_transpose_forward(plan, y, NULL, NULL, x, s), bad},
        {"transpose, output", cvg_transpose_forward(plan, y, w, NULL, NULL, s), bad},
        {"transpose, workspace", cvg_transpose_forward(plan, y, w, NULL, x, NULL), bad},
        {"transpose, no bias", cvg_transpose_forward(plan, y, w, NULL, x, s), CVG_OK},
        {"transpose backward, plan", cvg_transpose_backward(NULL, y, w, x, y, w, b, set, s), bad},
        {"transpose backward, grad_output", cvg_transpose_backward(plan, y, w, NULL, y, w, b, set, s), bad},
        {"transpose backward, input", cvg_transpose_backward(plan, NULL, NULL, x, NULL, w, NULL, set, s), bad},
        {"transpose backward, weight", cvg_transpose_backward(plan, y, NULL, x, y, NULL, NULL, set, s), bad},
        {"transpose backward, workspace", cvg_transpose_backward(plan, y, NULL, x, NULL, w, NULL, set, NULL), bad},
        {"transpose backward, mode", cvg_transpose_backward(plan, y, w, x, y, NULL, NULL, (cvg_mode)3, s), bad},
        {"transpose backward, nothing", cvg_transpose_backward(plan, NULL, NULL, x, NULL, NULL, NULL, set, NULL),
         CVG_OK},
        {"backward, plan", cvg_backward(NULL, x, w, y, x, w, b, set, s), bad},
        {"backward, grad_output", cvg_backward(plan, x, w, NULL, x, w, b, set, s), bad},
        {"backward, input for grad_weight", cvg_backward(plan, NULL, w, y, NULL, w, NULL, set, s), bad},
        {"backward, weight for grad_input", cvg_backward(plan, x, NULL, y, x, NULL, NULL, set, s), bad},
        {"backward, workspace", cvg_backward(plan, x, w, y, NULL, w, NULL, set, NULL), bad},
        {"backward, mode", cvg_backward(plan, x, w, y, NULL, NULL, b, (cvg_mode)3, s), bad},
        {"backward, bias alone", cvg_backward(plan, NULL, NULL, y, NULL, NULL, b, set, NULL), CVG_OK},
        {"backward, nothing", cvg_backward(plan, NULL, NULL, y, NULL, NULL, NULL, set, NULL), CVG_OK},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        check(calls[i].got == calls[i].want, "%s: status %d", calls[i].what, calls[i].got);
    const cvg_pass gi = CVG_GRAD_INPUT, gw = CVG_GRAD_WEIGHT;
    cvg_error e[8];
    const struct {
        cvg_status got;
        const char *want;
    } asked[] = {
        {cvg_check_call(NULL, CVG_FORWARD, x, w, y, set, s, &e[0]), "plan is NULL"},
        {cvg_check_call(plan, (cvg_pass)3, x, w, y, set, s, &e[1]), "pass is 3; that is no cvg_pass"},
        {cvg_check_call(plan, CVG_FORWARD, x, NULL, y, set, s, &e[2]), "weight is NULL"},
        {cvg_check_call(plan, gi, NULL, w, x, set, s, &e[3]), "grad_output is NULL"},
        {cvg_check_call(plan, gw, x, y, NULL, set, s, &e[4]), "grad_weight is NULL"},
        {cvg_check_call(plan, gw, x, y, w, (cvg_mode)7, s, &e[5]), "mode is 7; that is no cvg_mode"},
        {cvg_check_call(plan, gi, y, w, x, set, NULL, &e[6]), "workspace is NULL; grad_input needs "},
        {cvg_check_call(plan, gi, y, w, x, set, NULL, NULL), NULL},
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        check(asked[i].got == bad && (!asked[i].want || !strncmp(e[i].text, asked[i].want, strlen(asked[i].want))),
              "cvg_check_call says \"%s\"; must be \"%s\"", asked[i].want ? e[i].text : "", asked[i].want);
    check(cvg_check_call(plan, gw, x, y, w, set, s, &e[0]) == CVG_OK, "cvg_check_call of a good call");
    free(s);
    cvg_plan_destroy(plan);
}

/* Absurd but valid sizes: a plan or a clean refusal, no overflow. */
static void check_huge(void)
{
    static const int64_t huge[] = {(int64_t)1 << 20, (int64_t)1 << 31, (int64_t)1 << 40, (int64_t)1 << 59};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++)
        for (int field = BATCH; field <= END1; field++)
            for (int algo = CVG_AUTO; algo < CVG_ALGO_COUNT; algo++) {
                cvg_conv conv = good_conv();
                cvg_options options = CVG_OPTIONS_INIT;
                cvg_plan *plan;
                cvg_error error = {""};
                options.algo[0] = options.algo[1] = options.algo[2] = (cvg_algo)algo;
                if (field == STRIDE0 || field == DILATION0)
                    conv.pad_begin[0] = conv.pad_end[0] = huge[i];
                if (field == FILTER0)
                    conv.pad_end[0] = huge[i];
                set(&conv, (enum field)field, huge[i]);
                const cvg_status status = cvg_plan_create(&plan, &conv, &options, &error);
                check((status == CVG_OK) == (plan != NULL) && (status == CVG_OK) == (error.text[0] == 0),
                      "huge field %d: status %d, \"%s\"", field, status, error.text);
                if (plan)
                    check(cvg_plan_describe(plan, NULL, 0) > 0, "huge field %d: no description", field);
                cvg_plan_destroy(plan);
            }
}

/* The largest sizes that an otherwise tiny problem may have: no sum of sizes overflows. */
static void check_largest(void)
{
    static const int64_t huge[] = {((int64_t)1 << 60) - 1, ((int64_t)1 << 59) + 1, ((int64_t)1 << 56) + 1};
    static const enum field fields[] = {BATCH, C, K, IN0, IN1};
    int made = 0;
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++)
        for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
            for (int algo = CVG_AUTO; algo < CVG_ALGO_COUNT; algo++)
                for (int filter = 1; filter <= 3; filter++) {
                    cvg_conv conv = CVG_CONV_INIT;
                    cvg_options options = CVG_OPTIONS_INIT;
                    cvg_plan *plan;
                    conv.filter[1] = filter;
                    conv.pad_end[1] = filter - 1;
                    options.algo[0] = options.algo[1] = options.algo[2] = (cvg_algo)algo;
                    set(&conv, fields[f], huge[i]);
                    made += cvg_plan_create(&plan, &conv, &options, NULL) == CVG_OK;
                    cvg_plan_destroy(plan);
                }
    check(made > 50, "only %d of the largest problems have plans", made);
}

static void check_plan_queries(void)
{
    const cvg_conv conv = good_conv();
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan, *tight;
    options.threads = 3;
    check(cvg_plan_create(&plan, &conv, NULL, NULL) == CVG_OK, "NULL options and error");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        check(cvg_plan_algo(plan, (cvg_pass)pass) != CVG_AUTO, "pass %d: no algorithm", pass);
        check(cvg_plan_threads(plan, (cvg_pass)pass) >= 1, "pass %d: no thread", pass);
    }
    check(cvg_plan_algo(plan, (cvg_pass)9) == CVG_AUTO && cvg_plan_workspace_size(plan, (cvg_pass)-1) == 0,
          "a pass that is none");

    char whole[4096], part[20];
    const size_t length = cvg_plan_describe(plan, whole, sizeof whole);
    check(length == strlen(whole) && cvg_plan_describe(plan, NULL, 0) == length, "describe: length %zu", length);
    check(cvg_plan_describe(plan, part, sizeof part) == length && strlen(part) == 19 && !strncmp(part, whole, 19),
          "describe: cut to \"%s\"", part);
    check(strstr(whole, "forward: direct") && strstr(whole, "not im2col"), "describe: %s", whole);
    cvg_plan_destroy(plan);

    /* A limit is kept, by another algorithm if need be; the choice is the same for every thread count. */
    for (options.workspace_limit = 1; options.workspace_limit < 1 << 22; options.workspace_limit *= 2) {
        cvg_algo algo[2];
        for (int many = 0; many < 2; many++) {
            options.threads = many ? 64 : 1;
            check(cvg_plan_create(&tight, &conv, &options, NULL) == CVG_OK, "limit %zu", options.workspace_limit);
            check(cvg_plan_workspace_size(tight, CVG_FORWARD) <= options.workspace_limit, "limit %zu is passed",
                  options.workspace_limit);
            algo[many] = cvg_plan_algo(tight, CVG_FORWARD);
            cvg_plan_destroy(tight);
        }
        check(algo[0] == algo[1], "limit %zu: the choice depends on threads", options.workspace_limit);
    }
}

/* ---- plans as text ---- */

static cvg_conv layer_conv(void)
{
    cvg_conv conv = CVG_CONV_INIT;
    conv.batch = 2;
    conv.in_channels = conv.out_channels = 32;
    conv.in[0] = conv.in[1] = 14;
    conv.filter[0] = conv.filter[1] = 3;
    conv.pad_begin[0] = conv.pad_begin[1] = conv.pad_end[0] = conv.pad_end[1] = 1;
    return conv;
}

static void refused(const char *text, size_t length, const cvg_conv *conv, const cvg_options *options,
                    const char *sentence)
{
    cvg_plan *plan;
    cvg_error error = {""};
    check(cvg_plan_import(&plan, text, length, conv, options, &error) == CVG_INVALID_ARGUMENT && !plan,
          "\"%s\" is imported", sentence);
    check(strstr(error.text, sentence) != NULL, "import says \"%s\"; must say \"%s\"", error.text, sentence);
}

static void check_text(void)
{
    const cvg_conv conv = layer_conv();
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_conv other = conv;
    cvg_plan *plan, *again;
    cvg_error error;
    char text[1024], second[1024], part[10], changed[1100];
    options.algo[CVG_GRAD_INPUT] = CVG_IM2COL; /* not what AUTO takes */
    check(cvg_plan_create(&plan, &conv, &options, &error) == CVG_OK, "%s", error.text);
    options.algo[CVG_GRAD_INPUT] = CVG_AUTO;
    const size_t length = cvg_plan_export(plan, text, sizeof text);
    check(length == strlen(text) && cvg_plan_export(plan, NULL, 0) == length, "export: length %zu", length);
    char first[80]; /* another version of the text's form is another text */
    snprintf(first, sizeof first, "convgrad plan 1 of %s\n", cvg_version());
    check(!strncmp(text, first, strlen(first)), "export begins with %.40s", text);
    check(cvg_plan_export(plan, part, sizeof part) == length && !strcmp(part, "convgrad "), "export: cut to \"%s\"",
          part);
    check(cvg_plan_export(NULL, part, sizeof part) == 0 && !*part, "export of NULL");
    if (check(cvg_plan_import(&again, text, length, &conv, &options, &error) == CVG_OK, "import: %s", error.text)) {
        check(cvg_plan_export(again, second, sizeof second) == length && !strcmp(text, second), "import: \"%s\"",
              second);
        check(cvg_plan_algo(again, CVG_GRAD_INPUT) == CVG_IM2COL, "import: the choice is lost");
        cvg_plan_destroy(again);
    }
    cvg_plan_destroy(plan);

    other.batch = 3;
    refused(text, length, &other, &options, "text is for ... \"batch 2 channels 32 ");
    other = conv;
    other.type = CVG_F64;
    refused(text, length, &other, &options, "text is for \"problem f32 batch 2 ");
    options.error_growth = 2;
    refused(text, length, &conv, &options,
            "text is made under \"limits error_growth 12 workspace 0\"; must be \"limits error_growth 2 ");
    options.error_growth = 12;
    options.algo[CVG_GRAD_INPUT] = CVG_DIRECT;
    refused(text, length, &conv, &options, "text has im2col for grad_input; algo[grad_input] is direct");
    options.algo[CVG_GRAD_INPUT] = CVG_AUTO;
    refused("convgrad plan 0 of 0.0.1\n", 25, &conv, &options, "text is written by \"convgrad plan 0 of 0.0.1\"");
    refused("%PDF-1.4", 8, &conv, &options, "text is written by \"%PDF-1.4\"");
    char *name = strstr(strcpy(changed, text), "im2col");
    memcpy(name, "direct", 6); /* a choice that could be right, and is not what was written */
    refused(changed, length, &conv, &options, "text is damaged");
    memcpy(name, "indigo", 6);
    refused(changed, length, &conv, &options, "text has \"indigo\" for grad_input; that is no algorithm");
    check(cvg_plan_import(&again, NULL, 0, &conv, &options, NULL) == CVG_INVALID_ARGUMENT, "import of NULL");
    check(cvg_plan_import(NULL, text, length, &conv, &options, NULL) == CVG_INVALID_ARGUMENT, "import to NULL");

    /* Cut off anywhere; and changed, each time in a block of exactly its size. */
    struct random random = {4};
    for (size_t i = 0; i < 2000 + length; i++) {
        size_t size = i < length ? i : length;
        memcpy(changed, text, length);
        for (int edits = i < length ? 0 : 1 + (int)(random_bits(&random) % 3); edits > 0; edits--) {
            const size_t at = random_bits(&random) % size, kind = random_bits(&random) % 4;
            if (kind == 0)
                changed[at] = (char)random_bits(&random);
            else if (kind == 1)
                changed[at] ^= (char)(1 << random_bits(&random) % 8);
            else if (kind == 2 && size < sizeof changed)
                memmove(changed + at + 1, changed + at, size++ - at);
            else
                memmove(changed + at, changed + at + 1, --size - at);
        }
        char *exact = malloc(size ? size : 1);
        memcpy(exact, changed, size);
        const int same = size == length && !memcmp(exact, text, length);
        const cvg_status status = cvg_plan_import(&again, exact, size, &conv, &options, &error);
        check(same ? status == CVG_OK : status == CVG_INVALID_ARGUMENT && !again && error.text[0],
              "a changed text is imported: %.*s", (int)size, exact);
        cvg_plan_destroy(again);
        free(exact);
    }
}

static void check_measure(void)
{
    const cvg_conv conv = layer_conv();
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan;
    cvg_error error;
    char text[4096];
    options.algo[CVG_GRAD_WEIGHT] = CVG_IM2COL;
    options.error_growth = 1;
    options.workspace_limit = 1 << 20;
    if (!check(cvg_plan_measure(&plan, &conv, &options, 0.01, &error) == CVG_OK, "measure: %s", error.text))
        return;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        check(cvg_plan_error_growth(plan, (cvg_pass)pass) == 1, "measure: pass %d breaks error_growth", pass);
        check(cvg_plan_workspace_size(plan, (cvg_pass)pass) <= 1 << 20, "measure: pass %d breaks the limit", pass);
    }
    check(cvg_plan_algo(plan, CVG_GRAD_WEIGHT) == CVG_IM2COL, "measure: a pinned algorithm is changed");
    cvg_plan_describe(plan, text, sizeof text);
    check(strstr(text, ", measured ") && strstr(text, " times as long") && strstr(text, "im2col was asked for"),
          "measure: %s", text);
    cvg_plan_destroy(plan);
    check(cvg_plan_measure(&plan, &conv, &options, -1, &error) == CVG_INVALID_ARGUMENT &&
              !strcmp(error.text, "seconds is -1; must be at least 0"),
          "measure: %s", error.text);
    check(cvg_plan_measure(NULL, &conv, &options, 1, NULL) == CVG_INVALID_ARGUMENT, "measure to NULL");
}

/* What AUTO takes keeps the limit of the error; 1 leaves exact algorithms only. */
static void check_growth(void)
{
    cvg_conv conv = layer_conv();
    conv.batch = 8; /* so that Winograd pays */
    conv.in_channels = conv.out_channels = 64;
    static const double limits[] = {1, 1.2, 3, 8, 12, 1e9};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        cvg_options options = CVG_OPTIONS_INIT;
        cvg_plan *plan;
        int mixed = 0;
        options.error_growth = limits[i];
        check(cvg_plan_create(&plan, &conv, &options, NULL) == CVG_OK, "growth %g", limits[i]);
        for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
            const double growth = cvg_plan_error_growth(plan, (cvg_pass)pass),
                         bound = cvg_plan_error_bound(plan, (cvg_pass)pass);
            check(growth >= 1 && growth <= limits[i] && bound > 0 && bound < 1e9, "growth %g: %g, bound %g", limits[i],
                  growth, bound);
            mixed += cvg_algo_mixes(cvg_plan_algo(plan, (cvg_pass)pass));
        }
        check((mixed > 0) == (limits[i] >= 3), "growth %g: %d passes mix neighbours", limits[i], mixed);
        cvg_plan_destroy(plan);
    }
    check(cvg_plan_error_growth(NULL, CVG_FORWARD) == 0 && cvg_plan_error_bound(NULL, CVG_FORWARD) == 0,
          "growth of NULL");
}

static void check_names(void)
{
    check(!strcmp(cvg_version(), "0.1.0"), "version %s", cvg_version());
    check(!strcmp(cvg_status_string(CVG_OK), "ok"), "status");
    check(!strcmp(cvg_status_string(CVG_OUT_OF_MEMORY), "out of memory"), "status");
    check(!strcmp(cvg_status_string((cvg_status)99), "unknown status"), "status");
    check(!strcmp(cvg_algo_name(CVG_AUTO), "auto") && !strcmp(cvg_algo_name(CVG_IM2COL), "im2col"), "algo");
    check(cvg_algo_name((cvg_algo)99) == NULL, "algo");
}

/* Batch 0: operands may be NULL, gradients of parameters are zero, accumulation keeps them. */
static void check_batch_zero(void)
{
    cvg_conv conv = good_conv();
    cvg_plan *plan;
    float w[108], b[6];
    conv.batch = 0;
    check(cvg_plan_create(&plan, &conv, NULL, NULL) == CVG_OK, "batch 0");
    void *s = malloc(1 << 22);
    for (int i = 0; i < 108; i++)
        w[i] = 7;
    for (int i = 0; i < 6; i++)
        b[i] = 7;
    check(cvg_backward(plan, NULL, w, NULL, NULL, w, b, CVG_ACCUMULATE, s) == CVG_OK && w[5] == 7 && b[5] == 7,
          "batch 0 accumulates something");
    check(cvg_backward(plan, NULL, w, NULL, NULL, w, b, CVG_OVERWRITE, s) == CVG_OK, "batch 0 backward");
    for (int i = 0; i < 108; i++)
        check(w[i] == 0, "batch 0: grad_weight %g", (double)w[i]);
    for (int i = 0; i < 6; i++)
        check(b[i] == 0, "batch 0: grad_bias %g", (double)b[i]);
    check(cvg_forward(plan, NULL, w, NULL, NULL, s) == CVG_OK, "batch 0 forward");
    free(s);
    cvg_plan_destroy(plan);
}

/* A pool that does not do what is asked of it. */
static void idle_pool(void *pool, int count, void (*task)(void *context, int index), void *context)
{
    (void)pool, (void)count, (void)task, (void)context;
}

static void check_verify(void)
{
    static const cvg_algo algos[] = {CVG_AUTO, CVG_REFERENCE, CVG_DIRECT, CVG_IM2COL, CVG_WINOGRAD6};
    cvg_report report;
    for (size_t i = 0; i < sizeof algos / sizeof *algos; i++)
        for (int type = 0; type < 2; type++)
            for (int scaled = 0; scaled < 2; scaled++) {
                cvg_conv conv = CVG_CONV_INIT;
                cvg_options options = CVG_OPTIONS_INIT;
                cvg_plan *plan;
                conv.type = (cvg_type)type;
                conv.batch = 3;
                conv.in_channels = 5;
                conv.out_channels = 18;
                for (int axis = 0; axis < 2; axis++) {
                    conv.in[axis] = 13 + axis;
                    conv.filter[axis] = 3;
                    conv.pad_begin[axis] = 1;
                }
                options.algo[0] = options.algo[1] = options.algo[2] = algos[i];
                options.gradient_scale = scaled ? 1.0 / 3 : 1;
                check(cvg_plan_create(&plan, &conv, &options, NULL) == CVG_OK, "a plan to verify");
                const cvg_status status = cvg_verify(plan, &report);
                check(status == CVG_OK && report.failures == 0 && report.checks > 10000 && !*report.text,
                      "verify of algorithm %d, type %d, scale 1/%d: %s; %s", (int)algos[i], type, scaled ? 3 : 1,
                      cvg_status_string(status), report.text);
                cvg_plan_destroy(plan);
            }
    check(cvg_verify(NULL, &report) == CVG_INVALID_ARGUMENT, "verify of NULL");

    cvg_conv conv = good_conv();
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan;
    options.threads = 2;
    options.parallel_for = idle_pool;
    cvg_plan_create(&plan, &conv, &options, NULL);
    check(cvg_verify(plan, NULL) == CVG_INVALID_ARGUMENT, "verify without a report");
    check(cvg_verify(plan, &report) == CVG_WRONG_RESULT && report.failures > 100 && strstr(report.text, "output by"),
          "a pool that does nothing: %d, %s", (int)report.failures, report.text);
    cvg_plan_destroy(plan);
    conv.batch = 0;
    check(cvg_plan_create(&plan, &conv, NULL, NULL) == CVG_OK && cvg_verify(plan, &report) == CVG_OK,
          "verify of batch 0");
    cvg_plan_destroy(plan);
}

static void check_gaps(const cvg_conv *conv, const char *what)
{
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan;
    cvg_report report;
    options.algo[0] = options.algo[1] = options.algo[2] = CVG_DIRECT;
    check(cvg_plan_create(&plan, conv, &options, NULL) == CVG_OK, "a plan of %s", what);
    check(cvg_verify(plan, &report) == CVG_OK, "%s: %s", what, report.text);
    cvg_plan_destroy(plan);
}

/* A filter as large as its image, whose pixels have gaps that look like those of rows: no matrix product. */
static void check_gaps_between_pixels(void)
{
    cvg_conv conv = CVG_CONV_INIT;
    conv.layout = CVG_CHANNELS_LAST;
    conv.weight_layout = CVG_KRSC;
    conv.batch = 2;
    conv.in_channels = 8;
    conv.out_channels = 3;
    conv.in[0] = conv.filter[0] = 4;
    conv.in_steps = (cvg_steps){44, 1, {11, 11, 0}};
    check_gaps(&conv, "pixels with gaps");
}

/* Small images of which many are in a region, with gaps between them: their pixels are not evenly apart. */
static void check_gaps_between_images(void)
{
    cvg_conv conv = CVG_CONV_INIT;
    conv.layout = CVG_CHANNELS_LAST;
    conv.weight_layout = CVG_KRSC;
    conv.batch = 90;
    conv.in_channels = 8;
    conv.out_channels = 24;
    conv.in[0] = conv.in[1] = 5;
    conv.in_steps = (cvg_steps){5 * 5 * 8 + 3, 1, {5 * 8, 8, 0}};
    check_gaps(&conv, "images with gaps");
    conv.in_steps = (cvg_steps){0};
    conv.out_steps = (cvg_steps){5 * 5 * 24 + 7, 1, {5 * 24, 24, 0}};
    check_gaps(&conv, "results with gaps");
}

int main(void)
{
    check_bad_convs();
    check_bad_options();
    check_null_plan_arguments();
    check_null_operands(1);
    check_null_operands(2);
    check_growing_structs();
    check_huge();
    check_largest();
    check_plan_queries();
    check_text();
    check_measure();
    check_growth();
    check_names();
    check_batch_zero();
    check_verify();
    check_gaps_between_pixels();
    check_gaps_between_images();
    return check_summary();
}
