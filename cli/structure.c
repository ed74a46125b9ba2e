/* What verify holds structure to: which elements of an operand an element of a result knows. */
#include "verify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Where the ones are. */
struct ones {
    int64_t n, c, k, i[3], p[3]; /* of the input, n c i; of grad_output, n k p */
};

static struct ones draw_ones(const cvg_conv *conv, const struct sizes *z, uint64_t seed)
{
    struct random random = {seed + 1};
    struct ones one = {.n = (int64_t)(random_bits(&random) % (uint64_t)conv->batch)};
    const int64_t Cg = conv->in_channels / conv->groups, Kg = conv->out_channels / conv->groups;
    const int64_t g = (int64_t)(random_bits(&random) % (uint64_t)conv->groups);
    one.c = g * Cg + (int64_t)(random_bits(&random) % (uint64_t)Cg);
    one.k = g * Kg + (int64_t)(random_bits(&random) % (uint64_t)Kg);
    for (int i = 0; i < conv->spatial_dims; i++) {
        one.i[i] = (int64_t)(random_bits(&random) % (uint64_t)conv->in[i]);
        one.p[i] = (int64_t)(random_bits(&random) % (uint64_t)z->out[i]);
    }
    return one;
}

static int64_t flat(const int64_t *at, const int64_t *extent, int dims)
{
    int64_t index = 0;
    for (int i = 0; i < dims; i++)
        index = index * extent[i] + at[i];
    return index;
}

/* The output position at which a tap reads input position i, or -1. */
static int64_t output_of(const cvg_conv *conv, const struct sizes *z, const int64_t *i, const int64_t *tap)
{
    int64_t p[3];
    for (int a = 0; a < conv->spatial_dims; a++) {
        const int64_t from = i[a] + conv->pad_begin[a] - tap[a] * conv->dilation[a];
        p[a] = from / conv->stride[a];
        if (from < 0 || from % conv->stride[a] || p[a] >= z->out[a])
            return -1;
    }
    return flat(p, z->out, conv->spatial_dims);
}

/* The input position that a tap of output p reads, or -1. */
static int64_t input_of(const cvg_conv *conv, const int64_t *p, const int64_t *tap)
{
    int64_t i[3];
    for (int a = 0; a < conv->spatial_dims; a++) {
        i[a] = p[a] * conv->stride[a] - conv->pad_begin[a] + tap[a] * conv->dilation[a];
        if (i[a] < 0 || i[a] >= conv->in[a])
            return -1;
    }
    return flat(i, conv->in, conv->spatial_dims);
}

static void add(struct array *to, int64_t index, double value) { array_set(to, index, array_get(to, index) + value); }

/*
 * Adds to results what the ones add to operands' results: copies of the filter to output and
 * grad_input; to grad_weight copies of operands (if it has any) and 1 where the ones meet.
 */
static void add_copies(const cvg_conv *conv, const struct sizes *z, const struct ones *one, const struct set *operands,
                       int copies, struct set *results)
{
    const int dims = conv->spatial_dims;
    const int64_t Cg = conv->in_channels / conv->groups, Kg = conv->out_channels / conv->groups;
    const int64_t g = one->c / Cg, taps = z->weight / conv->out_channels / Cg;
    const int64_t plane = z->output / conv->batch / conv->out_channels, in = z->input / conv->batch / conv->in_channels;
    const int64_t here = flat(one->i, conv->in, dims);
    for (int64_t t = 0; t < taps; t++) {
        int64_t tap[3], rest = t;
        for (int a = dims - 1; a >= 0; a--) {
            tap[a] = rest % conv->filter[a];
            rest /= conv->filter[a];
        }
        const int64_t output = output_of(conv, z, one->i, tap), input = input_of(conv, one->p, tap);
        for (int64_t k = g * Kg; output >= 0 && k < (g + 1) * Kg; k++) {
            const int64_t w = (k * Cg + one->c % Cg) * taps + t, y = (one->n * conv->out_channels + k) * plane + output;
            add(&results->view[OUTPUT], y, array_get(&operands->view[WEIGHT], w));
            if (copies)
                add(&results->view[GRAD_WEIGHT], w, array_get(&operands->view[GRAD_OUTPUT], y));
        }
        for (int64_t c = g * Cg; input >= 0 && c < (g + 1) * Cg; c++) {
            const int64_t w = (one->k * Cg + c % Cg) * taps + t, x = (one->n * conv->in_channels + c) * in + input;
            add(&results->view[GRAD_INPUT], x, array_get(&operands->view[WEIGHT], w));
            if (copies)
                add(&results->view[GRAD_WEIGHT], w, array_get(&operands->view[INPUT], x));
        }
        if (input == here)
            add(&results->view[GRAD_WEIGHT], (one->k * Cg + one->c % Cg) * taps + t, 1);
    }
    add(&results->view[GRAD_BIAS], one->k, 1);
}

/* Adds value to the element of input and to that of grad_output. */
static void put_ones(const cvg_conv *conv, const struct sizes *z, const struct ones *one, double value, struct set *set)
{
    const int64_t plane = z->output / conv->batch / conv->out_channels, in = z->input / conv->batch / conv->in_channels;
    add(&set->view[INPUT], (one->n * conv->in_channels + one->c) * in + flat(one->i, conv->in, conv->spatial_dims),
        value);
    add(&set->view[GRAD_OUTPUT],
        (one->n * conv->out_channels + one->k) * plane + flat(one->p, z->out, conv->spatial_dims), value);
}

/* Ones alone: copies; and ones added to operands: the sum of both results. */
static void check_ones(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
                       const struct set *want, struct set *work)
{
    const struct sizes z = problem_sizes(conv);
    const struct ones one = draw_ones(conv, &z, v->seed);
    const int64_t plane = z.output / conv->batch / conv->out_channels;
    for (int sum = 0; sum < 2; sum++) {
        struct set expected;
        set_new(&expected, CVG_F64, &z, 0);
        copy_operands(work, before, 0);
        if (sum)
            for (int i = FIRST_RESULT; i < TENSORS; i++)
                memcpy(expected.view[i].data, want->view[i].data, expected.memory[i].bytes);
        else
            for (int64_t i = 0; i < z.output; i++)
                array_set(&expected.view[OUTPUT], i, array_get(&before->view[BIAS], i / plane % conv->out_channels));
        for (int i = 0; !sum && i < FIRST_RESULT; i++)
            if (i == INPUT || i == GRAD_OUTPUT)
                memset(work->view[i].data, 0, work->memory[i].bytes);
        put_ones(conv, &z, &one, 1, work);
        add_copies(conv, &z, &one, before, sum, &expected);
        set_allowed(v, plan, work);
        poison_results(work);
        run_all(plan, work, CVG_OVERWRITE);
        v->doing = sum ? ", one added to operands" : ", operands of zeros but one";
        for (int i = FIRST_RESULT; i < TENSORS; i++)
            compare(v, (enum tensor)i, work, &expected, NULL, 1, 0);
        v->doing = "";
        set_free(&expected);
    }
}

/* Exact algorithms do in every pass. */
static int keeps_structure(const cvg_plan *plan)
{
    int exact = 1;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        exact &= cvg_plan_error_growth(plan, (cvg_pass)pass) == 1;
    return exact;
}

/*
 * One element of input and one of grad_output that do not fit among the others: a huge one, an infinity or a NaN.
 * Results that do not read it keep their bits.  (reach is 0 there.)
 */
static void check_isolation(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
                            const struct set *set, struct set *work)
{
    static const double odd[] = {1e10, INFINITY, NAN};
    static const char *const what[] = {"1e10", "infinity", "NaN"};
    const struct sizes z = problem_sizes(conv);
    const struct ones one = draw_ones(conv, &z, v->seed);
    const size_t size = conv->type == CVG_F32 ? sizeof(float) : sizeof(double);
    struct set reach;
    char text[200];
    int kept = 1;
    set_new(&reach, CVG_F64, &z, 0);
    for (int i = 0; i < FIRST_RESULT; i++)
        for (int64_t j = 0; j < reach.view[i].count; j++)
            array_set(&reach.view[i], j, 1);
    add_copies(conv, &z, &one, &reach, 1, &reach);
    for (int64_t j = 0, taps = z.weight / conv->out_channels; j < taps; j++) /* zeros of padding count as read, too */
        array_set(&reach.view[GRAD_WEIGHT], one.k * taps + j, 1);
    copy_operands(work, before, 0);
    put_ones(conv, &z, &one, odd[v->seed % 3], work);
    poison_results(work);
    run_all(plan, work, CVG_OVERWRITE);
    for (int i = FIRST_RESULT; i < TENSORS; i++)
        for (int64_t j = 0; j < reach.view[i].count; j++)
            if (array_get(&reach.view[i], j) == 0)
                kept &= !memcmp((char *)work->view[i].data + (size_t)j * size,
                                (char *)set->view[i].data + (size_t)j * size, size);
    snprintf(text, sizeof text, "%s, %s: %s in an operand changed a result that does not read it",
             cvg_algo_name(v->algo), type_name(v->type), what[v->seed % 3]);
    record(v, kept, text);
    set_free(&reach);
}

void non_negative(struct verify *v, const cvg_plan *plan, const struct set *before, struct set *work)
{
    int good = 1;
    if (!keeps_structure(plan))
        return;
    copy_operands(work, before, 1);
    poison_results(work);
    run_all(plan, work, CVG_OVERWRITE);
    for (int i = FIRST_RESULT; i < TENSORS; i++)
        for (int64_t j = 0; j < work->view[i].count; j++)
            good &= array_get(&work->view[i], j) >= 0;
    record(v, good, "a sum of products that are not negative is negative");
}

void structure(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
               const struct set *want, const struct set *set, struct set *work)
{
    if (keeps_structure(plan))
        check_isolation(v, conv, plan, before, set, work);
    check_ones(v, conv, plan, before, want, work);
    set_allowed(v, plan, before); /* as it was */
}
