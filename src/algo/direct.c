/*
 * Method 1: loops over plain tensors, all on the microkernel.
 *
 * forward and grad_input are one loop nest, "gather": every destination sums
 * taps of the source.  Lanes are neighbouring destinations of a row, tile rows
 * are destination channels, and the microkernel reads the weight in place:
 *
 *   dst[m][i] = sum over l, tap of weight[m][l][tap] * source[l][source(i, tap)]
 *
 *   pass        dst         m  source       l   taps and source(i, tap)
 *   forward     output      k  input        c   all taps; strided input
 *   grad_input  grad_input  c  grad_output  k   the taps of one stride phase (box.h)
 *
 * grad_weight has lanes of k, tile rows of (c, tap) and sums over output
 * positions, with grad_output turned to lanes:
 *
 *   grad_weight[k][c][tap] = sum over n, i of input[c][source(i, tap)] * grad_output[k][i]
 *
 * Both read the source from a zero-padded box of it (box.h), small enough for
 * the second-level cache.
 */
#include "box.h"
#include "parts.h"

#include <string.h>

enum {
    POSITIONS = 512,       /* destinations of one piece */
    BOX_ELEMENTS = 24576,  /* a box holds about as many: 96 KiB in f32 */
    GATHER_CHANNELS = 48,  /* destination channels of one job */
    GATHER_TERMS = 4096,   /* products between two stores of a tile: bounds the tables */
    WEIGHT_TAPS = 256,     /* (c, tap) of one grad_weight job */
    WEIGHT_CHANNELS = 64,  /* k of one grad_weight job */
};

#define MAX_TILE_ROWS 32

/* ---- forward and grad_input ---- */

/* The names of the table above, for one pass. */
struct gather {
    const struct cvg_task *task;
    int (*piece)(const struct cvg_shape *, const struct cvg_pieces *, int64_t, struct cvg_box *);
    const void *source;
    const void *bias;
    int64_t M, L;                 /* channels of one group */
    int64_t m_step, l_step;       /* between channels in the weight */
    int64_t source_size, dst_size; /* elements of one channel */
    const int64_t *dst_extent;    /* the destination's three sizes */
    struct cvg_pieces pieces;
    int64_t m_blocks, l_block;
    size_t scratch_size; /* of one worker */
};

/* What one worker needs. */
struct gather_scratch {
    char *box, *sums;
    int64_t *col, *brow;
};

static struct gather_scratch gather_carve(const struct gather *gather, const struct cvg_shape *s,
                                          const struct cvg_kernels *kernels,
                                          struct cvg_arena *arena)
{
    struct gather_scratch scratch;
    const int64_t terms = cvg_times(gather->l_block, s->filter_size);
    const int64_t lines = gather->pieces.part[0] * gather->pieces.part[1];
    const int64_t box = cvg_times(gather->l_block, gather->pieces.bound.channel);
    /* The last vectors of a line run past it: into the next one, and at the end into slack. */
    scratch.box = cvg_arena_take(arena, box, kernels->size);
    cvg_arena_take(arena, kernels->lanes, kernels->size);
    scratch.sums = cvg_arena_take(arena,
                                  cvg_min(gather->M, GATHER_CHANNELS) * lines *
                                      cvg_to_lanes(kernels, gather->pieces.part[2]),
                                  kernels->size);
    scratch.col = cvg_arena_take(arena, terms, sizeof *scratch.col);
    scratch.brow = cvg_arena_take(arena, terms, sizeof *scratch.brow);
    return scratch;
}

static struct gather gather_of(const struct cvg_shape *s, cvg_pass pass)
{
    struct gather g = {0};
    if (pass == CVG_FORWARD) {
        g.piece = cvg_piece_forward;
        g.pieces = cvg_pieces_forward(s, POSITIONS);
        g.M = s->Kg;
        g.L = s->Cg;
        g.m_step = s->taps;
        g.l_step = s->filter_size;
        g.source_size = s->in_size;
        g.dst_size = s->out_size;
        g.dst_extent = s->out;
    } else {
        g.piece = cvg_piece_grad_input;
        g.pieces = cvg_pieces_grad_input(s, POSITIONS);
        g.M = s->Cg;
        g.L = s->Kg;
        g.m_step = s->filter_size;
        g.l_step = s->taps;
        g.source_size = s->out_size;
        g.dst_size = s->in_size;
        g.dst_extent = s->in;
    }
    g.m_blocks = cvg_ceil_div(g.M, GATHER_CHANNELS);
    const int64_t fit = cvg_min(BOX_ELEMENTS / cvg_max(1, g.pieces.bound.channel),
                                GATHER_TERMS / s->filter_size);
    g.l_block = cvg_max(1, cvg_min(fit, g.L));
    return g;
}

/* Fills the offsets of all products of l_count source channels; returns their number. */
static int64_t gather_terms(const struct gather *gather, const struct cvg_box *box,
                            int64_t l_count, const struct gather_scratch *scratch)
{
    const struct cvg_shape *s = gather->task->shape;
    const struct cvg_axis *x = box->axis;
    int64_t j = 0;
    for (int64_t l = 0; l < l_count; l++)
        for (int64_t a = 0; a < x[0].taps; a++)
            for (int64_t b = 0; b < x[1].taps; b++)
                for (int64_t c = 0; c < x[2].taps; c++, j++) {
                    const int64_t t = x[0].tap_first + a * x[0].tap_step;
                    const int64_t r = x[1].tap_first + b * x[1].tap_step;
                    const int64_t q = x[2].tap_first + c * x[2].tap_step;
                    scratch->col[j] = l * gather->l_step + (t * s->filter[1] + r) * s->filter[2] + q;
                    scratch->brow[j] = l * box->channel + cvg_box_slot(box, a, b, c);
                }
    return j;
}

/* Adds terms products to the sums of m_count channels at every destination of the box. */
static void gather_tiles(const struct gather *gather, const struct cvg_box *box, int64_t terms,
                         const void *weight, int64_t m_count,
                         const struct gather_scratch *scratch, int first)
{
    const struct cvg_kernels *kernels = gather->task->kernels;
    const int64_t size = (int64_t)kernels->size, width = cvg_to_lanes(kernels, box->axis[2].count);
    const int64_t lines = box->axis[0].count * box->axis[1].count;
    int64_t row[MAX_TILE_ROWS];

    for (int64_t m = 0; m < m_count; m += kernels->tile_rows) {
        const int rows = (int)cvg_min(kernels->tile_rows, m_count - m);
        for (int i = 0; i < rows; i++)
            row[i] = (m + i) * gather->m_step;
        for (int64_t line = 0; line < lines; line++) {
            const int64_t plane = line / box->axis[1].count, r = line % box->axis[1].count;
            const char *b = scratch->box + (plane * box->rows + r) * box->columns * size;
            char *sums = scratch->sums + (m * lines + line) * width * size;
            for (int64_t i = 0; i < width; i += kernels->lanes)
                kernels->tile(rows, terms, weight, row, scratch->col, b + i * size, scratch->brow,
                              sums + i * size, lines * width, first);
        }
    }
}

/* Writes the sums of m_count channels, from channel on, to the destinations of image n. */
static void gather_write(const struct gather *gather, const struct cvg_box *box, int64_t n,
                         int64_t channel, int64_t m_count, const struct gather_scratch *scratch)
{
    const struct cvg_task *t = gather->task;
    const struct cvg_axis *x = box->axis;
    const int64_t size = (int64_t)t->kernels->size;
    const int64_t width = cvg_to_lanes(t->kernels, x[2].count);
    const int64_t channels = gather->M * t->shape->G;
    const char *sums = scratch->sums;

    for (int64_t m = channel; m < channel + m_count; m++)
        for (int64_t a = 0; a < x[0].count; a++)
            for (int64_t b = 0; b < x[1].count; b++, sums += width * size) {
                const int64_t d = x[0].first + a * x[0].step, h = x[1].first + b * x[1].step;
                const int64_t to = (n * channels + m) * gather->dst_size +
                                   (d * gather->dst_extent[1] + h) * gather->dst_extent[2] +
                                   x[2].first;
                if (gather->bias)
                    t->kernels->put(cvg_at(t, t->result, to), 1, sums, 1, x[2].count, 1,
                                    cvg_at(t, gather->bias, m), 0);
                else
                    cvg_put_result(t, to, x[2].step, sums, 1, x[2].count);
            }
}

/* Job: one image, group, block of destination channels, and piece. */
static void gather_job(void *context, int64_t job, int worker)
{
    const struct gather *gather = context;
    const struct cvg_task *t = gather->task;
    const struct cvg_shape *s = t->shape;
    const int64_t piece = job % gather->pieces.count;
    const int64_t m_block = job / gather->pieces.count % gather->m_blocks;
    const int64_t g = job / gather->pieces.count / gather->m_blocks % s->G;
    const int64_t n = job / gather->pieces.count / gather->m_blocks / s->G;
    const int64_t m = m_block * GATHER_CHANNELS;
    const int64_t m_count = cvg_min(GATHER_CHANNELS, gather->M - m);
    struct cvg_box box;

    if (!gather->piece(s, &gather->pieces, piece, &box))
        return;
    struct cvg_arena arena = cvg_arena_on((char *)t->workspace);
    arena.used = (size_t)worker * gather->scratch_size;
    const struct gather_scratch scratch = gather_carve(gather, s, t->kernels, &arena);

    for (int64_t l = 0; l < gather->L; l += gather->l_block) {
        const int64_t l_count = cvg_min(gather->l_block, gather->L - l);
        const int64_t source = ((n * s->G + g) * gather->L + l) * gather->source_size;
        const int64_t weight = g * s->Kg * s->taps + m * gather->m_step + l * gather->l_step;
        const int64_t terms = gather_terms(gather, &box, l_count, &scratch);
        cvg_box_pack(&box, t->kernels, cvg_at(t, gather->source, source), gather->source_size,
                     l_count, scratch.box);
        gather_tiles(gather, &box, terms, cvg_at(t, t->weight, weight), m_count, &scratch, l == 0);
    }
    gather_write(gather, &box, n, g * gather->M + m, m_count, &scratch);
}

static void gather_run(const struct cvg_task *task, cvg_pass pass, const void *source,
                       const void *bias)
{
    struct gather gather = gather_of(task->shape, pass);
    struct cvg_arena measure = cvg_arena_on(NULL);
    gather_carve(&gather, task->shape, task->kernels, &measure);
    gather.scratch_size = measure.used;
    gather.task = task;
    gather.source = source;
    gather.bias = bias;
    cvg_parallel(task->threads, task->workers,
                 task->shape->N * task->shape->G * gather.m_blocks * gather.pieces.count,
                 gather_job, &gather);
}

static void forward(const struct cvg_task *task)
{
    gather_run(task, CVG_FORWARD, task->input, task->bias);
}

static void grad_input(const struct cvg_task *task)
{
    gather_run(task, CVG_GRAD_INPUT, task->grad_output, NULL);
}

/* ---- grad_weight ---- */

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
    for (int64_t k = 0; k < k_count; k += kernels->lanes) {
        const int width = (int)cvg_min(kernels->lanes, k_count - k);
        for (int64_t a = 0; a < x[0].count; a++)
            for (int64_t b = 0; b < x[1].count; b++) {
                const int64_t from = (n * s->K + channel + k) * s->out_size +
                                     ((x[0].first + a) * s->out[1] + x[1].first + b) * s->out[2] +
                                     x[2].first;
                kernels->turn(lanes, cvg_at(t, t->grad_output, from), s->out_size, width,
                              x[2].count);
                lanes += x[2].count * kernels->lanes * (int64_t)kernels->size;
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
    const int64_t size = (int64_t)kernels->size, lanes = kernels->lanes;
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
        const int64_t terms = weight_positions(&box, kernels->lanes, &scratch);
        for (int64_t panel = 0; panel * lanes < k_count; panel++)
            for (int64_t i = 0; i < taps; i += kernels->tile_rows)
                kernels->tile((int)cvg_min(kernels->tile_rows, taps - i), terms, scratch.box,
                              scratch.row + i, scratch.col,
                              scratch.lanes + panel * terms * lanes * size, scratch.brow,
                              scratch.sums + (panel * taps + i) * lanes * size, lanes,
                              unit == begin);
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

static void grad_weight(const struct cvg_task *task)
{
    struct weight_sum sum = weight_sum_of(task->shape);
    struct cvg_arena arena = cvg_arena_on(task->workspace);
    weight_carve_shared(&sum, task->shape, task->kernels, &arena);
    sum.task = task;
    cvg_parallel(task->threads, task->workers, sum.parts * weight_jobs(&sum, task->shape),
                 weight_job, &sum);
    if (sum.parts > 1)
        cvg_parts_add(task, sum.parts, sum.partial);
}

/* ---- the contract ---- */

static size_t workspace(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                        int workers)
{
    struct cvg_arena arena = cvg_arena_on(NULL);
    if (pass == CVG_GRAD_WEIGHT) {
        struct weight_sum sum = weight_sum_of(s);
        weight_carve_shared(&sum, s, kernels, &arena);
        for (int worker = 0; worker < workers; worker++)
            weight_carve(&sum, s, kernels, &arena);
    } else {
        const struct gather gather = gather_of(s, pass);
        for (int worker = 0; worker < workers; worker++)
            gather_carve(&gather, s, kernels, &arena);
    }
    return arena.overflow ? SIZE_MAX : cvg_arena_size(&arena);
}

const struct cvg_algorithm cvg_direct = {
    .id = CVG_DIRECT,
    .name = "direct",
    .workspace = workspace,
    .run = {forward, grad_input, grad_weight},
    .grad_bias = cvg_grad_bias_sums,
};
