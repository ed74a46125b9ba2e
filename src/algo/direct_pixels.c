/*
 * forward and grad_input with lanes of destination pixels (direct.h), for few
 * destination channels.
 *
 * Lanes are neighbouring destinations of a row, tile rows are destination
 * channels, and the microkernel reads the weight in place.  The source is read
 * from a zero-padded box of it (box.h), small enough for the second-level cache.
 */
#include "box.h"
#include "direct.h"

enum {
    POSITIONS = 512,       /* destinations of one piece */
    BOX_ELEMENTS = 24576,  /* a box holds about as many: 96 KiB in f32 */
    GATHER_CHANNELS = 48,  /* destination channels of one job */
    GATHER_TERMS = 4096,   /* products between two stores of a tile: bounds the tables */
};

struct gather {
    const struct cvg_task *task;
    struct cvg_gather view;
    int (*piece)(const struct cvg_shape *, const struct cvg_pieces *, int64_t, struct cvg_box *);
    const void *source;
    const void *bias;
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
    cvg_arena_take(arena, cvg_main_tile(kernels)->lanes, kernels->size);
    scratch.sums = cvg_arena_take(arena,
                                  cvg_min(gather->view.M, GATHER_CHANNELS) * lines *
                                      cvg_to_lanes(kernels, gather->pieces.part[2]),
                                  kernels->size);
    scratch.col = cvg_arena_take(arena, terms, sizeof *scratch.col);
    scratch.brow = cvg_arena_take(arena, terms, sizeof *scratch.brow);
    return scratch;
}

static struct gather gather_of(const struct cvg_shape *s, cvg_pass pass)
{
    struct gather g = {.view = cvg_gather_of(s, pass)};
    if (pass == CVG_FORWARD) {
        g.piece = cvg_piece_forward;
        g.pieces = cvg_pieces_forward(s, POSITIONS);
    } else {
        g.piece = cvg_piece_grad_input;
        g.pieces = cvg_pieces_grad_input(s, POSITIONS);
    }
    g.m_blocks = cvg_ceil_div(g.view.M, GATHER_CHANNELS);
    const int64_t fit = cvg_min(BOX_ELEMENTS / cvg_max(1, g.pieces.bound.channel),
                                GATHER_TERMS / s->filter_size);
    g.l_block = cvg_max(1, cvg_min(fit, g.view.L));
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
                    scratch->col[j] = l * gather->view.l_step + (t * s->filter[1] + r) * s->filter[2] + q;
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
    const struct cvg_tile *tile = cvg_main_tile(kernels);
    const int64_t size = (int64_t)kernels->size, width = cvg_to_lanes(kernels, box->axis[2].count);
    const int64_t lines = box->axis[0].count * box->axis[1].count;
    const struct cvg_terms list = {terms, scratch->col, scratch->brow, 1, 0, 0};
    int64_t row[CVG_TILE_ROWS], place[CVG_TILE_ROWS];

    for (int64_t m = 0; m < m_count; m += tile->rows) {
        const int rows = (int)cvg_min(tile->rows, m_count - m);
        for (int i = 0; i < rows; i++) {
            row[i] = (m + i) * gather->view.m_step;
            place[i] = i * lines * width;
        }
        for (int64_t line = 0; line < lines; line++) {
            const int64_t plane = line / box->axis[1].count, r = line % box->axis[1].count;
            const char *b = scratch->box + (plane * box->rows + r) * box->columns * size;
            char *sums = scratch->sums + (m * lines + line) * width * size;
            for (int64_t i = 0; i < width; i += tile->lanes)
                tile->run(rows, &list, weight, row, b + i * size, sums + i * size, place, first);
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
    const int64_t channels = gather->view.M * t->shape->G;
    const char *sums = scratch->sums;

    for (int64_t m = channel; m < channel + m_count; m++)
        for (int64_t a = 0; a < x[0].count; a++)
            for (int64_t b = 0; b < x[1].count; b++, sums += width * size) {
                const int64_t d = x[0].first + a * x[0].step, h = x[1].first + b * x[1].step;
                const int64_t to = (n * channels + m) * gather->view.dst_size +
                                   (d * gather->view.dst_extent[1] + h) * gather->view.dst_extent[2] +
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
    const int64_t m_count = cvg_min(GATHER_CHANNELS, gather->view.M - m);
    struct cvg_box box;

    if (!gather->piece(s, &gather->pieces, piece, &box))
        return;
    struct cvg_arena arena = cvg_arena_on((char *)t->workspace);
    arena.used = (size_t)worker * gather->scratch_size;
    const struct gather_scratch scratch = gather_carve(gather, s, t->kernels, &arena);

    for (int64_t l = 0; l < gather->view.L; l += gather->l_block) {
        const int64_t l_count = cvg_min(gather->l_block, gather->view.L - l);
        const int64_t source = ((n * s->G + g) * gather->view.L + l) * gather->view.source_size;
        const int64_t weight = g * s->Kg * s->taps + m * gather->view.m_step + l * gather->view.l_step;
        const int64_t terms = gather_terms(gather, &box, l_count, &scratch);
        cvg_box_pack(&box, t->kernels, cvg_at(t, gather->source, source), gather->view.source_size,
                     l_count, scratch.box);
        gather_tiles(gather, &box, terms, cvg_at(t, t->weight, weight), m_count, &scratch, l == 0);
    }
    gather_write(gather, &box, n, g * gather->view.M + m, m_count, &scratch);
}

static void run(const struct cvg_task *task, cvg_pass pass)
{
    struct gather gather = gather_of(task->shape, pass);
    struct cvg_arena measure = cvg_arena_on(NULL);
    gather_carve(&gather, task->shape, task->kernels, &measure);
    gather.scratch_size = measure.used;
    gather.task = task;
    gather.source = pass == CVG_FORWARD ? task->input : task->grad_output;
    gather.bias = task->bias;
    cvg_parallel(task->threads, task->workers,
                 task->shape->N * task->shape->G * gather.m_blocks * gather.pieces.count,
                 gather_job, &gather);
}

static void layout(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                   int workers, struct cvg_arena *arena)
{
    const struct gather gather = gather_of(s, pass);
    for (int worker = 0; worker < workers; worker++)
        gather_carve(&gather, s, kernels, arena);
}

const struct cvg_form cvg_direct_pixels = {layout, run};
