/* The one table of algorithms, the options, the choice, and the lifetime of plans. */
#include "plan.h"

#include "cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cvg_algorithm *const algorithms[] = {
    &cvg_direct, &cvg_im2col, &cvg_winograd4, &cvg_winograd6, &cvg_winograd8, &cvg_reference,
};

enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

const char *const cvg_pass_names[CVG_PASS_COUNT] = {"forward", "grad_input", "grad_weight"};

const struct cvg_algorithm *cvg_algorithm_at(int index) { return index < ALGORITHMS ? algorithms[index] : NULL; }

const struct cvg_algorithm *cvg_algorithm_of(cvg_algo algo)
{
    for (int i = 0; i < ALGORITHMS; i++)
        if (algorithms[i]->id == algo)
            return algorithms[i];
    return NULL;
}

const char *cvg_algo_name(cvg_algo algo)
{
    const struct cvg_algorithm *algorithm = cvg_algorithm_of(algo);
    return algo == CVG_AUTO ? "auto" : algorithm ? algorithm->name : NULL;
}

int cvg_algo_mixes(cvg_algo algo)
{
    const struct cvg_algorithm *algorithm = cvg_algorithm_of(algo);
    return algorithm && algorithm->mixes;
}

static size_t limit_of(const struct cvg_plan *plan)
{
    /* Without a limit, all that can be addressed. */
    return plan->workspace_limit ? plan->workspace_limit : PTRDIFF_MAX;
}

static int is_flat(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm)
{
    return algorithm->flat && plan->is_flat;
}

/* How an algorithm is given halves in a pass. */
static enum cvg_way way_of(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm, cvg_pass pass)
{
    if (!cvg_is_half(plan->shape.type) || algorithm->stored)
        return CVG_AS_STORED;
    if (is_flat(plan, algorithm))
        return CVG_WIDENED;
    if (plan->is_paired[pass] && algorithm->pairs && algorithm->pairs(&plan->inner, pass))
        return pass == CVG_GRAD_WEIGHT ? CVG_ZIPPED : CVG_PAIRED;
    return algorithm->reads && algorithm->reads(&plan->inner, pass) ? CVG_READ : CVG_WIDENED;
}

static const struct cvg_shape *seen_by(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm,
                                       cvg_pass pass, enum cvg_way way)
{
    if (algorithm->stored || way == CVG_READ)
        return &plan->shape;
    if (way == CVG_PAIRED || way == CVG_ZIPPED)
        return &plan->paired[pass];
    return is_flat(plan, algorithm) ? &plan->flat : &plan->inner;
}

const struct cvg_shape *cvg_plan_seen(const struct cvg_plan *plan, cvg_pass pass)
{
    return seen_by(plan, plan->pass[pass].algorithm, pass, plan->pass[pass].way);
}

/* Prepares a pass by an algorithm, for so many workers. */
static void prepare(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm, cvg_pass pass, int workers,
                    struct cvg_work *work)
{
    const enum cvg_way way = way_of(plan, algorithm, pass);
    const struct cvg_shape *const seen = seen_by(plan, algorithm, pass, way);
    cvg_work_init(work);
    algorithm->prepare(algorithm, seen, cvg_are_pairs(seen) ? plan->kernels->pairs : plan->kernels, pass, workers,
                       work);
    if (way == CVG_PAIRED)
        cvg_work_share(work, cvg_stage_bias(&plan->stage), plan->kernels->size);
    else if (way == CVG_READ)
        cvg_work_share(work, cvg_stage_weight(&plan->stage), plan->kernels->size);
    else if (way == CVG_WIDENED)
        cvg_work_share(work, plan->stage.all, plan->kernels->size);
    else if (way == CVG_ZIPPED)
        cvg_work_share(work, plan->zip.all, plan->kernels->size);
}

int cvg_plan_keeps_structure(const struct cvg_plan *plan) { return plan->error_growth <= CVG_ERROR_GROWTH; }

/* Why AUTO leaves an algorithm out, whatever its workspace. */
static const char *unfit(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm, cvg_pass pass,
                         char text[CVG_WHY])
{
    const char *refusal = algorithm->refuses ? algorithm->refuses(algorithm, &plan->inner, pass) : NULL;
    if (refusal)
        return refusal;
    if (algorithm->mixes && cvg_plan_keeps_structure(plan) && plan->inner.rank == 1)
        return "it mixes neighbours, which rank 1 must not without an error_growth above the default";
    const double growth = cvg_growth(algorithm, &plan->inner, pass);
    if (growth > plan->error_growth) {
        snprintf(text, CVG_WHY, "its error is about %.2g times that of direct sums, over the limit of %g", growth,
                 plan->error_growth);
        return text;
    }
    return NULL;
}

const char *cvg_plan_leaves_out(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm, cvg_pass pass,
                                char text[CVG_WHY])
{
    const char *why = unfit(plan, algorithm, pass, text);
    if (why)
        return why;
    struct cvg_work work;
    prepare(plan, algorithm, pass, 1, &work);
    const size_t need = cvg_work_size(&work, 1);
    if (need == SIZE_MAX)
        return "its workspace does not fit in the address space";
    if (need > limit_of(plan)) {
        snprintf(text, CVG_WHY, "it needs at least %zu bytes of workspace, over the limit of %zu", need,
                 plan->workspace_limit);
        return text;
    }
    return NULL;
}

double cvg_plan_handicap(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm)
{
    return algorithm->mixes && cvg_plan_keeps_structure(plan) ? CVG_PAYS : 1;
}

/*
 * The index of the algorithm of least cost that AUTO may take, of those that mix neighbours or of the others; -1 if
 * there is none.  without: a bit for each whose workspace is known not to fit.
 */
static int cheapest_of(const struct cvg_plan *plan, cvg_pass pass, int mixes, double at_most, unsigned without)
{
    double least = HUGE_VAL;
    int best = -1;
    for (int i = 0; i < ALGORITHMS; i++) {
        char why[CVG_WHY];
        if (algorithms[i]->mixes != mixes || without >> i & 1 ||
            (algorithms[i]->refuses && algorithms[i]->refuses(algorithms[i], &plan->inner, pass)))
            continue;
        const double cost = algorithms[i]->cost(algorithms[i], &plan->inner, pass);
        if (cost >= least || cost * cvg_plan_handicap(plan, algorithms[i]) > at_most ||
            unfit(plan, algorithms[i], pass, why))
            continue;
        /* A unit of error growth must bring 1 %. */
        const double weighed = cost * (1 + (cvg_growth(algorithms[i], &plan->inner, pass) - 1) / 100);
        if (weighed < least) {
            best = i;
            least = weighed;
        }
    }
    return best;
}

/*
 * What AUTO takes, prepared for all threads: the cheapest algorithm whose workspace for one worker is within the
 * limit.  The reference can always be had.
 */
static const struct cvg_algorithm *cheapest(struct cvg_plan *plan, cvg_pass pass)
{
    for (unsigned without = 0;;) {
        const int exact = cheapest_of(plan, pass, 0, HUGE_VAL, without);
        const struct cvg_algorithm *base = exact < 0 ? &cvg_reference : algorithms[exact];
        const int mixing = cheapest_of(plan, pass, 1, base->cost(base, &plan->inner, pass), without);
        const struct cvg_algorithm *taken = mixing < 0 ? base : algorithms[mixing];
        struct cvg_work *work = &plan->pass[pass].work;
        prepare(plan, taken, pass, plan->threads.count, work);
        if (cvg_work_size(work, 1) <= limit_of(plan) || taken == &cvg_reference)
            return taken;
        without |= 1u << (mixing < 0 ? exact : mixing);
    }
}

/*
 * Chooses for one pass.  Whether an algorithm fits is asked for one worker, and
 * then as many are used as fit: the choice, and so the result, does not depend
 * on the number of threads.
 */
static cvg_status choose(struct cvg_plan *plan, cvg_pass pass, cvg_algo wanted, cvg_error *error)
{
    const struct cvg_algorithm *algorithm = cvg_algorithm_of(wanted);
    struct cvg_work *work = &plan->pass[pass].work;
    if (!algorithm) {
        algorithm = cheapest(plan, pass);
    } else {
        const char *refusal = algorithm->refuses ? algorithm->refuses(algorithm, &plan->inner, pass) : NULL;
        if (refusal)
            return cvg_fail(error, CVG_UNSUPPORTED, "algo[%s] is %s; %s", cvg_pass_names[pass], algorithm->name,
                            refusal);
        prepare(plan, algorithm, pass, plan->threads.count, work);
    }
    const size_t need = cvg_work_size(work, 1), limit = limit_of(plan);
    if (need == SIZE_MAX)
        return cvg_fail(error, CVG_UNSUPPORTED, "%s by %s needs more workspace than fits in the address space",
                        cvg_pass_names[pass], algorithm->name);
    if (need > limit)
        return cvg_fail(error, CVG_UNSUPPORTED, "workspace_limit is %zu; %s by %s needs at least %zu bytes", limit,
                        cvg_pass_names[pass], algorithm->name, need);
    size_t fit = (size_t)plan->threads.count;
    if (work->each && (limit - need) / work->each < fit - 1) {
        fit = 1 + (limit - need) / work->each;
        prepare(plan, algorithm, pass, (int)fit, work);
    }
    plan->pass[pass].algorithm = algorithm;
    plan->pass[pass].way = way_of(plan, algorithm, pass);
    plan->pass[pass].reason = wanted == CVG_AUTO ? CVG_EXPECTED : CVG_PINNED;
    plan->pass[pass].workers = (int)fit;
    plan->pass[pass].workspace = cvg_work_size(work, (int)fit);
    return CVG_OK;
}

void cvg_plan_alone(struct cvg_plan *alone, const struct cvg_plan *plan)
{
    *alone = *plan;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        alone->pass[pass].workers = 1;
        prepare(plan, plan->pass[pass].algorithm, (cvg_pass)pass, 1, &alone->pass[pass].work);
    }
}

enum { MOST_THREADS = 4096 }; /* far beyond any machine; keeps workspace arithmetic small */

cvg_status cvg_options_read(cvg_options *options, const cvg_options *given, cvg_error *error)
{
    static const char *const pass_names[] = {"CVG_FORWARD", "CVG_GRAD_INPUT", "CVG_GRAD_WEIGHT"};

    cvg_options_init(options, sizeof *options);
    if (!given)
        return CVG_OK;
    if (cvg_struct_read(options, sizeof *options, offsetof(cvg_options, isa), given, "options", error))
        return CVG_INVALID_ARGUMENT;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        if (!cvg_algo_name(options->algo[pass]))
            return cvg_fail(error, CVG_INVALID_ARGUMENT, "algo[%s] is %d; that is no cvg_algo", pass_names[pass],
                            (int)options->algo[pass]);
    if (!isfinite(options->gradient_scale))
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "gradient_scale is %g; must be finite", options->gradient_scale);
    if (!(options->error_growth >= 1))
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "error_growth is %g; must be at least 1", options->error_growth);
    if (options->threads < 0 || options->threads > MOST_THREADS)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "threads is %d; must be 0 to %d", options->threads, MOST_THREADS);
    return CVG_OK;
}

/* All of a plan but its memory. */
static cvg_status make(struct cvg_plan *plan, const cvg_conv *conv, const cvg_options *given, cvg_error *error)
{
    cvg_options options;
    cvg_status status;
    if ((status = cvg_shape_init(&plan->shape, conv, error)) || (status = cvg_options_read(&options, given, error)))
        return status;
    plan->gradient_scale = options.gradient_scale;
    plan->workspace_limit = options.workspace_limit;
    plan->error_growth = options.error_growth;
    plan->threads = cvg_threads_from(&options);
    plan->inner = plan->shape;
    if (cvg_is_half(plan->shape.type))
        plan->stage = cvg_stage_of(&plan->shape, &plan->inner);
    plan->shape.pairs = plan->inner.pairs;
    plan->is_flat = cvg_shape_flat(&plan->inner, &plan->flat);
    plan->kernels = cvg_cpu_kernels(plan->shape.type, options.isa, error);
    if (!plan->kernels)
        return CVG_INVALID_ARGUMENT;
    const int multiplies = plan->kernels->pairs != NULL;
    for (int pass = 0; CVG_HALVES && pass < CVG_GRAD_WEIGHT; pass++)
        plan->is_paired[pass] = multiplies && cvg_shape_pairs(&plan->shape, (cvg_pass)pass, &plan->paired[pass]);
    if (CVG_HALVES)
        plan->is_paired[CVG_GRAD_WEIGHT] =
            cvg_stage_zip(&plan->shape, multiplies, &plan->paired[CVG_GRAD_WEIGHT], &plan->zip);
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        if ((status = choose(plan, (cvg_pass)pass, options.algo[pass], error)))
            return status;
    return CVG_OK;
}

cvg_status cvg_plan_create(cvg_plan **out, const cvg_conv *conv, const cvg_options *options, cvg_error *error)
{
    if (!out)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "plan is NULL");
    *out = NULL;
    struct cvg_plan *plan = malloc(sizeof *plan);
    if (!plan)
        return cvg_fail(error, CVG_OUT_OF_MEMORY, "the plan's %zu bytes could not be allocated", sizeof *plan);
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        memset(plan->pass[pass].seconds, 0, sizeof plan->pass[pass].seconds);
    const cvg_status status = make(plan, conv, options, error);
    if (status)
        free(plan);
    else
        *out = plan;
    return status;
}

void cvg_plan_destroy(cvg_plan *plan) { free(plan); }

static int has_pass(const cvg_plan *plan, cvg_pass pass)
{
    return plan && (int)pass >= 0 && (int)pass < CVG_PASS_COUNT;
}

size_t cvg_plan_workspace_size(const cvg_plan *plan, cvg_pass pass)
{
    return has_pass(plan, pass) ? plan->pass[pass].workspace : 0;
}

size_t cvg_plan_workspace_most(const cvg_plan *plan)
{
    size_t most = 0;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        const size_t size = cvg_plan_workspace_size(plan, (cvg_pass)pass);
        most = size > most ? size : most;
    }
    return most;
}

cvg_algo cvg_plan_algo(const cvg_plan *plan, cvg_pass pass)
{
    return has_pass(plan, pass) ? plan->pass[pass].algorithm->id : CVG_AUTO;
}

const char *cvg_plan_isa(const cvg_plan *plan) { return plan ? plan->kernels->isa : ""; }

int cvg_plan_fuses(const cvg_plan *plan) { return plan && !plan->kernels->rounds_twice; }

int cvg_plan_threads(const cvg_plan *plan, cvg_pass pass)
{
    return has_pass(plan, pass) ? plan->pass[pass].workers : 1;
}

double cvg_plan_error_growth(const cvg_plan *plan, cvg_pass pass)
{
    if (!has_pass(plan, pass))
        return 0;
    return cvg_growth(plan->pass[pass].algorithm, &plan->inner, pass);
}

double cvg_plan_error_bound(const cvg_plan *plan, cvg_pass pass)
{
    if (!has_pass(plan, pass))
        return 0;
    const struct cvg_algorithm *algorithm = plan->pass[pass].algorithm;
    struct cvg_shape s = plan->inner;
    s.N = plan->shape.N;
    const double products = cvg_products(&s, pass);
    const double sums = algorithm->error_bound ? algorithm->error_bound(algorithm, &s, pass)
                                               : cvg_gamma(s.type, products + 3) * products;
    if (!cvg_is_half(plan->shape.type))
        return sums;
    /* Sums of weights are added from round to round, and each result is rounded. */
    const double within = sums + cvg_gamma(s.type, (double)plan->stage.rounds) * (products + sums);
    return within + cvg_roundoff(pass == CVG_FORWARD ? plan->shape.type : plan->shape.grad_type) * (products + within);
}
