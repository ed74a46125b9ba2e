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

int64_t set_count(const struct set *set, enum tensor tensor)
{
    const struct geometry *g = &set->geometry;
    const int64_t input = g->N * g->C * g->in_size, output = g->N * g->K * g->out_size,
                  weight = g->K * g->Cg * g->filter_size;
    return tensor == INPUT || tensor == GRAD_INPUT     ? input
           : tensor == OUTPUT || tensor == GRAD_OUTPUT ? output
           : tensor == WEIGHT || tensor == GRAD_WEIGHT ? weight
                                                       : g->K;
}

int64_t set_place(const struct set *set, enum tensor tensor, int64_t index)
{
    const struct geometry *g = &set->geometry;
    return tensor == INPUT || tensor == GRAD_INPUT     ? geometry_in(g, index)
           : tensor == OUTPUT || tensor == GRAD_OUTPUT ? geometry_out(g, index)
           : tensor == WEIGHT || tensor == GRAD_WEIGHT ? geometry_weight(g, index)
                                                       : index;
}

void set_new(struct set *set, const cvg_conv *conv, cvg_type type, size_t end)
{
    const size_t size = type == CVG_F32 ? sizeof(float) : sizeof(double);
    set->geometry = geometry_of(conv);
    for (int i = 0; i < TENSORS; i++) {
        const int64_t span = i == INPUT || i == GRAD_INPUT     ? set->geometry.in_span
                             : i == OUTPUT || i == GRAD_OUTPUT ? set->geometry.out_span
                                                               : set_count(set, (enum tensor)i);
        set->memory[i] = guarded_new((size_t)span * size, end * size);
        set->view[i] = (struct array){.type = type, .count = span, .data = set->memory[i].data};
        const int64_t count = set_count(set, (enum tensor)i);
        for (int64_t j = 0; span > count && j < span; j++)
            array_set(&set->view[i], j, NAN);
        for (int64_t j = 0; span > count && j < count; j++)
            array_set(&set->view[i], set_place(set, (enum tensor)i, j), 0);
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
        for (int64_t j = 0; j < set_count(set, (enum tensor)i); j++)
            array_set(&set->view[i], set_place(set, (enum tensor)i, j),
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
            cvg_backward(plan, t[INPUT].data, NULL, t[GRAD_OUTPUT].data, NULL, t[GRAD_WEIGHT].data, t[GRAD_BIAS].data,
                         mode, space);
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

void record(struct verify *v, int good, const char *what)
{
    interrupt_hold();
    *(good ? &v->passed : &v->failed) += 1;
    interrupt_release();
    if (good)
        return;
    progress_clear();
    printf("FAIL %s: %s\n", v->problem, what);
    char command[800];
    repeat(v, command, sizeof command);
    printf("  repeat: %s\n", command);
}

/* How far a number is moved at most as a half is made of it; others are in gamma. */
static double rounding(cvg_type type, double value)
{
    return type == CVG_BF16 ? value * 0x1.01p-8 : type == CVG_F16 ? value * 0x1.01p-11 + 0x1p-25 : 0;
}

void compare(struct verify *v, enum tensor tensor, const struct set *got, const struct set *want, const struct set *sum,
             double factor, double terms)
{
    const double u = (v->type == CVG_F64 ? 0x1p-53 : 0x1p-24) + 0x1p-53; /* ours and the reference's */
    const int roundings = *v->doing ? 3 : 1; /* of halves: results to which others were added */
    const double gamma = (terms + 3) * u < 1 ? (terms + 3) * u / (1 - (terms + 3) * u) : INFINITY;
    for (int64_t i = 0; i < set_count(want, tensor); i++) {
        const int64_t at = set_place(want, tensor, i);
        const double g = array_get(&got->view[tensor], at);
        double w = factor * array_get(&want->view[tensor], at);
        double bound = (sum ? gamma * array_get(&sum->view[tensor], at) : 0) + factor * v->allowed[tensor];
        if (bound == 0 && !*v->doing)
            w = type_rounded(v->type, w);
        else
            bound += roundings * rounding(v->type, fabs(w) + bound);
        if (!(fabs(g - w) <= bound || g == w)) {
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

/* Of tensors that are alike; *size: of absolute values. */
static double dot(const struct set *s, enum tensor a, enum tensor b, double *size)
{
    double sum = 0;
    for (int64_t i = 0; i < set_count(s, a); i++) {
        const double product = array_get(&s->view[a], set_place(s, a, i)) * array_get(&s->view[b], set_place(s, b, i));
        sum += product;
        *size += fabs(product);
    }
    return sum;
}

static double sum_of_absolutes(const struct set *s, enum tensor tensor)
{
    double sum = 0;
    for (int64_t i = 0; i < set_count(s, tensor); i++)
        sum += fabs(array_get(&s->view[tensor], set_place(s, tensor, i)));
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
                                      ? cvg_plan_error_bound(plan, (cvg_pass)pass) * (products + bias)
                                      : 0;
    }
}

/*
 * All sums are integers below 2^53, so the identities hold exactly or, for Winograd's and as halves are rounded, within
 * the bounds.
 */
static void adjoint(struct verify *v, const struct set *s)
{
    double size = 0, input_size = 0, weight_size = 0;
    const double forward = dot(s, OUTPUT, GRAD_OUTPUT, &size) - dot(s, BIAS, GRAD_BIAS, &size);
    const double by_input = dot(s, INPUT, GRAD_INPUT, &input_size);
    const double by_weight = dot(s, WEIGHT, GRAD_WEIGHT, &weight_size);
    char what[240];
    snprintf(what, sizeof what,
             "adjoint identity by %s, %s: <output - bias, g> = %.17g, <input, grad_input> = %.17g, "
             "<weight, grad_weight> = %.17g",
             cvg_algo_name(v->algo), type_name(v->type), forward, by_input, by_weight);
    const double off = v->allowed[OUTPUT] * sum_of_absolutes(s, GRAD_OUTPUT) + rounding(v->type, size);
    record(v,
           fabs(forward - by_input) <=
                   off + v->allowed[GRAD_INPUT] * sum_of_absolutes(s, INPUT) + rounding(v->type, input_size) &&
               fabs(forward - by_weight) <=
                   off + v->allowed[GRAD_WEIGHT] * sum_of_absolutes(s, WEIGHT) + rounding(v->type, weight_size),
           what);
}

void same_elements(struct verify *v, const struct set *set, const struct set *other)
{
    int same = 1;
    for (int i = FIRST_RESULT; i < TENSORS; i++)
        for (int64_t j = 0; j < set_count(set, (enum tensor)i); j++)
            same &= array_get(&set->view[i], set_place(set, (enum tensor)i, j)) ==
                    array_get(&other->view[i], set_place(other, (enum tensor)i, j));
    record(v, same, "the definition gives other results in another layout");
}

void unharmed(struct verify *v, const struct set *set, const struct set *before, int workspace_intact)
{
    char what[160];
    int guards = workspace_intact, operands = 1;
    for (int i = 0; i < TENSORS; i++)
        guards &= guard_intact(&set->memory[i]);
    for (int i = FIRST_RESULT; i < TENSORS; i++) { /* what lies between elements is NaN still */
        int64_t written = 0;
        for (int64_t j = 0; j < set->view[i].count; j++)
            written += !isnan(array_get(&set->view[i], j));
        guards &= written <= set_count(set, (enum tensor)i);
    }
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
        const cvg_status status =
            cvg_backward(plan, results[1] ? t[INPUT].data : NULL, results[0] ? t[WEIGHT].data : NULL,
                         t[GRAD_OUTPUT].data, results[0], results[1], results[2], CVG_OVERWRITE, space);
        v->doing = ", a subset of the gradients";
        record(v, status == CVG_OK && guard_intact(&workspace),
               "a subset of the gradients: refused, or wrote outside the workspace");
        same_bits(v, work, want, (unsigned)subset << GRAD_INPUT);
        for (int i = 0; i < 3; i++)
            for (int64_t j = 0; !results[i] && j < t[GRAD_INPUT + i].count; j++)
                untouched &= isnan(array_get(&t[GRAD_INPUT + i], j));
        record(v, untouched, "a subset of the gradients: another was written");
    }
    v->doing = "";
}

/*
 * The transposed convolution: its forward is grad_input with a bias, its gradient of the input the forward without one.
 * half: a plan that scales gradients by 1/2.  The first elements of the input stand for its bias, which has an element
 * for each of C.
 */
static void transposes(struct verify *v, const cvg_conv *conv, const cvg_plan *half, const struct set *before,
                       const struct set *want, struct set *work)
{
    const struct array *t = work->view;
    const int64_t C = conv->in_channels, K = conv->out_channels;
    const int64_t in = work->geometry.in_size, out = work->geometry.out_size;
    const size_t bytes = (size_t)C * cvg_type_size(conv->type);
    struct guarded sums = guarded_new(bytes, 0), biases = guarded_new(bytes, 0);
    const struct array grad_bias = {.type = conv->type, .count = C, .data = sums.data};
    struct array bias = {.type = conv->type, .count = C, .data = biases.data};
    for (int64_t c = 0; c < C; c++)
        array_set(&bias, c, array_get(&before->view[INPUT], set_place(before, INPUT, c)));
    struct set expected;
    set_new(&expected, conv, CVG_F64, 0);
    for (int64_t i = 0; i < set_count(work, INPUT); i++) {
        const int64_t at = set_place(work, INPUT, i);
        array_set(&expected.view[GRAD_INPUT], at,
                  array_get(&want->view[GRAD_INPUT], at) + array_get(&bias, i / in % C));
    }
    for (int64_t i = 0; i < set_count(work, OUTPUT); i++) {
        const int64_t at = set_place(work, OUTPUT, i);
        array_set(&expected.view[OUTPUT], at,
                  array_get(&want->view[OUTPUT], at) - array_get(&before->view[BIAS], i / out % K));
    }
    memcpy(expected.view[GRAD_WEIGHT].data, want->view[GRAD_WEIGHT].data, want->memory[GRAD_WEIGHT].bytes);
    poison_results(work);
    v->doing = ", transposed";
    cvg_status status = cvg_transpose_forward(half, t[GRAD_OUTPUT].data, t[WEIGHT].data, bias.data, t[GRAD_INPUT].data,
                                              workspace_new(cvg_plan_workspace_size(half, CVG_GRAD_INPUT)));
    int intact = status == CVG_OK && guard_intact(&workspace);
    compare(v, GRAD_INPUT, work, &expected, NULL, 1, 0);
    for (int twice = 0; twice < 2; twice++) {
        status = cvg_transpose_backward(half, t[GRAD_OUTPUT].data, t[WEIGHT].data, t[INPUT].data, t[OUTPUT].data,
                                        t[GRAD_WEIGHT].data, sums.data, twice ? CVG_ACCUMULATE : CVG_OVERWRITE,
                                        workspace_new(cvg_plan_workspace_most(half)));
        intact &= status == CVG_OK && guard_intact(&workspace) && guard_intact(&sums);
        v->doing = twice ? ", transposed, accumulated" : ", transposed";
        compare(v, OUTPUT, work, &expected, NULL, (twice + 1) * 0.5, 0);
        compare(v, GRAD_WEIGHT, work, &expected, NULL, (twice + 1) * 0.5, 0);
        int right = 1;
        for (int64_t c = 0; c < C; c++) {
            double sum = 0;
            for (int64_t i = 0; i < conv->batch * in; i++)
                sum += array_get(&before->view[INPUT], set_place(before, INPUT, (i / in * C + c) * in + i % in));
            sum *= (twice + 1) * 0.5;
            right &= fabs(array_get(&grad_bias, c) - sum) <= 2 * rounding(conv->type, fabs(sum));
        }
        record(v, right, "grad_bias of the transposed convolution is wrong");
    }
    record(v, intact, "a transposed convolution: refused, or wrote outside the workspace or its grad_bias");
    v->doing = "";
    set_free(&expected);
    guarded_free(&sums);
    guarded_free(&biases);
}

void identities(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
                const struct set *want, struct set *set, struct set *work)
{
    adjoint(v, set);
    copy_operands(work, before, 0);
    subsets(v, plan, work, set);
    cvg_plan *half = plan_of(conv, v->algo, v->at_threads, 0.5);
    if (conv->batch > 0)
        transposes(v, conv, half, before, want, work);
    for (int twice = 0; twice < 2; twice++) {
        run_all(half, set, CVG_ACCUMULATE);
        v->doing = twice ? ", accumulated twice" : ", accumulated";
        for (int i = GRAD_INPUT; i < TENSORS; i++)
            compare(v, (enum tensor)i, set, want, NULL, twice ? 2 : 1.5, 0);
    }
    v->doing = "";
    cvg_plan_destroy(half);
}
