/*
 * Training: what a trainer knows, the layout of its state and workspace, and the tree in which gradients are added.
 *
 * A batch's shards are leaves of a binary tree: node (level, index) covers leaves [index 2^level, (index + 1) 2^level),
 * as many as there are.  A node is the sum of its two halves, rounded once.  A worker takes neighbouring leaves and
 * joins what it can, like a binary counter; what is left is joined at the end.  So sums do not depend on workers.
 *
 * Of many processes each takes neighbouring leaves, too, joins what its workers left, and sends each rank a slice of
 * the nodes that remain.  A rank makes the last joins of its own slice, updates it, and all gather the parameters.
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
    int64_t sharded; /* 1: other ranks' moments are old */
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
    size_t sums_at, sum_size, square_at, stacks_at, pairs_at, workspace_size;
    int *first_sum; /* of each worker; and of all, behind them */
    /* many ranks: this one's slice of the elements, the last one's with the statistics; and their workspace */
    cvg_group group; /* of size 1: alone */
    int64_t begin, end;
    int most_nodes, slots; /* of a rank, and of all, in a step */
    size_t ways_at, words_at, slots_at, slot_size, kept_at;
};

static inline int64_t cvt_batch_shards(const cvg_trainer *t, int64_t batch)
{
    return (batch + t->network->shard - 1) / t->network->shard;
}

/* The first shard of a worker of this rank; of worker number t->workers: the end. */
static inline int64_t cvt_first_shard(const cvg_trainer *t, int64_t shards, int worker)
{
    const int64_t begin = cvt_part(shards, t->group.size, t->group.rank);
    return begin + cvt_part(cvt_part(shards, t->group.size, t->group.rank + 1) - begin, t->workers, worker);
}

static inline char *cvt_aligned(void *workspace) { return (char *)(((uintptr_t)workspace + 63) / 64 * 64); }
static inline char *cvt_gradient_of(char *sum) { return sum + (sizeof(struct cvt_sum) + 63) / 64 * 64; }
static inline cvg_loss *cvt_loss_in(char *sum) { return &((struct cvt_sum *)(void *)sum)->loss; }

/* ---- group.c: what ranks tell and send each other; base is the aligned workspace ---- */

/* What a rank tells the others before they change anything. */
struct cvt_word {
    uint64_t mark;
    int64_t at, status, asked; /* at: which step, or of an evaluation less than 0; status: of its own checks */
};

/* Where a group's memory lies, from at on in the workspace; gives its end. */
size_t cvt_lay_out_group(cvg_trainer *t, const int64_t batches[2], size_t at);

/* The nodes that a rank's shards leave, without their sums. */
void cvt_rank_nodes(const cvg_trainer *t, int64_t shards, int rank, struct cvt_stack *nodes);

/*
 * Gathers the words, and behind each the losses of up to most of its nodes.  Returns what is wrong with this rank
 * (own->status, whose sentence stands in error) or another; own->asked becomes the largest.
 */
cvg_status cvt_agree(const cvg_trainer *t, char *base, struct cvt_word *own, const struct cvt_stack *mine, int most,
                     cvg_error *error);

/* Joins the losses that cvt_agree() gathered. */
cvg_loss cvt_agreed_loss(const cvg_trainer *t, char *base, int64_t shards, int most);

/* Sends each rank its slice of this rank's nodes.  A slot holds this rank's slice of a node: rank by rank, in order. */
cvg_status cvt_exchange(const cvg_trainer *t, char *base, const struct cvt_stack *mine, int64_t shards,
                        cvg_error *error);
static inline char *cvt_slot(const cvg_trainer *t, char *base, int node)
{
    return base + t->slots_at + (size_t)node * t->slot_size;
}

/* Gathers slices of an array of so many elements; sums of squares; an evaluation's rows; two numbers of each rank. */
cvg_status cvt_gather_slices(const cvg_trainer *t, char *base, char *array, int64_t elements, cvg_error *error);
cvg_status cvt_gather_squares(const cvg_trainer *t, char *base, double *squares, cvg_error *error);
cvg_status cvt_gather_rows(const cvg_trainer *t, char *base, char *rows, int64_t count, size_t row, cvg_error *error);
cvg_status cvt_gather_pairs(const cvg_trainer *t, char *base, const int64_t own[2], const int64_t **pairs,
                            cvg_error *error);

/* ---- trainer.c ---- */
void cvt_find_order(const cvg_trainer *t, struct cvt_state *state); /* of the epoch of its step */

/* ---- recipe.c ---- */
cvg_status cvt_recipe_check(cvg_recipe *own, const cvg_recipe *given, const cvg_network *network, cvg_error *error);
double cvt_learning_rate(const cvg_trainer *t, int64_t step);

/* ---- update.c: one slice ---- */
/* gradient begins with element t->begin; begin and end count all elements */
double cvt_slice_squares(const cvg_trainer *t, const void *gradient, int64_t begin, int64_t end);
void cvt_slice_add(const cvg_network *n, int64_t begin, int64_t end, void *to, const void *from);
void cvt_slice_update(const cvg_trainer *t, struct cvt_state *state, const void *gradient, double rate, double factor,
                      int64_t begin, int64_t end);
void cvt_update_statistics(const cvg_trainer *t, void *parameters, const void *sums, int64_t count);

/* ---- sample.c: reads and augments one sample ---- */
int cvt_read_sample(const cvg_trainer *t, const cvg_samples *samples, int64_t index, int64_t epoch, int augment,
                    char *input, char *target, char *scratch);

/* Up to whole lines of the cache. */
static inline size_t cvt_round_up(size_t size) { return (size + 63) / 64 * 64; }

/* The steps that a state has done, or -1 if it is none of this trainer. */
static inline int64_t cvt_steps_done(const cvg_trainer *t, const struct cvt_state *s)
{
    return t && s && s->mark == t->mark && s->step >= 0 && s->step <= t->steps ? s->step : -1;
}

/* ---- workers.c ---- */
int cvt_workers(const cvg_network *n, int asked);
void cvt_side_by_side(const cvg_network *n, int workers, void (*run)(void *context, int worker), void *context);

#endif
