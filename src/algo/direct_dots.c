/*
 * grad_weight for few k, as in depthwise and grouped convolution: dot products
 * along rows of pixels, each in 16 partial sums that are added at the end.
 *
 *   grad_weight[k][c][tap] = sum over n, i of grad_output[k][i] * input[c][source(i, tap)]
 *
 * grad_output is read in place, the input from a zero-padded box of it (box.h).
 */
#include "box.h"
#include "direct.h"
#include "parts.h"
#include "window.h"

#include <string.h>

enum {
    POSITIONS = 4096,     /* of one piece */
    BOX_ELEMENTS = 16384, /* a box holds about as many: 64 KiB in f32 */
    TOGETHER = 4096,      /* elements of boxes that are filled before they are read, about */
    SUMS = 16384,         /* partial sums of one job, about */
    JOB_WORK = 1 << 17,   /* multiplications of one job, if there are as many */
    ENOUGH_JOBS = 64,
    FOLD = 16,            /* partial sums of one dot product */
};

/* The pass cut into jobs; by the shape alone. */
struct cut {
    struct cvg_pieces pieces;
    int64_t c_count, c_blocks, taps, tap_blocks, groups;
    int64_t jobs, parts; /* jobs of one part of the sum */
};

static struct cut cut_of(const struct cvg_shape *s)
{
    struct cut cut = {.pieces = cvg_pieces_of(s, 0, POSITIONS)};
    cut.taps = cvg_min(s->filter_size, SUMS / FOLD / s->Kg);
    const int64_t c = cvg_min(SUMS / FOLD / (s->Kg * cut.taps),
                              BOX_ELEMENTS / cvg_max(1, cut.pieces.bound.channel));
    cut.c_blocks = cvg_ceil_div(s->Cg, cvg_max(1, c));
    cut.c_count = cvg_ceil_div(s->Cg, cut.c_blocks);
    cut.tap_blocks = cvg_ceil_div(s->filter_size, cut.taps);
    const int64_t blocks = cut.c_blocks * cut.tap_blocks;
    const int64_t work = cvg_times(cvg_times(s->N, s->out_size), s->Kg * cut.c_count * cut.taps);
    cut.groups = cvg_max(1, cvg_min(JOB_WORK / cvg_max(1, work), s->G * blocks / ENOUGH_JOBS));
    cut.jobs = cvg_ceil_div(s->G, cut.groups) * blocks;
    cut.parts = cvg_parts(s, cut.jobs, cvg_times(s->N, cut.pieces.count));
    return cut;
}

struct scratch {
    char *box, *sums, *dots;
    int64_t *a, *b; /* of each k, and each (c, tap): where it reads */
};

static struct scratch carve(const struct cvg_shape *s, const struct cut *cut,
                            const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    const int64_t columns = cut->c_count * cut->taps;
    struct scratch x;
    x.box = cvg_arena_take(arena, cvg_max(TOGETHER, cvg_times(cut->c_count, cut->pieces.bound.channel)),
                           kernels->size);
    x.sums = cvg_arena_take(arena, s->Kg * columns * FOLD, kernels->size);
    x.dots = cvg_arena_take(arena, columns, kernels->size);
    x.a = cvg_arena_take(arena, s->Kg, sizeof *x.a);
    x.b = cvg_arena_take(arena, columns, sizeof *x.b);
    return x;
}

/* What all jobs of a call share. */
struct call {
    const struct cvg_task *task;
    struct cut cut;
    char *partial; /* parts sums of the whole weight, if there are several */
    size_t scratch_base, scratch_size;
};

/* Takes room for partial sums, which all workers share; the scratch of each worker follows. */
static void carve_shared(struct call *call, const struct cvg_shape *s,
                         const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    struct cvg_arena one = cvg_arena_on(NULL);
    const int64_t most = cvg_parts_most(s, call->cut.jobs);
    if (most > 1)
        call->partial = cvg_arena_take(arena, cvg_times(most, s->K * s->taps), kernels->size);
    call->scratch_base = arena->used;
    carve(s, &call->cut, kernels, &one);
    call->scratch_size = one.used;
    arena->overflow |= one.overflow;
}

/* Blocks of c and of taps in a group; a job has several groups of the same. */
struct job {
    int64_t g, c, c_count, tap, taps;
};

/* Adds all dot products of one plane of a piece. */
static void add_plane(const struct cvg_task *t, const struct cvg_box *box, int64_t columns,
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
            kernels->dot(rows, count, gradient, x->a + i, s->out[2], plane, x->b + j,
                         box->axis[2].length, box->axis[1].count, box->axis[2].count,
                         x->sums + (i * columns + j) * FOLD * (int64_t)kernels->size, columns);
            j += count;
        }
    }
}

/* Lays out the box of a piece: its padding, which is that of every image, and where taps read. */
static void lay_out(const struct call *call, const struct job *job, int64_t piece, struct cvg_box *box,
                    const struct scratch *x)
{
    const struct cvg_shape *s = call->task->shape;
    cvg_piece(s, &call->cut.pieces, piece, box);
    memset(x->box, 0, (size_t)(cvg_max(1, TOGETHER / (job->c_count * box->channel)) * job->c_count *
                               box->channel) * call->task->kernels->size);
    for (int64_t c = 0, j = 0; c < job->c_count; c++)
        for (int64_t i = job->tap; i < job->tap + job->taps; i++, j++) {
            int64_t tap[3];
            cvg_split(i, s->filter, tap);
            x->b[j] = c * box->channel + cvg_box_slot(box, tap[0], tap[1], tap[2]);
        }
}

/* Fills a box with a piece of the input of image n. */
static void pack_piece(const struct call *call, const struct job *job, int64_t n, const struct cvg_box *box,
                       char *packed)
{
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    cvg_box_pack(box, t->kernels,
                 cvg_at(t, t->input, (n * s->C + job->g * s->Cg + job->c) * s->in_size),
                 s->in_size, job->c_count, packed);
}

/* Adds the products of one piece of image n. */
static void add_piece(const struct call *call, const struct job *job, int64_t n, const struct cvg_box *box,
                      const char *packed, const struct scratch *x)
{
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const int64_t size = (int64_t)t->kernels->size;
    const struct cvg_axis *axis = box->axis;

    for (int64_t o = 0; o < axis[0].count; o++) {
        const int64_t from = (n * s->K + job->g * s->Kg) * s->out_size +
                             ((axis[0].first + o) * s->out[1] + axis[1].first) * s->out[2] +
                             axis[2].first;
        add_plane(t, box, job->c_count * job->taps, cvg_at(t, t->grad_output, from),
                  packed + o * axis[1].length * axis[2].length * size, x);
    }
}

/* All the sums of one part, for one group. */
static void dots_group(const struct call *call, const struct job *job, int64_t part, struct cvg_box *box,
                       int64_t *laid_out, const struct scratch *x)
{
    const struct cut *cut = &call->cut;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const int64_t size = (int64_t)t->kernels->size;
    const int64_t units = s->N * cut->pieces.count, each = cvg_ceil_div(units, cut->parts);
    const int64_t columns = job->c_count * job->taps, last = cvg_min(units, (part + 1) * each);

    memset(x->sums, 0, (size_t)(s->Kg * columns * FOLD * size));
    for (int64_t unit = part * each; unit < last;) {
        const int64_t piece = unit % cut->pieces.count, n = unit / cut->pieces.count;
        if (piece != *laid_out)
            lay_out(call, job, piece, box, x);
        *laid_out = piece;
        /* Several images at a time, where one piece is a whole one: a box that is read too soon
           waits for what was written to it. */
        const int64_t channel = job->c_count * box->channel;
        const int64_t images = cut->pieces.count > 1 ? 1 : cvg_max(1, cvg_min(last - unit, TOGETHER / channel));
        for (int64_t i = 0; i < images; i++)
            pack_piece(call, job, n + i, box, x->box + i * channel * size);
        for (int64_t i = 0; i < images; i++)
            add_piece(call, job, n + i, box, x->box + i * channel * size, x);
        unit += images;
    }
    for (int64_t k = 0; k < s->Kg; k++) {
        t->kernels->fold(x->dots, x->sums + k * columns * FOLD * size, columns);
        for (int64_t c = 0; c < job->c_count; c++) {
            const int64_t to = ((job->g * s->Kg + k) * s->Cg + job->c + c) * s->filter_size + job->tap;
            const char *from = x->dots + c * job->taps * size;
            if (cut->parts > 1)
                memcpy(call->partial + (part * s->K * s->taps + to) * size, from,
                       (size_t)(job->taps * size));
            else
                cvg_put_result(t, to, 1, from, 1, job->taps);
        }
    }
}

static void dots_job(void *context, int64_t index, int worker)
{
    const struct call *call = context;
    const struct cut *cut = &call->cut;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const int64_t blocks = cut->c_blocks * cut->tap_blocks, group = index % cut->jobs / blocks * cut->groups;
    struct cvg_arena arena = cvg_arena_on(t->workspace);
    arena.used = call->scratch_base + (size_t)worker * call->scratch_size;
    const struct scratch x = carve(s, cut, t->kernels, &arena);
    struct job job;

    job.tap = index % cut->tap_blocks * cut->taps;
    job.taps = cvg_min(cut->taps, s->filter_size - job.tap);
    job.c = index / cut->tap_blocks % cut->c_blocks * cut->c_count;
    job.c_count = cvg_min(cut->c_count, s->Cg - job.c);
    for (int64_t k = 0; k < s->Kg; k++)
        x.a[k] = k * s->out_size;
    struct cvg_box box;
    int64_t laid_out = -1;
    for (job.g = group; job.g < cvg_min(s->G, group + cut->groups); job.g++)
        dots_group(call, &job, index / cut->jobs, &box, &laid_out, &x);
}

static void run(const struct cvg_task *task, cvg_pass pass)
{
    struct call call = {.task = task, .cut = cut_of(task->shape)};
    struct cvg_arena arena = cvg_arena_on(task->workspace);
    (void)pass;
    carve_shared(&call, task->shape, task->kernels, &arena);
    cvg_parallel(task->threads, task->workers, call.cut.parts * call.cut.jobs, dots_job, &call);
    if (call.cut.parts > 1)
        cvg_parts_add(task, call.cut.parts, call.partial);
}

static void layout(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                   int workers, struct cvg_arena *arena)
{
    struct call call = {.cut = cut_of(s)};
    (void)pass;
    carve_shared(&call, s, kernels, arena);
    const size_t begin = arena->used;
    carve(s, &call.cut, kernels, arena);
    cvg_arena_repeat(arena, begin, workers);
}

const struct cvg_form cvg_direct_dots = {layout, run};
