/*
 * forward and grad_input with lanes of destination pixels (direct.h).
 *
 * Lanes are neighbouring destinations and tile rows are destination channels.  The source is
 * read from a zero-padded box of it (box.h), small enough for the second-level cache.  Lanes
 * run on across the ends of lines: what they compute there is not written.  The weight is
 * packed once for the whole call, to panels of [l][tap][row]; that of few channels is read in
 * place.
 */
#include "../../tensor/box.h"
#include "../../text.h"
#include "direct.h"

#include <inttypes.h>
#include <string.h>

enum {
    MOST_CHANNELS = 12,    /* up to as many destination channels, pixels make better lanes, */
    STRIDED_CHANNELS = 32, /* or as many, if what they write is as far apart as a stride */
    LAST_CHANNELS = 4,     /* or as many, channels last */
    SHORT_SUM = 32,        /* products of a sum that does not repay turning lanes to rows; */
    FIRST_SUM = 150,       /* of forward from so few channels, as in first layers, */
    FIRST_CHANNELS = 3,
    FIRST_STRIDE = 2,      /* unless most of a row is left out */
    LARGE_PLANE = 1024,    /* destinations: fewer of one tap and a long sum are for lanes of channels, stride or not */
    SMALL_PLANE = 64,      /* destinations: fewer are too few for sums of one tap */
    FEW_FOR_ONE = 4,       /* channels of one destination make lanes, fewer do not */
    MANY_PHASES = 16,      /* of stride: more leave few destinations that sum the same taps */
    MOSTLY_INSIDE = 60,    /* percent of products: fewer are for the form that leaves padding out */
    SUMS = 8192,           /* of one piece, about, if channels are few */
    LEAST_POSITIONS = 512, /* of one piece, then */
    POSITIONS = 288,       /* of one piece, if they are many */
    CHANNELS = 128,        /* m of one job, about */
    BOX_ELEMENTS = 24576,  /* a box holds about as many: 96 KiB in f32 */
    TERMS = 512,           /* of a sum, between two stores of a tile, when a channel has fewer taps */
    JOB_WORK = 1 << 17,    /* multiplications of one job, if there are as many */
    MOVED_SUM = 160,       /* products: a longer sum takes much longer to make than to move to the result */
    LEAST_LINE = 32,       /* destinations: shorter lines are not summed one by one, */
    LEAST_CHANNELS = 3,    /* nor those of fewer channels */
};

/* One pass, cut into jobs, which does not change the order of the sums. */
struct cut {
    struct cvg_gather view;
    struct cvg_pieces pieces;
    int64_t l_count;           /* source channels in a box */
    int64_t pairs;             /* of image and group, in one job */
    int packed;                /* the weight */
    int64_t rows;              /* of a panel */
    int64_t m_count, m_blocks; /* of one job: whole panels */
    int64_t weight_size;       /* elements of one group's packed weight */
};

static int64_t jobs(const struct cvg_shape *s, const struct cut *cut)
{
    return cvg_times(cvg_ceil_div(s->N * s->G, cut->pairs), cut->pieces.count) * cut->m_blocks;
}

static CVG_ONCE struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                                  int workers)
{
    struct cut cut = {.view = cvg_gather_of(s, pass)};
    const int64_t M = cut.view.M;
    cut.packed = M > CVG_FEW_CHANNELS;
    const int64_t positions = cut.packed ? POSITIONS : cvg_max(LEAST_POSITIONS, SUMS / M);
    cut.pieces = cvg_pieces_of(s, cut.view.gradient, positions);
    const int64_t fit = cvg_min(BOX_ELEMENTS / cvg_max(1, cut.pieces.bound.channel), TERMS / s->filter_size);
    cut.l_count = cvg_max(1, cvg_min(fit, cut.view.L));
    cut.l_count = cvg_ceil_div(cut.view.L, cvg_ceil_div(cut.view.L, cut.l_count));

    const int64_t *part = cut.pieces.part;
    const int64_t work = cvg_times(cvg_times(M * cut.view.L, s->filter_size), part[0] * part[1] * part[2]);
    const int64_t few = cvg_times(s->N * s->G, cut.pieces.count) / cvg_enough_jobs(workers);
    cut.pairs = cvg_max(1, cvg_min(JOB_WORK / cvg_max(1, work), few));

    cut.rows = cvg_ceil_div(M, cvg_ceil_div(M, cvg_main_tile(kernels)->rows));
    cut.m_count = M;
    cut.m_blocks = 1;
    for (int64_t most = CHANNELS; cut.packed && most >= 2 * cut.rows; most /= 2) {
        const int64_t panels = cvg_ceil_div(M, cut.rows);
        cut.m_blocks = cvg_ceil_div(panels, cvg_max(1, most / cut.rows));
        cut.m_count = cvg_ceil_div(panels, cut.m_blocks) * cut.rows;
        cut.m_blocks = cvg_ceil_div(M, cut.m_count);
        if (cvg_busy(jobs(s, &cut), workers))
            break;
    }
    cut.weight_size =
        cut.packed ? cvg_times(cvg_ceil_div(M, cut.rows) * cut.rows, cvg_times(cut.view.L, s->filter_size)) : 0;
    return cut;
}

/* Lanes of all destinations of a box, from the first to the last. */
static int64_t span(const struct cvg_box *box, const struct cvg_kernels *kernels)
{
    const struct cvg_axis *x = box->axis;
    const int64_t last = ((x[0].count - 1) * x[1].length + x[1].count - 1) * x[2].length + x[2].count - 1;
    const int64_t narrow = cvg_narrow_tile(kernels)->lanes;
    return cvg_times(cvg_ceil_div(last + 1, narrow), narrow);
}

/* Pieces of a worker's scratch. */
enum { BOX, SUM, A, B };

struct scratch {
    char *box, *sums;
    int64_t *a, *b; /* of each term */
};

static struct scratch scratch_of(const struct cvg_job *job)
{
    return (struct scratch){cvg_own_piece(job, BOX), cvg_own_piece(job, SUM), cvg_own_piece(job, A),
                            cvg_own_piece(job, B)};
}

/* Shares the packed weight, [group][panel][l][tap][row], and lays out scratch. */
static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cut *cut,
                    struct cvg_work *work)
{
    const struct cvg_box *bound = &cut->pieces.bound;
    const int64_t terms = cvg_times(cut->l_count, s->filter_size), slack = cvg_narrow_tile(kernels)->lanes;
    /* A larger batch has fewer blocks of m. */
    const int64_t most = cut->packed ? cvg_min(cut->view.M, CHANNELS) + cut->rows : cut->view.M;
    cvg_work_share(work, cvg_times(s->G, cut->weight_size), kernels->size);
    /* The last vectors of a box run past it, into slack. */
    cvg_work_piece(work, cvg_plus(cvg_times(cut->l_count, bound->channel), slack), kernels->size);
    cvg_work_piece(work, cvg_times(most, cvg_plus(bound->cells, slack)), kernels->size);
    cvg_work_piece(work, terms, sizeof(int64_t));
    cvg_work_piece(work, terms, sizeof(int64_t));
}

/* Packs the weight; job = group and panel. */
static void pack_job(const struct cvg_job *job, int64_t index)
{
    const struct cut *cut = cvg_state(job);
    cvg_pack_panel(job->task, &cut->view, index, cut->rows, cut->weight_size, job->base);
}

/* Lists the terms of channels l; returns those of one channel. */
static int64_t list_terms(const struct cvg_shape *s, const struct cut *cut, const struct cvg_gather_weight *weight,
                          const struct cvg_box *box, const struct scratch *scratch)
{
    return cvg_box_terms(box, s->filter, cut->packed ? cut->rows : weight->tap,
                         cut->packed ? s->filter_size * cut->rows : weight->l, cut->l_count, scratch->a, scratch->b) /
           cut->l_count;
}

/* The widest tile for so many rows, no wider than lanes. */
static const struct cvg_tile *tile_for(const struct cvg_kernels *kernels, int64_t rows, int64_t lanes)
{
    const struct cvg_tile *tile = kernels->tile;
    while (tile->lanes > lanes || (tile->rows < rows && tile < cvg_main_tile(kernels)))
        tile++;
    return tile;
}

/* A block of channels m and source channels l: what is added at a time. */
struct block {
    int64_t m_count, l_count;
    const char *weight;                    /* of m and the first l */
    const struct cvg_gather_weight *place; /* its steps, where it is not packed */
    int first;                             /* l */
};

/* Lanes of a box, and where they are summed: lane i of channel m at sums[m*step + i]. */
struct lanes {
    int64_t first, count;
    char *sums;
    int64_t step;
    int in_result;
};

/* Adds the products of a block to the sums of its channels m. */
static void add_block(const struct cvg_job *job, int64_t taps, const struct block *block, const struct lanes *to,
                      const struct scratch *scratch)
{
    const struct cvg_kernels *kernels = job->task->kernels;
    const struct cut *cut = cvg_state(job);
    const int64_t size = (int64_t)kernels->size, filter_size = job->task->shape->filter_size;
    const int64_t panel_size = cut->packed ? cut->rows * cut->view.L * filter_size : 0;
    struct cvg_terms terms = {
        .count = block->l_count * taps, .a = scratch->a, .b = scratch->b, .claims = to->in_result};

    for (int64_t lane = 0; lane < to->count;) {
        const struct cvg_tile *tile = tile_for(kernels, block->m_count, to->count - lane);
        const int64_t most = cut->packed ? cut->rows : tile->rows;
        const char *b = scratch->box + (to->first + lane) * size, *weight = block->weight;
        terms.tiles = (to->count - lane) / tile->lanes;
        terms.b_tile = terms.acc_tile = tile->lanes;
        for (int64_t m = 0; m < block->m_count; m += most, weight += panel_size * size)
            for (int64_t done = 0; done < cvg_min(most, block->m_count - m); done += tile->rows) {
                const int64_t left = cvg_min(most, block->m_count - m) - done;
                const int rows = (int)cvg_min(tile->rows, left);
                int64_t row[CVG_TILE_ROWS], at[CVG_TILE_ROWS];
                for (int i = 0; i < rows; i++) {
                    row[i] = (m + done + i) * block->place->m;
                    at[i] = (m + done + i) * to->step + lane;
                }
                const int64_t *const row_at = cut->packed ? NULL : row;
                const char *const a = weight + (cut->packed ? done * size : 0);
                cvg_run_tiles(tile, size, rows, &terms, a, row_at, b, to->sums, at, block->first);
            }
        lane += terms.tiles * tile->lanes;
    }
}

/*
 * Whether sums grow in the result, as to move them would take as long as to make them: short ones of some channels,
 * where lines of the result are whole tiles of neighbours, and nothing is added to what is there.
 */
static int grows_in_result(const struct cvg_task *t, const struct cvg_gather *view, const struct cvg_view *result,
                           const struct cvg_box *box)
{
#ifdef __OPTIMIZE_SIZE__ /* the same bits, only slower */
    (void)t, (void)view, (void)result, (void)box;
    return 0;
#else
    const struct cvg_axis *line = &box->axis[2];
    return view->M >= LEAST_CHANNELS && view->L * t->shape->filter_size <= MOVED_SUM && !t->finish.accumulate &&
           line->step * result->step[2] == 1 && line->count >= LEAST_LINE &&
           line->count % cvg_narrow_tile(t->kernels)->lanes == 0;
#endif
}

/*
 * Writes the sums of count channels m, from channel on, to the destinations of image n; or finishes those that grew
 * there (sums is NULL).
 */
static void write_sums(const struct cvg_task *t, const struct cvg_view *result, const struct cvg_box *box, int64_t n,
                       int64_t channel, int64_t count, int64_t lanes, const char *sums)
{
    const struct cvg_axis *x = box->axis;
    const int64_t size = (int64_t)t->kernels->size;
    for (int64_t m = 0; m < count; m++) {
        const struct cvg_finish finish = cvg_finish_of(t, channel + m);
        for (int64_t a = 0; a < x[0].count && (sums || finish.bias || finish.scale != 1); a++) {
            char *to = cvg_view_at(result, n, channel + m, x[0].first + a * x[0].step, x[1].first, x[2].first);
            const int64_t row = x[1].step * result->step[1];
            t->kernels->put_rows(to, row, x[2].step * result->step[2],
                                 sums ? sums + (m * lanes + a * x[1].length * x[2].length) * size : to,
                                 sums ? x[2].length : row, x[1].count, x[2].count, &finish);
        }
    }
}

/* Job: one piece and block of m of some pairs of image and group. */
static void pixels_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const struct cut *cut = cvg_state(job);
    const struct cvg_gather *view = &cut->view;
    const struct cvg_view source = cvg_view_source(t, view->gradient), result = cvg_view_result(t, view->gradient);
    const int64_t size = (int64_t)t->kernels->size;
    const int64_t m = index % cut->m_blocks * cut->m_count;
    const int64_t piece = index / cut->m_blocks % cut->pieces.count;
    const int64_t begin = index / cut->m_blocks / cut->pieces.count * cut->pairs;
    const int64_t end = cvg_min(begin + cut->pairs, s->N * s->G);
    struct cvg_box box;

    if (!cvg_piece(s, &cut->pieces, piece, &box))
        return;
    const struct scratch scratch = scratch_of(job);
    const struct cvg_gather_weight weight = cvg_gather_weight(t, view);
    const int64_t taps = list_terms(s, cut, &weight, &box, &scratch), lanes = span(&box, t->kernels);
    const int there = grows_in_result(t, view, &result, &box);
    const struct cvg_axis *const x = box.axis;

    /* The padding is the same for all pairs; the slack is read, but never used. */
    memset(scratch.box, 0, (size_t)((cut->l_count * box.channel + cvg_narrow_tile(t->kernels)->lanes) * size));
    for (int64_t pair = begin; pair < end; pair++) {
        const int64_t n = pair / s->G, g = pair % s->G;
        struct block block = {.m_count = cvg_min(cut->m_count, view->M - m), .place = &weight};
        for (int64_t l = 0; l < view->L; l += cut->l_count) {
            block.l_count = cvg_min(cut->l_count, view->L - l);
            block.first = l == 0;
            block.weight = cut->packed ? cvg_at(t, job->base,
                                                g * cut->weight_size + (m * view->L + l * cut->rows) * s->filter_size)
                                       : weight.base + (g * weight.g + l * weight.l) * size;
            cvg_box_pack(&box, t->kernels, &source, pair * view->L + l, block.l_count, scratch.box);
            if (!there) {
                add_block(job, taps, &block, &(struct lanes){0, lanes, scratch.sums, lanes, 0}, &scratch);
                continue;
            }
            for (int64_t line = 0; line < x[0].count * x[1].count; line++) {
                const int64_t a = line / x[1].count, b = line % x[1].count;
                const struct lanes to = {(a * x[1].length + b) * x[2].length, x[2].count,
                                         cvg_view_at(&result, n, g * view->M + m, x[0].first + a * x[0].step,
                                                     x[1].first + b * x[1].step, x[2].first),
                                         result.channel, 1};
                add_block(job, taps, &block, &to, &scratch);
            }
        }
        write_sums(t, &result, &box, n, g * view->M + m, block.m_count, lanes, there ? NULL : scratch.sums);
    }
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_gather view = cvg_gather_of(s, pass);
    const int long_taps = s->filter_size == 1 && view.L > SHORT_SUM && s->in_size < LARGE_PLANE;
    const int strided = view.gradient && s->stride[2] > 1 && !long_taps;
    if (pass == CVG_GRAD_WEIGHT)
        return 0;
    if (view.gradient && cvg_times(s->stride[0], cvg_times(s->stride[1], s->stride[2])) > MANY_PHASES)
        return 1; /* lanes are of one phase, however far apart */
    if (s->layout == CVG_CHANNELS_LAST)
        return view.M <= LAST_CHANNELS; /* pixels lie far apart */
    const int64_t plane = view.gradient ? s->in_size : s->out_size;
    if (view.M > CVG_FEW_CHANNELS &&
        (cvg_inside_share(s, pass, 3) < MOSTLY_INSIDE || (s->filter_size == 1 && plane < SMALL_PLANE)))
        return 0;
    if (plane == 1 && view.M >= FEW_FOR_ONE)
        return 0;
    const int first = pass == CVG_FORWARD && view.L <= FIRST_CHANNELS && s->stride[2] <= FIRST_STRIDE;
    return view.M <= (strided ? STRIDED_CHANNELS : MOST_CHANNELS) ||
           view.L * s->filter_size <= (first ? FIRST_SUM : SHORT_SUM);
}

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_amounts x = cvg_amounts_of(s, pass);
    if (s->layout == CVG_CHANNELS_LAST) {
        const double strides = (double)s->stride[0] * (double)s->stride[1] * (double)s->stride[2];
        return x.all / CVG_PIXELS_LAST + CVG_PIXELS_WRITTEN * x.result +
               CVG_PIXELS_APART * (pass == CVG_GRAD_INPUT ? strides * x.written : x.read);
    }
    const double taps = fmin(CVG_PIXELS_TAPS, (double)s->filter_size / CVG_PIXELS_TAP);
    const int many = x.steps > 0 && cvg_gather_of(s, pass).M > MOST_CHANNELS;
    return x.all / (many ? CVG_PIXELS_STRIDED : CVG_PIXELS_SHARE + taps) + CVG_PIXELS_WRITTEN * x.result + x.steps;
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w,
              "lanes of pixels, for channels are few or sums short: %" PRId64 " channels and %" PRId64
              " places a job, %" PRId64 " source channels in a padded box",
              cut->m_count, cut->pieces.part[0] * cut->pieces.part[1] * cut->pieces.part[2], cut->l_count);
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    *cut = cut_of(s, kernels, pass, workers);
    lay_out(s, kernels, cut, work);
    if (cut->packed)
        cvg_work_phase(work, s->G * cvg_ceil_div(cut->view.M, cut->rows), pack_job);
    cvg_work_phase(work, jobs(s, cut), pixels_job);
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_pixels = {fits, cost, prepare, NULL};
