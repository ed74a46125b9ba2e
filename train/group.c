/* What many ranks tell and send each other.  Whoever moves the bytes is cvg_group's; alone nothing here is called. */
#include "trainer.h"

#include <string.h>

/* The first element of a rank's slice: blocks of the norm are whole, and the last rank has the statistics, too. */
static int64_t slice_at(const cvg_trainer *t, int rank)
{
    const int64_t moved = t->network->moved, blocks = (moved + CVT_SLICE - 1) / CVT_SLICE;
    const int64_t at = cvt_part(blocks, t->group.size, rank) * CVT_SLICE;
    return rank == t->group.size ? t->network->elements : at < moved ? at : moved;
}

void cvt_rank_nodes(const cvg_trainer *t, int64_t shards, int rank, struct cvt_stack *nodes)
{
    *nodes = (struct cvt_stack){.leaves = shards};
    const int64_t end = cvt_part(shards, t->group.size, rank + 1);
    for (int64_t i = cvt_part(shards, t->group.size, rank); i < end; i++)
        cvt_push(nodes, (struct cvt_node){.index = i}, NULL, NULL);
}

size_t cvt_lay_out_group(cvg_trainer *t, const int64_t batches[2], size_t at)
{
    const size_t ranks = (size_t)t->group.size;
    int most = 0;
    t->begin = slice_at(t, t->group.rank);
    t->end = slice_at(t, t->group.rank + 1);
    for (int i = 0; i < 2; i++) {
        int all = 0;
        for (int rank = 0; rank < t->group.size; rank++) {
            struct cvt_stack nodes;
            cvt_rank_nodes(t, cvt_batch_shards(t, batches[i]), rank, &nodes);
            t->most_nodes = nodes.count > t->most_nodes ? nodes.count : t->most_nodes;
            all += nodes.count;
        }
        most = all > most ? all : most;
    }
    const size_t slice = cvt_round_up((size_t)(t->end - t->begin) * t->network->size);
    t->ways_at = at;
    t->words_at = t->ways_at + cvt_round_up(4 * ranks * sizeof(size_t));
    t->slots_at = t->words_at + cvt_round_up(ranks * (sizeof(struct cvt_word) + CVT_DEPTH * sizeof(struct cvt_sum)));
    t->slot_size = cvt_round_up(sizeof(struct cvt_sum)) + slice;
    t->slots = most;
    t->kept_at = t->slots_at + (size_t)most * t->slot_size;
    return t->kept_at + (size_t)(1 + t->moments) * slice;
}

/* ---- calls of the group's functions: places and sizes lie in the workspace ---- */

enum { AT, SIZE, TO_AT, TO_SIZE };

static size_t *way(const cvg_trainer *t, char *base, int which)
{
    return (size_t *)(void *)(base + t->ways_at) + (size_t)which * (size_t)t->group.size;
}

static cvg_status allgather(const cvg_trainer *t, char *base, void *buffer, cvg_error *error)
{
    const int bad = t->group.allgatherv(t->group.context, buffer, way(t, base, AT), way(t, base, SIZE));
    return bad ? cvt_fail(error, CVG_INVALID_ARGUMENT, "the group's allgatherv failed: it returned %d", bad) : CVG_OK;
}

/* Pieces of equal size. */
static cvg_status allgather_even(const cvg_trainer *t, char *base, void *buffer, size_t size, cvg_error *error)
{
    for (int rank = 0; rank < t->group.size; rank++) {
        way(t, base, AT)[rank] = (size_t)rank * size;
        way(t, base, SIZE)[rank] = size;
    }
    return allgather(t, base, buffer, error);
}

static size_t word_size(int most) { return sizeof(struct cvt_word) + (size_t)most * sizeof(struct cvt_sum); }

static const struct cvt_word *word_of(const cvg_trainer *t, const char *base, int rank, int most)
{
    return (const struct cvt_word *)(const void *)(base + t->words_at + (size_t)rank * word_size(most));
}

cvg_status cvt_agree(const cvg_trainer *t, char *base, struct cvt_word *own, const struct cvt_stack *mine, int most,
                     cvg_error *error)
{
    const size_t size = word_size(most);
    char *at = base + t->words_at + (size_t)t->group.rank * size;
    memset(at, 0, size);
    memcpy(at, own, sizeof *own);
    for (int i = 0; i < most && i < mine->count; i++)
        memcpy(at + sizeof *own + (size_t)i * sizeof(struct cvt_sum), mine->node[i].at, sizeof(struct cvt_sum));
    const cvg_status status = allgather_even(t, base, base + t->words_at, size, own->status ? NULL : error);
    if (own->status || status)
        return own->status ? (cvg_status)own->status : status;
    for (int rank = 0; rank < t->group.size; rank++) {
        const struct cvt_word *word = word_of(t, base, rank, most);
        if (word->mark != own->mark)
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "rank %d has another model or recipe than rank %d", rank,
                            t->group.rank);
        if (word->status)
            return cvt_fail(error, (cvg_status)word->status, "rank %d refused the call, for a reason of its own", rank);
        if (word->at != own->at)
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "rank %d is in another step or call than rank %d", rank,
                            t->group.rank);
        own->asked = word->asked > own->asked ? word->asked : own->asked;
    }
    return CVG_OK;
}

static void join_losses(void *context, char *to, const char *from)
{
    (void)context;
    cvt_join_loss(cvt_loss_in(to), &((const struct cvt_sum *)(const void *)from)->loss);
}

cvg_loss cvt_agreed_loss(const cvg_trainer *t, char *base, int64_t shards, int most)
{
    struct cvt_stack all = {.leaves = shards}, nodes;
    for (int rank = 0; rank < t->group.size; rank++) {
        char *losses = base + t->words_at + (size_t)rank * word_size(most) + sizeof(struct cvt_word);
        cvt_rank_nodes(t, shards, rank, &nodes);
        for (int i = 0; i < nodes.count; i++) {
            nodes.node[i].at = losses + (size_t)i * sizeof(struct cvt_sum);
            cvt_push(&all, nodes.node[i], join_losses, NULL);
        }
    }
    return *cvt_loss_in(all.node[0].at);
}

/* Node after node, so that no slice is copied first: most ranks have one. */
cvg_status cvt_exchange(const cvg_trainer *t, char *base, const struct cvt_stack *mine, int64_t shards,
                        cvg_error *error)
{
    const size_t size = t->network->size;
    const cvg_group *g = &t->group;
    size_t *at = way(t, base, AT), *bytes = way(t, base, SIZE), *to = way(t, base, TO_AT),
           *taken = way(t, base, TO_SIZE);
    for (int node = 0, more = 1; more; node++) {
        more = 0;
        for (int rank = 0, slot = 0; rank < g->size; rank++) {
            struct cvt_stack nodes;
            cvt_rank_nodes(t, shards, rank, &nodes);
            at[rank] = (size_t)slice_at(t, rank) * size;
            bytes[rank] = node < mine->count ? (size_t)(slice_at(t, rank + 1) - slice_at(t, rank)) * size : 0;
            to[rank] = node < nodes.count ? (size_t)(slot + node) * t->slot_size : 0;
            taken[rank] = node < nodes.count ? (size_t)(t->end - t->begin) * size : 0;
            slot += nodes.count;
            more |= nodes.count > node + 1;
        }
        const char *send = cvt_gradient_of(node < mine->count ? mine->node[node].at : base + t->sums_at);
        const int bad = g->alltoallv(g->context, send, at, bytes, cvt_gradient_of(base + t->slots_at), to, taken);
        if (bad)
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "the group's alltoallv failed: it returned %d", bad);
    }
    return CVG_OK;
}

/* ---- what is gathered ---- */

cvg_status cvt_gather_slices(const cvg_trainer *t, char *base, char *array, int64_t elements, cvg_error *error)
{
    for (int rank = 0; rank < t->group.size; rank++) {
        const int64_t begin = slice_at(t, rank), end = slice_at(t, rank + 1);
        way(t, base, AT)[rank] = (size_t)begin * t->network->size;
        way(t, base, SIZE)[rank] = (size_t)((end < elements ? end : elements) - begin) * t->network->size;
    }
    return allgather(t, base, array, error);
}

cvg_status cvt_gather_squares(const cvg_trainer *t, char *base, double *squares, cvg_error *error)
{
    const int64_t blocks = (t->network->moved + CVT_SLICE - 1) / CVT_SLICE;
    for (int rank = 0; rank < t->group.size; rank++) {
        const int64_t begin = cvt_part(blocks, t->group.size, rank), end = cvt_part(blocks, t->group.size, rank + 1);
        way(t, base, AT)[rank] = (size_t)begin * sizeof *squares;
        way(t, base, SIZE)[rank] = (size_t)(end - begin) * sizeof *squares;
    }
    return allgather(t, base, squares, error);
}

cvg_status cvt_gather_rows(const cvg_trainer *t, char *base, char *rows, int64_t count, size_t row, cvg_error *error)
{
    const int64_t shard = t->network->shard, shards = cvt_batch_shards(t, count);
    for (int rank = 0; rank < t->group.size; rank++) {
        const int64_t begin = cvt_part(shards, t->group.size, rank) * shard;
        const int64_t end = cvt_part(shards, t->group.size, rank + 1) * shard;
        way(t, base, AT)[rank] = (size_t)(begin < count ? begin : count) * row;
        way(t, base, SIZE)[rank] = (size_t)(end < count ? end : count) * row - way(t, base, AT)[rank];
    }
    return allgather(t, base, rows, error);
}

cvg_status cvt_gather_pairs(const cvg_trainer *t, char *base, const int64_t own[2], const int64_t **pairs,
                            cvg_error *error)
{
    int64_t *all = (int64_t *)(void *)(base + t->words_at);
    memcpy(all + 2 * t->group.rank, own, 2 * sizeof *all);
    *pairs = all;
    return allgather_even(t, base, all, 2 * sizeof *all, error);
}

cvg_status cvg_trainer_gather(const cvg_trainer *t, void *state, void *workspace, cvg_error *error)
{
    struct cvt_state *s = state;
    if (error)
        error->text[0] = 0;
    if (!t || !state || !workspace)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", !t ? "trainer" : !state ? "state" : "workspace");
    char *base = cvt_aligned(workspace);
    struct cvt_word own = {.mark = t->mark, .at = INT64_MIN + s->step};
    if (cvt_steps_done(t, state) < 0)
        own.status = cvt_fail(error, CVG_INVALID_ARGUMENT, "state is none of this trainer");
    cvg_status status = t->group.size > 1 ? cvt_agree(t, base, &own, NULL, 0, error) : (cvg_status)own.status;
    for (int i = 0; !status && s->sharded && i < t->moments; i++)
        status = cvt_gather_slices(t, base, (char *)state + t->moment_at[i], t->network->moved, error);
    if (!status)
        s->sharded = 0;
    return status;
}

cvg_status cvg_trainer_get_traffic(const cvg_trainer *t, cvg_traffic *traffic)
{
    if (!t || !traffic || traffic->struct_size < sizeof *traffic)
        return CVG_INVALID_ARGUMENT;
    const int64_t size = (int64_t)t->network->size, all = t->network->elements * size;
    const int64_t shards = cvt_batch_shards(t, t->recipe.batch);
    int64_t nodes_of_all = 0;
    struct cvt_stack nodes;
    *traffic = (cvg_traffic){.struct_size = sizeof *traffic, .shards = cvt_part(shards, t->group.size, 1)};
    if (t->group.size == 1)
        return CVG_OK;
    for (int rank = 0; rank < t->group.size; rank++) {
        cvt_rank_nodes(t, shards, rank, &nodes);
        nodes_of_all += nodes.count;
    }
    for (int rank = 0; rank < t->group.size; rank++) {
        cvt_rank_nodes(t, shards, rank, &nodes);
        const int64_t slice = (slice_at(t, rank + 1) - slice_at(t, rank)) * size;
        const int64_t sent = (nodes.count + 1) * (all - slice);
        const int64_t received = (nodes_of_all - nodes.count) * slice + all - slice;
        traffic->sent = sent > traffic->sent ? sent : traffic->sent;
        traffic->received = received > traffic->received ? received : traffic->received;
        traffic->calls = nodes.count + 3 > traffic->calls ? nodes.count + 3 : traffic->calls;
    }
    return CVG_OK;
}
