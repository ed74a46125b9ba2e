/* convgrad train: from a model's text and data to weights, history and report. */
#include "files.h"
#include "model.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char demo_model[] = "input 1x16x16 scale=1/255\n"
                                 "conv 8 3x3 padding=1\nrelu\nmaxpool 2\n"
                                 "conv 16 3x3 padding=1\nrelu\nmaxpool 2\n"
                                 "flatten\nlinear 64\nrelu\nlinear 10\ncross_entropy\n";

/* ---- a signal: the step is finished, its state saved ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int asked, saved; /* the signal's number; whether all is on the disk */
} stop = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static int stop_asked(void)
{
    pthread_mutex_lock(&stop.lock);
    const int asked = stop.asked;
    pthread_mutex_unlock(&stop.lock);
    return asked;
}

/* Of many ranks the training's own thread ends them all.  If it cannot, since one of them is gone, this is said. */
static _Noreturn void wait_for_ranks(void)
{
    const struct timespec soon = {.tv_nsec = 300000000}; /* launchers wait a second or two before they kill */
    pthread_mutex_unlock(&stop.lock);
    nanosleep(&soon, NULL);
    if (ranks_lead())
        ranks_say_resume();
    for (;;)
        pause();
}

/* In the thread that waits for signals: waits until the training has saved, and gives the exit status. */
static int stop_and_save(void *context, int number)
{
    const struct training *t = context;
    pthread_mutex_lock(&stop.lock);
    stop.asked = number;
    if (ranks_group())
        wait_for_ranks();
    while (!stop.saved)
        pthread_cond_wait(&stop.changed, &stop.lock);
    pthread_mutex_unlock(&stop.lock);
    if (t->folder)
        fprintf(stderr, "convgrad: stopped after step %" PRId64 ", saved; go on with: convgrad train --resume %s\n",
                cvg_trainer_steps_done(t->trainer, t->state), t->folder);
    else
        fprintf(stderr, "convgrad: stopped\n");
    return 128 + number;
}

static void all_is_saved(void)
{
    pthread_mutex_lock(&stop.lock);
    stop.saved = 1;
    pthread_cond_broadcast(&stop.changed);
    pthread_mutex_unlock(&stop.lock);
}

/* In the training's own thread: saves, and leaves the end to the other one. */
static _Noreturn void save_and_wait(const struct training *t)
{
    if (t->folder)
        training_save(t);
    all_is_saved();
    for (;;)
        pause();
}

static int asked_on_rank(void *context)
{
    (void)context;
    return stop_asked();
}

/* All ranks know of a signal of one of them. */
static _Noreturn void save_and_end(struct training *t, int number)
{
    if (t->folder)
        training_save(t);
    if (ranks_lead())
        fprintf(stderr, "convgrad: stopped after step %" PRId64 "%s\n", cvg_trainer_steps_done(t->trainer, t->state),
                t->folder ? ", saved" : "");
    if (ranks_lead())
        ranks_say_resume();
    folder_leave();
    _exit(ranks_end(128 + number));
}

/* ---- epochs ---- */

static cvg_loss evaluate(struct training *t, const struct dataset *data)
{
    const cvg_arrays arrays = dataset_arrays(data, t->network);
    const cvg_samples samples = cvg_samples_array(&arrays);
    cvg_loss loss;
    cvg_error error;
    if (cvg_evaluate(t->trainer, cvg_trainer_parameters(t->trainer, t->state), &samples, &loss, NULL, t->workspace,
                     &error))
        die(EXIT_WRONG, "%s", error.text);
    return loss;
}

static void print_epoch(const struct training *t, const struct epoch *e, double time)
{
    progress_clear();
    printf("epoch %*" PRId64 " of %" PRId64 ": loss %.4f", t->recipe.epochs < 10 ? 1 : 2, e->epoch, t->recipe.epochs,
           e->loss);
    if (e->accuracy >= 0)
        printf(", accuracy %.2f %%", 100 * e->accuracy);
    if (!isnan(e->test_loss))
        printf("; test loss %.4f", e->test_loss);
    if (e->test_accuracy >= 0)
        printf(", accuracy %.2f %%", 100 * e->test_accuracy);
    printf("; learning rate %.3g; %.1f s\n", e->learning_rate, time);
    fflush(stdout);
}

/* The last step of an epoch was done: a row of the history, and the files. */
static void end_epoch(struct training *t, const cvg_progress *progress, double begin)
{
    struct settings *s = &t->settings;
    struct epoch epoch = {.epoch = progress->epoch + 1,
                          .steps = progress->step + 1,
                          .learning_rate = progress->learning_rate,
                          .loss = s->loss / (double)s->count,
                          .accuracy = t->facts.classifies ? (double)s->hits / (double)s->count : -1,
                          .test_loss = NAN,
                          .test_accuracy = -1};
    if (t->test.count) {
        const cvg_loss loss = evaluate(t, &t->test);
        epoch.test_loss = loss.sum / (double)loss.count;
        epoch.test_accuracy = t->facts.classifies ? (double)loss.hits / (double)loss.count : -1;
    }
    history_add(&t->history, &epoch);
    s->loss = 0;
    s->count = s->hits = 0;
    print_epoch(t, &epoch, seconds() - begin);
    if (!t->folder)
        return;
    /* The checkpoint last: whoever is killed between does the last steps again, and writes the same. */
    if (history_best(&t->history) == t->history.count - 1)
        training_save_best(t);
    training_save_history(t);
    training_save(t);
}

static void train_all(struct training *t)
{
    const cvg_arrays arrays = dataset_arrays(&t->data, t->network);
    const cvg_samples samples = cvg_samples_array(&arrays);
    const int64_t steps = cvg_trainer_steps(t->trainer), each = cvg_trainer_epoch_steps(t->trainer);
    struct settings *s = &t->settings;
    cvg_progress progress = {0};
    cvg_error error;
    double begin = seconds();
    progress_begin(ranks_lead() ? steps : 0);
    progress_step(cvg_trainer_steps_done(t->trainer, t->state));
    for (int64_t done; (done = cvg_trainer_steps_done(t->trainer, t->state)) < steps;) {
        if (progress.asked)
            save_and_end(t, progress.asked);
        if (t->group.size == 1 && stop_asked())
            save_and_wait(t);
        if (cvg_trainer_step(t->trainer, t->state, &samples, &progress, t->workspace, &error))
            die(EXIT_WRONG, "%s", error.text);
        s->loss += progress.loss * (double)progress.count;
        s->count += progress.count;
        s->hits += progress.hits;
        progress_step(1);
        progress_says("epoch %" PRId64 ", loss %.4f, %.1f %% of %" PRId64 " right", progress.epoch + 1,
                      s->loss / (double)s->count, 100 * (double)s->hits / (double)s->count, s->count);
        if ((done + 1) % each == 0) {
            end_epoch(t, &progress, begin);
            begin = seconds();
        } else if (t->folder && s->every && (done + 1) % s->every == 0)
            training_save(t);
    }
    progress_clear();
}

/* ---- beginnings ---- */

static void read_data(const char *text, struct dataset *data)
{
    cvg_error error;
    if (!dataset_read(data, text, 1, &error))
        die(EXIT_BAD_INPUT, "%s", error.text);
    int same = data->label != NULL;
    for (int64_t i = 1; same && i < data->count; i++)
        same = data->label[i] == data->label[0];
    if (same && data->count > 1)
        die(EXIT_BAD_INPUT, "%s: all %" PRId64 " labels are %" PRId64 "; a model cannot learn from one class",
            data->labels, data->count, data->label[0]);
}

/* What pack wrote beside a file of labels: the names of classes, the caller's to free; NULL if it did not. */
static char *classes_of(const struct dataset *data, char path[240])
{
    static const char labels[] = ".labels.npy";
    struct stat there;
    cvg_error error;
    size_t size;
    const size_t length = strlen(data->labels), end = sizeof labels - 1;
    if (length < end || strcmp(data->labels + length - end, labels))
        return NULL;
    snprintf(path, 240, "%.*s.classes.txt", (int)(length - end), data->labels);
    if (stat(path, &there))
        return NULL;
    char *text = (char *)file_read(path, &size, &error);
    if (!text)
        die(EXIT_BAD_INPUT, "%s", error.text);
    text[size] = 0;
    return text;
}

/* A class that is missing in one of two folders moves the labels of those behind it. */
static void classes_must_agree(const struct dataset *data, const struct dataset *test)
{
    char path[2][240];
    char *first = classes_of(data, path[0]), *second = classes_of(test, path[1]);
    if (first && second && strcmp(first, second))
        die(EXIT_BAD_INPUT, "%s and %s name other classes: their labels do not mean the same", path[0], path[1]);
    free(first);
    free(second);
}

/* Reads what the settings name, and checks it against the network and, of a checkpoint, the fingerprints. */
static void get_data(struct training *t, int demo, int resume)
{
    struct settings *s = &t->settings;
    if (demo || !strcmp(s->data, "(drawn)")) {
        dataset_draw(&t->data, 3000, 1);
        dataset_draw(&t->test, 600, 2);
        snprintf(s->data, sizeof s->data, "(drawn)");
    } else {
        read_data(s->data, &t->data);
        if (*s->test)
            read_data(s->test, &t->test);
        classes_must_agree(&t->data, &t->test);
    }
    const uint64_t data = dataset_fingerprint(&t->data), test = t->test.count ? dataset_fingerprint(&t->test) : 0;
    if (resume && data != s->data_print)
        die(EXIT_BAD_INPUT,
            "--data: %s is not what this training began with: its fingerprint is %016" PRIx64
            ", that of the checkpoint %016" PRIx64,
            t->data.images, data, s->data_print);
    if (resume && test != s->test_print)
        die(EXIT_BAD_INPUT,
            "--test: %s is not what this training began with: its fingerprint is %016" PRIx64
            ", that of the checkpoint %016" PRIx64,
            *s->test ? t->test.images : "none", test, s->test_print);
    s->data_print = data;
    s->test_print = test;
    t->recipe.samples = t->data.count;
}

static void data_must_fit(const struct training *t)
{
    cvg_error error;
    if (!dataset_fits(&t->data, &t->facts, 1, &error) ||
        (t->test.count && !dataset_fits(&t->test, &t->facts, 1, &error)))
        die(EXIT_BAD_INPUT, "%s", error.text);
}

/* --init he, xavier or a file of weights: parameters to start with, or NULL. */
static void *init_read(struct training *t, const char *text)
{
    struct weights weights;
    cvg_error error = {""};
    int fitted = 0;
    if (!text || !strcmp(text, "he") || !strcmp(text, "xavier"))
        return NULL;
    weights_read(&weights, text, "best.safetensors");
    void *start = cli_alloc((size_t)t->facts.parameters, type_size(t->settings.type));
    if (cvg_network_init(t->network, t->recipe.init, t->recipe.seed, start) ||
        cvg_network_load(t->network, start, weights.bytes, weights.size, 0, &fitted, &error))
        die(EXIT_BAD_INPUT, "--init: %s: %s", weights.path, error.text);
    printf("%d parameters from %s%s%s\n", fitted, weights.path, *error.text ? "; " : "", error.text);
    free(weights.bytes);
    return start;
}

static void begin_new(struct training *t, const struct args *args)
{
    const int demo = args->option[OPT_DEMO] != NULL;
    const char *init = args->option[OPT_INIT];
    struct stat there;
    char path[4200];
    t->recipe = (cvg_recipe)CVG_RECIPE_INIT;
    t->recipe.schedule = CVG_COSINE;
    t->recipe.epochs = demo ? 12 : 10;
    t->settings.error_growth = CVG_ERROR_GROWTH;
    t->recipe.init = init && !strcmp(init, "xavier") ? CVG_XAVIER : CVG_HE;
    settings_of_options(args, &t->recipe, &t->settings, 0);
    if (!demo && !*t->settings.data)
        die(EXIT_BAD_INPUT, "--data is missing; must be IMAGES,LABELS, or CIFAR's .bin files");
    if (t->folder && ranks_lead() && snprintf(path, sizeof path, "%s/checkpoint.safetensors", t->folder) < 4096 &&
        !stat(path, &there))
        die(EXIT_BAD_INPUT, "-o: %s: holds a training; go on with train --resume %s, or name another folder", t->folder,
            t->folder);
    t->model = demo ? strcpy(cli_alloc(sizeof demo_model, 1), demo_model) : model_text_read(args->word[0]);
    get_data(t, demo, 0);
    if (!args->option[OPT_BATCH] && t->recipe.batch > t->data.count)
        t->recipe.batch = t->data.count;
    training_make(t);
    data_must_fit(t);
    void *start = init_read(t, init);
    if (cvg_trainer_start(t->trainer, start, t->state))
        die(EXIT_WRONG, "the training cannot be started");
    free(start);
}

static void begin_again(struct training *t, const struct args *args)
{
    struct weights weights;
    cvg_error error;
    if (ranks_lead())
        weights_read(&weights, t->folder, "checkpoint.safetensors");
    else
        weights = (struct weights){.path = "the checkpoint of rank 0"};
    ranks_share(&weights.bytes, &weights.size);
    char *recipe = weights_note(&weights, "recipe"), *settings = weights_note(&weights, "settings");
    char *history = weights_note(&weights, "history");
    t->model = weights_note(&weights, "model");
    if (!recipe || !settings || !history || !t->model || !settings_read(&t->settings, settings) ||
        !history_read(&t->history, history) || cvg_recipe_read(&t->recipe, recipe, &error))
        die(EXIT_BAD_INPUT, "%s: is no checkpoint of convgrad train, or is damaged", weights.path);
    const int64_t epochs = t->recipe.epochs;
    settings_of_options(args, &t->recipe, &t->settings, 1);
    if (t->recipe.epochs != epochs && t->recipe.schedule == CVG_COSINE)
        die(EXIT_BAD_INPUT,
            "--epochs is %" PRId64 "; the cosine schedule of this training ends after %" PRId64
            " epochs (constant and step can go on)",
            t->recipe.epochs, epochs);
    get_data(t, 0, 1);
    training_make(t);
    data_must_fit(t);
    if (cvg_trainer_load(t->trainer, t->state, weights.bytes, weights.size, &error))
        die(EXIT_BAD_INPUT, "%s: %s", weights.path, error.text);
    printf("resumed after step %" PRId64 " of %" PRId64 "\n", cvg_trainer_steps_done(t->trainer, t->state),
           cvg_trainer_steps(t->trainer));
    free(weights.bytes);
    free(recipe);
    free(settings);
    free(history);
}

static void check_words(const struct args *args, int demo)
{
    const char *resume = args->option[OPT_RESUME];
    if (demo && resume)
        die(EXIT_BAD_INPUT, "--demo and --resume do not go together");
    if ((demo || resume) && args->count)
        die(EXIT_BAD_INPUT, "%s takes no model; has \"%s\"", demo ? "--demo" : "--resume", args->word[0]);
    if (demo && (args->option[OPT_DATA] || args->option[OPT_TEST]))
        die(EXIT_BAD_INPUT, "--demo draws its own data, and takes no %s", args->option[OPT_DATA] ? "--data" : "--test");
    if (resume && args->option[OPT_OUTPUT])
        die(EXIT_BAD_INPUT, "-o is \"%s\"; --resume writes where the checkpoint is", args->option[OPT_OUTPUT]);
    if (!demo && !resume && args->count != 1)
        die(EXIT_BAD_INPUT, "train takes one model; has %d", args->count);
    if (!demo && !resume && !args->option[OPT_OUTPUT])
        die(EXIT_BAD_INPUT, "-o is missing; must be the folder for checkpoints, history and report");
}

int command_train(const struct args *args)
{
    struct training t = {0};
    const int demo = args->option[OPT_DEMO] != NULL;
    const char *resume = args->option[OPT_RESUME];
    check_words(args, demo);
    t.folder = resume ? resume : args->option[OPT_OUTPUT];
    args_threads(args, "0", &t.threads, 1);
    t.memory = args_count(args, OPT_MEMORY, 0, 1);
    t.group = ranks_group() ? *ranks_group() : (cvg_group)CVG_GROUP_INIT;
    t.group.asked = asked_on_rank;
    if (resume) {
        if (ranks_lead())
            folder_take("--resume", t.folder);
        begin_again(&t, args);
    } else
        begin_new(&t, args);
    ranks_must_agree(&t);
    if (!resume && t.folder && ranks_lead())
        folder_take("-o", t.folder);

    char table[8000];
    cvg_network_describe(t.network, table, sizeof table);
    printf("%s%" PRId64 " samples of %s, %" PRId64 " to test; %" PRId64 " steps; %d %s\n", table, t.data.count,
           t.data.images, t.test.count, cvg_trainer_steps(t.trainer), t.workers,
           t.workers == 1 ? "shard at a time" : "shards side by side");
    ranks_print(&t);
    fflush(stdout);
    interrupt_tells(stop_and_save, &t);
    if (t.folder) {
        training_save(&t); /* whether it can be written shows now, not after an hour */
        training_save_history(&t);
        ranks_resume(t.folder);
    }
    train_all(&t);
    if (t.folder)
        report_write(&t);
    all_is_saved();
    if (t.group.size == 1)
        interrupt_tells(NULL, NULL);
    folder_leave();
    training_free(&t);
    return 0;
}
