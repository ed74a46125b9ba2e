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
    POSITIONS = 4096,   /* of one piece */
    TOGETHER = 4096,    /* elements of boxes that are filled before they are read, about */
    SCRATCH = 16384,    /* sums of all phases of one job, about */
    JOB_WORK = 1 << 17, /* multiplications of one job, if there are as many */
};

/* One pass, cut into jobs: a piece of every column phase, of some pairs of image and group. */
struct cut {
    struct cvg_gather view;
    struct cvg_pieces pieces;
    int64_t groups; /* of pieces that differ in the column phase alone */
    int64_t pairs;
};

static CVG_ONCE struct cut cut_of(const struct cvg_shape *s, cvg_pass pass, int workers)
{
    struct cut cut = {.view = cvg_gather_of(s, pass)};
    cut.pieces = cvg_pieces_of(s, cut.view.gradient, POSITIONS);
    const int64_t phases = cut.pieces.phases[2], *part = cut.pieces.part;
    const int64_t positions = cvg_times(part[0] * part[1] * part[2], phases);
    const int64_t work = cvg_times(cvg_times(cut.view.M * cut.view.L, s->filter_size), positions / phases);
    cut.groups = cut.pieces.count / phases;
    const int64_t few = cvg_times(s->N * s->G, cut.groups) / cvg_enough_jobs(workers);
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

/* What a job works on. */
struct block {
    const struct cvg_task *task;
    const struct cut *cut;
    struct cvg_view source, result;
    struct cvg_gather_weight weight;
};

/* Image and group, as they are walked through. */
struct pair {
    int64_t n, g;
};

static struct pair pair_of(int64_t index, int64_t groups) { return (struct pair){index / groups, index % groups}; }

static void next_pair(struct pair *pair, int64_t groups)
{
    if (++pair->g == groups) {
        pair->g = 0;
        pair->n++;
    }
}

/* Computes one piece of all channels m of a pair, to the result or, of one phase of several, to sums. */
static void filter_piece(const struct block *b, const struct cvg_box *box, const struct cvg_terms *terms,
                         const struct pair *pair, const char *packed, char *sums)
{
    const struct cvg_task *t = b->task;
    const struct cvg_axis *x = box->axis;
    const int64_t size = b->result.size, M = b->cut->view.M, columns = b->cut->pieces.part[2];
    for (int64_t m = 0; m < M; m++) {
        const int64_t channel = pair->g * M + m;
        const char *weight = b->weight.base + (pair->g * b->weight.g + m * b->weight.m) * size;
        const struct cvg_finish finish = cvg_finish_of(t, channel), scaled = {.scale = finish.scale};
        for (int64_t a = 0; a < x[0].count; a++) {
            const char *source = packed + a * x[1].length * x[2].length * size;
            if (sums)
                t->kernels->stencil(x[1].count, x[2].count, terms, weight, source, x[2].length,
                                    sums + a * x[1].count * columns * size, columns, &scaled);
            else
                t->kernels->stencil(
                    x[1].count, x[2].count, terms, weight, source, x[2].length,
                    cvg_view_at(&b->result, pair->n, channel, x[0].first + a * x[0].step, x[1].first, x[2].first),
                    x[1].step * b->result.step[1], &finish);
        }
    }
}

/* Writes the sums of all phases of a pair, whose first piece is that of the box. */
static void zip_phases(const struct block *b, const struct cvg_box *box, const struct pair *pair, const char *sums)
{
    const struct cvg_task *t = b->task;
    const struct cvg_axis *x = box->axis;
    const struct cvg_pieces *pieces = &b->cut->pieces;
    const int64_t phases = pieces->phases[2], first = x[2].first, size = b->result.size;
    const int64_t columns = cvg_min(b->result.extent[2] - first, pieces->part[2] * x[2].step);
    const int64_t plane = x[1].count * pieces->part[2]; /* sums of one phase and depth */
    const struct cvg_finish finish = cvg_finish_of(t, pair->g);
    for (int64_t a = 0; a < x[0].count; a++)
        t->kernels->zip(cvg_view_at(&b->result, pair->n, pair->g, x[0].first + a * x[0].step, x[1].first, first),
                        x[1].step * b->result.step[1], sums + a * plane * size, x[0].count * plane, pieces->part[2],
                        phases, x[1].count, columns, &finish);
}

static void depthwise_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const struct cut *cut = cvg_state(job);
    const struct cvg_gather *view = &cut->view;
    const struct block block = {t, cut, cvg_view_source(t, view->gradient), cvg_view_result(t, view->gradient),
                                cvg_gather_weight(t, view)};
    const int64_t size = block.result.size, G = s->G;
    const int64_t phases = cut->pieces.phases[2], parts = cut->pieces.parts[2], group = index % cut->groups;
    const int64_t begin = index / cut->groups * cut->pairs, end = cvg_min(begin + cut->pairs, s->N * G);
    const int64_t plane = cvg_times(cut->pieces.part[0] * cut->pieces.part[1], cut->pieces.part[2]);
    char *const boxes = cvg_own_piece(job, BOX), *const sums = cvg_own_piece(job, SUMS);
    int64_t *const a = cvg_own_piece(job, A), *const b = cvg_own_piece(job, B);
    struct cvg_box box, first = {.channel = 0};
    struct pair pair;

    for (int64_t phase = 0; phase < phases; phase++) {
        const int64_t piece = group / parts * parts * phases + phase * parts + group % parts;
        if (!cvg_piece(s, &cut->pieces, piece, &box))
            continue; /* the last part of a short phase */
        const int64_t count = cvg_box_terms(&box, s->filter, block.weight.tap, block.weight.l, view->L, a, b);
        const struct cvg_terms terms = {.count = count, .a = a, .b = b};
        const int64_t step = cut->pieces.part[2] * (box.axis[0].count * box.axis[1].count); /* between phases */
        if (phase == 0)
            first = box;
        /* Several boxes at a time: one that is read too soon waits for what was written to it. */
        const int64_t each = view->L * box.channel;
        const int64_t together = cvg_max(1, cvg_min(end - begin, TOGETHER / cvg_max(1, each)));
        memset(boxes, 0, (size_t)(together * each * size)); /* the padding is the same for all pairs */
        pair = pair_of(begin, G);
        for (int64_t from = begin; from < end; from += together) {
            const int64_t to = cvg_min(from + together, end);
            if (terms.count)
                cvg_box_pack(&box, t->kernels, &block.source, from * view->L, (to - from) * view->L, boxes);
            for (int64_t i = from; i < to; i++, next_pair(&pair, G))
                filter_piece(&block, &box, &terms, &pair, boxes + (i - from) * each * size,
                             phases > 1 ? sums + ((i - begin) * phases * plane + phase * step) * size : NULL);
        }
    }
    pair = pair_of(begin, G);
    for (int64_t i = begin; phases > 1 && first.axis[0].count > 0 && i < end; i++, next_pair(&pair, G))
        zip_phases(&block, &first, &pair, sums + (i - begin) * phases * plane * size);
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    return pass != CVG_GRAD_WEIGHT && s->Cg == 1 && s->filter_size > 1 && s->layout == CVG_CHANNELS_FIRST;
}

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_amounts x = cvg_amounts_of(s, pass);
    return x.all / (pass == CVG_GRAD_INPUT && s->Kg > 1 ? CVG_DEPTHWISE_MANY : CVG_DEPTHWISE_SHARE) +
           CVG_DEPTHWISE_WRITTEN * x.result + x.steps;
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w, "filters along rows, for each has one channel: %" PRId64 " planes a job, parts of %" PRId64 " places",
              cut->pairs, cut->pieces.part[0] * cut->pieces.part[1] * cut->pieces.part[2]);
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    *cut = cut_of(s, pass, workers);
    lay_out(s, kernels, cut, work);
    cvg_work_phase(work, cvg_ceil_div(s->N * s->G, cut->pairs) * cut->groups, depthwise_job);
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_depthwise = {fits, cost, prepare, NULL};
