/* report.html: the curves, what is taken for what, the worst mistakes, the first layer's filters. */
#include "files.h"
#include "page.h"
#include "training.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MISTAKES = 24, MOST_CLASSES = 100, MOST_FILTERS = 64, MOST_SIDE = 64 };

/* A test sample that was taken for another class. */
struct mistake {
    int64_t index, taken_for;
    double probability; /* that the network gave to its mistake */
};

/* What the network says of the samples. */
struct answers {
    const struct dataset *data;
    cvg_loss loss;
    int64_t classes, *table; /* classes x classes: rows are the samples' own */
    struct mistake mistakes[MISTAKES];
    int count; /* of them, the surest first */
};

static void add_mistake(struct answers *a, int64_t index, int64_t taken_for, double probability)
{
    int at = a->count;
    while (at > 0 && a->mistakes[at - 1].probability < probability)
        at--;
    if (at == MISTAKES)
        return;
    if (a->count < MISTAKES)
        a->count++;
    memmove(a->mistakes + at + 1, a->mistakes + at, (size_t)(a->count - 1 - at) * sizeof *a->mistakes);
    a->mistakes[at] = (struct mistake){index, taken_for, probability};
}

static void ask(const struct training *t, struct answers *a)
{
    const cvg_arrays arrays = dataset_arrays(a->data, t->network);
    const cvg_samples samples = cvg_samples_array(&arrays);
    const int64_t classes = a->classes = t->facts.output_elements;
    void *outputs = cli_alloc((size_t)(a->data->count * classes), type_size(t->facts.type));
    cvg_error error;
    if (cvg_evaluate(t->trainer, cvg_trainer_parameters(t->trainer, t->state), &samples, &a->loss, outputs,
                     t->workspace, &error))
        die(EXIT_WRONG, "%s", error.text);
    if (t->facts.classifies) {
        cvg_softmax(t->network, a->data->count, outputs);
        a->table = cli_alloc((size_t)(classes * classes), sizeof *a->table);
    }
    for (int64_t i = 0; a->table && i < a->data->count; i++) {
        const int64_t best = class_of(&t->facts, outputs, i);
        a->table[a->data->label[i] * classes + best]++;
        if (best != a->data->label[i])
            add_mistake(a, i, best, value_of(t->facts.type, outputs, i * classes + best));
    }
    free(outputs);
}

/* ---- JSON ---- */

static void put_history(const struct training *t, FILE *out)
{
    fprintf(out, "\"epochs\": [");
    for (int64_t i = 0; i < t->history.count; i++) {
        const struct epoch *e = &t->history.epochs[i];
        const double values[] = {e->learning_rate, e->loss, e->accuracy, e->test_loss, e->test_accuracy};
        fprintf(out, "%s[", i ? ", " : "");
        for (int k = 0; k < 5; k++) {
            const int there = isfinite(values[k]) && (values[k] >= 0 || k == 1 || k == 3);
            fprintf(out, "%s", k ? ", " : "");
            if (there)
                json_number(out, values[k]);
            else
                fprintf(out, "null");
        }
        fprintf(out, "]");
    }
    fprintf(out, "]");
}

/* Bytes as hexadecimal digits: a picture's values from 0 to 255, row by row, channel by channel. */
static void put_picture(FILE *out, const double *values, int64_t count)
{
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    fprintf(out, "\"");
    for (int64_t i = 0; i < count; i++)
        fprintf(out, "%02x", (unsigned)(high > low ? 255 * (values[i] - low) / (high - low) + 0.5 : 0));
    fprintf(out, "\"");
}

/* Whether so many channels, of so many rows and columns, can be drawn. */
static int is_picture(int rank, const int64_t *shape)
{
    return rank == 3 && (shape[0] == 1 || shape[0] == 3) && shape[1] <= MOST_SIDE && shape[2] <= MOST_SIDE;
}

static void put_mistakes(const struct training *t, const struct answers *a, FILE *out)
{
    const struct dataset *d = a->data;
    const cvg_arrays arrays = dataset_arrays(d, t->network);
    const cvg_samples samples = cvg_samples_array(&arrays);
    const int64_t plane[3] = {1, d->shape[0], d->shape[1]}; /* IDX files leave the channel out */
    const int64_t *shape = d->rank == 2 ? plane : d->shape;
    const int draws = is_picture(d->rank == 2 ? 3 : d->rank, shape);
    double *values = cli_alloc((size_t)d->elements, sizeof *values);
    void *input = cli_alloc((size_t)d->elements, sizeof *values);
    fprintf(out, ",\n\"picture\": [%" PRId64 ", %" PRId64 ", %" PRId64 "], \"mistakes\": [", draws ? shape[0] : 0,
            draws ? shape[1] : 0, draws ? shape[2] : 0);
    for (int i = 0; i < a->count; i++) {
        const struct mistake *m = &a->mistakes[i];
        fprintf(out,
                "%s\n{\"index\": %" PRId64 ", \"is\": %" PRId64 ", \"said\": %" PRId64 ", \"sure\": ", i ? "," : "",
                m->index, d->label[m->index], m->taken_for);
        json_number(out, m->probability);
        samples.read(samples.context, m->index, input, NULL);
        for (int64_t k = 0; k < d->elements; k++)
            values[k] = value_of(t->facts.type, input, k);
        fprintf(out, ", \"pixels\": ");
        put_picture(out, values, draws ? d->elements : 0);
        fprintf(out, "}");
    }
    fprintf(out, "]");
    free(values);
    free(input);
}

/* The filters of the first layer, if they can be drawn: K x C x R x S with one or three channels. */
static void put_filters(const struct training *t, FILE *out)
{
    const void *parameters = cvg_trainer_parameters(t->trainer, t->state);
    cvg_parameter p;
    const int there = cvg_network_parameter(t->network, 0, &p) && p.rank == 4 && is_picture(3, p.shape + 1) &&
                      p.shape[2] * p.shape[3] > 1;
    const int64_t each = there ? p.count / p.shape[0] : 1;
    double *values = cli_alloc((size_t)each, sizeof *values);
    fprintf(out, ",\n\"filter\": [%" PRId64 ", %" PRId64 ", %" PRId64 "], \"filters\": [", there ? p.shape[1] : 0,
            there ? p.shape[2] : 0, there ? p.shape[3] : 0);
    for (int64_t k = 0; there && k < p.shape[0] && k < MOST_FILTERS; k++) {
        for (int64_t i = 0; i < each; i++)
            values[i] = value_of(t->facts.type, parameters, p.offset + k * each + i);
        fprintf(out, "%s\n", k ? "," : "");
        put_picture(out, values, each);
    }
    fprintf(out, "]");
    free(values);
}

void report_write(const struct training *t)
{
    struct answers a = {.data = t->test.count ? &t->test : &t->data};
    struct new_file file;
    ask(t, &a);
    if (!ranks_lead()) {
        free(a.table);
        return;
    }
    new_file_begin(&file, t->folder, "report.html");
    FILE *out = file.file;
    fputs(page_report.before, out);
    fprintf(out, "{\"version\": \"%s\", \"model\": ", cvg_version());
    json_string(out, t->model);
    char recipe[2000];
    cvg_recipe_write(&t->recipe, recipe, sizeof recipe);
    fprintf(out, ",\n\"recipe\": ");
    json_string(out, recipe);
    fprintf(out, ",\n\"data\": ");
    json_string(out, t->settings.data);
    fprintf(out, ", \"test\": ");
    json_string(out, t->settings.test);
    fprintf(out,
            ",\n\"parameters\": %" PRId64 ", \"samples\": %" PRId64 ", \"tested\": %" PRId64 ", \"best\": %" PRId64
            ", \"classifies\": %s,\n",
            t->facts.trained, t->data.count, t->test.count, history_best(&t->history) + 1,
            t->facts.classifies ? "true" : "false");
    put_history(t, out);
    fprintf(out, ",\n\"classes\": %" PRId64 ", \"confusion\": [", a.table && a.classes <= MOST_CLASSES ? a.classes : 0);
    for (int64_t i = 0; a.table && a.classes <= MOST_CLASSES && i < a.classes * a.classes; i++)
        fprintf(out, "%s%" PRId64, i ? ", " : "", a.table[i]);
    fprintf(out, "]");
    put_mistakes(t, &a, out);
    put_filters(t, out);
    fprintf(out, "\n}\n");
    fputs(page_report.after, out);
    new_file_end(&file);
    free(a.table);
}
