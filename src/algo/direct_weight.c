/*
 * grad_weight: lanes of k, tile rows of (c, tap), sums over output positions,
 * with grad_output turned to lanes:
 *
 *   grad_weight[k][c][tap] = sum over n, i of input[c][source(i, tap)] * grad_output[k][i]
 */
#include "box.h"
#include "direct.h"
#include "parts.h"

#include <string.h>

enum {
    POSITIONS = 256,       /* of one unit of the sum */
    BOX_ELEMENTS = 24576,  /* a box holds about as many: 96 KiB in f32 */
    WEIGHT_TAPS = 256,     /* (c, tap) of one job */
    WEIGHT_CHANNELS = 64,  /* k of one job */
};

struct weight_sum {
    const struct cvg_task *task;
    struct cvg_pieces pieces;
    int64_t taps_block; /* of the Cg * filter_size taps of one k: whole channels if they fit */
    int64_t tap_blocks, k_blocks, parts;
    char *partial; /* parts sums of the whole weight, if there are several */
    size_t scratch_base, scratch_size;
};

struct weight_scratch {
    char *box, *lanes, *sums;
    int64_t *row, *col, *brow;
};

/* Channels that a block of taps touches at most. */
static int64_t block_channels(const struct weight_sum *sum, const struct cvg_shape *s)
{
    return sum->taps_block % s->filter_size ? 2 : sum->taps_block / s->filter_size;
}

static struct weight_scratch weight_carve(const struct weight_sum *sum, const struct cvg_shape *s,
                                          const struct cvg_kernels *kernels,
                                          struct cvg_arena *arena)
{
    struct weight_scratch scratch;
    const int64_t *part = sum->pieces.part, positions = part[0] * part[1] * part[2];
    const int64_t k_lanes = cvg_to_lanes(kernels, cvg_min(s->Kg, WEIGHT_CHANNELS));
    const int64_t box = cvg_times(block_channels(sum, s), sum->pieces.bound.channel);
    scratch.box = cvg_arena_take(arena, box, kernels->size);
    scratch.lanes = cvg_arena_take(arena, k_lanes * positions, kernels->size);
    scratch.sums = cvg_arena_take(arena, k_lanes * sum->taps_block, kernels->size);
    scratch.row = cvg_arena_take(arena, sum->taps_block, sizeof *scratch.row);
    scratch.col = cvg_arena_take(arena, positions, sizeof *scratch.col);
    scratch.brow = cvg_arena_take(arena, positions, sizeof *scratch.brow);
    return scratch;
}

/* Jobs of one part of the sum. */
static int64_t weight_jobs(const struct weight_sum *sum, const struct cvg_shape *s)
{
    return s->G * sum->tap_blocks * sum->k_blocks;
}

static struct weight_sum weight_sum_of(const struct cvg_shape *s)
{
    struct weight_sum sum = {0};
    sum.pieces = cvg_pieces_forward(s, POSITIONS);
    sum.taps_block = WEIGHT_TAPS;
    if (s->filter_size < WEIGHT_TAPS) {
        const int64_t fit = cvg_min(BOX_ELEMENTS / cvg_max(1, sum.pieces.bound.channel),
                                    WEIGHT_TAPS / s->filter_size);
        sum.taps_block = cvg_max(1, cvg_min(fit, s->Cg)) * s->filter_size;
    }
    sum.tap_blocks = cvg_ceil_div(s->taps, sum.taps_block);
    sum.k_blocks = cvg_ceil_div(s->Kg, WEIGHT_CHANNELS);
    sum.parts = cvg_parts(s, weight_jobs(&sum, s), cvg_times(s->N, sum.pieces.count));
    return sum;
}

/* Takes room for partial sums, which all workers share; the scratch of each worker follows. */
static void weight_carve_shared(struct weight_sum *sum, const struct cvg_shape *s,
                                const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    struct cvg_arena measure = cvg_arena_on(NULL);
    weight_carve(sum, s, kernels, &measure);
    arena->overflow |= measure.overflow;
    sum->scratch_size = measure.used;
    const int64_t most = cvg_parts_most(weight_jobs(sum, s));
    if (most > 1)
        sum->partial = cvg_arena_take(arena, cvg_times(most, s->K * s->taps), kernels->size);
    sum->scratch_base = arena->used;
}

/* grad_output of k_count channels at the box's positions, as lanes: panels of [position][lane]. */
static void turn_gradient(const struct cvg_task *t, const struct cvg_box *box, int64_t n,
                          int64_t channel, int64_t k_count, char *lanes)
{
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const struct cvg_axis *x = box->axis;
    const int width_lanes = cvg_main_tile(kernels)->lanes;
    for (int64_t k = 0; k < k_count; k += width_lanes) {
        const int width = (int)cvg_min(width_lanes, k_count - k);
        for (int64_t a = 0; a < x[0].count; a++)
            for (int64_t b = 0; b < x[1].count; b++) {
                const int64_t from = (n * s->K + channel + k) * s->out_size +
                                     ((x[0].first + a) * s->out[1] + x[1].first + b) * s->out[2] +
                                     x[2].first;
                kernels->turn(lanes, width_lanes, cvg_at(t, t->grad_output, from), s->out_size, width,
                              x[2].count);
                lanes += x[2].count * width_lanes * (int64_t)kernels->size;
            }
    }
}

/* Fills the box offsets of taps [tap, tap + taps), whose first channel is packed first. */
static void weight_rows(const struct cvg_shape *s, const struct cvg_box *box, int64_t tap,
                        int64_t taps, int64_t *row)
{
    const int64_t first = tap / s->filter_size;
    for (int64_t j = 0; j < taps; j++) {
        const int64_t c = (tap + j) / s->filter_size, rest = (tap + j) % s->filter_size;
        row[j] = (c - first) * box->channel +
                 cvg_box_slot(box, rest / s->filter[2] / s->filter[1],
                              rest / s->filter[2] % s->filter[1], rest % s->filter[2]);
    }
}

/* Fills the offsets of the box's positions; returns their number. */
static int64_t weight_positions(const struct cvg_box *box, int lanes,
                                const struct weight_scratch *scratch)
{
    const struct cvg_axis *x = box->axis;
    int64_t j = 0;
    for (int64_t a = 0; a < x[0].count; a++)
        for (int64_t b = 0; b < x[1].count; b++)
            for (int64_t c = 0; c < x[2].count; c++, j++) {
                scratch->col[j] = (a * box->rows + b) * box->columns + c;
                scratch->brow[j] = j * lanes;
            }
    return j;
}

/* Job: one part of the sum, group, block of k, and block of taps. */
static void weight_job(void *context, int64_t job, int worker)
{
    const struct weight_sum *sum = context;
    const struct cvg_task *t = sum->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const int64_t size = (int64_t)kernels->size, lanes = cvg_main_tile(kernels)->lanes;
    const int64_t tap = job % sum->tap_blocks * sum->taps_block;
    const int64_t k = job / sum->tap_blocks % sum->k_blocks * WEIGHT_CHANNELS;
    const int64_t g = job / sum->tap_blocks / sum->k_blocks % s->G;
    const int64_t part = job / sum->tap_blocks / sum->k_blocks / s->G;
    const int64_t taps = cvg_min(sum->taps_block, s->taps - tap);
    const int64_t k_count = cvg_min(WEIGHT_CHANNELS, s->Kg - k);
    const int64_t c = tap / s->filter_size;
    const int64_t channels = (tap + taps - 1) / s->filter_size - c + 1;
    const int64_t units = s->N * sum->pieces.count;
    const int64_t per_part = cvg_ceil_div(units, sum->parts);
    const int64_t begin = part * per_part, end = cvg_min(units, begin + per_part);

    struct cvg_arena arena = cvg_arena_on(t->workspace);
    arena.used = sum->scratch_base + (size_t)worker * sum->scratch_size;
    const struct weight_scratch scratch = weight_carve(sum, s, kernels, &arena);

    if (begin >= end)
        memset(scratch.sums, 0, (size_t)(cvg_to_lanes(kernels, k_count) * taps * size));
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t n = unit / sum->pieces.count;
        struct cvg_box box;
        cvg_piece_forward(s, &sum->pieces, unit % sum->pieces.count, &box);
        cvg_box_pack(&box, kernels, cvg_at(t, t->input, (n * s->C + g * s->Cg + c) * s->in_size),
                     s->in_size, channels, scratch.box);
        turn_gradient(t, &box, n, g * s->Kg + k, k_count, scratch.lanes);
        weight_rows(s, &box, tap, taps, scratch.row);
        const int64_t terms = weight_positions(&box, (int)lanes, &scratch);
        const struct cvg_terms list = {terms, scratch.col, scratch.brow, 1, 0, 0};
        const struct cvg_tile *tile = cvg_main_tile(kernels);
        int64_t place[CVG_TILE_ROWS];
        for (int i = 0; i < CVG_TILE_ROWS; i++)
            place[i] = i * lanes;
        for (int64_t panel = 0; panel * lanes < k_count; panel++)
            for (int64_t i = 0; i < taps; i += tile->rows)
                tile->run((int)cvg_min(tile->rows, taps - i), &list, scratch.box, scratch.row + i,
                          scratch.lanes + panel * terms * lanes * size,
                          scratch.sums + (panel * taps + i) * lanes * size, place, unit == begin);
    }
    for (int64_t i = 0; i < k_count; i++) {
        const char *from = scratch.sums + (i / lanes * taps * lanes + i % lanes) * size;
        const int64_t to = (g * s->Kg + k + i) * s->taps + tap;
        if (sum->parts > 1)
            kernels->put(sum->partial + (part * s->K * s->taps + to) * size, 1, from, lanes, taps,
                         1, NULL, 0);
        else
            cvg_put_result(t, to, 1, from, lanes, taps);
    }
}

static void run(const struct cvg_task *task, cvg_pass pass)
{
    struct weight_sum sum = weight_sum_of(task->shape);
    struct cvg_arena arena = cvg_arena_on(task->workspace);
    (void)pass;
    weight_carve_shared(&sum, task->shape, task->kernels, &arena);
    sum.task = task;
    cvg_parallel(task->threads, task->workers, sum.parts * weight_jobs(&sum, task->shape),
                 weight_job, &sum);
    if (sum.parts > 1)
        cvg_parts_add(task, sum.parts, sum.partial);
}

static void layout(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                   int workers, struct cvg_arena *arena)
{
    struct weight_sum sum = weight_sum_of(s);
    (void)pass;
    weight_carve_shared(&sum, s, kernels, arena);
    for (int worker = 0; worker < workers; worker++)
        weight_carve(&sum, s, kernels, arena);
}

const struct cvg_form cvg_direct_weight = {layout, run};
