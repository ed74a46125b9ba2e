/*
 * grad_weight by Winograd's algorithm (winograd.h).
 *
 *   U[f][c][k] = sum over tiles of V[f][tile][c] * M[f][tile][k]
 *
 * A block of channels c and k at a time, so that its sums stay near; for each, groups of runs one
 * after the other: first input and grad_output are transformed, then all points are multiplied,
 * each by one job, and at the end the sums are transformed back.  Every sum runs over all tiles in
 * order, whatever the threads.
 */
#include "winograd.h"

#include <string.h>

enum {
    BLOCK = 128,             /* channels c and k of one block, at most, */
    BLOCK_BYTES = 9 << 19,   /* if their sums take no more */
    BLOCK_STEP = 16,
    ROWS = 64,               /* c of one job */
    FEW = 64,                /* c that are transformed back at a time */
    SUMS_BYTES = 1 << 20,    /* fewer stay near, so that */
    FEW_TILES = 28,          /* so many tiles at a time are enough; */
    MOST_TILES = 64,         /* otherwise so many make reading and writing the sums pay, */
    PLANES_BYTES = 3 << 20,  /* in as many bytes of transformed input and gradient */
    LEAST_TILES = 12,
};

struct cut {
    struct cvg_winograd w;
    int64_t c_count, k_count; /* of one block, at most */
};

/* The channels of even blocks of at most so many, in whole vectors unless there are fewer. */
static int64_t block_of(int64_t channels, int64_t most, int64_t vector)
{
    return cvg_min(channels, cvg_ceil_div(cvg_even_rows(channels, most), vector) * vector);
}

static struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, int n)
{
    const struct cvg_winograd one = cvg_winograd_of(s, n, CVG_GRAD_WEIGHT, 1);
    struct cut cut;
    int64_t most = BLOCK;
    while (most > BLOCK_STEP && one.points * most * most * (int64_t)kernels->size > BLOCK_BYTES)
        most -= BLOCK_STEP;
    cut.c_count = block_of(s->Cg, most, kernels->vector);
    cut.k_count = block_of(s->Kg, most, kernels->vector);
    const int64_t sums = one.points * cut.c_count * cut.k_count * (int64_t)kernels->size;
    const int64_t tile = one.points * (cut.c_count + cut.k_count) * (int64_t)kernels->size;
    const int64_t tiles = sums <= SUMS_BYTES ? FEW_TILES : MOST_TILES;
    cut.w = cvg_winograd_of(s, n, CVG_GRAD_WEIGHT, cvg_max(LEAST_TILES, cvg_min(tiles, PLANES_BYTES / tile)));
    return cut;
}

/* What all workers share. */
struct shared {
    struct cvg_winograd_planes input, gradient; /* of a group's tiles: [point][tile][channel] */
    struct cvg_winograd_planes sums;            /* [point][c][k] */
    int64_t *a, *b, *place;                     /* of each tile in the planes; of each c in the sums */
};

static struct shared carve_shared(const struct cut *cut, const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    const struct cvg_winograd *w = &cut->w;
    struct shared x;
    x.input = cvg_winograd_planes_of(w, kernels, w->group_tiles, cut->c_count, arena);
    x.gradient = cvg_winograd_planes_of(w, kernels, w->group_tiles, cut->k_count, arena);
    x.sums = cvg_winograd_planes_of(w, kernels, cut->c_count, cut->k_count, arena);
    x.a = cvg_arena_take(arena, w->group_tiles, sizeof *x.a);
    x.b = cvg_arena_take(arena, w->group_tiles, sizeof *x.b);
    x.place = cvg_arena_take(arena, cut->c_count, sizeof *x.place);
    return x;
}

/* What one worker has: for transforms of a run, or of few c's sums. */
static char *carve(const struct cut *cut, const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    const struct cvg_winograd_axis *axis = cut->w.axis;
    const int64_t back = FEW * kernels->vector * axis[0].r * (axis[1].n + axis[1].r);
    return cvg_arena_take(arena, cvg_max(back, cvg_winograd_scratch(&cut->w, kernels)), kernels->size);
}

size_t cvg_winograd_weight_workspace(const struct cvg_shape *s, const struct cvg_kernels *kernels, int n, int workers)
{
    const struct cut cut = cut_of(s, kernels, n);
    struct cvg_arena arena = cvg_arena_on(NULL);
    carve_shared(&cut, kernels, &arena);
    for (int worker = 0; worker < workers; worker++)
        carve(&cut, kernels, &arena);
    return arena.overflow ? SIZE_MAX : cvg_arena_size(&arena);
}

struct call {
    const struct cvg_task *task;
    struct cut cut;
    struct cvg_winograd_maps maps[2];
    struct shared shared;
    size_t scratch_base, scratch_size;
    /* The block and the group of runs that are computed now. */
    int64_t g, c, c_count, k, k_count;
    int64_t first, tiles;
};

static char *scratch_of(const struct call *call, int worker)
{
    struct cvg_arena arena = cvg_arena_on(call->task->workspace);
    arena.used = call->scratch_base + (size_t)worker * call->scratch_size;
    return carve(&call->cut, call->task->kernels, &arena);
}

/* A run of the group, and a vector of c or k. */
static void transform_job(void *context, int64_t job, int worker)
{
    const struct call *call = context;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_winograd *w = &call->cut.w;
    const int64_t vector = t->kernels->vector, c_vectors = cvg_ceil_div(call->c_count, vector);
    const int64_t vectors = c_vectors + cvg_ceil_div(call->k_count, vector), at = job % vectors;
    const struct cvg_winograd_run run = cvg_winograd_run_at(w, call->first + job / vectors);
    const int gradient = at >= c_vectors;
    const int64_t lane = (gradient ? at - c_vectors : at) * vector; /* in the block of c, or of k */
    const int64_t channel = gradient ? run.n * s->K + call->g * s->Kg + call->k + lane
                                     : run.n * s->C + call->g * s->Cg + call->c + lane;
    const int64_t plane = gradient ? s->out_size : s->in_size, count = gradient ? call->k_count : call->c_count;
    const struct cvg_winograd_planes *to = gradient ? &call->shared.gradient : &call->shared.input;
    cvg_winograd_to_points(w, call->maps, t->kernels, &run, gradient,
                           cvg_at(t, gradient ? t->grad_output : t->input, channel * plane), plane,
                           (int)cvg_min(vector, count - lane), to, cvg_at(t, to->base, run.at * to->row + lane),
                           scratch_of(call, worker));
}

/* A point, and some c. */
static void product_job(void *context, int64_t job, int worker)
{
    const struct call *call = context;
    const struct cvg_kernels *kernels = call->task->kernels;
    const struct shared *x = &call->shared;
    const int64_t size = (int64_t)kernels->size, vector = kernels->vector, point = job % call->cut.w.points;
    const int64_t begin = job / call->cut.w.points * ROWS, end = cvg_min(call->c_count, begin + ROWS);
    const int64_t lanes = cvg_ceil_div(call->k_count, vector) * vector;
    (void)worker;
    for (int64_t lane = 0; lane < lanes;) {
        const struct cvg_tile *tile = cvg_panel_tile(kernels, kernels->main, lanes - lane);
        const int64_t panels = (lanes - lane) / tile->lanes, rows = cvg_even_rows(end - begin, tile->rows);
        const struct cvg_terms terms = {
            .count = call->tiles,
            .a = x->a,
            .b = x->b,
            .blocks = 1,
            .tiles = panels,
            .b_tile = tile->lanes,
            .acc_tile = tile->lanes,
        };
        for (int64_t c = begin; c < end; c += rows)
            tile->run((int)cvg_min(rows, end - c), &terms, x->input.base + (point * x->input.plane + c) * size, NULL,
                      x->gradient.base + (point * x->gradient.plane + lane) * size,
                      x->sums.base + (point * x->sums.plane + lane) * size, x->place + c, call->first == 0);
        lane += panels * tile->lanes;
    }
}

/* Transforms the sums of a few c and a vector of k back. */
static void finish_job(void *context, int64_t job, int worker)
{
    const struct call *call = context;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const struct cvg_winograd_planes *sums = &call->shared.sums;
    const int64_t vector = kernels->vector, size = (int64_t)kernels->size;
    const int64_t parts = cvg_ceil_div(call->c_count, FEW), c = job % parts * FEW, k = job / parts * vector;
    const int64_t count = cvg_min(FEW, call->c_count - c);
    const int64_t n = call->cut.w.axis[1].n, r = s->filter[1], q = s->filter[2];
    char *out = scratch_of(call, worker), *between = out + count * r * q * vector * size;
    struct cvg_points rows = call->maps[0].collect_weight, columns = call->maps[1].collect_weight;
    rows.outer = columns.outer = count;
    rows.src_outer = sums->row;
    rows.dst_outer = r * n * vector;
    rows.count = n;
    rows.src_item = sums->plane;
    rows.dst_item = vector;
    rows.src_step = n * sums->plane;
    rows.dst_step = n * vector;
    columns.src_outer = r * n * vector;
    columns.dst_outer = r * q * vector;
    columns.count = r;
    columns.src_item = n * vector;
    columns.dst_item = q * vector;
    columns.src_step = columns.dst_step = vector;
    kernels->points(&rows, sums->base + (c * sums->row + k) * size, between);
    kernels->points(&columns, between, out);
    kernels->unturn(cvg_at(t, t->result, (call->g * s->Kg + call->k + k) * s->taps + (call->c + c) * r * q), s->taps,
                    out, (int)vector, (int)cvg_min(vector, call->k_count - k), count * r * q, t->scale, NULL,
                    t->accumulate);
}

/* One block of c and k, over all tiles. */
static void block(struct call *call)
{
    const struct cvg_task *t = call->task;
    const struct cvg_winograd *w = &call->cut.w;
    const int64_t vector = t->kernels->vector;
    const int64_t c_vectors = cvg_ceil_div(call->c_count, vector), k_vectors = cvg_ceil_div(call->k_count, vector);
    if (w->runs == 0)
        memset(call->shared.sums.base, 0, (size_t)(w->points * call->shared.sums.plane) * t->kernels->size);
    for (call->first = 0; call->first < w->runs; call->first += w->group) {
        const int64_t end = cvg_min(w->runs, call->first + w->group);
        call->tiles = cvg_winograd_tiles(w, call->first, end);
        cvg_parallel(t->threads, t->workers, (end - call->first) * (c_vectors + k_vectors), transform_job, call);
        cvg_parallel(t->threads, t->workers, w->points * cvg_ceil_div(call->c_count, ROWS), product_job, call);
    }
    cvg_parallel(t->threads, t->workers, cvg_ceil_div(call->c_count, FEW) * k_vectors, finish_job, call);
}

void cvg_winograd_weight(const struct cvg_task *task, int n)
{
    const struct cvg_shape *s = task->shape;
    struct call call = {.task = task, .cut = cut_of(s, task->kernels, n)};
    const struct cut *cut = &call.cut;
    struct cvg_arena arena = cvg_arena_on(task->workspace), one = cvg_arena_on(NULL);

    call.shared = carve_shared(cut, task->kernels, &arena);
    call.scratch_base = arena.used;
    carve(cut, task->kernels, &one);
    call.scratch_size = one.used;
    for (int i = 0; i < 2; i++)
        cvg_winograd_maps_of(&cut->w.axis[i], task->kernels, &call.maps[i]);
    for (int64_t i = 0; i < cut->w.group_tiles; i++) {
        call.shared.a[i] = i * call.shared.input.row;
        call.shared.b[i] = i * call.shared.gradient.row;
    }
    for (int64_t i = 0; i < cut->c_count; i++)
        call.shared.place[i] = i * call.shared.sums.row;
    for (call.g = 0; call.g < s->G; call.g++)
        for (call.c = 0; call.c < s->Cg; call.c += cut->c_count)
            for (call.k = 0; call.k < s->Kg; call.k += cut->k_count) {
                call.c_count = cvg_min(cut->c_count, s->Cg - call.c);
                call.k_count = cvg_min(cut->k_count, s->Kg - call.k);
                block(&call);
            }
}
