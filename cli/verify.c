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
 */
#include "verify.h"

#include <inttypes.h>
#include <math.h>
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

static void watch(void)
{
    watch_interrupts();
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
    for (int a = 0; a < v->algo_count && !interrupted; a++)
        for (int r = 0; r < runs && !interrupted; r++) {
            cvg_error error;
            v->algo = v->algos[a];
            v->at_set = r < v->thread_count ? 0 : r - v->thread_count + 1;
            v->at_threads = v->threads[r % v->thread_count];
            if (v->algo == CVG_REFERENCE && v->at_set > 0)
                continue; /* slow, and all plain C */
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
                same_bits(v, now, &first, ~0u);
            if (range && r == 0)
                identities(v, conv, plan, &before, &want, now, &set[1]);
            if (!range && r == 0)
                non_negative(v, plan, &before, &set[1]);
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
    for (int t = 0; t < v->type_count && !interrupted; t++) {
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
    v->problems += !interrupted;
    if (!v->quiet || v->failed > failed)
        printf("%s%s%s: %ld checks passed, %ld failed%s\n", text, *problem->name ? " " : "", problem->name,
               v->passed - passed, v->failed - failed, interrupted ? "; not all were made" : "");
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
        cvg_error error;
        setenv("CVG_ISA", names[i], 1);
        cvg_plan *plan = plan_try(&conv, CVG_AUTO, 1, 1, &error);
        if (plan)
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
