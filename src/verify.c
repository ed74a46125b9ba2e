/* A plan's own results against the definition. */
#include "algo/definition.h"
#include "plan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_CHECKED = 2000,  /* elements of a result; of more so many are drawn, and the first and last */
    MOST_TERMS = 1 << 24, /* products behind all those that are checked, or fewer are; but some: */
    LEAST_CHECKED = 20,
    GUARD = 64, /* bytes around a result and the workspace */
    GUARD_BYTE = 0x5a,
    POISON_BYTE = 0xff, /* NaN as a float, a double, or a part of one */
};

/* The results, by number; 0 to 2 are passes. */
enum { GRAD_BIAS = CVG_PASS_COUNT, RESULTS };
static const char *const result_names[RESULTS] = {"output", "grad_input", "grad_weight", "grad_bias"};

enum { INPUT, WEIGHT, BIAS, GRAD_OUTPUT, OPERANDS };
static const char *const operand_names[OPERANDS] = {"input", "weight", "bias", "grad_output"};
static const enum cvg_like operand_like[OPERANDS] = {CVG_LIKE_INPUT, CVG_LIKE_WEIGHT, CVG_LIKE_BIAS, CVG_LIKE_OUTPUT};
static const enum cvg_like result_like[RESULTS] = {CVG_LIKE_OUTPUT, CVG_LIKE_INPUT, CVG_LIKE_WEIGHT, CVG_LIKE_BIAS};

/* What operands hold: numbers in [-1, 1); integers in [-2, 2]; zeros, but for a large number here and there. */
enum kind { REALS, INTEGERS, SPARSE, KINDS };

struct verify {
    const cvg_plan *plan;
    cvg_report *report;
    int64_t operand_count[OPERANDS], result_count[RESULTS]; /* elements, */
    int64_t operand_span[OPERANDS], result_span[RESULTS];   /* and with the gaps between them */
    char *operand[OPERANDS], *before[OPERANDS];             /* before: a copy */
    char *result[RESULTS], *again[RESULTS];                 /* with guards around each */
    char *workspace;                                        /* the same */
    double largest[OPERANDS];
    uint64_t random;
    enum kind kind; /* of the operands now */
};

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void
record(struct verify *v, int good, const char *format, ...)
{
    v->report->checks++;
    if (good)
        return;
    if (v->report->failures++ == 0) {
        va_list args;
        va_start(args, format);
        vsnprintf(v->report->text, sizeof v->report->text, format, args);
        va_end(args);
    }
}

/* splitmix64 */
static uint64_t draw(struct verify *v)
{
    uint64_t z = v->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* How operands and results are stored. */
static cvg_type operand_type(const struct verify *v, int operand)
{
    return operand == BIAS ? v->plan->shape.bias_type : v->plan->shape.type;
}

static cvg_type result_type(const struct verify *v, int result)
{
    return result == CVG_FORWARD ? v->plan->shape.type : v->plan->shape.grad_type;
}

/* Bytes of an operand or a result, with its gaps. */
static size_t operand_bytes(const struct verify *v, int operand)
{
    return (size_t)v->operand_span[operand] * cvg_type_size(operand_type(v, operand));
}

static size_t result_bytes(const struct verify *v, int result)
{
    return (size_t)v->result_span[result] * cvg_type_size(result_type(v, result));
}

/* ---- memory ---- */

static char *guarded(size_t bytes)
{
    char *block = bytes <= SIZE_MAX - 2 * GUARD ? malloc(bytes + 2 * GUARD) : NULL;
    return block ? block + GUARD : NULL;
}

static void poison(char *data, size_t bytes)
{
    memset(data - GUARD, GUARD_BYTE, GUARD);
    memset(data, POISON_BYTE, bytes);
    memset(data + bytes, GUARD_BYTE, GUARD);
}

static int intact(const char *data, size_t bytes)
{
    for (int i = 0; i < GUARD; i++)
        if (data[i - GUARD] != GUARD_BYTE || data[bytes + (size_t)i] != GUARD_BYTE)
            return 0;
    return 1;
}

static void release(struct verify *v)
{
    for (int i = 0; i < OPERANDS; i++) {
        free(v->operand[i]);
        free(v->before[i]);
    }
    for (int i = 0; i < RESULTS; i++) {
        free(v->result[i] ? v->result[i] - GUARD : NULL);
        free(v->again[i] ? v->again[i] - GUARD : NULL);
    }
    free(v->workspace ? v->workspace - GUARD : NULL);
}

static int allocate(struct verify *v)
{
    const struct cvg_shape *s = &v->plan->shape;
    const int64_t input = s->N * s->C * s->in_size, weight = s->K * s->taps, output = s->N * s->K * s->out_size;
    const int64_t count[] = {input, output, weight, s->K};
    const int64_t span[] = {s->N ? s->in_span : 0, s->N ? s->out_span : 0, weight, s->K};
    int good = 1;
    for (int i = 0; i < OPERANDS; i++) {
        v->operand_count[i] = count[operand_like[i]];
        v->operand_span[i] = span[operand_like[i]];
        v->operand[i] = malloc(operand_bytes(v, i) + 1);
        v->before[i] = malloc(operand_bytes(v, i) + 1);
        good &= v->operand[i] && v->before[i];
    }
    for (int i = 0; i < RESULTS; i++) {
        v->result_count[i] = count[result_like[i]];
        v->result_span[i] = span[result_like[i]];
        v->result[i] = guarded(result_bytes(v, i));
        v->again[i] = guarded(result_bytes(v, i));
        good &= v->result[i] && v->again[i];
    }
    v->workspace = guarded(cvg_plan_workspace_most(v->plan));
    return good && v->workspace;
}

/* ---- one kind of operands ---- */

static double element(struct verify *v)
{
    const uint64_t bits = draw(v);
    switch (v->kind) {
    case INTEGERS: return (double)(bits % 5) - 2;
    case SPARSE: return bits % 64 ? 0 : v->plan->shape.type == CVG_F16 ? 0x1p5 : 0x1p20;
    default: return (double)(bits >> 40) * 0x1p-23 - 1;
    }
}

static void fill(struct verify *v, enum kind kind)
{
    v->kind = kind;
    for (int i = 0; i < OPERANDS; i++) {
        v->largest[i] = 0;
        memset(v->operand[i], POISON_BYTE, operand_bytes(v, i)); /* gaps must not be read */
        for (int64_t j = 0; j < v->operand_count[i]; j++) {
            const double value = element(v);
            cvg_store(operand_type(v, i), v->operand[i], cvg_element_of(&v->plan->shape, operand_like[i], j), value);
            v->largest[i] = fmax(v->largest[i], fabs(value));
        }
        memcpy(v->before[i], v->operand[i], operand_bytes(v, i));
    }
}

/* Runs a pass, and with that of the weight the bias, in workspace of just its size. */
static void run(struct verify *v, const cvg_plan *plan, cvg_pass pass, char *const to[RESULTS], cvg_mode mode)
{
    const size_t size = plan->pass[pass].workspace;
    poison(v->workspace, size);
    if (pass == CVG_FORWARD)
        cvg_forward(plan, v->operand[INPUT], v->operand[WEIGHT], v->operand[BIAS], to[pass], v->workspace);
    else if (pass == CVG_GRAD_INPUT)
        cvg_grad_input(plan, v->operand[GRAD_OUTPUT], v->operand[WEIGHT], to[pass], mode, v->workspace);
    else
        cvg_backward(plan, v->operand[INPUT], NULL, v->operand[GRAD_OUTPUT], NULL, to[pass], to[GRAD_BIAS], mode,
                     v->workspace);
    record(v, intact(v->workspace, size), "%s wrote outside its workspace", cvg_pass_names[pass]);
}

/* How far a number is moved as a half is made of it, at most. */
static double rounding(cvg_type type, double value)
{
    const double least = type == CVG_F16 ? 0x1p-25 : 0; /* what is below is lost; no others are as small here */
    return cvg_roundoff(type) * fabs(value) + least;
}

/* A result as it is stored, of which each is rounded, and how far it may be off then, if not exactly that. */
static void as_stored(cvg_type type, double times, double *want, double *off)
{
    const double first = *want / times; /* what was there before, if it was accumulated */
    if (*off == 0)
        *want = cvg_rounded(type, times > 1 ? cvg_rounded(type, first) + first : first);
    else
        *off += 1.01 * (rounding(type, fabs(*want) + *off) + (times > 1 ? rounding(type, fabs(first) + *off) : 0));
}

/* An element of a result: as it must be, and how far from that it may be. */
static void check_element(struct verify *v, int result, int64_t index, double times)
{
    const cvg_plan *plan = v->plan;
    const struct cvg_shape *s = &plan->shape;
    const cvg_pass pass = result == GRAD_BIAS ? CVG_GRAD_WEIGHT : (cvg_pass)result;
    const struct cvg_task task = {.shape = s,
                                  .kernels = plan->kernels,
                                  .type = s->type,
                                  .input = v->operand[INPUT],
                                  .weight = v->operand[WEIGHT],
                                  .grad_output = v->operand[GRAD_OUTPUT]};
    struct cvg_sum sum =
        result == GRAD_BIAS ? cvg_definition_grad_bias(&task, index, 0) : cvg_definition(&task, pass, index);
    const double scale = result == CVG_FORWARD ? 1 : plan->gradient_scale * times;
    if (result == CVG_FORWARD) {
        const double bias = cvg_load(s->bias_type, v->operand[BIAS], index / s->out_size % s->K);
        sum.value += bias;
        sum.absolute += fabs(bias);
    }
    const cvg_type stored = result_type(v, result), computed = plan->inner.type;
    const double terms = cvg_products(s, pass), exact = 1 / cvg_roundoff(computed);
    const struct cvg_algorithm *algorithm = plan->pass[pass].algorithm;
    /* Of products that are all 0 an exact algorithm must make 0. */
    double allowed = (cvg_gamma(computed, terms + 4) + cvg_gamma(CVG_F64, terms + 4)) * sum.absolute;
    if (v->kind == INTEGERS && (scale == 1 || scale == 2) && 2 * sum.absolute < exact)
        allowed = 0;
    if (algorithm->error_bound && result != GRAD_BIAS) {
        static const int operands[CVG_PASS_COUNT][2] = {{INPUT, WEIGHT}, {GRAD_OUTPUT, WEIGHT}, {INPUT, GRAD_OUTPUT}};
        struct cvg_shape whole = *s;
        whole.type = computed;
        allowed += algorithm->error_bound(algorithm, &whole, pass) *
                   (v->largest[operands[pass][0]] * v->largest[operands[pass][1]] + (result ? 0 : v->largest[BIAS]));
    }
    const double got = cvg_load(stored, v->result[result], cvg_element_of(s, result_like[result], index));
    double want = scale * sum.value, off = allowed * fabs(scale);
    if (cvg_is_half(stored))
        as_stored(stored, times, &want, &off);
    record(v, got == want || fabs(got - want) <= off,
           "%s%s by %s: element %" PRId64 " is %.9g; must be %.9g within %.3g", result_names[result],
           times > 1 ? ", accumulated," : "", algorithm->name, index, got, want, off);
}

/*
 * Whether nothing between the elements of a view was written.  Elements that are no NaN are counted: those of a result
 * that is right are all that there are.
 */
static int gaps_are_left(const struct verify *v, int result)
{
    int64_t written = 0;
    if (v->result_span[result] == v->result_count[result])
        return 1;
    for (int64_t i = 0; i < v->result_span[result]; i++)
        written += !isnan(cvg_load(result_type(v, result), v->result[result], i));
    return written <= v->result_count[result];
}

static void check_elements(struct verify *v, int result, double times)
{
    const int64_t count = v->result_count[result];
    const double terms = result == GRAD_BIAS ? (double)(v->plan->shape.N * v->plan->shape.out_size)
                                             : cvg_products(&v->plan->shape, (cvg_pass)result);
    const double most = fmin(MOST_CHECKED, fmax(LEAST_CHECKED, MOST_TERMS / fmax(1, terms)));
    for (int64_t i = 0; i < count && (double)i < most; i++) {
        const int64_t drawn = i == 0 ? 0 : i == 1 ? count - 1 : (int64_t)(draw(v) % (uint64_t)count);
        check_element(v, result, (double)count <= most ? i : drawn, times);
    }
    record(v, intact(v->result[result], result_bytes(v, result)) && gaps_are_left(v, result),
           "%s was written outside of it", result_names[result]);
}

static void check_pass(struct verify *v, cvg_pass pass)
{
    cvg_plan single;
    const int results[2] = {pass, pass == CVG_GRAD_WEIGHT ? GRAD_BIAS : pass};
    cvg_plan_alone(&single, v->plan);
    for (int i = results[0]; i <= results[1]; i++) {
        poison(v->result[i], result_bytes(v, i));
        poison(v->again[i], result_bytes(v, i));
    }
    run(v, v->plan, pass, v->result, CVG_OVERWRITE);
    run(v, &single, pass, v->again, CVG_OVERWRITE);
    for (int i = results[0]; i <= results[1]; i++) {
        check_elements(v, i, 1);
        record(v, !memcmp(v->result[i], v->again[i], result_bytes(v, i)),
               "%s by %s: one thread gives other bits than %d", result_names[i], v->plan->pass[pass].algorithm->name,
               v->plan->pass[pass].workers);
    }
    if (pass == CVG_FORWARD)
        return;
    run(v, v->plan, pass, v->result, CVG_ACCUMULATE);
    for (int i = results[0]; i <= results[1]; i++)
        check_elements(v, i, 2);
}

cvg_status cvg_verify(const cvg_plan *plan, cvg_report *report)
{
    if (!plan || !report)
        return CVG_INVALID_ARGUMENT;
    *report = (cvg_report){0};
    struct verify v = {.plan = plan, .report = report, .random = 1};
    if (!allocate(&v)) {
        release(&v);
        snprintf(report->text, sizeof report->text, "the tensors to verify with could not be allocated");
        return CVG_OUT_OF_MEMORY;
    }
    for (int kind = 0; kind < KINDS; kind++) {
        fill(&v, (enum kind)kind);
        for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
            check_pass(&v, (cvg_pass)pass);
        for (int i = 0; i < OPERANDS; i++)
            record(&v, !memcmp(v.operand[i], v.before[i], operand_bytes(&v, i)), "%s was changed", operand_names[i]);
    }
    release(&v);
    return report->failures ? CVG_WRONG_RESULT : CVG_OK;
}
