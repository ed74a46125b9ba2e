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
#include "../tensor/tiles.h"
#include "../text.h"
#include "algo.h"
#include "cost.h"
#include "parts.h"

#include <inttypes.h>
#include <string.h>

enum {
    COLUMN_ELEMENTS = 32768, /* of the column matrix at a time: 128 KiB in f32 */
    LEAST_PIXELS = 128,
    MOST_PIXELS = 1024,
    CHANNELS = 128,       /* k of one job, or of one step of a sum over k */
    WEIGHT_CHANNELS = 64, /* k of one grad_weight job */
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

/* What is decided when the plan is made. */
struct cut {
    struct blocks blocks;
    int64_t blocks_of_channels; /* of k; in grad_input of c */
    int64_t channels;           /* of one of these */
    int64_t units;              /* of the sum of grad_weight: blocks of pixels of all images */
};

/* Pieces of a worker's scratch. */
enum { COLUMNS, BY_COLUMN, BY_ROW, SUMS, PACKED };

/* One job's problem and memory. */
struct piece {
    const struct cvg_job *job;
    const struct cvg_task *task;
    const struct cut *cut;
    struct blocks blocks;
    char *col;                     /* blocks.taps rows */
    char *sums;                    /* the product */
    char *lanes;                   /* grad_output, packed */
    int64_t *by_col, *by_row;      /* offsets for the microkernel */
    struct cvg_view image, pixels; /* the input, or its gradient; the output, or its gradient */
    struct cvg_filters weight;     /* or its gradient, or partial sums of that */
};

static struct piece piece_of(const struct cvg_job *job, cvg_pass pass)
{
    const struct cut *cut = cvg_state(job);
    const struct cvg_task *t = job->task;
    return (struct piece){
        .job = job,
        .task = t,
        .cut = cut,
        .blocks = cut->blocks,
        .col = cvg_own_piece(job, COLUMNS),
        .sums = cvg_own_piece(job, SUMS),
        .lanes = cvg_own_piece(job, PACKED),
        .by_col = cvg_own_piece(job, BY_COLUMN),
        .by_row = cvg_own_piece(job, BY_ROW),
        .image = cvg_view_in(t, pass == CVG_GRAD_INPUT ? t->result : t->input),
        .pixels = cvg_view_out(t, pass == CVG_FORWARD ? t->result : t->grad_output),
        .weight = cvg_filters_of(t, t->weight),
    };
}

/* Where the elements of a row or column of a matrix lie: in lines of so many, each step apart. */
struct line {
    int64_t step, first, length, far; /* the first of them, in its line; and between lines */
};

static struct line plain(int64_t step) { return (struct line){.step = step, .length = INT64_MAX}; }

/* The weights of taps (c, t, r, s) from one on. */
static struct line taps_of(const struct piece *x, int64_t tap)
{
    return (struct line){x->weight.tap, tap, x->task->shape->filter_size, x->weight.c};
}

static int64_t line_at(const struct line *line, int64_t i)
{
    i += line->first;
    return i / line->length * line->far + i % line->length * line->step;
}

/*
 * sums[i][j] (+)= sum over l of a[row i + column l] * b[panel of j][l][j], i < m, l < inner.
 *
 * b comes in panels of lanes columns: b_panel apart, with b_row between their
 * rows; sums likewise with sums_panel and sums_row.  Columns are computed in
 * whole panels: both must have room for that.
 */
static void product(const struct piece *x, int64_t m, int64_t columns, int64_t inner, const void *a, struct line a_row,
                    struct line a_col, const char *b, int64_t b_panel, int64_t b_row, char *sums, int64_t sums_panel,
                    int64_t sums_row, int first)
{
    const struct cvg_kernels *kernels = x->task->kernels;
    const struct cvg_tile *tile = cvg_main_tile(kernels);
    const int64_t size = (int64_t)kernels->size;
    const struct cvg_terms terms = {.count = inner, .a = x->by_col, .b = x->by_row};
    int64_t row[CVG_TILE_ROWS], place[CVG_TILE_ROWS];

    for (int64_t l = 0; l < inner; l++) {
        x->by_col[l] = line_at(&a_col, l);
        x->by_row[l] = l * b_row;
    }
    for (int64_t i = 0; i < m; i += tile->rows) {
        const int rows = (int)cvg_min(tile->rows, m - i);
        for (int r = 0; r < rows; r++) {
            row[r] = line_at(&a_row, i + r);
            place[r] = (i + r) * sums_row;
        }
        for (int64_t panel = 0; panel * tile->lanes < columns; panel++)
            tile->run(rows, &terms, a, row, b + panel * b_panel * size, sums + panel * sums_panel * size, place, first);
    }
}

/* A run of pixels of one output row, and the input elements that a tap meets along it. */
struct run {
    int64_t count;      /* pixels */
    int64_t low, high;  /* of these, [low, high) lie inside the input */
    int64_t from, step; /* input offset of pixel low in its channel, and between pixels */
};

/* The run of count pixels from out on, which lie in one row, for the tap at place tap. */
static struct run run_of(const struct cvg_shape *s, const struct cvg_view *image, const int64_t out[3], int64_t count,
                         const int64_t tap[3])
{
    const int64_t step = s->stride[2];
    const int64_t d = out[0] * s->stride[0] - s->pad[0] + tap[0] * s->dilation[0];
    const int64_t h = out[1] * s->stride[1] - s->pad[1] + tap[1] * s->dilation[1];
    const int64_t w = out[2] * step - s->pad[2] + tap[2] * s->dilation[2];
    struct run run = {.count = count, .step = step * image->step[2]};
    if (d < 0 || d >= s->in[0] || h < 0 || h >= s->in[1])
        return run;
    cvg_inside(w, step, count, s->in[2], &run.low, &run.high);
    run.from = d * image->step[0] + h * image->step[1] + (w + run.low * step) * image->step[2];
    return run;
}

/* Where im2col reads, or col2im adds: elements of the image, run.step apart, and the tap's row of the matrix. */
typedef void run_fn(const struct cvg_task *task, char *element, char *row, struct run run);

/* Calls visit for every run of pixels [pixel, pixel + pixels) and taps [tap, tap + taps), from a channel on. */
static void for_each_run(const struct piece *x, int64_t n, int64_t channel, int64_t tap, int64_t taps, int64_t pixel,
                         int64_t pixels, run_fn *visit)
{
    const struct cvg_shape *s = x->task->shape;
    const struct cvg_view *image = &x->image;
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
            const struct run run = run_of(s, image, out, count, at);
            visit(x->task, cvg_view_at(image, n, channel + c, 0, 0, 0) + run.from * image->size, row, run);
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

static void im2col_run(const struct cvg_task *t, char *element, char *row, struct run run)
{
    const size_t size = t->kernels->size;
    memset(row, 0, (size_t)run.low * size);
    if (run.high > run.low)
        t->kernels->gather(row + (size_t)run.low * size, element, run.step, run.high - run.low);
    memset(row + (size_t)run.high * size, 0, (size_t)(run.count - run.high) * size);
}

static void col2im_run(const struct cvg_task *t, char *element, char *row, struct run run)
{
    if (run.high > run.low)
        t->kernels->put(element, run.step, row + (size_t)run.low * t->kernels->size, 1, run.high - run.low,
                        &(struct cvg_finish){.scale = t->finish.scale, .accumulate = 1});
}

/* ---- forward: job = image, group, block of k, block of pixels ---- */

static void forward_job(const struct cvg_job *job, int64_t index)
{
    const struct piece piece = piece_of(job, CVG_FORWARD), *x = &piece;
    const struct cvg_task *t = x->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const int64_t k_blocks = x->cut->blocks_of_channels;
    const int64_t pixel = index % x->blocks.pixel_blocks * x->blocks.pixels;
    const int64_t k = index / x->blocks.pixel_blocks % k_blocks * CHANNELS;
    const int64_t g = index / x->blocks.pixel_blocks / k_blocks % s->G;
    const int64_t n = index / x->blocks.pixel_blocks / k_blocks / s->G;
    const int64_t pixels = cvg_min(x->blocks.pixels, s->out_size - pixel);
    const int64_t k_count = cvg_min(CHANNELS, s->Kg - k);
    const int64_t ld = cvg_to_lanes(kernels, pixels), lanes = cvg_main_tile(kernels)->lanes;

    for (int64_t tap = 0; tap < s->taps; tap += x->blocks.taps) {
        const int64_t taps = cvg_min(x->blocks.taps, s->taps - tap);
        for_each_run(x, n, g * s->Cg, tap, taps, pixel, pixels, im2col_run);
        product(x, k_count, pixels, taps, cvg_filter_at(&x->weight, g * s->Kg + k, 0, 0), plain(x->weight.k),
                taps_of(x, tap), x->col, lanes, x->blocks.ld, x->sums, lanes, ld, tap == 0);
    }
    for (int64_t i = 0; i < k_count; i++) {
        const int64_t channel = g * s->Kg + k + i;
        const struct cvg_finish finish = cvg_finish_of(t, channel);
        cvg_write_positions(&x->pixels, kernels, n, channel, pixel, pixels, x->sums + i * ld * (int64_t)kernels->size,
                            &finish);
    }
}

/* ---- grad_input: job = image, group, block of whole channels c, which it alone writes ---- */

/* What the columns of some channels are added to: their bias, zeros, or what is there. */
static void begin_image(const struct piece *x, int64_t n, int64_t channel, int64_t channels)
{
    const struct cvg_task *t = x->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_view *v = &x->image;
    static const double zeros[32]; /* of any type */
    const int last = cvg_view_last(v);
    const int64_t end = channel + channels, most = last ? (int64_t)(sizeof zeros / t->kernels->size) : 1;
    const int64_t rows = cvg_view_is_line(v) ? 1 : s->in[0] * s->in[1], count = s->in_size / rows;
    if (t->finish.accumulate)
        return;
    for (int64_t c = channel; c < end; c += most) {
        const struct cvg_finish finish = {.scale = 1, .bias = t->finish.bias ? cvg_at(t, t->finish.bias, c) : NULL};
        for (int64_t row = 0; row < rows; row++) {
            char *const to = cvg_view_at(v, n, c, row / s->in[1], row % s->in[1], 0);
            if (last)
                t->kernels->put_lanes(to, v->step[2], zeros, 0, (int)cvg_min(most, end - c), count, &finish);
            else if (finish.bias)
                t->kernels->put(to, 1, zeros, 0, count, &finish);
            else
                memset(to, 0, (size_t)count * t->kernels->size);
        }
    }
}

static void grad_input_job(const struct cvg_job *job, int64_t index)
{
    const struct piece piece = piece_of(job, CVG_GRAD_INPUT), *x = &piece;
    const struct cvg_task *t = x->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const int64_t size = (int64_t)kernels->size, ld = x->blocks.ld;
    const int64_t lanes = cvg_main_tile(kernels)->lanes;
    const int64_t channels = x->cut->channels, c_blocks = x->cut->blocks_of_channels;
    const int64_t c = index % c_blocks * channels, g = index / c_blocks % s->G;
    const int64_t n = index / c_blocks / s->G;
    const int64_t tap_begin = c * s->filter_size;
    const int64_t tap_end = cvg_min(c + channels, s->Cg) * s->filter_size;

    begin_image(x, n, g * s->Cg + c, (tap_end - tap_begin) / s->filter_size);
    for (int64_t pixel = 0; pixel < s->out_size; pixel += x->blocks.pixels) {
        const int64_t pixels = cvg_min(x->blocks.pixels, s->out_size - pixel);
        for (int64_t tap = tap_begin; tap < tap_end; tap += x->blocks.taps) {
            const int64_t taps = cvg_min(x->blocks.taps, tap_end - tap);
            for (int64_t k = 0; k < s->Kg; k += CHANNELS) {
                const int64_t k_count = cvg_min(CHANNELS, s->Kg - k);
                for (int64_t i = 0; i < k_count; i++)
                    cvg_read_positions(&x->pixels, kernels, n, g * s->Kg + k + i, 1, pixel, pixels, 1,
                                       x->lanes + i * ld * size);
                product(x, taps, pixels, k_count, cvg_filter_at(&x->weight, g * s->Kg + k, 0, 0), taps_of(x, tap),
                        plain(x->weight.k), x->lanes, lanes, ld, x->col, lanes, ld, k == 0);
            }
            for_each_run(x, n, g * s->Cg, tap, taps, pixel, pixels, col2im_run);
        }
    }
}

/* ---- grad_weight: job = part of the sum, group, block of k, block of taps ---- */

static void grad_weight_job(const struct cvg_job *job, int64_t index)
{
    const struct piece piece = piece_of(job, CVG_GRAD_WEIGHT), *x = &piece;
    const struct cvg_task *t = x->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const int64_t k_blocks = x->cut->blocks_of_channels, units = x->cut->units, parts = job->work->parts;
    const int64_t size = (int64_t)kernels->size, lanes = cvg_main_tile(kernels)->lanes;
    const int64_t tap = index % x->blocks.tap_blocks * x->blocks.taps;
    const int64_t k = index / x->blocks.tap_blocks % k_blocks * WEIGHT_CHANNELS;
    const int64_t g = index / x->blocks.tap_blocks / k_blocks % s->G;
    const int64_t part = index / x->blocks.tap_blocks / k_blocks / s->G;
    const int64_t taps = cvg_min(x->blocks.taps, s->taps - tap);
    const int64_t k_count = cvg_min(WEIGHT_CHANNELS, s->Kg - k);
    const int64_t per_part = cvg_ceil_div(units, parts);
    const int64_t begin = part * per_part, end = cvg_min(units, begin + per_part);
    const struct cvg_filters to = cvg_parts_filters(job, part);

    if (begin >= end)
        memset(x->sums, 0, (size_t)(cvg_to_lanes(kernels, k_count) * taps * size));
    for (int64_t unit = begin; unit < end; unit++) {
        const int64_t n = unit / x->blocks.pixel_blocks;
        const int64_t pixel = unit % x->blocks.pixel_blocks * x->blocks.pixels;
        const int64_t pixels = cvg_min(x->blocks.pixels, s->out_size - pixel);
        for_each_run(x, n, g * s->Cg, tap, taps, pixel, pixels, im2col_run);
        for (int64_t i = 0; i < k_count; i += lanes)
            cvg_read_positions(&x->pixels, kernels, n, g * s->Kg + k + i, (int)cvg_min(lanes, k_count - i), pixel,
                               pixels, (int)lanes, x->lanes + i * pixels * size);
        product(x, taps, k_count, pixels, x->col, plain(x->blocks.ld), plain(1), x->lanes, pixels * lanes, lanes,
                x->sums, taps * lanes, lanes, unit == begin);
    }
    for (int64_t i = 0; i < k_count; i++) {
        const char *from = x->sums + (i / lanes * taps * lanes + i % lanes) * size;
        for (int64_t done = 0, count; done < taps; done += count) {
            const int64_t c = (tap + done) / s->filter_size, first = (tap + done) % s->filter_size;
            count = to.c == s->filter_size * to.tap ? taps : cvg_min(s->filter_size - first, taps - done);
            kernels->put(cvg_filter_at(&to, g * s->Kg + k + i, c, first), to.tap, from + done * lanes * size, lanes,
                         count, cvg_parts_finish(job));
        }
    }
}

/* ---- the contract ---- */

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w, "a column matrix of %" PRId64 " taps x %" PRId64 " pixels at a time, %" PRId64 " channels a job",
              cut->blocks.taps, cut->blocks.pixels, cut->channels);
}

/* Lays out a worker's scratch: the column matrix, and what its product needs. */
static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, const struct blocks *b,
                    struct cvg_work *work)
{
    const int64_t k = cvg_min(s->Kg, CHANNELS), k_lanes = cvg_to_lanes(kernels, cvg_min(s->Kg, WEIGHT_CHANNELS));
    const int64_t inner[] = {b->taps, k, b->pixels}; /* of the product */
    const int64_t sums[] = {k * cvg_to_lanes(kernels, b->pixels), 0, k_lanes * b->taps};
    const int64_t packed[] = {0, k * b->ld, k_lanes * b->pixels};
    cvg_work_piece(work, b->taps * b->ld, kernels->size);
    cvg_work_piece(work, inner[pass], sizeof(int64_t));
    cvg_work_piece(work, inner[pass], sizeof(int64_t));
    cvg_work_piece(work, sums[pass], kernels->size);
    cvg_work_piece(work, packed[pass], kernels->size);
}

static CVG_ONCE void prepare(const struct cvg_algorithm *self, const struct cvg_shape *s,
                             const struct cvg_kernels *kernels, cvg_pass pass, int workers, struct cvg_work *work)
{
    static cvg_job_fn *const run[] = {forward_job, grad_input_job, grad_weight_job};
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    const struct blocks b = blocks_of(s);
    /* Of grad_input whole channels, so that no two jobs add to one element. */
    const int64_t most[] = {CHANNELS, cvg_max(1, b.taps / s->filter_size), WEIGHT_CHANNELS};
    const int64_t of = pass == CVG_GRAD_INPUT ? s->Cg : s->Kg;
    (void)self, (void)workers;
    *cut = (struct cut){b, cvg_ceil_div(of, cvg_min(most[pass], of)), cvg_min(most[pass], of),
                        cvg_times(s->N, b.pixel_blocks)};
    const int64_t blocks = s->G * cut->blocks_of_channels;
    if (pass == CVG_GRAD_WEIGHT) {
        const int64_t jobs = blocks * b.tap_blocks;
        cvg_parts_share(s, kernels, cvg_parts_most(s, jobs), work);
        work->parts = cvg_parts(s, jobs, cut->units);
        cvg_work_phase(work, work->parts * jobs, run[pass]);
        cvg_parts_phase(s, work);
    } else {
        cvg_work_phase(work, s->N * blocks * (pass == CVG_FORWARD ? b.pixel_blocks : 1), run[pass]);
    }
    lay_out(s, kernels, pass, &b, work);
    cvg_work_describe(work, describe);
}

/* Products, and a column element for each tap and pixel, as measured (docs/algorithms.md). */
static CVG_ONCE double cost(const struct cvg_algorithm *self, const struct cvg_shape *s, cvg_pass pass)
{
    (void)self;
    const double columns = (double)s->N * (double)s->G * (double)s->taps * (double)s->out_size;
    const double in = (double)s->N * (double)s->C * (double)s->in_size;
    const double out = (double)s->N * (double)s->K * (double)s->out_size;
    const double last = fmin(CVG_IM2COL_APART, CVG_IM2COL_LAST + (double)s->C / CVG_IM2COL_CHANNELS);
    const double apart = s->layout == CVG_CHANNELS_LAST ? last : 1, column = CVG_IM2COL_COLUMN * apart;
    if (pass == CVG_GRAD_WEIGHT)
        return columns * ((double)s->Kg / CVG_IM2COL_SHARE * 100 + column) + CVG_IM2COL_ELEMENT * (in + out) +
               CVG_IM2COL_CALL;
    const double lanes = 16 * ceil((double)s->out_size / 16) / (double)s->out_size;
    const double weights = CVG_IM2COL_WEIGHT * (double)s->N * (double)s->K * (double)s->taps + CVG_IM2COL_CALL;
    if (pass == CVG_FORWARD)
        return columns * ((double)s->Kg / CVG_IM2COL_SHARE * 100 * lanes + column) + CVG_IM2COL_ELEMENT * (in + out) +
               weights;
    return columns * ((double)s->Kg / CVG_IM2COL_SHARE_BACK * 100 * lanes + CVG_IM2COL_COLUMN_BACK * apart +
                      CVG_IM2COL_ROW_BACK / (double)s->out[2]) +
           CVG_IM2COL_IMAGE * in + CVG_IM2COL_ELEMENT_BACK * out + weights;
}

const struct cvg_algorithm cvg_im2col = {
    .id = CVG_IM2COL,
    .name = "im2col",
    .cost = cost,
    .prepare = prepare,
    .grad_bias = cvg_grad_bias_sums,
};
