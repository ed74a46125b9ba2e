/*
 * convgrad verify: every algorithm against the reference, on the user's shape.
 *
 * Each algorithm, type and thread count runs all four results on
 *   - small integers, where every sum is exact in the type: must equal the reference;
 *     then once more with CVG_ACCUMULATE and a scale of 1/2: must be exactly 3/2 of it;
 *     and the adjoint identities <output - bias, g> = <input, grad_input> =
 *     <weight, grad_weight> must hold exactly;
 *   - real numbers: must stay within the bound of docs/numerics.md,
 *     gamma(terms + 3) * sum |products|, a comparison that NaN fails.
 * Winograd's algorithms do not add the definition's products: both kinds of data, and the
 * identities, must stay within cvg_plan_error_bound() times the largest operands.
 * Results begin as NaN, the workspace as 0xA5, both with guard zones around them and
 * at odd addresses; operands must come out unchanged; and the results of all thread
 * counts must be the same bits.
 */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum tensor { INPUT, WEIGHT, BIAS, GRAD_OUTPUT, OUTPUT, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS, TENSORS };
enum { FIRST_RESULT = OUTPUT };

static const char *const tensor_names[TENSORS] = {
    "input", "weight", "bias", "grad_output", "output", "grad_input", "grad_weight", "grad_bias",
};

/* ---- memory with guard zones ---- */

enum { GUARD = 256, GUARD_BYTE = 0x5a, POISON_BYTE = 0xa5 };

struct guarded {
    unsigned char *block;
    void *data;
    size_t bytes;
};

/* off: bytes past alignment at which data begins. */
static struct guarded guarded_new(size_t bytes, size_t off)
{
    struct guarded g = {cli_alloc(bytes + 2 * GUARD + 64, 1), NULL, bytes};
    memset(g.block, GUARD_BYTE, bytes + 2 * GUARD + 64);
    g.data = g.block + GUARD + off;
    return g;
}

static int guard_intact(const struct guarded *g)
{
    const unsigned char *end = (unsigned char *)g->data + g->bytes;
    for (const unsigned char *p = g->block; p < g->block + g->bytes + 2 * GUARD + 64; p++)
        if ((p < (unsigned char *)g->data || p >= end) && *p != GUARD_BYTE)
            return 0;
    return 1;
}

/* ---- one set of tensors of one type ---- */

struct set {
    struct array view[TENSORS]; /* data in memory[] */
    struct guarded memory[TENSORS];
};

static void set_new(struct set *set, cvg_type type, const struct sizes *z)
{
    const int64_t counts[TENSORS] = {z->input,  z->weight, z->bias,   z->output,
                                     z->output, z->input,  z->weight, z->bias};
    const size_t size = type == CVG_F32 ? sizeof(float) : sizeof(double);
    for (int i = 0; i < TENSORS; i++) {
        set->memory[i] = guarded_new((size_t)counts[i] * size, size);
        set->view[i] = (struct array){.type = type, .count = counts[i], .data = set->memory[i].data};
    }
}

static void set_free(struct set *set)
{
    for (int i = 0; i < TENSORS; i++)
        free(set->memory[i].block);
}

/* Operands: integers in [-range, range], or real numbers in [-1, 1) if range is 0. */
static void fill_operands(struct set *set, int range, uint64_t seed)
{
    struct random random = {seed};
    for (int i = 0; i < FIRST_RESULT; i++)
        for (int64_t j = 0; j < set->view[i].count; j++)
            array_set(&set->view[i], j,
                      range ? (double)(random_bits(&random) % (2u * (unsigned)range + 1)) - range
                            : random_uniform(&random));
}

static void copy_operands(struct set *to, const struct set *from, int absolute)
{
    for (int i = 0; i < FIRST_RESULT; i++)
        for (int64_t j = 0; j < from->view[i].count; j++) {
            const double value = array_get(&from->view[i], j);
            array_set(&to->view[i], j, absolute ? fabs(value) : value);
        }
}

static void poison_results(struct set *set)
{
    for (int i = FIRST_RESULT; i < TENSORS; i++)
        for (int64_t j = 0; j < set->view[i].count; j++)
            array_set(&set->view[i], j, NAN);
}

/* Computes all results; the workspace is exact, odd, poisoned and guarded.  1 if its guard held. */
static int run_all(const cvg_plan *plan, struct set *set, cvg_mode mode)
{
    int intact = 1;
    const struct array *t = set->view;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        const size_t bytes = cvg_plan_workspace_size(plan, (cvg_pass)pass);
        struct guarded space = guarded_new(bytes, 1);
        memset(space.data, POISON_BYTE, bytes);
        void *workspace = bytes ? space.data : NULL;
        if (pass == CVG_FORWARD && mode == CVG_OVERWRITE)
            cvg_forward(plan, t[INPUT].data, t[WEIGHT].data, t[BIAS].data, t[OUTPUT].data, workspace);
        else if (pass == CVG_GRAD_INPUT)
            cvg_grad_input(plan, t[GRAD_OUTPUT].data, t[WEIGHT].data, t[GRAD_INPUT].data, mode, workspace);
        else if (pass == CVG_GRAD_WEIGHT)
            cvg_backward(plan, t[INPUT].data, NULL, t[GRAD_OUTPUT].data, NULL, t[GRAD_WEIGHT].data,
                         t[GRAD_BIAS].data, mode, workspace);
        intact &= guard_intact(&space);
        free(space.block);
    }
    return intact;
}

/* ---- checks ---- */

struct verify {
    uint64_t seed;
    int threads[16], thread_count;
    cvg_algo algos[CVG_ALGO_COUNT];
    int algo_count;
    cvg_type types[2];
    int type_count;
    long passed, failed, skipped, refused;
    /* what is being checked, for messages */
    const char *problem;
    char arguments[512]; /* that name it */
    cvg_algo algo;
    cvg_type type;
    int at_threads;
    double allowed[TENSORS]; /* beyond what the sum of the products allows */
};

static void record(struct verify *v, int good, const char *what)
{
    if (good) {
        v->passed++;
        return;
    }
    v->failed++;
    printf("FAIL %s: %s\n", v->problem, what);
    const char *isa = getenv("CVG_ISA");
    printf("  repeat: %s%s%sconvgrad verify %s --algo %s --type %s --threads 1,%d --seed %" PRIu64 "\n",
           isa && *isa ? "CVG_ISA=" : "", isa && *isa ? isa : "", isa && *isa ? " " : "", v->arguments, cvg_algo_name(v->algo), type_name(v->type), v->at_threads, v->seed);
}

/* got = factor * want, within terms roundings of sum (NULL: exactly). */
static void compare(struct verify *v, enum tensor tensor, const struct set *got, const struct set *want,
                    const struct set *sum, double factor, double terms)
{
    const double u = (v->type == CVG_F32 ? 0x1p-24 : 0x1p-53) + 0x1p-53; /* ours and the reference's */
    const double gamma = (terms + 3) * u < 1 ? (terms + 3) * u / (1 - (terms + 3) * u) : INFINITY;
    for (int64_t i = 0; i < want->view[tensor].count; i++) {
        const double g = array_get(&got->view[tensor], i), w = factor * array_get(&want->view[tensor], i);
        const double bound = (sum ? gamma * array_get(&sum->view[tensor], i) : 0) + factor * v->allowed[tensor];
        if (!(fabs(g - w) <= bound)) {
            char what[200];
            snprintf(what, sizeof what,
                     "%s by %s, %s, %d threads: element %" PRId64 " is %.17g; must be %.17g within %.3g",
                     tensor_names[tensor], cvg_algo_name(v->algo), type_name(v->type), v->at_threads, i, g, w,
                     bound);
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

/* By how much the results of a plan may be off; 0 if it adds the definition's products. */
static void set_allowed(struct verify *v, const cvg_plan *plan, const struct set *set)
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

static void unharmed(struct verify *v, const struct set *set, const struct set *before, int workspace_intact)
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

static void same_bits(struct verify *v, const struct set *set, const struct set *first)
{
    for (int i = FIRST_RESULT; i < TENSORS; i++) {
        char what[160];
        snprintf(what, sizeof what, "%s by %s, %s: %d threads give other bits than %d", tensor_names[i],
                 cvg_algo_name(v->algo), type_name(v->type), v->at_threads, v->threads[0]);
        record(v, !memcmp(set->view[i].data, first->view[i].data, set->memory[i].bytes), what);
    }
}

/*
 * One problem, type and kind of data (range 0: real numbers).  want holds the reference's
 * results in double; sums, for real numbers, those of the absolute values.
 */
static void check_data(struct verify *v, const cvg_conv *conv, int range)
{
    const struct sizes z = problem_sizes(conv);
    const double terms[TENSORS] = {[OUTPUT] = z.terms + 1, [GRAD_INPUT] = z.input_terms,
                                   [GRAD_WEIGHT] = z.weight_terms, [GRAD_BIAS] = z.weight_terms};
    struct set before, set, first, want, sums;
    cvg_conv wide = *conv;
    wide.type = CVG_F64;
    cvg_plan *reference = plan_of(&wide, CVG_REFERENCE, 0, 1);

    set_new(&before, conv->type, &z);
    set_new(&set, conv->type, &z);
    set_new(&first, conv->type, &z);
    set_new(&want, CVG_F64, &z);
    set_new(&sums, CVG_F64, &z);
    fill_operands(&before, range, v->seed);
    copy_operands(&want, &before, 0);
    run_all(reference, &want, CVG_OVERWRITE);
    if (!range) {
        copy_operands(&sums, &before, 1);
        run_all(reference, &sums, CVG_OVERWRITE);
    }
    for (int a = 0; a < v->algo_count; a++)
        for (int t = 0; t < v->thread_count; t++) {
            v->algo = v->algos[a];
            v->at_threads = v->threads[t];
            cvg_error error;
            cvg_plan *plan = plan_try(conv, v->algo, v->at_threads, 1, &error);
            if (!plan) {
                v->refused++;
                continue;
            }
            set_allowed(v, plan, &before);
            copy_operands(&set, &before, 0);
            poison_results(&set);
            const int intact = run_all(plan, &set, CVG_OVERWRITE);
            for (int i = FIRST_RESULT; i < TENSORS; i++)
                compare(v, (enum tensor)i, &set, &want, range ? NULL : &sums, 1, terms[i]);
            unharmed(v, &set, &before, intact);
            if (t == 0) {
                for (int i = FIRST_RESULT; i < TENSORS; i++)
                    memcpy(first.view[i].data, set.view[i].data, set.memory[i].bytes);
            } else {
                same_bits(v, &set, &first);
            }
            if (range) {
                adjoint(v, &set);
                cvg_plan *half = plan_of(conv, v->algo, v->at_threads, 0.5);
                run_all(half, &set, CVG_ACCUMULATE);
                for (int i = GRAD_INPUT; i < TENSORS; i++)
                    compare(v, (enum tensor)i, &set, &want, NULL, 1.5, 0);
                cvg_plan_destroy(half);
            }
            cvg_plan_destroy(plan);
        }
    cvg_plan_destroy(reference);
    set_free(&before);
    set_free(&set);
    set_free(&first);
    set_free(&want);
    set_free(&sums);
}

/* The largest range of integers whose sums, and 3/2 of them, are exact in the type; 0 if none. */
static int exact_range(const cvg_conv *conv, cvg_type type)
{
    const struct sizes z = problem_sizes(conv);
    const double most = fmax(z.terms + 1, fmax(z.input_terms, z.weight_terms));
    const double exact = (type == CVG_F32 ? 0x1p24 : 0x1p53) / 3; /* 3/2 in steps of 1/2 */
    return most * 4 <= exact ? 2 : most <= exact ? 1 : 0;
}

static void check_problem(struct verify *v, const struct problem *problem)
{
    char text[256];
    const long passed = v->passed, failed = v->failed;
    cvg_conv conv = problem->conv;
    problem_print(&conv, text, sizeof text);
    problem_arguments(&conv, v->arguments, sizeof v->arguments);
    v->problem = text;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\rverifying %s ... ", text);
    for (int t = 0; t < v->type_count; t++) {
        conv.type = v->type = v->types[t];
        const int range = exact_range(&conv, conv.type);
        if (range)
            check_data(v, &conv, range);
        else
            v->skipped++;
        check_data(v, &conv, 0);
    }
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%79s\r", "");
    printf("%s%s%s: %ld checks passed, %ld failed\n", text, *problem->name ? " " : "", problem->name,
           v->passed - passed, v->failed - failed);
    fflush(stdout);
}

/* When the user names no problem: each of these is there for a reason. */
static const char *const standard[] = {
    "mb1ic1ih1oc1kh1ph0n\"the smallest there is\"",
    "mb2ic3ih5iw7oc4kh3kw2ph2pw1n\"every size differs\"",
    "mb1ic2ih8oc2kh3sh3ph0n\"stride leaves a border\"",
    "mb1ic2ih9oc2kh3dh1ph2n\"dilation 2\"",
    "mb1ic2ih4oc2kh3ph5n\"padding past the filter\"",
    "g2mb1ic4ih6oc6kh3ph1n\"groups, K/G unlike C/G\"",
    "g8mb1ic8ih9oc8kh3ph1n\"depthwise\"",
    "mb3ic17ih13iw11oc33kh3kw3ph1pw1n\"a multiple of nothing\"",
    "mb2ic3iw20oc4kw5sw2dw1pw3n\"rank 1\"",
    "mb2ic3id4ih5iw6oc4kd2kh3kw2sd1sh2sw1pd1ph1pw0n\"rank 3\"",
    "mb0ic3ih5oc4kh3ph1n\"batch 0\"",
    "mb64ic3ih28oc4kh3ph1n\"the textbook's layer\"",
};

int command_verify(const struct args *args)
{
    struct verify v = {.seed = (uint64_t)args_number(args, OPT_SEED, 1, 0)};
    struct problem *problems;
    cvg_error error;

    v.thread_count = args_threads(args, "1,2,3,7", v.threads, 16);
    v.algo_count = args_algos(args, v.algos);
    v.type_count = args_types(args, -1, v.types);
    const int count = args_problems(args, &problems);
    if (count)
        for (int i = 0; i < count; i++)
            check_problem(&v, &problems[i]);
    else
        for (size_t i = 0; i < sizeof standard / sizeof *standard; i++) {
            struct problem problem = {.conv = CVG_CONV_INIT};
            if (!problem_parse(&problem, standard[i], &error))
                die(EXIT_WRONG, "%s", error.text);
            check_problem(&v, &problem);
        }
    free(problems);
    printf("verify: %ld checks passed, %ld failed", v.passed, v.failed);
    if (v.refused)
        printf(", %ld runs left out (the algorithm does not do the problem)", v.refused);
    if (v.skipped)
        printf(", %ld exact tests left out (sums too long to be exact in f32)", v.skipped);
    printf("\n");
    if (v.passed + v.failed == 0)
        die(EXIT_BAD_INPUT, "nothing was checked: no algorithm asked for does a problem asked for");
    return v.failed ? EXIT_WRONG : 0;
}
