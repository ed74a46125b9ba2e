/* relu, leaky_relu, relu6: NaN stays NaN, and gradients follow from the result, as in PyTorch. */
#ifndef real
#include "../network.h"

static cvg_status relu_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    (void)n;
    (void)line;
    l->out = l->in;
    return CVG_OK;
}

static cvg_status leaky_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    l->value = 0.01;
    const cvg_status status = cvt_read_number(line, cvt_take(line), "the slope", &l->value);
    if (!status && !(l->value >= 0))
        return cvt_line_fail(line, "the slope is %g; must be at least 0", l->value);
    return status ? status : relu_make(n, l, line);
}

#define SELF "layers/relu.c"
#include "../twice.h"

const struct cvt_kind cvt_relu = {
    .name = "relu",
    .usage = "relu",
    .make = relu_make,
    .forward = {relu_f32, relu_f64},
    .backward = {relu_back_f32, relu_back_f64},
    .reads_y = 1,
    .may_replace = 1,
};

const struct cvt_kind cvt_leaky_relu = {
    .name = "leaky_relu",
    .usage = "leaky_relu [0.01]",
    .make = leaky_make,
    .forward = {leaky_f32, leaky_f64},
    .backward = {leaky_back_f32, leaky_back_f64},
    .reads_y = 1,
    .may_replace = 1,
};

const struct cvt_kind cvt_relu6 = {
    .name = "relu6",
    .usage = "relu6",
    .make = relu_make,
    .forward = {relu6_f32, relu6_f64},
    .backward = {relu6_back_f32, relu6_back_f64},
    .reads_y = 1,
    .may_replace = 1,
};

#else

static int64_t OF(count)(const struct cvt_call *c) { return c->run->count * c->layer->out.elements; }

static void OF(relu)(const struct cvt_call *c)
{
    const real *x = c->x;
    real *y = c->y;
    for (int64_t i = 0, count = OF(count)(c); i < count; i++)
        y[i] = x[i] <= 0 ? 0 : x[i];
}

static void OF(relu_back)(const struct cvt_call *c)
{
    const real *y = c->y, *dy = c->dy;
    real *dx = c->dx;
    for (int64_t i = 0, count = OF(count)(c); i < count; i++) {
        const real g = dy[i]; /* read in any case: so the compiler may choose by masks */
        dx[i] = y[i] > 0 ? g : 0;
    }
}

static void OF(leaky)(const struct cvt_call *c)
{
    const real *x = c->x, slope = (real)c->layer->value;
    real *y = c->y;
    for (int64_t i = 0, count = OF(count)(c); i < count; i++) {
        const real v = x[i], less = v * slope;
        y[i] = v > 0 ? v : less;
    }
}

static void OF(leaky_back)(const struct cvt_call *c)
{
    const real *y = c->y, *dy = c->dy, slope = (real)c->layer->value;
    real *dx = c->dx;
    for (int64_t i = 0, count = OF(count)(c); i < count; i++) {
        const real g = dy[i], less = g * slope;
        dx[i] = y[i] > 0 ? g : less;
    }
}

static void OF(relu6)(const struct cvt_call *c)
{
    const real *x = c->x;
    real *y = c->y;
    for (int64_t i = 0, count = OF(count)(c); i < count; i++) {
        const real low = x[i] <= 0 ? 0 : x[i];
        y[i] = low >= 6 ? 6 : low;
    }
}

static void OF(relu6_back)(const struct cvt_call *c)
{
    const real *y = c->y, *dy = c->dy;
    real *dx = c->dx;
    for (int64_t i = 0, count = OF(count)(c); i < count; i++) {
        const real g = dy[i], above = y[i] > 0 ? g : 0;
        dx[i] = y[i] < 6 ? above : 0;
    }
}

#endif
