/*
 * grad_weight with lanes of k:
 *
 *   grad_weight[k][c][tap] = sum over n, i of input[c][source(i, tap)] * grad_output[k][i]
 *
 * A job owns a block of k and a block of c and sums over regions of the output.
 * For each region grad_output is turned to lanes; the input is read in place or
 * from a window.  Tile rows are channels c that share a tap, and the sum runs
 * over just those positions at which the tap meets the input.  With few channels
 * that would leave tiles almost empty: then the window has its padding, all taps
 * share all positions, and tile rows are (c, tap).
 *
 * With one tap and neither stride nor padding, input and grad_output are alike: then the one of
 * fewer channels is turned to lanes, which costs least.
 */
#include "direct.h"
#include "parts.h"
#include "window.h"

#include <string.h>

enum {
    POSITIONS = 256,         /* of one region */
    WINDOW_ELEMENTS = 24576, /* a window holds about as many: 96 KiB in f32 */
    SUMS = 32768,            /* of one job */
    K_COUNT = 64,            /* k of one job */
    TAPS = 256,              /* of one job */
    FEW_CHANNELS = 4,        /* tile rows are (c, tap) up to here */
    LEAST_CHANNELS = 8,      /* of one job, if there are as many */
    MANY = 1 << 20,          /* a batch that needs the most scratch */
};

/* The tile for the next of so many lanes of k. */
static const struct cvg_tile *panel_tile(const struct cvg_kernels *kernels, int64_t lanes)
{
    return cvg_panel_tile(kernels, kernels->spread, lanes);
}

/* Whether input and grad_output trade places; see swapped(). */
static int swaps(const struct cvg_shape *s)
{
    int alike = s->filter_size == 1;
    for (int i = 0; i < 3; i++)
        alike &= s->stride[i] == 1 && s->pad[i] == 0 && s->in[i] == s->out[i];
    return alike && s->Kg > s->Cg && s->Cg > FEW_CHANNELS;
}

/* The problem whose input is grad_output and whose grad_output is the input: its weight is turned. */
static struct cvg_shape swapped(const struct cvg_shape *s)
{
    struct cvg_shape other = *s;
    other.C = s->K;
    other.K = s->C;
    other.Cg = other.taps = s->Kg;
    other.Kg = s->Cg;
    return other;
}

/* The pass cut into jobs; by the shape alone. */
struct cut {
    struct cvg_regions regions;
    int64_t k_count, k_blocks, c_count, c_blocks, taps, tap_blocks;
    int few;      /* tile rows are (c, tap) */
    int in_place; /* no window */
    int swap;     /* the shape is that of the swapped problem */
    int clip[3];
    int64_t jobs, parts; /* jobs of one part of the sum */
};

static struct cut cut_of(const struct cvg_shape *s)
{
    struct cut cut = {.regions = cvg_regions_of(s, 0, POSITIONS), .few = s->Cg <= FEW_CHANNELS};
    const int padded = cvg_axis_padded(&cut.regions, 0) || cvg_axis_padded(&cut.regions, 1) ||
                       cvg_axis_padded(&cut.regions, 2);
    for (int i = 0; i < 3; i++)
        cut.clip[i] = !cut.few;
    cut.in_place = s->filter_size == 1 && (!cut.few || !padded);
    cut.k_count = cvg_min(s->Kg, K_COUNT);
    cut.taps = cvg_min(s->filter_size, TAPS);
    int64_t c = SUMS / (cut.taps * cut.k_count);
    if (!cut.in_place)
        c = cvg_min(c, WINDOW_ELEMENTS / cvg_window_size(&cut.regions));
    c = cvg_min(s->Cg, cvg_max(LEAST_CHANNELS, c));
    cut.c_blocks = cvg_ceil_div(s->Cg, c);
    cut.c_count = cvg_ceil_div(s->Cg, cut.c_blocks);
    cut.k_blocks = cvg_ceil_div(s->Kg, cut.k_count);
    cut.tap_blocks = cvg_ceil_div(s->filter_size, cut.taps);
    cut.jobs = s->G * cut.k_blocks * cut.c_blocks * cut.tap_blocks;
    cut.parts = cvg_parts(s, cut.jobs, cut.regions.count);
    return cut;
}

/* The most channels c of one job, at any batch. */
static int64_t most_channels(const struct cvg_shape *s, const struct cut *cut)
{
    return cvg_min(s->Cg, cvg_max(LEAST_CHANNELS, SUMS / (cut->taps * cut->k_count)));
}

struct scratch {
    char *window, *lanes, *sums;
    int64_t *a, *b, *b_scaled; /* of each position: where input and grad_output lie */
    int64_t *row, *place; /* of each tile row: where it reads and is summed */
};

/* The scratch of one worker, enough for any batch. */
static struct scratch carve(const struct cvg_shape *shape, const struct cvg_kernels *kernels,
                            struct cvg_arena *arena)
{
    struct cvg_shape s = *shape;
    s.N = MANY;
    const struct cut cut = cut_of(&s);
    const int64_t *part = cut.regions.part;
    const int64_t positions = cut.regions.images * part[0] * part[1] * part[2];
    const int64_t k_lanes = cvg_panel_lanes(kernels, cut.k_count);
    const int64_t most = most_channels(&s, &cut); /* a smaller batch has smaller regions */
    const int64_t rows = cut.few ? most * cut.taps : most;
    const int64_t channel = cvg_window_size(&cut.regions);
    struct scratch x;
    x.window = cvg_arena_take(arena, cut.in_place ? 0
                                     : cvg_max(cvg_times(cut.c_count, channel),
                                               cvg_min(WINDOW_ELEMENTS, cvg_times(most, channel))),
                              kernels->size);
    x.lanes = cvg_arena_take(arena, positions * k_lanes, kernels->size);
    x.sums = cvg_arena_take(arena, most * cut.taps * k_lanes, kernels->size);
    x.a = cvg_arena_take(arena, positions, sizeof *x.a);
    x.b = cvg_arena_take(arena, positions, sizeof *x.b);
    x.b_scaled = cvg_arena_take(arena, positions, sizeof *x.b_scaled);
    x.row = cvg_arena_take(arena, rows, sizeof *x.row);
    x.place = cvg_arena_take(arena, rows, sizeof *x.place);
    return x;
}

/* What all jobs of a call share. */
struct call {
    const struct cvg_task *task;
    struct cut cut;
    char *partial; /* parts sums of the whole weight, if there are several */
    size_t scratch_base, scratch_size;
};

/* Takes room for partial sums, which all workers share; the scratch of each worker follows. */
static void carve_shared(struct call *call, const struct cvg_shape *s,
                         const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    struct cvg_arena one = cvg_arena_on(NULL);
    const struct cut cut = cut_of(s);
    /* Some batch has the smallest windows, so the fewest blocks of c, and so the most parts. */
    const int64_t least_jobs = cut.jobs / cut.c_blocks * cvg_ceil_div(s->Cg, most_channels(s, &cut));
    const int64_t most = cvg_parts_most(s, least_jobs);
    if (most > 1)
        call->partial = cvg_arena_take(arena, cvg_times(most, s->K * s->taps), kernels->size);
    call->scratch_base = arena->used;
    carve(s, kernels, &one);
    call->scratch_size = one.used;
    arena->overflow |= one.overflow;
}

/* grad_output of k_count channels in a region, as lanes: panels of [position][lane]. */
static void turn_gradient(const struct cvg_task *t, const struct cvg_region *region,
                          int64_t channel, int64_t k_count, char *lanes)
{
    const struct cvg_shape *s = t->shape;
    const int64_t *count = region->count, size = (int64_t)t->kernels->size;
    /* Whole rows, and whole planes, follow each other in memory. */
    const int rows_join = count[2] == s->out[2];
    const int planes_join = rows_join && count[1] == s->out[1];
    const int64_t length = count[2] * (rows_join ? count[1] : 1) * (planes_join ? count[0] : 1);
    const int64_t rows = rows_join ? 1 : count[1], planes = planes_join ? 1 : count[0];

    for (int64_t k = 0; k < k_count;) {
        const int width = panel_tile(t->kernels, k_count - k)->lanes;
        for (int64_t n = 0; n < region->images; n++)
            for (int64_t o = 0; o < planes; o++)
                for (int64_t p = 0; p < rows; p++, lanes += length * width * size) {
                    const int64_t from = ((region->n + n) * s->K + channel + k) * s->out_size +
                                         ((region->begin[0] + o) * s->out[1] + region->begin[1] +
                                          p) * s->out[2] + region->begin[2];
                    t->kernels->turn(lanes, width, cvg_at(t, t->grad_output, from), s->out_size,
                                     (int)cvg_min(width, k_count - k), length);
                }
        k += width;
    }
}

/* One job: blocks of group, k, c and taps, and what it works on. */
struct job {
    const struct cvg_task *task;
    const struct cut *cut;
    int64_t g, k, k_count, c, c_count, tap, taps;
    const struct scratch *x;
};

/*
 * Adds listed positions to the sums of rows tile rows, whose places count lanes: of a panel w
 * lanes wide the sums of (c, tap) begin at (c*taps + tap) * w.
 */
static void add_rows(const struct job *job, int64_t positions, int64_t region_positions,
                     const struct cvg_window *w, int64_t rows)
{
    const struct cvg_kernels *kernels = job->task->kernels;
    const int64_t size = (int64_t)kernels->size;
    const struct scratch *x = job->x;
    int lanes = 0; /* for which b is scaled */
    for (int64_t k = 0; k < job->k_count;) {
        const struct cvg_tile *tile = panel_tile(kernels, job->k_count - k);
        const int64_t tiles = cvg_ceil_div(rows, tile->rows);
        const struct cvg_terms terms = {.count = positions, .a = x->a, .b = x->b_scaled, .blocks = 1};
        for (int64_t j = 0; lanes != tile->lanes && j < positions; j++)
            x->b_scaled[j] = x->b[j] * tile->lanes;
        lanes = tile->lanes;
        for (int64_t i = 0, done = 0; i < tiles; i++) {
            const int count = (int)((rows - done) / (tiles - i)); /* as even as can be */
            int64_t place[CVG_TILE_ROWS];
            for (int r = 0; r < count; r++)
                place[r] = x->place[done + r] * tile->lanes;
            tile->run(count, &terms, w->base, x->row + done, x->lanes + k * region_positions * size,
                      x->sums + k * job->c_count * job->taps * size, place, 0);
            done += count;
        }
        k += tile->lanes;
    }
}

/* Adds the products of one region. */
static void add_region(const struct job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const struct cut *cut = job->cut;
    const struct scratch *x = job->x;
    const struct cvg_region region = cvg_region_at(&cut->regions, index);
    struct cvg_window w = cvg_window_of(&cut->regions, &region, cut->clip, cut->in_place, s->C);
    const int64_t channel = job->g * s->Cg + job->c;
    int64_t tap[3], rows = 0;

    turn_gradient(t, &region, job->g * s->Kg + job->k, job->k_count, x->lanes);
    if (cut->in_place) {
        w.base = cvg_at(t, t->input, region.n * w.image + channel * w.channel);
    } else {
        cvg_window_fill(&cut->regions, &region, &w, t->kernels, t->input, s->C, channel,
                        job->c_count, x->window);
        w.base = x->window;
    }
    if (!cut->few) {
        for (int64_t i = 0; i < job->taps; i++) {
            for (int64_t c = 0; c < job->c_count; c++) {
                x->row[c] = c * w.channel;
                x->place[c] = c * job->taps + i;
            }
            cvg_split(job->tap + i, s->filter, tap);
            add_rows(job, cvg_tap_positions(s, &region, &w, cut->clip, tap, x->a, x->b), region.positions, &w,
                     job->c_count);
        }
        return;
    }
    for (int64_t i = 0; i < job->taps; i++) {
        int meets = 1; /* a tap that nowhere meets the input has no place in the window */
        cvg_split(job->tap + i, s->filter, tap);
        for (int axis = 0; axis < 3; axis++) {
            int64_t first, end;
            cvg_tap_meets(s, &region, axis, tap[axis], 1, &first, &end);
            meets &= first < end;
        }
        for (int64_t c = 0; meets && c < job->c_count; c++, rows++) {
            x->row[rows] = c * w.channel + tap[0] * s->dilation[0] * w.step[0] +
                           tap[1] * s->dilation[1] * w.step[1] + tap[2] * s->dilation[2];
            x->place[rows] = c * job->taps + i;
        }
    }
    add_rows(job, cvg_tap_positions(s, &region, &w, cut->clip, (const int64_t[3]){0, 0, 0}, x->a, x->b),
             region.positions, &w, rows);
}

/* Writes the finished sums of the swapped problem: tile rows are k, lanes are c. */
static void write_swapped(const struct job *job, char *partial)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape; /* of c and k in each other's places */
    const int64_t size = (int64_t)t->kernels->size;
    for (int64_t k = 0; k < job->k_count;) {
        const int lanes = panel_tile(t->kernels, job->k_count - k)->lanes;
        const int64_t to = (job->g * s->Cg + job->c) * s->Kg + job->k + k;
        t->kernels->put_rows(partial ? partial + to * size : cvg_at(t, t->result, to), s->Kg, 1,
                             job->x->sums + k * job->c_count * size, lanes, job->c_count,
                             cvg_min(lanes, job->k_count - k), partial ? 1 : t->scale, NULL,
                             partial ? 0 : t->accumulate);
        k += lanes;
    }
}

/* Writes the finished sums to the result, or to this part's partial sums. */
static void write_sums(const struct job *job, char *partial)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const int64_t size = (int64_t)t->kernels->size;
    const int joined = job->taps == s->filter_size; /* channels follow each other */
    const int64_t length = joined ? job->c_count * job->taps : job->taps;
    for (int64_t k = 0; k < job->k_count;) {
        const int lanes = panel_tile(t->kernels, job->k_count - k)->lanes;
        const int width = (int)cvg_min(lanes, job->k_count - k);
        const char *from = job->x->sums + k * job->c_count * job->taps * size;
        for (int64_t c = 0; c < (joined ? 1 : job->c_count); c++, from += length * lanes * size) {
            const int64_t to = ((job->g * s->Kg + job->k + k) * s->Cg + job->c + c) *
                                   s->filter_size + job->tap;
            if (partial)
                t->kernels->unturn(partial + to * size, s->taps, from, lanes, width, length, 1,
                                   NULL, 0);
            else
                t->kernels->unturn(cvg_at(t, t->result, to), s->taps, from, lanes, width, length,
                                   t->scale, NULL, t->accumulate);
        }
        k += lanes;
    }
}

static void weight_job(void *context, int64_t index, int worker)
{
    const struct call *call = context;
    const struct cut *cut = &call->cut;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    struct cvg_arena arena = cvg_arena_on(t->workspace);
    arena.used = call->scratch_base + (size_t)worker * call->scratch_size;
    const struct scratch x = carve(s, t->kernels, &arena);
    struct job job = {.task = t, .cut = cut, .x = &x};

    job.tap = index % cut->tap_blocks * cut->taps;
    job.taps = cvg_min(cut->taps, s->filter_size - job.tap);
    index /= cut->tap_blocks;
    job.c = index % cut->c_blocks * cut->c_count;
    job.c_count = cvg_min(cut->c_count, s->Cg - job.c);
    index /= cut->c_blocks;
    job.k = index % cut->k_blocks * cut->k_count;
    job.k_count = cvg_min(cut->k_count, s->Kg - job.k);
    index /= cut->k_blocks;
    job.g = index % s->G;
    const int64_t part = index / s->G;
    const int64_t each = cvg_ceil_div(cut->regions.count, cut->parts);

    memset(x.sums, 0, (size_t)(job.c_count * job.taps * cvg_panel_lanes(t->kernels, job.k_count)) *
                          t->kernels->size);
    for (int64_t i = part * each; i < cvg_min(cut->regions.count, (part + 1) * each); i++)
        add_region(&job, i);
    char *partial = cut->parts > 1 ? call->partial + part * s->K * s->taps * (int64_t)t->kernels->size : NULL;
    if (cut->swap)
        write_swapped(&job, partial);
    else
        write_sums(&job, partial);
}

static void run(const struct cvg_task *task, cvg_pass pass)
{
    const int swap = swaps(task->shape);
    const struct cvg_shape other = swapped(task->shape);
    struct cvg_task turned = *task;
    if (swap) {
        turned.shape = &other;
        turned.input = task->grad_output;
        turned.grad_output = task->input;
    }
    struct call call = {.task = &turned, .cut = cut_of(turned.shape)};
    struct cvg_arena arena = cvg_arena_on(task->workspace);
    (void)pass;
    call.cut.swap = swap;
    carve_shared(&call, turned.shape, task->kernels, &arena);
    cvg_parallel(task->threads, task->workers, call.cut.parts * call.cut.jobs, weight_job, &call);
    if (call.cut.parts > 1)
        cvg_parts_add(task, call.cut.parts, call.partial);
}

static void layout(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                   int workers, struct cvg_arena *arena)
{
    const struct cvg_shape other = swapped(s);
    struct call call = {0};
    (void)pass;
    if (swaps(s))
        s = &other;
    carve_shared(&call, s, kernels, arena);
    const size_t begin = arena->used;
    carve(s, kernels, arena);
    cvg_arena_repeat(arena, begin, workers);
}

const struct cvg_form cvg_direct_weight = {layout, run};
