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
 *       the transposed convolution, forward and backward, from the same results;
 *       a huge element, an infinity or a NaN in an operand: by an algorithm that adds the
 *       definition's products, results that do not read it keep their bits;
 *   - real numbers: must stay within the bound of docs/numerics.md,
 *     gamma(terms + 3) * sum |products|, a comparison that NaN fails; and be non-negative
 *     where all products are.
 * Winograd's algorithms do not add the definition's products: both kinds of data, and the
 * identities, must stay within cvg_plan_error_bound() times the largest operands.
 * Results begin as NaN, the workspace, too; all end where memory ends that may be touched, or
 * one element before, and operands must come out unchanged.  The results of all thread counts, and
 * of all instruction sets that fuse multiply and add, must be the same bits.
 *
 * With --time-limit each problem has a share of the time.  One whose definition takes longer is checked on drawn
 * elements by cvg_verify().  Small problems come first, and what they leave is for the large ones; time that is left
 * after the standard problems goes to random ones.
 */
#include "verify.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what happens while the library runs ---- */

static char crash_text[1200];

static void on_crash(int signal_number)
{
    (void)signal_number;
    const ssize_t written = write(STDERR_FILENO, crash_text, strlen(crash_text));
    _exit(written < 0 ? EXIT_WRONG + 1 : EXIT_WRONG);
}

static void watch_crashes(void)
{
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
    snprintf(crash_text, sizeof crash_text, "convgrad: %s by %s: touched memory that it was not given\n  repeat: %s\n",
             v->problem, cvg_algo_name(v->algo), command);
}

/* Whether there is no time left. */
static int time_is_up(const struct verify *v) { return seconds() >= v->deadline; }

/* Runs of one problem: by each algorithm, on both kinds of data, by all thread counts and instruction sets. */
static int steps_of(const struct verify *v, int thread_count)
{
    return 2 * v->type_count * v->algo_count * (thread_count + v->set_count - 1);
}

static void step(struct verify *v)
{
    v->steps++;
    progress_step(1);
}

/* The definition once more on dense tensors with channels first: the layout that all the others are held to. */
static void check_dense(struct verify *v, const cvg_conv *conv, const struct set *want)
{
    const cvg_conv plain = CVG_CONV_INIT;
    cvg_conv dense = *conv;
    struct set set;
    dense.layout = plain.layout;
    dense.weight_layout = plain.weight_layout;
    dense.in_steps = plain.in_steps;
    dense.out_steps = plain.out_steps;
    if (!memcmp(&dense, conv, sizeof dense))
        return;
    cvg_plan *plan = plan_of(&dense, CVG_REFERENCE, 1, 1);
    set_new(&set, &dense, CVG_F64, 0);
    for (int i = 0; i < FIRST_RESULT; i++)
        for (int64_t j = 0; j < set_count(&set, (enum tensor)i); j++)
            array_set(&set.view[i], j, array_get(&want->view[i], set_place(want, (enum tensor)i, j)));
    run_all(plan, &set, CVG_OVERWRITE);
    v->algo = CVG_REFERENCE;
    same_elements(v, want, &set);
    set_free(&set);
    cvg_plan_destroy(plan);
}

/*
 * One problem, type and kind of data (range 0: real numbers).  want holds the reference's
 * results in double; sums, for real numbers, those of the absolute values.
 */
static void check_data(struct verify *v, const cvg_conv *conv, int range)
{
    const struct sizes z = problem_sizes(conv);
    const double terms[TENSORS] = {[OUTPUT] = z.terms + 1,
                                   [GRAD_INPUT] = z.input_terms,
                                   [GRAD_WEIGHT] = z.weight_terms,
                                   [GRAD_BIAS] = z.weight_terms};
    struct set before, set[2], first, want, sums;
    cvg_conv wide = *conv;
    wide.type = CVG_F64;
    cvg_plan *reference = plan_of(&wide, CVG_REFERENCE, z.macs < 1e7, 1); /* small ones by one thread */

    set_new(&before, conv, conv->type, 0);
    for (size_t gap = 0; gap < 2; gap++)
        set_new(&set[gap], conv, conv->type, gap);
    set_new(&first, conv, conv->type, 0);
    set_new(&want, conv, CVG_F64, 0);
    set_new(&sums, conv, CVG_F64, 0);
    fill_operands(&before, range, v->seed);
    copy_operands(&want, &before, 0);
    progress_says("%s, %s, the definition", v->problem, type_name(v->type));
    const double begin = seconds();
    run_all(reference, &want, CVG_OVERWRITE);
    const double spent = seconds() - begin;
    if (z.macs > 1e6)
        v->macs_a_second = CVG_PASS_COUNT * z.macs / spent;
    check_dense(v, &wide, &want);
    if (!range) {
        copy_operands(&sums, &before, 1);
        run_all(reference, &sums, CVG_OVERWRITE);
    }
    /* All thread counts by the first instruction set, then the other sets by one count each. */
    const int runs = v->thread_count + v->set_count - 1;
    for (int a = 0; a < v->algo_count && !time_is_up(v); a++)
        for (int r = 0; r < runs && !time_is_up(v); r++) {
            cvg_error error;
            step(v);
            v->algo = v->algos[a];
            v->at_set = r < v->thread_count ? 0 : r - v->thread_count + 1;
            v->at_threads = v->threads[r % v->thread_count];
            if (v->algo == CVG_REFERENCE && v->at_set > 0)
                continue; /* slow, and all plain C */
            progress_says("%s, %s, %s, %s, %d threads", v->problem, type_name(v->type), cvg_algo_name(v->algo),
                          v->sets[v->at_set], v->at_threads);
            plan_isa = v->sets[v->at_set];
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
            else if (v->fuses[v->at_set] == v->fuses[0])
                same_bits(v, now, &first, ~0u);
            if (range && r == 0 && conv->batch > 0)
                structure(v, conv, plan, &before, &want, now, &set[1]);
            if (range && r == 0)
                identities(v, conv, plan, &before, &want, now, &set[1]);
            if (!range && r == 0)
                non_negative(v, plan, &before, &set[1]);
            cvg_plan_destroy(plan);
        }
    plan_isa = v->sets[0];
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
    const double exact = type == CVG_F64 ? 0x1p53 : type == CVG_F16 ? 0x1p15 : 0x1p24; /* and not infinite */
    return most * 16 <= exact ? 2 : most * 4 <= exact ? 1 : 0;
}

/* A problem whose definition would take too long: the library holds drawn elements of all results to it. */
static void check_drawn(struct verify *v, const cvg_conv *conv)
{
    for (int a = 0; a < v->algo_count && !time_is_up(v); a++) {
        cvg_error error;
        cvg_report report;
        v->algo = v->algos[a];
        v->at_threads = v->threads[v->thread_count - 1];
        v->at_set = 0;
        if (v->algo == CVG_REFERENCE)
            continue; /* the definition itself */
        progress_says("%s, %s, %s, drawn elements", v->problem, type_name(v->type), cvg_algo_name(v->algo));
        cvg_plan *plan = plan_try(conv, v->algo, v->at_threads, 1, &error);
        if (!plan) {
            v->refused++;
            continue;
        }
        about_to_run(v);
        if (cvg_verify(plan, &report) == CVG_OUT_OF_MEMORY)
            die(EXIT_WRONG, "%s", report.text);
        cvg_plan_destroy(plan);
        interrupt_hold();
        v->passed += report.checks - report.failures - (report.failures > 0);
        interrupt_release();
        if (report.failures)
            record(v, 0, report.text);
    }
}

/* How many seconds a problem takes if all of its results are compared, about. */
static double whole_time(const struct verify *v, const cvg_conv *conv)
{
    int references = 3; /* two kinds of data, and sums of absolutes */
    for (int a = 0; a < v->algo_count; a++)
        if (v->algos[a] == CVG_REFERENCE)
            references += 2 * v->thread_count;
    return v->type_count * references * CVG_PASS_COUNT * problem_sizes(conv).macs / v->macs_a_second;
}

/* share: seconds that it may take; more, and elements are drawn. */
static void check_problem(struct verify *v, const struct problem *problem, double share)
{
    const long passed = v->passed, failed = v->failed;
    cvg_conv conv = problem->conv;
    const int whole = whole_time(v, &conv) <= share;
    v->steps = 0;
    interrupt_hold();
    problem_print(&conv, v->problem, sizeof v->problem - 64);
    layout_print(&conv, v->problem + strlen(v->problem), 64);
    v->passed_before = passed;
    v->drawing = !whole;
    interrupt_release();
    problem_arguments(&conv, v->arguments, sizeof v->arguments);
    for (int t = 0; t < v->type_count && !time_is_up(v); t++) {
        conv.type = v->type = v->types[t];
        const int range = exact_range(&conv, conv.type);
        if (!whole) {
            check_drawn(v, &conv);
            continue;
        }
        if (range)
            check_data(v, &conv, range);
        else
            v->skipped++;
        check_data(v, &conv, 0);
    }
    const int complete = !time_is_up(v);
    interrupt_hold();
    v->problems += complete;
    v->drawn += complete && !whole;
    interrupt_release();
    if (!v->quiet || v->failed > failed) {
        progress_clear();
        printf("%s%s%s: %ld checks passed, %ld failed%s%s\n", v->problem, *problem->name ? " " : "", problem->name,
               v->passed - passed, v->failed - failed, whole ? "" : ", on drawn elements",
               complete ? "" : "; not all were made");
        fflush(stdout);
    }
    interrupt_hold();
    *v->problem = 0;
    interrupt_release();
    progress_step(steps_of(v, v->thread_count) - v->steps);
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

/* The instruction sets to hold beside each other: the one that the environment names, or all that the processor has. */
static void find_sets(struct verify *v)
{
    const cvg_conv conv = CVG_CONV_INIT;
    cvg_plan *plan = plan_of(&conv, CVG_AUTO, 1, 1);
    const char *first = cvg_plan_isa(plan), *named = getenv("CVG_ISA");
    cvg_plan_destroy(plan);
    for (int i = 0; cvg_isa_name(i) && v->set_count < MOST_SETS; i++) {
        if (named && *named && strcmp(first, cvg_isa_name(i)))
            continue;
        plan_isa = cvg_isa_name(i);
        plan = plan_of(&conv, CVG_AUTO, 1, 1);
        v->fuses[v->set_count] = cvg_plan_fuses(plan);
        v->sets[v->set_count++] = plan_isa;
        cvg_plan_destroy(plan);
    }
    plan_isa = v->sets[0];
}

enum { HALVES = 3 }; /* one random problem of so many is of halves, too */

/* Random problems, each of its own seed, by one thread and by 2 to 8. */
static void check_random(struct verify *v, const struct args *args, int64_t count)
{
    const uint64_t seed = v->seed;
    v->quiet = 1;
    for (int64_t i = 0; i < count && !time_is_up(v); i++) {
        struct random random = {seed + (uint64_t)i};
        struct problem problem;
        v->seed = seed + (uint64_t)i;
        problem_draw(&problem, &random);
        if (!args->option[OPT_TYPE]) { /* halves take longer to draw and to compare */
            v->types[2] = CVG_BF16 + (cvg_type)(i / HALVES % 2);
            v->type_count = i % HALVES ? 2 : 3;
        }
        if (!args_layout(args, &problem.conv))
            layout_draw(&problem.conv, &random);
        if (!args->option[OPT_THREADS]) {
            v->thread_count = 2;
            v->threads[0] = 1;
            v->threads[1] = 2 + (int)(random_bits(&random) % 7);
        }
        check_problem(v, &problem, INFINITY);
    }
}

static const char *problems_of(long count) { return count == 1 ? "problem" : "problems"; }

/* The last line; what was found, and what was not looked at. */
static void print_sum(const struct verify *v, const char *end)
{
    printf("verify: %ld %s, %ld checks passed, %ld failed", v->problems, problems_of(v->problems), v->passed,
           v->failed);
    if (v->drawn)
        printf(", %ld %s by drawn elements", v->drawn, problems_of(v->drawn));
    if (v->refused)
        printf(", %ld runs left out (the algorithm does not do the problem)", v->refused);
    if (v->skipped)
        printf(", %ld exact tests left out (sums too long to be exact)", v->skipped);
    printf("%s\n", end);
}

/* Ended by a signal, or, in the middle of a problem, by the time limit. */
static int tell_interrupted(void *context, int number)
{
    const struct verify *v = context;
    if (*v->problem && !v->quiet)
        printf("%s: %ld checks passed%s; not all were made\n", v->problem, v->passed - v->passed_before,
               v->drawing ? ", on drawn elements" : "");
    char end[60];
    snprintf(end, sizeof end, "; time limit of %g s reached", v->limit);
    print_sum(v, number ? "; interrupted" : end);
    return number || v->failed || !v->passed ? EXIT_WRONG : 0;
}

static int by_macs(const void *a, const void *b)
{
    const double x = problem_sizes(&((const struct problem *)a)->conv).macs;
    const double y = problem_sizes(&((const struct problem *)b)->conv).macs;
    return (x > y) - (x < y);
}

/* The standard problems, as args_problems() gives others. */
static int standard_problems(const struct args *args, struct problem **problems)
{
    const int count = sizeof standard / sizeof *standard;
    cvg_error error;
    free(*problems);
    *problems = cli_alloc((size_t)count, sizeof **problems);
    for (int i = 0; i < count; i++) {
        (*problems)[i] = (struct problem){.conv = CVG_CONV_INIT};
        if (!problem_parse(&(*problems)[i], standard[i], &error))
            die(EXIT_WRONG, "%s", error.text);
        args_layout(args, &(*problems)[i].conv);
    }
    return count;
}

int command_verify(const struct args *args)
{
    struct verify v = {.seed = (uint64_t)args_count(args, OPT_SEED, 1, 0), .doing = "", .macs_a_second = 3e8};
    struct problem *problems;

    v.thread_count = args_threads(args, "1,2,3,7", v.threads, 16);
    v.algo_count = args_algos(args, v.algos);
    v.type_count = args_types(args, -1, CVG_TYPE_COUNT, v.types);
    const double limit = args_number(args, OPT_TIME_LIMIT, INFINITY, 0);
    const int limited = limit < INFINITY;
    int64_t drawn = args_count(args, OPT_RANDOM, 0, 1);
    int count = args_problems(args, &problems);
    if (!count && !drawn) {
        count = standard_problems(args, &problems);
        drawn = limited ? INT64_MAX : 0; /* small random problems find most in the time that is left */
    }
    find_sets(&v);
    watch_crashes();
    v.limit = limit;
    v.deadline = seconds() + limit;
    interrupt_tells(tell_interrupted, &v);
    if (limited)
        interrupt_at(v.deadline + 0.5); /* unless it ends by itself before */
    if (limited)
        qsort(problems, (size_t)count, sizeof *problems, by_macs); /* what small ones leave is for large ones */
    const int64_t named = steps_of(&v, v.thread_count);
    const int64_t random = steps_of(&v, args->option[OPT_THREADS] ? v.thread_count : 2);
    progress_begin(drawn < INT32_MAX ? count * named + drawn * random : 0); /* no total for more than a life takes */
    int begun = 0;
    for (; begun < count && !time_is_up(&v); begun++)
        check_problem(&v, &problems[begun], (v.deadline - seconds()) / (count - begun));
    free(problems);
    check_random(&v, args, drawn);
    progress_clear();
    interrupt_at(INFINITY);
    interrupt_tells(NULL, NULL);
    char end[120] = "";
    if (limited && time_is_up(&v))
        snprintf(end, sizeof end, "; time limit of %g s reached, %d named %s not looked at", limit, count - begun,
                 problems_of(count - begun));
    print_sum(&v, end);
    if (v.passed + v.failed == 0)
        die(EXIT_BAD_INPUT, limited && time_is_up(&v)
                                ? "nothing was checked in the time limit"
                                : "nothing was checked: no algorithm asked for does a problem asked for");
    return v.failed ? EXIT_WRONG : 0;
}
