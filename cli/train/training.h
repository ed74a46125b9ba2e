/* One training: what it is made of, and what its files hold. */
#ifndef CLI_TRAIN_TRAINING_H
#define CLI_TRAIN_TRAINING_H

#include "dataset.h"
#include "history.h"
#include "ranks.h"
#include "settings.h"

struct training {
    const char *folder; /* NULL: nothing is written */
    char *model;        /* its text */
    struct settings settings;
    cvg_recipe recipe;
    int64_t memory; /* bytes that may be used; 0: any number */
    int threads;
    struct dataset data, test; /* test.count 0: none */
    cvg_network *network;
    cvg_network_facts facts;
    cvg_trainer *trainer;
    cvg_group group; /* a copy, which asks for signals; size 1: alone */
    int workers;     /* shards side by side; 1: one after the other, with all threads inside */
    void *state, *workspace;
    struct history history;
};

/* ---- numbers of the network's type (training.c) ---- */

size_t type_size(cvg_type type);
double value_of(cvg_type type, const void *values, int64_t index);

/* The class that a sample's outputs say: the first of the largest. */
int64_t class_of(const cvg_network_facts *facts, const void *outputs, int64_t sample);

/* ---- making (training.c); these die with a sentence ---- */

/* A network of model text for settings, with so many threads inside its layers. */
cvg_network *network_make(const char *model, const struct settings *settings, int64_t batch, int threads);

/* Network, trainer, state and workspace, for model, recipe and settings.  state is not filled. */
void training_make(struct training *t);
void training_free(struct training *t);

/* ---- many processes (ranks.c); alone these do nothing ---- */

/* Whether this one writes and prints. */
int ranks_lead(void);

/* Gives all ranks what rank 0 has; bytes of the others may be NULL, and are new. */
void ranks_share(unsigned char **bytes, size_t *size);

/* Dies if ranks differ in what decides bits: version, processor, model, recipe, data. */
void ranks_must_agree(const struct training *t);

/* Prints what a step costs. */
void ranks_print(const struct training *t);

/* ---- files (checkpoint.c): rank 0 writes; all call training_save() together ---- */

/* Writes checkpoint.safetensors, history.csv, best.safetensors (of the parameters as they are). */
void training_save(const struct training *t);
void training_save_history(const struct training *t);
void training_save_best(const struct training *t);

/* A file of weights or a checkpoint, whole in memory: a path, or a folder's checkpoint or best. */
struct weights {
    char path[4200];
    unsigned char *bytes;
    size_t size;
};
void weights_read(struct weights *weights, const char *path, const char *name);

/* The text of a key of its metadata, the caller's to free; NULL if it has none. */
char *weights_note(const struct weights *weights, const char *key);

/* ---- report.html (report.c) ---- */

void report_write(const struct training *t);

#endif
