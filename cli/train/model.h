/* A trained network as commands use it: from a training's folder, or from a file of weights. */
#ifndef CLI_TRAIN_MODEL_H
#define CLI_TRAIN_MODEL_H

#include "training.h"

struct model {
    char path[4200]; /* of the weights */
    char *text;      /* the model's */
    struct settings settings;
    cvg_network *network;
    cvg_network_facts facts;
    void *parameters;
};

/*
 * From a file of weights, or a training's folder: its best ones, if it was tested, or the last.  Weights of other
 * programs have no model text: --model names it, and --type, --exact and --error-growth say how to run it.  Dies with
 * a sentence.
 */
struct model model_read(const struct args *args, const char *path);
void model_free(struct model *model);

/* A model's text from a file, the caller's to free; dies with a sentence. */
char *model_text_read(const char *path);

#endif
