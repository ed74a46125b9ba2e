/* What verify holds results to. */
#include "verify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const tensor_names[TENSORS] = {
    "input", "weight", "bias", "grad_output", "output", "grad_input", "grad_weight", "grad_bias",
};

enum { POISON_BYTE = 0xff };

void set_new(struct set *set, cvg_type type, const struct sizes *z, size_t gap)
{
    const int64_t counts[TENSORS] = {z->input,  z->weight, z->bias,   z->output,
                                     z->output, z->input,  z->weight, z->bias};
    const size_t size = type == CVG_F32 ? sizeof(float) : sizeof(double);
    for (int i = 0; i < TENSORS; i++) {
        set->memory[i] = guarded_new((size_t)counts[i] * size, gap * size);
        set->view[i] = (struct array){.type = type, .count = counts[i], .data = set->memory[i].data};
    }
}

void set_free(struct set *set)
{
    for (int i = 0; i < TENSORS; i++)
        guarded_free(&set->memory[i]);
}

void fill_operands(struct set *set, int range, uint64_t seed)
{
    struct random random = {seed};
    for (int i = 0; i < FIRST_RESULT; i++)
        for (int64_t j = 0; j < set->view[i].count; j++)
            array_set(&set->view[i], j,
                      range ? (double)(random_bits(&random) % (2u * (unsigned)range + 1)) - range
                            : random_uniform(&random));
}

void copy_operands(struct set *to, const struct set *from, int absolute)
{
    for (int i = 0; i < FIRST_RESULT; i++)
        for (int64_t j = 0; j < from->view[i].count; j++) {
            const double value = array_get(&from->view[i], j);
            array_set(&to->view[i], j, absolute ? fabs(value) : value);
        }
}

void poison_results(struct set *set)
{
    for (int i = FIRST_RESULT; i < TENSORS; i++)
        for (int64_t j = 0; j < set->view[i].count; j++)
            array_set(&set->view[i], j, NAN);
}

/*
 * A workspace of so many bytes, in one block for all; NULL if it has none.  In turn at the end of memory, at an odd
 * address, and a byte before it, where a cache line begins: sizes are those of whole lines, and 63 bytes to align them.
 */
static struct guarded workspace;
static size_t gap;

static void *workspace_new(size_t bytes)
{
    guarded_again(&workspace, bytes, gap ^= 1);
    memset(workspace.data, POISON_BYTE, bytes);
    return bytes ? workspace.data : NULL;
}

int run_all(const cvg_plan *plan, struct set *set, cvg_mode mode)
{
    int intact = 1;
    const struct array *t = set->view;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        void *space = workspace_new(cvg_plan_workspace_size(plan, (cvg_pass)pass));
        if (pass == CVG_FORWARD && mode == CVG_OVERWRITE)
            cvg_forward(plan, t[INPUT].data, t[WEIGHT].data, t[BIAS].data, t[OUTPUT].data, space);
        else if (pass == CVG_GRAD_INPUT)
            cvg_grad_input(plan, t[GRAD_OUTPUT].data, t[WEIGHT].data, t[GRAD_INPUT].data, mode, space);
        else if (pass == CVG_GRAD_WEIGHT)
            cvg_backward(plan, t[INPUT].data, NULL, t[GRAD_OUTPUT].data, NULL, t[GRAD_WEIGHT].data,
                         t[GRAD_BIAS].data, mode, space);
        intact &= guard_intact(&workspace);
    }
    return intact;
}

/* ---- checks ---- */

void repeat(const struct verify *v, char *text, size_t size)
{
    snprintf(text, size, "CVG_ISA=%s convgrad verify %s --algo %s --type %s --threads 1,%d --seed %" PRIu64,
             v->sets[v->at_set], v->arguments, cvg_algo_name(v->algo), type_name(v->type), v->at_threads, v->seed);
}

static void record(struct verify *v, int good, const char *what)
{
    if (good) {
        v->passed++;
        return;
    }
    v->failed++;
    printf("FAIL %s: %s\n", v->problem, what);
    char command[800];
    repeat(v, command, sizeof command);
    printf("  repeat: %s\n", command);
}

void compare(struct verify *v, enum tensor tensor, const struct set *got, const struct set *want,
             const struct set *sum, double factor, double terms)
{
    const double u = (v->type == CVG_F32 ? 0x1p-24 : 0x1p-53) + 0x1p-53; /* ours and the reference's */
    const double gamma = (terms + 3) * u < 1 ? (terms + 3) * u / (1 - (terms + 3) * u) : INFINITY;
    for (int64_t i = 0; i < want->view[tensor].count; i++) {
        const double g = array_get(&got->view[tensor], i), w = factor * array_get(&want->view[tensor], i);
        const double bound = (sum ? gamma * array_get(&sum->view[tensor], i) : 0) + factor * v->allowed[tensor];
        if (!(fabs(g - w) <= bound)) {
            char what[300];
            snprintf(what, sizeof what,
                     "%s by %s, %s, %s, %d threads%s: element %" PRId64 " is %.17g; must be %.17g within %.3g",
                     tensor_names[tensor], cvg_algo_name(v->algo), type_name(v->type), v->sets[v->at_set],
                     v->at_threads, v->doing, i, g, w, bound);
            record(v, 0, what);
            return;
        }
    }
    record(v, 1, NULL);
}

static double dot(const struct array *a, const struct array *b)
{
    double sum = 0;
    for (int64_t i = 0; i < a->count; i++)
        sum += array_get(a, i) * array_get(b, i);
    return sum;
}

static double sum_of_absolutes(const struct array *a)
{
    double sum = 0;
    for (int64_t i = 0; i < a->count; i++)
        sum += fabs(array_get(a, i));
    return sum;
}

void set_allowed(struct verify *v, const cvg_plan *plan, const struct set *set)
{
    static const enum tensor of[CVG_PASS_COUNT][3] = {
        {OUTPUT, INPUT, WEIGHT}, {GRAD_INPUT, GRAD_OUTPUT, WEIGHT}, {GRAD_WEIGHT, INPUT, GRAD_OUTPUT}};
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        const double products = array_largest(&set->view[of[pass][1]]) * array_largest(&set->view[of[pass][2]]);
        const double bias = pass == CVG_FORWARD ? array_largest(&set->view[BIAS]) : 0;
        v->allowed[of[pass][0]] = cvg_plan_error_growth(plan, (cvg_pass)pass) > 1
                                      ? cvg_plan_error_bound(plan, (cvg_pass)pass) * (products + bias) : 0;
    }
}

/* All sums are integers below 2^53, so the identities hold exactly or, for Winograd's, within the bounds. */
static void adjoint(struct verify *v, const struct set *s)
{
    const double forward = dot(&s->view[OUTPUT], &s->view[GRAD_OUTPUT]) -
                           dot(&s->view[BIAS], &s->view[GRAD_BIAS]);
    const double by_input = dot(&s->view[INPUT], &s->view[GRAD_INPUT]);
    const double by_weight = dot(&s->view[WEIGHT], &s->view[GRAD_WEIGHT]);
    char what[240];
    snprintf(what, sizeof what,
             "adjoint identity by %s, %s: <output - bias, g> = %.17g, <input, grad_input> = %.17g, "
             "<weight, grad_weight> = %.17g", cvg_algo_name(v->algo), type_name(v->type), forward, by_input,
             by_weight);
    const double off = v->allowed[OUTPUT] * sum_of_absolutes(&s->view[GRAD_OUTPUT]);
    record(v,
           fabs(forward - by_input) <= off + v->allowed[GRAD_INPUT] * sum_of_absolutes(&s->view[INPUT]) &&
               fabs(forward - by_weight) <= off + v->allowed[GRAD_WEIGHT] * sum_of_absolutes(&s->view[WEIGHT]),
           what);
}

void unharmed(struct verify *v, const struct set *set, const struct set *before, int workspace_intact)
{
    char what[160];
    int guards = workspace_intact, operands = 1;
    for (int i = 0; i < TENSORS; i++)
        guards &= guard_intact(&set->memory[i]);
    for (int i = 0; i < FIRST_RESULT; i++)
        operands &= !memcmp(set->view[i].data, before->view[i].data, set->memory[i].bytes);
    snprintf(what, sizeof what, "%s, %s: %s", cvg_algo_name(v->algo), type_name(v->type),
             guards ? "an operand was changed" : "wrote outside a result or the workspace");
    record(v, guards && operands, what);
}

void same_bits(struct verify *v, const struct set *set, const struct set *want, unsigned results)
{
    for (int i = FIRST_RESULT; i < TENSORS; i++) {
        char what[240];
        if (!(results >> i & 1))
            continue;
        snprintf(what, sizeof what, "%s by %s, %s, %s, %d threads%s: other bits than by %s and %d threads",
                 tensor_names[i], cvg_algo_name(v->algo), type_name(v->type), v->sets[v->at_set], v->at_threads,
                 v->doing, v->sets[0], v->threads[0]);
        record(v, !memcmp(set->view[i].data, want->view[i].data, set->memory[i].bytes), what);
    }
}

/* Every subset of the gradients in one call, from no operand that it does not need. */
static void subsets(struct verify *v, const cvg_plan *plan, struct set *work, const struct set *want)
{
    const struct array *t = work->view;
    for (int subset = 1; subset < 8; subset++) {
        size_t bytes = 0;
        int untouched = 1;
        void *results[3];
        poison_results(work);
        for (int i = 0; i < 3; i++)
            results[i] = subset >> i & 1 ? t[GRAD_INPUT + i].data : NULL;
        for (int pass = CVG_GRAD_INPUT; pass < CVG_PASS_COUNT; pass++)
            if (results[pass - CVG_GRAD_INPUT] && cvg_plan_workspace_size(plan, (cvg_pass)pass) > bytes)
                bytes = cvg_plan_workspace_size(plan, (cvg_pass)pass);
        void *space = workspace_new(bytes);
        const cvg_status status = cvg_backward(plan, results[1] ? t[INPUT].data : NULL, results[0] ? t[WEIGHT].data : NULL,
                                               t[GRAD_OUTPUT].data, results[0], results[1], results[2],
                                               CVG_OVERWRITE, space);
        v->doing = ", a subset of the gradients";
        record(v, status == CVG_OK && guard_intact(&workspace), "a subset of the gradients: refused, or wrote outside the workspace");
        same_bits(v, work, want, (unsigned)subset << GRAD_INPUT);
        for (int i = 0; i < 3; i++)
            for (int64_t j = 0; !results[i] && j < t[GRAD_INPUT + i].count; j++)
                untouched &= isnan(array_get(&t[GRAD_INPUT + i], j));
        record(v, untouched, "a subset of the gradients: another was written");
    }
    v->doing = "";
}

/* ---- operands of zeros but one ---- */

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

static void add(struct array *to, int64_t index, double value)
{
    array_set(to, index, array_get(to, index) + value);
}

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

static void put_ones(const cvg_conv *conv, const struct sizes *z, const struct ones *one, struct set *set)
{
    const int64_t plane = z->output / conv->batch / conv->out_channels, in = z->input / conv->batch / conv->in_channels;
    add(&set->view[INPUT], (one->n * conv->in_channels + one->c) * in + flat(one->i, conv->in, conv->spatial_dims), 1);
    add(&set->view[GRAD_OUTPUT],
        (one->n * conv->out_channels + one->k) * plane + flat(one->p, z->out, conv->spatial_dims), 1);
}

/* Ones alone: copies; and ones added to operands: the sum of both results. */
static void check_ones(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
                       const struct set *want, struct set *work)
{
    const struct sizes z = problem_sizes(conv);
    if (conv->batch == 0)
        return;
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
                array_set(&expected.view[OUTPUT], i,
                          array_get(&before->view[BIAS], i / plane % conv->out_channels));
        for (int i = 0; !sum && i < FIRST_RESULT; i++)
            if (i == INPUT || i == GRAD_OUTPUT)
                memset(work->view[i].data, 0, work->memory[i].bytes);
        put_ones(conv, &z, &one, work);
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

void identities(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
                const struct set *want, struct set *set, struct set *work)
{
    adjoint(v, set);
    copy_operands(work, before, 0);
    subsets(v, plan, work, set);
    cvg_plan *half = plan_of(conv, v->algo, v->at_threads, 0.5);
    for (int twice = 0; twice < 2; twice++) {
        run_all(half, set, CVG_ACCUMULATE);
        v->doing = twice ? ", accumulated twice" : ", accumulated";
        for (int i = GRAD_INPUT; i < TENSORS; i++)
            compare(v, (enum tensor)i, set, want, NULL, twice ? 2 : 1.5, 0);
    }
    v->doing = "";
    cvg_plan_destroy(half);
    check_ones(v, conv, plan, before, want, work);
}
