#include "groups_open.h"

static struct cvg_groups_lanes lanes_of(const struct cvg_groups_block *b, const struct cvg_view *v, int64_t copies,
                                        const int64_t first[3], const int64_t count[3], char *to)
{
    const struct cvg_groups *cut = b->cut;
    struct cvg_groups_lanes lanes = {.view = *v};
    lanes.view.base += b->channel * v->channel * v->size;
    if (copies > 0) {
        const int64_t step = copies * cut->lanes;
        lanes = (struct cvg_groups_lanes){{.base = to,
                                           .size = (int64_t)b->job->task->kernels->size,
                                           .channel = cut->lanes, /* of copies */
                                           .step = {count[1] * count[2] * step, count[2] * step, step}},
                                          {first[0], first[1], first[2]}};
    }
    return lanes;
}

/* Goes to channels of a region, from one on: where their source and destination lie is the same for all images. */
static void open_channels(struct cvg_groups_block *b, int64_t channel)
{
    const struct cvg_groups *cut = b->cut;
    struct cvg_window *w = &b->window;
    b->channel = channel;
    b->width = cvg_min(cut->lanes, b->end - channel);
    b->source = lanes_of(b, &b->from, cut->copied ? cut->view.L : 0, w->first, w->count,
                         cvg_own_piece(b->job, CVG_GROUPS_SOURCE));
    b->destination = lanes_of(b, &b->to, cut->turned, b->region.begin, b->region.count,
                              cvg_own_piece(b->job, CVG_GROUPS_DESTINATION));
    w->channel = b->source.view.channel;
    for (int i = 0; i < 3; i++)
        w->step[i] = b->source.view.step[i];
}

/* Lists the terms of a class, behind used others. */
static struct cvg_groups_class list_class(const struct cvg_groups_block *b, const struct cvg_class *class, int64_t used)
{
    const struct cvg_groups *cut = b->cut;
    struct cvg_groups_class now = {.class = *class};
    int64_t *const to_a = (int64_t *)cvg_own_piece(b->job, CVG_GROUPS_A) + used;
    int64_t *const to_b = (int64_t *)cvg_own_piece(b->job, CVG_GROUPS_B) + used;
    now.terms.count = cvg_class_terms(b->job->task->shape, class, &b->window, cut->view.L,
                                      cut->weight ? cut->c_count : cut->row, 0, to_a, to_b);
    now.terms.a = to_a;
    now.terms.b = to_b;
    return now;
}

static void open_region(struct cvg_groups_block *b, const struct cvg_region *region)
{
    const struct cvg_groups *cut = b->cut;
    b->region = *region;
    if (cut->copied)
        b->region.images = 1; /* which is open */
    b->window = cvg_window_of(&cut->regions, region, cut->clip, !cut->copied, &b->from);
    open_channels(b, b->first);
    b->listed = 0;
    if (!cut->copied)
        return;
    struct cvg_groups_class *const list = cvg_own_piece(b->job, CVG_GROUPS_CLASSES);
    struct cvg_classes c = cvg_classes_of(&cut->regions, &b->region, cut->clip);
    for (int64_t used = 0; cvg_next_class(&c); used += list[b->listed++].terms.count)
        list[b->listed] = list_class(b, &c.now, used);
}

/* Moves on to the next images of a region, of which done are done, and copies their source; returns how many. */
static int64_t open_images(struct cvg_groups_block *b, const struct cvg_region *region, int64_t done)
{
    const struct cvg_window *w = &b->window;
    const struct cvg_groups *cut = b->cut;
    const struct cvg_kernels *kernels = b->job->task->kernels;
    char *const to = cvg_own_piece(b->job, CVG_GROUPS_SOURCE);
    if (!cut->copied)
        return region->images;
    b->region.n = region->n + done;
    if (w->count[0] * w->count[1] * w->count[2] == 0)
        return 1;
    if (cut->many)
        cvg_read_copies(&b->from, kernels, b->region.n, b->channel, b->width, w->first, w->count, cut->view.M,
                        cut->view.L, cut->lanes, to);
    else
        cvg_read_framed_lanes(&b->from, kernels, b->region.n, b->channel, (int)b->width, w->first, w->count,
                              (int)cut->lanes, done > 0 || b->channel > b->first, to);
    return 1;
}

void cvg_groups_run(const struct cvg_job *job, int64_t channels, int64_t index,
                    void (*run)(const struct cvg_groups_block *))
{
    const struct cvg_groups *cut = cvg_state(job);
    const struct cvg_task *t = job->task;
    const struct cvg_region region = cvg_region_at(&cut->regions, index);
    const int gradient = cut->regions.gradient;
    struct cvg_groups_block b = {.job = job,
                                 .cut = cut,
                                 .from = cvg_view_source(t, gradient),
                                 .to = cut->weight ? cvg_view_out(t, t->grad_output) : cvg_view_result(t, gradient),
                                 .first = channels * cut->c_count,
                                 .end = cvg_min(cut->channels, (channels + 1) * cut->c_count)};
    open_region(&b, &region);
    for (int64_t channel = b.first; channel < b.end; channel += cut->lanes) {
        open_channels(&b, channel);
        for (int64_t n = 0; n < region.images;) {
            n += open_images(&b, &region, n);
            run(&b);
        }
    }
}

/* Of image number n of those that are open. */
static struct cvg_groups_place place_of(const struct cvg_groups_block *b, const struct cvg_class *class, int64_t n,
                                        int64_t plane)
{
    const struct cvg_run *run = class->run;
    const struct cvg_groups_lanes *s = &b->source, *d = &b->destination;
    n += b->region.n;
    struct cvg_groups_place at = {
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
    struct cvg_groups_place turned = at; /* neighbours along columns: borders of rows have few along rows */
    turned.rows = at.count;
    turned.count = at.rows;
    turned.source_row = at.source_step;
    turned.source_step = at.source_row;
    turned.row = at.step;
    turned.step = at.row;
    return turned;
}

static void each_place(const struct cvg_groups_block *b, const struct cvg_groups_class *now,
                       void (*run)(const struct cvg_groups_block *, const struct cvg_groups_class *,
                                   const struct cvg_groups_place *))
{
    for (int64_t n = 0; n < b->region.images; n++)
        for (int64_t d = 0; d < now->class.run[0].count; d++) {
            const struct cvg_groups_place at = place_of(b, &now->class, n, d);
            run(b, now, &at);
        }
}

void cvg_groups_each(const struct cvg_groups_block *b,
                     void (*run)(const struct cvg_groups_block *, const struct cvg_groups_class *,
                                 const struct cvg_groups_place *))
{
    const struct cvg_groups_class *const list = cvg_own_piece(b->job, CVG_GROUPS_CLASSES);
    for (int64_t i = 0; i < b->listed; i++)
        each_place(b, &list[i], run);
    if (b->cut->copied)
        return;
    struct cvg_classes c = cvg_classes_of(&b->cut->regions, &b->region, b->cut->clip);
    while (cvg_next_class(&c)) {
        const struct cvg_groups_class now = list_class(b, &c.now, 0);
        each_place(b, &now, run);
    }
}

#ifndef __OPTIMIZE_SIZE__
enum {
    NEAR_LINE = 256,
    NEAR_COLUMN = 1024,
    NEAR_PAGE = 4096,
    NEAR_LEAST = 6,
    NEAR_MOST = CVG_GROUPS_NEAR / NEAR_LINE / 5
};

int64_t cvg_groups_near(const struct cvg_shape *s, int gradient)
{
    const int64_t size = (int64_t)cvg_type_size(s->type);
    const int64_t columns = gradient ? s->out[2] : s->in[2];
    const int64_t column = (gradient ? s->out_steps : s->in_steps).axis[2] * size;
    const int64_t apart = s->stride[2] > 1 ? NEAR_PAGE : NEAR_COLUMN;
    const int near = columns >= NEAR_LEAST && columns <= NEAR_MOST && column % apart == 0;
    return near && !cvg_is_half(s->type) ? NEAR_LINE / size : 0;
}

int64_t cvg_groups_near_rows(int64_t columns, int64_t stride)
{
    return (CVG_GROUPS_NEAR / NEAR_LINE / columns - 3) / stride + 1;
}

const char *cvg_groups_bring(const struct cvg_kernels *kernels, struct cvg_frame *f, const char *src, int64_t rows,
                             int64_t channels, int64_t width, char *near)
{
    const int64_t size = (int64_t)kernels->size, columns = f->extent[1], row = columns * channels;
    const int64_t from = cvg_max(0, f->first[0]), to = f->first[0] + (rows - 1) * f->step[0] + 3;
    f->extent[0] = cvg_min(f->extent[0], to) - from;
    f->first[0] -= from;
    for (int64_t y = 0; y < f->extent[0]; y++)
        kernels->copy(near + y * row * size, channels, src + (from + y) * f->row * size, f->column, 1, columns, width);
    f->row = row;
    f->column = channels;
    f->asks = 0;
    return near;
}
#endif
