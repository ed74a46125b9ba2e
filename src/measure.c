/* Plans whose algorithms are those that run fastest on this machine. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WORTH = 8, /* algorithms of more than so many times the least expected cost are not timed */
    MOST_RUNS = 100,
};

static double seconds_now(void)
{
    struct timespec now = {0};
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Tensors to run on. */
struct tensors {
    void *input, *weight, *output;
};

/* Numbers of no special kind; NULL if there is no memory. */
static void *tensor(cvg_type type, int64_t count)
{
    void *data = malloc((size_t)count * cvg_type_size(type) + 1);
    for (int64_t i = 0; data && i < count; i++)
        cvg_store(type, data, i, (double)(i % 17) / 16 - 0.5);
    return data;
}

static void run_pass(const cvg_plan *plan, cvg_pass pass, const struct tensors *x, void *workspace)
{
    if (pass == CVG_FORWARD)
        cvg_forward(plan, x->input, x->weight, NULL, x->output, workspace);
    else if (pass == CVG_GRAD_INPUT)
        cvg_grad_input(plan, x->output, x->weight, x->input, CVG_OVERWRITE, workspace);
    else
        cvg_grad_weight(plan, x->input, x->output, x->weight, CVG_OVERWRITE, workspace);
}

/* The least time of a plan's pass in about so many seconds; HUGE_VAL if its workspace cannot be had. */
static double time_pass(const cvg_plan *plan, cvg_pass pass, const struct tensors *x, double budget)
{
    void *workspace = malloc(plan->pass[pass].workspace + 1);
    double least = HUGE_VAL, spent = 0;
    for (int runs = 0; workspace && (runs < 2 || (spent < budget && runs < MOST_RUNS)); runs++) {
        const double begin = seconds_now();
        run_pass(plan, pass, x, workspace);
        const double time = seconds_now() - begin;
        least = time < least ? time : least;
        spent += time > 0 ? time : 0;
    }
    free(workspace);
    return least;
}

/* Which algorithms are worth timing for a pass; returns how many. */
static int candidates(const struct cvg_plan *plan, cvg_pass pass, cvg_algo list[CVG_ALGO_COUNT])
{
    const double least = plan->pass[pass].algorithm->cost(plan->pass[pass].algorithm, &plan->inner, pass);
    int count = 0;
    for (int i = CVG_AUTO + 1; i < CVG_ALGO_COUNT; i++) {
        const struct cvg_algorithm *algorithm = cvg_algorithm_of((cvg_algo)i);
        char why[CVG_WHY];
        if (!cvg_plan_leaves_out(plan, algorithm, pass, why) &&
            algorithm->cost(algorithm, &plan->inner, pass) <= WORTH * least)
            list[count++] = (cvg_algo)i;
    }
    return count;
}

/*
 * The fastest algorithm of a pass, of those that AUTO may take; one that mixes neighbours must pay here, too.
 * seconds: the times, by algorithm.
 */
static cvg_algo fastest(const cvg_conv *conv, const cvg_options *options, const struct cvg_plan *plan, cvg_pass pass,
                        const struct tensors *x, double budget, double seconds[CVG_ALGO_COUNT])
{
    cvg_algo list[CVG_ALGO_COUNT], best = plan->pass[pass].algorithm->id;
    const int count = candidates(plan, pass, list);
    double least = HUGE_VAL;
    for (int i = 0; i < count; i++) {
        cvg_options pinned = *options;
        cvg_plan *one;
        pinned.algo[pass] = list[i];
        if (cvg_plan_create(&one, conv, &pinned, NULL))
            continue;
        const double measured = time_pass(one, pass, x, budget / count);
        const double time = measured * cvg_plan_handicap(plan, cvg_algorithm_of(list[i]));
        cvg_plan_destroy(one);
        if (measured < HUGE_VAL)
            seconds[list[i]] = measured;
        if (time < least) {
            least = time;
            best = list[i];
        }
    }
    return best;
}

cvg_status cvg_plan_measure(cvg_plan **out, const cvg_conv *conv, const cvg_options *options, double seconds,
                            cvg_error *error)
{
    cvg_options chosen;
    cvg_plan *plan;

    if (!out)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "plan is NULL");
    *out = NULL;
    if (!(seconds >= 0))
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "seconds is %g; must be at least 0", seconds);
    cvg_status status = cvg_plan_create(&plan, conv, options, error);
    if (status)
        return status;
    cvg_options_read(&chosen, options, NULL); /* which were good enough for a plan */
    const struct cvg_shape *s = &plan->shape;
    const struct tensors x = {tensor(s->type, s->N ? s->in_span : 0), tensor(s->type, s->K * s->taps),
                              tensor(s->type, s->N ? s->out_span : 0)};
    double times[CVG_PASS_COUNT][CVG_ALGO_COUNT] = {{0}};
    int measured[CVG_PASS_COUNT] = {0};
    if (x.input && x.weight && x.output) {
        for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
            if (chosen.algo[pass] == CVG_AUTO) {
                chosen.algo[pass] =
                    fastest(conv, &chosen, plan, (cvg_pass)pass, &x, seconds / CVG_PASS_COUNT, times[pass]);
                measured[pass] = 1;
            }
    } else {
        status = cvg_fail(error, CVG_OUT_OF_MEMORY, "the tensors to measure with could not be allocated");
    }
    free(x.input);
    free(x.weight);
    free(x.output);
    cvg_plan_destroy(plan);
    if (status || (status = cvg_plan_create(&plan, conv, &chosen, error)))
        return status;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        if (measured[pass]) {
            plan->pass[pass].reason = CVG_MEASURED;
            memcpy(plan->pass[pass].seconds, times[pass], sizeof times[pass]);
        }
    *out = plan;
    return CVG_OK;
}
