/* A training's files, and files of weights. */
#include "files.h"
#include "training.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Notes are for those who resume and for reports: no clock, no host, no number of threads. */
static void save(const struct training *t, const char *name, int whole)
{
    char *settings = settings_text(&t->settings), *history = history_text(&t->history);
    const cvg_note notes[] = {{"settings", settings}, {"history", history}};
    struct new_file file;
    cvg_error error = {""};
    if (whole && cvg_trainer_gather(t->trainer, t->state, t->workspace, &error))
        die(EXIT_WRONG, "%s", error.text);
    if (!ranks_lead()) {
        free(settings);
        free(history);
        return;
    }
    new_file_begin(&file, t->folder, name);
    errno = 0;
    const cvg_status status = whole
                                  ? cvg_trainer_save(t->trainer, t->state, notes, 2, new_file_write, file.file, &error)
                                  : cvg_network_save(t->network, cvg_trainer_parameters(t->trainer, t->state), notes, 2,
                                                     new_file_write, file.file, &error);
    if (status)
        die(EXIT_WRONG, "%s: %s", file.path, errno ? strerror(errno) : error.text);
    new_file_end(&file);
    free(settings);
    free(history);
}

void training_save(const struct training *t) { save(t, "checkpoint.safetensors", 1); }

void training_save_best(const struct training *t) { save(t, "best.safetensors", 0); }

void training_save_history(const struct training *t)
{
    struct new_file file;
    if (!ranks_lead())
        return;
    char *text = history_text(&t->history);
    new_file_begin(&file, t->folder, "history.csv");
    fputs(text, file.file);
    new_file_end(&file);
    free(text);
}

void weights_read(struct weights *weights, const char *path, const char *name)
{
    struct stat there;
    cvg_error error;
    const int folder = stat(path, &there) == 0 && S_ISDIR(there.st_mode);
    if (snprintf(weights->path, sizeof weights->path, "%s%s%s", path, folder ? "/" : "", folder ? name : "") >= 4096)
        die(EXIT_BAD_INPUT, "a file's name is longer than 4000 characters");
    weights->bytes = file_read(weights->path, &weights->size, &error);
    if (!weights->bytes)
        die(EXIT_BAD_INPUT, "%s", error.text);
}

char *weights_note(const struct weights *weights, const char *key)
{
    size_t length;
    cvg_error error;
    if (cvg_file_note(weights->bytes, weights->size, key, NULL, 0, &length, &error))
        return NULL;
    char *text = cli_alloc(length + 1, 1);
    cvg_file_note(weights->bytes, weights->size, key, text, length + 1, &length, &error);
    return text;
}
