/*
 * grad_weight, channels last: a matrix product of both tensors as they lie.
 *
 *   grad_weight[k][c][tap] = sum over n, i of input[c][source(i, tap)] * grad_output[k][i]
 *
 * Lanes are channels of the one tensor, tile rows channels of the other, whichever fills vectors better and lies so
 * in the result.  A job owns a block of both and sums over regions of the output; the positions of a region at which a
 * tap meets the input are walked in both tensors at once.  Nothing is copied, but lanes that fill no vector, and lanes
 * and rows whose positions lie so far apart that they meet in few sets of the cache.
 */
#include "../../tensor/window.h"
#include "../../text.h"
#include "../parts.h"
#include "ahead.h"
#include "direct.h"
#include "positions.h"

#include <inttypes.h>
#include <string.h>

enum {
    POSITIONS = 112, /* of one region: what a tile reads of its lanes stays in the nearest cache */

    /* One job, at most: */
    SUM_BYTES = 1 << 19,
    TAPS = 64,
    LANES = 256,
    /* and so that channels keep threads busy, and not parts of the sum: */
    ENOUGH_JOBS = 8,
    LEAST_SUMS = 32768,
    LEAST_LANES = 64,
    LEAST_ROWS = 64,

    LONG_PART = 2048,  /* positions of a part of the sum that costs little, */
    LEAST_PART = 1024, /* and of the shortest */

    MANY_K = 1024,         /* k that lie too far apart to be tile rows */
    FAR = 128,             /* elements between positions: lanes meet in few cache sets, so they are copied, */
    MANY_ROWS = 128,       /* if as many tile rows read them, */
    PAGE = 4096,           /* or, where they lie multiples of so many bytes apart, and meet in the fewest, */
    SOME_ROWS = 32,        /* as many; */
    MEET = 1024,           /* bytes: rows that lie multiples of it apart do so, too, and are copied, */
    MANY_LANES = 128,      /* if as many lanes read them, */
    MOST_ROW_BYTES = 3072, /* and no more than these, */
    APART = 16,            /* to so many elements more apart */
    FROM_MEMORY = 3 << 17, /* elements of both tensors that no near cache holds */
};

/* The pass cut into jobs; parts of the sum by the shape alone. */
struct cut {
    struct cvg_regions regions;
    int lanes_of_c;
    int ahead;           /* what the next region reads is asked for: it comes from memory, all channels at a time; */
    int copied;          /* all lanes, not just those that fill no vector; */
    int rows_copied;     /* and rows */
    int64_t lanes, rows; /* channels of a group */
    int64_t lane_count, lane_blocks, row_count, row_blocks, taps, tap_blocks;
    int64_t jobs;                  /* of one part of the sum; */
    int64_t fewest_jobs;           /* and at the batch that has the fewest; */
    int64_t most_lanes, most_rows; /* of one job, at any batch */
    int64_t groups;                /* that a worker does at once, region after region: near in memory */
};

/* How well the microkernel does with so many lanes, in percent, on vectors of 16; next: they are so in the weight. */
static int64_t suits(int64_t lanes, int next)
{
    const int64_t filled = lanes % 16 && lanes < 256 ? lanes * 100 / (lanes / 16 * 16 + 16) : 100;
    return filled * (lanes >= 64 ? 100 : lanes >= 32 ? 95 : 80) / 100 + (next ? 15 : 0);
}

static int64_t jobs(const struct cvg_shape *s, struct cut *cut)
{
    cut->lane_blocks = cvg_ceil_div(cut->lanes, cut->lane_count);
    cut->row_blocks = cvg_ceil_div(cut->rows, cut->row_count);
    cut->tap_blocks = cvg_ceil_div(s->filter_size, cut->taps);
    return s->G * cut->lane_blocks * cut->row_blocks * cut->tap_blocks;
}

static CVG_ONCE struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *k, int workers, int64_t *parts)
{
    const int64_t size = (int64_t)k->size, sums = SUM_BYTES / size, elements = cvg_times(s->N, s->out_size);
    struct cut cut = {.taps = cvg_min(s->filter_size, TAPS)};
    const int64_t of_c = suits(s->Cg, s->weight_c == 1), of_k = suits(s->Kg, s->weight_k == 1);
    cut.lanes_of_c = of_c > of_k && !(s->Kg >= MANY_K && s->Cg <= MANY_K / 2);
    cut.lanes = cut.lanes_of_c ? s->Cg : s->Kg;
    cut.rows = cut.lanes_of_c ? s->Kg : s->Cg;
    cut.regions = cvg_regions_of(s, 0, POSITIONS);
    cut.lane_count = cvg_max(LEAST_LANES, sums / (LEAST_ROWS * cut.taps) / LEAST_LANES * LEAST_LANES);
    cut.lane_count = cvg_min(cvg_min(cut.lane_count, LANES), cut.lanes);
    cut.most_rows = cut.row_count = cvg_min(cut.rows, sums / (cut.lane_count * cut.taps));
    cut.fewest_jobs = jobs(s, &cut);
    const int64_t long_parts = cvg_max(1, (cvg_are_pairs(s) ? cvg_times(elements, 2) : elements) / LONG_PART);
    while (jobs(s, &cut) < ENOUGH_JOBS / long_parts && cut.row_count > LEAST_ROWS &&
           cut.row_count * cut.lane_count * cut.taps > LEAST_SUMS)
        cut.row_count = cvg_max(LEAST_ROWS, cut.row_count / 2);
    cut.row_count = cvg_ceil_div(cut.rows, cvg_ceil_div(cut.rows, cut.row_count));
    cut.jobs = jobs(s, &cut);
    const int64_t most = cvg_ceil_div(cvg_times(cut.regions.count, POSITIONS), LEAST_PART);
    *parts = cvg_parts(s, cut.jobs, cvg_min(cut.regions.count, most));

    /* Blocks are larger, or one, if workers are busy all the same: then all channels of a place are read at once. */
    cut.most_lanes = cut.lane_count;
    if (CVG_FAST) {
        struct cut large = cut;
        if (cvg_panel_lanes(k, cut.lanes) * cut.rows * cut.taps <= sums)
            large.lane_count = large.most_lanes = cut.lanes;
        large.row_count = cvg_min(cut.rows, sums / (cvg_panel_lanes(k, large.lane_count) * cut.taps));
        large.row_count = cvg_ceil_div(cut.rows, cvg_ceil_div(cut.rows, cvg_max(1, large.row_count)));
        large.most_rows = cvg_max(cut.most_rows, large.row_count);
        cut.most_lanes = large.most_lanes;
        cut.most_rows = large.most_rows;
        large.jobs = jobs(s, &large);
        if (cvg_busy(*parts * large.jobs, workers))
            cut = large;
    }

    cut.ahead = cut.lane_count * s->G == cut.lanes && cut.row_count * s->G == cut.rows && s->stride[2] == 1 &&
                cvg_times(s->N, s->C * s->in_size + s->K * s->out_size) >= FROM_MEMORY;
    const int64_t lanes_step = (cut.lanes_of_c ? s->in_steps : s->out_steps).axis[2];
    const int64_t lanes_bytes = cvg_times(lanes_step * size, cut.lanes_of_c ? s->stride[2] : 1);
    cut.copied =
        (lanes_step >= FAR && cut.row_count >= MANY_ROWS) || (lanes_bytes % PAGE == 0 && cut.row_count >= SOME_ROWS);
    const int64_t rows_step = (cut.lanes_of_c ? s->out_steps : s->in_steps).axis[2];
    cut.rows_copied = s->filter_size == 1 && rows_step * size % MEET == 0 && cut.most_lanes >= MANY_LANES &&
                      cut.most_rows * size <= MOST_ROW_BYTES;
    return cut;
}

struct cvg_regions cvg_weight_last_cut(const struct cvg_shape *s, const struct cvg_kernels *kernels, int workers,
                                       struct cvg_work *work)
{
    const struct cut cut = cut_of(s, kernels, workers, &work->parts);
    cvg_parts_share(s, kernels, cvg_parts_most(s, cut.fewest_jobs), work);
    return cut.regions;
}

/* As many groups as have room for their sums, if one job is a whole group. */
static int64_t most_groups(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cut *cut)
{
    const int64_t sums = cut->most_rows * cut->taps * cvg_panel_lanes(kernels, cut->most_lanes);
    return cut->jobs == s->G ? cvg_max(1, cvg_min(s->G, SUM_BYTES / (int64_t)kernels->size / sums)) : 1;
}

/* Pieces of a worker's scratch. */
enum { LANES_COPIED, ROWS_COPIED, SUM, A, B };

/* Shares partial sums and lays out scratch; enough for any batch. */
static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cut *cut,
                    struct cvg_work *work)
{
    const int64_t positions = cvg_most_positions(&cut->regions), lanes = cvg_panel_lanes(kernels, cut->most_lanes);
    cvg_parts_share(s, kernels, cvg_parts_most(s, cut->fewest_jobs), work);
    cvg_work_piece(work, positions * cvg_panel_tile(kernels, kernels->spread, lanes)->lanes, kernels->size);
    cvg_work_piece(work, cut->rows_copied ? positions * (cut->most_rows + APART) : 0, kernels->size);
    cvg_work_piece(work, most_groups(s, kernels, cut) * cut->most_rows * cut->taps * lanes, kernels->size);
    cvg_work_piece(work, positions, sizeof(int64_t));
    cvg_work_piece(work, positions, sizeof(int64_t));
}

/* One job: blocks of group, lanes, rows and taps, and what it works on. */
struct block {
    const struct cvg_task *task;
    const struct cut *cut;
    int64_t g, lane, lane_count, row, row_count, tap, taps;
    int64_t lanes; /* with those that do not exist, which fill the last tile */
    struct cvg_view rows_of, lanes_of;
    char *copied, *rows_copied;
    char *sums; /* [row][tap][lane] */
    int64_t sums_row;
    struct cvg_filters to; /* where they are written: k stands for rows, c for lanes */
    int in_result;         /* they are there: made at once, and as they are */
    int64_t *a, *b;
    struct cvg_positions *listed; /* what a and b list */
};

/* Lists all positions, unless they are listed. */
static struct cvg_terms terms_of(const struct block *block, const struct cvg_positions *w)
{
    struct cvg_terms terms = {.a = block->a, .b = block->b, .claims = block->in_result};
    if (memcmp(w, block->listed, sizeof *w)) {
        *block->listed = *w;
        block->a[0] = block->b[0] = 0;
        for (int64_t i = w->levels - 1, count = 1; i >= 0; i--)
            count = cvg_terms_go_on(count, w->count[i], block->a, w->rows[i], block->b, w->lanes[i]);
        if (cvg_pairs_of(block->task->shape) == CVG_PAIRS_SWAPPED)
            cvg_terms_swap(block->a, block->b, cvg_positions_count(w));
    }
    terms.count = cvg_positions_count(w);
    return terms;
}

/* Where a tap meets a region: the steps, and the first rows and lanes; or nowhere. */
static int meets(const struct block *b, const struct cvg_region *region, int64_t tap, struct cvg_positions *steps,
                 const char **rows, const char **lanes)
{
    const struct cut *cut = b->cut;
    const struct cvg_view *in = cut->lanes_of_c ? &b->lanes_of : &b->rows_of;
    const struct cvg_view *out = cut->lanes_of_c ? &b->rows_of : &b->lanes_of;
    struct cvg_walk walk;
    int64_t at[3], input, output;
    cvg_split(b->tap + tap, b->task->shape->filter, at);
    if (!cvg_tap_walk(b->task->shape, region, at, in, out, &walk, &input, &output))
        return 0;
    *steps = (struct cvg_positions){.levels = walk.levels};
    for (int i = 0; i < walk.levels; i++) {
        steps->count[i] = walk.count[i];
        steps->rows[i] = cut->lanes_of_c ? walk.output[i] : walk.input[i];
        steps->lanes[i] = cut->lanes_of_c ? walk.input[i] : walk.output[i];
    }
    *rows = cvg_view_at(&b->rows_of, region->n, b->g * cut->rows + b->row, 0, 0, 0) +
            (cut->lanes_of_c ? output : input) * (int64_t)b->task->kernels->size;
    *lanes = cvg_view_at(&b->lanes_of, region->n, b->g * cut->lanes + b->lane, 0, 0, 0) +
             (cut->lanes_of_c ? input : output) * (int64_t)b->task->kernels->size;
    return 1;
}

/* What the next region reads, as many bytes of lanes and rows as this one: it lies behind. */
static struct cvg_ahead ahead_of(const struct block *block, const struct cvg_positions *w, const char *rows,
                                 const char *lanes)
{
    const int64_t size = (int64_t)block->task->kernels->size;
    const struct cvg_tile *const tile =
        cvg_panel_tile(block->task->kernels, block->task->kernels->spread, block->lane_count);
    struct cvg_ahead a = {.left = {w->count[0] * w->lanes[0] * size, w->count[0] * w->rows[0] * size}};
    a.at[0] = lanes + a.left[0];
    a.at[1] = rows + a.left[1];
    a.each = cvg_ceil_div(a.left[0] + a.left[1],
                          cvg_ceil_div(block->lane_count, tile->lanes) * cvg_ceil_div(block->row_count, tile->rows));
    return a;
}

/* Adds the products of one tap in one region; first: to nothing. */
static void add_tap(const struct block *block, const struct cvg_region *region, int64_t tap, int first)
{
    const struct cvg_kernels *kernels = block->task->kernels;
    const struct cut *cut = block->cut;
    const int64_t size = (int64_t)kernels->size;
    struct cvg_positions in_place, near;
    const char *rows, *lanes;
    if (!meets(block, region, tap, &in_place, &rows, &lanes)) {
        for (int64_t r = 0; first && r < block->row_count; r++)
            memset(block->sums + (r * block->sums_row + tap * block->lanes) * size, 0, (size_t)(block->lanes * size));
        return;
    }
    const int asks = CVG_FAST && cut->ahead && tap + 1 == block->taps;
    struct cvg_ahead ahead = {.left = {0}};
    if (asks)
        ahead = ahead_of(block, &in_place, rows, lanes);
    if (cut->rows_copied) {
        const int64_t step = block->row_count + APART;
        cvg_positions_copy(kernels, &in_place, in_place.rows, rows, block->row_count, block->rows_copied, step);
        cvg_positions_copied(&in_place, step, in_place.rows);
        rows = block->rows_copied;
    }
    for (int64_t l = 0; l < block->lane_count;) {
        const struct cvg_tile *tile = cvg_panel_tile(kernels, kernels->spread, block->lane_count - l);
        const int copied = cut->copied || tile->lanes > block->lane_count - l;
        if (copied) {
            const int64_t width = cvg_min(tile->lanes, block->lane_count - l);
            near = in_place;
            cvg_positions_copied(&near, tile->lanes, near.lanes);
            if (width < tile->lanes)
                memset(block->copied, 0, (size_t)(cvg_positions_count(&near) * tile->lanes * size));
            cvg_positions_copy(kernels, &in_place, in_place.lanes, lanes + l * size, width, block->copied, tile->lanes);
        }
        struct cvg_terms terms = terms_of(block, copied ? &near : &in_place);
        const int64_t tiles = cvg_ceil_div(block->row_count, tile->rows);
        for (int64_t r = 0, i = 0; i < tiles; i++) {
            const int count = (int)((block->row_count - r) / (tiles - i)); /* as even as can be */
            int64_t place[CVG_TILE_ROWS];
            for (int j = 0; j < count; j++)
                place[j] = (r + j) * block->sums_row + tap * block->lanes;
            if (asks)
                cvg_ask(&ahead, &terms);
            tile->run(count, &terms, rows + r * size, NULL, copied ? block->copied : lanes + l * size,
                      block->sums + l * size, place, first);
            r += count;
        }
        l += tile->lanes;
    }
}

/* Writes the finished sums to the result, or to this part's partial sums. */
static void write_sums(const struct block *block, const struct cvg_finish *finish)
{
    const struct cvg_kernels *kernels = block->task->kernels;
    const struct cvg_filters to = block->to;
    const int64_t row_step = to.k, lane_step = to.c, size = to.size, line = block->sums_row;
    if (lane_step != 1 && row_step == 1)
        for (int64_t tap = 0; tap < block->taps; tap++)
            kernels->unturn(cvg_filter_at(&to, block->row, block->lane, block->tap + tap), lane_step,
                            block->sums + tap * block->lanes * size, line, (int)block->lane_count, block->row_count,
                            finish);
    else if (lane_step != 1)
        for (int64_t r = 0; r < block->row_count; r++)
            kernels->unturn(cvg_filter_at(&to, block->row + r, block->lane, block->tap), lane_step,
                            block->sums + r * line * size, block->lanes, (int)block->lane_count, block->taps, finish);
    else if (block->taps == 1)
        kernels->put_rows(cvg_filter_at(&to, block->row, block->lane, block->tap), row_step, 1, block->sums, line,
                          block->row_count, block->lane_count, finish);
    else
        for (int64_t r = 0; r < block->row_count; r++)
            kernels->put_rows(cvg_filter_at(&to, block->row + r, block->lane, block->tap), to.tap, 1,
                              block->sums + r * line * size, block->lanes, block->taps, block->lane_count, finish);
}

/* Goes to a group; its sums are in scratch, or where they will be. */
static void place_group(struct block *b, int64_t g, char *sums, char *result)
{
    b->g = g;
    b->to.base = result;
    b->sums = b->in_result ? cvg_filter_at(&b->to, b->row, b->lane, 0) : sums;
}

static void weight_job(const struct cvg_job *job, int64_t index)
{
    const struct cut *cut = cvg_state(job);
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    struct cvg_positions listed = {.levels = 0};
    struct block b = {.task = t,
                      .listed = &listed,
                      .cut = cut,
                      .copied = cvg_own_piece(job, LANES_COPIED),
                      .rows_copied = cvg_own_piece(job, ROWS_COPIED),
                      .sums = cvg_own_piece(job, SUM),
                      .a = cvg_own_piece(job, A),
                      .b = cvg_own_piece(job, B)};
    const struct cvg_view in = cvg_view_in(t, t->input), out = cvg_view_out(t, t->grad_output);
    b.rows_of = cut->lanes_of_c ? out : in;
    b.lanes_of = cut->lanes_of_c ? in : out;
    b.tap = index % cut->tap_blocks * cut->taps;
    b.taps = cvg_min(cut->taps, s->filter_size - b.tap);
    index /= cut->tap_blocks;
    b.row = index % cut->row_blocks * cut->row_count;
    b.row_count = cvg_min(cut->row_count, cut->rows - b.row);
    index /= cut->row_blocks;
    b.lane = index % cut->lane_blocks * cut->lane_count;
    b.lane_count = cvg_min(cut->lane_count, cut->lanes - b.lane);
    b.lanes = cvg_panel_lanes(t->kernels, b.lane_count);
    index /= cut->lane_blocks;
    const int64_t blocks = cvg_ceil_div(s->G, cut->groups), first = index % blocks * cut->groups;
    const int64_t groups = cvg_min(cut->groups, s->G - first);
    const int64_t part = index / blocks, each = cvg_ceil_div(cut->regions.count, job->work->parts);
    const struct cvg_finish *const finish = cvg_parts_finish(job);
    const struct cvg_filters to = b.to = cvg_parts_filters(job, part);
    const int64_t size = b.row_count * b.taps * b.lanes * to.size, group = s->Kg * to.k * to.size;
    if (!cut->lanes_of_c) {
        b.to.k = to.c;
        b.to.c = to.k;
    }
    b.in_result = cut->regions.count == 1 && s->filter_size == 1 && b.to.c == 1 && b.lanes == b.lane_count &&
                  finish->scale == 1 && !finish->accumulate;
    b.sums_row = b.in_result ? b.to.k : b.taps * b.lanes;
    char *const sums = b.sums;
    if (part * each >= cut->regions.count) /* there is nothing to add */
        memset(sums, 0, (size_t)(groups * size));
    for (int64_t i = part * each; i < cvg_min(cut->regions.count, (part + 1) * each); i++) {
        const struct cvg_region region = cvg_region_at(&cut->regions, i);
        for (int64_t tap = 0; tap < b.taps; tap++)
            for (int64_t g = 0; g < groups; g++) {
                place_group(&b, first + g, sums + g * size, to.base + (first + g) * group);
                add_tap(&b, &region, tap, i == part * each);
            }
    }
    for (int64_t g = 0; g < groups && !b.in_result; g++) {
        place_group(&b, first + g, sums + g * size, to.base + (first + g) * group);
        write_sums(&b, finish);
    }
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    return pass == CVG_GRAD_WEIGHT && s->layout == CVG_CHANNELS_LAST && s->Cg > CVG_FEW_ROWS;
}

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_amounts x = cvg_amounts_of(s, pass);
    return x.products * (double)cvg_inside_share(s, pass, 1) / 100 / CVG_WEIGHT_SHARE +
           CVG_WEIGHT_TURNED / 4 * (x.read + x.written);
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w,
              "lanes of %s channels, %s: %" PRId64 " x %" PRId64 " channels and %" PRId64
              " taps a job, parts of the sum: %" PRId64,
              cut->lanes_of_c ? "input" : "output", work->flushes ? "pairs of positions" : "tensors as they lie",
              cut->lane_count, cut->row_count, cut->taps, work->parts);
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    (void)pass;
    *cut = cut_of(s, kernels, workers, &work->parts);
    lay_out(s, kernels, cut, work);
    cut->groups = most_groups(s, kernels, cut);
    while (cut->groups > 1 && !cvg_busy(work->parts * cvg_ceil_div(s->G, cut->groups), workers))
        cut->groups /= 2;
    cvg_work_phase(work, work->parts * cut->jobs / s->G * cvg_ceil_div(s->G, cut->groups), weight_job);
    cvg_parts_phase(s, work);
    work->flushes |= cvg_is_zipped(s);
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_weight_last = {fits, cost, prepare, NULL};
