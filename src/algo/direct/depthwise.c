/*
 * forward and grad_input of groups of one input channel (direct.h), any number of output
 * channels each: filters of whole planes, bound by memory rather than by arithmetic.
 *
 * Lanes are pixels.  A plane, or a part of one, is copied to a zero-padded box (box.h), and the
 * finished rows are written to where they belong.  With stride, grad_input computes the stride
 * phases of a row one after the other and then zips them together.
 */
#include "../../tensor/box.h"
#include "../../text.h"
#include "direct.h"

#include <inttypes.h>
#include <string.h>

enum {
    POSITIONS = 4096,    /* of one piece */
    TOGETHER = 4096,     /* elements of boxes that are filled before they are read, about */
    SCRATCH = 16384,     /* sums of all phases of one job, about */
    JOB_WORK = 1 << 17,  /* multiplications of one job, if there are as many */
    ENOUGH_JOBS = 64,
};

/* One pass, cut into jobs: a piece of every column phase, of some pairs of image and group. */
struct cut {
    struct cvg_gather view;
    struct cvg_pieces pieces;
    int64_t groups; /* of pieces that differ in the column phase alone */
    int64_t pairs;
};

static struct cut cut_of(const struct cvg_shape *s, cvg_pass pass)
{
    struct cut cut = {.view = cvg_gather_of(s, pass)};
    cut.pieces = cvg_pieces_of(s, cut.view.gradient, POSITIONS);
    const int64_t phases = cut.pieces.phases[2], *part = cut.pieces.part;
    const int64_t positions = cvg_times(part[0] * part[1] * part[2], phases);
    const int64_t work = cvg_times(cvg_times(cut.view.M * cut.view.L, s->filter_size), positions / phases);
    cut.groups = cut.pieces.count / phases;
    const int64_t few = cvg_times(s->N * s->G, cut.groups) / ENOUGH_JOBS;
    cut.pairs = cvg_min(JOB_WORK / cvg_max(1, work), few);
    if (phases > 1)
        cut.pairs = cvg_min(cut.pairs, SCRATCH / positions);
    cut.pairs = cvg_max(1, cut.pairs);
    return cut;
}

/* Pieces of a worker's scratch. */
enum { BOX, SUMS, A, B };

static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cut *cut,
                    struct cvg_work *work)
{
    const int64_t *part = cut->pieces.part, phases = cut->pieces.phases[2];
    const int64_t terms = cvg_times(cut->view.L, s->filter_size);
    const int64_t positions = cvg_times(part[0] * part[1] * part[2], phases);
    cvg_work_piece(work, cvg_max(TOGETHER, cvg_times(cut->view.L, cut->pieces.bound.channel)), kernels->size);
    /* [pair][phase][row][column], if there are phases; at any batch: of as many pairs as that is for. */
    cvg_work_piece(work, phases > 1 ? cvg_max(positions, SCRATCH) : 0, kernels->size);
    cvg_work_piece(work, terms, sizeof(int64_t));
    cvg_work_piece(work, terms, sizeof(int64_t));
}

/* Computes one piece of all channels m of a pair, to the result or, of one phase of several, to sums. */
static void filter_piece(const struct cvg_task *t, const struct cut *cut, const struct cvg_box *box,
                         const struct cvg_terms *terms, int64_t pair, const char *packed, char *sums)
{
    const struct cvg_gather *view = &cut->view;
    const struct cvg_axis *x = box->axis;
    const int64_t size = (int64_t)t->kernels->size, *extent = view->dst_extent;
    for (int64_t m = 0; m < view->M; m++) {
        const int64_t channel = pair % t->shape->G * view->M + m;
        const void *weight = cvg_at(t, t->weight, channel * view->m_step * (view->gradient ? view->L : 1));
        const struct cvg_finish finish = cvg_finish_of(t, channel);
        for (int64_t a = 0; a < x[0].count; a++) {
            const char *source = packed + a * x[1].length * x[2].length * size;
            const int64_t d = x[0].first + a * x[0].step;
            const int64_t to = (pair * view->M + m) * view->dst_size +
                               (d * extent[1] + x[1].first) * extent[2] + x[2].first;
            if (sums)
                t->kernels->stencil(x[1].count, x[2].count, terms, weight, source, x[2].length,
                                    sums + a * x[1].count * cut->pieces.part[2] * size,
                                    cut->pieces.part[2], &cvg_plain);
            else
                t->kernels->stencil(x[1].count, x[2].count, terms, weight, source, x[2].length,
                                    cvg_at(t, t->result, to), x[1].step * extent[2], &finish);
        }
    }
}

/* Writes the sums of all phases of a pair, whose first piece is that of the box. */
static void zip_phases(const struct cvg_task *t, const struct cut *cut, const struct cvg_box *box, int64_t pair,
                       const char *sums)
{
    const struct cvg_axis *x = box->axis;
    const struct cvg_pieces *pieces = &cut->pieces;
    const int64_t *extent = cut->view.dst_extent, size = (int64_t)t->kernels->size;
    const int64_t phases = pieces->phases[2], first = x[2].first;
    const int64_t columns = cvg_min(extent[2] - first, pieces->part[2] * x[2].step);
    const int64_t plane = x[1].count * pieces->part[2]; /* sums of one phase and depth */
    const struct cvg_finish finish = cvg_finish_of(t, pair % t->shape->G);
    for (int64_t a = 0; a < x[0].count; a++) {
        const int64_t d = x[0].first + a * x[0].step;
        const int64_t to = pair * cut->view.dst_size + (d * extent[1] + x[1].first) * extent[2] + first;
        t->kernels->zip(cvg_at(t, t->result, to), x[1].step * extent[2], sums + a * plane * size,
                        x[0].count * plane, pieces->part[2], phases, x[1].count, columns, &finish);
    }
}

static void depthwise_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const struct cut *cut = cvg_state(job);
    const struct cvg_gather *view = &cut->view;
    const void *source = view->gradient ? t->grad_output : t->input;
    const int64_t size = (int64_t)t->kernels->size;
    const int64_t phases = cut->pieces.phases[2], parts = cut->pieces.parts[2], group = index % cut->groups;
    const int64_t begin = index / cut->groups * cut->pairs, end = cvg_min(begin + cut->pairs, s->N * s->G);
    const int64_t plane = cvg_times(cut->pieces.part[0] * cut->pieces.part[1], cut->pieces.part[2]);
    char *const boxes = cvg_own_piece(job, BOX), *const sums = cvg_own_piece(job, SUMS);
    int64_t *const a = cvg_own_piece(job, A), *const b = cvg_own_piece(job, B);
    struct cvg_box box, first = {.channel = 0};

    for (int64_t phase = 0; phase < phases; phase++) {
        const int64_t piece = group / parts * parts * phases + phase * parts + group % parts;
        if (!cvg_piece(s, &cut->pieces, piece, &box))
            continue; /* the last part of a short phase */
        const int64_t count = cvg_box_terms(&box, s->filter, 1, s->filter_size, view->L, a, b);
        const struct cvg_terms terms = {.count = count, .a = a, .b = b, .blocks = 1};
        const int64_t step = cut->pieces.part[2] * (box.axis[0].count * box.axis[1].count); /* between phases */
        if (phase == 0)
            first = box;
        /* Several boxes at a time: one that is read too soon waits for what was written to it. */
        const int64_t each = view->L * box.channel;
        const int64_t together = cvg_max(1, cvg_min(end - begin, TOGETHER / cvg_max(1, each)));
        memset(boxes, 0, (size_t)(together * each * size)); /* the padding is the same for all pairs */
        for (int64_t from = begin; from < end; from += together) {
            const int64_t to = cvg_min(from + together, end);
            if (terms.count)
                cvg_box_pack(&box, t->kernels, cvg_at(t, source, from * view->L * view->source_size),
                             view->source_size, (to - from) * view->L, boxes);
            for (int64_t pair = from; pair < to; pair++)
                filter_piece(t, cut, &box, &terms, pair, boxes + (pair - from) * each * size,
                             phases > 1 ? sums + ((pair - begin) * phases * plane + phase * step) * size : NULL);
        }
    }
    for (int64_t pair = begin; phases > 1 && first.axis[0].count > 0 && pair < end; pair++)
        zip_phases(t, cut, &first, pair, sums + (pair - begin) * phases * plane * size);
}

static void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = (const void *)work->state.bytes;
    cvg_write(w, "filters of one channel along rows; %" PRId64 " planes a job, parts of %" PRId64 " places", cut->pairs,
              cut->pieces.part[0] * cut->pieces.part[1] * cut->pieces.part[2]);
}

static void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    *cut = cut_of(s, pass);
    lay_out(s, kernels, cut, work);
    cvg_work_phase(work, cvg_ceil_div(s->N * s->G, cut->pairs) * cut->groups, depthwise_job);
    work->describe = describe;
}

const struct cvg_form cvg_direct_depthwise = {prepare};
