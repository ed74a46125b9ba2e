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

static CVG_ONCE struct cvg_groups cut_of(const struct cvg_shape *s, cvg_pass pass, int workers)
{
    const int gradient = pass == CVG_GRAD_INPUT;
    struct cvg_groups cut = {.view = cvg_gather_of(s, pass), .channels = s->C, .c_blocks = 1};
    cut.regions = cvg_regions_of(s, gradient, cvg_max(LEAST_POSITIONS, cvg_min(MOST_POSITIONS, ELEMENTS / s->C)));
    cut.c_count = cut.row = cvg_ceil_div(s->C, LINE) * LINE;
    cut.near = s->Cg == 1 && s->filter[2] == 3 ? cvg_groups_near(s, gradient) : 0;
    while (cut.c_count > LINE && !cvg_busy(cut.regions.count * cut.c_blocks, workers)) {
        cut.c_count = half_of(cut.c_count);
        cut.c_blocks = cvg_ceil_div(s->C, cut.c_count);
    }
    return cut;
}

/*
 * Along an axis, the results from one on that sum the same taps, each step apart: those that lie evenly in the source.
 * What grad_input sums is mirrored: seen from the last row and column, it is like forward.
 */
struct phase {
    int64_t step;        /* of the results, */
    int64_t count;       /* of which there are so many; */
    int64_t tap, taps;   /* the first tap of every step, and how many; */
    int64_t first;       /* where it reads, of the first result */
    int64_t source_step; /* and of the next */
};

static struct phase phase_of(const struct cvg_shape *s, int back, int axis, int64_t begin, int64_t end, int64_t index)
{
    const int64_t stride = s->stride[axis], pad = s->pad[axis];
    if (!back)
        return (struct phase){1, end - begin, 0, s->filter[axis], begin * stride - pad, stride};
    struct phase p = {.step = stride, .source_step = 1};
    const int64_t at = s->in[axis] - end + index, before = pad + s->in[axis] - 1 - stride * (s->out[axis] - 1);
    p.count = cvg_ceil_div(end - begin - index, stride);
    p.tap = ((before - at) % stride + stride) % stride;
    p.taps = cvg_ceil_div(s->filter[axis] - p.tap, stride);
    p.first = (at + p.tap - before) / stride;
    return p;
}

/* Rows of a plane of some channels, with steps between rows and neighbours of the result. */
static void filter_rows(const struct cvg_task *t, const struct cvg_frame *f, int64_t rows, int64_t count,
                        int64_t channel, int64_t width, const char *weight, const char *src, char *dst, int64_t row,
                        int64_t step)
{
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *k = t->kernels;
    const struct cvg_finish finish = cvg_finish_of(t, channel);
    if (s->Cg > 1 || (s->type == CVG_F32 && s->filter[2] == 3 && s->stride[2] == 1 && k->weigh_squares))
        k->filter_squares(f, rows, count, width, s->Kg, weight, src, dst, row, step, &finish);
    else
        (s->type == CVG_F32 ? k->filter_depth : k->filter_halves)(f, rows, count, width, weight, src, dst, row, step,
                                                                  &finish);
}

/* Job: a region of some channels. */
static void region_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_groups *cut = cvg_state(job);
    const struct cvg_shape *s = t->shape;
    const struct cvg_region r = cvg_region_at(&cut->regions, index / cut->c_blocks);
    const int64_t first = index % cut->c_blocks * cut->c_count, last = cvg_min(first + cut->c_count, s->C);
    const int back = cut->regions.gradient, sign = back ? -1 : 1;
    const struct cvg_view source = cvg_view_source(t, back), result = cvg_view_result(t, back);
    struct cvg_frame frame = {.row = sign * source.step[1],
                              .column = sign * source.step[2],
                              .extent = {source.extent[1], source.extent[2]},
                              .asks = 1 + cvg_is_far(s, back ? CVG_GRAD_INPUT : CVG_FORWARD),
                              .weight_next = 9 * cut->row};
    const int64_t phases = back ? s->stride[2] : 1, planes = r.images * r.count[0] * phases * phases;
    const int64_t channels = cut->near ? cut->near : last - first;
    for (int64_t i = 0; i < planes; i++) {
        const int64_t p = i / (phases * phases), n = r.n + p / r.count[0], plane = r.begin[0] + p % r.count[0];
        int64_t weight = 0, from[2], to[2];
        struct phase phase[2];
        for (int j = 0; j < 2; j++) {
            const int64_t begin = r.begin[j + 1], end = begin + r.count[j + 1];
            const int64_t shift = (j ? i : i / phases) % phases, tap_step = j ? cut->row : s->filter[2] * cut->row;
            phase[j] = phase_of(s, back, j + 1, begin, end, shift);
            frame.first[j] = phase[j].first;
            frame.step[j] = phase[j].source_step;
            frame.taps[j] = phase[j].taps;
            frame.weight_step[j] = phase[j].step * tap_step;
            weight += phase[j].tap * tap_step;
            from[j] = back ? frame.extent[j] - 1 : 0;
            to[j] = back ? end - 1 - shift : begin;
        }
        const int64_t row = sign * phase[0].step * result.step[1], step = sign * phase[1].step * result.step[2];
        const int64_t most = cut->near ? cvg_groups_near_rows(frame.extent[1], frame.step[0]) : phase[0].count;
        for (int64_t c = first; c < last; c += channels)
            for (int64_t y = 0; y < phase[0].count; y += most) {
                const int64_t rows = cvg_min(most, phase[0].count - y), width = cvg_min(channels, last - c);
                const char *src = cvg_view_at(&source, n, c, plane, from[0], from[1]);
                struct cvg_frame now = frame;
                now.first[0] += y * frame.step[0];
                if (cut->near)
                    src = cvg_groups_bring(t->kernels, &now, src, rows, channels, width, cvg_own_piece(job, 0));
                filter_rows(t, &now, rows, phase[1].count, c, width, cvg_at(t, job->base, c + weight), src,
                            cvg_view_at(&result, n, c, plane, to[0], to[1]) + y * row * result.size, row, step);
            }
    }
}

/* Whether for each result of grad_input half of the taps that its phase has, or one more, are inside. */
static CVG_ONCE int are_inside(const struct cvg_shape *s, int axis)
{
    int all = 1;
    for (int64_t i = 0; i < s->stride[axis]; i++) {
        const struct phase p = phase_of(s, 1, axis, 0, s->in[axis], i);
        all &= p.first >= -(p.taps / 2) && p.first + p.count - 1 + p.taps - p.taps / 2 <= s->out[axis];
    }
    return all;
}

/* Filters of one channel of 3x3 to 7x7 taps, of which half meet what is outside, at most. */
static CVG_ONCE int are_deep(const struct cvg_shape *s, cvg_pass pass)
{
    const int64_t taps = s->filter[2], stride = s->stride[2];
    int deep = s->Cg == 1 && s->filter[0] == 1 && s->stride[0] == 1 && s->in[0] == s->out[0] && taps >= 3 &&
               taps <= 7 && taps % 2 == 1 && s->filter[1] == taps && pass != CVG_GRAD_WEIGHT;
    for (int i = 1; i < 3; i++)
        deep &= s->dilation[i] == 1 && s->stride[i] == stride && cvg_max(s->pad[i], s->pad_end[i]) <= taps / 2;
    if (pass == CVG_FORWARD || !deep)
        return deep && stride <= (taps < 7 ? 2 : 1);
    return stride <= (taps <= 5 && s->type == CVG_BF16 ? 2 : 1) && are_inside(s, 1) && are_inside(s, 2);
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
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

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
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
    cvg_work_piece(work, cut->near ? CVG_GROUPS_NEAR : 0, 1);
    cvg_work_phase(work, cut->c_blocks, cvg_groups_pack);
    cvg_work_phase(work, cut->regions.count * cut->c_blocks, region_job);
    cvg_work_describe(work, describe);
}

/* Halves of one channel a group are for groups.c. */
static CVG_ONCE int reads(const struct cvg_shape *s, cvg_pass pass)
{
    return s->Cg == 1 && cvg_direct_groups.reads(s, pass);
}

const struct cvg_form cvg_direct_squares = {fits, cost, prepare, CVG_HALVES ? reads : NULL};
#endif
