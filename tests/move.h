/* Tensors whose elements change their places, for tests of layouts. */
#ifndef TESTS_MOVE_H
#define TESTS_MOVE_H

#include "cli.h"
#include "geometry.h"

#include <stdlib.h>
#include <string.h>

typedef int64_t place_fn(const struct geometry *g, int64_t index);

/* Moves elements to where they lie in a layout, or back. */
static inline void move(struct array *array, const struct geometry *g, place_fn *place, int back)
{
    struct array old = *array;
    const size_t bytes = (size_t)array->count * cvg_type_size(array->type);
    old.data = cli_alloc((size_t)array->count, sizeof(double));
    memcpy(old.data, array->data, bytes);
    for (int64_t i = 0; i < array->count; i++)
        array_set(array, back ? i : place(g, i), array_get(&old, back ? place(g, i) : i));
    free(old.data);
}

#endif
