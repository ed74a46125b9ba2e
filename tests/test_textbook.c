/* The section's two examples through the library: every algorithm and type, digit for digit. */
#include "check.h"
#include "explain.h"

#include <stdlib.h>

static void check_result(const struct explanation *e, int example, enum explained which, const double *got,
                         cvg_algo algo, cvg_type type)
{
    int count = 0;
    const double *want = textbook_numbers(example, which, &count);
    for (int64_t i = 0; i < e->array[which].count; i++) {
        /* What the section does not print follows from what it does: see explain. */
        const double must = want ? want[i] : array_get(&e->array[which], i);
        check(got[i] == must, "example %d, %s by %s %s: element %d is %g, must be %g", example, explained_names[which],
              cvg_algo_name(algo), type_name(type), (int)i, got[i], must);
    }
}

/* A copy of values in a type, or the values of an array of a type. */
static void *typed(const struct array *from, cvg_type type)
{
    struct array to;
    cvg_error error;
    if (!array_new(&to, type, from->rank, from->shape, &error))
        exit(1);
    for (int64_t i = 0; i < from->count; i++)
        array_set(&to, i, array_get(from, i));
    return to.data;
}

static double *untyped(void *data, cvg_type type, int64_t count)
{
    const struct array array = {.type = type, .data = data};
    double *values = cli_alloc((size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = array_get(&array, i);
    free(data);
    return values;
}

static void check_example(int example, cvg_algo algo, cvg_type type)
{
    struct explanation e = explain_example(example);
    const struct array *a = e.array;
    cvg_conv conv = e.conv;
    conv.type = type;
    /* dW and dB are means over the batch, delta_out is not. */
    cvg_plan *plan = plan_of(&conv, algo, 2, 1), *mean = plan_of(&conv, algo, 2, 1.0 / (double)conv.batch);
    void *space = workspace_of(plan);
    void *x = typed(&a[X], type), *w = typed(&a[W], type), *g = typed(&a[DELTA_IN], type);
    void *y = typed(&a[Y], type), *dx = typed(&a[X], type), *dw = typed(&a[W], type), *db = typed(&a[DB], type);

    check(textbook_agrees(example, &e), "explain differs from the section in example %d", example);
    check(e.disagreement == 0, "the methods differ by %g in example %d", e.disagreement, example);
    cvg_forward(plan, x, w, NULL, y, space);
    cvg_grad_input(plan, g, w, dx, CVG_OVERWRITE, space);
    cvg_backward(mean, x, w, g, NULL, dw, db, CVG_OVERWRITE, space);
    const struct {
        enum explained which;
        void *data;
    } results[] = {{Y, y}, {DELTA_OUT, dx}, {DW, dw}, {DB, db}};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        double *values = untyped(results[i].data, type, a[results[i].which].count);
        check_result(&e, example, results[i].which, values, algo, type);
        free(values);
    }
    free(x);
    free(w);
    free(g);
    free(space);
    cvg_plan_destroy(plan);
    cvg_plan_destroy(mean);
    explanation_free(&e);
}

int main(void)
{
    for (int example = 1; example <= 2; example++)
        for (int algo = CVG_REFERENCE; algo <= CVG_IM2COL; algo++)
            for (int type = CVG_F32; type <= CVG_F64; type++)
                check_example(example, (cvg_algo)algo, (cvg_type)type);
    return check_summary();
}
