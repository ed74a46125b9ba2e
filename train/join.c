/* The tree's last joins, and the update, slice by slice: of one process, or with the other ranks'. */
#include "step.h"

#include <string.h>

static void note_pair(void *context, char *to, const char *from)
{
    struct step *s = context;
    s->pair[2 * s->pairs] = to;
    s->pair[2 * s->pairs + 1] = (char *)from;
    s->pairs++;
}

void cvt_join_losses(void *context, char *to, const char *from)
{
    (void)context;
    cvt_join_loss(cvt_loss_in(to), &((const struct cvt_sum *)(const void *)from)->loss);
}

void cvt_join_later(void *context, char *to, const char *from)
{
    cvt_join_losses(context, to, from);
    note_pair(context, to, from);
}

void cvt_collect(struct step *s, void (*joins)(void *context, char *to, const char *from))
{
    s->mine = (struct cvt_stack){.leaves = s->shards};
    for (int worker = 0; worker < s->t->workers; worker++)
        for (int i = 0; i < s->stack[worker].count; i++)
            cvt_push(&s->mine, s->stack[worker].node[i], joins, s);
}

/* A worker's blocks of elements [from, to), which begin where a block of the norm does. */
static void each_slice(const struct step *s, int worker, int64_t from, int64_t to,
                       void (*run)(const struct step *s, int64_t begin, int64_t end))
{
    const int64_t slices = (to - from + CVT_SLICE - 1) / CVT_SLICE;
    for (int64_t i = cvt_part(slices, s->t->workers, worker); i < cvt_part(slices, s->t->workers, worker + 1); i++) {
        const int64_t begin = from + i * CVT_SLICE;
        run(s, begin, begin + CVT_SLICE < to ? begin + CVT_SLICE : to);
    }
}

static void join_slice(const struct step *s, int64_t begin, int64_t end)
{
    const cvg_trainer *t = s->t;
    const int64_t lead = s->root ? t->begin : 0;
    for (int i = 0; i < s->pairs; i++)
        cvt_slice_add(t->network, begin - lead, end - lead, cvt_gradient_of(s->pair[2 * i]),
                      cvt_gradient_of(s->pair[2 * i + 1]));
    if (s->root && begin < t->network->moved)
        s->square[begin / CVT_SLICE] = cvt_slice_squares(t, cvt_gradient_of(s->root), begin, end);
}

static void update_slice(const struct step *s, int64_t begin, int64_t end)
{
    cvt_slice_update(s->t, s->state, cvt_gradient_of(s->root), s->rate, s->factor, begin, end);
}

static void join_worker(void *context, int worker)
{
    const struct step *s = context;
    each_slice(s, worker, s->root ? s->t->begin : 0, s->root ? s->t->end : s->t->network->elements, join_slice);
}

static void update_worker(void *context, int worker)
{
    const struct step *s = context;
    const int64_t moved = s->t->network->moved;
    each_slice(s, worker, s->t->begin, s->t->end < moved ? s->t->end : moved, update_slice);
}

cvg_status cvt_join_all(struct step *s, cvg_error *error)
{
    const cvg_trainer *t = s->t;
    if (t->group.size == 1)
        s->root = s->mine.node[0].at;
    if (s->root || s->pairs > 0)
        cvt_side_by_side(t->network, t->workers, join_worker, s);
    if (s->root)
        return CVG_OK;
    const cvg_status status = cvt_exchange(t, s->base, &s->mine, s->shards, error);
    if (status)
        return status;
    struct cvt_stack all = {.leaves = s->shards}, nodes;
    s->pairs = 0;
    for (int rank = 0, slot = 0; rank < t->group.size; rank++) {
        cvt_rank_nodes(t, s->shards, rank, &nodes);
        for (int i = 0; i < nodes.count; i++) {
            nodes.node[i].at = cvt_slot(t, s->base, slot++);
            cvt_push(&all, nodes.node[i], note_pair, s);
        }
    }
    s->root = all.node[0].at;
    cvt_side_by_side(t->network, t->workers, join_worker, s);
    return cvt_gather_squares(t, s->base, s->square, error);
}

/* What an update changes of this rank's slice: kept, or put back. */
static void keep_slice(const struct step *s, int back)
{
    const cvg_trainer *t = s->t;
    const size_t size = t->network->size, at = (size_t)t->begin * size;
    const int64_t moved = t->network->moved, moments = (t->end < moved ? t->end : moved) - t->begin;
    char *kept = s->base + t->kept_at;
    for (int i = -1; i < t->moments; i++) {
        char *own = (char *)s->state + (i < 0 ? t->parameters_at : t->moment_at[i]) + at;
        const size_t bytes = (size_t)(i < 0 ? t->end - t->begin : moments) * size;
        memcpy(back ? own : kept, back ? kept : own, bytes);
        kept += bytes;
    }
}

cvg_status cvt_update_all(struct step *s, cvg_error *error)
{
    const cvg_trainer *t = s->t;
    const size_t size = t->network->size, at = (size_t)t->begin * size, own = (size_t)(t->end - t->begin) * size;
    char *parameters = cvg_trainer_parameters(t, s->state), *fresh = cvt_gradient_of(s->base + t->sums_at);
    if (t->group.size > 1)
        keep_slice(s, 0);
    cvt_side_by_side(t->network, t->workers, update_worker, s);
    if (t->end == t->network->elements)
        cvt_update_statistics(t, parameters, cvt_gradient_of(s->root), s->count);
    if (t->group.size == 1)
        return CVG_OK;
    memcpy(fresh + at, parameters + at, own);
    const cvg_status status = cvt_gather_slices(t, s->base, fresh, t->network->elements, error);
    if (status)
        keep_slice(s, 1);
    else
        memcpy(parameters, fresh, (size_t)t->network->elements * size);
    return status;
}
