/* Transforms of a run of tiles: its matrices in the kernels' type, its window, and along both axes. */
#include "winograd.h"

#include <string.h>

enum {
    NEAR_BYTES = 256, /* between neighbours of a source, channels last */
    WIDE = 32,        /* channels that a window of all rows of a run has, at most */
};

static struct cvg_points map_of(enum cvg_points_kind kind, int in, int out, const double matrix[CVG_POINTS][CVG_POINTS],
                                int transposed, const struct cvg_kernels *kernels, void *room)
{
    for (int y = 0; y < out; y++)
        for (int x = 0; x < in; x++)
            cvg_store(kernels->type, room, y * CVG_POINTS + x, transposed ? matrix[x][y] : matrix[y][x]);
    return (struct cvg_points){.kind = kind, .in = in, .out = out, .matrix = room, .outer = 1};
}

void cvg_winograd_maps_of(const struct cvg_winograd_size *size, const struct cvg_kernels *kernels,
                          struct cvg_winograd_maps *maps)
{
    const struct cvg_winograd_axis axis = cvg_winograd_axis_of(size->n, size->r), *a = &axis;
    maps->spread_input = map_of(CVG_SPREAD, a->n, a->n, a->spread_input, 0, kernels, maps->room[0]);
    maps->evaluate_output = map_of(CVG_EVALUATE, a->m, a->n, a->evaluate_output, 0, kernels, maps->room[1]);
    maps->evaluate_weight = map_of(CVG_EVALUATE, a->r, a->n, a->evaluate_weight, 0, kernels, maps->room[2]);
    maps->collect_output = map_of(CVG_COLLECT, a->n, a->m, a->evaluate_output, 1, kernels, maps->room[3]);
    maps->collect_weight = map_of(CVG_COLLECT, a->n, a->r, a->evaluate_weight, 1, kernels, maps->room[4]);
}

/* The lines and columns that a run reads; in the gradient's transform they are its own. */
static int64_t lines_of(const struct cvg_winograd *w, int64_t rows, int borders)
{
    return rows * w->axis[0].m + (borders ? w->axis[0].r - 1 : 0);
}

static int64_t columns_of(const struct cvg_winograd *w, int64_t columns, int borders)
{
    return columns * w->axis[1].m + (borders ? w->axis[1].r - 1 : 0);
}

int64_t cvg_winograd_together(const struct cvg_shape *s, const struct cvg_kernels *kernels, int64_t most)
{
    return s->layout == CVG_CHANNELS_LAST ? cvg_ceil_div(most, kernels->vector) * kernels->vector : kernels->vector;
}

int64_t cvg_winograd_scratch(const struct cvg_winograd *w, const struct cvg_kernels *kernels, int64_t read,
                             int64_t written)
{
    const int64_t columns = columns_of(w, w->segment, 1), lines = lines_of(w, read > WIDE ? 1 : w->rows, 1);
    /* The window, in which WIDE channels of all rows, at most 4, fit too; or what is written; a row between. */
    return cvg_max(columns * lines * read, (w->axis[0].m * columns + w->axis[1].m) * written) +
           w->axis[0].n * (columns + w->segment * w->axis[1].n) * kernels->vector;
}

/* cvg_winograd_transform() where of joined items only some columns are there, from src on; others are 0.  NULL: all. */
static void transform(const struct cvg_kernels *kernels, const struct cvg_winograd_map *map, int64_t items,
                      const struct cvg_winograd_steps *from, const void *src, const struct cvg_winograd_range *there,
                      const struct cvg_winograd_steps *to, void *dst, void *between)
{
    struct cvg_points rows = map->rows, columns = map->columns;
    const int64_t vector = kernels->vector;
    /* Items that follow each other on one line, and may overlap, are one long item along rows. */
    const int64_t apart = from->item % from->column ? -1 : from->item / from->column;
    const int joined = apart >= 0 && apart <= columns.in;
    const int64_t item = joined ? apart : columns.in, width = (items - 1) * item + columns.in;
    const int64_t first = there ? there->first : 0, end = there ? there->end : width;
    const int64_t size = vector * (int64_t)kernels->size;
    for (int y = 0; y < rows.out && end - first < width; y++) {
        char *const line = (char *)between + y * width * size;
        memset(line, 0, (size_t)(first * size));
        memset(line + end * size, 0, (size_t)((width - end) * size));
    }
    rows.outer = joined ? 1 : columns.in;
    rows.src_outer = from->column;
    rows.dst_outer = vector;
    rows.count = joined ? end - first : items;
    rows.src_item = joined ? from->column : from->item;
    rows.dst_item = joined ? vector : item * vector;
    rows.src_step = from->row;
    rows.dst_step = width * vector;
    columns.outer = rows.out; /* in order: what a line has too much, the next one overwrites */
    columns.src_outer = width * vector;
    columns.dst_outer = to->row;
    columns.count = items;
    columns.src_item = item * vector;
    columns.dst_item = to->item;
    columns.src_step = vector;
    columns.dst_step = to->column;
    kernels->points(&rows, src, (char *)between + first * size);
    kernels->points(&columns, between, dst);
}

void cvg_winograd_transform(const struct cvg_kernels *kernels, const struct cvg_winograd_map *map, int64_t items,
                            const struct cvg_winograd_steps *from, const void *src, const struct cvg_winograd_steps *to,
                            void *dst, void *between)
{
    transform(kernels, map, items, from, src, NULL, to, dst, between);
}

void cvg_winograd_to_points(const struct cvg_winograd *w, const struct cvg_winograd_maps maps[2],
                            const struct cvg_kernels *kernels, const struct cvg_winograd_run *run, const int64_t *first,
                            const struct cvg_view *from, int64_t channel, int width,
                            const struct cvg_winograd_planes *planes, void *to, void *scratch)
{
    const int borders = first != NULL;
    const int64_t columns = columns_of(w, run->tiles[1], borders);
    const int64_t vector = kernels->vector, size = (int64_t)kernels->size;
    const int64_t lanes = cvg_ceil_div(width, vector) * vector;
    int64_t corner[3] = {run->plane + (first ? first[0] * w->depth.gap - w->depth.lead : 0)};
    for (int i = 0; i < 2; i++)
        corner[1 + i] = run->first[i] * w->axis[i].m + (first ? first[1 + i] - w->lead[i] : 0);
    const struct cvg_winograd_map map = {first ? maps[0].spread_input : maps[0].evaluate_output,
                                         first ? maps[1].spread_input : maps[1].evaluate_output};
    const struct cvg_winograd_steps write = {planes->row, w->axis[1].n * planes->plane, planes->plane};
    /* Neighbours that are near are read where they lie, but at the border.  They and wide ones: by rows of tiles. */
    const int near = CVG_FAST && cvg_view_last(from) && from->step[2] * size <= NEAR_BYTES && width == lanes &&
                     !cvg_is_half(from->type) && corner[0] >= 0 && corner[0] < from->extent[0];
    const int64_t rows = near || lanes > WIDE ? 1 : run->tiles[0];
    const int64_t lines = lines_of(w, rows, borders), m = w->axis[1].m;
    char *const window = scratch, *const room = window + lines * columns * lanes * size;
    for (int64_t row = 0; row < run->tiles[0]; row++) {
        struct cvg_winograd_steps read = {m * lanes, columns * lanes, lanes};
        struct cvg_winograd_range there = {0, columns};
        const char *at = window + row % rows * w->axis[0].m * read.row * size;
        const int64_t line = corner[1] + row * w->axis[0].m;
        if (near && line >= 0 && line + lines <= from->extent[1]) {
            cvg_inside(corner[2], 1, columns, from->extent[2], &there.first, &there.end);
            at = cvg_view_at(from, run->n, channel, corner[0], line, corner[2] + there.first);
            read = (struct cvg_winograd_steps){m * from->step[2], from->step[1], from->step[2]};
        } else if (row % rows == 0) {
            cvg_read_framed_lanes(from, kernels, run->n, channel, width, (const int64_t[3]){corner[0], line, corner[2]},
                                  (const int64_t[3]){1, lines, columns}, (int)lanes, 0, window);
        }
        for (int64_t lane = 0; lane < lanes; lane += vector)
            transform(kernels, &map, run->tiles[1], &read, at + lane * size, CVG_FAST ? &there : NULL, &write,
                      (char *)to + (row * run->tiles[1] * planes->row + lane) * size, room);
    }
}
