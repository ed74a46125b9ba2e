#include "memory.h"

struct cvg_arena cvg_arena_on(void *workspace)
{
    struct cvg_arena arena = {NULL, 0, 0};
    if (workspace) {
        const uintptr_t at = (uintptr_t)workspace;
        arena.base = (char *)workspace + (CVG_ALIGNMENT - at % CVG_ALIGNMENT) % CVG_ALIGNMENT;
    }
    return arena;
}

void *cvg_arena_take(struct cvg_arena *arena, int64_t count, size_t size)
{
    /* The last CVG_ALIGNMENT bytes are kept free, so that rounding up and aligning fit as well. */
    const size_t room = PTRDIFF_MAX - 2 * CVG_ALIGNMENT - arena->used;
    if (count < 0 || (uint64_t)count > room / size) {
        arena->overflow = 1;
        return NULL;
    }
    const size_t bytes = ((size_t)count * size + CVG_ALIGNMENT - 1) / CVG_ALIGNMENT * CVG_ALIGNMENT;
    void *piece = arena->base ? arena->base + arena->used : NULL;
    arena->used += bytes;
    return piece;
}

void cvg_arena_repeat(struct cvg_arena *arena, size_t begin, int times)
{
    const size_t each = arena->used - begin; /* whole lines */
    if (each)
        cvg_arena_take(arena, times - 1, each);
}

size_t cvg_arena_size(const struct cvg_arena *arena)
{
    return arena->used ? arena->used + CVG_ALIGNMENT - 1 : 0;
}
