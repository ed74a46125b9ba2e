/* add and flatten: no arithmetic but sums.  What is flat has PyTorch's order: channels first. */
#ifndef real
#include "../network.h"

#include <string.h>

static cvg_status add_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    const char *name = cvt_take(line);
    if (!name)
        return cvt_line_fail(line, "add has no name; write %s", l->kind->usage);
    for (int i = 0; i < n->layers; i++)
        if (strcmp(n->layer[i].name, name) == 0)
            l->other = i;
    if (l->other == CVT_NONE)
        return cvt_line_fail(line, "no line before has the name \"%.40s\"; write \"%.40s = relu\" there", name, name);
    const struct cvt_shape *a = &l->in, *b = &n->layer[l->other].out;
    if (a->rank != b->rank || a->channels != b->channels || memcmp(a->size, b->size, sizeof a->size) != 0)
        return cvt_line_fail(line, "add %.40s: its shape is %s, that of the line before %s; must be the same", name,
                             cvt_shape_text(b).text, cvt_shape_text(a).text);
    l->out = l->in;
    return CVG_OK;
}

static cvg_status flatten_make(cvg_network *n, struct cvt_layer *l, struct cvt_line *line)
{
    (void)line;
    l->turns = cvt_turned(n, &l->in);
    l->out = cvt_shape_of(l->in.elements, 0, NULL);
    return CVG_OK;
}

static void flatten_forward(const struct cvt_call *c)
{
    if (c->layer->turns)
        cvt_turn(c->run->network, &c->layer->in, c->run->count, 0, c->x, c->y);
    else if (c->y != c->x)
        memcpy(c->y, c->x, (size_t)(c->run->count * c->layer->out.elements) * c->run->network->size);
}

static void flatten_backward(const struct cvt_call *c)
{
    if (c->layer->turns && c->dx)
        cvt_turn(c->run->network, &c->layer->in, c->run->count, 1, c->dy, c->dx);
    else if (c->dx && c->dx != c->dy)
        memcpy(c->dx, c->dy, (size_t)(c->run->count * c->layer->out.elements) * c->run->network->size);
}

#define SELF "layers/shape.c"
#include "../twice.h"

void cvt_turn(const cvg_network *n, const struct cvt_shape *s, int64_t count, int back, const void *from, void *to)
{
    const int64_t rows = back ? s->channels : s->pixels, columns = back ? s->pixels : s->channels;
    n->type == CVG_F32 ? turn_f32(count, rows, columns, from, to) : turn_f64(count, rows, columns, from, to);
}

const struct cvt_kind cvt_add = {
    .name = "add",
    .usage = "add NAME",
    .make = add_make,
    .forward = {add_f32, add_f64},
    .backward = {add_back_f32, add_back_f64},
};

const struct cvt_kind cvt_flatten = {
    .name = "flatten",
    .usage = "flatten",
    .make = flatten_make,
    .forward = {flatten_forward, flatten_forward},
    .backward = {flatten_backward, flatten_backward},
    .may_replace = 1,
};

#else

/* count matrices of rows x columns become columns x rows. */
static void OF(turn)(int64_t count, int64_t rows, int64_t columns, const real *from, real *to)
{
    for (int64_t i = 0; i < count; i++, from += rows * columns, to += rows * columns)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++)
                to[c * rows + r] = from[r * columns + c];
}

static void OF(add)(const struct cvt_call *c)
{
    const real *x = c->x, *other = c->other;
    real *y = c->y;
    for (int64_t i = 0, count = c->run->count * c->layer->out.elements; i < count; i++)
        y[i] = x[i] + other[i];
}

/* The gradient goes both ways; where another layer has written before, it is added. */
static void OF(add_back)(const struct cvt_call *c)
{
    const real *dy = c->dy;
    real *const to[2] = {c->dx, c->dother};
    for (int j = 0; j < 2; j++)
        for (int64_t i = 0, count = to[j] ? c->run->count * c->layer->out.elements : 0; i < count; i++)
            to[j][i] = c->layer->adds[j] ? to[j][i] + dy[i] : dy[i];
}

#endif
