/*
 * forward and grad_input of groups of one input channel, channels first, for filters that networks have (direct.h):
 * planes are read as they lie, in a frame of zeros that is not there (filter_frame and filter_spread of kernels.h).
 *
 * Lanes are pixels.  Nothing is copied.
 */
#include "../../text.h"
#include "direct.h"

#include <inttypes.h>

enum {
    JOB_WORK = 1 << 17, /* multiplications of one job, if there are as many */
    LEAST_ROWS = 3,     /* of results, in a plane, */
    LEAST_COLUMNS = 5,  /* and columns; */
    LEAST_PART = 8,     /* rows of a part of a plane, if there are few */
};

/*
 * Squares of 3x3, and but for grad_weight of 5x5 without stride, on planes that are not much smaller than half a
 * vector: a form that turns them is faster there.
 */
int cvg_reads_planes(const struct cvg_shape *s, cvg_pass pass)
{
    const int64_t side = s->filter[2], stride = s->stride[2], *const result = pass == CVG_GRAD_INPUT ? s->in : s->out;
    const int flat = s->filter[0] == 1 && s->stride[0] == 1 && s->pad[0] == 0 && s->pad_end[0] == 0;
    const int square = s->filter[1] == side && s->stride[1] == stride && s->dilation[1] == 1 && s->dilation[2] == 1;
    const int near = cvg_max(s->pad[2], s->pad_end[2]) <= 1;
    if (s->layout != CVG_CHANNELS_FIRST || s->type == CVG_F64 || s->Cg > 1 || !flat || !square || stride > 2)
        return 0;
    if (pass == CVG_GRAD_WEIGHT)
        return side == 3 && near;
    return (pass == CVG_FORWARD || s->Kg == 1) && result[1] >= LEAST_ROWS && result[2] >= LEAST_COLUMNS &&
           (side == 3 || (side == 5 && stride == 1));
}

#ifndef __OPTIMIZE_SIZE__
/* Two rows and columns of the result for one of the source. */
static int are_spread(const struct cvg_shape *s, cvg_pass pass) { return pass == CVG_GRAD_INPUT && s->stride[2] == 2; }

struct cvg_frame cvg_frame_of(const struct cvg_shape *s, int gradient, const struct cvg_view *source, int64_t row,
                              int64_t column)
{
    const int64_t first[2] = {row, column};
    struct cvg_frame frame = {.row = source->step[1], .column = source->step[2]};
    for (int i = 0; i < 2; i++) {
        const int64_t pad = s->pad[i + 1], stride = gradient ? 1 : s->stride[i + 1];
        frame.extent[i] = source->extent[i + 1];
        frame.first[i] = gradient ? first[i] + pad : first[i] * stride - pad;
        frame.step[i] = stride;
        frame.tap_step[i] = gradient ? -1 : 1;
        frame.taps[i] = s->filter[i + 1];
    }
    return frame;
}

/* A pass cut into jobs: rows of planes of some pairs of image and group. */
struct cut {
    struct cvg_gather view;
    int spread;
    int64_t pairs, part, parts; /* rows of a part of a plane */
};

static CVG_ONCE struct cut cut_of(const struct cvg_shape *s, cvg_pass pass, int workers)
{
    struct cut cut = {.view = cvg_gather_of(s, pass), .spread = are_spread(s, pass)};
    const int64_t *const count = cut.view.gradient ? s->in : s->out, planes = cvg_max(1, cvg_times(s->N, s->G));
    const int64_t enough = cvg_enough_jobs(workers),
                  parts = cvg_min(cvg_ceil_div(enough, planes), count[1] / LEAST_PART);
    cut.part = cvg_ceil_div(count[1], cvg_max(1, parts));
    cut.parts = cvg_ceil_div(count[1], cut.part);
    const int64_t work = cvg_times(cvg_times(cut.view.M, s->filter_size), count[0] * cut.part * count[2]);
    cut.pairs = cvg_max(1, cvg_min(JOB_WORK / cvg_max(1, work), planes / enough));
    return cut;
}

/* Job: rows of some planes. */
static void planes_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const struct cut *cut = cvg_state(job);
    const int64_t M = cut->view.M, first = index % cut->parts * cut->part, begin = index / cut->parts * cut->pairs;
    const int64_t end = cvg_min(begin + cut->pairs, s->N * s->G);
    const struct cvg_view source = cvg_view_source(t, cut->view.gradient);
    const struct cvg_view result = cvg_view_result(t, cut->view.gradient);
    const struct cvg_gather_weight weight = cvg_gather_weight(t, &cut->view);
    struct cvg_frame frame = cvg_frame_of(s, cut->view.gradient, &source, first, 0);
    frame.weight_step[0] = weight.tap * s->filter[2];
    frame.weight_step[1] = weight.tap;
    frame.next = source.channel;
    frame.weight_next = weight.g;
    const int64_t rows = cvg_min(cut->part, result.extent[1] - first);
    void (*const filter)(const struct cvg_frame *, int64_t, int64_t, int64_t, const void *, const void *, void *,
                         int64_t, int64_t, const struct cvg_finish *) =
        cut->spread ? t->kernels->filter_spread : t->kernels->filter_frame;
    for (int64_t i = begin, groups; i < end; i += groups) {
        const int64_t n = i / s->G, g = i % s->G;
        groups = M == 1 ? cvg_min(end - i, s->G - g) : 1;
        for (int64_t m = 0; m < M; m++) {
            const struct cvg_finish finish = cvg_finish_of(t, g * M + m);
            for (int64_t d = 0; d < result.extent[0]; d++)
                filter(&frame, rows, result.extent[2], groups,
                       weight.base + (g * weight.g + m * weight.m) * result.size, cvg_view_at(&source, n, g, d, 0, 0),
                       cvg_view_at(&result, n, g * M + m, d, first, 0), result.step[1], result.channel, &finish);
        }
    }
}

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass) { return cvg_direct_depthwise.cost(s, pass); }

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w, "planes as they lie, for each has one channel: %" PRId64 " planes a job, %" PRId64 " rows of each",
              cut->pairs, cut->part);
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    (void)kernels;
    *cut = cut_of(s, pass, workers);
    cvg_work_phase(work, cvg_ceil_div(s->N * s->G, cut->pairs) * cut->parts, planes_job);
    cvg_work_describe(work, describe);
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    return pass != CVG_GRAD_WEIGHT && cvg_reads_planes(s, pass);
}

const struct cvg_form cvg_direct_planes = {fits, cost, prepare, NULL};
#endif
