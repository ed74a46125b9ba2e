/* Transforms of a run of tiles: its matrices in the kernels' type, its window, and along both axes. */
#include "winograd.h"

#include <string.h>

enum { SHORT = 16 }; /* rows of pixels as short are turned many at a time */

static struct cvg_points map_of(enum cvg_points_kind kind, int in, int out,
                                const double matrix[CVG_POINTS][CVG_POINTS], int transposed,
                                const struct cvg_kernels *kernels, void *room)
{
    for (int y = 0; y < out; y++)
        for (int x = 0; x < in; x++)
            kernels->store(room, y * CVG_POINTS + x, transposed ? matrix[x][y] : matrix[y][x]);
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

int64_t cvg_winograd_scratch(const struct cvg_winograd *w, const struct cvg_kernels *kernels)
{
    const int64_t columns = columns_of(w, w->segment, 1), lines = lines_of(w, w->rows, 1);
    /* The window; what it is turned from, or to, if that has no borders; one row of tiles between. */
    return (columns * lines * 2 + w->axis[0].n * (columns + w->segment * w->axis[1].n)) * kernels->vector;
}

/*
 * Fills lines x columns vectors with the channels of an image from (first_line, first_column) on; zero
 * where there is none.
 */
static void fill(const struct cvg_kernels *kernels, const int64_t extent[2], const char *channels,
                 int64_t channel, int width, const int64_t first[2], int64_t lines, int64_t columns,
                 char *window, char *turned)
{
    const int64_t vector = kernels->vector * (int64_t)kernels->size, size = (int64_t)kernels->size;
    const int64_t low = cvg_min(lines, cvg_max(0, -first[0])), left = cvg_min(columns, cvg_max(0, -first[1]));
    const int64_t end = cvg_max(low, cvg_min(lines, extent[0] - first[0]));
    const int64_t right = cvg_max(left, cvg_min(columns, extent[1] - first[1]));
    const int64_t inside = right - left;
    const char *source = channels; /* where nothing is inside the place may be far from all memory */
    if (inside && end > low)
        source += ((first[0] + low) * extent[1] + first[1] + left) * size;
    const int together = inside == extent[1] && inside < SHORT && end > low;

    memset(window, 0, (size_t)(low * columns * vector));
    memset(window + end * columns * vector, 0, (size_t)((lines - end) * columns * vector));
    if (together)
        kernels->turn(turned, kernels->vector, source, channel, width, (end - low) * inside);
    for (int64_t y = low; y < end; y++) {
        char *line = window + y * columns * vector;
        memset(line, 0, (size_t)(left * vector));
        if (together)
            memcpy(line + left * vector, turned + (y - low) * inside * vector, (size_t)(inside * vector));
        else if (inside)
            kernels->turn(line + left * vector, kernels->vector, source + (y - low) * extent[1] * size, channel,
                          width, inside);
        memset(line + right * vector, 0, (size_t)((columns - right) * vector));
    }
}

/* Transforms a run along rows, then along columns. */
static void transform(const struct cvg_winograd *w, struct cvg_points rows, struct cvg_points columns,
                      const struct cvg_kernels *kernels, const struct cvg_winograd_run *run, const char *window,
                      int64_t width, const struct cvg_winograd_planes *planes, char *to, char *between)
{
    const int64_t vector = kernels->vector, size = (int64_t)kernels->size;
    rows.count = width;
    rows.src_item = rows.dst_item = vector;
    rows.src_step = rows.dst_step = width * vector;
    columns.outer = w->axis[0].n;
    columns.src_outer = width * vector;
    columns.dst_outer = w->axis[1].n * planes->plane;
    columns.count = run->tiles[1];
    columns.src_item = w->axis[1].m * vector;
    columns.dst_item = planes->row;
    columns.src_step = vector;
    columns.dst_step = planes->plane;
    for (int64_t row = 0; row < run->tiles[0]; row++) {
        kernels->points(&rows, window + row * w->axis[0].m * width * vector * size, between);
        kernels->points(&columns, between, to + row * run->tiles[1] * planes->row * size);
    }
}

void cvg_winograd_to_points(const struct cvg_winograd *w, const struct cvg_winograd_maps maps[2],
                            const struct cvg_kernels *kernels, const struct cvg_winograd_run *run,
                            const int64_t *first, const void *channels, int64_t channel, int width,
                            const struct cvg_winograd_planes *planes, void *to, void *scratch)
{
    const int borders = first != NULL;
    const int64_t lines = lines_of(w, run->tiles[0], borders), columns = columns_of(w, run->tiles[1], borders);
    const int64_t vector = kernels->vector * (int64_t)kernels->size;
    char *window = scratch, *turned = window + lines * columns * vector;
    int64_t corner[2];
    for (int i = 0; i < 2; i++)
        corner[i] = run->first[i] * w->axis[i].m + (first ? first[i] - w->lead[i] : 0);
    fill(kernels, first ? w->source : w->dst, channels, channel, width, corner, lines, columns, window, turned);
    transform(w, first ? maps[0].spread_input : maps[0].evaluate_output,
              first ? maps[1].spread_input : maps[1].evaluate_output, kernels, run, window, columns, planes, to,
              turned);
}
