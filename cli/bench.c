/* convgrad bench: time of each pass, beside the machine's peak in the same run. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST_RUNS = 5, MOST_RUNS = 1000 };

/* One layer's tensors; grad tensors are results and operands alike. */
struct layer {
    struct array input, weight, output, grad_output, grad_input, grad_weight;
};

static struct array random_tensor(cvg_type type, int64_t count, struct random *random)
{
    struct array array;
    cvg_error error;
    if (!array_new(&array, type, 1, &count, &error))
        die(EXIT_WRONG, "%s", error.text);
    for (int64_t i = 0; i < count; i++)
        array_set(&array, i, random_uniform(random));
    return array;
}

static struct layer layer_of(const cvg_conv *conv)
{
    const struct sizes z = problem_sizes(conv);
    struct random random = {1};
    return (struct layer){
        random_tensor(conv->type, z.input, &random),  random_tensor(conv->type, z.weight, &random),
        random_tensor(conv->type, z.output, &random), random_tensor(conv->type, z.output, &random),
        random_tensor(conv->type, z.input, &random),  random_tensor(conv->type, z.weight, &random),
    };
}

static void layer_free(struct layer *l)
{
    array_free(&l->input);
    array_free(&l->weight);
    array_free(&l->output);
    array_free(&l->grad_output);
    array_free(&l->grad_input);
    array_free(&l->grad_weight);
}

static void run_pass(const cvg_plan *plan, cvg_pass pass, const struct layer *l, void *workspace)
{
    switch (pass) {
    case CVG_FORWARD:
        cvg_forward(plan, l->input.data, l->weight.data, NULL, l->output.data, workspace);
        break;
    case CVG_GRAD_INPUT:
        cvg_grad_input(plan, l->grad_output.data, l->weight.data, l->grad_input.data, CVG_OVERWRITE,
                       workspace);
        break;
    case CVG_GRAD_WEIGHT:
        cvg_grad_weight(plan, l->input.data, l->grad_output.data, l->grad_weight.data, CVG_OVERWRITE,
                        workspace);
        break;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct candidate {
    cvg_algo algo;
    cvg_plan *plan;
    void *workspace;
    double *times;
    int runs;
};

/* Times one pass by all candidates in turn, so that a slow spell of the machine hits all alike. */
static void time_pass(struct candidate *candidates, int count, cvg_pass pass, const struct layer *layer,
                      double min_time)
{
    double spent = 0;
    for (int i = 0; i < count; i++) {
        candidates[i].runs = 0;
        run_pass(candidates[i].plan, pass, layer, candidates[i].workspace);
    }
    while (candidates[0].runs < LEAST_RUNS ||
           (spent < min_time * count && candidates[0].runs < MOST_RUNS))
        for (int i = 0; i < count; i++) {
            const double begin = seconds();
            run_pass(candidates[i].plan, pass, layer, candidates[i].workspace);
            const double time = seconds() - begin;
            candidates[i].times[candidates[i].runs++] = time;
            spent += time;
        }
    for (int i = 0; i < count; i++)
        qsort(candidates[i].times, (size_t)candidates[i].runs, sizeof(double), by_value);
}

struct bench {
    const struct args *args;
    FILE *json;
    int threads, terminal;
    double min_time;
    cvg_pass passes[CVG_PASS_COUNT];
    cvg_algo algos[CVG_ALGO_COUNT];
    int pass_count, algo_count;
};

static void report(const struct bench *bench, const char *problem, const cvg_conv *conv, cvg_pass pass,
                   const struct candidate *c, double peak)
{
    const double least = c->times[0], median = c->times[c->runs / 2];
    const double flops = 2 * problem_sizes(conv).macs;
    const size_t bytes = cvg_plan_workspace_size(c->plan, pass);
    const int threads = cvg_plan_threads(c->plan, pass);
    printf("  %-11s %-9s %s %3d threads  min %10.4f ms  median %10.4f ms  %8.2f GFLOP/s  %5.1f %% of peak"
           "  workspace %zu\n",
           pass_names[pass], cvg_algo_name(c->algo), type_name(conv->type), threads, least * 1e3,
           median * 1e3, flops / least * 1e-9, 100 * flops / least / peak, bytes);
    fflush(stdout);
    if (bench->json)
        fprintf(bench->json,
                "{\"problem\":\"%s\",\"pass\":\"%s\",\"type\":\"%s\",\"algo\":\"%s\",\"peer\":null,"
                "\"threads\":%d,\"seconds_min\":%.9g,\"seconds_median\":%.9g,\"gflops\":%.6g,"
                "\"workspace_bytes\":%zu,\"peak_gflops\":%.6g}\n",
                problem, pass_names[pass], type_name(conv->type), cvg_algo_name(c->algo), threads, least,
                median, flops / least * 1e-9, bytes, peak * 1e-9);
}

static void bench_problem(const struct bench *bench, const struct problem *problem, cvg_type type)
{
    char text[256];
    cvg_conv conv = problem->conv;
    struct candidate candidates[CVG_ALGO_COUNT];

    conv.type = type;
    problem_print(&conv, text, sizeof text);
    struct layer layer = layer_of(&conv);
    for (int i = 0; i < bench->algo_count; i++) {
        candidates[i].algo = bench->algos[i];
        candidates[i].plan = plan_of(&conv, bench->algos[i], bench->threads, 1);
        candidates[i].workspace = workspace_of(candidates[i].plan);
        candidates[i].times = cli_alloc(MOST_RUNS, sizeof(double));
    }
    const int threads = cvg_plan_threads(candidates[0].plan, CVG_FORWARD);
    const double peak = peak_flops(type, threads);
    printf("%s%s%s: FMA peak %.1f GFLOP/s on %d threads\n", text, *problem->name ? " " : "", problem->name,
           peak * 1e-9, threads);
    for (int p = 0; p < bench->pass_count; p++) {
        if (bench->terminal)
            fprintf(stderr, "\rtiming %s %s ... ", text, pass_names[bench->passes[p]]);
        time_pass(candidates, bench->algo_count, bench->passes[p], &layer, bench->min_time);
        if (bench->terminal)
            fprintf(stderr, "\r%79s\r", "");
        for (int i = 0; i < bench->algo_count; i++)
            report(bench, text, &conv, bench->passes[p], &candidates[i], peak);
    }
    for (int i = 0; i < bench->algo_count; i++) {
        cvg_plan_destroy(candidates[i].plan);
        free(candidates[i].workspace);
        free(candidates[i].times);
    }
    layer_free(&layer);
}

int command_bench(const struct args *args)
{
    struct bench bench = {.args = args, .terminal = isatty(STDERR_FILENO)};
    struct problem *problems;
    cvg_type types[2];
    cvg_error error;

    if (args->option[OPT_PEER])
        die(EXIT_BAD_INPUT, "--peer is \"%s\"; this build knows no peers", args->option[OPT_PEER]);
    bench.pass_count = args_passes(args, bench.passes);
    bench.algo_count = args_algos(args, bench.algos);
    bench.min_time = args_number(args, OPT_MIN_TIME, 0.3, 0);
    args_threads(args, "1", &bench.threads, 1);
    const int type_count = args_types(args, CVG_F32, types);
    int count = args_problems(args, &problems);
    if (count == 0) {
        problems[0] = (struct problem){.conv = CVG_CONV_INIT};
        problem_parse(&problems[0], "mb64ic3ih28oc4kh3ph1n\"the textbook's layer\"", &error);
        count = 1;
    }
    if (args->option[OPT_JSON] && !(bench.json = fopen(args->option[OPT_JSON], "w")))
        die(EXIT_WRONG, "--json: %s: %s", args->option[OPT_JSON], strerror(errno));
    for (int i = 0; i < count; i++)
        for (int t = 0; t < type_count; t++)
            bench_problem(&bench, &problems[i], types[t]);
    free(problems);
    if (bench.json) {
        const int failed = ferror(bench.json);
        if (fclose(bench.json) || failed)
            die(EXIT_WRONG, "--json: %s: cannot be written", args->option[OPT_JSON]);
    }
    return 0;
}
