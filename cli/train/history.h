/* What each epoch came to. */
#ifndef CLI_TRAIN_HISTORY_H
#define CLI_TRAIN_HISTORY_H

#include "convgrad_train.h"

#include <stdio.h>

struct epoch {
    int64_t epoch, steps;            /* from 1; done by its end */
    double learning_rate;            /* of its last step */
    double loss, accuracy;           /* means over its batches as they were trained; accuracy from 0 to 1, of mse -1 */
    double test_loss, test_accuracy; /* NaN and -1 without a test set */
};

struct history {
    struct epoch *epochs;
    int64_t count, room;
};

void history_add(struct history *history, const struct epoch *epoch);

/* The epoch of the highest test accuracy (of mse, the least test loss), the first if some are equal; -1: none. */
int64_t history_best(const struct history *history);

/* As CSV, and back; the text is the caller's to free.  No clock is in it: equal trainings have equal histories. */
char *history_text(const struct history *history);
int history_read(struct history *history, const char *text);

#endif
