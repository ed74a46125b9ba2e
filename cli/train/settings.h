/* From options to what decides a training, and from checkpoints. */
#ifndef CLI_TRAIN_SETTINGS_H
#define CLI_TRAIN_SETTINGS_H

#include "cli.h"
#include "convgrad_train.h"

/* What decides a training's bits besides model, data and recipe. */
struct settings {
    cvg_type type;
    int64_t shard; /* 0: by the batch */
    double error_growth;
    cvg_layout layout; /* of arrays between layers */
    char freeze[200];
    int64_t every;                   /* steps from checkpoint to checkpoint; 0: epochs alone */
    char data[4096], test[4096];     /* as --data and --test have them */
    uint64_t data_print, test_print; /* fingerprints */
    /* of the epoch that runs: sums over its batches so far */
    double loss;
    int64_t count, hits;
};

/*
 * Puts what options say into recipe and settings.  If these come from a checkpoint, --epochs may ask for more, --every,
 * --data and --test for others; what contradicts it makes the program die.
 */
void settings_of_options(const struct args *args, cvg_recipe *recipe, struct settings *settings, int resume);

/* As text, "key=value" a line, the caller's to free; and back: 0 if it is none. */
char *settings_text(const struct settings *settings);
int settings_read(struct settings *settings, const char *text);

#endif
