#include "settings.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As a file has them, by cvg_layout. */
static const char *const layouts[] = {"channels_first", "channels_last"};

/* ---- options ---- */

enum kind { WHOLE, SEED, NUMBER, FLAG, WORD };

/* Options that are one number or word of the recipe. */
static const struct field {
    enum option option;
    enum kind kind;
    size_t place;
    double least;
    const char *words; /* of WORD, by value */
} fields[] = {
    {OPT_BATCH, WHOLE, offsetof(cvg_recipe, batch), 1, NULL},
    {OPT_SEED, SEED, offsetof(cvg_recipe, seed), 0, NULL},
    {OPT_OPTIMIZER, WORD, offsetof(cvg_recipe, optimizer), 0, "sgd adamw"},
    {OPT_LEARNING_RATE, NUMBER, offsetof(cvg_recipe, learning_rate), 0, NULL},
    {OPT_MOMENTUM, NUMBER, offsetof(cvg_recipe, momentum), 0, NULL},
    {OPT_NESTEROV, FLAG, offsetof(cvg_recipe, nesterov), 0, NULL},
    {OPT_WEIGHT_DECAY, NUMBER, offsetof(cvg_recipe, weight_decay), 0, NULL},
    {OPT_WARMUP, WHOLE, offsetof(cvg_recipe, warmup), 0, NULL},
    {OPT_CLIP, NUMBER, offsetof(cvg_recipe, clip), 0, NULL},
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* Which of words, with blanks between, text is; -1 if none. */
static int word_of(const char *words, const char *text)
{
    const size_t length = strlen(text);
    for (int i = 0; *words; i++) {
        const size_t next = strcspn(words, " ");
        if (next == length && !strncmp(words, text, length))
            return i;
        words += next + (words[next] == ' ');
    }
    return -1;
}

static void read_field(const struct args *args, const struct field *f, cvg_recipe *recipe)
{
    char *at = (char *)recipe + f->place;
    if (f->kind == FLAG)
        *(int *)at = 1;
    else if (f->kind == NUMBER)
        *(double *)at = args_number(args, f->option, 0, f->least);
    else if (f->kind == WORD) {
        const int word = word_of(f->words, args->option[f->option]);
        if (word < 0)
            die(EXIT_BAD_INPUT, "%s is \"%s\"; must be one of: %s", option_info[f->option].name,
                args->option[f->option], f->words);
        memcpy(at, &word, sizeof word); /* an enum, as large as an int */
    } else
        *(int64_t *)at = args_count(args, f->option, 0, (int64_t)f->least); /* a seed is unsigned: of the same size */
}
_Static_assert(sizeof(cvg_optimizer) == sizeof(int), "read_field() writes enums as int");

/* "flip,crop=2" */
static void read_augment(const char *text, cvg_recipe *recipe)
{
    recipe->flip = 0;
    recipe->crop = 0;
    for (const char *at = text;;) {
        const size_t length = strcspn(at, ",");
        char item[40];
        int64_t crop;
        snprintf(item, sizeof item, "%.*s", (int)(length < 39 ? length : 39), at);
        if (!strcmp(item, "flip"))
            recipe->flip = 1;
        else if (!strncmp(item, "crop=", 5) && numbers_parse(item + 5, &crop, 1) == 1 && crop >= 0)
            recipe->crop = crop;
        else if (strcmp(text, "none"))
            die(EXIT_BAD_INPUT, "--augment is \"%s\"; must be some of flip and crop=N, with commas between, or none",
                text);
        if (!at[length])
            return;
        at += length + 1;
    }
}

/* "constant", "cosine", or "step=EPOCHS,FACTOR". */
static void read_schedule(const char *text, cvg_recipe *recipe)
{
    char *end;
    const int word = word_of("constant step cosine", text);
    if (word == CVG_CONSTANT || word == CVG_COSINE) {
        recipe->schedule = (cvg_schedule)word;
        return;
    }
    recipe->schedule = CVG_STEP;
    if (!strncmp(text, "step=", 5)) {
        recipe->step_epochs = strtoll(text + 5, &end, 10);
        recipe->step_factor = *end == ',' ? strtod(end + 1, &end) : -1;
        if (!*end && recipe->step_epochs >= 1 && recipe->step_factor > 0 && recipe->step_factor <= 1)
            return;
    }
    die(EXIT_BAD_INPUT, "--schedule is \"%s\"; must be constant, cosine, or step=EPOCHS,FACTOR, such as step=10,0.1",
        text);
}

/* Dies if an option changed what a checkpoint began with. */
static void must_agree(const struct args *args, enum option option, const cvg_recipe *recipe, const cvg_recipe *before)
{
    char now[1000], then[1000];
    cvg_recipe_write(recipe, now, sizeof now);
    cvg_recipe_write(before, then, sizeof then);
    const char *a = now, *b = then;
    while (*a && *a == *b) { /* up to the line that differs */
        const size_t line = strcspn(a, "\n") + 1;
        if (strcspn(b, "\n") + 1 != line || strncmp(a, b, line))
            break;
        a += line;
        b += line;
    }
    if (*a || *b)
        die(EXIT_BAD_INPUT, "%s is \"%s\"; the checkpoint has %.*s, and goes on as it began", option_info[option].name,
            args->option[option], (int)strcspn(b, "\n"), b);
}

static void read_settings(const struct args *args, struct settings *s)
{
    static const enum option paths[] = {OPT_DATA, OPT_TEST};
    cvg_type types[CVG_TYPE_COUNT];
    if (args->option[OPT_TYPE]) {
        if (args_types(args, s->type, 2, types) != 1)
            die(EXIT_BAD_INPUT, "--type is \"%s\"; must be one type", args->option[OPT_TYPE]);
        s->type = types[0];
    }
    if (args->option[OPT_LAYOUT]) {
        cvg_conv conv = CVG_CONV_INIT;
        args_layout(args, &conv);
        s->layout = conv.layout;
    }
    s->shard = args_count(args, OPT_SHARD, s->shard, 1);
    s->every = args_count(args, OPT_EVERY, s->every, 0);
    if (args->option[OPT_EXACT] || args->option[OPT_ERROR_GROWTH])
        s->error_growth = plan_error_growth;
    if (args->option[OPT_FREEZE] && snprintf(s->freeze, sizeof s->freeze, "%s", args->option[OPT_FREEZE]) >= 200)
        die(EXIT_BAD_INPUT, "--freeze is longer than 199 characters");
    for (int i = 0; i < 2; i++) {
        const char *path = args->option[paths[i]];
        char *to = i ? s->test : s->data;
        if (path && (strlen(path) >= sizeof s->data || strchr(path, '\n')))
            die(EXIT_BAD_INPUT, "%s is longer than 4000 characters, or has two lines", option_info[paths[i]].name);
        if (path)
            snprintf(to, sizeof s->data, "%s", path);
    }
}

void settings_of_options(const struct args *args, cvg_recipe *recipe, struct settings *settings, int resume)
{
    const cvg_recipe before = *recipe;
    const struct settings old = *settings;
    for (int i = 0; i < FIELDS; i++)
        if (args->option[fields[i].option]) {
            read_field(args, &fields[i], recipe);
            if (resume)
                must_agree(args, fields[i].option, recipe, &before);
        }
    if (args->option[OPT_AUGMENT])
        read_augment(args->option[OPT_AUGMENT], recipe);
    if (resume)
        must_agree(args, OPT_AUGMENT, recipe, &before);
    if (args->option[OPT_SCHEDULE])
        read_schedule(args->option[OPT_SCHEDULE], recipe);
    if (resume)
        must_agree(args, OPT_SCHEDULE, recipe, &before);
    recipe->epochs = args_count(args, OPT_EPOCHS, recipe->epochs, 1);
    read_settings(args, settings);
    if (resume && settings->type != old.type)
        die(EXIT_BAD_INPUT, "--type is \"%s\"; the checkpoint has %s", args->option[OPT_TYPE], type_name(old.type));
    if (resume && settings->shard != old.shard)
        die(EXIT_BAD_INPUT, "--shard is \"%s\"; the checkpoint has %" PRId64, args->option[OPT_SHARD], old.shard);
    if (resume && settings->layout != old.layout)
        die(EXIT_BAD_INPUT, "--layout is \"%s\"; the checkpoint has %s", args->option[OPT_LAYOUT], layouts[old.layout]);
    if (resume && strcmp(settings->freeze, old.freeze))
        die(EXIT_BAD_INPUT, "--freeze is \"%s\"; the checkpoint has \"%s\"", args->option[OPT_FREEZE], old.freeze);
    if (resume && settings->error_growth != old.error_growth)
        die(EXIT_BAD_INPUT, "--error-growth is %g; the checkpoint has %g", settings->error_growth, old.error_growth);
    if (resume && args->option[OPT_INIT])
        die(EXIT_BAD_INPUT, "--init is \"%s\"; the checkpoint has weights already", args->option[OPT_INIT]);
}

/* ---- text ---- */

char *settings_text(const struct settings *s)
{
    const size_t size = sizeof *s + 1000;
    char *text = cli_alloc(size, 1);
    snprintf(text, size,
             "type=%s\nlayout=%s\nshard=%" PRId64 "\nerror_growth=%.17g\nfreeze=%s\nevery=%" PRId64
             "\ndata=%s\ntest=%s\n"
             "data_fingerprint=%016" PRIx64 "\ntest_fingerprint=%016" PRIx64 "\nepoch_loss=%.17g\nepoch_count=%" PRId64
             "\nepoch_hits=%" PRId64 "\n",
             type_name(s->type), layouts[s->layout], s->shard, s->error_growth, s->freeze, s->every, s->data, s->test,
             s->data_print, s->test_print, s->loss, s->count, s->hits);
    return text;
}

/* The value of a key, up to its line's end; 0 if it is not there or too long. */
static int value_of(const char *text, const char *key, char *value, size_t size)
{
    const size_t length = strlen(key);
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        const size_t end = strcspn(line, "\n");
        if (!line[end])
            return 0;
        if (strncmp(line, key, length) || line[length] != '=')
            continue;
        return snprintf(value, size, "%.*s", (int)(end - length - 1), line + length + 1) < (int)size;
    }
    return 0;
}

int settings_read(struct settings *s, const char *text)
{
    char type[8], layout[20], number[9][40];
    static const char *const names[9] = {
        "shard",       "error_growth", "every", "data_fingerprint", "test_fingerprint", "epoch_loss",
        "epoch_count", "epoch_hits",   "type"};
    *s = (struct settings){0};
    for (int i = 0; i < 9; i++)
        if (!value_of(text, names[i], number[i], sizeof *number))
            return 0;
    if (!value_of(text, "type", type, sizeof type) || !value_of(text, "layout", layout, sizeof layout) ||
        !value_of(text, "freeze", s->freeze, sizeof s->freeze) || !value_of(text, "data", s->data, sizeof s->data) ||
        !value_of(text, "test", s->test, sizeof s->test))
        return 0;
    s->type = strcmp(type, "f64") ? CVG_F32 : CVG_F64;
    s->layout = strcmp(layout, layouts[CVG_CHANNELS_LAST]) ? CVG_CHANNELS_FIRST : CVG_CHANNELS_LAST;
    s->shard = strtoll(number[0], NULL, 10);
    s->error_growth = strtod(number[1], NULL);
    s->every = strtoll(number[2], NULL, 10);
    s->data_print = strtoull(number[3], NULL, 16);
    s->test_print = strtoull(number[4], NULL, 16);
    s->loss = strtod(number[5], NULL);
    s->count = strtoll(number[6], NULL, 10);
    s->hits = strtoll(number[7], NULL, 10);
    return 1;
}
