/*
 * forward and grad_input with lanes of destination channels m (direct.h).
 *
 * Tile rows are destinations; the microkernel reads the source one element at a
 * time, so any stride, phase or order of destinations will do.  The weight is
 * packed once for the whole call, to panels of [l][tap][lane].
 *
 * A job owns a region of the destination (some images, or a part of one) for one
 * block of channels m.  Its destinations fall into classes that sum the same
 * taps (runs of each axis, box.h): so no padding is ever multiplied, nor the
 * zeros of a stuffed gradient.  The source is read in place, or, for the
 * caches' sake, from a window: a copy of the rows that the region meets.
 */
#include "direct.h"
#include "window.h"

enum {
    POSITIONS = 512,        /* destinations of one region */
    LEAST_POSITIONS = 56,
    WINDOW_ELEMENTS = 24576, /* a window holds about as many: 96 KiB in f32 */
    PANEL_BYTES = 16384,    /* of the weight, read between two stores of a tile, about */
    LEAST_TERMS = 192,
    FEW_REGIONS = 3,        /* as many share a packed weight, or each packs what it reads */
    CHANNELS = 128,         /* m of one job, at most */
    LEAST_CHANNELS = 32,
    ENOUGH_JOBS = 16,
    MANY = 1 << 20,         /* a batch that needs the most scratch */
    CLASS = 12,             /* destinations that a class must have, on average */
    TALL = 12,              /* rows of a tile that has not registers for as many addresses */
};

/* One pass, cut into jobs; the order of the sums is that of the shape alone. */
struct cut {
    struct cvg_gather view;
    struct cvg_regions regions;
    int64_t m_count, m_blocks;
    int padded;   /* columns meet padding */
    int in_place; /* no window */
    int clip[3];  /* border columns are classes of their own; else the window is padded */
    int64_t l_count;
    int pack_once; /* the weight, for all regions */
};

/* Products between two stores of a tile, about. */
static int64_t panel_terms(const struct cvg_kernels *kernels)
{
    return cvg_max(LEAST_TERMS, PANEL_BYTES / (cvg_main_tile(kernels)->lanes * (int64_t)kernels->size));
}

static int64_t jobs(const struct cvg_shape *s, const struct cut *cut)
{
    return cvg_times(cut->regions.count, s->G * cvg_ceil_div(cut->view.M, cut->m_count));
}

/* Runs along one axis of the first region. */
static int64_t first_runs(const struct cvg_regions *regions, int axis)
{
    const struct cvg_region first = cvg_region_at(regions, 0);
    struct cvg_runs runs = cvg_region_runs(regions, &first, axis, 1);
    struct cvg_run run;
    int64_t count = 0;
    while (cvg_run_next(&runs, &run))
        count++;
    return count;
}

/* Whether classes stay large when border columns are classes of their own. */
static int clip_columns(const struct cvg_regions *regions)
{
    const int64_t classes = first_runs(regions, 0) * first_runs(regions, 1) *
                            first_runs(regions, 2);
    return cvg_region_at(regions, 0).positions >= CLASS * classes;
}

static struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels,
                         cvg_pass pass)
{
    struct cut cut = {.view = cvg_gather_of(s, pass), .clip = {1, 1, 1}};
    cut.m_count = cvg_min(cut.view.M, CHANNELS);
    cut.regions = cvg_regions_of(s, cut.view.gradient, POSITIONS);
    while (cut.m_count > LEAST_CHANNELS && jobs(s, &cut) < ENOUGH_JOBS)
        cut.m_count = cvg_max(LEAST_CHANNELS, cut.m_count / 2 / LEAST_CHANNELS * LEAST_CHANNELS);
    cut.m_blocks = cvg_ceil_div(cut.view.M, cut.m_count);
    if (jobs(s, &cut) < ENOUGH_JOBS)
        cut.regions = cvg_regions_of(s, cut.view.gradient, LEAST_POSITIONS);

    cut.padded = cvg_axis_padded(&cut.regions, 2);
    cut.clip[2] = !cut.padded || clip_columns(&cut.regions);
    cut.in_place = cut.clip[2] && s->filter_size == 1;
    const int64_t terms = panel_terms(kernels);
    cut.l_count = cvg_min(cut.view.L, cvg_max(1, terms / s->filter_size));
    if (!cut.in_place)
        cut.l_count = cvg_min(cut.l_count,
                              cvg_max(1, WINDOW_ELEMENTS / cvg_window_size(&cut.regions)));
    cut.l_count = cvg_ceil_div(cut.view.L, cvg_ceil_div(cut.view.L, cut.l_count));
    cut.pack_once = cut.regions.count >= FEW_REGIONS;
    return cut;
}

struct scratch {
    char *window, *weight, *sums;
    int64_t *row, *place; /* of each destination: where it reads and where its sums lie */
    int64_t *a, *b;       /* of each term */
};

/* The scratch of one worker, enough for any batch. */
static struct scratch carve(const struct cvg_shape *shape, cvg_pass pass,
                            const struct cvg_kernels *kernels, struct cvg_arena *arena)
{
    struct cvg_shape s = *shape;
    s.N = MANY;
    const struct cut cut = cut_of(&s, kernels, pass);
    const int64_t *part = cut.regions.part;
    const int64_t positions = cut.regions.images * part[0] * part[1] * part[2];
    const int64_t terms = cvg_max(cvg_min(panel_terms(kernels), cvg_times(cut.view.L, s.filter_size)), s.filter_size);
    const int64_t channel = cvg_window_size(&cut.regions);
    const int64_t window = s.filter_size == 1 && !cut.padded
                               ? 0 /* in place at any batch */
                               : cvg_min(cvg_max(channel, WINDOW_ELEMENTS),
                                         cvg_times(cut.view.L, channel));
    struct scratch x;
    x.window = cvg_arena_take(arena, window, kernels->size);
    x.weight = cvg_arena_take(arena, cvg_times(terms, cvg_panel_lanes(kernels, cut.m_count)),
                              kernels->size);
    x.sums = cvg_arena_take(arena, positions * cvg_panel_lanes(kernels, cut.m_count),
                            kernels->size);
    x.row = cvg_arena_take(arena, positions, sizeof *x.row);
    x.place = cvg_arena_take(arena, positions, sizeof *x.place);
    x.a = cvg_arena_take(arena, terms, sizeof *x.a);
    x.b = cvg_arena_take(arena, terms, sizeof *x.b);
    return x;
}

/* Elements of the packed weight of one group. */
static int64_t packed_size(const struct cvg_shape *s, const struct cut *cut,
                           const struct cvg_kernels *kernels)
{
    return cvg_times(cvg_panel_lanes(kernels, cut->view.M), cvg_times(cut->view.L, s->filter_size));
}

static void layout(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                   int workers, struct cvg_arena *arena)
{
    struct cvg_shape many = *s;
    many.N = MANY;
    const struct cut cut = cut_of(&many, kernels, pass);
    cvg_arena_take(arena, cvg_times(s->G, packed_size(s, &cut, kernels)), kernels->size);
    const size_t begin = arena->used;
    carve(s, pass, kernels, arena);
    cvg_arena_repeat(arena, begin, workers);
}

/* What all jobs of a call share. */
struct call {
    const struct cvg_task *task;
    struct cut cut;
    const void *source, *bias;
    char *weight; /* packed: [group][panel][l][tap][lane] */
    int64_t weight_size;
    size_t scratch_base, scratch_size;
};

/* ---- packing the weight ---- */

/* Packs channels l of m in [begin, end) to panels of [l][tap][lane], one after the other. */
static void pack_panels(const struct call *call, int64_t g, int64_t begin, int64_t end, int64_t l,
                        int64_t l_count, char *to)
{
    const struct cvg_task *t = call->task;
    for (int64_t m = begin; m < end;) {
        const int lanes = cvg_panel_tile(t->kernels, t->kernels->main, end - m)->lanes;
        cvg_pack_weight(t, &call->cut.view, g, m, (int)cvg_min(lanes, end - m), l, l_count, lanes, to);
        to += l_count * t->shape->filter_size * lanes * (int64_t)t->kernels->size;
        m += lanes;
    }
}

/* Job: a group and block of m, for the whole call. */
static void pack_job(void *context, int64_t job, int worker)
{
    const struct call *call = context;
    const struct cvg_task *t = call->task;
    const struct cvg_gather *view = &call->cut.view;
    const int64_t g = job / call->cut.m_blocks, begin = job % call->cut.m_blocks * call->cut.m_count;
    (void)worker;
    pack_panels(call, g, begin, cvg_min(begin + call->cut.m_count, view->M), 0, view->L,
                cvg_at(t, call->weight,
                       g * call->weight_size + begin * view->L * t->shape->filter_size));
}

/* ---- classes: destinations that sum the same taps ---- */

struct class {
    struct cvg_run run[3];
    int64_t first, count; /* its destinations in the tables */
};

struct classes {
    struct cvg_runs walk[3];
    int64_t images;
    struct class now;
};

static struct classes classes_of(const struct cut *cut, const struct cvg_region *region)
{
    struct classes c = {.images = region->images};
    for (int i = 0; i < 3; i++)
        c.walk[i] = cvg_region_runs(&cut->regions, region, i, cut->clip[i]);
    cvg_run_next(&c.walk[0], &c.now.run[0]);
    cvg_run_next(&c.walk[1], &c.now.run[1]);
    return c;
}

/* Moves on to the next class; 0 after the last. */
static int next_class(struct classes *c)
{
    struct cvg_run *run = c->now.run;
    while (!cvg_run_next(&c->walk[2], &run[2])) {
        c->walk[2].phase = c->walk[2].next = 0;
        while (!cvg_run_next(&c->walk[1], &run[1])) {
            c->walk[1].phase = c->walk[1].next = 0;
            if (!cvg_run_next(&c->walk[0], &run[0]))
                return 0;
        }
    }
    c->now.first += c->now.count;
    c->now.count = c->images * run[0].count * run[1].count * run[2].count;
    return 1;
}

/* Fills in where the destinations of a class read (at their first taps) and are summed. */
static void list_destinations(const struct class *class, const struct cvg_window *w,
                              const struct cvg_region *region, const struct scratch *x)
{
    const struct cvg_run *run = class->run;
    int64_t i = class->first;
    for (int64_t n = 0; n < region->images; n++)
        for (int64_t d = 0; d < run[0].count; d++)
            for (int64_t h = 0; h < run[1].count; h++) {
                const int64_t source = n * w->image +
                    (run[0].source + d * run[0].source_step - w->first[0]) * w->step[0] +
                    (run[1].source + h * run[1].source_step - w->first[1]) * w->step[1] +
                    run[2].source - w->first[2];
                const int64_t place = ((n * region->count[0] +
                                        run[0].at + d * run[0].step - region->begin[0]) *
                                           region->count[1] +
                                       run[1].at + h * run[1].step - region->begin[1]) *
                                          region->count[2] +
                                      run[2].at - region->begin[2];
                for (int64_t q = 0; q < run[2].count; q++, i++) {
                    x->row[i] = source + q * run[2].source_step;
                    x->place[i] = place + q * run[2].step;
                }
            }
}

/* Fills the table of terms of a class for channels l; returns the terms of one channel. */
static int64_t list_terms(const struct cvg_shape *s, const struct class *class,
                          const struct cvg_window *w, int64_t channels, int lanes,
                          const struct scratch *x)
{
    const struct cvg_run *run = class->run;
    int64_t j = 0;
    for (int64_t a = 0; a < run[0].taps; a++)
        for (int64_t b = 0; b < run[1].taps; b++)
            for (int64_t c = 0; c < run[2].taps; c++, j++) {
                const int64_t t = run[0].tap + a * run[0].tap_step;
                const int64_t r = run[1].tap + b * run[1].tap_step;
                const int64_t q = run[2].tap + c * run[2].tap_step;
                x->a[j] = a * run[0].tap_source_step * w->step[0] +
                          b * run[1].tap_source_step * w->step[1] + c * run[2].tap_source_step;
                x->b[j] = ((t * s->filter[1] + r) * s->filter[2] + q) * lanes;
            }
    const int64_t a_step = w->channel, b_step = s->filter_size * lanes;
    for (int64_t i = j; i < channels * j; i++) { /* every channel as the one before */
        x->a[i] = x->a[i - j] + a_step;
        x->b[i] = x->b[i - j] + b_step;
    }
    return j;
}

/* ---- job: one region, group and block of m ---- */

/* Adds the products to the sums of count destinations, from at on, in one panel. */
static void add_rows(const struct cvg_kernels *kernels, const struct cvg_terms *terms, int64_t at,
                     int64_t count, int near, const char *source, const struct cvg_tile *tile,
                     const char *weight, char *sums, const struct scratch *x, int first)
{
    const int64_t tiles = cvg_ceil_div(count, tile->rows);
    for (int64_t i = 0, end = at + count; i < tiles; i++) {
        const int rows = (int)((end - at) / (tiles - i)); /* as even as can be */
        int64_t place[CVG_TILE_ROWS];
        for (int r = 0; r < rows; r++)
            place[r] = x->place[at + r] * tile->lanes;
        if (near)
            tile->run(rows, terms, source + x->row[at] * (int64_t)kernels->size, NULL, weight, sums, place, first);
        else
            tile->run(rows, terms, source, x->row + at, weight, sums, place, first);
        at += rows;
    }
}

/* Adds the products to the sums of one class in one panel. */
static void add_class(const struct cvg_kernels *kernels, const struct class *class, const struct cvg_terms *terms,
                      const char *source, const struct cvg_tile *tile, const char *weight,
                      char *sums, const struct scratch *x, int first)
{
    /* Tall tiles are best off with rows that are neighbours: those of one line. */
    const int64_t line = class->run[2].count;
    const int split = tile->rows >= TALL && class->run[2].source_step == 1 &&
                      line / cvg_ceil_div(line, tile->rows) >= TALL / 2 + 1;
    const int64_t count = split ? line : class->count;
    for (int64_t done = 0; done < class->count; done += count)
        add_rows(kernels, terms, class->first + done, count, split, source, tile, weight, sums, x, first);
}

/* Writes the sums of a panel, channels m on of the destination, to the region. */
static void write_panel(const struct call *call, const struct cvg_region *region, int64_t channel,
                        int width, int lanes, const char *sums)
{
    const struct cvg_task *t = call->task;
    const struct cvg_gather *view = &call->cut.view;
    const int64_t *extent = view->dst_extent, *count = region->count;
    const int64_t size = (int64_t)t->kernels->size;
    /* Rows as long as can be: whole ones, and whole planes, follow each other in memory. */
    const int rows_join = count[2] == extent[2];
    const int planes_join = rows_join && count[1] == extent[1];
    const int64_t length = count[2] * (rows_join ? count[1] : 1) * (planes_join ? count[0] : 1);
    const int64_t rows = rows_join ? 1 : count[1], planes = planes_join ? 1 : count[0];
    const void *bias = call->bias ? cvg_at(t, call->bias, channel) : NULL;

    for (int64_t n = 0; n < region->images; n++)
        for (int64_t d = 0; d < planes; d++)
            for (int64_t h = 0; h < rows; h++, sums += length * lanes * size) {
                const int64_t to = ((region->n + n) * t->shape->G * view->M + channel) *
                                       view->dst_size +
                                   ((region->begin[0] + d) * extent[1] + region->begin[1] + h) *
                                       extent[2] + region->begin[2];
                t->kernels->unturn(cvg_at(t, t->result, to), view->dst_size, sums, lanes, width,
                                   length, t->scale, bias, t->accumulate);
            }
}

static void region_job(void *context, int64_t job, int worker)
{
    const struct call *call = context;
    const struct cvg_task *t = call->task;
    const struct cvg_shape *s = t->shape;
    const struct cut *cut = &call->cut;
    const struct cvg_gather *view = &cut->view;
    const int64_t size = (int64_t)t->kernels->size;
    const int64_t begin = job % cut->m_blocks * cut->m_count;
    const int64_t end = cvg_min(begin + cut->m_count, view->M);
    const int64_t g = job / cut->m_blocks % s->G;
    const struct cvg_region region = cvg_region_at(&cut->regions, job / cut->m_blocks / s->G);
    struct cvg_window w = cvg_window_of(&cut->regions, &region, cut->clip, cut->in_place,
                                        s->G * view->L);
    struct cvg_arena arena = cvg_arena_on(t->workspace);
    arena.used = call->scratch_base + (size_t)worker * call->scratch_size;
    const struct scratch x = carve(s, view->gradient ? CVG_GRAD_INPUT : CVG_FORWARD, t->kernels, &arena);

    for (struct classes c = classes_of(cut, &region); next_class(&c);)
        list_destinations(&c.now, &w, &region, &x);
    for (int64_t l = 0; l < view->L; l += cut->l_count) {
        const int64_t l_count = cvg_min(cut->l_count, view->L - l), channel = g * view->L + l;
        if (cut->in_place) {
            w.base = cvg_at(t, call->source, region.n * w.image + channel * w.channel);
        } else {
            cvg_window_fill(&cut->regions, &region, &w, t->kernels, call->source, s->G * view->L,
                            channel, l_count, x.window);
            w.base = x.window;
        }
        /* Where the weight of this block of l lies: its panel of m, and between channels m. */
        const char *weight = x.weight;
        int64_t panel = l_count * s->filter_size;
        if (cut->pack_once) {
            weight = call->weight + (g * call->weight_size + begin * view->L * s->filter_size) * size;
            panel = view->L * s->filter_size;
        } else {
            pack_panels(call, g, begin, end, l, l_count, x.weight);
        }
        for (struct classes c = classes_of(cut, &region); next_class(&c);) {
            struct cvg_terms terms = {.count = 0, .a = x.a, .b = x.b, .blocks = 1};
            int lanes = 0; /* for which the terms are listed */
            for (int64_t m = begin; m < end; m += lanes) {
                const struct cvg_tile *tile = cvg_panel_tile(t->kernels, t->kernels->main, end - m);
                const int64_t at = (m - begin) * panel +
                                   (cut->pack_once ? l * s->filter_size * tile->lanes : 0);
                if (lanes != tile->lanes)
                    terms.count = l_count * list_terms(s, &c.now, &w, l_count, tile->lanes, &x);
                lanes = tile->lanes;
                add_class(t->kernels, &c.now, &terms, w.base, tile, weight + at * size,
                          x.sums + (m - begin) * region.positions * size, &x, l == 0);
            }
        }
    }
    for (int64_t m = begin; m < end;) {
        const int lanes = cvg_panel_tile(t->kernels, t->kernels->main, end - m)->lanes;
        write_panel(call, &region, g * view->M + m, (int)cvg_min(lanes, end - m), lanes,
                    x.sums + (m - begin) * region.positions * size);
        m += lanes;
    }
}

static void run(const struct cvg_task *task, cvg_pass pass)
{
    const struct cvg_shape *s = task->shape;
    struct call call = {.task = task, .cut = cut_of(s, task->kernels, pass)};
    struct cvg_arena arena = cvg_arena_on(task->workspace), one = cvg_arena_on(NULL);
    call.source = call.cut.view.gradient ? task->grad_output : task->input;
    call.bias = task->bias;
    call.weight_size = packed_size(s, &call.cut, task->kernels);
    call.weight = cvg_arena_take(&arena, s->G * call.weight_size, task->kernels->size);
    call.scratch_base = arena.used;
    carve(s, pass, task->kernels, &one);
    call.scratch_size = one.used;
    if (call.cut.pack_once)
        cvg_parallel(task->threads, task->workers, s->G * call.cut.m_blocks, pack_job, &call);
    cvg_parallel(task->threads, task->workers, jobs(s, &call.cut), region_job, &call);
}

const struct cvg_form cvg_direct_channels = {layout, run};
