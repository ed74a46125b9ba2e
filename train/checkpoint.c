/* Files: a network's parameters, and with a trainer the moments and the step, as safetensors. */
#include "safetensors.h"
#include "trainer.h"

#include <stdio.h>
#include <string.h>

static const char *const sgd_names[] = {"momentum_buffer"}, *const adamw_names[] = {"exp_avg", "exp_avg_sq"};

/* What is written: a network's arrays, or a trainer's. */
struct source {
    const cvg_network *n;
    const cvg_trainer *t; /* NULL: parameters alone */
    const char *parameters, *moment[2];
    int64_t step, zero;
    cvg_writer *write;
    void *context;
};

static const char *moment_name(const cvg_trainer *t, int moment)
{
    return t->recipe.optimizer == CVG_ADAMW ? adamw_names[moment] : sgd_names[moment];
}

static void fill(const struct source *s, const struct cvt_parameter *p, const char *base, struct cvg_tensor *tensor)
{
    tensor->element = cvg_element_named(s->n->type == CVG_F32 ? "F32" : "F64");
    tensor->rank = p->rank;
    memcpy(tensor->shape, p->shape, (size_t)p->rank * sizeof *p->shape);
    tensor->data = base + (size_t)p->offset * s->n->size;
    tensor->size = (size_t)p->count * s->n->size;
}

/* PyTorch's strict loading asks for num_batches_tracked behind each running_var. */
static int is_variance(const struct cvt_parameter *p) { return p->statistic && strstr(p->name, "running_var") != NULL; }

static int get_tensor(void *context, int index, struct cvg_tensor *tensor)
{
    const struct source *s = context;
    const int moments = s->t ? s->t->moments : 0;
    int at = 0;
    memset(tensor, 0, sizeof *tensor);
    for (int i = 0; i < s->n->parameters; i++) {
        const struct cvt_parameter *p = &s->n->parameter[i];
        if (at++ == index) {
            snprintf(tensor->name, sizeof tensor->name, "%s", p->name);
            fill(s, p, s->parameters, tensor);
            return 1;
        }
        if (is_variance(p) && at++ == index) {
            snprintf(tensor->name, sizeof tensor->name, "%d.num_batches_tracked", p->layer);
            tensor->element = cvg_element_named("I64");
            tensor->data = s->n->layer[p->layer].frozen ? &s->zero : &s->step;
            tensor->size = sizeof s->step;
            return 1;
        }
    }
    for (int moment = 0; moment < moments; moment++)
        for (int i = 0; i < s->n->parameters; i++) {
            const struct cvt_parameter *p = &s->n->parameter[i];
            if (p->statistic || at++ != index)
                continue;
            snprintf(tensor->name, sizeof tensor->name, "optimizer.%s.%s", moment_name(s->t, moment), p->name);
            fill(s, p, s->moment[moment], tensor);
            return 1;
        }
    return 0;
}

enum { OWN = 5, MOST_NOTES = 60 };

/* One number for all that decides bits (trainer.c). */
static void print_mark(const cvg_trainer *t, char *text, size_t size)
{
    snprintf(text, size, "%016llx", (unsigned long long)t->mark);
}

static cvg_status save(struct source *s, const cvg_note *notes, int count, const char *recipe, cvg_error *error)
{
    cvg_note entry[OWN + MOST_NOTES];
    char step[32], mark[32];
    int entries = 0;
    if (count < 0 || count > MOST_NOTES || (count > 0 && !notes))
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "note_count is %d; must be 0 to %d", count, MOST_NOTES);
    snprintf(step, sizeof step, "%lld", (long long)s->step);
    entry[entries++] = (cvg_note){"convgrad", cvg_version()};
    entry[entries++] = (cvg_note){"model", s->n->text};
    if (recipe) {
        print_mark(s->t, mark, sizeof mark);
        entry[entries++] = (cvg_note){"mark", mark};
        entry[entries++] = (cvg_note){"recipe", recipe};
        entry[entries++] = (cvg_note){"step", step};
    }
    for (int i = 0; i < count; i++) {
        if (!notes[i].key || !notes[i].value)
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "note %d has no %s", i, notes[i].key ? "value" : "key");
        for (int j = 0; j < entries; j++)
            if (strcmp(entry[j].key, notes[i].key) == 0)
                return cvt_fail(error, CVG_INVALID_ARGUMENT, "the note's key \"%.60s\" is taken", notes[i].key);
        entry[entries++] = (cvg_note){notes[i].key, notes[i].value};
    }
    const struct cvg_tensors tensors = {get_tensor, s, entry, entries};
    if (!cvg_safetensors_write(&tensors, s->write, s->context))
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the file could not be written");
    return CVG_OK;
}

cvg_status cvg_network_save(const cvg_network *n, const void *parameters, const cvg_note *notes, int note_count,
                            cvg_writer *write, void *context, cvg_error *error)
{
    if (!n || !parameters || !write)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", !n ? "network" : !write ? "write" : "parameters");
    struct source s = {.n = n, .parameters = parameters, .write = write, .context = context};
    return save(&s, notes, note_count, NULL, error);
}

cvg_status cvg_trainer_save(const cvg_trainer *t, const void *state, const cvg_note *notes, int note_count,
                            cvg_writer *write, void *context, cvg_error *error)
{
    char recipe[2048];
    if (!t || !state || !write)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", !t ? "trainer" : !write ? "write" : "state");
    if (cvg_trainer_steps_done(t, state) < 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "state is none of this trainer");
    if (((const struct cvt_state *)state)->sharded)
        return cvt_fail(error, CVG_INVALID_ARGUMENT,
                        "the state has the moments of its own slice alone; all ranks must call cvg_trainer_gather()");
    cvg_recipe_write(&t->recipe, recipe, sizeof recipe);
    struct source s = {.n = t->network,
                       .t = t,
                       .parameters = (const char *)state + t->parameters_at,
                       .moment = {(const char *)state + t->moment_at[0], (const char *)state + t->moment_at[1]},
                       .step = cvg_trainer_steps_done(t, state),
                       .write = write,
                       .context = context};
    return save(&s, notes, note_count, recipe, error);
}

/* ---- reading ---- */

/* An element of a tensor as a double: of any alignment. */
static double element(const struct cvg_tensor *tensor, int64_t at)
{
    if (tensor->element->size == sizeof(float)) {
        float value;
        memcpy(&value, (const char *)tensor->data + (size_t)at * sizeof value, sizeof value);
        return (double)value;
    }
    double value;
    memcpy(&value, (const char *)tensor->data + (size_t)at * sizeof value, sizeof value);
    return value;
}

/* Why a tensor is not that parameter; CVG_OK if it is. */
static cvg_status find(const struct cvg_safetensors *file, const struct cvt_parameter *p, const char *name,
                       struct cvg_tensor *tensor, cvg_error *error)
{
    if (!cvg_safetensors_find(file, name, tensor))
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the file has no %s", name);
    int same = tensor->rank == p->rank;
    for (int i = 0; same && i < p->rank; i++)
        same = tensor->shape[i] == p->shape[i];
    if (!same)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the shape of %s in the file is not the model's", name);
    if (strcmp(tensor->element->name, "F32") != 0 && strcmp(tensor->element->name, "F64") != 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is of type %s; must be F32 or F64", name,
                        tensor->element->name);
    for (int64_t i = 0; i < p->count; i++) {
        const double value = element(tensor, i);
        if (!(value - value == 0))
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s[%lld] in the file is not finite", name, (long long)i);
    }
    return CVG_OK;
}

static void copy(const cvg_network *n, const struct cvt_parameter *p, const struct cvg_tensor *tensor, char *base)
{
    for (int64_t i = 0; i < p->count; i++)
        if (n->type == CVG_F32)
            ((float *)(void *)base)[p->offset + i] = (float)element(tensor, i);
        else
            ((double *)(void *)base)[p->offset + i] = element(tensor, i);
}

cvg_status cvg_network_load(const cvg_network *n, void *parameters, const void *file, size_t size, int strict,
                            int *fitted, cvg_error *error)
{
    struct cvg_safetensors open;
    struct cvg_tensor tensor;
    cvg_error why = {""};
    struct cvt_text missed = {error ? error->text : NULL, error ? sizeof error->text : 0, 0};
    int fit = 0;
    if (error)
        error->text[0] = 0;
    if (!n || !parameters || !file)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", !n ? "network" : !file ? "file" : "parameters");
    cvg_status status = cvg_safetensors_open(&open, file, size, error);
    if (status)
        return status;
    for (int i = 0; strict && i < n->parameters; i++) /* nothing is changed if one is missing */
        if ((status = find(&open, &n->parameter[i], n->parameter[i].name, &tensor, error)))
            return status;
    for (int i = 0; i < n->parameters; i++) {
        const struct cvt_parameter *p = &n->parameter[i];
        if (find(&open, p, p->name, &tensor, &why) == CVG_OK) {
            copy(n, p, &tensor, parameters);
            fit++;
        } else {
            cvt_print(&missed, "%s%s", missed.length ? ", " : "not taken: ", p->name);
        }
    }
    if (fitted)
        *fitted = fit;
    return CVG_OK;
}

cvg_status cvg_file_note(const void *file, size_t size, const char *key, char *text, size_t text_size, size_t *length,
                         cvg_error *error)
{
    struct cvg_safetensors open;
    if (!file || !key)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", file ? "key" : "file");
    const cvg_status status = cvg_safetensors_open(&open, file, size, error);
    if (status)
        return status;
    const int64_t got = cvg_safetensors_metadata(&open, key, text, text_size);
    if (got < 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the file has no \"%.60s\" in its metadata", key);
    if (length)
        *length = (size_t)got;
    return CVG_OK;
}

/* The metadata of a checkpoint against this trainer; *step from it. */
static cvg_status check_notes(const cvg_trainer *t, const struct cvg_safetensors *file, int64_t *step, cvg_error *error)
{
    static const char *const keys[] = {"convgrad", "mark", "recipe", "step"};
    char text[2048];
    for (int i = 0; i < 4; i++)
        if (cvg_safetensors_metadata(file, keys[i], NULL, 0) < 0)
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "the file is no checkpoint: its metadata have no \"%s\"",
                            keys[i]);
    cvg_safetensors_metadata(file, "convgrad", text, sizeof text);
    if (strcmp(text, cvg_version()) != 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the checkpoint is of version %.40s; this is %s", text,
                        cvg_version());
    cvg_recipe theirs, own = t->recipe;
    char mine[2048];
    cvg_safetensors_metadata(file, "recipe", text, sizeof text);
    const cvg_status status = cvg_recipe_read(&theirs, text, error);
    if (status)
        return status;
    own.epochs = theirs.epochs = 1; /* they may grow */
    cvg_recipe_write(&own, mine, sizeof mine);
    cvg_recipe_write(&theirs, text, sizeof text);
    for (const char *a = mine, *b = text; *a || *b; a++, b++)
        if (*a != *b) {
            const char *line = a;
            while (line > mine && line[-1] != '\n')
                line--;
            const char *there = text + (line - mine);
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "the checkpoint's recipe has %.*s; this one has %.*s",
                            (int)strcspn(there, "\n"), there, (int)strcspn(line, "\n"), line);
        }
    print_mark(t, mine, sizeof mine);
    cvg_safetensors_metadata(file, "mark", text, sizeof text);
    if (strcmp(text, mine) != 0)
        return cvt_fail(
            error, CVG_INVALID_ARGUMENT,
            "the checkpoint's model, or its type, shard, workspace_limit, error_growth or freeze, is another");
    cvg_safetensors_metadata(file, "step", text, sizeof text);
    struct cvt_line none = {0};
    if (cvt_read_whole(&none, text, "step", 0, t->steps, step))
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the checkpoint's step is \"%.40s\"; must be 0 to %lld", text,
                        (long long)t->steps);
    return CVG_OK;
}

cvg_status cvg_trainer_load(const cvg_trainer *t, void *state, const void *file, size_t size, cvg_error *error)
{
    struct cvg_safetensors open;
    struct cvg_tensor tensor;
    int64_t step = 0;
    char name[CVG_TENSOR_NAME];
    if (!t || !state || !file)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", !t ? "trainer" : !file ? "file" : "state");
    cvg_status status = cvg_safetensors_open(&open, file, size, error);
    if (status || (status = check_notes(t, &open, &step, error)))
        return status;
    for (int pass = 0; pass < 2; pass++) { /* looks at all, then takes all */
        if (pass == 1)
            cvg_trainer_start(t, NULL, state);
        for (int array = -1; array < t->moments; array++)
            for (int i = 0; i < t->network->parameters; i++) {
                const struct cvt_parameter *p = &t->network->parameter[i];
                if (array >= 0 && p->statistic)
                    continue;
                if (array < 0)
                    snprintf(name, sizeof name, "%s", p->name);
                else
                    snprintf(name, sizeof name, "optimizer.%s.%s", moment_name(t, array), p->name);
                if ((status = find(&open, p, name, &tensor, error)))
                    return status;
                if (pass == 1)
                    copy(t->network, p, &tensor, (char *)state + (array < 0 ? t->parameters_at : t->moment_at[array]));
            }
    }
    struct cvt_state *s = state;
    for (; s->step < step; s->step++) {
        s->beta1_power *= t->recipe.beta1;
        s->beta2_power *= t->recipe.beta2;
    }
    cvt_find_order(t, s);
    return CVG_OK;
}
