/* Plans as text: told to people; and written for programs, and read back only if nothing is amiss. */
#include "plan.h"
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MOST = 1024 }; /* no plan's text is as long */

/* The numbers of the axes that the user's rank has. */
static void write_axes(struct cvg_text *w, const char *label, const char *between, const struct cvg_shape *s,
                       const int64_t values[3])
{
    cvg_write(w, "%s", label);
    for (int axis = 3 - s->rank; axis < 3; axis++)
        cvg_write(w, "%s%" PRId64, axis > 3 - s->rank ? between : "", values[axis]);
}

/* How tensors lie, where that is not the default. */
static void write_layout(struct cvg_text *w, const struct cvg_shape *s)
{
    static const char *const weights[] = {[CVG_KCRS] = "kcrs", [CVG_KRSC] = "krsc", [CVG_RSCK] = "rsck"};
    const struct {
        const char *name;
        const cvg_steps *steps;
        int64_t gaps;
    } tensors[] = {{" in_steps", &s->in_steps, s->in_span - (s->N ? s->N : 1) * s->C * s->in_size},
                   {" out_steps", &s->out_steps, s->out_span - (s->N ? s->N : 1) * s->K * s->out_size}};
    if (cvg_is_half(s->type) && s->grad_type != s->type)
        cvg_write(w, " gradients %s", cvg_type_name(s->grad_type));
    if (cvg_is_half(s->type) && s->bias_type != s->type)
        cvg_write(w, " bias %s", cvg_type_name(s->bias_type));
    if (s->layout == CVG_CHANNELS_LAST)
        cvg_write(w, " layout channels_last");
    if (s->weight_layout != CVG_KCRS)
        cvg_write(w, " weight %s", weights[s->weight_layout]);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        if (tensors[i].gaps) {
            cvg_write(w, "%s %" PRId64 " %" PRId64, tensors[i].name, tensors[i].steps->image,
                      tensors[i].steps->channel);
            write_axes(w, " ", " ", s, tensors[i].steps->axis);
        }
}

/* ---- for people ---- */

/* Why AUTO took another algorithm than one that it could have taken. */
static void write_expected(struct cvg_text *w, const struct cvg_plan *plan, cvg_pass pass,
                           const struct cvg_algorithm *other)
{
    const struct cvg_algorithm *taken = plan->pass[pass].algorithm;
    const double ratio = other->cost(other, &plan->inner, pass) / taken->cost(taken, &plan->inner, pass);
    if (ratio < 1 && taken->mixes)
        cvg_write(w, "expected to be only %.2f times as fast; its error grows more, and each unit must bring 1 %%\n",
                  1 / ratio);
    else if (ratio < 1 && cvg_plan_handicap(plan, other) > 1)
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
    cvg_write(&w, "problem: %s, batch %" PRId64 ", channels %" PRId64 " to %" PRId64 ", groups %" PRId64,
              cvg_type_name(s->type), s->N, s->C, s->K, s->G);
    write_axes(&w, ", in ", "x", s, s->in);
    write_axes(&w, ", filter ", "x", s, s->filter);
    write_axes(&w, ", stride ", "x", s, s->stride);
    write_axes(&w, ", dilation ", "x", s, s->dilation);
    write_axes(&w, ", pad ", "x", s, s->pad);
    write_axes(&w, " + ", "x", s, s->pad_end);
    write_axes(&w, ", out ", "x", s, s->out);
    write_layout(&w, s);
    cvg_write(&w, "\nkernels: %s, %d x %d sums at a time%s\n", plan->kernels->isa,
              plan->kernels->tile[plan->kernels->main].rows, plan->kernels->tile[plan->kernels->main].lanes,
              plan->kernels->rounds_twice ? ", without fused multiply-add: not the bits of processors that have it"
                                          : "");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        const struct cvg_algorithm *taken = plan->pass[pass].algorithm;
        const struct cvg_work *work = &plan->pass[pass].work;
        const double *measured = plan->pass[pass].seconds;
        cvg_write(&w, "%s: %s, workspace %zu bytes, threads %d", cvg_pass_names[pass], taken->name,
                  plan->pass[pass].workspace, plan->pass[pass].workers);
        if (measured[taken->id] > 0)
            cvg_write(&w, ", measured %.4g ms", measured[taken->id] * 1e3);
        cvg_write(&w, "\n");
        if (work->describe) {
            cvg_write(&w, "    by ");
            work->describe(work, &w);
            cvg_write(&w, "\n");
        }
        cvg_write(&w,
                  "    error within %.2g of the largest products, about %.2g times that of direct sums\n"
                  "    structure: %s\n",
                  cvg_plan_error_bound(plan, (cvg_pass)pass), cvg_plan_error_growth(plan, (cvg_pass)pass),
                  taken->mixes ? "mixes neighbours: a large element leaves a rounding error beside its place"
                               : "exact: an element outside a sum adds nothing to it");
        for (int i = 0; cvg_algorithm_at(i); i++) {
            const struct cvg_algorithm *other = cvg_algorithm_at(i);
            char room[CVG_WHY];
            if (other == taken)
                continue;
            const char *why = cvg_plan_leaves_out(plan, other, (cvg_pass)pass, room);
            cvg_write(&w, "    not %s: ", other->name);
            if (plan->pass[pass].reason == CVG_PINNED || plan->pass[pass].reason == CVG_IMPORTED)
                cvg_write(&w, "%s %s\n", taken->name, reasons[plan->pass[pass].reason]);
            else if (why)
                cvg_write(&w, "%s\n", why);
            else if (measured[other->id] > 0)
                write_measured(&w, plan, (cvg_pass)pass, other);
            else if (plan->pass[pass].reason == CVG_MEASURED)
                cvg_write(&w, "not timed; expected to take %.2f times as long as %s\n",
                          other->cost(other, &plan->inner, (cvg_pass)pass) /
                              taken->cost(taken, &plan->inner, (cvg_pass)pass),
                          taken->name);
            else
                write_expected(&w, plan, (cvg_pass)pass, other);
        }
    }
    return w.length;
}

/* ---- for programs ---- */

static uint64_t check_of(const char *text, size_t length)
{
    uint64_t check = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        check = (check ^ (unsigned char)text[i]) * 1099511628211u;
    return check;
}

/* The text before the choices: of whom, of what problem, under what limits. */
static size_t write_head(const struct cvg_plan *plan, char text[TEXT_MOST])
{
    const struct cvg_shape *s = &plan->shape;
    struct cvg_text w = {text, TEXT_MOST, 0};
    cvg_write(&w, "convgrad plan %d of %s\n", CVG_PLAN_VERSION, cvg_version());
    cvg_write(&w, "problem %s batch %" PRId64 " channels %" PRId64 " %" PRId64 " groups %" PRId64,
              cvg_type_name(s->type), s->N, s->C, s->K, s->G);
    write_axes(&w, " in ", " ", s, s->in);
    write_axes(&w, " filter ", " ", s, s->filter);
    write_axes(&w, " stride ", " ", s, s->stride);
    write_axes(&w, " dilation ", " ", s, s->dilation);
    write_axes(&w, " pad ", " ", s, s->pad);
    write_axes(&w, " pad_end ", " ", s, s->pad_end);
    write_layout(&w, s);
    cvg_write(&w, "\nlimits error_growth %.17g workspace %zu\n", plan->error_growth, plan->workspace_limit);
    return w.length;
}

static size_t write_all(const struct cvg_plan *plan, char text[TEXT_MOST])
{
    struct cvg_text w = {text, TEXT_MOST, write_head(plan, text)};
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        cvg_write(&w, "%s %s\n", cvg_pass_names[pass], plan->pass[pass].algorithm->name);
    cvg_write(&w, "check %016" PRIx64 "\n", check_of(text, w.length));
    return w.length;
}

size_t cvg_plan_export(const cvg_plan *plan, char *text, size_t size)
{
    char all[TEXT_MOST];
    if (size)
        text[0] = 0;
    if (!plan)
        return 0;
    const size_t length = write_all(plan, all), fits = size ? (length < size ? length : size - 1) : 0;
    if (size) {
        memcpy(text, all, fits);
        text[fits] = 0;
    }
    return length;
}

/* The length of a line, without its end. */
static size_t line_length(const char *text, size_t length)
{
    const char *end = memchr(text, '\n', length);
    return end ? (size_t)(end - text) : length;
}

/* Where the last two words begin that lines have in common. */
static size_t difference(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t word[3] = {0}, at = 0;
    for (; at < a_length && at < b_length && a[at] == b[at]; at++)
        if (a[at] == ' ') {
            word[0] = word[1];
            word[1] = word[2];
            word[2] = at + 1;
        }
    return word[1];
}

static int shown(size_t length) { return length < 80 ? (int)length : 80; }

/* Compares the text's head with the one that it must have, line by line. */
static cvg_status check_head(const char *text, size_t length, const struct cvg_plan *plan, size_t *at, cvg_error *error)
{
    static const char *const what[] = {"written by", "for", "made under"};
    char head[TEXT_MOST];
    const size_t size = write_head(plan, head);
    *at = 0;
    for (int line = 0; *at < size; line++) {
        const size_t want = line_length(head + *at, size - *at);
        const size_t got = *at < length ? line_length(text + *at, length - *at) : 0;
        if (got != want || memcmp(text + *at, head + *at, want) || *at + got >= length) {
            const size_t from = want < 80 ? 0 : difference(text + *at, got, head + *at, want);
            return cvg_fail(error, CVG_INVALID_ARGUMENT, "text is %s%s\"%.*s\"; must be \"%.*s\"", what[line],
                            from ? " ... " : " ", shown(got - from), got ? text + *at + from : "", shown(want - from),
                            head + *at + from);
        }
        *at += want + 1;
    }
    return CVG_OK;
}

/* Reads the algorithm of each pass. */
static cvg_status read_choices(const char *text, size_t length, size_t at, cvg_algo algo[CVG_PASS_COUNT],
                               cvg_error *error)
{
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        const size_t name = strlen(cvg_pass_names[pass]), size = at < length ? line_length(text + at, length - at) : 0;
        if (size <= name || memcmp(text + at, cvg_pass_names[pass], name) || text[at + name] != ' ')
            return cvg_fail(error, CVG_INVALID_ARGUMENT, "text has no line for %s after byte %zu", cvg_pass_names[pass],
                            at);
        const char *word = text + at + name + 1;
        const size_t word_size = size - name - 1;
        algo[pass] = CVG_AUTO;
        for (int i = CVG_AUTO + 1; i < CVG_ALGO_COUNT; i++) {
            const char *known = cvg_algo_name((cvg_algo)i);
            if (strlen(known) == word_size && !memcmp(known, word, word_size))
                algo[pass] = (cvg_algo)i;
        }
        if (algo[pass] == CVG_AUTO)
            return cvg_fail(error, CVG_INVALID_ARGUMENT, "text has \"%.*s\" for %s; that is no algorithm",
                            word_size < 40 ? (int)word_size : 40, word, cvg_pass_names[pass]);
        at += size + 1;
    }
    return CVG_OK;
}

cvg_status cvg_plan_import(cvg_plan **out, const char *text, size_t length, const cvg_conv *conv,
                           const cvg_options *options, cvg_error *error)
{
    cvg_options chosen;
    char all[TEXT_MOST];
    cvg_plan *plan;
    size_t at;

    if (!out)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "plan is NULL");
    *out = NULL;
    if (!text)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "text is NULL");
    cvg_status status = cvg_plan_create(&plan, conv, options, error); /* all but the choices */
    if (status)
        return status;
    cvg_options_read(&chosen, options, NULL); /* which were good enough for a plan */
    status = check_head(text, length, plan, &at, error);
    cvg_plan_destroy(plan);
    if (status || (status = read_choices(text, length, at, chosen.algo, error)))
        return status;
    for (int pass = 0; options && pass < CVG_PASS_COUNT; pass++)
        if (options->algo[pass] != CVG_AUTO && options->algo[pass] != chosen.algo[pass])
            return cvg_fail(error, CVG_INVALID_ARGUMENT, "text has %s for %s; algo[%s] is %s",
                            cvg_algo_name(chosen.algo[pass]), cvg_pass_names[pass], cvg_pass_names[pass],
                            cvg_algo_name(options->algo[pass]));
    if ((status = cvg_plan_create(&plan, conv, &chosen, error)))
        return status;
    if (write_all(plan, all) != length || memcmp(all, text, length)) {
        cvg_plan_destroy(plan);
        return cvg_fail(error, CVG_INVALID_ARGUMENT,
                        "text is damaged: what follows its choices is not \"%.22s\" and its end",
                        strstr(all, "check "));
    }
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        plan->pass[pass].reason = CVG_IMPORTED;
    *out = plan;
    return CVG_OK;
}
