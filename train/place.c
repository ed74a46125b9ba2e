/* The workspace: which arrays a layer needs, from when to when, and where they lie. */
#include "network.h"

enum { ALIGNMENT = 64 };

int cvt_add_block(cvg_network *n, size_t size)
{
    if (size == 0)
        return CVT_NONE;
    n->block[n->blocks] = (struct cvt_block){
        .size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, .begin = {1 << 30, 1 << 30}, .end = {-1, -1}};
    return n->blocks++;
}

void cvt_live(cvg_network *n, int block, cvg_use use, int step)
{
    if (block == CVT_NONE)
        return;
    struct cvt_block *b = &n->block[block];
    b->begin[use] = step < b->begin[use] ? step : b->begin[use];
    b->end[use] = step > b->end[use] ? step : b->end[use];
}

static int readers(const cvg_network *n, int layer)
{
    int count = 0;
    for (int i = 0; i < n->layers; i++)
        count += (n->layer[i].from == layer) + (n->layer[i].other == layer);
    return count;
}

/* Whether a layer may write over its operand: nobody else reads that, not even the layer that made it. */
static int replaces(const cvg_network *n, const struct cvt_layer *l)
{
    return l->kind->may_replace && !l->turns && l->from != CVT_NONE && readers(n, l->from) == 1 &&
           !(n->layer[l->from].kind->reads_y && n->layer[l->from].trains);
}

/* Of several readers of a layer's output, the last one writes its gradient, and the others add to it. */
static void find_adders(cvg_network *n)
{
    for (int layer = 0; layer < n->layers; layer++) {
        int written = 0;
        for (int i = n->layers - 1; i > layer; i--) {
            struct cvt_layer *l = &n->layer[i];
            const int operand[2] = {l->from, l->other};
            for (int j = 0; j < 2; j++)
                if (operand[j] == layer) {
                    l->adds[j] = written;
                    written = 1;
                }
        }
    }
}

static void make_blocks(cvg_network *n)
{
    const size_t sample = n->size * (size_t)n->shard;
    n->x = cvt_add_block(n, sample * (size_t)n->input.elements);
    for (int i = 0; i < n->layers; i++) {
        struct cvt_layer *l = &n->layer[i];
        l->in_place = replaces(n, l);
        l->y = l->dy = l->dx = CVT_NONE;
        if (!l->kind->is_loss) {
            const size_t size = sample * (size_t)l->out.elements;
            l->y = l->in_place ? n->layer[l->from].y : cvt_add_block(n, size);
            l->dy = !l->trains                                ? CVT_NONE
                    : l->in_place && n->layer[l->from].trains ? n->layer[l->from].dy
                                                              : cvt_add_block(n, size);
        }
        if (l->adds[0] && l->trains)
            l->dx = cvt_add_block(n, sample * (size_t)l->in.elements);
        l->keep = cvt_add_block(n, l->keep_size);
        for (int j = 0; j < 2; j++)
            l->scratch[j] = cvt_add_block(n, l->scratch_size[j]);
    }
}

/* Forward of layer i is step i, backward step 2 L - 1 - i. */
static void find_lives(cvg_network *n)
{
    const int L = n->layers;
    for (int use = 0; use < 2; use++)
        for (int i = 0; i < L; i++) {
            const struct cvt_layer *l = &n->layer[i];
            const int train = use == CVG_TRAIN, back = 2 * L - 1 - i;
            const int x = l->from == CVT_NONE ? n->x : n->layer[l->from].y;
            const int other = l->other == CVT_NONE ? CVT_NONE : n->layer[l->other].y;
            if (l->kind->is_loss && !train) {
                cvt_live(n, x, CVG_PREDICT, L); /* the result */
                continue;
            }
            cvt_live(n, x, (cvg_use)use, i);
            cvt_live(n, other, (cvg_use)use, i);
            cvt_live(n, l->y, (cvg_use)use, i);
            cvt_live(n, l->scratch[0], (cvg_use)use, i);
            if (!train || !l->trains)
                continue;
            const int now = l->kind->is_loss ? i : back;
            if (l->kind->reads_x)
                cvt_live(n, x, CVG_TRAIN, now);
            if (l->kind->reads_y)
                cvt_live(n, l->y, CVG_TRAIN, now);
            cvt_live(n, l->keep, CVG_TRAIN, i);
            cvt_live(n, l->keep, CVG_TRAIN, now);
            cvt_live(n, l->scratch[1], CVG_TRAIN, now);
            cvt_live(n, l->dy, CVG_TRAIN, now);
            cvt_live(n, l->dx, CVG_TRAIN, now);
            if (l->from != CVT_NONE)
                cvt_live(n, n->layer[l->from].dy, CVG_TRAIN, now);
            if (l->other != CVT_NONE)
                cvt_live(n, n->layer[l->other].dy, CVG_TRAIN, now);
        }
    cvt_live(n, n->x, CVG_PREDICT, 0);
    cvt_live(n, n->x, CVG_TRAIN, 0);
}

static int meet(const struct cvt_block *a, const struct cvt_block *b, int use)
{
    return a->begin[use] <= b->end[use] && b->begin[use] <= a->end[use];
}

/* The lowest place where a block meets none of those that were placed, which are marked by their size in placed. */
static size_t place_of(const cvg_network *n, const struct cvt_block *b, int use, const size_t *done)
{
    size_t at = 0;
    for (int moved = 1; moved;) {
        moved = 0;
        for (int i = 0; i < n->blocks; i++) {
            const struct cvt_block *a = &n->block[i];
            if (a->at[use] != *done && meet(a, b, use) && at < a->at[use] + a->size && a->at[use] < at + b->size) {
                at = a->at[use] + a->size;
                moved = 1;
            }
        }
    }
    return at;
}

/* Largest first, each as low as it fits. */
static void place(cvg_network *n, int use)
{
    const size_t nowhere = (size_t)-1;
    size_t most = 0;
    for (int i = 0; i < n->blocks; i++)
        n->block[i].at[use] = nowhere;
    for (;;) {
        struct cvt_block *next = NULL;
        for (int i = 0; i < n->blocks; i++) {
            struct cvt_block *b = &n->block[i];
            if (b->at[use] == nowhere && b->begin[use] <= b->end[use] && (!next || b->size > next->size))
                next = b;
        }
        if (!next)
            break;
        next->at[use] = place_of(n, next, use, &nowhere);
        most = cvt_larger(most, next->at[use] + next->size);
    }
    n->workspace[use] = most + ALIGNMENT;
}

void cvt_place_blocks(cvg_network *n)
{
    find_adders(n);
    make_blocks(n);
    find_lives(n);
    place(n, CVG_PREDICT);
    place(n, CVG_TRAIN);
}
