/*
 * convgrad verify: every algorithm against the reference, on the user's shape.
 *
 * Each algorithm, type, thread count and instruction set runs all four results on
 *   - small integers, where every sum is exact in the type: must equal the reference; and once
 *     for each algorithm
 *       added twice with a scale of 1/2: exactly 3/2, then 2 of it;
 *       every subset of the gradients in one call: the same bits, and nothing else written;
 *       the adjoint identities <output - bias, g> = <input, grad_input> = <weight, grad_weight>;
 *       an input and a grad_output of zeros but one 1: copies of the filter, known without any
 *       convolution; and the sum of the two kinds of operands: the sum of their results;
 *   - real numbers: must stay within the bound of docs/numerics.md,
 *     gamma(terms + 3) * sum |products|, a comparison that NaN fails.
 * Winograd's algorithms do not add the definition's products: both kinds of data, and the
 * identities, must stay within cvg_plan_error_bound() times the largest operands.
 * Results begin as NaN, the workspace as 0xA5; all end where memory ends that may be touched, or
 * one element before, and operands must come out unchanged.  The results of all thread counts, and
 * of all instruction sets that fuse multiply and add, must be the same bits.
 */
#include "cli.h"
#include "guard.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum tensor { INPUT, WEIGHT, BIAS, GRAD_OUTPUT, OUTPUT, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS, TENSORS };
enum { FIRST_RESULT = OUTPUT };

static const char *const tensor_names[TENSORS] = {
    "input", "weight", "bias", "grad_output", "output", "grad_input", "grad_weight", "grad_bias",
};

enum { POISON_BYTE = 0xa5 };

/* ---- one set of tensors of one type ---- */

struct set {
    struct array view[TENSORS]; /* data in memory[] */
    struct guarded memory[TENSORS];
};

/* gap: elements between each tensor and the end of memory. */
static void set_new(struct set *set, cvg_type type, const struct sizes *z, size_t gap)
{
    const int64_t counts[TENSORS] = {z->input,  z->weight, z->bias,   z->output,
                                     z->output, z->input,  z->weight, z->bias};
    const size_t size = type == CVG_F32 ? sizeof(float) : sizeof(double);
    for (int i = 0; i < TENSORS; i++) {
        set->memory[i] = guarded_new((size_t)counts[i] * size, gap * size);
        set->view[i] = (struct array){.type = type, .count = counts[i], .data = set->memory[i].data};
    }
}

static void set_free(struct set *set)
{
    for (int i = 0; i < TENSORS; i++)
        guarded_free(&set->memory[i]);
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

/* A workspace of so many bytes at an odd address: NULL if it has none. */
static struct guarded workspace_new(size_t bytes)
{
    struct guarded space = guarded_new(bytes, bytes % 2 == 0);
    memset(space.data, POISON_BYTE, bytes);
    if (!bytes)
        space.data = NULL;
    return space;
}

/* Whether the workspace's guard held; frees it. */
static int workspace_intact(struct guarded *space)
{
    const int intact = !space->data || guard_intact(space);
    guarded_free(space);
    return intact;
}

/* Computes all results; the workspace is exact, odd, poisoned and guarded.  1 if its guard held. */
static int run_all(const cvg_plan *plan, struct set *set, cvg_mode mode)
{
    int intact = 1;
    const struct array *t = set->view;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        struct guarded space = workspace_new(cvg_plan_workspace_size(plan, (cvg_pass)pass));
        void *workspace = space.data;
        if (pass == CVG_FORWARD && mode == CVG_OVERWRITE)
            cvg_forward(plan, t[INPUT].data, t[WEIGHT].data, t[BIAS].data, t[OUTPUT].data, workspace);
        else if (pass == CVG_GRAD_INPUT)
            cvg_grad_input(plan, t[GRAD_OUTPUT].data, t[WEIGHT].data, t[GRAD_INPUT].data, mode, workspace);
        else if (pass == CVG_GRAD_WEIGHT)
            cvg_backward(plan, t[INPUT].data, NULL, t[GRAD_OUTPUT].data, NULL, t[GRAD_WEIGHT].data,
                         t[GRAD_BIAS].data, mode, workspace);
        intact &= workspace_intact(&space);
    }
    return intact;
}

/* ---- checks ---- */

enum { MOST_SETS = 8 };

struct verify {
    uint64_t seed;
    int threads[16], thread_count;
    const char *sets[MOST_SETS]; /* instruction sets that the processor has; the one it takes is first */
    int set_count;
    cvg_algo algos[CVG_ALGO_COUNT];
    int algo_count;
    cvg_type types[2];
    int type_count;
    long problems, passed, failed, skipped, refused;
    int quiet; /* does not print problems that pass */
    /* what is being checked, for messages */
    const char *problem;
    char arguments[512]; /* that name it */
    cvg_algo algo;
    cvg_type type;
    int at_threads, at_set;
    const char *doing; /* ", with something special", or "" */
    double allowed[TENSORS]; /* beyond what the sum of the products allows */
};

/* The command that runs the same once more. */
static void repeat(const struct verify *v, char *text, size_t size)
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

/* ---- what happens while the library runs ---- */

static char crash_text[1200];
static volatile sig_atomic_t interrupted;

static void on_crash(int signal_number)
{
    (void)signal_number;
    const ssize_t written = write(STDERR_FILENO, crash_text, strlen(crash_text));
    _exit(written < 0 ? EXIT_WRONG + 1 : EXIT_WRONG);
}

static void on_interrupt(int signal_number)
{
    interrupted = 1;
    signal(signal_number, SIG_DFL); /* the second one ends the program */
}

static void watch(void)
{
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
#ifndef __SANITIZE_ADDRESS__ /* which says more */
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
#else
    (void)on_crash;
#endif
}

static void about_to_run(const struct verify *v)
{
    char command[800];
    repeat(v, command, sizeof command);
    snprintf(crash_text, sizeof crash_text,
             "convgrad: %s by %s: touched memory that it was not given\n  repeat: %s\n", v->problem,
             cvg_algo_name(v->algo), command);
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

/* From result first on. */
static void same_bits(struct verify *v, const struct set *set, const struct set *want, unsigned results)
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

enum { ALL = 1u << OUTPUT | 1u << GRAD_INPUT | 1u << GRAD_WEIGHT | 1u << GRAD_BIAS };

/* Every subset of the gradients in one call, from no operand that it does not need. */
static void subsets(struct verify *v, const cvg_plan *plan, struct set *work, const struct set *want)
{
    const struct array *t = work->view;
    for (int subset = 1; subset < 8; subset++) {
        size_t bytes = 0;
        unsigned untouched = 1;
        void *results[3];
        poison_results(work);
        for (int i = 0; i < 3; i++)
            results[i] = subset >> i & 1 ? t[GRAD_INPUT + i].data : NULL;
        for (int pass = CVG_GRAD_INPUT; pass < CVG_PASS_COUNT; pass++)
            if (results[pass - CVG_GRAD_INPUT] && cvg_plan_workspace_size(plan, (cvg_pass)pass) > bytes)
                bytes = cvg_plan_workspace_size(plan, (cvg_pass)pass);
        struct guarded space = workspace_new(bytes);
        const cvg_status status = cvg_backward(plan, results[1] ? t[INPUT].data : NULL, results[0] ? t[WEIGHT].data : NULL,
                                               t[GRAD_OUTPUT].data, results[0], results[1], results[2],
                                               CVG_OVERWRITE, space.data);
        v->doing = ", a subset of the gradients";
        record(v, status == CVG_OK && workspace_intact(&space), "a subset of the gradients: refused, or wrote outside the workspace");
        same_bits(v, work, want, (unsigned)subset << GRAD_INPUT);
        for (int i = 0; i < 3; i++)
            for (int64_t j = 0; !results[i] && j < t[GRAD_INPUT + i].count; j++)
                untouched &= isnan(array_get(&t[GRAD_INPUT + i], j));
        record(v, (int)untouched, "a subset of the gradients: another was written");
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

/* The output position that a tap of which reads position i, or -1. */
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

/* What is checked once for each algorithm, on integers; set holds the plan's results. */
static void identities(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
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

/* Whether the results of an instruction set have the bits of the other ones: if it fuses. */
static int fuses(const char *set)
{
#if defined(__x86_64__) || defined(__i386__)
    return strcmp(set, "portable") != 0;
#else
    (void)set;
    return 1;
#endif
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
    struct set before, set[2], first, want, sums;
    cvg_conv wide = *conv;
    wide.type = CVG_F64;
    cvg_plan *reference = plan_of(&wide, CVG_REFERENCE, z.macs < 1e7, 1); /* small ones by one thread */

    set_new(&before, conv->type, &z, 0);
    for (size_t gap = 0; gap < 2; gap++)
        set_new(&set[gap], conv->type, &z, gap);
    set_new(&first, conv->type, &z, 0);
    set_new(&want, CVG_F64, &z, 0);
    set_new(&sums, CVG_F64, &z, 0);
    fill_operands(&before, range, v->seed);
    copy_operands(&want, &before, 0);
    run_all(reference, &want, CVG_OVERWRITE);
    if (!range) {
        copy_operands(&sums, &before, 1);
        run_all(reference, &sums, CVG_OVERWRITE);
    }
    /* All thread counts by the first instruction set, then the other sets by one count each. */
    const int runs = v->thread_count + v->set_count - 1;
    for (int a = 0; a < v->algo_count; a++)
        for (int r = 0; r < runs; r++) {
            cvg_error error;
            v->algo = v->algos[a];
            v->at_set = r < v->thread_count ? 0 : r - v->thread_count + 1;
            v->at_threads = v->threads[r % v->thread_count];
            setenv("CVG_ISA", v->sets[v->at_set], 1);
            cvg_plan *plan = plan_try(conv, v->algo, v->at_threads, 1, &error);
            if (!plan) {
                v->refused++;
                continue;
            }
            struct set *now = &set[r % 2];
            about_to_run(v);
            set_allowed(v, plan, &before);
            copy_operands(now, &before, 0);
            poison_results(now);
            const int intact = run_all(plan, now, CVG_OVERWRITE);
            for (int i = FIRST_RESULT; i < TENSORS; i++)
                compare(v, (enum tensor)i, now, &want, range ? NULL : &sums, 1, terms[i]);
            unharmed(v, now, &before, intact);
            if (r == 0)
                for (int i = FIRST_RESULT; i < TENSORS; i++)
                    memcpy(first.view[i].data, now->view[i].data, now->memory[i].bytes);
            else if (fuses(v->sets[v->at_set]) == fuses(v->sets[0]))
                same_bits(v, now, &first, ALL);
            if (range && r == 0)
                identities(v, conv, plan, &before, &want, now, &set[1]);
            cvg_plan_destroy(plan);
        }
    setenv("CVG_ISA", v->sets[0], 1);
    cvg_plan_destroy(reference);
    set_free(&before);
    set_free(&set[0]);
    set_free(&set[1]);
    set_free(&first);
    set_free(&want);
    set_free(&sums);
}

/*
 * The largest range of integers whose sums, and twice of them in steps of 1/2, are exact in the
 * type, also with 1 added to operands; 0 if none.
 */
static int exact_range(const cvg_conv *conv, cvg_type type)
{
    const struct sizes z = problem_sizes(conv);
    const double most = fmax(z.terms + 1, fmax(z.input_terms, z.weight_terms));
    const double exact = type == CVG_F32 ? 0x1p24 : 0x1p53;
    return most * 16 <= exact ? 2 : most * 4 <= exact ? 1 : 0;
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
    v->problems++;
    if (!v->quiet || v->failed > failed)
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

/* The instruction sets to hold beside each other: what CVG_ISA names, or all that the processor has. */
static void find_sets(struct verify *v)
{
    static const char *const names[] = {"avx512", "avx2", "fma", "neon", "portable"};
    const char *named = getenv("CVG_ISA");
    if (named && *named) {
        v->sets[v->set_count++] = named;
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cvg_conv conv = CVG_CONV_INIT;
        cvg_plan *plan;
        setenv("CVG_ISA", names[i], 1);
        if (cvg_plan_create(&plan, &conv, NULL, NULL) == CVG_OK)
            v->sets[v->set_count++] = names[i];
        cvg_plan_destroy(plan);
    }
}

/* Random problems, each of its own seed, by one thread and by 2 to 8. */
static void check_random(struct verify *v, int64_t count, int threads_given)
{
    const uint64_t seed = v->seed;
    for (int64_t i = 0; i < count && !interrupted; i++) {
        struct random random = {seed + (uint64_t)i};
        struct problem problem;
        v->seed = seed + (uint64_t)i;
        problem_draw(&problem, &random);
        if (!threads_given) {
            v->thread_count = 2;
            v->threads[0] = 1;
            v->threads[1] = 2 + (int)(random_bits(&random) % 7);
        }
        check_problem(v, &problem);
    }
}

int command_verify(const struct args *args)
{
    struct verify v = {.seed = (uint64_t)args_number(args, OPT_SEED, 1, 0), .doing = ""};
    struct problem *problems;
    cvg_error error;

    v.thread_count = args_threads(args, "1,2,3,7", v.threads, 16);
    v.algo_count = args_algos(args, v.algos);
    v.type_count = args_types(args, -1, v.types);
    const int64_t drawn = (int64_t)args_number(args, OPT_RANDOM, 0, 1);
    const int count = args_problems(args, &problems);
    find_sets(&v);
    watch();
    for (int i = 0; i < count && !interrupted; i++)
        check_problem(&v, &problems[i]);
    for (size_t i = 0; !count && !drawn && !interrupted && i < sizeof standard / sizeof *standard; i++) {
        struct problem problem = {.conv = CVG_CONV_INIT};
        if (!problem_parse(&problem, standard[i], &error))
            die(EXIT_WRONG, "%s", error.text);
        check_problem(&v, &problem);
    }
    free(problems);
    v.quiet = drawn > 0;
    check_random(&v, drawn, args->option[OPT_THREADS] != NULL);
    printf("verify: %ld problems, %ld checks passed, %ld failed", v.problems, v.passed, v.failed);
    if (v.refused)
        printf(", %ld runs left out (the algorithm does not do the problem)", v.refused);
    if (v.skipped)
        printf(", %ld exact tests left out (sums too long to be exact in f32)", v.skipped);
    printf("%s\n", interrupted ? "; interrupted" : "");
    if (interrupted)
        return EXIT_WRONG;
    if (v.passed + v.failed == 0)
        die(EXIT_BAD_INPUT, "nothing was checked: no algorithm asked for does a problem asked for");
    return v.failed ? EXIT_WRONG : 0;
}
