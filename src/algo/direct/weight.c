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
 *
 * Channels last, this form has only what weight_last.c leaves: few channels.
 */
#include "../../tensor/window.h"
#include "../../text.h"
#include "../parts.h"
#include "ahead.h"
#include "direct.h"

#include <inttypes.h>
#include <string.h>

enum {
    FULL_ROWS = 16,          /* channels c: fewer leave tiles with few rows, */
    FULL_LANES = 32,         /* and channels k: of few lanes */
    POSITIONS = 256,         /* of one region */
    WINDOW_ELEMENTS = 24576, /* a window holds about as many: 96 KiB in f32 */
    SUMS = 32768,            /* of one job */
    K_COUNT = 64,            /* k of one job, */
    FEW_WORKERS = 8,         /* or twice as many, if so few do not run out of jobs */
    TAPS = 256,              /* of one job */
    LEAST_NEAR = 5,          /* tile rows that are neighbours: fewer make no tile of their own */
    LEAST_CHANNELS = 8,      /* of one job, if there are as many */
    FAR = 128,               /* elements between positions of grad_output: lanes meet in few cache sets, so they are */
    FROM_MEMORY = 3 << 17,   /* elements of both tensors that no near cache holds; */
    HALF = 32,               /* bytes: of one tap, only tiles of such vectors take so long that asking pays, */
    MANY_SUMS = 1024,        /* or those of a job with so many sums */
    MANY_ROWS = 128,         /* copied, if as many tile rows read them */
};

/* The tile for the next of so many lanes of k. */
static const struct cvg_tile *panel_tile(const struct cvg_kernels *kernels, int64_t lanes)
{
    return cvg_panel_tile(kernels, kernels->spread, lanes);
}

/* Whether input and grad_output trade places; see cvg_shape_swapped(). */
static int swaps(const struct cvg_shape *s)
{
    const int alike = s->filter_size == 1 && !cvg_strides(s) && s->in_size == s->out_size;
    return alike && s->Kg > s->Cg && s->Cg > CVG_FEW_ROWS;
}

/* The pass cut into jobs; by the shape alone. */
struct cut {
    struct cvg_shape shape; /* of the problem or, if swap, of the swapped one */
    struct cvg_regions regions;
    int64_t k_count, k_blocks, c_count, c_blocks, taps, tap_blocks;
    int few;            /* tile rows are (c, tap) */
    int in_place;       /* no window */
    int lanes_in_place; /* of whole panels of grad_output */
    int asks;           /* for planes, channels first, that come from memory */
    int swap;
    int clip[3];
    int k_first;  /* jobs go through all k before the next c: the input is read once */
    int64_t jobs; /* of one part of the sum */
};

/* Channels c of one job, at most, for its sums' sake. */
static int64_t most_channels(const struct cut *cut)
{
    return cvg_min(cut->shape.Cg, cvg_max(LEAST_CHANNELS, SUMS / (cut->taps * cut->k_count)));
}

/* Cuts cut->shape. */
static void make_cut(const struct cvg_kernels *kernels, struct cut *cut)
{
    const struct cvg_shape *s = &cut->shape;
    cut->regions = cvg_regions_of(s, 0, POSITIONS);
    cut->few = s->Cg <= CVG_FEW_ROWS;
    const int padded =
        cvg_axis_padded(&cut->regions, 0) || cvg_axis_padded(&cut->regions, 1) || cvg_axis_padded(&cut->regions, 2);
    for (int i = 0; i < 3; i++)
        cut->clip[i] = !cut->few;
    cut->in_place = s->filter_size == 1 && (!cut->few || !padded);
    cut->k_count = cvg_min(s->Kg, K_COUNT);
    cut->taps = cvg_min(s->filter_size, TAPS);
    int64_t c = most_channels(cut);
    if (!cut->in_place)
        c = cvg_min(c, cvg_max(LEAST_CHANNELS, WINDOW_ELEMENTS / cvg_window_size(&cut->regions, cut->regions.images)));
    cut->c_blocks = cvg_ceil_div(s->Cg, c);
    cut->c_count = cvg_ceil_div(s->Cg, cut->c_blocks);
    cut->k_blocks = cvg_ceil_div(s->Kg, cut->k_count);
    cut->tap_blocks = cvg_ceil_div(s->filter_size, cut->taps);
    cut->jobs = s->G * cut->k_blocks * cut->c_blocks * cut->tap_blocks;
    const int slow =
        s->filter_size == 1 && (kernels->vector * kernels->size <= HALF || cut->k_count * cut->c_count >= MANY_SUMS);
    const int64_t far = cut->few ? FROM_MEMORY : slow ? 4 * FROM_MEMORY : INT64_MAX;
    cut->asks =
        CVG_FAST && s->layout == CVG_CHANNELS_FIRST && cvg_times(s->N, s->C * s->in_size + s->K * s->out_size) >= far;
    cut->lanes_in_place = CVG_FAST && s->layout == CVG_CHANNELS_LAST &&
                          (s->out_steps.axis[2] < FAR || cut->c_count * cut->taps < MANY_ROWS);
}

/*
 * With a stride and one tap, channels first, a job takes twice as many channels k: the input, of whose lines a part is
 * read, goes by half as often.  Parts of the sum are as before.
 */
static void widen(struct cut *cut, int workers)
{
    const struct cvg_shape *s = &cut->shape;
    if (!CVG_FAST || s->layout == CVG_CHANNELS_LAST || cut->few || !cut->in_place || !cvg_strides(s) ||
        workers > FEW_WORKERS || s->Kg <= K_COUNT || s->Cg > SUMS / (2 * K_COUNT))
        return;
    cut->k_count = cvg_min(s->Kg, 2 * K_COUNT);
    cut->k_blocks = cvg_ceil_div(s->Kg, cut->k_count);
    cut->jobs = s->G * cut->k_blocks;
}

/* Pieces of a worker's scratch. */
enum { WINDOW, LANES, SUM, A, B, B_SCALED, THERE, ROW, PLACE };

struct scratch {
    char *window, *lanes, *sums;
    int64_t *a, *b, *b_scaled; /* of each position: where input and grad_output lie */
    int64_t *there;            /* of each position of the region, in grad_output itself */
    int64_t *row, *place;      /* of each tile row: where it reads and is summed */
};

static struct scratch scratch_of(const struct cvg_job *job)
{
    return (struct scratch){
        cvg_own_piece(job, WINDOW), cvg_own_piece(job, LANES), cvg_own_piece(job, SUM),
        cvg_own_piece(job, A),      cvg_own_piece(job, B),     cvg_own_piece(job, B_SCALED),
        cvg_own_piece(job, THERE),  cvg_own_piece(job, ROW),   cvg_own_piece(job, PLACE),
    };
}

/* Shares partial sums and lays out scratch; enough for any batch. */
static void lay_out(const struct cvg_kernels *kernels, const struct cut *cut, int64_t parts, struct cvg_work *work)
{
    const struct cvg_shape *s = &cut->shape;
    const int64_t most = most_channels(cut), rows = cut->few ? most * cut->taps : most;
    const int64_t positions = cvg_most_positions(&cut->regions), lanes = cvg_panel_lanes(kernels, cut->k_count);
    const int64_t channel = cvg_window_size(&cut->regions, cut->regions.most_images);
    const int64_t window =
        cvg_max(cvg_times(cvg_min(most, LEAST_CHANNELS), channel), cvg_min(WINDOW_ELEMENTS, cvg_times(most, channel)));
    cvg_parts_share(s, kernels, parts, work);
    cvg_work_piece(work, cut->in_place ? 0 : window, kernels->size);
    cvg_work_piece(work, positions * lanes, kernels->size);
    cvg_work_piece(work, most * cut->taps * lanes, kernels->size);
    cvg_work_piece(work, positions, sizeof(int64_t));
    cvg_work_piece(work, positions, sizeof(int64_t));
    cvg_work_piece(work, positions, sizeof(int64_t));
    cvg_work_piece(work, cut->lanes_in_place ? positions : 0, sizeof(int64_t));
    cvg_work_piece(work, rows, sizeof(int64_t));
    cvg_work_piece(work, rows, sizeof(int64_t));
}

/* grad_output of k_count channels in a region, turned to panels of [position][lane]; in place, only a rest of lanes. */
static void turn_gradient(const struct cvg_task *t, const struct cvg_region *region, int in_place, int64_t channel,
                          int64_t k_count, char *lanes)
{
    const struct cvg_view gradient = cvg_view_out(t, t->grad_output);
    for (int64_t k = 0; k < k_count;) {
        const int width = panel_tile(t->kernels, k_count - k)->lanes;
        const int64_t image = region->positions / region->images * width * gradient.size;
        if (CVG_FAST && in_place && width <= k_count - k) {
            lanes += region->images * image;
            k += width;
            continue;
        }
        for (int64_t n = 0; n < region->images; n++, lanes += image)
            cvg_read_lanes(&gradient, t->kernels, region->n + n, channel + k, (int)cvg_min(width, k_count - k),
                           region->begin, region->count, width, lanes);
        k += width;
    }
}

/* What is listed, of a region and its window; another region may be alike. */
struct listed {
    int64_t alike[13];
    int64_t positions, rows;
    int64_t lanes; /* of b_scaled, or 0: as it lies in grad_output; -1: of none */
};

/* One job: blocks of group, k, c and taps, and what it works on. */
struct block {
    const struct cvg_task *task;
    const struct cut *cut;
    int64_t g, k, k_count, c, c_count, tap, taps;
    struct scratch x;
    struct listed *listed;
    struct cvg_filters to; /* the result, or partial sums of it */
    const struct cvg_finish *finish;
    struct cvg_ahead ahead; /* what the next region reads */
    int first;              /* there are no sums yet */
};

/* The tile rows from one on that are neighbours, of count. */
static int64_t neighbours(const int64_t *row, int64_t count)
{
    int64_t n = 1;
    while (n < count && row[n] == row[0] + n)
        n++;
    return n;
}

/*
 * Adds listed positions to the sums of rows tile rows, whose places count lanes: of a panel w
 * lanes wide the sums of (c, tap) begin at (c*taps + tap) * w.
 */
static void add_rows(const struct block *block, const struct cvg_region *region, const struct cvg_window *w)
{
    const struct cvg_kernels *kernels = block->task->kernels;
    const int64_t size = (int64_t)kernels->size;
    const struct scratch *x = &block->x;
    const int64_t positions = block->listed->positions, rows = block->listed->rows;
    const struct cvg_view gradient = cvg_view_out(block->task, block->task->grad_output);
    const int near = neighbours(x->row, rows) >= LEAST_NEAR; /* one address serves as many */
    int64_t *const lanes = &block->listed->lanes;
    struct cvg_ahead ahead = {.left = {0}};
    if (CVG_FAST) {
        const struct cvg_tile *const widest = panel_tile(kernels, block->k_count);
        ahead = block->ahead;
        const int64_t tiles =
            cvg_ceil_div(block->k_count, widest->lanes) * cvg_ceil_div(cvg_max(1, rows), widest->rows);
        ahead.each = cvg_ceil_div(ahead.left[0] + ahead.left[1], tiles);
        ahead.regions = cvg_ceil_div(ahead.planes[0] + ahead.planes[1], tiles);
        ahead.turn *= tiles;
    }
    for (int64_t k = 0; k < block->k_count;) {
        const struct cvg_tile *tile = panel_tile(kernels, block->k_count - k);
        struct cvg_terms terms = {.count = positions, .a = x->a, .b = x->b_scaled};
        const int in_place = CVG_FAST && block->cut->lanes_in_place && tile->lanes <= block->k_count - k;
        const int want = in_place ? 0 : tile->lanes;
        const char *b = x->lanes + k * region->positions * size;
        if (in_place)
            b = cvg_view_at(&gradient, region->n, block->g * block->task->shape->Kg + block->k + k, region->begin[0],
                            region->begin[1], region->begin[2]);
        for (int64_t j = 0; *lanes != want && j < positions; j++)
            x->b_scaled[j] = in_place ? x->there[x->b[j]] : x->b[j] * tile->lanes;
        *lanes = want;
        for (int64_t done = 0, end = 0; done < rows;) {
            if (done == end)
                end = near ? done + neighbours(x->row + done, rows - done) : rows;
            const int64_t left = end - done;
            const int count = (int)(left / cvg_ceil_div(left, tile->rows)); /* as even as can be */
            int64_t place[CVG_TILE_ROWS];
            for (int r = 0; r < count; r++)
                place[r] = x->place[done + r] * tile->lanes;
            if (CVG_FAST && ahead.at[0])
                cvg_ask(&ahead, &terms);
            tile->run(count, &terms, w->base + (near ? x->row[done] * size : 0), near ? NULL : x->row + done, b,
                      x->sums + k * block->c_count * block->taps * size, place, block->first);
            done += count;
        }
        k += tile->lanes;
    }
}

/* Lists positions and tile rows (c, tap) of a region of few channels, unless they are listed. */
static void list_few(const struct block *block, const struct cvg_region *region, const struct cvg_window *w)
{
    const struct cvg_shape *s = block->task->shape;
    const struct cut *cut = block->cut;
    const struct scratch *x = &block->x;
    struct listed *const is = block->listed;
    const struct cvg_view gradient = cvg_view_out(block->task, block->task->grad_output);
    int64_t tap[3], first, end;
    if (CVG_FAST) {
        int64_t alike[13] = {!cut->in_place && cvg_taps_meet(s, region), region->images, w->image, w->channel};
        for (int axis = 0; axis < 3; axis++) {
            alike[4 + axis] = region->count[axis];
            alike[7 + axis] = w->step[axis];
            alike[10 + axis] = w->first[axis] - region->begin[axis] * s->stride[axis];
        }
        if (alike[0] && !memcmp(is->alike, alike, sizeof alike))
            return;
        memcpy(is->alike, alike, sizeof alike);
    }
    is->positions = region->positions;
    is->lanes = -1, is->rows = 0;
    if (CVG_FAST && cut->lanes_in_place)
        cvg_region_places(region, &gradient, x->there);
    for (int64_t i = 0; i < block->taps; i++) {
        int meets = 1; /* a tap that nowhere meets the input has no place in the window */
        cvg_split(block->tap + i, s->filter, tap);
        for (int axis = 0; axis < 3; axis++) {
            cvg_tap_meets(s, region, axis, tap[axis], 1, &first, &end);
            meets &= first < end;
        }
        for (int64_t c = 0; meets && c < block->c_count; c++, is->rows++) {
            x->row[is->rows] = c * w->channel + tap[0] * s->dilation[0] * w->step[0] +
                               tap[1] * s->dilation[1] * w->step[1] + tap[2] * s->dilation[2] * w->step[2];
            x->place[is->rows] = c * block->taps + i;
        }
    }
    cvg_tap_positions(s, region, w, cut->clip, (const int64_t[3]){0, 0, 0}, x->a, x->b);
    if (cvg_pairs_of(s) == CVG_PAIRS_SWAPPED)
        cvg_terms_swap(x->a, x->b, is->positions);
}

/* Adds the products of one region. */
static void add_region(const struct block *block, int64_t index)
{
    const struct cvg_task *t = block->task;
    const struct cvg_shape *s = t->shape;
    const struct cut *cut = block->cut;
    const struct scratch *x = &block->x;
    const struct cvg_region region = cvg_region_at(&cut->regions, index);
    const struct cvg_view input = cvg_view_in(t, t->input), gradient = cvg_view_out(t, t->grad_output);
    struct cvg_window w = cvg_window_of(&cut->regions, &region, cut->clip, cut->in_place, &input);
    const int64_t channel = block->g * s->Cg + block->c;
    int64_t tap[3];
    if (cut->few && !cut->in_place && s->layout == CVG_CHANNELS_LAST) /* they are neighbours, as in the input */
        cvg_window_lanes(&w, block->c_count);
    turn_gradient(t, &region, cut->lanes_in_place, block->g * s->Kg + block->k, block->k_count, x->lanes);
    cvg_window_read(&w, t->kernels, &region, &input, cut->in_place, channel, block->c_count, x->window);
    if (cut->few) {
        list_few(block, &region, &w);
        add_rows(block, &region, &w);
        return;
    }
    if (CVG_FAST && cut->lanes_in_place)
        cvg_region_places(&region, &gradient, x->there);
    for (int64_t i = 0; i < block->taps; i++) {
        for (int64_t c = 0; c < block->c_count; c++) {
            x->row[c] = c * w.channel;
            x->place[c] = c * block->taps + i;
        }
        cvg_split(block->tap + i, s->filter, tap);
        *block->listed = (struct listed){.positions = cvg_tap_positions(s, &region, &w, cut->clip, tap, x->a, x->b),
                                         .rows = block->c_count,
                                         .lanes = -1};
        add_rows(block, &region, &w);
    }
}

/* Writes finished sums to the result, or to this part's partial sums; of the swapped problem rows are k, lanes c. */
static void write_sums(const struct block *block)
{
    const struct cvg_kernels *kernels = block->task->kernels;
    const struct cvg_shape *s = block->task->shape;
    const struct cvg_filters *to = &block->to;
    for (int64_t k = 0; k < block->k_count;) {
        const int lanes = panel_tile(kernels, block->k_count - k)->lanes;
        const int width = (int)cvg_min(lanes, block->k_count - k);
        const char *const sums = block->x.sums + k * block->c_count * block->taps * to->size;
        if (block->cut->swap)
            kernels->put_rows(cvg_filter_at(to, block->g * s->Cg + block->c, block->k + k, 0), to->k, to->c, sums,
                              lanes, block->c_count, width, block->finish);
        else
            cvg_write_filters(to, kernels, block->g * s->Kg + block->k + k, width, block->c, block->c_count, block->tap,
                              block->taps, lanes, sums, block->finish);
        k += lanes;
    }
}

static void weight_job(const struct cvg_job *job, int64_t index)
{
    const struct cut *cut = cvg_state(job);
    const struct cvg_shape *s = &cut->shape;
    struct cvg_task task = *job->task;
    struct listed listed = {.rows = 0};
    struct block b = {.task = &task, .cut = cut, .x = scratch_of(job), .listed = &listed};
    task.shape = s;
    task.input = cut->swap ? job->task->grad_output : job->task->input;
    task.grad_output = cut->swap ? job->task->input : job->task->grad_output;
    b.tap = index % cut->tap_blocks * cut->taps;
    b.taps = cvg_min(cut->taps, s->filter_size - b.tap);
    index /= cut->tap_blocks;
    const int64_t blocks = cut->c_blocks * cut->k_blocks, block = index % blocks;
    b.c = (cut->k_first ? block / cut->k_blocks : block % cut->c_blocks) * cut->c_count;
    b.c_count = cvg_min(cut->c_count, s->Cg - b.c);
    b.k = (cut->k_first ? block % cut->k_blocks : block / cut->c_blocks) * cut->k_count;
    b.k_count = cvg_min(cut->k_count, s->Kg - b.k);
    b.g = index / blocks % s->G;
    const int64_t part = index / blocks / s->G, each = cvg_ceil_div(cut->regions.count, job->work->parts);

    /* Of few channels, a tap that nowhere meets the input has no tile rows; and there may be nothing to add. */
    if (cut->few || part * each >= cut->regions.count)
        memset(b.x.sums, 0,
               (size_t)(b.c_count * b.taps * cvg_panel_lanes(task.kernels, b.k_count)) * task.kernels->size);
    for (int64_t i = part * each; i < cvg_min(cut->regions.count, (part + 1) * each); i++) {
        b.first = !cut->few && i == part * each;
        b.ahead.at[0] = NULL;
        if (CVG_FAST && (cut->lanes_in_place || cut->asks) && i + 1 < cut->regions.count)
            b.ahead =
                cvg_ahead_of(&task, &cut->regions, i + 1, b.g * s->Kg + b.k, b.k_count, b.g * s->Cg + b.c, b.c_count);
        add_region(&b, i);
    }
    b.to = cvg_parts_filters(job, part);
    b.finish = cvg_parts_finish(job);
    write_sums(&b);
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    (void)s;
    return pass == CVG_GRAD_WEIGHT;
}

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_amounts x = cvg_amounts_of(s, pass);
    const double few = s->Cg > CVG_FEW_ROWS && s->Cg < FULL_ROWS ? CVG_WEIGHT_FEW : 1;
    const double narrow = s->Kg < FULL_LANES ? CVG_WEIGHT_NARROW : 1;
    return x.products * (double)cvg_inside_share(s, pass, 1) / 100 / CVG_WEIGHT_SHARE * few * narrow +
           CVG_WEIGHT_TURNED * (x.read + x.written);
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w,
              "lanes of %s channels, of which there are %s: %" PRId64 " x %" PRId64 " channels and %" PRId64
              " taps a job, %s, parts of the sum: %" PRId64,
              cut->swap ? "input" : "output", cut->swap ? "fewer" : "enough", cut->k_count, cut->c_count, cut->taps,
              cut->in_place ? "read in place" : "read from a window", work->parts);
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    (void)pass;
    cut->swap = swaps(s);
    cut->shape = cut->swap ? cvg_shape_swapped(s) : *s;
    make_cut(kernels, cut);
    work->parts = cvg_parts(&cut->shape, cut->jobs, cut->regions.count);
    /* Some batch has the smallest windows, so the fewest blocks of c, and so the most parts. */
    const int64_t least = cut->jobs / cut->c_blocks * cvg_ceil_div(cut->shape.Cg, most_channels(cut));
    widen(cut, workers);
    const int64_t in = cvg_times(s->N, cut->shape.C * cut->shape.in_size);
    const int64_t out = cvg_times(s->N, cut->shape.K * cut->shape.out_size);
    cut->k_first = CVG_FAST && cvg_plus(in, out) >= 16 * FROM_MEMORY &&
                   cvg_times(in, cut->k_blocks - 1) > cvg_times(out, cut->c_blocks - 1);
    lay_out(kernels, cut, cvg_parts_most(&cut->shape, least), work);
    cvg_work_phase(work, work->parts * cut->jobs, weight_job);
    cvg_parts_phase(s, work);
    work->flushes |= cvg_is_zipped(s);
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_weight = {fits, cost, prepare, NULL};
