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
#include "../../text.h"
#include "../parts.h"
#include "winograd.h"

#include <inttypes.h>
#include <string.h>

enum {
    BLOCK = 128,           /* channels c and k of one block, at most, */
    BLOCK_BYTES = 9 << 19, /* if their sums take no more */
    BLOCK_STEP = 16,
    ROWS = 64,             /* c that are multiplied at a time */
    FEW = 64,              /* c that are transformed back at a time */
    SUMS_BYTES = 1 << 20,  /* fewer stay near, so that */
    FEW_TILES = 28,        /* so many tiles at a time are enough; */
    MOST_TILES = 128,      /* otherwise so many make reading and writing the sums pay, */
    NEAR_BYTES = 15 << 19, /* in as many bytes of sums and transformed input and gradient; */
    LEAST_TILES = 12,
    ASKED_BYTES = 1 << 18, /* sums that take more are asked for before they grow on */
    PART_TILES = 384,      /* so many pay for one more part's way back from points */
    TRANSFORM = 50,        /* of a channel, in multiplications of a pair of channels */
};

struct cut {
    struct cvg_winograd w;
    int64_t c_most, k_most;                       /* of one block: what a worker has room for */
    int64_t c_count, k_count, c_blocks, k_blocks; /* with these workers */
    int64_t groups;                               /* of channels, each once for each sub-filter and part */
    struct cvg_winograd_planes input, gradient;   /* of a group's tiles: [point][tile][channel] */
    struct cvg_winograd_planes sums;              /* [point][c][k] */
};

/* What is decided when the plan is made. */
struct state {
    struct cut cut;
    struct cvg_winograd_maps maps[2];
};

/* The channels of even blocks of at most so many, in whole vectors unless there are fewer. */
static int64_t block_of(int64_t channels, int64_t most, int64_t vector)
{
    return cvg_min(channels, cvg_ceil_div(cvg_even_rows(channels, most), vector) * vector);
}

static CVG_ONCE struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, int n)
{
    const struct cvg_winograd one = cvg_winograd_of(s, n, CVG_GRAD_WEIGHT, 1);
    struct cut cut;
    int64_t most = BLOCK;
    while (most > BLOCK_STEP && one.points * most * most * (int64_t)kernels->size > BLOCK_BYTES)
        most -= BLOCK_STEP;
    cut.c_most = block_of(s->Cg, most, kernels->vector);
    cut.k_most = block_of(s->Kg, most, kernels->vector);
    const int64_t sums = one.points * cut.c_most * cut.k_most * (int64_t)kernels->size;
    const int64_t tile = one.points * (cut.c_most + cut.k_most) * (int64_t)kernels->size;
    const int64_t tiles = sums <= SUMS_BYTES ? FEW_TILES : MOST_TILES;
    cut.w = cvg_winograd_of(s, n, CVG_GRAD_WEIGHT, cvg_max(LEAST_TILES, cvg_min(tiles, (NEAR_BYTES - sums) / tile)));
    return cut;
}

/* Pieces of a worker's scratch. */
enum { INPUT, GRADIENT, SUMS, A, B, PLACE, TRANSFORMED };

struct scratch {
    char *input, *gradient, *sums; /* planes */
    int64_t *a, *b, *place;        /* of each tile in the planes; of each c in the sums */
    char *transform;               /* of a run, or of few c's sums */
};

static struct scratch scratch_of(const struct cvg_job *job)
{
    return (struct scratch){cvg_own_piece(job, INPUT),      cvg_own_piece(job, GRADIENT), cvg_own_piece(job, SUMS),
                            cvg_own_piece(job, A),          cvg_own_piece(job, B),        cvg_own_piece(job, PLACE),
                            cvg_own_piece(job, TRANSFORMED)};
}

static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, struct cut *cut,
                    struct cvg_work *work)
{
    const struct cvg_winograd *w = &cut->w;
    const int64_t back = FEW * kernels->vector * w->axis[0].r * (w->axis[1].n + w->axis[1].r);
    cut->input = cvg_winograd_planes_of(w, kernels, w->group_tiles, cut->c_most, work);
    cut->gradient = cvg_winograd_planes_of(w, kernels, w->group_tiles, cut->k_most, work);
    cut->sums = cvg_winograd_planes_of(w, kernels, cut->c_most, cut->k_most, work);
    cvg_work_piece(work, w->group_tiles, sizeof(int64_t));
    cvg_work_piece(work, w->group_tiles, sizeof(int64_t));
    cvg_work_piece(work, cut->c_most, sizeof(int64_t));
    cvg_work_piece(work, cvg_max(back, cvg_winograd_scratch(w, kernels, cvg_winograd_together(s, kernels, BLOCK), 0)),
                   kernels->size);
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
    const int64_t tiles = cvg_times(s->N, w->depth.planes * w->tiles[0] * w->tiles[1]);
    int64_t parts = 1;
    while (2 * parts <= most && tiles / (2 * parts) >= PART_TILES)
        parts *= 2;
    return parts;
}

/*
 * Smaller blocks than there is room for mean more transforms, but keep more workers busy: takes
 * those whose last job is done first.
 */
static void choose_blocks(const struct cvg_shape *s, int64_t vector, int workers, struct cut *cut)
{
    const int64_t k_least = cvg_ceil_div(s->Kg, cut->k_most);
    double least = HUGE_VAL;
    int64_t c = 0, k;
    for (int64_t c_blocks = cvg_ceil_div(s->Cg, cut->c_most); c_blocks <= s->Cg && c != vector; c_blocks++) {
        const int64_t before = c;
        if ((c = block_of(s->Cg, cvg_ceil_div(s->Cg, c_blocks), vector)) == before)
            continue;
        k = 0;
        for (int64_t k_blocks = k_least; k_blocks <= s->Kg && k != vector; k_blocks++) {
            k = block_of(s->Kg, cvg_ceil_div(s->Kg, k_blocks), vector);
            const double jobs = (double)cut->groups * (double)(c_blocks * k_blocks);
            const double cost = ceil(jobs / workers) * (double)(c * k + TRANSFORM * (c + k));
            if (cost < least) {
                least = cost;
                cut->c_count = c;
                cut->k_count = k;
            }
            if (jobs >= workers)
                break;
        }
        if (cut->groups * c_blocks * k_least >= workers)
            break;
    }
    cut->c_blocks = cvg_ceil_div(s->Cg, cut->c_count);
    cut->k_blocks = cvg_ceil_div(s->Kg, cut->k_count);
}

/* A part and a block of channels: all that a job computes. */
struct piece {
    const struct cvg_task *task;
    const struct state *state;
    struct scratch x;
    struct cvg_winograd w; /* with the planes for which the tap of sub reads any */
    struct cvg_winograd_sub sub;
    struct cvg_filters to; /* the result, or partial sums of it */
    const struct cvg_finish *finish;
    int64_t g, c, k, c_count, k_count; /* c and k from the group's first on */
};

/* Transforms a run of the group that begins with run first: the input's c or the gradient's k. */
static void to_points(const struct piece *p, int64_t first, int64_t index, int gradient)
{
    const struct cvg_task *t = p->task;
    const struct cut *cut = &p->state->cut;
    const struct cvg_shape *s = t->shape;
    const int64_t together = cvg_winograd_together(s, t->kernels, BLOCK);
    const int64_t count = gradient ? p->k_count : p->c_count;
    const struct cvg_winograd_run run = cvg_winograd_run_at(&p->w, first, index);
    const int64_t channel = gradient ? p->g * s->Kg + p->k : p->g * s->Cg + p->c;
    const struct cvg_winograd_planes *to = gradient ? &cut->gradient : &cut->input;
    char *const planes = gradient ? p->x.gradient : p->x.input;
    const struct cvg_view from = gradient ? cvg_view_out(t, t->grad_output) : cvg_view_in(t, t->input);
    for (int64_t lane = 0; lane < count; lane += together)
        cvg_winograd_to_points(&cut->w, p->state->maps, t->kernels, &run, gradient ? NULL : p->sub.first, &from,
                               channel + lane, (int)cvg_min(together, count - lane), to,
                               cvg_at(t, planes, run.at * to->row + lane), p->x.transform);
}

/* What is asked for while other products are made: lines of three pieces of memory. */
struct asked {
    const char *piece[3];
    int64_t lines[3], done;
    int now;
};

/* Sums, input and gradient of a point. */
static struct asked asked_of(const struct piece *p, int64_t point, int64_t tiles)
{
    const struct cut *cut = &p->state->cut;
    const int64_t size = (int64_t)p->task->kernels->size;
    const int64_t rows[] = {p->c_count * cut->sums.row, tiles * cut->input.row, tiles * cut->gradient.row};
    struct asked a = {.piece = {p->x.sums + point * cut->sums.plane * size,
                                p->x.input + point * cut->input.plane * size,
                                p->x.gradient + point * cut->gradient.plane * size}};
    for (int i = 0; i < 3; i++)
        a.lines[i] = rows[i] * size / CVG_ALIGNMENT;
    return a;
}

/* The next so many lines, or those that are left, or NULL. */
static const char *ask(struct asked *a, int64_t lines)
{
    while (a->now < 3 && a->done >= a->lines[a->now]) {
        a->now++;
        a->done = 0;
    }
    a->done += lines;
    return a->now < 3 ? a->piece[a->now] + (a->done - lines) * CVG_ALIGNMENT : NULL;
}

/*
 * Multiplies the tiles of a group, for all points: stores the sums if fresh, or adds to them.  Meanwhile asks for what
 * the next point needs.
 */
static void multiply(const struct piece *p, int64_t tiles, int fresh)
{
    const struct cvg_kernels *kernels = p->task->kernels;
    const struct cut *cut = &p->state->cut;
    const struct scratch *x = &p->x;
    const int64_t size = (int64_t)kernels->size, vector = kernels->vector;
    const int64_t lanes = cvg_ceil_div(p->k_count, vector) * vector;
    const int asks = CVG_FAST && cut->w.points * p->c_count * p->k_count * size > ASKED_BYTES;
    for (int64_t point = 0; point < cut->w.points; point++) {
        struct asked asked = {.now = 0};
        if (asks)
            asked = asked_of(p, point + 1, tiles);
        for (int64_t begin = 0; begin < p->c_count; begin += ROWS)
            for (int64_t lane = 0; lane < lanes;) {
                const int64_t end = cvg_min(p->c_count, begin + ROWS);
                const struct cvg_tile *tile = cvg_panel_tile(kernels, kernels->main, lanes - lane);
                const int64_t panels = (lanes - lane) / tile->lanes, rows = cvg_even_rows(end - begin, tile->rows);
                struct cvg_terms terms = {
                    .count = tiles,
                    .a = x->a,
                    .b = x->b,
                    .tiles = panels,
                    .b_tile = tile->lanes,
                    .acc_tile = tile->lanes,
                    .ahead_step = CVG_ALIGNMENT,
                };
                for (int64_t c = begin; c < end; c += rows) {
                    terms.ahead = asks && point + 1 < cut->w.points ? ask(&asked, tiles * panels) : NULL;
                    cvg_run_tiles(tile, size, (int)cvg_min(rows, end - c), &terms,
                                  x->input + (point * cut->input.plane + c) * size, NULL,
                                  x->gradient + (point * cut->gradient.plane + lane) * size,
                                  x->sums + (point * cut->sums.plane + lane) * size, x->place + c, fresh);
                }
                lane += panels * tile->lanes;
            }
    }
}

/* Transforms the sums of a few c from one on and a vector of k back. */
static void finish(const struct piece *p, int64_t c, int64_t lane)
{
    const struct cvg_task *t = p->task;
    const struct cut *cut = &p->state->cut;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const struct cvg_winograd_planes *sums = &cut->sums;
    const int64_t vector = kernels->vector, size = (int64_t)kernels->size, count = cvg_min(FEW, p->c_count - c);
    const int64_t n = cut->w.axis[1].n, r = p->sub.size[0], q = p->sub.size[1];
    char *out = p->x.transform, *between = out + count * r * q * vector * size;
    struct cvg_winograd_map map = {p->state->maps[0].collect_weight, p->state->maps[1].collect_weight};
    const struct cvg_winograd_steps from = {sums->row, n * sums->plane, sums->plane};
    const struct cvg_winograd_steps steps = {r * q * vector, q * vector, vector};
    map.rows.out = (int)r;
    map.columns.out = (int)q;
    cvg_winograd_transform(kernels, &map, count, &from, p->x.sums + (c * sums->row + lane) * size, &steps, out,
                           between);

    const struct cvg_filters *to = &p->to;
    const int64_t first = (p->sub.first[0] * s->filter[1] + p->sub.first[1]) * s->filter[2] + p->sub.first[2];
    const int whole = cut->w.flat == 1; /* planes of the filter; or rows of it */
    for (int64_t row = 0; row < (whole ? 1 : count * r); row++)
        cvg_write_filters(to, kernels, p->g * s->Kg + p->k + lane, (int)cvg_min(vector, p->k_count - lane),
                          p->c + c + row / r, whole ? count : 1, first + row % r * s->filter[2], whole ? r * q : q,
                          (int)vector, out + row * q * vector * size, p->finish);
}

static void weight_job(const struct cvg_job *job, int64_t index)
{
    const struct state *state = cvg_state(job);
    const struct cut *cut = &state->cut;
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const int64_t parts = job->work->parts, part = index % parts;
    const int64_t c_block = index / parts % cut->c_blocks;
    const int64_t k_block = index / parts / cut->c_blocks % cut->k_blocks;
    const int64_t group = index / parts / cut->c_blocks / cut->k_blocks;
    struct piece p = {.task = t,
                      .state = state,
                      .x = scratch_of(job),
                      .w = cut->w,
                      .to = cvg_parts_filters(job, part),
                      .finish = cvg_parts_finish(job)};
    struct cvg_winograd *const w = &p.w;
    p.g = group / w->subs;
    p.sub = cvg_winograd_sub_at(w, group % w->subs);
    const struct cvg_winograd_range planes = cvg_winograd_planes_with(w, p.sub.first[0]);
    w->depth.plane = planes.first;
    w->depth.planes = planes.end - planes.first;
    cvg_winograd_count(w, s->N);
    p.c = c_block * cut->c_count;
    p.k = k_block * cut->k_count;
    p.c_count = cvg_min(cut->c_count, s->Cg - p.c);
    p.k_count = cvg_min(cut->k_count, s->Kg - p.k);
    for (int64_t i = 0; i < w->group_tiles; i++) {
        p.x.a[i] = i * cut->input.row;
        p.x.b[i] = i * cut->gradient.row;
    }
    for (int64_t i = 0; i < p.c_count; i++)
        p.x.place[i] = i * cut->sums.row;

    const int64_t begin = s->N * part / parts * w->image_runs, end = s->N * (part + 1) / parts * w->image_runs;
    if (begin == end) /* the tap reads no plane */
        memset(p.x.sums, 0, (size_t)(w->points * cut->sums.plane * (int64_t)t->kernels->size));
    for (int64_t first = begin; first < end; first += w->group) {
        const int64_t last = cvg_min(end, first + w->group);
        for (int64_t run = first; run < last; run++) {
            to_points(&p, first, run, 0);
            to_points(&p, first, run, 1);
        }
        multiply(&p, cvg_winograd_tiles(w, first, last), first == begin);
    }
    for (int64_t lane = 0; lane < p.k_count; lane += t->kernels->vector)
        for (int64_t c = 0; c < p.c_count; c += FEW)
            finish(&p, c, lane);
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *text)
{
    const struct cut *cut = &((const struct state *)cvg_state_of(work))->cut;
    cvg_write(text,
              "tiles of %d x %d from %d x %d, %" PRId64 " at a time; %" PRId64 " x %" PRId64
              " channels a job, parts of the sum: %" PRId64,
              cut->w.axis[0].m, cut->w.axis[1].m, cut->w.axis[0].n, cut->w.axis[1].n, cut->w.group_tiles, cut->c_count,
              cut->k_count, work->parts);
}

void cvg_winograd_weight(const struct cvg_shape *s, const struct cvg_kernels *kernels, int n, int workers,
                         struct cvg_work *work)
{
    struct state *state = cvg_work_state(work, sizeof *state);
    struct cut *cut = &state->cut;
    *cut = cut_of(s, kernels, n);
    cvg_parts_share(s, kernels, most_parts(s), work);
    lay_out(s, kernels, cut, work);
    for (int i = 0; i < 2; i++)
        cvg_winograd_maps_of(&cut->w.axis[i], kernels, &state->maps[i]);
    work->parts = parts_of(s, &cut->w);
    cut->groups = work->parts * s->G * cut->w.subs;
    choose_blocks(s, kernels->vector, workers, cut);
    cvg_work_phase(work, cut->groups * cut->c_blocks * cut->k_blocks, weight_job);
    cvg_parts_phase(s, work);
    cvg_work_describe(work, describe);
}
