/* The one table of algorithms, the choice among them, and the lifetime of plans. */
#include "plan.h"

#include "cpu.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct cvg_algorithm *const algorithms[] = {
    &cvg_direct,
    &cvg_im2col,
    &cvg_winograd4,
    &cvg_winograd6,
    &cvg_winograd8,
    &cvg_reference,
};

enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms };

const char *const cvg_pass_names[CVG_PASS_COUNT] = {"forward", "grad_input", "grad_weight"};

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

static size_t limit_of(const struct cvg_plan *plan)
{
    /* Without a limit, all that can be addressed. */
    return plan->workspace_limit ? plan->workspace_limit : PTRDIFF_MAX;
}

static size_t workspace(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm,
                        cvg_pass pass, int workers)
{
    return algorithm->workspace(&plan->shape, plan->kernels, pass, workers);
}

int cvg_plan_keeps_structure(const struct cvg_plan *plan)
{
    return plan->error_growth <= CVG_ERROR_GROWTH;
}

const char *cvg_plan_leaves_out(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm, cvg_pass pass,
                                char text[CVG_WHY])
{
    const char *refusal = algorithm->refuses ? algorithm->refuses(&plan->shape, pass) : NULL;
    if (refusal)
        return refusal;
    const double growth = cvg_growth(algorithm, &plan->shape, pass);
    if (algorithm->mixes && cvg_plan_keeps_structure(plan) && plan->shape.rank == 1)
        return "it mixes neighbours, which rank 1 must not without an error_growth above the default";
    if (growth > plan->error_growth) {
        snprintf(text, CVG_WHY, "its error is about %.2g times that of direct sums, over the limit of %g", growth,
                 plan->error_growth);
        return text;
    }
    const size_t need = workspace(plan, algorithm, pass, 1);
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

/* The algorithm of least cost that AUTO may take: of those that mix neighbours, or of the others; NULL if none. */
static const struct cvg_algorithm *cheapest_of(const struct cvg_plan *plan, cvg_pass pass, int mixes, double at_most)
{
    const struct cvg_algorithm *best = NULL;
    double least = HUGE_VAL;
    for (int i = 0; i < ALGORITHMS; i++) {
        char why[CVG_WHY];
        if (algorithms[i]->mixes != mixes || cvg_plan_leaves_out(plan, algorithms[i], pass, why))
            continue;
        const double cost = algorithms[i]->cost(&plan->shape, pass);
        /* A unit of error growth must bring 1 %. */
        const double weighed = cost * (1 + (cvg_growth(algorithms[i], &plan->shape, pass) - 1) / 100);
        if (cost * cvg_plan_handicap(plan, algorithms[i]) <= at_most && weighed < least) {
            best = algorithms[i];
            least = weighed;
        }
    }
    return best;
}

/* What AUTO takes.  The reference can always be had. */
static const struct cvg_algorithm *cheapest(const struct cvg_plan *plan, cvg_pass pass)
{
    const struct cvg_algorithm *exact = cheapest_of(plan, pass, 0, HUGE_VAL);
    if (!exact)
        exact = &cvg_reference;
    const struct cvg_algorithm *mixing = cheapest_of(plan, pass, 1, exact->cost(&plan->shape, pass));
    return mixing ? mixing : exact;
}

/*
 * Chooses for one pass.  Whether an algorithm fits is asked for one worker, and
 * then as many are used as fit: the choice, and so the result, does not depend
 * on the number of threads.
 */
static cvg_status choose(struct cvg_plan *plan, cvg_pass pass, cvg_algo wanted, cvg_error *error)
{
    const struct cvg_algorithm *algorithm = wanted == CVG_AUTO ? cheapest(plan, pass) : cvg_algorithm_of(wanted);
    const char *refusal = algorithm->refuses ? algorithm->refuses(&plan->shape, pass) : NULL;
    if (refusal)
        return cvg_fail(error, CVG_UNSUPPORTED, "algo[%s] is %s; %s", cvg_pass_names[pass], algorithm->name, refusal);
    const size_t need = workspace(plan, algorithm, pass, 1), limit = limit_of(plan);
    if (need == SIZE_MAX)
        return cvg_fail(error, CVG_UNSUPPORTED, "%s by %s needs more workspace than fits in the address space",
                        cvg_pass_names[pass], algorithm->name);
    if (need > limit)
        return cvg_fail(error, CVG_UNSUPPORTED, "workspace_limit is %zu; %s by %s needs at least %zu bytes", limit,
                        cvg_pass_names[pass], algorithm->name, need);
    int fit = 1;
    for (int low = 1, high = plan->threads.count; low <= high;) {
        const int middle = low + (high - low) / 2;
        if (workspace(plan, algorithm, pass, middle) <= limit) {
            fit = middle;
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    plan->pass[pass].algorithm = algorithm;
    plan->pass[pass].reason = wanted == CVG_AUTO ? CVG_EXPECTED : CVG_PINNED;
    plan->pass[pass].workers = fit;
    plan->pass[pass].workspace = workspace(plan, algorithm, pass, fit);
    return CVG_OK;
}

cvg_status cvg_plan_create(cvg_plan **out, const cvg_conv *conv, const cvg_options *options,
                           cvg_error *error)
{
    static const cvg_options defaults = CVG_OPTIONS_INIT;
    struct cvg_plan draft = {0};
    cvg_status status;

    if (!out)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "plan is NULL");
    *out = NULL;
    if (!options)
        options = &defaults;
    if ((status = cvg_shape_init(&draft.shape, conv, error)) ||
        (status = cvg_options_check(options, error)))
        return status;
    draft.gradient_scale = options->gradient_scale;
    draft.workspace_limit = options->workspace_limit;
    draft.error_growth = options->error_growth;
    draft.threads = cvg_threads_from(options);
    draft.kernels = cvg_cpu_kernels(conv->type, error);
    if (!draft.kernels)
        return CVG_INVALID_ARGUMENT;
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        if ((status = choose(&draft, (cvg_pass)pass, options->algo[pass], error)))
            return status;

    struct cvg_plan *plan = malloc(sizeof *plan);
    if (!plan)
        return cvg_fail(error, CVG_OUT_OF_MEMORY, "the plan's %zu bytes could not be allocated",
                        sizeof *plan);
    *plan = draft;
    *out = plan;
    return CVG_OK;
}

void cvg_plan_destroy(cvg_plan *plan)
{
    free(plan);
}

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

const char *cvg_plan_isa(const cvg_plan *plan)
{
    return plan ? plan->kernels->isa : "";
}

int cvg_plan_fuses(const cvg_plan *plan)
{
    return plan && !plan->kernels->rounds_twice;
}

int cvg_plan_threads(const cvg_plan *plan, cvg_pass pass)
{
    return has_pass(plan, pass) ? plan->pass[pass].workers : 1;
}

double cvg_plan_error_growth(const cvg_plan *plan, cvg_pass pass)
{
    if (!has_pass(plan, pass))
        return 0;
    return cvg_growth(plan->pass[pass].algorithm, &plan->shape, pass);
}

double cvg_plan_error_bound(const cvg_plan *plan, cvg_pass pass)
{
    if (!has_pass(plan, pass))
        return 0;
    const struct cvg_algorithm *algorithm = plan->pass[pass].algorithm;
    const double products = cvg_products(&plan->shape, pass);
    return algorithm->error_bound ? algorithm->error_bound(&plan->shape, pass)
                                  : cvg_gamma(plan->shape.type, products + 3) * products;
}

void cvg_write(struct cvg_text *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t at = w->length < w->size ? w->length : w->size;
    const int n = vsnprintf(w->size > at ? w->text + at : NULL, w->size - at, format, args);
    va_end(args);
    if (n > 0)
        w->length += (size_t)n;
}

/* Writes "AxBxC" of the axes that the user's rank has. */
static void write_axes(struct cvg_text *w, const char *label, const struct cvg_shape *s,
                       const int64_t values[3])
{
    cvg_write(w, "%s ", label);
    for (int axis = 3 - s->rank; axis < 3; axis++)
        cvg_write(w, "%s%" PRId64, axis > 3 - s->rank ? "x" : "", values[axis]);
}

/* Why AUTO took another algorithm than one that it could have taken. */
static void write_expected(struct cvg_text *w, const struct cvg_plan *plan, cvg_pass pass,
                           const struct cvg_algorithm *other)
{
    const double ratio = other->cost(&plan->shape, pass) / plan->pass[pass].algorithm->cost(&plan->shape, pass);
    if (cvg_plan_handicap(plan, other) > 1 && ratio < 1)
        cvg_write(w, "expected to be only %.2f times as fast; one that mixes neighbours must be %g times\n", 1 / ratio,
                  CVG_PAYS);
    else
        cvg_write(w, "expected to take %.2f times as long\n", ratio);
}

/* How long an algorithm took that was timed and not taken. */
static void write_measured(struct cvg_text *w, const struct cvg_plan *plan, cvg_pass pass,
                           const struct cvg_algorithm *other)
{
    const double *seconds = plan->pass[pass].seconds, taken = seconds[plan->pass[pass].algorithm->id];
    cvg_write(w, "measured %.4g ms, %.2f times as long", seconds[other->id] * 1e3, seconds[other->id] / taken);
    if (seconds[other->id] < taken)
        cvg_write(w, "; one that mixes neighbours must be %g times as fast", CVG_PAYS);
    cvg_write(w, "\n");
}

size_t cvg_plan_describe(const cvg_plan *plan, char *text, size_t size)
{
    static const char *const reasons[] = {
        [CVG_PINNED] = "was asked for", [CVG_IMPORTED] = "stands in the imported text"};
    struct cvg_text w = {text, size, 0};

    if (size)
        text[0] = 0;
    if (!plan)
        return 0;
    const struct cvg_shape *s = &plan->shape;
    cvg_write(&w, "problem: %s, batch %" PRId64 ", channels %" PRId64 " to %" PRId64
                   ", groups %" PRId64, s->type == CVG_F32 ? "f32" : "f64", s->N, s->C, s->K, s->G);
    write_axes(&w, ", in", s, s->in);
    write_axes(&w, ", filter", s, s->filter);
    write_axes(&w, ", stride", s, s->stride);
    write_axes(&w, ", dilation", s, s->dilation);
    write_axes(&w, ", pad", s, s->pad);
    write_axes(&w, " +", s, s->pad_end);
    write_axes(&w, ", out", s, s->out);
    cvg_write(&w, "\nkernels: %s, %d x %d sums at a time%s\n", plan->kernels->isa,
              plan->kernels->tile[plan->kernels->main].rows, plan->kernels->tile[plan->kernels->main].lanes,
              plan->kernels->rounds_twice ? ", without fused multiply-add: not the bits of processors that have it" : "");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        const struct cvg_algorithm *taken = plan->pass[pass].algorithm;
        const double *measured = plan->pass[pass].seconds;
        cvg_write(&w, "%s: %s, workspace %zu bytes, threads %d", cvg_pass_names[pass], taken->name,
                   plan->pass[pass].workspace, plan->pass[pass].workers);
        if (measured[taken->id] > 0)
            cvg_write(&w, ", measured %.4g ms", measured[taken->id] * 1e3);
        cvg_write(&w, "\n");
        cvg_write(&w, "    error within %.2g of the largest products, about %.2g times that of direct sums\n"
                   "    structure: %s\n", cvg_plan_error_bound(plan, (cvg_pass)pass),
                   cvg_plan_error_growth(plan, (cvg_pass)pass),
                   taken->mixes ? "mixes neighbours: a large element leaves a rounding error beside its place"
                                : "exact: an element outside a sum adds nothing to it");
        for (int i = 0; i < ALGORITHMS; i++) {
            char room[CVG_WHY];
            if (algorithms[i] == taken)
                continue;
            const char *why = cvg_plan_leaves_out(plan, algorithms[i], (cvg_pass)pass, room);
            cvg_write(&w, "    not %s: ", algorithms[i]->name);
            if (plan->pass[pass].reason == CVG_PINNED || plan->pass[pass].reason == CVG_IMPORTED)
                cvg_write(&w, "%s %s\n", taken->name, reasons[plan->pass[pass].reason]);
            else if (why)
                cvg_write(&w, "%s\n", why);
            else if (measured[algorithms[i]->id] > 0)
                write_measured(&w, plan, (cvg_pass)pass, algorithms[i]);
            else if (plan->pass[pass].reason == CVG_MEASURED)
                cvg_write(&w, "not timed; expected to take %.2f times as long as %s\n",
                          algorithms[i]->cost(s, (cvg_pass)pass) / taken->cost(s, (cvg_pass)pass), taken->name);
            else
                write_expected(&w, plan, (cvg_pass)pass, algorithms[i]);
        }
    }
    return w.length;
}
