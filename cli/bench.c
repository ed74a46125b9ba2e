/* convgrad bench: time of each pass, ours and peers', beside the machine's peak in the same run. */
#include "bench.h"

#include "cli.h"
#include "page.h"
#include "peer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bench {
    struct output json, page; /* without a file: not asked for */
    int threads;
    double min_time;
    cvg_pass passes[CVG_PASS_COUNT];
    int pass_count;
    struct candidate candidates[CANDIDATES_MOST];
    int count, measured; /* passes of layers */
    struct report report;
    /* --check-planner: how far AUTO's choice is from the best, as a part of its time. */
    int check, regrets;
    double regret_sum, regret_most;
    char regret_where[320];
};

static void print_header(const struct bench *bench)
{
    about_print(bench->report.about);
    printf("speed: %s is 1.00x; error: root mean square, in parts of that of the result\n", bench->report.names[0]);
    printf("  %-11s %-15s %10s %10s %8s %6s %7s %8s %9s\n", "pass", "algorithm", "min ms", "median ms", "GFLOP/s",
           "% peak", "speed", "error", "workspace");
}

/* A candidate's name; what auto took stands behind it. */
static void name_of(const struct candidate *c, cvg_pass pass, char text[48])
{
    snprintf(text, 48, "%s%s%s", c->name, !c->peer && c->algo == CVG_AUTO ? ": " : "",
             !c->peer && c->algo == CVG_AUTO ? cvg_algo_name(cvg_plan_algo(c->plan, pass)) : "");
}

static void print_line(const struct candidate *c, const struct candidate *base, const char *pass_name, cvg_pass pass,
                       double flops, double peak)
{
    const size_t bytes = c->peer ? 0 : cvg_plan_workspace_size(c->plan, pass);
    char name[48], speed[16] = "", error[16] = "", room[24] = "";
    name_of(c, pass, name);
    if (base->runs)
        snprintf(speed, sizeof speed, "%.2fx", base->times[0] / c->times[0]);
    if (c->error_rms >= 0)
        snprintf(error, sizeof error, "%.1e", c->error_rms);
    if (!c->peer)
        snprintf(room, sizeof room, bytes < 1 << 20 ? "%.1f KiB" : "%.1f MiB",
                 (double)bytes / (bytes < 1 << 20 ? 1 << 10 : 1 << 20));
    printf("  %-11s %-15s %10.4f %10.4f %8.2f %6.1f %7s %8s %9s\n", pass_name, name, c->times[0] * 1e3,
           c->times[c->runs / 2] * 1e3, flops / c->times[0] * 1e-9, 100 * flops / c->times[0] / peak, speed, error,
           room);
}

static void json_line(struct bench *bench, const struct report_row *row, const cvg_conv *conv, cvg_pass pass,
                      const struct candidate *c)
{
    FILE *out = bench->json.file;
    const size_t bytes = c->peer ? 0 : cvg_plan_workspace_size(c->plan, pass);
    const int threads = c->peer ? bench->threads : cvg_plan_threads(c->plan, pass);
    fprintf(out, "{\"problem\":\"%s\",\"pass\":\"%s\",\"type\":\"%s\",\"algo\":", row->problem, pass_names[pass],
            type_name(conv->type));
    fprintf(out, c->peer ? "null,\"peer\":\"%s\"" : "\"%s\",\"peer\":null", c->name);
    fprintf(out, ",\"threads\":%d,\"seconds_min\":%.9g,\"seconds_median\":%.9g,\"gflops\":%.6g,\"workspace_bytes\":%zu",
            threads, c->times[0], c->times[c->runs / 2], 2 * problem_sizes(conv).macs / c->times[0] * 1e-9, bytes);
    fprintf(out, ",\"peak_gflops\":%.6g", row->peak * 1e-9);
    if (c->error_rms >= 0)
        fprintf(out, ",\"error_rms\":%.3g,\"error_max\":%.3g", c->error_rms, c->error_most);
    if (!c->peer && c->algo == CVG_AUTO)
        fprintf(out, ",\"chosen\":\"%s\"", cvg_algo_name(cvg_plan_algo(c->plan, pass)));
    fprintf(out, ",\"layer\":");
    json_string(out, row->name);
    about_json(bench->report.about, out);
    fprintf(out, "}\n");
}

/* Prepares the candidates for a pass; leaves those that can do it in ready. */
static int open_candidates(struct bench *bench, const cvg_conv *conv, cvg_pass pass, struct layer *layer,
                           struct candidate **ready)
{
    int count = 0;
    for (int i = 0; i < bench->count; i++) {
        struct candidate *c = &bench->candidates[i];
        c->runs = 0;
        if (c->peer) {
            c->workspace = c->peer->open(conv, pass, layer, bench->threads, &c->why);
        } else { /* an algorithm that refuses another pass is still timed in this one */
            c->plan = plan_of_pass(conv, pass, c->algo, bench->threads, &c->why);
            c->workspace = c->plan ? workspace_of(c->plan) : NULL;
        }
        if (c->workspace)
            ready[count++] = c;
    }
    return count;
}

static void close_candidates(struct candidate *const *ready, int count)
{
    for (int i = 0; i < count; i++) {
        struct candidate *c = ready[i];
        if (c->peer) {
            c->peer->close(c->workspace);
        } else {
            cvg_plan_destroy(c->plan);
            free(c->workspace);
        }
    }
}

/* Compares what AUTO chooses with the best of what it may choose; one that mixes neighbours must pay. */
static void check_planner(struct bench *bench, const char *text, const cvg_conv *conv, cvg_pass pass,
                          struct candidate *const *ready, int count)
{
    cvg_plan *plan = plan_of(conv, CVG_AUTO, bench->threads, 1);
    const struct candidate *best = NULL, *chosen = NULL;
    double least = INFINITY;
    for (int i = 0; i < count; i++) {
        if (ready[i]->peer)
            continue;
        if (ready[i]->algo == cvg_plan_algo(plan, pass))
            chosen = ready[i];
        const double growth = cvg_plan_error_growth(ready[i]->plan, pass);
        const int keeps = plan_error_growth <= CVG_ERROR_GROWTH; /* as cvg_options has it */
        const double time = ready[i]->times[0] * (growth > 1 && keeps ? 1.25 : 1);
        if (growth > plan_error_growth || (growth > 1 && keeps && conv->spatial_dims == 1) || time >= least)
            continue;
        least = time;
        best = ready[i];
    }
    cvg_plan_destroy(plan);
    if (!chosen || !best)
        die(EXIT_WRONG, "the planner chose an algorithm that was not timed");
    const double regret = fmax(0, chosen->times[0] / best->times[0] - 1);
    printf("  %-11s planner takes %s, regret %.1f %%%s%s\n", "", chosen->name, 100 * regret,
           regret > 0 ? " beside " : "", regret > 0 ? best->name : "");
    bench->regrets++;
    bench->regret_sum += regret;
    if (regret >= bench->regret_most) {
        bench->regret_most = regret;
        snprintf(bench->regret_where, sizeof bench->regret_where, "%s of %s", pass_names[pass], text);
    }
}

static void bench_pass(struct bench *bench, int row, const cvg_conv *conv, cvg_pass pass, struct layer *layer)
{
    const struct report_row *r = &bench->report.rows[row];
    const double flops = 2 * problem_sizes(conv).macs;
    struct candidate *ready[CANDIDATES_MOST];
    const char *pass_name = pass_names[pass];
    progress_says("timing %s, %s", r->name, pass_name);
    const int count = open_candidates(bench, conv, pass, layer, ready);
    bench_compare_results(conv, ready, count, pass, layer, bench->threads);
    bench_time_pass(ready, count, pass, layer, bench->min_time);
    progress_clear();
    interrupt_hold();
    for (int i = 0; i < bench->count; i++) {
        const struct candidate *c = &bench->candidates[i];
        if (c->runs) {
            print_line(c, &bench->candidates[0], pass_name, pass, flops, r->peak);
            report_add(&bench->report, row, pass, i, 100 * flops / c->times[0] / r->peak, c->error_rms);
            if (bench->json.file)
                json_line(bench, r, conv, pass, c);
        } else {
            printf("  %-11s %-15s        n/a: %.60s\n", pass_name, c->name, c->why.text);
        }
        pass_name = "";
    }
    bench->measured++;
    if (bench->check)
        check_planner(bench, r->problem, conv, pass, ready, count);
    fflush(stdout);
    interrupt_release();
    close_candidates(ready, count);
    progress_step(1);
}

static void bench_problem(struct bench *bench, const struct problem *problem, cvg_type type)
{
    char text[256];
    cvg_conv conv = problem->conv;

    conv.type = type;
    problem_print(&conv, text, sizeof text);
    progress_says("preparing %s", *problem->name ? problem->name : text);
    struct layer layer = bench_layer_of(&conv);
    for (int i = 0; i < bench->count; i++)
        bench->candidates[i].times = cli_alloc(BENCH_MOST_RUNS, sizeof(double));
    const double peak = peak_flops(type, bench->threads);
    progress_clear();
    interrupt_hold();
    const int row = report_row(&bench->report, *problem->name ? problem->name : text, text, &conv, peak);
    if (row == 0) /* not before: there may be no memory for the first layer */
        print_header(bench);
    printf("%s%s%s, %s, FMA peak %.1f GFLOP/s\n", problem->name, *problem->name ? ": " : "", text, type_name(type),
           peak * 1e-9);
    fflush(stdout);
    interrupt_release();
    for (int p = 0; p < bench->pass_count; p++)
        bench_pass(bench, row, &conv, bench->passes[p], &layer);
    for (int i = 0; i < bench->count; i++)
        free(bench->candidates[i].times);
    bench_layer_free(&layer);
}

/* Fills in the candidates: our algorithms, then the peers asked for. */
static void choose_candidates(struct bench *bench, const struct args *args)
{
    cvg_algo algos[CVG_ALGO_COUNT] = {CVG_AUTO, CVG_DIRECT, CVG_IM2COL};
    int algo_count = args->option[OPT_ALGO] ? args_algos(args, algos) : 3;
    const char *text = args->option[OPT_PEER];
    if (bench->check) {
        algo_count = args_algos(args, algos);
        if (args->option[OPT_ALGO])
            die(EXIT_BAD_INPUT, "--algo is \"%s\"; --check-planner times all that the planner may take",
                args->option[OPT_ALGO]);
        int kept = 0;
        for (int i = 0; i < algo_count; i++)
            if (algos[i] != CVG_REFERENCE)
                algos[kept++] = algos[i];
        algo_count = kept;
    }
    for (int i = 1; i < algo_count; i++)
        if (algos[i] == CVG_AUTO) { /* the base of all ratios */
            algos[i] = algos[0];
            algos[0] = CVG_AUTO;
        }
    for (int i = 0; i < algo_count; i++)
        bench->candidates[bench->count++] = (struct candidate){.name = cvg_algo_name(algos[i]), .algo = algos[i]};
    while (text) {
        const size_t length = strcspn(text, ",");
        int found = 0;
        for (int i = algo_count; i < bench->count; i++)
            if (strlen(bench->candidates[i].peer->library) == length &&
                !strncmp(bench->candidates[i].peer->library, text, length))
                die(EXIT_BAD_INPUT, "--peer names %.*s twice", (int)length, text);
        for (int i = 0; peers[i]; i++)
            if (strlen(peers[i]->library) == length && !strncmp(peers[i]->library, text, length) &&
                bench->count < CANDIDATES_MOST) {
                bench->candidates[bench->count++] = (struct candidate){.name = peers[i]->name, .peer = peers[i]};
                found = 1;
            }
        if (!found)
            die(EXIT_BAD_INPUT, "--peer is \"%.*s\"; this build knows%s", (int)length, text, peer_list());
        text = text[length] ? text + length + 1 : NULL;
    }
    for (int i = 0; i < bench->count; i++)
        bench->report.names[i] = bench->candidates[i].name;
    bench->report.count = bench->count;
}

/* The page goes where -o says; or to standard output, and the tables then to standard error. */
static void page_open(struct output *page, const struct args *args)
{
    const char *format = args->option[OPT_FORMAT];
    if (format && strcmp(format, "text") && strcmp(format, "html"))
        die(EXIT_BAD_INPUT, "--format is \"%s\"; must be text or html", format);
    if (!format || !strcmp(format, "text")) {
        if (args->option[OPT_OUTPUT])
            die(EXIT_BAD_INPUT, "-o is \"%s\"; bench takes it with --format html", args->option[OPT_OUTPUT]);
        return;
    }
    if (args->option[OPT_OUTPUT]) {
        output_open(page, "-o", args->option[OPT_OUTPUT]);
        return;
    }
    const int out = dup(STDOUT_FILENO);
    page->file = out < 0 ? NULL : fdopen(out, "w");
    if (!page->file || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        die(EXIT_WRONG, "standard output cannot be written: %s", strerror(errno));
}

static void page_close(struct bench *bench, const struct args *args)
{
    if (!bench->page.file)
        return;
    report_page(&bench->report, bench->page.file);
    if (args->option[OPT_OUTPUT])
        output_close(&bench->page);
    else if (fflush(bench->page.file) || ferror(bench->page.file) || fclose(bench->page.file))
        die(EXIT_WRONG, "standard output cannot be written");
}

static void print_end(const struct bench *bench)
{
    if (bench->report.row_count > 1)
        report_print(&bench->report);
    if (bench->regrets)
        printf("planner: regret %.1f %% in the mean of %d, at most %.1f %% (%s)\n",
               100 * bench->regret_sum / bench->regrets, bench->regrets, 100 * bench->regret_most, bench->regret_where);
}

static int tell_interrupted(void *context, int number)
{
    const struct bench *bench = context;
    (void)number;
    if (bench->measured)
        print_end(bench);
    printf("bench: interrupted; %s\n", bench->measured ? "what was measured stands above" : "nothing was measured yet");
    return EXIT_WRONG;
}

int command_bench(const struct args *args)
{
    struct bench bench = {0};
    struct problem *problems;
    cvg_type types[CVG_TYPE_COUNT];
    cvg_error error;

    bench.pass_count = args_passes(args, bench.passes);
    bench.check = args->option[OPT_CHECK_PLANNER] != NULL;
    choose_candidates(&bench, args);
    bench.min_time = args_number(args, OPT_MIN_TIME, 0.3, 0);
    args_threads(args, "1", &bench.threads, 1);
    if (bench.threads == 0)
        bench.threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const int type_count = args_types(args, CVG_F32, CVG_TYPE_COUNT, types);
    int count = args_problems(args, &problems);
    if (count == 0) {
        problems[0] = (struct problem){.conv = CVG_CONV_INIT};
        problem_parse(&problems[0], "mb64ic3ih28oc4kh3ph1n\"the textbook's layer\"", &error);
        args_layout(args, &problems[0].conv);
        count = 1;
    }
    if (args->option[OPT_JSON])
        output_open(&bench.json, "--json", args->option[OPT_JSON]);
    page_open(&bench.page, args);
    bench.report.about = about_now(bench.threads);
    bench.report.rows = cli_alloc((size_t)(count * type_count), sizeof *bench.report.rows);
    interrupt_tells(tell_interrupted, &bench);
    progress_begin((int64_t)count * type_count * bench.pass_count);
    for (int i = 0; i < count; i++)
        for (int t = 0; t < type_count; t++)
            bench_problem(&bench, &problems[i], types[t]);
    interrupt_tells(NULL, NULL);
    print_end(&bench);
    page_close(&bench, args);
    free(bench.report.rows);
    free(problems);
    if (args->option[OPT_JSON])
        output_close(&bench.json);
    return 0;
}
