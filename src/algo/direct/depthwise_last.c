/*
 * All passes of groups of one channel in and out, channels last (direct.h): lanes are channels, and nothing is copied
 * but the weight.
 *
 * A job owns a region of the destination (some images, or a part of one).  Its destinations fall into classes that
 * sum the same taps (window.h), so that nothing outside the source is read.
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
    CHANNELS = 1024, /* of one job: along all of them, as they lie, memory is read best */
};

/* One pass, cut into jobs; by the shape alone. */
struct cut {
    struct cvg_regions regions;
    int64_t row;               /* elements between taps of the packed weight: all channels, in whole lines */
    int64_t c_count, c_blocks; /* of one job, in whole lines */
};

static const int clip[3] = {1, 1, 1};

static struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass)
{
    const int64_t line = CVG_ALIGNMENT / (int64_t)kernels->size;
    const int64_t positions = cvg_max(LEAST_POSITIONS, cvg_min(MOST_POSITIONS, ELEMENTS / s->C));
    struct cut cut = {.regions = cvg_regions_of(s, pass == CVG_GRAD_INPUT, positions)};
    cut.row = cvg_ceil_div(s->C, line) * line;
    cut.c_count = cvg_ceil_div(cvg_even_rows(s->C, CHANNELS), line) * line;
    cut.c_blocks = cvg_ceil_div(s->C, cut.c_count);
    return cut;
}

/* Pieces of a worker's scratch. */
enum { SUMS, A, B };

/* Packs the weight to [tap][channel]; job = block of channels. */
static void pack_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cut *cut = cvg_state(job);
    const struct cvg_filters weight = cvg_filters_of(t, t->weight);
    const int64_t channel = index * cut->c_count;
    cvg_read_filters(&weight, t->kernels, channel, (int)cvg_min(cut->c_count, t->shape->C - channel),
                     t->shape->filter_size, cut->row, cvg_at(t, job->base, channel));
}

/* Where a class reads and writes: addresses of its first source and destination in an image and plane. */
struct place {
    char *source, *destination;
    int64_t rows, count;
    int64_t source_row, source_step, row, step; /* elements between rows, and between neighbours */
};

static struct place place_of(const struct cvg_class *class, int64_t n, int64_t plane, const struct cvg_view *source,
                             const struct cvg_view *destination)
{
    const struct cvg_run *run = class->run;
    struct place at = {
        .source = cvg_view_at(source, n, 0, run[0].source + plane * run[0].source_step, run[1].source, run[2].source),
        .destination = cvg_view_at(destination, n, 0, run[0].at + plane * run[0].step, run[1].at, run[2].at),
        .source_row = run[1].source_step * source->step[1],
        .source_step = run[2].source_step * source->step[2],
        .row = run[1].step * destination->step[1],
        .step = run[2].step * destination->step[2],
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

static void region_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cut *cut = cvg_state(job);
    const int gradient = cut->regions.gradient;
    const struct cvg_view source = cvg_view_source(t, gradient), result = cvg_view_result(t, gradient);
    const struct cvg_region region = cvg_region_at(&cut->regions, index / cut->c_blocks);
    const struct cvg_window w = cvg_window_of(&cut->regions, &region, clip, 1, &source);
    const int64_t channel = index % cut->c_blocks * cut->c_count, skip = channel * source.size;
    const int64_t width = cvg_min(cut->c_count, t->shape->C - channel);
    const struct cvg_finish finish = cvg_finish_of(t, channel);
    int64_t *const a = cvg_own_piece(job, A), *const b = cvg_own_piece(job, B);
    for (struct cvg_classes c = cvg_classes_of(&cut->regions, &region, clip); cvg_next_class(&c);) {
        const struct cvg_run *run = c.now.run;
        const struct cvg_terms terms = {
            .count = cvg_class_terms(t->shape, &c.now, &w, 1, cut->row, a, b), .a = a, .b = b};
        for (int64_t n = 0; n < region.images; n++)
            for (int64_t d = 0; d < run[0].count; d++) {
                const struct place at = place_of(&c.now, region.n + n, d, &source, &result);
                t->kernels->filter_lanes(at.rows, at.count, width, &terms, job->base + skip, at.source + skip,
                                         at.source_row, at.source_step, at.destination + skip, at.row, at.step,
                                         &finish);
            }
    }
}

/* Job: a block of channels and a part of the sum. */
static void weight_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cut *cut = cvg_state(job);
    const struct cvg_shape *s = t->shape;
    const struct cvg_view input = cvg_view_in(t, t->input), gradient = cvg_view_out(t, t->grad_output);
    const int64_t channel = index % cut->c_blocks * cut->c_count, part = index / cut->c_blocks, size = input.size;
    const int64_t width = cvg_min(cut->c_count, s->C - channel);
    const int64_t each = cvg_ceil_div(cut->regions.count, job->work->parts);
    char *const sums = cvg_own_piece(job, SUMS);
    int64_t *const a = cvg_own_piece(job, A), *const b = cvg_own_piece(job, B);
    memset(sums, 0, (size_t)(s->filter_size * cut->c_count * size));
    for (int64_t i = part * each; i < cvg_min(cut->regions.count, (part + 1) * each); i++) {
        const struct cvg_region region = cvg_region_at(&cut->regions, i);
        const struct cvg_window w = cvg_window_of(&cut->regions, &region, clip, 1, &input);
        for (struct cvg_classes c = cvg_classes_of(&cut->regions, &region, clip); cvg_next_class(&c);) {
            const struct cvg_run *run = c.now.run;
            const int64_t taps = cvg_class_terms(s, &c.now, &w, 1, 1, a, b);
            for (int64_t n = 0; n < region.images; n++)
                for (int64_t d = 0; d < run[0].count; d++) {
                    const struct place at = place_of(&c.now, region.n + n, d, &input, &gradient);
                    /* Taps that follow each other in the filter, as those of a whole class do. */
                    for (int64_t tap = 0, count; tap < taps; tap += count) {
                        for (count = 1; tap + count < taps && b[tap + count] == b[tap] + count;)
                            count++;
                        t->kernels->weigh_lanes(at.rows, at.count, width, count, a + tap, at.source + channel * size,
                                                at.source_row, at.source_step, at.destination + channel * size, at.row,
                                                at.step, sums + b[tap] * cut->c_count * size, cut->c_count);
                    }
                }
        }
    }
    const struct cvg_filters to = cvg_parts_filters(job, part);
    cvg_write_filters(&to, t->kernels, channel, (int)width, 0, 1, 0, s->filter_size, (int)cut->c_count, sums,
                      cvg_parts_finish(job));
}

static int fits(const struct cvg_shape *s, cvg_pass pass)
{
    (void)pass;
    return s->layout == CVG_CHANNELS_LAST && s->Cg == 1 && s->Kg == 1;
}

/* As the form that has channels first: both are bound by memory. */
static double cost(const struct cvg_shape *s, cvg_pass pass)
{
    return pass == CVG_GRAD_WEIGHT ? cvg_direct_dots.cost(s, pass) : cvg_direct_depthwise.cost(s, pass);
}

static void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w, "lanes of channels, each with a filter of its own: %" PRId64 " places a job, in place",
              cut->regions.images * cut->regions.part[0] * cut->regions.part[1] * cut->regions.part[2]);
}

static void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    *cut = cut_of(s, kernels, pass);
    if (pass == CVG_GRAD_WEIGHT)
        cvg_parts_share(s, kernels, cvg_parts_most(s, cut->c_blocks), work);
    else
        cvg_work_share(work, cvg_times(s->filter_size, cut->row), kernels->size);
    cvg_work_piece(work, pass == CVG_GRAD_WEIGHT ? cvg_times(s->filter_size, cut->c_count) : 0, kernels->size);
    cvg_work_piece(work, s->filter_size, sizeof(int64_t));
    cvg_work_piece(work, s->filter_size, sizeof(int64_t));
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

const struct cvg_form cvg_direct_depthwise_last = {fits, cost, prepare};
