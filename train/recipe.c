/* Recipes: what they may hold, as text and back, and the learning rate that follows. */
#include "real.h"
#include "trainer.h"

#include <stdio.h>
#include <string.h>

enum field_kind { WHOLE, SEED, NUMBER, CHOICE };

struct field {
    const char *key;
    enum field_kind kind;
    size_t at;
    double least, most; /* of a number, most excluded if the bound is open */
    int open;
    const char *choice[4];
};

#define AT(name) offsetof(cvg_recipe, name)
static const struct field fields[] = {
    {.key = "samples", .kind = WHOLE, .at = AT(samples), .least = 1, .most = 2147483647},
    {.key = "batch", .kind = WHOLE, .at = AT(batch), .least = 1, .most = 2147483647},
    {.key = "epochs", .kind = WHOLE, .at = AT(epochs), .least = 1, .most = 1000000},
    {.key = "seed", .kind = SEED, .at = AT(seed)},
    {.key = "init", .kind = CHOICE, .at = AT(init), .choice = {"he", "xavier"}},
    {.key = "optimizer", .kind = CHOICE, .at = AT(optimizer), .choice = {"sgd", "adamw"}},
    {.key = "learning_rate", .kind = NUMBER, .at = AT(learning_rate), .least = 0, .most = 1e30},
    {.key = "momentum", .kind = NUMBER, .at = AT(momentum), .least = 0, .most = 1, .open = 1},
    {.key = "nesterov", .kind = CHOICE, .at = AT(nesterov), .choice = {"0", "1"}},
    {.key = "beta1", .kind = NUMBER, .at = AT(beta1), .least = 0, .most = 1, .open = 1},
    {.key = "beta2", .kind = NUMBER, .at = AT(beta2), .least = 0, .most = 1, .open = 1},
    {.key = "epsilon", .kind = NUMBER, .at = AT(epsilon), .least = 0, .most = 1e30},
    {.key = "weight_decay", .kind = NUMBER, .at = AT(weight_decay), .least = 0, .most = 1e30},
    {.key = "schedule", .kind = CHOICE, .at = AT(schedule), .choice = {"constant", "step", "cosine"}},
    {.key = "warmup", .kind = WHOLE, .at = AT(warmup), .least = 0, .most = 1e12},
    {.key = "step_epochs", .kind = WHOLE, .at = AT(step_epochs), .least = 1, .most = 1000000},
    {.key = "step_factor", .kind = NUMBER, .at = AT(step_factor), .least = 0, .most = 1e30},
    {.key = "clip", .kind = NUMBER, .at = AT(clip), .least = 0, .most = 1e30},
    {.key = "flip", .kind = CHOICE, .at = AT(flip), .choice = {"0", "1"}},
    {.key = "crop", .kind = WHOLE, .at = AT(crop), .least = 0, .most = 1000000},
};
enum { FIELDS = sizeof fields / sizeof *fields };

static void *field_of(const cvg_recipe *recipe, const struct field *f) { return (char *)recipe + f->at; }

static cvg_status check_field(const cvg_recipe *recipe, const struct field *f, cvg_error *error)
{
    const void *at = field_of(recipe, f);
    int64_t whole = 0;
    int choice = 0, choices = 0;
    double number = 0;
    switch (f->kind) {
    case SEED: return CVG_OK;
    case WHOLE:
        memcpy(&whole, at, sizeof whole);
        if (whole < (int64_t)f->least || whole > (int64_t)f->most)
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is %lld; must be %.0f to %.0f", f->key, (long long)whole,
                            f->least, f->most);
        return CVG_OK;
    case NUMBER:
        memcpy(&number, at, sizeof number);
        if (!(number >= f->least && (f->open ? number < f->most : number <= f->most)))
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is %g; must be at least %g and %s %g", f->key, number,
                            f->least, f->open ? "less than" : "at most", f->most);
        return CVG_OK;
    case CHOICE:
        memcpy(&choice, at, sizeof choice);
        while (choices < 4 && f->choice[choices])
            choices++;
        if (choice < 0 || choice >= choices)
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is %d; must be 0 to %d", f->key, choice, choices - 1);
        return CVG_OK;
    }
    return CVG_OK;
}

cvg_status cvt_recipe_check(cvg_recipe *own, const cvg_recipe *given, const cvg_network *n, cvg_error *error)
{
    if (given->struct_size != sizeof *given)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "recipe.struct_size is %zu; must be %zu", given->struct_size,
                        sizeof *given);
    *own = *given;
    for (int i = 0; i < FIELDS; i++) {
        const cvg_status status = check_field(own, &fields[i], error);
        if (status)
            return status;
    }
    if (own->batch > own->samples)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "batch is %lld; there are %lld samples", (long long)own->batch,
                        (long long)own->samples);
    if (own->nesterov && own->momentum == 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "nesterov is 1 with momentum 0; needs a momentum");
    if ((own->flip || own->crop) && n->input.rank == 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is %lld, but the model's input has no axes",
                        own->flip ? "flip" : "crop", own->flip ? 1LL : (long long)own->crop);
    return CVG_OK;
}

static double power(double base, int64_t exponent)
{
    double value = 1;
    for (; exponent > 0 && value > 0; exponent--)
        value *= base;
    return value;
}

double cvt_learning_rate(const cvg_trainer *t, int64_t step)
{
    const cvg_recipe *r = &t->recipe;
    if (step < r->warmup)
        return r->learning_rate * (double)(step + 1) / (double)r->warmup;
    if (r->schedule == CVG_STEP)
        return r->learning_rate * power(r->step_factor, step / t->epoch_steps / r->step_epochs);
    if (r->schedule == CVG_COSINE)
        return r->learning_rate * 0.5 *
               (1 + cvg_cos2pi((double)(step - r->warmup) / (double)(t->steps - r->warmup) / 2));
    return r->learning_rate;
}

/* ---- text ---- */

/* The shortest decimals that read back as the same number; its bits, if there are none. */
static void print_number(struct cvt_text *t, double value)
{
    char text[64];
    const char *end;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        for (char *at = text; *at; at++)
            *at = *at == ',' ? '.' : *at; /* whatever the locale */
        if (cvt_parse_number(text, &end) == value) {
            cvt_print(t, "%s", text);
            return;
        }
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    cvt_print(t, "0x%016llx", (unsigned long long)bits);
}

size_t cvg_recipe_write(const cvg_recipe *recipe, char *text, size_t size)
{
    struct cvt_text t = {text, size, 0};
    if (text && size)
        *text = 0;
    for (int i = 0; recipe && i < FIELDS; i++) {
        const struct field *f = &fields[i];
        const void *at = field_of(recipe, f);
        int64_t whole;
        double number;
        int choice;
        cvt_print(&t, "%s=", f->key);
        switch (f->kind) {
        case WHOLE: memcpy(&whole, at, sizeof whole), cvt_print(&t, "%lld", (long long)whole); break;
        case SEED: memcpy(&whole, at, sizeof whole), cvt_print(&t, "%llu", (unsigned long long)whole); break;
        case NUMBER: memcpy(&number, at, sizeof number), print_number(&t, number); break;
        case CHOICE:
            memcpy(&choice, at, sizeof choice);
            cvt_print(&t, "%s", choice >= 0 && choice < 3 && f->choice[choice] ? f->choice[choice] : "?");
            break;
        }
        cvt_print(&t, "\n");
    }
    return t.length;
}

/* A whole number of 64 bits, in decimal or as 0x and digits; *good is 0 if it is none. */
static uint64_t read_bits(const char *text, int *good)
{
    const int hex = text[0] == '0' && text[1] == 'x';
    uint64_t value = 0, base = hex ? 16 : 10;
    text += hex ? 2 : 0;
    *good = *text != 0;
    for (; *text; text++) {
        const char *digits = "0123456789abcdef", *found = strchr(digits, *text);
        if (!found || (uint64_t)(found - digits) >= base || value > (UINT64_MAX - (uint64_t)(found - digits)) / base) {
            *good = 0;
            return 0;
        }
        value = value * base + (uint64_t)(found - digits);
    }
    return value;
}

static int read_value(const struct field *f, const char *text, cvg_recipe *recipe)
{
    const char *end;
    int good = 0, choice = -1;
    uint64_t bits = 0;
    double number = 0;
    if (f->kind == CHOICE) {
        for (int i = 0; i < 4 && f->choice[i]; i++)
            choice = strcmp(f->choice[i], text) == 0 ? i : choice;
        memcpy(field_of(recipe, f), &choice, sizeof choice);
        return choice >= 0;
    }
    if (f->kind == NUMBER && !(text[0] == '0' && text[1] == 'x')) {
        number = cvt_parse_number(text, &end);
        good = end != text && *end == 0;
    } else {
        bits = read_bits(text, &good);
        memcpy(&number, &bits, sizeof number);
    }
    if (f->kind == NUMBER)
        memcpy(field_of(recipe, f), &number, sizeof number);
    else
        memcpy(field_of(recipe, f), &bits, sizeof bits);
    return good && (f->kind != WHOLE || bits <= INT64_MAX);
}

cvg_status cvg_recipe_read(cvg_recipe *recipe, const char *text, cvg_error *error)
{
    char line[128];
    if (!recipe || !text)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", recipe ? "text" : "recipe");
    *recipe = (cvg_recipe)CVG_RECIPE_INIT;
    for (const char *at = text; *at;) {
        const char *end = strchr(at, '\n');
        const size_t length = end ? (size_t)(end - at) : strlen(at);
        const struct field *field = NULL;
        const char *value = NULL;
        snprintf(line, sizeof line, "%.*s", length < 100 ? (int)length : 100, at);
        for (int i = 0; i < FIELDS; i++) {
            const size_t key = strlen(fields[i].key);
            if (strncmp(line, fields[i].key, key) == 0 && line[key] == '=') {
                field = &fields[i];
                value = line + key + 1;
            }
        }
        if (!field || !read_value(field, value, recipe))
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "the recipe's line \"%s\" is not understood", line);
        at += length + (end != NULL);
    }
    return CVG_OK;
}
