/*
 * grad_weight for few k, as in depthwise and grouped convolution: dot products
 * along rows of pixels, each in 16 partial sums that are added at the end.
 *
 *   grad_weight[k][c][tap] = sum over n, i of grad_output[k][i] * input[c][source(i, tap)]
 *
 * grad_output is read in place, or copied where its neighbours along rows lie apart; the input from a zero-padded box
 * of it (box.h).  Planes of groups of one input channel are read as they lie, both (weigh_frame of kernels.h).
 */
#include "../../tensor/box.h"
#include "../../text.h"
#include "../parts.h"
#include "direct.h"

#include <inttypes.h>
#include <string.h>

enum {
    MOST_K = 4,           /* up to as many k, dot products beat lanes of k, */
    MOST_LAST = 16,       /* and with channels last, as many c, */
    LEAST_ROW = 8,        /* if rows are as long */
    POSITIONS = 4096,     /* of one piece */
    BOX_ELEMENTS = 16384, /* a box holds about as many: 64 KiB in f32 */
    TOGETHER = 4096,      /* elements of boxes that are filled before they are read, about */
    SUMS = 16384,         /* partial sums of one job, about */
    JOB_WORK = 1 << 17,   /* multiplications of one job, if there are as many */
    FOLD = 16,            /* partial sums of one dot product */
};

/* The pass cut into jobs; but for groups, by the shape alone. */
struct cut {
    struct cvg_pieces pieces;
    int64_t c_count, c_blocks, taps, tap_blocks;
    int64_t groups; /* of one job */
    int64_t jobs;   /* of one part of the sum */
    int framed;     /* no box is needed */
};

static CVG_ONCE struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, int workers)
{
    struct cut cut = {.pieces = cvg_pieces_of(s, 0, POSITIONS)};
    cut.taps = cvg_min(s->filter_size, SUMS / FOLD / s->Kg);
    const int64_t c = cvg_min(SUMS / FOLD / (s->Kg * cut.taps), BOX_ELEMENTS / cvg_max(1, cut.pieces.bound.channel));
    cut.c_blocks = cvg_ceil_div(s->Cg, cvg_max(1, c));
    cut.c_count = cvg_ceil_div(s->Cg, cut.c_blocks);
    cut.tap_blocks = cvg_ceil_div(s->filter_size, cut.taps);
    const int64_t blocks = cut.c_blocks * cut.tap_blocks;
    const int64_t work = cvg_times(cvg_times(s->N, s->out_size), s->Kg * cut.c_count * cut.taps);
    cut.groups = cvg_max(1, cvg_min(JOB_WORK / cvg_max(1, work), s->G * blocks / cvg_enough_jobs(workers)));
    cut.jobs = cvg_ceil_div(s->G, cut.groups) * blocks;
    cut.framed = CVG_FAST && kernels->weigh_frame && cvg_reads_planes(s, CVG_GRAD_WEIGHT);
    return cut;
}

/* Whether lanes of grad_output are neighbours. */
static int in_place(const struct cvg_shape *s) { return s->out_steps.axis[2] == 1; }

/* Jobs of one part if each had one group: what parts, and so bits, depend on. */
static int64_t all_jobs(const struct cvg_shape *s, const struct cut *cut)
{
    return s->G * cut->c_blocks * cut->tap_blocks;
}

/* Pieces of a worker's scratch. */
enum { BOX, SUM, DOTS, GRADIENT, A, B };

struct scratch {
    char *box, *sums, *dots, *gradient;
    int64_t *a, *b; /* of each k, and each (c, tap): where it reads */
};

static struct scratch scratch_of(const struct cvg_job *job)
{
    return (struct scratch){cvg_own_piece(job, BOX),      cvg_own_piece(job, SUM), cvg_own_piece(job, DOTS),
                            cvg_own_piece(job, GRADIENT), cvg_own_piece(job, A),   cvg_own_piece(job, B)};
}

static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cut *cut,
                    struct cvg_work *work)
{
    const int64_t columns = cut->c_count * cut->taps, *part = cut->pieces.part;
    cvg_parts_share(s, kernels, cvg_parts_most(s, all_jobs(s, cut)), work);
    const int64_t box = cvg_max(TOGETHER, cvg_times(cut->c_count, cut->pieces.bound.channel));
    cvg_work_piece(work, cut->framed ? 0 : box, kernels->size);
    cvg_work_piece(work, s->Kg * columns * FOLD, kernels->size);
    cvg_work_piece(work, columns, kernels->size);
    cvg_work_piece(work, in_place(s) ? 0 : s->Kg * part[0] * part[1] * part[2], kernels->size);
    cvg_work_piece(work, s->Kg, sizeof(int64_t));
    cvg_work_piece(work, columns, sizeof(int64_t));
}

/* Blocks of c and of taps in a group; a job has several groups of the same. */
struct block {
    const struct cvg_job *job;
    const struct cvg_task *task;
    const struct cut *cut;
    struct scratch x;
    int64_t g, c, c_count, tap, taps;
    struct cvg_frame frame; /* of what is open */
};

/* Adds all dot products of one plane of a piece, whose lines of gradient are line apart. */
static void add_plane(const struct cvg_task *t, const struct cvg_box *box, int64_t columns, int64_t line,
                      const char *gradient, const char *plane, const struct scratch *x)
{
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    int rows = 0;
    for (int64_t i = 0; i < s->Kg; i += rows) {
        rows = (int)cvg_min(CVG_DOT_ROWS, s->Kg - i);
        while (kernels->dot_columns[rows - 1] < cvg_min(rows, columns) && rows > 1)
            rows--; /* nearly square blocks need the fewest loads */
        for (int64_t j = 0; j < columns;) {
            const int count = (int)cvg_min(kernels->dot_columns[rows - 1], columns - j);
            kernels->dot(rows, count, gradient, x->a + i, line, plane, x->b + j, box->axis[2].length,
                         box->axis[1].count, box->axis[2].count,
                         x->sums + (i * columns + j) * FOLD * (int64_t)kernels->size, columns);
            j += count;
        }
    }
}

/* Lays out the box of a piece: its padding, which is that of every image, and where taps read. */
static void open_box(struct block *block, int64_t piece, struct cvg_box *box)
{
    const struct cvg_shape *s = block->task->shape;
    const struct scratch *x = &block->x;
    cvg_piece(s, &block->cut->pieces, piece, box);
    if (CVG_FAST && block->cut->framed) {
        const struct cvg_view input = cvg_view_in(block->task, block->task->input);
        block->frame = cvg_frame_of(s, 0, &input, box->axis[1].first, box->axis[2].first);
        block->frame.next = input.image;
        return;
    }
    memset(x->box, 0,
           (size_t)(cvg_max(1, TOGETHER / (block->c_count * box->channel)) * block->c_count * box->channel) *
               block->task->kernels->size);
    for (int64_t c = 0, j = 0; c < block->c_count; c++)
        for (int64_t i = block->tap; i < block->tap + block->taps; i++, j++) {
            int64_t tap[3];
            cvg_split(i, s->filter, tap);
            x->b[j] = c * box->channel + cvg_box_slot(box, tap[0], tap[1], tap[2]);
        }
}

/* Fills a box with a piece of the input of image n. */
static void pack_piece(const struct block *b, int64_t n, const struct cvg_box *box, char *packed)
{
    const struct cvg_view input = cvg_view_in(b->task, b->task->input);
    const struct cvg_shape *s = b->task->shape;
    cvg_box_pack(box, b->task->kernels, &input, n * s->C + b->g * s->Cg + b->c, b->c_count, packed);
}

/* Adds the products of one piece of image n. */
static void add_piece(const struct block *b, int64_t n, const struct cvg_box *box, const char *packed)
{
    const struct cvg_task *t = b->task;
    const struct cvg_view gradient = cvg_view_out(t, t->grad_output);
    const struct cvg_axis *axis = box->axis;
    const int64_t first[] = {axis[0].first, axis[1].first, axis[2].first}, k = b->g * t->shape->Kg;
    const int64_t count[] = {axis[0].count, axis[1].count, axis[2].count}, plane = count[1] * count[2];
    const int there = in_place(t->shape);
    for (int64_t i = 0; i < t->shape->Kg; i++) {
        b->x.a[i] = i * (there ? gradient.channel : count[0] * plane);
        if (!there)
            cvg_read_rectangle(&gradient, t->kernels, n, k + i, first, count,
                               b->x.gradient + b->x.a[i] * gradient.size);
    }
    for (int64_t o = 0; o < count[0]; o++)
        add_plane(t, box, b->c_count * b->taps, there ? gradient.step[1] : count[2],
                  there ? cvg_view_at(&gradient, n, k, first[0] + o, first[1], first[2])
                        : b->x.gradient + o * plane * gradient.size,
                  packed + o * axis[1].length * axis[2].length * gradient.size, &b->x);
}

/* The same of so many images, as they lie. */
static void add_planes(const struct block *b, int64_t n, int64_t images, const struct cvg_axis x[3])
{
    const struct cvg_task *t = b->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_view input = cvg_view_in(t, t->input), gradient = cvg_view_out(t, t->grad_output);
    for (int64_t k = 0; k < s->Kg; k++)
        for (int64_t d = x[0].first; d < x[0].first + x[0].count; d++)
            t->kernels->weigh_frame(&b->frame, images, x[1].count, x[2].count, cvg_view_at(&input, n, b->g, d, 0, 0),
                                    cvg_view_at(&gradient, n, b->g * s->Kg + k, d, x[1].first, x[2].first),
                                    gradient.image, gradient.step[1],
                                    b->x.sums + k * s->filter_size * FOLD * gradient.size);
}

/* Adds up the 16 partial sums of each dot product of a group, and writes them. */
static void write_dots(const struct block *b, int64_t part)
{
    const struct cvg_task *t = b->task;
    const struct cvg_shape *s = t->shape;
    const int64_t size = (int64_t)t->kernels->size, columns = b->c_count * b->taps;
    const struct cvg_filters to = cvg_parts_filters(b->job, part);
    const struct cvg_finish *const finish = cvg_parts_finish(b->job);
    for (int64_t k = 0; k < s->Kg; k++) {
        t->kernels->fold(b->x.dots, b->x.sums + k * columns * FOLD * size, columns);
        for (int64_t c = 0; c < b->c_count; c++)
            t->kernels->put(cvg_filter_at(&to, b->g * s->Kg + k, b->c + c, b->tap), to.tap,
                            b->x.dots + c * b->taps * size, 1, b->taps, finish);
    }
}

/* All the sums of one part, for one group. */
static void dots_group(struct block *b, int64_t part, struct cvg_box *box, int64_t *opened)
{
    const struct cut *cut = b->cut;
    const struct cvg_shape *s = b->task->shape;
    const int64_t size = (int64_t)b->task->kernels->size;
    const int64_t units = s->N * cut->pieces.count, each = cvg_ceil_div(units, b->job->work->parts);
    const int64_t last = cvg_min(units, (part + 1) * each);

    memset(b->x.sums, 0, (size_t)(s->Kg * b->c_count * b->taps * FOLD * size));
    for (int64_t unit = part * each; unit < last;) {
        const int64_t piece = unit % cut->pieces.count, n = unit / cut->pieces.count;
        if (piece != *opened)
            open_box(b, piece, box);
        *opened = piece;
        if (CVG_FAST && cut->framed) {
            const int64_t together = cut->pieces.count > 1 || box->axis[0].count > 1 ? 1 : last - unit;
            add_planes(b, n, together, box->axis);
            unit += together;
            continue;
        }
        /* Several images at a time, where one piece is a whole one: a box that is read too soon
           waits for what was written to it. */
        const int64_t channel = b->c_count * box->channel;
        const int64_t images = cut->pieces.count > 1 ? 1 : cvg_max(1, cvg_min(last - unit, TOGETHER / channel));
        for (int64_t i = 0; i < images; i++)
            pack_piece(b, n + i, box, b->x.box + i * channel * size);
        for (int64_t i = 0; i < images; i++)
            add_piece(b, n + i, box, b->x.box + i * channel * size);
        unit += images;
    }
    write_dots(b, part);
}

static void dots_job(const struct cvg_job *job, int64_t index)
{
    const struct cut *cut = cvg_state(job);
    const struct cvg_shape *s = job->task->shape;
    const int64_t blocks = cut->c_blocks * cut->tap_blocks, group = index % cut->jobs / blocks * cut->groups;
    struct block b = {.job = job, .task = job->task, .cut = cut, .x = scratch_of(job)};

    b.tap = index % cut->tap_blocks * cut->taps;
    b.taps = cvg_min(cut->taps, s->filter_size - b.tap);
    b.c = index / cut->tap_blocks % cut->c_blocks * cut->c_count;
    b.c_count = cvg_min(cut->c_count, s->Cg - b.c);
    struct cvg_box box;
    int64_t opened = -1;
    for (b.g = group; b.g < cvg_min(s->G, group + cut->groups); b.g++)
        dots_group(&b, index / cut->jobs, &box, &opened);
}

/* Channels last, many channels c or one tap are for lanes of channels. */
static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    const int lanes = s->layout == CVG_CHANNELS_LAST && s->Cg > (s->filter_size == 1 ? MOST_K : MOST_LAST);
    return pass == CVG_GRAD_WEIGHT && s->Kg <= MOST_K && s->out[2] >= LEAST_ROW && !lanes;
}

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_amounts x = cvg_amounts_of(s, pass);
    return x.products / CVG_DOTS_SHARE + CVG_DOTS_READ * (x.read + x.written);
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w,
              "dot products along rows, for output channels of a group are few: %" PRId64 " groups, %" PRId64
              " channels and %" PRId64 " taps a job, parts of "
              "the sum: %" PRId64,
              cut->groups, cut->c_count, cut->taps, work->parts);
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    (void)pass;
    *cut = cut_of(s, kernels, workers);
    lay_out(s, kernels, cut, work);
    work->parts = cvg_parts(s, all_jobs(s, cut), cvg_times(s->N, cut->pieces.count));
    cvg_work_phase(work, work->parts * cut->jobs, dots_job);
    cvg_parts_phase(s, work);
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_dots = {fits, cost, prepare, NULL};
