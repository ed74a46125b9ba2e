/* How a destination is cut into tiles, runs and groups of them, and the planes that they are transformed to. */
#include "winograd.h"

#include <math.h>

#define WORTH_SPLIT 1.4

enum {
    SEGMENT = 128, /* columns of tiles of one run, at most */
    ROWS = 4,      /* rows of tiles of one run, at most */
    SPLIT = 4,     /* sub-filters along an axis, at most */
};

int64_t cvg_winograd_split(int64_t n, int64_t r)
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

/* The taps that read a source plane for any of the planes from low to high; at least one. */
static struct cvg_winograd_range taps_of(const struct cvg_winograd_depth *d, int64_t low, int64_t high)
{
    const int64_t end = d->tap + d->taps;
    const int64_t first = cvg_max(d->tap, cvg_min(end - 1, cvg_ceil_div(cvg_max(0, d->lead - high), d->gap)));
    return (struct cvg_winograd_range){first,
                                       cvg_max(first + 1, cvg_min(end, (d->lead + d->source - 1 - low) / d->gap + 1))};
}

static struct cvg_winograd_depth depth_of(const struct cvg_shape *s, cvg_pass pass)
{
    const int gradient = pass == CVG_GRAD_INPUT;
    struct cvg_winograd_depth d = {
        .source = gradient ? s->out[0] : s->in[0],
        .lead = gradient ? (s->filter[0] - 1) * s->dilation[0] - s->pad[0] : s->pad[0],
        .gap = s->dilation[0],
        .taps = s->filter[0],
        .planes = gradient ? s->in[0] : s->out[0],
    };
    if (pass != CVG_GRAD_WEIGHT) {
        const struct cvg_winograd_range taps = taps_of(&d, 0, d.planes - 1);
        d.tap = taps.first;
        d.taps = taps.end - taps.first;
    }
    return d;
}

struct cvg_winograd cvg_winograd_of(const struct cvg_shape *s, int n, cvg_pass pass, int64_t tiles)
{
    struct cvg_winograd w;
    for (int i = 0; i < 2; i++)
        w.split[i] = cvg_winograd_split(n, s->filter[i + 1]);
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
    w.flat = w.split[0] * w.split[1];
    w.depth = depth_of(s, pass);
    w.subs = w.depth.taps * w.flat;
    w.segments = cvg_ceil_div(w.tiles[1], cvg_min(SEGMENT, tiles));
    w.segment = cvg_ceil_div(w.tiles[1], w.segments);
    w.rows = cvg_max(1, cvg_min(cvg_min(w.tiles[0], ROWS), tiles / w.segment));
    w.row_runs = cvg_ceil_div(w.tiles[0], w.rows);
    w.rows = cvg_ceil_div(w.tiles[0], w.row_runs);
    w.group = cvg_max(1, tiles / (w.rows * w.segment));
    w.group_tiles = w.group * w.rows * w.segment;
    cvg_winograd_count(&w, s->N);
    /* Tiles of small planes are multiplied with those of other images that see the same taps. */
    w.images = pass != CVG_GRAD_WEIGHT && w.tiles[0] * w.tiles[1] < tiles ? s->N : 0;
    return w;
}

void cvg_winograd_count(struct cvg_winograd *w, int64_t images)
{
    w->image_runs = w->depth.planes * w->row_runs * w->segments;
    w->runs = images * w->image_runs;
}

struct cvg_winograd_sub cvg_winograd_sub_at(const struct cvg_winograd *w, int64_t sub)
{
    struct cvg_winograd_sub at = {.first = {w->depth.tap + sub / w->flat, sub % w->flat / w->split[1] * w->axis[0].r,
                                            sub % w->split[1] * w->axis[1].r}};
    for (int i = 0; i < 2; i++)
        at.size[i] = cvg_min(w->axis[i].r, w->filter[i] - at.first[1 + i]);
    return at;
}

struct cvg_winograd_range cvg_winograd_planes_with(const struct cvg_winograd *w, int64_t tap)
{
    struct cvg_winograd_range planes;
    cvg_inside(tap * w->depth.gap - w->depth.lead, 1, w->depth.planes, w->depth.source, &planes.first, &planes.end);
    return planes;
}

static struct cvg_winograd_run run_alone(const struct cvg_winograd *w, int64_t index)
{
    const int64_t column = index % w->segments * w->segment;
    const int64_t row = index / w->segments % w->row_runs * w->rows;
    const int64_t whole = index / w->segments / w->row_runs; /* the plane, counted through images */
    struct cvg_winograd_run run = {.n = whole / w->depth.planes, .plane = whole % w->depth.planes};
    if (w->images) {
        run.n = whole % w->images;
        run.plane = whole / w->images;
    }
    run.plane += w->depth.plane;
    run.first[0] = row;
    run.first[1] = column;
    run.tiles[0] = cvg_max(0, cvg_min(w->rows, w->tiles[0] - row));
    run.tiles[1] = cvg_max(0, cvg_min(w->segment, w->tiles[1] - column));
    return run;
}

struct cvg_winograd_range cvg_winograd_subs_of(const struct cvg_winograd *w, int64_t first, int64_t end)
{
    int64_t low = run_alone(w, first).plane, high = run_alone(w, end - 1).plane;
    if (!w->images && end - first > w->image_runs - first % w->image_runs) { /* of several images */
        low = 0;
        high = w->depth.planes - 1;
    }
    const struct cvg_winograd_range taps = taps_of(&w->depth, low, high);
    return (struct cvg_winograd_range){(taps.first - w->depth.tap) * w->flat, (taps.end - w->depth.tap) * w->flat};
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
