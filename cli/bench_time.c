/* The tensors of a layer, times of a pass by several candidates, and how far their results are from those in double. */
#include "bench.h"

#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_RUNS = 5 };
static const double warm = 2e-3; /* seconds: a pass this short runs once more just before it is timed */

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

struct layer bench_layer_of(const cvg_conv *conv)
{
    const struct sizes z = problem_sizes(conv);
    struct random random = {1};
    return (struct layer){
        random_tensor(conv->type, z.input, &random),  random_tensor(conv->type, z.weight, &random),
        random_tensor(conv->type, z.output, &random), random_tensor(conv->type, z.output, &random),
        random_tensor(conv->type, z.input, &random),  random_tensor(conv->type, z.weight, &random),
    };
}

void bench_layer_free(struct layer *l)
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
    case CVG_FORWARD: cvg_forward(plan, l->input.data, l->weight.data, NULL, l->output.data, workspace); break;
    case CVG_GRAD_INPUT:
        cvg_grad_input(plan, l->grad_output.data, l->weight.data, l->grad_input.data, CVG_OVERWRITE, workspace);
        break;
    case CVG_GRAD_WEIGHT:
        cvg_grad_weight(plan, l->input.data, l->grad_output.data, l->grad_weight.data, CVG_OVERWRITE, workspace);
        break;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run_candidate(const struct candidate *c, cvg_pass pass, const struct layer *layer)
{
    if (c->peer)
        c->peer->run(c->workspace);
    else
        run_pass(c->plan, pass, layer, c->workspace);
}

static double time_candidate(const struct candidate *c, cvg_pass pass, const struct layer *layer)
{
    const double begin = seconds();
    run_candidate(c, pass, layer);
    return seconds() - begin;
}

/*
 * Times one pass by all candidates in turn, so that a slow spell of the machine hits all alike.  Each finds in the
 * caches what it left there itself, if it is short: the one before may have had the same operands, or others.
 */
void bench_time_pass(struct candidate *const *candidates, int count, cvg_pass pass, const struct layer *layer,
                     double min_time)
{
    double spent = 0;
    for (int i = 0; i < count; i++) {
        candidates[i]->runs = 0;
        run_candidate(candidates[i], pass, layer);
    }
    while (count &&
           (candidates[0]->runs < LEAST_RUNS || (spent < min_time * count && candidates[0]->runs < BENCH_MOST_RUNS)))
        for (int i = 0; i < count; i++) {
            double time = time_candidate(candidates[i], pass, layer);
            if (time < warm)
                time = time_candidate(candidates[i], pass, layer);
            candidates[i]->times[candidates[i]->runs++] = time;
            spent += time;
        }
    for (int i = 0; i < count; i++)
        qsort(candidates[i]->times, (size_t)candidates[i]->runs, sizeof(double), by_value);
}

/* A pass's result in f64, by direct sums: for f32, as good as exact. */
static double *result_in_double(const cvg_conv *conv, cvg_pass pass, int threads)
{
    cvg_conv wide = *conv;
    wide.type = CVG_F64;
    struct layer layer = bench_layer_of(&wide); /* the same numbers */
    cvg_plan *plan = plan_of(&wide, CVG_DIRECT, threads, 1);
    void *workspace = workspace_of(plan);
    const struct array *result = layer_result(&layer, pass);
    double *values = cli_alloc((size_t)result->count, sizeof *values);
    run_pass(plan, pass, &layer, workspace);
    for (int64_t at = 0; at < result->count; at++)
        values[at] = array_get(result, at);
    free(workspace);
    cvg_plan_destroy(plan);
    bench_layer_free(&layer);
    return values;
}

/*
 * How far each result is from that in double, in parts of its root mean square.  Dies of one that is
 * something else: a speed of that proves nothing.
 */
void bench_compare_results(const cvg_conv *conv, struct candidate *const *ready, int count, cvg_pass pass,
                           struct layer *layer, int threads)
{
    const struct array *result = layer_result(layer, pass);
    double *want = result_in_double(conv, pass, threads), square = 0;
    for (int64_t at = 0; at < result->count; at++)
        square += want[at] * want[at];
    const double far = cvg_type_size(result->type) == 2 ? 0.2 : 1e-2;
    const double rms = square > 0 ? sqrt(square / (double)result->count) : 1;
    for (int i = 0; i < count; i++) {
        double sum = 0, most = 0;
        ready[i]->error_rms = ready[i]->error_most = -1;
        if (ready[i]->peer && !ready[i]->peer->fills_layer)
            continue;
        memset(result->data, 0xff, (size_t)result->count * cvg_type_size(result->type)); /* NaN */
        run_candidate(ready[i], pass, layer);
        for (int64_t at = 0; at < result->count; at++) {
            const double off = fabs(array_get(result, at) - want[at]) / rms;
            if (!(off <= far)) /* above any rounding */
                die(EXIT_WRONG, "%s by %s: element %lld is %g; must be %g", pass_names[pass], ready[i]->name,
                    (long long)at, array_get(result, at), want[at]);
            sum += off * off;
            most = fmax(most, off);
        }
        ready[i]->error_rms = result->count ? sqrt(sum / (double)result->count) : 0;
        ready[i]->error_most = most;
    }
    free(want);
}
