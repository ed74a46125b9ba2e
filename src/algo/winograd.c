#include "winograd.h"

#include <math.h>
#include <string.h>

/* Of the cost, in multiplications at the processor's peak for each point and element. */
enum {
    LANES = 8,
    TRANSFORM = 26, TRANSFORM_8 = 33, /* of the source and of the destination; of 8 points */
    WEIGHT = 25, WEIGHT_8 = 40,       /* of the weight, once if it is shared */
    BACK = 20, BACK_SUBS = 70, /* of grad_weight; of sub-filters */
    SUMS = 12,          /* to read or to write its sums again, if more than */
    NEAR_BYTES = 1 << 20,
    BLOCK = 128, GROUP = 64, /* channels and tiles at a time */
    OVERHEAD = 100000,  /* of a call */
};

#define WORTH_SPLIT 1.4

enum {
    SEGMENT = 128, /* columns of tiles of one run, at most */
    ROWS = 4,     /* rows of tiles of one run, at most */
    SHORT = 16,   /* rows of pixels as short are turned many at a time */
    SPLIT = 4,    /* sub-filters along an axis, at most */
};

/* ---- matrices ---- */

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

/* ---- tiles ---- */

/*
 * Into how many sub-filters of ceil(r / split) elements a filter is best split: so that a result
 * takes the fewest points.  0 if it is too long.
 */
static int64_t split_of(int64_t n, int64_t r)
{
    int64_t best = 0, points = 0, results = 1;
    for (int64_t split = 1; split <= SPLIT; split++) {
        const int64_t length = cvg_ceil_div(r, split), rest = r - (split - 1) * length, m = n - length + 1;
        if (m < 2 || (r > 1 && rest < 2)) /* kernels->points has none for one element */
            continue;
        if (best && split * n * results >= points * m)
            continue;
        best = split;
        points = split * n;
        results = m;
    }
    return best;
}

/* Points for a result along an axis. */
static double points_of(int64_t n, int64_t r, int64_t split)
{
    return r == 1 ? 1 : (double)(split * n) / (double)(n - cvg_ceil_div(r, split) + 1);
}

/*
 * In grad_weight a sub-filter costs more, as it transforms the gradient once more and has a way back of its own: split
 * only where that makes many fewer points.
 */
static int repays(const struct cvg_shape *s, int n, const int64_t split[2])
{
    double with = 1, without = 1;
    for (int i = 0; i < 2; i++) {
        with *= points_of(n, s->filter[i + 1], split[i]);
        without *= s->filter[i + 1] < n ? points_of(n, s->filter[i + 1], 1) : HUGE_VAL;
    }
    return without >= WORTH_SPLIT * with;
}

struct cvg_winograd cvg_winograd_of(const struct cvg_shape *s, int n, cvg_pass pass, int64_t tiles)
{
    struct cvg_winograd w;
    for (int i = 0; i < 2; i++)
        w.split[i] = split_of(n, s->filter[i + 1]);
    if (pass == CVG_GRAD_WEIGHT && !repays(s, n, w.split))
        w.split[0] = w.split[1] = 1;
    for (int i = 0; i < 2; i++) {
        const int axis = i + 1;
        w.filter[i] = s->filter[axis];
        w.axis[i] = cvg_winograd_size_of(n, (int)cvg_ceil_div(w.filter[i], w.split[i]));
        w.source[i] = pass == CVG_GRAD_INPUT ? s->out[axis] : s->in[axis];
        w.dst[i] = pass == CVG_GRAD_INPUT ? s->in[axis] : s->out[axis];
        w.lead[i] = pass == CVG_GRAD_INPUT ? s->filter[axis] - 1 - s->pad[axis] : s->pad[axis];
        w.tiles[i] = cvg_ceil_div(w.dst[i], w.axis[i].m);
    }
    w.points = w.axis[0].n * w.axis[1].n;
    w.subs = w.split[0] * w.split[1];
    w.segments = cvg_ceil_div(w.tiles[1], cvg_min(SEGMENT, tiles));
    w.segment = cvg_ceil_div(w.tiles[1], w.segments);
    w.rows = cvg_max(1, cvg_min(cvg_min(w.tiles[0], ROWS), tiles / w.segment));
    w.row_runs = cvg_ceil_div(w.tiles[0], w.rows);
    w.rows = cvg_ceil_div(w.tiles[0], w.row_runs);
    w.group = cvg_max(1, tiles / (w.rows * w.segment));
    w.group_tiles = w.group * w.rows * w.segment;
    w.runs = s->N * w.row_runs * w.segments;
    return w;
}

struct cvg_winograd_sub cvg_winograd_sub_at(const struct cvg_winograd *w, int64_t sub)
{
    struct cvg_winograd_sub at = {.first = {sub / w->split[1] * w->axis[0].r, sub % w->split[1] * w->axis[1].r}};
    for (int i = 0; i < 2; i++)
        at.size[i] = cvg_min(w->axis[i].r, w->filter[i] - at.first[i]);
    return at;
}

static struct cvg_winograd_run run_alone(const struct cvg_winograd *w, int64_t index)
{
    const int64_t column = index % w->segments * w->segment;
    const int64_t row = index / w->segments % w->row_runs * w->rows;
    struct cvg_winograd_run run = {.n = index / w->segments / w->row_runs, .first = {row, column}};
    run.tiles[0] = cvg_max(0, cvg_min(w->rows, w->tiles[0] - row));
    run.tiles[1] = cvg_max(0, cvg_min(w->segment, w->tiles[1] - column));
    return run;
}

int64_t cvg_winograd_tiles(const struct cvg_winograd *w, int64_t first, int64_t end)
{
    int64_t count = 0;
    for (int64_t i = first; i < end; i++) {
        const struct cvg_winograd_run run = run_alone(w, i);
        count += run.tiles[0] * run.tiles[1];
    }
    return count;
}

struct cvg_winograd_run cvg_winograd_run_at(const struct cvg_winograd *w, int64_t first, int64_t index)
{
    struct cvg_winograd_run run = run_alone(w, index);
    run.at = cvg_winograd_tiles(w, first, index);
    return run;
}

struct cvg_winograd_planes cvg_winograd_planes_of(const struct cvg_winograd *w, const struct cvg_kernels *kernels,
                                                  int64_t tiles, int64_t channels, struct cvg_work *work)
{
    /* Powers of two would meet in few sets of the caches. */
    const int64_t line = CVG_ALIGNMENT / (int64_t)kernels->size, lanes = cvg_max(kernels->vector, line);
    struct cvg_winograd_planes planes;
    planes.row = cvg_odd_lines(cvg_times(cvg_ceil_div(channels, lanes), lanes), line);
    planes.plane = cvg_plus(cvg_odd_lines(cvg_times(tiles, planes.row), line), 2 * line);
    cvg_work_piece(work, cvg_times(w->points, planes.plane), kernels->size);
    return planes;
}

/* ---- transforms of a run ---- */

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

/* ---- the algorithms ---- */

/* Why a problem is none for an algorithm's points; NULL if it is one. */
static const char *refuses(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    (void)pass;
    if (s->filter[0] != 1 || s->in[0] != 1 || s->out[0] != 1 || s->pad[0] != 0)
        return "its filters are of rank 1 and 2";
    for (int i = 1; i < 3; i++) {
        if (s->stride[i] != 1 && s->out[i] > 1)
            return "the filter moves by more than one element";
        if (s->dilation[i] != 1 && s->filter[i] > 1)
            return "the filter has gaps";
    }
    if (!split_of(self->points, s->filter[1]) || !split_of(self->points, s->filter[2]))
        return "the filter is too large for its points";
    return s->filter_size == 1 ? "the filter has one element" : NULL;
}

/* The larger norms of two axes, as those of both. */
static struct cvg_winograd_norms norms_of(const struct cvg_winograd *w, cvg_pass pass)
{
    struct cvg_winograd_norms norms = {1, 1};
    for (int i = 0; i < 2; i++) {
        const struct cvg_winograd_axis axis = cvg_winograd_axis_of(w->axis[i].n, w->axis[i].r);
        const struct cvg_winograd_norms one = cvg_winograd_norms_of(&axis, pass == CVG_GRAD_WEIGHT);
        norms.absolute *= one.absolute;
        norms.square *= one.square;
    }
    return norms;
}

/*
 * The sums over channels or tiles are as many times shorter than the definition's as a tile has
 * products, which norms.square takes into account.  The rest is measured (docs/numerics.md): the
 * transforms' own roundings add a third, and more where few channels are added; direct's
 * grad_weight is more exact than one sum in order, for its sums are of parts.
 */
static double error_growth(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_winograd w = cvg_winograd_of(s, self->points, pass, 1);
    const double channels = (double)w.subs * (double)(pass == CVG_FORWARD ? s->Cg : s->Kg);
    const double factor = pass == CVG_GRAD_WEIGHT ? 16.0 / 3 : 16.0 / 9 + 12 / channels;
    return sqrt(1 + factor * norms_of(&w, pass).square);
}

/*
 * Each term of the trilinear form passes, along an axis, through at most n + n + r roundings of
 * the three transforms, and three coefficients, which are themselves rounded; through those of
 * the sum over channels or tiles; and through scale and sum with an old value.
 */
static double error_bound(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_winograd w = cvg_winograd_of(s, self->points, pass, 1);
    const double coefficient = s->type == CVG_F32 ? 1 + 0x1p-20 : 16; /* computed in double */
    const double tiles = (double)s->N * (double)w.tiles[0] * (double)w.tiles[1];
    const double channels = (double)w.subs * (double)(pass == CVG_FORWARD ? s->Cg : s->Kg);
    const double length = pass == CVG_GRAD_WEIGHT ? tiles : channels;
    double roundings = length + 3, products = length;
    for (int i = 0; i < 2; i++) {
        const struct cvg_winograd_size *a = &w.axis[i];
        products *= pass == CVG_GRAD_WEIGHT ? a->m : a->r;
        if (a->n > 1)
            roundings += 2 * a->n + (pass == CVG_GRAD_WEIGHT ? a->m : a->r) + 3 * coefficient;
    }
    return cvg_gamma(s->type, roundings) * norms_of(&w, pass).absolute * products;
}

/* What AUTO expects; the constants are fitted to measured times, see docs/algorithms.md. */
static double cost(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    const int n = self->points;
    const struct cvg_winograd w = cvg_winograd_of(s, n, pass, 1);
    const double tiles = (double)s->N * (double)w.tiles[0] * (double)w.tiles[1];
    const double subs = (double)w.subs, g = (double)s->G * (pass == CVG_GRAD_WEIGHT ? subs : 1);
    const double from = (double)(pass == CVG_GRAD_INPUT ? s->Kg : s->Cg) * (pass == CVG_GRAD_WEIGHT ? 1 : subs);
    const double to = (double)(pass == CVG_GRAD_INPUT ? s->Cg : s->Kg);
    const double from_lanes = LANES * ceil(from / LANES), to_lanes = LANES * ceil(to / LANES);
    const double size = s->type == CVG_F32 ? 4 : 8, turns = ceil(tiles / GROUP);
    const double transform = (n == 8 ? TRANSFORM_8 : TRANSFORM) * (w.axis[0].n == 1 || w.axis[1].n == 1 ? 0.6 : 1);
    const double again = n == 8 ? (1 + 0.6 * (subs - 1)) / subs : 1; /* few sub-filters read the same */
    double sum = tiles * g * from * to_lanes / 0.75; /* products */
    if (pass == CVG_GRAD_WEIGHT) {
        const double near = (double)w.points * fmin(from, BLOCK) * fmin(to, BLOCK) * size;
        sum += tiles * g * (from_lanes * ceil(to / BLOCK) + to_lanes * ceil(from / BLOCK)) * 1.15 * transform * again;
        sum *= subs > 1 ? 1.2 : 1;
        sum += g * from * to_lanes *
               ((subs > 1 ? BACK_SUBS : BACK) + (near <= NEAR_BYTES ? 0 : SUMS * (2 * turns - 1)));
    } else {
        const double bytes = (double)w.points * from * to * g * size;
        sum += tiles * (LANES * ceil(g * from / LANES) * again + g * to_lanes) * transform;
        sum += g * from * to_lanes * (n == 8 ? WEIGHT_8 : WEIGHT) *
               (bytes <= (double)cvg_winograd_shared_bytes(&w) ? 1 : turns);
    }
    return sum * (double)w.points + OVERHEAD;
}

static void prepare(const struct cvg_algorithm *self, const struct cvg_shape *s, const struct cvg_kernels *kernels,
                    cvg_pass pass, int workers, struct cvg_work *work)
{
    if (pass == CVG_GRAD_WEIGHT)
        cvg_winograd_weight(s, kernels, self->points, workers, work);
    else
        cvg_winograd_gather(s, kernels, pass, self->points, workers, work);
}

const struct cvg_algorithm cvg_winograd4 = {
    .id = CVG_WINOGRAD4, .name = "winograd4", .points = 4, .mixes = 1, .refuses = refuses, .error_growth = error_growth,
    .error_bound = error_bound, .cost = cost, .prepare = prepare, .grad_bias = cvg_grad_bias_sums,
};

const struct cvg_algorithm cvg_winograd6 = {
    .id = CVG_WINOGRAD6, .name = "winograd6", .points = 6, .mixes = 1, .refuses = refuses, .error_growth = error_growth,
    .error_bound = error_bound, .cost = cost, .prepare = prepare, .grad_bias = cvg_grad_bias_sums,
};

const struct cvg_algorithm cvg_winograd8 = {
    .id = CVG_WINOGRAD8, .name = "winograd8", .points = 8, .mixes = 1, .refuses = refuses, .error_growth = error_growth,
    .error_bound = error_bound, .cost = cost, .prepare = prepare, .grad_bias = cvg_grad_bias_sums,
};
