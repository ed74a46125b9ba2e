/*
 * Training: what a trainer knows, the layout of its state and workspace, and the tree in which gradients are added.
 *
 * A batch's shards are leaves of a binary tree: node (level, index) covers leaves [index 2^level, (index + 1) 2^level),
 * as many as there are.  A node is the sum of its two halves, rounded once.  A worker takes neighbouring leaves and
 * joins what it can, like a binary counter; what is left is joined at the end.  So sums do not depend on workers.
 */
#ifndef CVG_TRAIN_TRAINER_H
#define CVG_TRAIN_TRAINER_H

#include "network.h"

enum { CVT_SLICE = 4096, CVT_DEPTH = 96 }; /* elements of one job of an update; nodes of a stack at most */

/* ---- tree.c ---- */

struct cvt_node {
    int level;
    int64_t index;
    char *at; /* a struct cvt_sum */
};

/* What a node holds: the loss, and behind it the gradient. */
struct cvt_sum {
    cvg_loss loss;
};

/* Neighbouring nodes, from left to right, that could not be joined yet. */
struct cvt_stack {
    struct cvt_node node[CVT_DEPTH];
    int count;
    int64_t leaves; /* of the whole tree */
};

/* Adds the next node and joins what is complete: join(context, to, from) adds from to to. */
void cvt_push(struct cvt_stack *stack, struct cvt_node node, void (*join)(void *context, char *to, const char *from),
              void *context);

/* The most nodes that are there at once while leaves [begin, end) of a tree are added, and those that are left. */
int cvt_most_nodes(int64_t leaves, int64_t begin, int64_t end);

void cvt_join_loss(cvg_loss *to, const cvg_loss *from);

/* Part number index of count things in so many parts: the larger ones first. */
static inline int64_t cvt_part(int64_t count, int64_t parts, int64_t index)
{
    const int64_t more = count % parts;
    return index * (count / parts) + (index < more ? index : more);
}

/* ---- trainer ---- */

/* The head of a state; behind it the parameters, moments, and the order of the epoch. */
struct cvt_state {
    uint64_t mark; /* of model and recipe */
    int64_t step;
    double beta1_power, beta2_power;
};

/* A run of elements that are trained. */
struct cvt_range {
    int64_t begin, end;
};

struct cvg_trainer {
    const cvg_network *network;
    cvg_recipe recipe;
    int workers;
    int64_t epoch_steps, steps;
    uint64_t mark;
    struct cvt_range *range;
    int ranges, moments; /* moments: arrays of them, 0 to 2 */
    size_t parameters_at, moment_at[2], order_at, state_size;
    /* workspace */
    size_t worker_size, input_at, target_at, index_at, output_at, sample_at; /* of a worker: within it */
    size_t sums_at, sum_size, square_at, pairs_at, workspace_size;
    int *first_sum; /* of each worker; and of all, behind them */
};

/* ---- trainer.c ---- */
void cvt_find_order(const cvg_trainer *t, struct cvt_state *state); /* of the epoch of its step */

/* ---- recipe.c ---- */
cvg_status cvt_recipe_check(cvg_recipe *own, const cvg_recipe *given, const cvg_network *network, cvg_error *error);
double cvt_learning_rate(const cvg_trainer *t, int64_t step);

/* ---- update.c: one slice ---- */
double cvt_slice_squares(const cvg_trainer *t, const void *gradient, int64_t begin, int64_t end);
void cvt_slice_add(const cvg_network *n, int64_t begin, int64_t end, void *to, const void *from);
void cvt_slice_update(const cvg_trainer *t, struct cvt_state *state, const void *gradient, double rate, double factor,
                      int64_t begin, int64_t end);
void cvt_update_statistics(const cvg_trainer *t, void *parameters, const void *sums, int64_t count);

/* ---- sample.c: reads and augments one sample ---- */
int cvt_read_sample(const cvg_trainer *t, const cvg_samples *samples, int64_t index, int64_t epoch, int augment,
                    char *input, char *target, char *scratch);

/* ---- workers.c ---- */
int cvt_workers(const cvg_network *n, int asked);
void cvt_side_by_side(const cvg_network *n, int workers, void (*run)(void *context, int worker), void *context);

#endif
