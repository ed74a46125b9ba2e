/*
 * grad_weight by Winograd's algorithm (winograd.h).
 *
 *   U[f][c][k] = sum over tiles of V[f][tile][c] * M[f][tile][k]
 *
 * A job has a block of channels c and k, so that its sums stay near, and a part of the images: for
 * groups of runs one after the other it transforms input and grad_output and multiplies all
 * points; at the end it transforms the sums back.  Every sum of a part runs over its tiles in
 * order, and the parts depend on the shape alone; so blocks may depend on the threads.
 */
#include "parts.h"
#include "winograd.h"

#include <string.h>

enum {
    BLOCK = 128,             /* channels c and k of one block, at most, */
    BLOCK_BYTES = 9 << 19,   /* if their sums take no more */
    BLOCK_STEP = 16,
    ROWS = 64,               /* c that are multiplied at a time */
    FEW = 64,                /* c that are transformed back at a time */
    SUMS_BYTES = 1 << 20,    /* fewer stay near, so that */
    FEW_TILES = 28,          /* so many tiles at a time are enough; */
    MOST_TILES = 64,         /* otherwise so many make reading and writing the sums pay, */
    PLANES_BYTES = 3 << 20,  /* in as many bytes of transformed input and gradient */
    LEAST_TILES = 12,
    PART_TILES = 384,        /* so many pay for one more part's way back from points */
    TRANSFORM = 50,          /* of a channel, in multiplications of a pair of channels */
};

struct cut {
    struct cvg_winograd w;
    int64_t c_count, k_count; /* of one block, at most: what a worker has room for */
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

/* What one worker has. */
struct scratch {
    struct cvg_winograd_planes input, gradient; /* of a group's tiles: [point][tile][channel] */
    struct cvg_winograd_planes sums;            /* [point][c][k] */
    int64_t *a, *b, *place;                     /* of each tile in the planes; of each c in the sums */
    char *transform;                            /* of a run, or of few c's sums */
};

static struct scratch carve(const struct cut *cut, const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    const struct cvg_winograd *w = &cut->w;
    const int64_t back = FEW * kernels->vector * w->axis[0].r * (w->axis[1].n + w->axis[1].r);
    struct scratch x;
    x.input = cvg_winograd_planes_of(w, kernels, w->group_tiles, cut->c_count, arena);
    x.gradient = cvg_winograd_planes_of(w, kernels, w->group_tiles, cut->k_count, arena);
    x.sums = cvg_winograd_planes_of(w, kernels, cut->c_count, cut->k_count, arena);
    x.a = cvg_arena_take(arena, w->group_tiles, sizeof *x.a);
    x.b = cvg_arena_take(arena, w->group_tiles, sizeof *x.b);
    x.place = cvg_arena_take(arena, cut->c_count, sizeof *x.place);
    x.transform = cvg_arena_take(arena, cvg_max(back, cvg_winograd_scratch(w, kernels)), kernels->size);
    return x;
}

/* The most parts of the sums, whatever the batch, of a weight of so many blocks. */
static int64_t most_parts(const struct cvg_shape *s)
{
    return cvg_parts_most(s, s->G * cvg_ceil_div(s->Cg, BLOCK) * cvg_ceil_div(s->Kg, BLOCK));
}

/* Those that pay; a power of two, as threads often are. */
static int64_t parts_of(const struct cvg_shape *s, const struct cvg_winograd *w)
{
    const int64_t most = cvg_min(s->N, most_parts(s));
    const int64_t tiles = cvg_times(s->N, w->tiles[0] * w->tiles[1]);
    int64_t parts = 1;
    while (2 * parts <= most && tiles / (2 * parts) >= PART_TILES)
        parts *= 2;
    return parts;
}

/* Takes room for the sums of parts, which all workers share. */
static char *carve_partial(const struct cvg_shape *s, const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    const int64_t most = most_parts(s);
    return cvg_arena_take(arena, most > 1 ? cvg_times(most, s->K * s->taps) : 0, kernels->size);
}

size_t cvg_winograd_weight_workspace(const struct cvg_shape *s, const struct cvg_kernels *kernels, int n, int workers)
{
    const struct cut cut = cut_of(s, kernels, n);
    struct cvg_arena arena = cvg_arena_on(NULL);
    carve_partial(s, kernels, &arena);
    const size_t begin = arena.used;
    carve(&cut, kernels, &arena);
    cvg_arena_repeat(&arena, begin, workers);
    return arena.overflow ? SIZE_MAX : cvg_arena_size(&arena);
}

struct call {
    const struct cvg_task *task;
    struct cut cut;
    struct cvg_winograd_maps maps[2];
    int64_t c_count, k_count; /* of one block, at most, with these workers */
    int64_t c_blocks, k_blocks;
    int64_t parts, groups; /* groups of channels, each once for each sub-filter and part */
    char *partial;
    size_t scratch_base, scratch_size;
};

static struct scratch scratch_of(const struct call *call, int worker)
{
    struct cvg_arena arena = cvg_arena_on(call->task->workspace);
    arena.used = call->scratch_base + (size_t)worker * call->scratch_size;
    return carve(&call->cut, call->task->kernels, &arena);
}

/*
 * Smaller blocks than there is room for mean more transforms, but keep more workers busy: takes
 * those whose last job is done first.
 */
static void choose_blocks(struct call *call)
{
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const int64_t vector = t->kernels->vector;
    const int64_t k_least = cvg_ceil_div(s->Kg, call->cut.k_count);
    double least = HUGE_VAL;
    for (int64_t c_blocks = cvg_ceil_div(s->Cg, call->cut.c_count); c_blocks <= s->Cg; c_blocks++) {
        const int64_t c = block_of(s->Cg, cvg_ceil_div(s->Cg, c_blocks), vector);
        for (int64_t k_blocks = k_least; k_blocks <= s->Kg; k_blocks++) {
            const int64_t k = block_of(s->Kg, cvg_ceil_div(s->Kg, k_blocks), vector);
            const double jobs = (double)call->groups * (double)(c_blocks * k_blocks);
            const double cost = ceil(jobs / t->workers) * (double)(c * k + TRANSFORM * (c + k));
            if (cost < least) {
                least = cost;
                call->c_count = c;
                call->k_count = k;
            }
            if (jobs >= t->workers)
                break;
        }
        if (call->groups * c_blocks * k_least >= t->workers)
            break;
    }
    call->c_blocks = cvg_ceil_div(s->Cg, call->c_count);
    call->k_blocks = cvg_ceil_div(s->Kg, call->k_count);
}

/* A part and a block of channels: all that a job computes. */
struct piece {
    const struct call *call;
    struct scratch x;
    struct cvg_winograd_sub sub;
    int64_t part, g, c, k, c_count, k_count; /* c and k from the group's first on */
};

/* Transforms a run of the group that begins with run first: the input's c or the gradient's k. */
static void to_points(const struct piece *p, int64_t first, int64_t index, int gradient)
{
    const struct call *call = p->call;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const int64_t vector = t->kernels->vector, plane = gradient ? s->out_size : s->in_size;
    const int64_t count = gradient ? p->k_count : p->c_count;
    const struct cvg_winograd_run run = cvg_winograd_run_at(&call->cut.w, first, index);
    const int64_t channel = gradient ? run.n * s->K + p->g * s->Kg + p->k : run.n * s->C + p->g * s->Cg + p->c;
    const struct cvg_winograd_planes *to = gradient ? &p->x.gradient : &p->x.input;
    const void *from = gradient ? t->grad_output : t->input;
    for (int64_t lane = 0; lane < count; lane += vector)
        cvg_winograd_to_points(&call->cut.w, call->maps, t->kernels, &run, gradient ? NULL : p->sub.first,
                               cvg_at(t, from, (channel + lane) * plane), plane, (int)cvg_min(vector, count - lane),
                               to, cvg_at(t, to->base, run.at * to->row + lane), p->x.transform);
}

/* Multiplies the tiles of a group, for all points: stores the sums if fresh, or adds to them. */
static void multiply(const struct piece *p, int64_t tiles, int fresh)
{
    const struct cvg_kernels *kernels = p->call->task->kernels;
    const struct scratch *x = &p->x;
    const int64_t size = (int64_t)kernels->size, vector = kernels->vector;
    const int64_t lanes = cvg_ceil_div(p->k_count, vector) * vector;
    for (int64_t point = 0; point < p->call->cut.w.points; point++)
        for (int64_t begin = 0; begin < p->c_count; begin += ROWS)
            for (int64_t lane = 0; lane < lanes;) {
                const int64_t end = cvg_min(p->c_count, begin + ROWS);
                const struct cvg_tile *tile = cvg_panel_tile(kernels, kernels->main, lanes - lane);
                const int64_t panels = (lanes - lane) / tile->lanes, rows = cvg_even_rows(end - begin, tile->rows);
                const struct cvg_terms terms = {
                    .count = tiles,
                    .a = x->a,
                    .b = x->b,
                    .blocks = 1,
                    .tiles = panels,
                    .b_tile = tile->lanes,
                    .acc_tile = tile->lanes,
                };
                for (int64_t c = begin; c < end; c += rows)
                    tile->run((int)cvg_min(rows, end - c), &terms,
                              x->input.base + (point * x->input.plane + c) * size, NULL,
                              x->gradient.base + (point * x->gradient.plane + lane) * size,
                              x->sums.base + (point * x->sums.plane + lane) * size, x->place + c, fresh);
                lane += panels * tile->lanes;
            }
}

/* Transforms the sums of a few c from one on and a vector of k back. */
static void finish(const struct piece *p, int64_t c, int64_t lane)
{
    const struct call *call = p->call;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const struct cvg_winograd_planes *sums = &p->x.sums;
    const int64_t vector = kernels->vector, size = (int64_t)kernels->size, count = cvg_min(FEW, p->c_count - c);
    const int64_t n = call->cut.w.axis[1].n, r = p->sub.size[0], q = p->sub.size[1];
    char *out = p->x.transform, *between = out + count * r * q * vector * size;
    struct cvg_points rows = call->maps[0].collect_weight, columns = call->maps[1].collect_weight;
    rows.out = (int)r;
    rows.outer = columns.outer = count;
    rows.src_outer = sums->row;
    rows.dst_outer = r * n * vector;
    rows.count = n;
    rows.src_item = sums->plane;
    rows.dst_item = vector;
    rows.src_step = n * sums->plane;
    rows.dst_step = n * vector;
    columns.out = (int)q;
    columns.src_outer = r * n * vector;
    columns.dst_outer = r * q * vector;
    columns.count = r;
    columns.src_item = n * vector;
    columns.dst_item = q * vector;
    columns.src_step = columns.dst_step = vector;
    kernels->points(&rows, sums->base + (c * sums->row + lane) * size, between);
    kernels->points(&columns, between, out);

    const int64_t to = (p->g * s->Kg + p->k + lane) * s->taps + (p->c + c) * s->filter_size +
                       p->sub.first[0] * s->filter[2] + p->sub.first[1];
    char *const result = call->parts > 1 ? cvg_at(t, call->partial, p->part * s->K * s->taps) : t->result;
    const int64_t together = call->cut.w.subs == 1 ? count * r : 1; /* rows of the filter */
    for (int64_t row = 0; row < count * r; row += together)
        kernels->unturn(cvg_at(t, result, to + row / r * s->filter_size + row % r * s->filter[2]), s->taps,
                        out + row * q * vector * size, (int)vector, (int)cvg_min(vector, p->k_count - lane),
                        together * q, call->parts > 1 ? 1 : t->scale, NULL, call->parts > 1 ? 0 : t->accumulate);
}

static void weight_job(void *context, int64_t job, int worker)
{
    const struct call *call = context;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_winograd *w = &call->cut.w;
    const int64_t c_block = job / call->parts % call->c_blocks;
    const int64_t k_block = job / call->parts / call->c_blocks % call->k_blocks;
    const int64_t group = job / call->parts / call->c_blocks / call->k_blocks;
    struct piece p = {.call = call, .x = scratch_of(call, worker), .part = job % call->parts};
    p.g = group / w->subs;
    p.sub = cvg_winograd_sub_at(w, group % w->subs);
    p.c = c_block * call->c_count;
    p.k = k_block * call->k_count;
    p.c_count = cvg_min(call->c_count, s->Cg - p.c);
    p.k_count = cvg_min(call->k_count, s->Kg - p.k);
    for (int64_t i = 0; i < w->group_tiles; i++) {
        p.x.a[i] = i * p.x.input.row;
        p.x.b[i] = i * p.x.gradient.row;
    }
    for (int64_t i = 0; i < p.c_count; i++)
        p.x.place[i] = i * p.x.sums.row;

    const int64_t image = w->row_runs * w->segments; /* its runs */
    const int64_t begin = s->N * p.part / call->parts * image, end = s->N * (p.part + 1) / call->parts * image;
    for (int64_t first = begin; first < end; first += w->group) {
        const int64_t last = cvg_min(end, first + w->group);
        for (int64_t index = first; index < last; index++) {
            to_points(&p, first, index, 0);
            to_points(&p, first, index, 1);
        }
        multiply(&p, cvg_winograd_tiles(w, first, last), first == begin);
    }
    for (int64_t lane = 0; lane < p.k_count; lane += t->kernels->vector)
        for (int64_t c = 0; c < p.c_count; c += FEW)
            finish(&p, c, lane);
}

void cvg_winograd_weight(const struct cvg_task *task, int n)
{
    const struct cvg_shape *s = task->shape;
    struct call call = {.task = task, .cut = cut_of(s, task->kernels, n)};
    struct cvg_arena arena = cvg_arena_on(task->workspace), one = cvg_arena_on(NULL);

    call.parts = parts_of(s, &call.cut.w);
    call.partial = carve_partial(s, task->kernels, &arena);
    call.scratch_base = arena.used;
    carve(&call.cut, task->kernels, &one);
    call.scratch_size = one.used;
    for (int i = 0; i < 2; i++)
        cvg_winograd_maps_of(&call.cut.w.axis[i], task->kernels, &call.maps[i]);
    call.groups = call.parts * s->G * call.cut.w.subs;
    choose_blocks(&call);
    cvg_parallel(task->threads, task->workers, call.groups * call.c_blocks * call.k_blocks, weight_job, &call);
    if (call.parts > 1)
        cvg_parts_add(task, call.parts, call.partial);
}
