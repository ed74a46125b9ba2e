/* One step of training on its way, or an evaluation. */
#ifndef CVG_TRAIN_STEP_H
#define CVG_TRAIN_STEP_H

#include "trainer.h"

/* One step, as workers see it.  Alone, root is whole; of a group it is this rank's slice. */
struct step {
    const cvg_trainer *t;
    struct cvt_state *state;
    const cvg_samples *samples;
    char *base;
    int64_t epoch, first, count, shards; /* of the batch: its first place in the order */
    struct cvt_stack *stack, mine;       /* of each worker; of this rank */
    char **pair;                         /* what is joined at the end: to, from */
    int pairs;
    char *root;
    cvg_loss loss;
    double *square, rate, factor;
    int64_t asked;
};

/* ---- join.c ---- */

/* How nodes join (cvt_push): only the losses; or these, and the gradients later. */
void cvt_join_losses(void *context, char *to, const char *from);
void cvt_join_later(void *context, char *to, const char *from);

/* What the workers left becomes this rank's nodes. */
void cvt_collect(struct step *s, void (*joins)(void *context, char *to, const char *from));

/* Makes root: the last joins, and the squares of all blocks. */
cvg_status cvt_join_all(struct step *s, cvg_error *error);

/* Updates this rank's slice, and gathers the others'.  If that fails, the state is as it was. */
cvg_status cvt_update_all(struct step *s, cvg_error *error);

#endif
