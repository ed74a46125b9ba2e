/* convgrad demo: the textbook's section from end to end. */
#include "explain.h"

#include <math.h>
#include <stdlib.h>

static int example(int number, const char *title, const enum explained *show, int count)
{
    struct explanation e = explain_example(number);
    const int agrees = textbook_agrees(number, &e) && e.disagreement == 0;
    printf("---- %s ----\n\n", title);
    for (int i = 0; i < count; i++)
        explain_array(stdout, &e, show[i]);
    printf("\nequal to every number that the section prints, by both methods: %s\n\n", agrees ? "yes" : "NO");
    explanation_free(&e);
    return agrees;
}

/* The section's layer on data of one type, and the results of each algorithm. */
struct layer {
    cvg_conv conv;
    struct sizes z;
    struct array x, w, g;
    struct array y, dx, dw, db;
};

static struct array numbers(cvg_type type, int64_t count, uint64_t seed)
{
    struct array array;
    cvg_error error;
    struct random random = {seed};
    if (!array_new(&array, type, 1, &count, &error))
        die(EXIT_WRONG, "%s", error.text);
    for (int64_t i = 0; i < count; i++)
        array_set(&array, i, random_uniform(&random));
    return array;
}

static struct layer layer_of(cvg_type type)
{
    struct problem problem = {.conv = CVG_CONV_INIT};
    struct layer l;
    cvg_error error;
    if (!problem_parse(&problem, "mb64ic3ih28oc4kh3ph1", &error))
        die(EXIT_WRONG, "%s", error.text);
    l.conv = problem.conv;
    l.conv.type = type;
    l.z = problem_sizes(&l.conv);
    l.x = numbers(type, l.z.input, 1);
    l.w = numbers(type, l.z.weight, 2);
    l.g = numbers(type, l.z.output, 3);
    l.y = numbers(type, l.z.output, 4);
    l.dx = numbers(type, l.z.input, 5);
    l.dw = numbers(type, l.z.weight, 6);
    l.db = numbers(type, l.z.bias, 7);
    return l;
}

static void layer_free(struct layer *l)
{
    struct array *all[] = {&l->x, &l->w, &l->g, &l->y, &l->dx, &l->dw, &l->db};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        array_free(all[i]);
}

static void iterate(const struct layer *l, const cvg_plan *plan, void *workspace)
{
    cvg_forward(plan, l->x.data, l->w.data, NULL, l->y.data, workspace);
    cvg_backward(plan, l->x.data, l->w.data, l->g.data, l->dx.data, l->dw.data, l->db.data, CVG_OVERWRITE, workspace);
}

/* Within the rounding that two f64 sums of so many products, each at most 1, may differ by. */
static int close(const struct array *a, const struct array *b, double terms)
{
    for (int64_t i = 0; i < a->count; i++)
        if (!(fabs(array_get(a, i) - array_get(b, i)) <= 2 * (terms + 3) * 0x1p-53 * terms))
            return 0;
    return 1;
}

static int agreement(void)
{
    struct layer l = layer_of(CVG_F64), reference = layer_of(CVG_F64);
    cvg_plan *plan = plan_of(&reference.conv, CVG_REFERENCE, 1, 1);
    int good = 1;

    iterate(&reference, plan, NULL);
    cvg_plan_destroy(plan);
    printf("---- the section's test: batch 64, 3x28x28, four 3x3 filters, padding 1 ----\n\n"
           "compared with the definition, on random delta_in (the section's ones would not tell filters apart):\n\n"
           "             forward  backward  dW    dB\n");
    for (int algo = CVG_DIRECT; algo <= CVG_IM2COL; algo++) {
        plan = plan_of(&l.conv, (cvg_algo)algo, 1, 1);
        void *workspace = workspace_of(plan);
        iterate(&l, plan, workspace);
        const int y = close(&l.y, &reference.y, l.z.terms), dx = close(&l.dx, &reference.dx, l.z.input_terms);
        const int dw = close(&l.dw, &reference.dw, l.z.weight_terms);
        const int db = close(&l.db, &reference.db, l.z.weight_terms);
        printf("  %-9s  %-7s  %-8s  %-4s  %s\n", cvg_algo_name((cvg_algo)algo), y ? "True" : "FALSE",
               dx ? "True" : "FALSE", dw ? "True" : "FALSE", db ? "True" : "FALSE");
        good &= y && dx && dw && db;
        free(workspace);
        cvg_plan_destroy(plan);
    }
    printf("\n");
    layer_free(&l);
    layer_free(&reference);
    return good;
}

/* The least seconds of one iteration in repeated runs. */
static double time_iteration(const struct layer *l, const cvg_plan *plan, void *workspace)
{
    double best = INFINITY, spent = 0;
    iterate(l, plan, workspace);
    for (int runs = 0; runs < 3 || (spent < 0.4 && runs < 200); runs++) {
        const double begin = seconds();
        iterate(l, plan, workspace);
        const double time = seconds() - begin;
        spent += time;
        best = time < best ? time : best;
    }
    return best;
}

static void speed(void)
{
    printf("one iteration, forward + backward (32.5 million floating-point operations), one thread:\n\n"
           "  type  algorithm   ms        GFLOP/s  %% of FMA peak\n");
    for (int type = CVG_F32; type <= CVG_F64; type++) {
        struct layer l = layer_of((cvg_type)type);
        const double flops = 6 * l.z.macs, peak = peak_flops((cvg_type)type, 1);
        for (int algo = CVG_REFERENCE; algo <= CVG_IM2COL; algo++) {
            cvg_plan *plan = plan_of(&l.conv, (cvg_algo)algo, 1, 1);
            void *workspace = workspace_of(plan);
            const double time = time_iteration(&l, plan, workspace);
            printf("  %s   %-9s %9.3f  %7.2f  %5.1f\n", type_name((cvg_type)type), cvg_algo_name((cvg_algo)algo),
                   time * 1e3, flops / time * 1e-9, 100 * flops / time / peak);
            free(workspace);
            cvg_plan_destroy(plan);
        }
        layer_free(&l);
    }
    printf("\nMethod 1 is direct, method 2 im2col.  The section printed 118 and 35 ms (NumPy, f64).\n"
           "More: convgrad explain simple, convgrad verify, convgrad bench.\n");
}

int command_demo(const struct args *args)
{
    static const enum explained simple[] = {X, W, DELTA_IN, COL_X, DB, DW, DCOL, DELTA_OUT};
    static const enum explained complex[] = {DB, DW_COL};
    if (args->count)
        die(EXIT_BAD_INPUT, "demo takes no argument; has \"%s\"", args->word[0]);
    int good = example(1, "one sample, one channel", simple, sizeof simple / sizeof *simple);
    good &= example(2, "two samples, three channels, two filters", complex, sizeof complex / sizeof *complex);
    good &= agreement();
    speed();
    return good ? 0 : EXIT_WRONG;
}
