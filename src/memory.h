/* Carving the caller's workspace. */
#ifndef CVG_MEMORY_H
#define CVG_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define CVG_ALIGNMENT 64 /* a cache line, and the widest vector */

/*
 * An arena hands out pieces of one block.  With base NULL it only measures, so
 * that the promised size and the use of the workspace come from the same code.
 */
struct cvg_arena {
    char *base;
    size_t used;
    int overflow; /* the sum does not fit in size_t */
};

/* An arena over a workspace of any alignment; NULL measures. */
struct cvg_arena cvg_arena_on(void *workspace);

/* The next piece of count * size bytes, aligned to CVG_ALIGNMENT; NULL when measuring. */
void *cvg_arena_take(struct cvg_arena *arena, int64_t count, size_t size);

/* As if what was taken since begin were taken times as often: the scratch of so many workers. */
void cvg_arena_repeat(struct cvg_arena *arena, size_t begin, int times);

/* The bytes that a workspace of any alignment must have for what was taken. */
size_t cvg_arena_size(const struct cvg_arena *arena);

#endif
