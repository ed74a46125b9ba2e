/*
 * Method 2: the convolution as a matrix product.
 *
 * The column matrix has a row for every tap (c, t, r, s) and a column for every
 * output pixel; an element is the input that this tap meets for this pixel,
 * or 0 in the padding.  It is built for one image, one block of pixels and one
 * block of taps at a time, so the workspace does not grow with the batch.
 *
 *   forward      output[k][pixel]    = sum over taps   weight[k][tap] * col[tap][pixel]
 *   grad_input   dcol[tap][pixel]    = sum over k      weight[k][tap] * grad_output[k][pixel],
 *                then col2im adds dcol[tap][pixel] to the input element that col took
 *   grad_weight  grad_weight[k][tap] = sum over pixels col[tap][pixel] * grad_output[k][pixel]
 *
 * This is the transpose of the textbook's col_x, whose rows are pixels: with
 * pixels as columns, whole rows of the image are copied at a time.
 */
#include "algo.h"
#include "parts.h"

#include <string.h>

enum {
    COLUMN_ELEMENTS = 32768, /* of the column matrix at a time: 128 KiB in f32 */
    LEAST_PIXELS = 128,
    MOST_PIXELS = 1024,
    CHANNELS = 128,        /* k of one job, or of one step of a sum over k */
    WEIGHT_CHANNELS = 64,  /* k of one grad_weight job */
    /*
     * Of the cost: percent of the peak; and the multiplications that an element of the matrix, a row
     * of them, one of the operands, a weight in each image, one of the image that columns are added to,
     * and a call take.
     */
    EFFICIENCY = 70, COLUMN = 30, ELEMENT = 20, WEIGHT = 33, OVERHEAD = 40000,
    EFFICIENCY_BACK = 75, COLUMN_BACK = 34, ROW_BACK = 200, IMAGE = 20, ELEMENT_BACK = 4, /* of grad_input */
};

/* How the shape is cut; by the shape alone, since col2im adds in the order of the blocks. */
struct blocks {
    int64_t pixels, pixel_blocks; /* of out_size */
    int64_t ld;                   /* between rows of the column matrix, off powers of two */
    int64_t taps, tap_blocks;     /* of taps */
};

static struct blocks blocks_of(const struct cvg_shape *s)
{
    struct blocks b;
    const int64_t fit = COLUMN_ELEMENTS / cvg_min(s->taps, COLUMN_ELEMENTS) / 64 * 64;
    b.pixels = cvg_min(s->out_size, cvg_max(LEAST_PIXELS, cvg_min(fit, MOST_PIXELS)));
    b.pixel_blocks = cvg_ceil_div(s->out_size, b.pixels);
    b.ld = cvg_ceil_div(b.pixels, 64) * 64 + 16;
    b.taps = cvg_min(s->taps, COLUMN_ELEMENTS / b.pixels);
    b.tap_blocks = cvg_ceil_div(s->taps, b.taps);
    return b;
}

/* One job's problem and memory. */
struct piece {
    const struct cvg_task *task;
    struct blocks blocks;
    char *col;    /* blocks.taps rows */
    char *sums;   /* the product */
    char *lanes;  /* grad_output, packed */
    int64_t *by_col, *by_row; /* offsets for the microkernel */
};

/*
 * sums[i][j] (+)= sum over l of a[i*a_row + l*a_col] * b[panel of j][l][j], i < m, l < inner.
 *
 * b comes in panels of lanes columns: b_panel apart, with b_row between their
 * rows; sums likewise with sums_panel and sums_row.  Columns are computed in
 * whole panels: both must have room for that.
 */
static void product(const struct piece *x, int64_t m, int64_t columns, int64_t inner,
                    const void *a, int64_t a_row, int64_t a_col, const char *b, int64_t b_panel,
                    int64_t b_row, char *sums, int64_t sums_panel, int64_t sums_row, int first)
{
    const struct cvg_kernels *kernels = x->task->kernels;
    const struct cvg_tile *tile = cvg_main_tile(kernels);
    const int64_t size = (int64_t)kernels->size;
    const struct cvg_terms terms = {.count = inner, .a = x->by_col, .b = x->by_row, .blocks = 1};
    int64_t row[CVG_TILE_ROWS], place[CVG_TILE_ROWS];

    for (int64_t l = 0; l < inner; l++) {
        x->by_col[l] = l * a_col;
        x->by_row[l] = l * b_row;
    }
    for (int64_t i = 0; i < m; i += tile->rows) {
        const int rows = (int)cvg_min(tile->rows, m - i);
        for (int r = 0; r < rows; r++) {
            row[r] = (i + r) * a_row;
            place[r] = (i + r) * sums_row;
        }
        for (int64_t panel = 0; panel * tile->lanes < columns; panel++)
            tile->run(rows, &terms, a, row, b + panel * b_panel * size,
                      sums + panel * sums_panel * size, place, first);
    }
}

/* A run of pixels of one output row, and the input elements that a tap meets along it. */
struct run {
    int64_t count;      /* pixels */
    int64_t low, high;  /* of these, [low, high) lie inside the input */
    int64_t from, step; /* input offset of pixel low in its channel, and between pixels */
};

/* The run of count pixels from out on, which lie in one row, for the tap at place tap. */
static struct run run_of(const struct cvg_shape *s, const int64_t out[3], int64_t count,
                         const int64_t tap[3])
{
    const int64_t step = s->stride[2];
    const int64_t d = out[0] * s->stride[0] - s->pad[0] + tap[0] * s->dilation[0];
    const int64_t h = out[1] * s->stride[1] - s->pad[1] + tap[1] * s->dilation[1];
    const int64_t w = out[2] * step - s->pad[2] + tap[2] * s->dilation[2];
    struct run run = {.count = count, .step = step};
    if (d < 0 || d >= s->in[0] || h < 0 || h >= s->in[1] || w >= s->in[2])
        return run;
    if (step == 1) { /* the usual case, without divisions */
        run.low = w < 0 ? cvg_min(-w, count) : 0;
        run.high = cvg_max(run.low, cvg_min(s->in[2] - w, count));
    } else {
        run.low = w < 0 ? cvg_min(cvg_ceil_div(-w, step), count) : 0;
        run.high = cvg_max(run.low, cvg_min((s->in[2] - 1 - w) / step + 1, count));
    }
    run.from = (d * s->in[1] + h) * s->in[2] + w + run.low * step;
    return run;
}

/* Where col2im adds, or im2col reads: one channel's elements and the tap's row of the matrix. */
typedef void run_fn(const struct cvg_task *task, int64_t element, char *row, struct run run);

/* Calls visit for every run of pixels [pixel, pixel + pixels) and taps [tap, tap + taps). */
static void for_each_run(const struct piece *x, int64_t first_channel, int64_t tap, int64_t taps,
                         int64_t pixel, int64_t pixels, run_fn *visit)
{
    const struct cvg_shape *s = x->task->shape;
    const int64_t size = (int64_t)x->task->kernels->size;
    int64_t first[3];
    cvg_split(pixel, s->out, first);
    for (int64_t j = 0; j < taps; j++) {
        const int64_t c = (tap + j) / s->filter_size;
        int64_t out[3] = {first[0], first[1], first[2]}, at[3];
        char *row = x->col + j * x->blocks.ld * size;
        cvg_split((tap + j) % s->filter_size, s->filter, at);
        for (int64_t left = pixels; left > 0;) {
            const int64_t count = cvg_min(s->out[2] - out[2], left);
            const struct run run = run_of(s, out, count, at);
            visit(x->task, (first_channel + c) * s->in_size + run.from, row, run);
            row += count * size;
            left -= count;
            out[2] = 0; /* the next row of pixels */
            if (++out[1] == s->out[1]) {
                out[1] = 0;
                out[0]++;
            }
        }
    }
}

static void im2col_run(const struct cvg_task *t, int64_t element, char *row, struct run run)
{
    const size_t size = t->kernels->size;
    memset(row, 0, (size_t)run.low * size);
    if (run.high > run.low)
        t->kernels->gather(row + (size_t)run.low * size, cvg_at(t, t->input, element), run.step,
                           run.high - run.low);
    memset(row + (size_t)run.high * size, 0, (size_t)(run.count - run.high) * size);
}

static void col2im_run(const struct cvg_task *t, int64_t element, char *row, struct run run)
{
    if (run.high > run.low) {
        void *to = cvg_at(t, t->result, element);
        t->kernels->put(to, run.step, row + (size_t)run.low * t->kernels->size, 1,
                        run.high - run.low, t->scale, to, run.step);
    }
}

/* ---- forward: job = image, group, block of k, block of pixels ---- */

static struct piece forward_carve(const struct cvg_task *t, struct cvg_arena *arena)
{
    const struct cvg_kernels *kernels = t->kernels;
    struct piece x = {.task = t, .blocks = blocks_of(t->shape)};
    x.col = cvg_arena_take(arena, x.blocks.taps * x.blocks.ld, kernels->size);
    x.sums = cvg_arena_take(arena, cvg_min(t->shape->Kg, CHANNELS) *
                                       cvg_to_lanes(kernels, x.blocks.pixels), kernels->size);
    x.by_col = cvg_arena_take(arena, x.blocks.taps, sizeof *x.by_col);
    x.by_row = cvg_arena_take(arena, x.blocks.taps, sizeof *x.by_row);
    return x;
}

static void forward_piece(struct piece *x, int64_t job)
{
    const struct cvg_task *t = x->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const int64_t k_blocks = cvg_ceil_div(s->Kg, CHANNELS);
    const int64_t pixel = job % x->blocks.pixel_blocks * x->blocks.pixels;
    const int64_t k = job / x->blocks.pixel_blocks % k_blocks * CHANNELS;
    const int64_t g = job / x->blocks.pixel_blocks / k_blocks % s->G;
    const int64_t n = job / x->blocks.pixel_blocks / k_blocks / s->G;
    const int64_t pixels = cvg_min(x->blocks.pixels, s->out_size - pixel);
    const int64_t k_count = cvg_min(CHANNELS, s->Kg - k);
    const int64_t ld = cvg_to_lanes(kernels, pixels), lanes = cvg_main_tile(kernels)->lanes;

    for (int64_t tap = 0; tap < s->taps; tap += x->blocks.taps) {
        const int64_t taps = cvg_min(x->blocks.taps, s->taps - tap);
        for_each_run(x, n * s->C + g * s->Cg, tap, taps, pixel, pixels, im2col_run);
        product(x, k_count, pixels, taps, cvg_at(t, t->weight, (g * s->Kg + k) * s->taps + tap),
                s->taps, 1, x->col, lanes, x->blocks.ld, x->sums, lanes, ld,
                tap == 0);
    }
    for (int64_t i = 0; i < k_count; i++) {
        const int64_t channel = g * s->Kg + k + i;
        const int64_t to = (n * s->K + channel) * s->out_size + pixel;
        void *result = cvg_at(t, t->result, to);
        const void *base = t->bias ? cvg_at(t, t->bias, channel) : t->accumulate ? result : NULL;
        kernels->put(result, 1, x->sums + i * ld * (int64_t)kernels->size, 1, pixels, t->scale, base, t->bias ? 0 : 1);
    }
}

/* ---- grad_input: job = image, group, block of whole channels c, which it alone writes ---- */

/* Channels of one job: whole ones, so that no two jobs add to one element. */
static int64_t job_channels(const struct cvg_shape *s)
{
    const struct blocks b = blocks_of(s);
    return cvg_max(1, cvg_min(b.taps / s->filter_size, s->Cg));
}

static struct piece grad_input_carve(const struct cvg_task *t, struct cvg_arena *arena)
{
    const struct cvg_kernels *kernels = t->kernels;
    struct piece x = {.task = t, .blocks = blocks_of(t->shape)};
    const int64_t k_step = cvg_min(t->shape->Kg, CHANNELS);
    x.col = cvg_arena_take(arena, x.blocks.taps * x.blocks.ld, kernels->size);
    x.lanes = cvg_arena_take(arena, k_step * x.blocks.ld, kernels->size);
    x.by_col = cvg_arena_take(arena, k_step, sizeof *x.by_col);
    x.by_row = cvg_arena_take(arena, k_step, sizeof *x.by_row);
    return x;
}

static void grad_input_piece(struct piece *x, int64_t job)
{
    const struct cvg_task *t = x->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const int64_t size = (int64_t)kernels->size, ld = x->blocks.ld;
    const int64_t lanes = cvg_main_tile(kernels)->lanes;
    const int64_t channels = job_channels(s), c_blocks = cvg_ceil_div(s->Cg, channels);
    const int64_t c = job % c_blocks * channels, g = job / c_blocks % s->G;
    const int64_t n = job / c_blocks / s->G, first_channel = n * s->C + g * s->Cg;
    const int64_t tap_begin = c * s->filter_size;
    const int64_t tap_end = cvg_min(c + channels, s->Cg) * s->filter_size;

    if (!t->accumulate)
        memset(cvg_at(t, t->result, (first_channel + c) * s->in_size), 0,
               (size_t)((tap_end - tap_begin) / s->filter_size * s->in_size * size));
    for (int64_t pixel = 0; pixel < s->out_size; pixel += x->blocks.pixels) {
        const int64_t pixels = cvg_min(x->blocks.pixels, s->out_size - pixel);
        for (int64_t tap = tap_begin; tap < tap_end; tap += x->blocks.taps) {
            const int64_t taps = cvg_min(x->blocks.taps, tap_end - tap);
            for (int64_t k = 0; k < s->Kg; k += CHANNELS) {
                const int64_t k_count = cvg_min(CHANNELS, s->Kg - k);
                for (int64_t i = 0; i < k_count; i++)
                    kernels->gather(
                        x->lanes + i * ld * size,
                        cvg_at(t, t->grad_output,
                               (n * s->K + g * s->Kg + k + i) * s->out_size + pixel),
                        1, pixels);
                product(x, taps, pixels, k_count,
                        cvg_at(t, t->weight, (g * s->Kg + k) * s->taps + tap), 1, s->taps,
                        x->lanes, lanes, ld, x->col, lanes, ld, k == 0);
            }
            for_each_run(x, first_channel, tap, taps, pixel, pixels, col2im_run);
        }
    }
}

/* ---- grad_weight: job = part of the sum, group, block of k, block of taps ---- */

struct weight_cut {
    int64_t k_blocks, jobs, units; /* jobs of one part; units of the sum */
    int64_t parts;
};

static struct weight_cut weight_cut_of(const struct cvg_shape *s)
{
    const struct blocks b = blocks_of(s);
    struct weight_cut cut = {.k_blocks = cvg_ceil_div(s->Kg, WEIGHT_CHANNELS)};
    cut.jobs = s->G * b.tap_blocks * cut.k_blocks;
    cut.units = cvg_times(s->N, b.pixel_blocks);
    cut.parts = cvg_parts(s, cut.jobs, cut.units);
    return cut;
}

static struct piece grad_weight_carve(const struct cvg_task *t, struct cvg_arena *arena)
{
    const struct cvg_kernels *kernels = t->kernels;
    struct piece x = {.task = t, .blocks = blocks_of(t->shape)};
    const int64_t k_lanes = cvg_to_lanes(kernels, cvg_min(t->shape->Kg, WEIGHT_CHANNELS));
    x.col = cvg_arena_take(arena, x.blocks.taps * x.blocks.ld, kernels->size);
    x.lanes = cvg_arena_take(arena, k_lanes * x.blocks.pixels, kernels->size);
    x.sums = cvg_arena_take(arena, k_lanes * x.blocks.taps, kernels->size);
    x.by_col = cvg_arena_take(arena, x.blocks.pixels, sizeof *x.by_col);
    x.by_row = cvg_arena_take(arena, x.blocks.pixels, sizeof *x.by_row);
    return x;
}

static void grad_weight_piece(struct piece *x, int64_t job, char *partial)
{
    const struct cvg_task *t = x->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const struct weight_cut cut = weight_cut_of(s);
    const int64_t size = (int64_t)kernels->size, lanes = cvg_main_tile(kernels)->lanes;
    const int64_t tap = job % x->blocks.tap_blocks * x->blocks.taps;
    const int64_t k = job / x->blocks.tap_blocks % cut.k_blocks * WEIGHT_CHANNELS;
    const int64_t g = job / x->blocks.tap_blocks / cut.k_blocks % s->G;
    const int64_t part = job / x->blocks.tap_blocks / cut.k_blocks / s->G;
    const int64_t taps = cvg_min(x->blocks.taps, s->taps - tap);
    const int64_t k_count = cvg_min(WEIGHT_CHANNELS, s->Kg - k);
    const int64_t per_part = cvg_ceil_div(cut.units, cut.parts);
    const int64_t begin = part * per_part, end = cvg_min(cut.units, begin + per_part);

    if (begin >= end)
        memset(x->sums, 0, (size_t)(cvg_to_lanes(kernels, k_count) * taps * size));
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t n = unit / x->blocks.pixel_blocks;
        const int64_t pixel = unit % x->blocks.pixel_blocks * x->blocks.pixels;
        const int64_t pixels = cvg_min(x->blocks.pixels, s->out_size - pixel);
        for_each_run(x, n * s->C + g * s->Cg, tap, taps, pixel, pixels, im2col_run);
        for (int64_t i = 0; i < k_count; i += lanes)
            kernels->turn(x->lanes + i * pixels * size, (int)lanes,
                          cvg_at(t, t->grad_output,
                                 (n * s->K + g * s->Kg + k + i) * s->out_size + pixel),
                          s->out_size, (int)cvg_min(lanes, k_count - i), pixels);
        product(x, taps, k_count, pixels, x->col, x->blocks.ld, 1, x->lanes, pixels * lanes, lanes,
                x->sums, taps * lanes, lanes, unit == begin);
    }
    for (int64_t i = 0; i < k_count; i++) {
        const char *from = x->sums + (i / lanes * taps * lanes + i % lanes) * size;
        const int64_t to = (g * s->Kg + k + i) * s->taps + tap;
        if (cut.parts > 1)
            kernels->put(partial + (part * s->K * s->taps + to) * size, 1, from, lanes, taps, 1,
                         NULL, 0);
        else
            cvg_put_result(t, to, 1, from, lanes, taps);
    }
}

/* ---- the contract ---- */

/* One run of a pass: the task, and how its workspace is shared out. */
struct call {
    const struct cvg_task *task;
    char *partial;     /* sums of the whole weight */
    size_t base, each; /* where the scratch of worker 0 begins, and the size of one */
};

typedef struct piece carve_fn(const struct cvg_task *task, struct cvg_arena *arena);
static carve_fn *const carve[CVG_PASS_COUNT] = {forward_carve, grad_input_carve, grad_weight_carve};

/* Shares out the workspace: partial sums first, then scratch for each worker. */
static struct call share(const struct cvg_task *task, cvg_pass pass, struct cvg_arena *arena)
{
    const struct cvg_shape *s = task->shape;
    struct cvg_arena one = cvg_arena_on(NULL);
    struct call call = {.task = task};
    carve[pass](task, &one);
    if (pass == CVG_GRAD_WEIGHT) {
        const int64_t most = cvg_parts_most(s, weight_cut_of(s).jobs);
        if (most > 1)
            call.partial = cvg_arena_take(arena, cvg_times(most, s->K * s->taps),
                                          task->kernels->size);
    }
    call.base = arena->used;
    call.each = one.used;
    arena->overflow |= one.overflow;
    const size_t begin = arena->used;
    carve[pass](task, arena);
    cvg_arena_repeat(arena, begin, task->workers);
    return call;
}

static struct piece scratch_of(const struct call *call, cvg_pass pass, int worker)
{
    struct cvg_arena arena = cvg_arena_on(call->task->workspace);
    arena.used = call->base + (size_t)worker * call->each;
    return carve[pass](call->task, &arena);
}

static void forward_job(void *context, int64_t job, int worker)
{
    struct piece x = scratch_of(context, CVG_FORWARD, worker);
    forward_piece(&x, job);
}

static void grad_input_job(void *context, int64_t job, int worker)
{
    struct piece x = scratch_of(context, CVG_GRAD_INPUT, worker);
    grad_input_piece(&x, job);
}

static void grad_weight_job(void *context, int64_t job, int worker)
{
    const struct call *call = context;
    struct piece x = scratch_of(call, CVG_GRAD_WEIGHT, worker);
    grad_weight_piece(&x, job, call->partial);
}

static void forward(const struct cvg_task *task)
{
    const struct cvg_shape *s = task->shape;
    struct cvg_arena arena = cvg_arena_on(task->workspace);
    struct call call = share(task, CVG_FORWARD, &arena);
    cvg_parallel(task->threads, task->workers,
                 s->N * s->G * cvg_ceil_div(s->Kg, CHANNELS) * blocks_of(s).pixel_blocks,
                 forward_job, &call);
}

static void grad_input(const struct cvg_task *task)
{
    const struct cvg_shape *s = task->shape;
    struct cvg_arena arena = cvg_arena_on(task->workspace);
    struct call call = share(task, CVG_GRAD_INPUT, &arena);
    cvg_parallel(task->threads, task->workers,
                 s->N * s->G * cvg_ceil_div(s->Cg, job_channels(s)), grad_input_job, &call);
}

static void grad_weight(const struct cvg_task *task)
{
    const struct weight_cut cut = weight_cut_of(task->shape);
    struct cvg_arena arena = cvg_arena_on(task->workspace);
    struct call call = share(task, CVG_GRAD_WEIGHT, &arena);
    cvg_parallel(task->threads, task->workers, cut.parts * cut.jobs, grad_weight_job, &call);
    if (cut.parts > 1)
        cvg_parts_add(task, cut.parts, call.partial);
}

static size_t workspace(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                        int workers)
{
    const struct cvg_task task = {.shape = s, .kernels = kernels, .workers = workers};
    struct cvg_arena arena = cvg_arena_on(NULL);
    share(&task, pass, &arena);
    return arena.overflow ? SIZE_MAX : cvg_arena_size(&arena);
}

/* Products, and a column element for each tap and pixel, as measured (docs/algorithms.md). */
static double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const double columns = (double)s->N * (double)s->G * (double)s->taps * (double)s->out_size;
    const double in = (double)s->N * (double)s->C * (double)s->in_size;
    const double out = (double)s->N * (double)s->K * (double)s->out_size;
    if (pass == CVG_GRAD_WEIGHT)
        return columns * ((double)s->Kg / EFFICIENCY * 100 + COLUMN) + ELEMENT * (in + out) + OVERHEAD;
    const double lanes = 16 * ceil((double)s->out_size / 16) / (double)s->out_size;
    const double weights = WEIGHT * (double)s->N * (double)s->K * (double)s->taps + OVERHEAD;
    if (pass == CVG_FORWARD)
        return columns * ((double)s->Kg / EFFICIENCY * 100 * lanes + COLUMN) + ELEMENT * (in + out) + weights;
    return columns * ((double)s->Kg / EFFICIENCY_BACK * 100 * lanes + COLUMN_BACK + ROW_BACK / (double)s->out[2]) +
           IMAGE * in + ELEMENT_BACK * out + weights;
}

const struct cvg_algorithm cvg_im2col = {
    .id = CVG_IM2COL,
    .name = "im2col",
    .cost = cost,
    .workspace = workspace,
    .run = {forward, grad_input, grad_weight},
    .grad_bias = cvg_grad_bias_sums,
};
