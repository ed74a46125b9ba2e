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
#include "../../tensor/window.h"
#include "../../text.h"
#include "../parts.h"
#include "direct.h"

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
    LEAST_CHANNELS = 16,
    LEAST_TURNED = 4,
    BORDER_FILTER = 5,
    COLUMNS = 8,             /* of copies, at a time: the next rows find most of theirs in the first cache */
    MOST_PAIRS = 32,         /* of channels of a group, up to which copies pay; */
    MOST_WEIGHED = 48,       /* in grad_weight, of several taps */
    COPIED_ELEMENTS = 32768, /* of all copies, about: they stay in the second cache */
    SHORTEST_ROW = 8,        /* up to as many results in a row, planes are turned; */
    SHORT_ROW = 14,          /* or as many, if other forms are slow */
    WINDOW = 4096,           /* positions of a turned source, at most */
};

/* One pass, cut into jobs; by the shape alone. */
struct cut {
    struct cvg_gather view; /* by these names, grad_weight is like forward */
    struct cvg_regions regions;
    int many;                  /* channels in or out of a group */
    int copied, turned;        /* the source, and the destination, to lanes of a job, which are floats */
    int clip[3];               /* in place, borders are classes of their own */
    int64_t channels;          /* of the destination */
    int64_t row;               /* elements between taps of the packed weight: all channels, in whole lines */
    int64_t c_count, c_blocks; /* of one job, in whole lines */
};

/*
 * Whether to turn planes.  Channels first, their rows are so short that lanes of pixels are left unused, or nearly so
 * and the other forms are slow.  Channels last, the weight's filter is so large beside the image that most classes are
 * of borders, each with a few taps of a few positions: then a copy with its padding pays.
 */
static int turns(const struct cvg_shape *s, cvg_pass pass)
{
    if (s->Cg * s->Kg > 1)
        return 0;
    const struct cvg_regions regions = cvg_regions_of(s, pass == CVG_GRAD_INPUT, MOST_POSITIONS);
    const int weight = pass == CVG_GRAD_WEIGHT, slow = (weight || s->stride[2] > 1) && s->C >= LEAST_CHANNELS;
    if (s->filter_size == 1 || cvg_window_size(&regions, 1) > WINDOW)
        return 0;
    if (s->layout == CVG_CHANNELS_FIRST)
        return s->C >= LEAST_TURNED && s->out[2] <= (slow ? SHORT_ROW : SHORTEST_ROW);
    return s->stride[2] == 1 && s->filter[2] >= BORDER_FILTER && 2 * s->filter[2] >= s->out[2];
}

/* Positions of a region of halves, about, so that copies of its source and results are so many elements together. */
static int64_t widened_positions(const struct cvg_shape *s, int gradient)
{
    const int64_t positions = cvg_times(WIDENED, gradient ? s->in_size : s->out_size);
    return cvg_max(LEAST_POSITIONS,
                   cvg_min(MOST_WIDENED, positions / cvg_times(s->C, cvg_plus(s->in_size, s->out_size))));
}

static struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass)
{
    const int64_t line = CVG_ALIGNMENT / (int64_t)kernels->size;
    const int gradient = pass == CVG_GRAD_INPUT, turned = turns(s, pass), many = s->Cg * s->Kg > 1;
    const int halves = cvg_is_half(s->type) && s->layout == CVG_CHANNELS_LAST; /* the copies are floats */
    struct cut cut = {.view = cvg_gather_of(s, gradient ? pass : CVG_FORWARD), .many = many};
    cut.channels = s->G * cut.view.M;
    cut.copied = turned || many || halves;
    cut.turned = halves || (turned && s->layout == CVG_CHANNELS_FIRST);
    const int64_t positions = halves       ? widened_positions(s, gradient)
                              : cut.copied ? MOST_POSITIONS
                                           : cvg_max(LEAST_POSITIONS, cvg_min(MOST_POSITIONS, ELEMENTS / s->C));
    cut.regions = cvg_regions_of(s, gradient, positions);
    const int64_t *part = cut.regions.part;
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
    return cut;
}

/* Pieces of a worker's scratch: copied source, turned destination, room for turning, sums of grad_weight, terms. */
enum { SOURCE, DESTINATION, ROWS, SUMS, A, B };

/* Packs the weight to [l][tap][channel]; job = block of channels. */
static void pack_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cut *cut = cvg_state(job);
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

/* Channels of a job as neighbours: in the caller's tensor, or copied, from coordinate first on. */
struct lanes {
    struct cvg_view view;
    int64_t first[3];
};

/* A region of some channels: all its images at once, or turned one by one. */
struct block {
    const struct cvg_job *job;
    const struct cut *cut;
    struct cvg_view from, to; /* the caller's tensors, source and destination */
    int64_t channel, width;
    struct cvg_region region;
    struct cvg_window window; /* its steps are those of source */
    struct lanes source, destination;
};

static struct lanes lanes_of(const struct block *b, const struct cvg_view *v, int64_t copies, const int64_t first[3],
                             const int64_t count[3], char *to)
{
    const struct cut *cut = b->cut;
    struct lanes lanes = {.view = *v};
    lanes.view.base += b->channel * v->channel * v->size;
    if (copies > 0) {
        const int64_t step = copies * cut->c_count;
        lanes = (struct lanes){{.base = to,
                                .size = (int64_t)b->job->task->kernels->size,
                                .channel = cut->c_count, /* of copies */
                                .step = {count[1] * count[2] * step, count[2] * step, step}},
                               {first[0], first[1], first[2]}};
    }
    return lanes;
}

static struct block block_of(const struct cvg_job *job, int64_t index, const struct cvg_view *from,
                             const struct cvg_view *to)
{
    const struct cut *cut = cvg_state(job);
    const int64_t channel = index % cut->c_blocks * cut->c_count;
    return (struct block){.job = job,
                          .cut = cut,
                          .from = *from,
                          .to = *to,
                          .channel = channel,
                          .width = cvg_min(cut->c_count, cut->channels - channel)};
}

/* Goes to a region: where its source and destination lie is the same for all images. */
static void open_region(struct block *b, const struct cvg_region *region)
{
    const struct cut *cut = b->cut;
    struct cvg_window *w = &b->window;
    b->region = *region;
    *w = cvg_window_of(&cut->regions, region, cut->clip, !cut->copied, &b->from);
    b->source = lanes_of(b, &b->from, cut->copied ? cut->view.L : 0, w->first, w->count, cvg_own_piece(b->job, SOURCE));
    b->destination = lanes_of(b, &b->to, cut->turned, region->begin, region->count, cvg_own_piece(b->job, DESTINATION));
    w->channel = b->source.view.channel;
    for (int i = 0; i < 3; i++)
        w->step[i] = b->source.view.step[i];
}

/* Moves on to the next images of a region, of which done are done, and copies their source; returns how many. */
static int64_t open_images(struct block *b, const struct cvg_region *region, int64_t done)
{
    const struct cvg_window *w = &b->window;
    const struct cut *cut = b->cut;
    const struct cvg_kernels *kernels = b->job->task->kernels;
    char *const to = cvg_own_piece(b->job, SOURCE);
    if (!cut->copied)
        return region->images;
    b->region.n = region->n + done;
    b->region.images = 1;
    if (w->count[0] * w->count[1] * w->count[2] == 0)
        return 1;
    if (cut->many)
        cvg_read_copies(&b->from, kernels, b->region.n, b->channel, b->width, w->first, w->count, cut->view.M,
                        cut->view.L, cut->c_count, to);
    else
        cvg_read_framed_lanes(&b->from, kernels, b->region.n, b->channel, (int)b->width, w->first, w->count,
                              (int)cut->c_count, to, cvg_own_piece(b->job, ROWS));
    return 1;
}

/* Where a class reads and writes: addresses of its first source and destination in an image and plane. */
struct place {
    char *source, *destination;
    int64_t rows, count;
    int64_t source_row, source_step, row, step; /* elements between rows, and between neighbours */
};

/* Of image number n of those that are open. */
static struct place place_of(const struct block *b, const struct cvg_class *class, int64_t n, int64_t plane)
{
    const struct cvg_run *run = class->run;
    const struct lanes *s = &b->source, *d = &b->destination;
    n += b->region.n;
    struct place at = {
        .source =
            cvg_view_at(&s->view, b->cut->copied ? 0 : n, 0, run[0].source + plane * run[0].source_step - s->first[0],
                        run[1].source - s->first[1], run[2].source - s->first[2]),
        .destination = cvg_view_at(&d->view, b->cut->turned ? 0 : n, 0, run[0].at + plane * run[0].step - d->first[0],
                                   run[1].at - d->first[1], run[2].at - d->first[2]),
        .source_row = run[1].source_step * s->view.step[1],
        .source_step = run[2].source_step * s->view.step[2],
        .row = run[1].step * d->view.step[1],
        .step = run[2].step * d->view.step[2],
        .rows = run[1].count,
        .count = run[2].count,
    };
    if (at.rows <= at.count)
        return at;
    struct place turned = at; /* neighbours along columns: borders of rows have few along rows */
    turned.rows = at.count;
    turned.count = at.rows;
    turned.source_row = at.source_step;
    turned.source_step = at.source_row;
    turned.row = at.step;
    turned.step = at.row;
    return turned;
}

/* Filters the images that are open; turned, the result is finished when it is written. */
static void filter_images(const struct block *b)
{
    const struct cvg_task *t = b->job->task;
    const struct cut *cut = b->cut;
    struct cvg_finish finish = cvg_finish_of(t, b->channel);
    int64_t *const to_a = cvg_own_piece(b->job, A), *const to_b = cvg_own_piece(b->job, B);
    for (struct cvg_classes c = cvg_classes_of(&cut->regions, &b->region, cut->clip); cvg_next_class(&c);) {
        const struct cvg_run *run = c.now.run;
        const struct cvg_terms terms = {
            .count = cvg_class_terms(t->shape, &c.now, &b->window, cut->view.L, cut->row, 0, to_a, to_b),
            .a = to_a,
            .b = to_b};
        for (int64_t n = 0; n < b->region.images; n++)
            for (int64_t d = 0; d < run[0].count; d++) {
                const struct place at = place_of(b, &c.now, n, d);
                const int64_t columns = cut->many ? COLUMNS : at.count, size = b->source.view.size;
                for (int64_t i = 0; i < at.count; i += columns)
                    t->kernels->filter_lanes(at.rows, cvg_min(columns, at.count - i), b->width, &terms,
                                             cvg_at(t, b->job->base, b->channel), at.source + i * at.source_step * size,
                                             at.source_row, at.source_step, at.destination + i * at.step * size, at.row,
                                             at.step, cut->turned ? &cvg_plain : &finish);
            }
    }
    if (cut->turned) {
        cvg_finish_positive(t, b->destination.view.base, (int)cut->c_count,
                            b->region.count[0] * b->region.count[1] * b->region.count[2], &finish);
        cvg_write_lanes(&b->to, t->kernels, b->region.n, b->channel, (int)b->width, b->region.begin, b->region.count,
                        (int)cut->c_count, b->destination.view.base, &finish);
    }
}

static void region_job(const struct cvg_job *job, int64_t index)
{
    const struct cut *cut = cvg_state(job);
    const int gradient = cut->regions.gradient;
    const struct cvg_view source = cvg_view_source(job->task, gradient), result = cvg_view_result(job->task, gradient);
    const struct cvg_region region = cvg_region_at(&cut->regions, index / cut->c_blocks);
    struct block b = block_of(job, index, &source, &result);
    open_region(&b, &region);
    for (int64_t n = 0; n < region.images;) {
        n += open_images(&b, &region, n);
        filter_images(&b);
    }
}

/* Adds the products of the images that are open to sums of grad_weight. */
static void weigh_images(const struct block *b, char *sums)
{
    const struct cvg_task *t = b->job->task;
    const struct cut *cut = b->cut;
    const int64_t row = cut->c_count, size = b->source.view.size;
    int64_t *const to_a = cvg_own_piece(b->job, A), *const to_b = cvg_own_piece(b->job, B);
    if (cut->turned)
        cvg_read_lanes(&b->to, t->kernels, b->region.n, b->channel, (int)b->width, b->region.begin, b->region.count,
                       (int)row, b->destination.view.base);
    for (struct cvg_classes c = cvg_classes_of(&cut->regions, &b->region, cut->clip); cvg_next_class(&c);) {
        const struct cvg_run *run = c.now.run;
        const int64_t taps = cvg_class_terms(t->shape, &c.now, &b->window, cut->view.L, 1, 0, to_a, to_b);
        for (int64_t n = 0; n < b->region.images; n++)
            for (int64_t d = 0; d < run[0].count; d++) {
                const struct place at = place_of(b, &c.now, n, d);
                /* Taps that follow each other in the filter, as those of a whole class do. */
                for (int64_t tap = 0, count; tap < taps; tap += count) {
                    for (count = 1; tap + count < taps && to_b[tap + count] == to_b[tap] + count;)
                        count++;
                    t->kernels->weigh_lanes(at.rows, at.count, b->width, count, to_a + tap, at.source, at.source_row,
                                            at.source_step, at.destination, at.row, at.step,
                                            sums + to_b[tap] * row * size, row);
                }
            }
    }
}

/* Job: a block of channels and a part of the sum. */
static void weight_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cut *cut = cvg_state(job);
    const int64_t taps = t->shape->filter_size, L = cut->view.L, part = index / cut->c_blocks;
    const int64_t each = cvg_ceil_div(cut->regions.count, job->work->parts);
    const struct cvg_view input = cvg_view_in(t, t->input), gradient = cvg_view_out(t, t->grad_output);
    struct block b = block_of(job, index, &input, &gradient);
    char *const sums = cvg_own_piece(job, SUMS);
    memset(sums, 0, (size_t)(L * taps * cut->c_count) * t->kernels->size);
    for (int64_t i = part * each; i < cvg_min(cut->regions.count, (part + 1) * each); i++) {
        const struct cvg_region region = cvg_region_at(&cut->regions, i);
        open_region(&b, &region);
        for (int64_t n = 0; n < region.images;) {
            n += open_images(&b, &region, n);
            weigh_images(&b, sums);
        }
    }
    const struct cvg_filters to = cvg_parts_filters(job, part);
    cvg_write_filters(&to, t->kernels, b.channel, (int)b.width, 0, L, 0, taps, (int)cut->c_count, sums,
                      cvg_parts_finish(job));
}

/* Whether copies of a region's window cost no more than the products of its destinations, nearly. */
static int copies_pay(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_regions regions = cvg_regions_of(s, pass == CVG_GRAD_INPUT, MOST_POSITIONS);
    const int64_t positions = regions.part[0] * regions.part[1] * regions.part[2];
    return cvg_times(3, cvg_window_size(&regions, 1)) <= cvg_times(cvg_max(15, s->filter_size), positions);
}

static int fits(const struct cvg_shape *s, cvg_pass pass)
{
    const int64_t pairs = s->Cg * s->Kg;
    const int weighed = pass == CVG_GRAD_WEIGHT && s->filter_size > 1;
    if (pairs == 1)
        return s->layout == CVG_CHANNELS_LAST || turns(s, pass);
    return s->layout == CVG_CHANNELS_LAST && s->G > 1 && pairs <= (weighed ? MOST_WEIGHED : MOST_PAIRS) &&
           copies_pay(s, pass);
}

/* Halves of one channel a group, unless the filter reaches so far that copies hold much that is not read. */
static int reads(const struct cvg_shape *s, cvg_pass pass)
{
    const int gradient = pass == CVG_GRAD_INPUT;
    const struct cvg_regions regions = cvg_regions_of(s, gradient, widened_positions(s, gradient));
    return s->Cg * s->Kg == 1 && s->C >= LEAST_CHANNELS &&
           cvg_times(cvg_window_size(&regions, 1), cvg_min(s->C, CHANNELS)) <= MOST_COPIES;
}

/* As the form that has channels first: both are bound by memory. */
static double cost(const struct cvg_shape *s, cvg_pass pass)
{
    return pass == CVG_GRAD_WEIGHT ? cvg_direct_dots.cost(s, pass) : cvg_direct_depthwise.cost(s, pass);
}

static void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w, "lanes of channels of many groups: %" PRId64 " channels and %" PRId64 " places a job, %s",
              cut->c_count, cut->regions.images * cut->regions.part[0] * cut->regions.part[1] * cut->regions.part[2],
              cut->many     ? "a copy for each channel of a sum"
              : cut->copied ? "copied"
                            : "in place");
}

/* Lays out scratch; enough for any batch. */
static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cut *cut, cvg_pass pass,
                    struct cvg_work *work)
{
    const int64_t *part = cut->regions.part, terms = cut->view.L * s->filter_size;
    const int64_t window = cut->copied ? cvg_times(cvg_window_size(&cut->regions, 1), cut->c_count) : 0;
    const int64_t region = cut->turned ? cvg_times(part[0] * part[1] * part[2], cut->c_count) : 0;
    cvg_work_piece(work, cvg_times(cut->view.L, window), kernels->size);
    cvg_work_piece(work, region, kernels->size);
    cvg_work_piece(work, cut->many || (cut->turned && s->layout == CVG_CHANNELS_LAST) ? 0 : window, kernels->size);
    cvg_work_piece(work, pass == CVG_GRAD_WEIGHT ? cvg_times(terms, cut->c_count) : 0, kernels->size);
    cvg_work_piece(work, terms, sizeof(int64_t));
    cvg_work_piece(work, terms, sizeof(int64_t));
}

static void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                    struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    (void)workers;
    *cut = cut_of(s, kernels, pass);
    if (pass == CVG_GRAD_WEIGHT)
        cvg_parts_share(s, kernels, cvg_parts_most(s, cut->c_blocks), work);
    else
        cvg_work_share(work, cvg_times(cut->view.L * s->filter_size, cut->row), kernels->size);
    lay_out(s, kernels, cut, pass, work);
    if (pass == CVG_GRAD_WEIGHT) {
        work->parts = cvg_parts(s, cut->c_blocks, cut->regions.count);
        cvg_work_phase(work, work->parts * cut->c_blocks, weight_job);
        cvg_parts_phase(s, work);
    } else {
        cvg_work_phase(work, cut->c_blocks, pack_job);
        cvg_work_phase(work, cut->regions.count * cut->c_blocks, region_job);
    }
    work->describe = describe;
}

const struct cvg_form cvg_direct_groups = {fits, cost, prepare, CVG_HALVES ? reads : NULL};
