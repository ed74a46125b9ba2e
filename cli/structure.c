/* What verify holds structure to: which elements of an operand an element of a result knows. */
#include "verify.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Where the ones are, positions by their numbers. */
struct ones {
    int64_t n, c, k, i, p; /* of the input, n c i; of grad_output, n k p */
};

static struct ones draw_ones(const struct geometry *g, uint64_t seed)
{
    struct random random = {seed + 1};
#define DRAW(count) (int64_t)(random_bits(&random) % (uint64_t)(count))
    const int64_t n = DRAW(g->N), group = DRAW(g->G), c = DRAW(g->Cg), k = DRAW(g->Kg);
    return (struct ones){n, group * g->Cg + c, group * g->Kg + k, DRAW(g->in_size), DRAW(g->out_size)};
#undef DRAW
}

static double get(const struct set *set, enum tensor tensor, int64_t index)
{
    return array_get(&set->view[tensor], set_place(set, tensor, index));
}

static void add(struct set *to, enum tensor tensor, int64_t index, double value)
{
    array_set(&to->view[tensor], set_place(to, tensor, index), get(to, tensor, index) + value);
}

/*
 * Adds to results what the ones add to operands' results: copies of the filter to output and
 * grad_input; to grad_weight copies of operands (if it has any) and 1 where the ones meet.
 */
static void add_copies(const struct geometry *g, const struct ones *one, const struct set *operands, int copies,
                       struct set *results)
{
    const int64_t group = one->c / g->Cg, taps = g->filter_size;
    for (int64_t t = 0; t < taps; t++) {
        const int64_t output = geometry_carry(g, one->i, t), input = geometry_meet(g, one->p, t);
        for (int64_t k = group * g->Kg; output >= 0 && k < (group + 1) * g->Kg; k++) {
            const int64_t w = (k * g->Cg + one->c % g->Cg) * taps + t, y = (one->n * g->K + k) * g->out_size + output;
            add(results, OUTPUT, y, get(operands, WEIGHT, w));
            if (copies)
                add(results, GRAD_WEIGHT, w, get(operands, GRAD_OUTPUT, y));
        }
        for (int64_t c = group * g->Cg; input >= 0 && c < (group + 1) * g->Cg; c++) {
            const int64_t w = (one->k * g->Cg + c % g->Cg) * taps + t, x = (one->n * g->C + c) * g->in_size + input;
            add(results, GRAD_INPUT, x, get(operands, WEIGHT, w));
            if (copies)
                add(results, GRAD_WEIGHT, w, get(operands, INPUT, x));
        }
        if (input == one->i)
            add(results, GRAD_WEIGHT, (one->k * g->Cg + one->c % g->Cg) * taps + t, 1);
    }
    add(results, GRAD_BIAS, one->k, 1);
}

/* Adds value to the element of input and to that of grad_output. */
static void put_ones(const struct geometry *g, const struct ones *one, double value, struct set *set)
{
    add(set, INPUT, (one->n * g->C + one->c) * g->in_size + one->i, value);
    add(set, GRAD_OUTPUT, (one->n * g->K + one->k) * g->out_size + one->p, value);
}

/* Ones alone: copies; and ones added to operands: the sum of both results. */
static void check_ones(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
                       const struct set *want, struct set *work)
{
    const struct geometry g = geometry_of(conv);
    const struct ones one = draw_ones(&g, v->seed);
    for (int sum = 0; sum < 2; sum++) {
        struct set expected;
        set_new(&expected, conv, CVG_F64, 0);
        copy_operands(work, before, 0);
        if (sum)
            for (int i = FIRST_RESULT; i < TENSORS; i++)
                memcpy(expected.view[i].data, want->view[i].data, expected.memory[i].bytes);
        else
            for (int64_t i = 0; i < set_count(&expected, OUTPUT); i++)
                add(&expected, OUTPUT, i, array_get(&before->view[BIAS], i / g.out_size % g.K));
        for (int i = 0; !sum && i < FIRST_RESULT; i++)
            for (int64_t j = 0; (i == INPUT || i == GRAD_OUTPUT) && j < set_count(work, (enum tensor)i); j++)
                array_set(&work->view[i], set_place(work, (enum tensor)i, j), 0);
        put_ones(&g, &one, 1, work);
        add_copies(&g, &one, before, sum, &expected);
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
    const struct geometry g = geometry_of(conv);
    const struct ones one = draw_ones(&g, v->seed);
    const size_t size = cvg_type_size(conv->type);
    struct set reach;
    char text[200];
    int kept = 1;
    set_new(&reach, conv, CVG_F64, 0);
    for (int i = 0; i < FIRST_RESULT; i++)
        for (int64_t j = 0; j < set_count(&reach, (enum tensor)i); j++)
            array_set(&reach.view[i], set_place(&reach, (enum tensor)i, j), 1);
    add_copies(&g, &one, &reach, 1, &reach);
    for (int64_t j = 0, taps = g.Cg * g.filter_size; j < taps; j++) /* zeros of padding count as read, too */
        array_set(&reach.view[GRAD_WEIGHT], set_place(&reach, GRAD_WEIGHT, one.k * taps + j), 1);
    copy_operands(work, before, 0);
    put_ones(&g, &one, odd[v->seed % 3], work);
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
        for (int64_t j = 0; j < set_count(work, (enum tensor)i); j++)
            good &= get(work, (enum tensor)i, j) >= 0;
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
