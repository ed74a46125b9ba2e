#include "trainer.h"

static int levels_of(int64_t leaves)
{
    int levels = 0;
    while (((int64_t)1 << levels) < leaves)
        levels++;
    return levels;
}

void cvt_push(struct cvt_stack *stack, struct cvt_node node, void (*join)(void *context, char *to, const char *from),
              void *context)
{
    const int root = levels_of(stack->leaves);
    stack->node[stack->count++] = node;
    for (;;) {
        struct cvt_node *last = &stack->node[stack->count - 1], *before = last - 1;
        const int left = last->index % 2 == 0;
        if (left && last->level < root && (last->index + 1) << last->level >= stack->leaves) {
            last->level++; /* there is no right half */
            last->index /= 2;
        } else if (!left && stack->count > 1 && before->level == last->level && before->index == last->index - 1) {
            if (join)
                join(context, before->at, last->at);
            before->level++;
            before->index /= 2;
            stack->count--;
        } else {
            return;
        }
    }
}

int cvt_most_nodes(int64_t leaves, int64_t begin, int64_t end)
{
    struct cvt_stack stack = {.leaves = leaves};
    int most = 0;
    for (int64_t i = begin; i < end; i++) {
        most = stack.count + 1 > most ? stack.count + 1 : most;
        cvt_push(&stack, (struct cvt_node){.index = i}, NULL, NULL);
    }
    return most;
}

/* Of losses that are not finite, the first one stays as it is. */
void cvt_join_loss(cvg_loss *to, const cvg_loss *from)
{
    if (to->bad_layer >= 0)
        return;
    if (from->bad_layer >= 0) {
        *to = *from;
        return;
    }
    to->sum += from->sum;
    to->count += from->count;
    to->hits += from->hits;
}
