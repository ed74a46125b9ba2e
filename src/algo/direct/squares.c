/*
 * 3x3 filters of groups of few channels, and of one also larger ones, channels last (direct.h): planes are read as they
 * lie (filter_squares, filter_depth and weigh_squares of kernels.h).
 *
 * Lanes are the channels of many groups.  Nothing is copied but the weight.
 */
#include "../../text.h"
#include "../parts.h"
#include "groups_open.h"

#include <inttypes.h>
#include <string.h>

#ifndef __OPTIMIZE_SIZE__
enum {
    ELEMENTS = 131072, /* of the result, of one job, about */
    MOST_POSITIONS = 512,
    LEAST_POSITIONS = 32,
    LINE = 16,      /* channels between packed taps are whole lines */
    MOST_GROUP = 8, /* channels */
};

/* grad_weight cut into jobs. */
struct weight_cut {
    struct cvg_regions regions;
    int64_t c_count; /* channels of one job, whole groups */
};

/* Half a block of channels, in whole lines. */
static int64_t half_of(int64_t channels) { return cvg_ceil_div(channels / 2, LINE) * LINE; }

static struct cvg_groups cut_of(const struct cvg_shape *s, cvg_pass pass, int workers)
{
    const int gradient = pass == CVG_GRAD_INPUT;
    struct cvg_groups cut = {.view = cvg_gather_of(s, pass), .channels = s->C, .c_blocks = 1};
    cut.regions = cvg_regions_of(s, gradient, cvg_max(LEAST_POSITIONS, cvg_min(MOST_POSITIONS, ELEMENTS / s->C)));
    cut.c_count = cut.row = cvg_ceil_div(s->C, LINE) * LINE;
    while (cut.c_count > LINE && !cvg_busy(cut.regions.count * cut.c_blocks, workers)) {
        cut.c_count = half_of(cut.c_count);
        cut.c_blocks = cvg_ceil_div(s->C, cut.c_count);
    }
    return cut;
}

/*
 * Job: a region of some channels.  What grad_input sums is mirrored: seen from the last row and column, it is like
 * forward.
 */
static void region_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_groups *cut = cvg_state(job);
    const struct cvg_shape *s = t->shape;
    const struct cvg_region r = cvg_region_at(&cut->regions, index / cut->c_blocks);
    const int64_t channel = index % cut->c_blocks * cut->c_count, width = cvg_min(cut->c_count, s->C - channel);
    const int back = cut->regions.gradient, sign = back ? -1 : 1;
    const struct cvg_view source = cvg_view_source(t, back), result = cvg_view_result(t, back);
    const struct cvg_finish finish = cvg_finish_of(t, channel);
    const int square =
        s->Cg > 1 || (s->type == CVG_F32 && s->filter[2] == 3 && s->stride[2] == 1 && t->kernels->weigh_squares);
    void (*const filter)(const struct cvg_frame *, int64_t, int64_t, int64_t, const void *, const void *, void *,
                         int64_t, int64_t, const struct cvg_finish *) =
        s->type == CVG_F32 ? t->kernels->filter_depth : t->kernels->filter_halves;
    struct cvg_frame frame = {.row = sign * source.step[1],
                              .column = sign * source.step[2],
                              .step = {s->stride[1], s->stride[2]},
                              .taps = {s->filter[1], s->filter[2]},
                              .weight_step = {s->filter[2] * cut->row, cut->row},
                              .weight_next = 9 * cut->row};
    int64_t from[2], to[2];
    for (int i = 0; i < 2; i++) {
        const int64_t begin = r.begin[i + 1], end = begin + r.count[i + 1], pad = s->pad[i + 1];
        frame.extent[i] = source.extent[i + 1];
        frame.first[i] = back ? s->out[i + 1] - end - pad : begin * frame.step[i] - pad;
        from[i] = back ? frame.extent[i] - 1 : 0;
        to[i] = back ? end - 1 : begin;
    }
    for (int64_t i = 0; i < r.images * r.count[0]; i++) {
        const int64_t n = r.n + i / r.count[0], plane = r.begin[0] + i % r.count[0];
        const char *const src = cvg_view_at(&source, n, channel, plane, from[0], from[1]);
        char *const dst = cvg_view_at(&result, n, channel, plane, to[0], to[1]);
        const int64_t row = sign * result.step[1], step = sign * result.step[2];
        const char *const weight = cvg_at(t, job->base, channel);
        if (square)
            t->kernels->filter_squares(&frame, r.count[1], r.count[2], width, s->Kg, weight, src, dst, row, step,
                                       &finish);
        else
            filter(&frame, r.count[1], r.count[2], width, weight, src, dst, row, step, &finish);
    }
}

/*
 * Filters of one channel of 3x3 to 7x7 taps, of which half meet what is outside, at most: with steps in forward, and
 * without in grad_input, if nothing is left out at an end.
 */
static int are_deep(const struct cvg_shape *s, cvg_pass pass)
{
    const int64_t taps = s->filter[2];
    int deep = s->Cg == 1 && s->filter[0] == 1 && s->stride[0] == 1 && s->in[0] == s->out[0] && taps >= 3 &&
               taps <= 7 && taps % 2 == 1 && s->filter[1] == taps && pass != CVG_GRAD_WEIGHT;
    for (int i = 1; i < 3; i++) {
        const int64_t least = cvg_min(s->pad[i], s->pad_end[i]), most = cvg_max(s->pad[i], s->pad_end[i]);
        deep &= s->dilation[i] == 1 && s->stride[i] == s->stride[2] && most <= taps / 2 &&
                (pass == CVG_FORWARD || least == taps / 2);
    }
    return deep && s->stride[2] <= (pass == CVG_FORWARD && taps < 7 ? 2 : 1);
}

static int fits(const struct cvg_shape *s, cvg_pass pass)
{
    const int weight = pass == CVG_GRAD_WEIGHT, deep = are_deep(s, pass);
    const int halves = s->type == CVG_BF16 && s->C % LINE == 0 && (pass == CVG_FORWARD || s->grad_type == s->type);
    int fit = s->layout == CVG_CHANNELS_LAST && s->G > 1 && s->Cg == s->Kg && s->C % 8 == 0;
    if (deep)
        return fit && (halves || s->type == CVG_F32);
    for (int i = 1; i < 3; i++)
        fit &= s->out[i] > 1 && (pass != CVG_GRAD_INPUT || cvg_min(s->pad[i], s->pad_end[i]) == 1);
    return fit && s->type == CVG_F32 && !cvg_pairs_of(s) && cvg_are_nine(s, weight ? 2 : 1) && s->Cg <= MOST_GROUP &&
           s->Cg > 1 && (!weight || s->Cg == MOST_GROUP) && (s->Cg & (s->Cg - 1)) == 0;
}

static double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_amounts x = cvg_amounts_of(s, pass);
    if (pass == CVG_GRAD_WEIGHT)
        return cvg_direct_weight_last.cost(s, pass); /* which has the same bits */
    if (s->Cg == 1)
        return cvg_direct_groups.cost(s, pass);
    return x.products / CVG_SQUARES_SHARE + CVG_SQUARES_WRITTEN * x.result;
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cvg_groups *cut = cvg_state_of(work);
    const int64_t *part = cut->regions.part;
    cvg_write(w, "planes of groups of few channels as they lie: %" PRId64 " channels and %" PRId64 " places a job",
              cut->c_count, cut->regions.images * part[0] * part[1] * part[2]);
}

/* ---- grad_weight, with the regions and parts of weight_last.c ---- */

/* Job: a block of channels and a part of the sum. */
static void weight_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const struct weight_cut *cut = cvg_state(job);
    const int64_t blocks = cvg_ceil_div(s->C, cut->c_count), part = index / blocks, group = s->Kg;
    const int64_t channel = index % blocks * cut->c_count, width = cvg_min(cut->c_count, s->C - channel);
    const int64_t each = cvg_ceil_div(cut->regions.count, job->work->parts);
    const struct cvg_view input = cvg_view_in(t, t->input), gradient = cvg_view_out(t, t->grad_output);
    const struct cvg_filters to = cvg_parts_filters(job, part);
    char *const sums = cvg_own_piece(job, 0);
    memset(sums, 0, (size_t)(group * 9 * cut->c_count) * t->kernels->size);
    for (int64_t i = part * each; i < cvg_min(cut->regions.count, (part + 1) * each); i++) {
        const struct cvg_region r = cvg_region_at(&cut->regions, i);
        const struct cvg_frame frame = cvg_frame_of(s, 0, &input, r.begin[1], r.begin[2]);
        for (int64_t p = 0; p < r.images * r.count[0]; p++) {
            const int64_t n = r.n + p / r.count[0], plane = r.begin[0] + p % r.count[0];
            t->kernels->weigh_squares(&frame, r.count[1], r.count[2], width, group,
                                      cvg_view_at(&input, n, channel, plane, 0, 0),
                                      cvg_view_at(&gradient, n, channel, plane, r.begin[1], r.begin[2]),
                                      gradient.step[1], gradient.step[2], sums, cut->c_count);
        }
    }
    for (int64_t i = 0; i < width; i++)
        t->kernels->put_rows(cvg_filter_at(&to, channel + i, 0, 0), to.tap, to.c,
                             sums + (i % group * 9 * cut->c_count + i / group * group) * to.size, cut->c_count, 9,
                             group, cvg_parts_finish(job));
}

static CVG_ONCE void describe_weight(const struct cvg_work *work, struct cvg_text *w)
{
    const struct weight_cut *cut = cvg_state_of(work);
    cvg_write(w, "planes of groups of few channels as they lie: %" PRId64 " channels a job, parts of the sum: %" PRId64,
              cut->c_count, work->parts);
}

static void prepare_weight(const struct cvg_shape *s, const struct cvg_kernels *kernels, int workers,
                           struct cvg_work *work)
{
    struct weight_cut *cut = cvg_work_state(work, sizeof *cut);
    cut->regions = cvg_weight_last_cut(s, kernels, workers, work);
    cut->c_count = cvg_ceil_div(s->C, LINE) * LINE;
    while (cut->c_count > LINE && !cvg_busy(work->parts * cvg_ceil_div(s->C, cut->c_count), workers) &&
           s->C % half_of(cut->c_count) != LINE / 2) /* the last block has a line, too */
        cut->c_count = half_of(cut->c_count);
    cvg_work_piece(work, s->Kg * 9 * cvg_ceil_div(s->C, LINE) * LINE, kernels->size);
    cvg_work_phase(work, work->parts * cvg_ceil_div(s->C, cut->c_count), weight_job);
    cvg_parts_phase(s, work);
    cvg_work_describe(work, describe_weight);
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cvg_groups *cut = cvg_work_state(work, sizeof *cut);
    if (pass == CVG_GRAD_WEIGHT) {
        prepare_weight(s, kernels, workers, work);
        return;
    }
    *cut = cut_of(s, pass, workers);
    cvg_work_share(work, s->Kg * s->filter_size * cut->row, kernels->size);
    cvg_work_phase(work, cut->c_blocks, cvg_groups_pack);
    cvg_work_phase(work, cut->regions.count * cut->c_blocks, region_job);
    cvg_work_describe(work, describe);
}

/* Halves of one channel a group are for groups.c. */
static int reads(const struct cvg_shape *s, cvg_pass pass) { return s->Cg == 1 && cvg_direct_groups.reads(s, pass); }

const struct cvg_form cvg_direct_squares = {fits, cost, prepare, CVG_HALVES ? reads : NULL};
#endif
