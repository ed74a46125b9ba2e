/*
 * All passes of groups of few channels, lanes are the channels of many groups (direct.h).
 *
 * A job owns a region of the destination (some images, or a part of one).
 *
 * Groups of one channel in and out: channels last, nothing is copied but the weight; the destinations fall into classes
 * that sum the same taps (window.h), so that nothing outside the source is read.  Channels first, planes that are too
 * small to fill lanes of pixels are turned to lanes of channels and back, image after image; the turned source has its
 * padding.  So has a copy that is made channels last, where a large filter meets a small image, or of halves, as
 * floats.
 *
 * Groups of M channels that sum L others, channels last: the source is copied L times, so that lane m of a group finds
 * channel l of its group in copy l.  Then it is a filter of one channel with L times as many taps.
 */
#include "../../text.h"
#include "../parts.h"
#include "ahead.h"
#include "groups_open.h"

#include <inttypes.h>
#include <string.h>

enum {
    ELEMENTS = 131072,    /* of the result, of one job, about */
    MOST_POSITIONS = 512, /* of them */
    LEAST_POSITIONS = 32,
    WIDENED = 131072,              /* of copies of halves, channels last: they stay in the second cache; */
    MOST_COPIES = WIDENED * 3 / 2, /* of the source alone, at most; */
    MOST_WIDENED = 4096,           /* positions of them */
    CHANNELS = 1024,               /* of one job: along all of them, as they lie, memory is read best */
    TURNED_ELEMENTS = 8192,        /* of turned channels, of the result, about */
    TURNED_CHANNELS = 64,          /* at most */
    TURNED_LANES = 16,             /* at a time, or twice as many, */
    TURNED_BYTES = 24576,          /* if copies have no more bytes: they stay in the first cache */
    ASKED_ROWS = 4,                /* of turned planes, between which what comes next is asked for */
    LEAST_CHANNELS = 16,
    LEAST_TURNED = 4,
    BORDER_FILTER = 5,
    COLUMNS = 8,             /* of copies, at a time: the next rows find most of theirs in the first cache */
    MOST_PAIRS = 32,         /* of channels of a group, up to which copies pay; */
    MOST_WEIGHED = 48,       /* in grad_weight, of several taps */
    COPIED_ELEMENTS = 32768, /* of all copies, about: they stay in the second cache */
    /* Planes are turned whose results in a row are at most, */
    SHORT_ROW = 8,
    SHORT_SLOW = 14,    /* where other forms are slow: grad_weight, and grad_input with a stride, */
    SHORT_STRIDED = 56, /* the other passes with a stride, which costs other forms most */
    WINDOW = 4096,      /* positions of a turned source, at most */
    FAR = 1 << 22,      /* elements of both tensors that few caches hold: they are asked for, */
    MEET = 256,         /* but not where columns lie multiples of as many apart, and meet in few sets of the cache */
    ROW = 64,           /* and of a region that is one row, or a part of one */
};

/*
 * Whether to turn planes.  Channels first, their rows are so short that lanes of pixels are left unused, or nearly so
 * and the other forms are slow.  Channels last, the weight's filter is so large beside the image that most classes are
 * of borders, each with a few taps of a few positions: then a copy with its padding pays.
 */
static CVG_ONCE int turns(const struct cvg_shape *s, cvg_pass pass)
{
    if (s->Cg * s->Kg > 1)
        return 0;
    const struct cvg_regions regions = cvg_regions_of(s, pass == CVG_GRAD_INPUT, MOST_POSITIONS);
    int64_t row = SHORT_ROW;
    if (s->C >= LEAST_CHANNELS && s->stride[2] > 1 && pass != CVG_GRAD_INPUT)
        row = SHORT_STRIDED;
    else if (s->C >= LEAST_CHANNELS && (s->stride[2] > 1 || pass == CVG_GRAD_WEIGHT))
        row = SHORT_SLOW;
    if (s->filter_size == 1 || cvg_window_size(&regions, 1) > WINDOW)
        return 0;
    if (pass == CVG_GRAD_WEIGHT && cvg_reads_planes(s, pass))
        row = s->C < LEAST_CHANNELS ? SHORT_ROW : SHORT_SLOW;
    if (s->layout == CVG_CHANNELS_FIRST)
        return s->C >= LEAST_TURNED && s->out[2] <= row;
    return s->stride[2] == 1 && s->filter[2] >= BORDER_FILTER && 2 * s->filter[2] >= s->out[2];
}

/* Positions of a region of halves, about, so that copies of its source and results are so many elements together. */
static int64_t widened_positions(const struct cvg_shape *s, int gradient)
{
    const int64_t positions = cvg_times(WIDENED, gradient ? s->in_size : s->out_size);
    return cvg_max(LEAST_POSITIONS,
                   cvg_min(MOST_WIDENED, positions / cvg_times(s->C, cvg_plus(s->in_size, s->out_size))));
}

static CVG_ONCE struct cvg_groups cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass)
{
    const int64_t line = CVG_ALIGNMENT / (int64_t)kernels->size;
    const int gradient = pass == CVG_GRAD_INPUT, turned = turns(s, pass), many = s->Cg * s->Kg > 1;
    const int halves = cvg_is_half(s->type) && s->layout == CVG_CHANNELS_LAST; /* the copies are floats */
    struct cvg_groups cut = {
        .view = cvg_gather_of(s, gradient ? pass : CVG_FORWARD), .weight = pass == CVG_GRAD_WEIGHT, .many = many};
    cut.channels = s->G * cut.view.M;
    cut.copied = turned || many || halves;
    cut.turned = halves || (turned && s->layout == CVG_CHANNELS_FIRST);
    const int nine = cut.weight && !cut.copied && cvg_are_nine(s, 2);
    cut.nine = nine && CVG_FAST && kernels->weigh_nine;
    cut.asks = CVG_FAST && cvg_times(s->N, s->C * (s->in_size + s->out_size)) >= FAR && s->in_steps.axis[2] % MEET;
    const int64_t positions = halves       ? widened_positions(s, gradient)
                              : nine       ? cvg_min(s->out[2], ROW)
                              : cut.copied ? MOST_POSITIONS
                                           : cvg_max(LEAST_POSITIONS, cvg_min(MOST_POSITIONS, ELEMENTS / s->C));
    cut.regions = cvg_regions_of(s, gradient, positions);
    cut.near = CVG_FAST && cut.nine && s->stride[2] == 1 ? cvg_groups_near(s, 0) : 0;
    const int64_t *part = cut.regions.part, last = cut.regions.extent[2] - (cut.regions.parts[2] - 1) * part[2];
    const int by_rows =
        CVG_FAST && cut.weight && cvg_are_nine(s, 2) && part[1] <= last; /* or copies are summed by columns */
    if (turned && !halves && by_rows)
        cut.nine = CVG_FAST && kernels->weigh_nine;
    if (CVG_FAST && kernels->weigh_halves && halves && s->type == CVG_BF16 && by_rows && !many &&
        cut.channels % line == 0) {
        cut.halves = 1;
        cut.copied = cut.turned = 0;
    }
    int64_t most = CHANNELS;
    if (many)
        most = COPIED_ELEMENTS / cvg_times(cut.view.L, cvg_window_size(&cut.regions, 1));
    else if (turned && !halves)
        most = cvg_max(LEAST_CHANNELS, cvg_min(TURNED_CHANNELS, TURNED_ELEMENTS / (part[0] * part[1] * part[2])));
    for (int i = 0; i < 3; i++)
        cut.clip[i] = !cut.copied;
    cut.row = cvg_ceil_div(cut.channels, line) * line;
    cut.c_count = cvg_ceil_div(cvg_even_rows(cut.channels, cvg_max(most, line)), line) * line;
    cut.c_blocks = cvg_ceil_div(cut.channels, cut.c_count);
    cut.lanes = cut.c_count;
    if (turned && !halves) {
        const int64_t copies = cvg_plus(cvg_window_size(&cut.regions, 1), part[0] * part[1] * part[2]);
        const int64_t two = CVG_FAST && copies <= TURNED_BYTES / (2 * TURNED_LANES * (int64_t)kernels->size) ? 2 : 1;
        cut.lanes = cvg_min(cut.c_count, cvg_ceil_div(two * TURNED_LANES, line) * line);
    }
    return cut;
}

void cvg_groups_pack(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_groups *cut = cvg_state(job);
    const int64_t M = cut->view.M, taps = t->shape->filter_size, first = index * cut->c_count;
    const int64_t end = cvg_min(first + cut->c_count, cut->channels);
    const struct cvg_gather_weight weight = cvg_gather_weight(t, &cut->view);
    const int even = M == 1 || weight.g == M * weight.m; /* from group to group as within one */
    struct cvg_filters from = {.size = (int64_t)t->kernels->size, .k = M == 1 ? weight.g : weight.m, .tap = weight.tap};
    for (int64_t l = 0; l < cut->view.L; l++)
        for (int64_t at = first, next; at < end; at = next) {
            next = even ? end : cvg_min(end, (at / M + 1) * M);
            from.base = (char *)weight.base + (at / M * weight.g + at % M * weight.m + l * weight.l) * from.size;
            cvg_read_filters(&from, t->kernels, 0, (int)(next - at), taps, cut->row,
                             cvg_at(t, job->base, l * taps * cut->row + at));
        }
}

/* Turned, the result is finished when it is written. */
static void filter_plane(const struct cvg_groups_block *b, const struct cvg_groups_class *now,
                         const struct cvg_groups_place *at)
{
    const struct cvg_task *t = b->job->task;
    const struct cvg_groups *cut = b->cut;
    const struct cvg_finish finish = cut->turned ? cvg_plain : cvg_finish_of(t, b->channel);
    const int64_t columns = cut->many ? COLUMNS : at->count, size = b->source.view.size;
    for (int64_t i = 0; i < at->count; i += columns)
        t->kernels->filter_lanes(at->rows, cvg_min(columns, at->count - i), b->width, &now->terms,
                                 cvg_at(t, b->job->base, b->channel), at->source + i * at->source_step * size,
                                 at->source_row, at->source_step, at->destination + i * at->step * size, at->row,
                                 at->step, &finish);
}

static void filter_images(const struct cvg_groups_block *b)
{
    const struct cvg_task *t = b->job->task;
    cvg_groups_each(b, filter_plane);
    if (b->cut->turned) {
        const int lanes = (int)b->cut->lanes;
        const int64_t *const count = b->region.count;
        struct cvg_finish finish = cvg_finish_of(t, b->channel);
        cvg_finish_positive(t, b->destination.view.base, lanes, count[0] * count[1] * count[2], &finish);
        cvg_write_lanes(&b->to, t->kernels, b->region.n, b->channel, (int)b->width, b->region.begin, count, lanes,
                        b->destination.view.base, &finish);
    }
}

static void region_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_groups *cut = cvg_state(job);
    cvg_groups_run(job, index % cut->c_blocks, index / cut->c_blocks, filter_images);
}

/* Adds products to sums of grad_weight. */
static void weigh_plane(const struct cvg_groups_block *b, const struct cvg_groups_class *now,
                        const struct cvg_groups_place *at)
{
    const struct cvg_task *t = b->job->task;
    t->kernels->weigh_lanes(at->rows, at->count, b->width, now->terms.count, now->terms.a, now->terms.b, at->source,
                            at->source_row, at->source_step, at->destination, at->row, at->step,
                            cvg_at(t, cvg_own_piece(b->job, CVG_GROUPS_SUMS), b->channel - b->first));
}

static void weigh_images(const struct cvg_groups_block *b)
{
    if (b->cut->turned)
        cvg_read_lanes(&b->to, b->job->task->kernels, b->region.n, b->channel, (int)b->width, b->region.begin,
                       b->region.count, (int)b->cut->lanes, b->destination.view.base);
    cvg_groups_each(b, weigh_plane);
}

/* Adds products of rows as they lie, from one on and before end, that are of one plane; returns how many. */
static int64_t weigh_nine(const struct cvg_job *job, int64_t channel, int64_t width, int64_t row, int64_t end)
{
    const struct cvg_task *t = job->task;
    const struct cvg_groups *cut = cvg_state(job);
    const struct cvg_region r = cvg_region_at(&cut->regions, row);
    const int64_t rows = cut->regions.parts[2] > 1 ? 1 : cvg_min(end - row, t->shape->out[1] - r.begin[1]);
    const struct cvg_view input = cvg_view_in(t, t->input), gradient = cvg_view_out(t, t->grad_output);
    char *const near = cvg_own_piece(job, CVG_GROUPS_SOURCE), *const sums = cvg_own_piece(job, CVG_GROUPS_SUMS);
    const int64_t channels = cut->near ? cut->near : width;
    const int64_t most = cut->near ? cvg_groups_near_rows(t->shape->in[2], t->shape->stride[1]) : rows;
    for (int64_t c = 0; c < width; c += channels)
        for (int64_t i = 0; i < rows; i += most) {
            const int64_t count = cvg_min(most, rows - i), some = cvg_min(channels, width - c);
            const char *src = cvg_view_at(&input, r.n, channel + c, r.begin[0], 0, 0);
            struct cvg_frame frame = cvg_frame_of(t->shape, 0, &input, r.begin[1] + i, r.begin[2]);
            frame.asks = cut->asks;
            if (cut->near)
                src = cvg_groups_bring(t->kernels, &frame, src, count, channels, some, near);
            t->kernels->weigh_nine(&frame, count, r.count[2], some, src,
                                   cvg_view_at(&gradient, r.n, channel + c, r.begin[0], r.begin[1] + i, r.begin[2]),
                                   gradient.step[1], gradient.step[2], sums + c * input.size, cut->c_count);
        }
    return rows;
}

/* Adds products of a region whose planes are turned, some rows at a time: they stay in the first cache. */
static CVG_ONCE void weigh_turned(const struct cvg_job *job, int64_t first, int64_t width, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_groups *cut = cvg_state(job);
    const struct cvg_region r = cvg_region_at(&cut->regions, index);
    const struct cvg_view view[2] = {cvg_view_in(t, t->input), cvg_view_out(t, t->grad_output)};
    const int64_t lanes = cut->lanes, stride = t->shape->stride[1];
    const int64_t columns = /* which are read, from the first one on */
        cvg_min(view->extent[2], (r.begin[2] + r.count[2] - 1) * t->shape->stride[2] + 3 - t->shape->pad[2]);
    const int64_t fit = TURNED_BYTES / (columns * lanes * (int64_t)t->kernels->size), line = r.count[2] * lanes;
    const int64_t most = fit > 3 ? (fit - 3) / stride + 1 : 1, pieces = cvg_ceil_div(r.count[1], most);
    const int64_t few = cut->asks ? ASKED_ROWS : most;
    char *const piece[2] = {cvg_own_piece(job, CVG_GROUPS_SOURCE), cvg_own_piece(job, CVG_GROUPS_DESTINATION)};
    for (int64_t i = 0; i < r.images * r.count[0] * pieces; i++) {
        const int64_t plane = i / pieces, n = r.n + plane / r.count[0], d = r.begin[0] + plane % r.count[0];
        const int64_t row = r.begin[1] + i % pieces * most, rows = cvg_min(most, r.begin[1] + r.count[1] - row);
        struct cvg_frame frame = cvg_frame_of(t->shape, 0, view, row, r.begin[2]);
        const int64_t from = cvg_max(0, frame.first[0]), end = frame.first[0] + (rows - 1) * stride + 3;
        const int64_t at[2][3] = {{d, from, 0}, {d, row, r.begin[2]}};
        const int64_t count[2][3] = {{1, cvg_max(0, cvg_min(frame.extent[0], end) - from), columns},
                                     {1, rows, r.count[2]}};
        frame.extent[0] = count[0][1];
        frame.extent[1] = columns;
        frame.row = columns * lanes;
        frame.column = lanes;
        for (int64_t c = 0; c < width; c += lanes) {
            const int64_t next = c + lanes < width ? c + lanes : 0, planes = cvg_min(lanes, width - next);
            for (int v = 0; v < 2; v++)
                cvg_read_lanes(&view[v], t->kernels, n, first + c, (int)cvg_min(lanes, width - c), at[v], count[v],
                               (int)lanes, piece[v]);
            for (int64_t y = 0, some; y < rows; y += some) { /* what is turned next is not asked for all at once */
                some = cvg_min(few, rows - y);
                for (int v = 0; v < 2 && cut->asks; v++)
                    cvg_ask_planes(&view[v], next ? n : n + 1, first + next, planes * y / rows,
                                   planes * (y + some) / rows, at[v], count[v]);
                frame.first[0] = (row + y) * stride - t->shape->pad[1] - from;
                t->kernels->weigh_nine(&frame, some, r.count[2], cvg_min(lanes, cut->c_count - c), piece[0],
                                       cvg_at(t, piece[1], y * line), line, lanes,
                                       cvg_at(t, cvg_own_piece(job, CVG_GROUPS_SUMS), c), cut->c_count);
            }
        }
    }
}

/* Adds products of a region of halves as it lies. */
static void weigh_halves(const struct cvg_job *job, int64_t channel, int64_t width, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_groups *cut = cvg_state(job);
    const struct cvg_region r = cvg_region_at(&cut->regions, index);
    const struct cvg_view input = cvg_view_in(t, t->input), gradient = cvg_view_out(t, t->grad_output);
    struct cvg_frame frame = cvg_frame_of(t->shape, 0, &input, r.begin[1], r.begin[2]);
    frame.asks = cut->asks;
    for (int64_t i = 0; i < r.images * r.count[0]; i++) {
        const int64_t n = r.n + i / r.count[0], plane = r.begin[0] + i % r.count[0];
        t->kernels->weigh_halves(&frame, r.count[1], r.count[2], width, cvg_view_at(&input, n, channel, plane, 0, 0),
                                 cvg_view_at(&gradient, n, channel, plane, r.begin[1], r.begin[2]), gradient.step[1],
                                 gradient.step[2], cvg_own_piece(job, CVG_GROUPS_SUMS), cut->c_count);
    }
}

/* Job: a block of channels and a part of the sum. */
static void weight_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_groups *cut = cvg_state(job);
    const int64_t taps = t->shape->filter_size, L = cut->view.L;
    const int64_t channels = index % cut->c_blocks, first = channels * cut->c_count, part = index / cut->c_blocks;
    const int64_t each = cvg_ceil_div(cut->regions.count, job->work->parts);
    char *const sums = cvg_own_piece(job, CVG_GROUPS_SUMS);
    memset(sums, 0, (size_t)(L * taps * cut->c_count) * t->kernels->size);
    const int64_t end = cvg_min(cut->regions.count, (part + 1) * each),
                  width = cvg_min(cut->c_count, cut->channels - first);
    for (int64_t i = part * each, done = 1; i < end; i += done)
        if (CVG_FAST && cut->nine && cut->turned)
            weigh_turned(job, first, width, i);
        else if (CVG_FAST && cut->nine)
            done = weigh_nine(job, first, width, i, end);
        else if (CVG_FAST && cut->halves)
            weigh_halves(job, first, width, i);
        else
            cvg_groups_run(job, channels, i, weigh_images);
    const struct cvg_filters to = cvg_parts_filters(job, part);
    cvg_write_filters(&to, t->kernels, first, (int)width, 0, L, 0, taps, (int)cut->c_count, sums,
                      cvg_parts_finish(job));
}

/* Whether copies of a region's window cost no more than the products of its destinations, nearly. */
static CVG_ONCE int copies_pay(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_regions regions = cvg_regions_of(s, pass == CVG_GRAD_INPUT, MOST_POSITIONS);
    const int64_t positions = regions.part[0] * regions.part[1] * regions.part[2];
    return cvg_times(3, cvg_window_size(&regions, 1)) <= cvg_times(cvg_max(15, s->filter_size), positions);
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    const int64_t pairs = s->Cg * s->Kg;
    const int weighed = pass == CVG_GRAD_WEIGHT && s->filter_size > 1;
    if (pairs == 1)
        return s->layout == CVG_CHANNELS_LAST || turns(s, pass);
    return s->layout == CVG_CHANNELS_LAST && s->G > 1 && pairs <= (weighed ? MOST_WEIGHED : MOST_PAIRS) &&
           copies_pay(s, pass);
}

/* Halves of one channel a group, unless the filter reaches so far that copies hold much that is not read. */
static CVG_ONCE int reads(const struct cvg_shape *s, cvg_pass pass)
{
    const int gradient = pass == CVG_GRAD_INPUT;
    const struct cvg_regions regions = cvg_regions_of(s, gradient, widened_positions(s, gradient));
    return s->Cg * s->Kg == 1 && s->C >= LEAST_CHANNELS &&
           cvg_times(cvg_window_size(&regions, 1), cvg_min(s->C, CHANNELS)) <= MOST_COPIES;
}

/* As the form that has channels first: both are bound by memory. */
static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
{
    return pass == CVG_GRAD_WEIGHT ? cvg_direct_dots.cost(s, pass) : cvg_direct_depthwise.cost(s, pass);
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cvg_groups *cut = cvg_state_of(work);
    cvg_write(w, "lanes of channels of many groups: %" PRId64 " channels and %" PRId64 " places a job, %s",
              cut->c_count, cut->regions.images * cut->regions.part[0] * cut->regions.part[1] * cut->regions.part[2],
              cut->many     ? "a copy for each channel of a sum"
              : cut->copied ? "copied"
                            : "in place");
}

/* Lays out scratch; enough for any batch. */
static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cvg_groups *cut,
                    struct cvg_work *work)
{
    const int64_t *part = cut->regions.part, terms = cut->view.L * s->filter_size;
    int64_t classes = 1; /* stride phases */
    for (int i = 0; i < 3 && cut->regions.gradient; i++)
        classes *= cvg_min(s->stride[i], s->in[i]);
    const int64_t window = cut->copied ? cvg_times(cvg_window_size(&cut->regions, 1), cut->lanes) : 0;
    const int64_t region = cut->turned ? cvg_times(part[0] * part[1] * part[2], cut->lanes) : 0;
    cvg_work_piece(work, cut->near ? CVG_GROUPS_NEAR / (int64_t)kernels->size : cvg_times(cut->view.L, window),
                   kernels->size);
    cvg_work_piece(work, region, kernels->size);
    cvg_work_piece(work, cut->weight ? cvg_times(terms, cut->c_count) : 0, kernels->size);
    cvg_work_piece(work, terms, sizeof(int64_t));
    cvg_work_piece(work, terms, sizeof(int64_t));
    cvg_work_piece(work, cut->copied ? classes : 0, sizeof(struct cvg_groups_class));
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cvg_groups *cut = cvg_work_state(work, sizeof *cut);
    (void)workers;
    *cut = cut_of(s, kernels, pass);
    if (pass == CVG_GRAD_WEIGHT)
        cvg_parts_share(s, kernels, cvg_parts_most(s, cut->c_blocks), work);
    else
        cvg_work_share(work, cvg_times(cut->view.L * s->filter_size, cut->row), kernels->size);
    lay_out(s, kernels, cut, work);
    if (pass == CVG_GRAD_WEIGHT) {
        work->parts = cvg_parts(s, cut->c_blocks, cut->regions.count);
        cvg_work_phase(work, work->parts * cut->c_blocks, weight_job);
        cvg_parts_phase(s, work);
    } else {
        cvg_work_phase(work, cut->c_blocks, cvg_groups_pack);
        cvg_work_phase(work, cut->regions.count * cut->c_blocks, region_job);
    }
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_groups = {fits, cost, prepare, CVG_HALVES ? reads : NULL};
