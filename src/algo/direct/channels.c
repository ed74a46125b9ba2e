/*
 * forward and grad_input with lanes of destination channels m (direct.h).
 *
 * Tile rows are destinations; the microkernel reads the source one element at a time, so any stride, phase or order of
 * destinations will do.  The weight is packed once for the whole call, to panels of [l][tap][lane].
 *
 * A job owns a region of the destination (some images, or a part of one) for some channels m.  Its destinations fall
 * into classes that sum the same taps (runs of each axis, box.h): so no padding is multiplied, nor the zeros of a
 * stuffed gradient.  The source is read in place, or from a window: a copy of the rows that the region meets.
 */
#include "channels_cut.h"

#include "../../text.h"
#include "direct.h"

#include <inttypes.h>
#include <string.h>

enum {
    NARROW = 32, /* channels: fewer leave vectors unused */
    TALL = 12,   /* rows of a tile that has not registers for as many addresses */
    SOON = 28,   /* destinations further on, the source is asked for */
};

struct scratch {
    char *window, *weight, *sums;
    int64_t *row, *place, *to; /* of each destination: where it reads, where its sums lie, and in the result */
    int64_t *a, *b;            /* of each term */
};

static struct scratch scratch_of(const struct cvg_job *job)
{
    struct scratch x = {
        cvg_own_piece(job, WINDOW), cvg_own_piece(job, WEIGHT), cvg_own_piece(job, SUMS), cvg_own_piece(job, ROW),
        cvg_own_piece(job, PLACE),  cvg_own_piece(job, TO),     cvg_own_piece(job, A),    cvg_own_piece(job, B),
    };
    const struct cvg_channels *cut = cvg_state(job);
    if (CVG_FAST && cut->even) { /* before the packed weight */
        x.row = (int64_t *)job->base;
        x.place = x.row + cut->even;
        x.to = x.place + cut->even;
    }
    return x;
}

/* Packs channels l of m in [begin, end) to panels of [l][tap][lane]; but those that are read where they lie. */
static void pack_panels(const struct cvg_task *t, const struct cvg_channels *cut, int64_t g, int64_t begin, int64_t end,
                        int64_t l, int64_t l_count, char *to)
{
    for (int64_t m = begin; m < end;) {
        const int lanes = cvg_panel_tile(t->kernels, cut->widest, end - m)->lanes;
        if (cvg_are_pairs(t->shape))
            cvg_pack_pairs(t, &cut->view, g, m, (int)cvg_min(lanes, end - m), l, l_count, lanes, to);
        else if (!cut->weight_in_place || end - m < lanes)
            cvg_pack_weight(t, &cut->view, g, m, (int)cvg_min(lanes, end - m), l, l_count, lanes, to);
        to += l_count * t->shape->filter_size * lanes * (int64_t)t->kernels->size;
        m += lanes;
    }
}

/* The packed weight of all groups. */
static char *packed_of(const struct cvg_job *job)
{
    return job->base + cvg_channels_lists(cvg_state(job)) * (int64_t)sizeof(int64_t);
}

/* Lists destinations that are evenly apart. */
static void list_even(const struct cvg_channels *cut, const struct cvg_task *t, struct scratch x)
{
    const struct cvg_view source = cvg_view_source(t, cut->view.gradient),
                          result = cvg_view_result(t, cut->view.gradient);
    for (int64_t i = 0; i < cut->even; i++) {
        x.row[i] = i * source.step[2];
        x.place[i] = i;
        x.to[i] = i * result.step[2];
    }
}

/* Job: a group and block of m, for the whole call; and the last one, if all regions share their lists. */
static void pack_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_channels *cut = cvg_state(job);
    const struct cvg_gather *view = &cut->view;
    if (CVG_FAST && index == t->shape->G * cut->m_blocks) {
        list_even(cut, t, scratch_of(job));
        return;
    }
    const int64_t g = index / cut->m_blocks, begin = index % cut->m_blocks * cut->m_count;
    pack_panels(t, cut, g, begin, cvg_min(begin + cut->m_count, view->M), 0, view->L,
                cvg_at(t, packed_of(job), g * cut->weight_size + begin * view->L * t->shape->filter_size));
}

/* Where the sums of one panel lie: of destination i at place[i] * step. */
struct sums {
    char *base;
    const int64_t *place;
    int64_t step;
};

/*
 * Asks for the source of a tile to come: channels last of the next one, which lies behind this one's; channels first of
 * each channel some destinations further on, or, after the last of the class, of the channels after these.
 */
static void ask(struct cvg_terms *terms, const struct cvg_class *class, int64_t at, int rows, const char *source,
                const int64_t *row, int64_t size)
{
    const int64_t end = class->first + class->count, channel = terms->count > 1 ? terms->a[1] - terms->a[0] : 1;
    const int64_t next = at + (channel == 1 ? rows : SOON);
    terms->ahead = NULL;
    if (channel == 1 && next < end && row[next] - row[at] == rows * terms->count) {
        terms->ahead = source + row[next] * size;
        terms->ahead_step = rows * size;
    } else if (channel != 1 && class->count > SOON) {
        const int64_t from = next < end ? row[next] : row[next - class->count] + terms->count * channel;
        terms->ahead = source + from * size;
        terms->ahead_step = channel * size;
    }
}

/* Adds the products to the sums of count destinations of a class, from at on, in one panel. */
static void add_rows(const struct cvg_kernels *kernels, const struct cvg_class *class, struct cvg_terms *terms,
                     int64_t at, int64_t count, int near, const char *source, const struct cvg_tile *tile,
                     const char *weight, const struct sums *sums, const struct scratch *x, int first, int ahead)
{
    const int64_t size = (int64_t)kernels->size, end = at + count;
    for (int tiles = ((int)count + tile->rows - 1) / tile->rows; tiles > 0; tiles--) {
        const int rows = (int)(end - at) / tiles; /* as even as can be */
        int64_t scaled[CVG_TILE_ROWS];
        const int64_t *const place = sums->step == 1 ? sums->place + at : scaled;
        for (int r = 0; r < rows && sums->step != 1; r++)
            scaled[r] = sums->place[at + r] * sums->step;
        if (CVG_FAST && ahead)
            ask(terms, class, at, rows, source, x->row, size);
        if (near)
            tile->run(rows, terms, source + x->row[at] * size, NULL, weight, sums->base, place, first);
        else
            tile->run(rows, terms, source, x->row + at, weight, sums->base, place, first);
        at += rows;
    }
}

/* Adds the products to the sums of one class in one panel. */
static void add_class(const struct cvg_kernels *kernels, const struct cvg_class *class, struct cvg_terms *terms,
                      const struct cvg_window *window, const struct cvg_tile *tile, const char *weight,
                      const struct sums *sums, const struct scratch *x, int first, int ahead)
{
    /* Tall tiles are best off with rows that are evenly apart, or even neighbours: those of one line. */
    const int64_t line = window->places ? class->count : class->run[2].count;
    const int split = tile->rows >= TALL && line / cvg_ceil_div(line, tile->rows) >= TALL / 2 + 1;
    const int near = split && (window->places || class->run[2].source_step * window->step[2] == 1);
    const int64_t count = split ? line : class->count;
    for (int64_t done = 0; done < class->count; done += count)
        add_rows(kernels, class, terms, class->first + done, count, near, window->base, tile, weight, sums, x, first,
                 ahead);
    terms->ahead = NULL;
}

/* One job: a region, a group and a block of m. */
struct block {
    const struct cvg_job *job;
    const struct cvg_channels *cut;
    struct cvg_region region;
    struct cvg_window window;
    struct cvg_view result;
    int64_t g, begin, end; /* m */
    struct scratch x;
};

/* All of an axis, each with one tap. */
#define EVERY(n)                                                            \
    {                                                                       \
        .step = 1, .count = (n), .source_step = 1, .tap_step = 1, .taps = 1 \
    }

/* All destinations, if they are evenly apart, are one class; else walks the classes. */
static struct cvg_classes classes_of(const struct block *b)
{
    const int64_t count = b->region.positions;
    if (CVG_FAST && b->cut->even)
        return (struct cvg_classes){.images = 1, .now = {.run = {EVERY(1), EVERY(1), EVERY(count)}, .count = count}};
    return cvg_classes_of(&b->cut->regions, &b->region, b->cut->clip);
}

static int next_class(const struct block *b, struct cvg_classes *c)
{
    return CVG_FAST && b->cut->even ? c->images-- > 0 : cvg_next_class(c);
}

/* Where the sums of a panel lie, of channels m on of which width exist: in the result itself, or in scratch. */
static struct sums sums_of(const struct block *b, int64_t m, int64_t width, int lanes)
{
    const struct cvg_finish *const f = &b->job->task->finish;
    const int rounded = cvg_is_half(b->job->task->shape->type); /* then they are finished */
    if (b->cut->in_result && width == lanes && !f->accumulate &&
        (!rounded || (f->scale == 1 && !f->bias && b->result.type == CVG_BF16)))
        return (struct sums){cvg_view_at(&b->result, b->region.n, b->g * b->cut->view.M + m, 0, 0,
                                         b->cut->even ? b->region.begin[2] : 0),
                             b->x.to, 1};
    return (struct sums){b->x.sums + (m - b->begin) * b->region.positions * (int64_t)b->job->task->kernels->size,
                         b->x.place, lanes};
}

/* Adds the products of channels l, which have been read, to all sums. */
static void multiply(const struct block *b, int64_t l, int64_t l_count)
{
    const struct cvg_task *t = b->job->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_gather *view = &b->cut->view;
    const int64_t size = (int64_t)t->kernels->size;
    const struct cvg_gather_weight own = cvg_gather_weight(t, view);
    /* Where the weight of these l lies: its panel of m, and between channels m. */
    const char *weight = b->x.weight;
    int64_t panel = l_count * s->filter_size;
    if (b->cut->pack_once) {
        weight = cvg_at(t, packed_of(b->job), b->g * b->cut->weight_size + b->begin * view->L * s->filter_size);
        panel = view->L * s->filter_size;
    } else {
        pack_panels(t, b->cut, b->g, b->begin, b->end, l, l_count, b->x.weight);
    }
    for (struct cvg_classes c = classes_of(b); next_class(b, &c);) {
        struct cvg_terms terms = {.a = b->x.a, .b = b->x.b, .claims = b->cut->claims};
        int64_t listed = 0; /* elements between terms of the weight */
        for (int64_t m = b->begin, lanes; m < b->end; m += lanes) {
            const struct cvg_tile *tile = cvg_panel_tile(t->kernels, b->cut->widest, b->end - m);
            lanes = tile->lanes;
            const int there = b->cut->weight_in_place && lanes <= b->end - m;
            const int64_t step = there ? own.l : lanes;
            const char *panel_at =
                weight + ((m - b->begin) * panel + (b->cut->pack_once ? l * s->filter_size * lanes : 0)) * size;
            if (there)
                panel_at = own.base + (b->g * own.g + m + l * own.l) * size;
            if (listed != step)
                terms.count = cvg_class_terms(s, &c.now, &b->window, l_count, step, cvg_pairs_of(s) == CVG_PAIRS_LISTED,
                                              b->x.a, b->x.b);
            listed = step;
            const struct sums sums = sums_of(b, m, cvg_min(lanes, b->end - m), (int)lanes);
            terms.narrows = sums.step == 1 && cvg_is_half(s->type);
            add_class(t->kernels, &c.now, &terms, &b->window, tile, panel_at, &sums, &b->x, l == 0,
                      m == b->begin && b->cut->ahead && (l_count == view->L || !b->cut->in_result));
        }
    }
}

/* Writes the sums of a panel, channels m on of the destination, to the region. */
static void write_panel(const struct block *b, int64_t m, int width, int lanes)
{
    const struct cvg_region *region = &b->region;
    const struct cvg_kernels *kernels = b->job->task->kernels;
    const struct sums sums = sums_of(b, m, width, lanes);
    const int64_t channel = b->g * b->cut->view.M + m;
    struct cvg_finish finish = cvg_finish_of(b->job->task, channel);
    const int64_t image = region->positions / region->images * lanes * (int64_t)kernels->size;
    const int there = sums.place == b->x.to;
    cvg_finish_positive(b->job->task, sums.base, lanes, region->positions, &finish);
    for (int64_t n = 0; n < region->images && !(there && finish.scale == 1 && !finish.bias); n++)
        if (there)
            cvg_finish_lanes(&b->result, kernels, region->n + n, channel, width, region->begin, region->count, &finish);
        else
            cvg_write_lanes(&b->result, kernels, region->n + n, channel, width, region->begin, region->count, lanes,
                            sums.base + n * image, &finish);
}

static void region_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_channels *cut = cvg_state(job);
    const int64_t L = cut->view.L;
    const struct cvg_view source = cvg_view_source(t, cut->view.gradient);
    struct block b = {.job = job, .cut = cut, .x = scratch_of(job), .result = cvg_view_result(t, cut->view.gradient)};
    b.begin = index % cut->m_blocks * cut->m_count;
    b.end = cvg_min(b.begin + cut->m_count, cut->view.M);
    index /= cut->m_blocks;
    const int64_t blocks = cvg_ceil_div(t->shape->G, cut->groups), first = index % blocks * cut->groups;
    b.region = cvg_region_at(&cut->regions, index / blocks);
    b.window = cvg_window_of(&cut->regions, &b.region, cut->clip, cut->in_place, &source);
    if (cut->lanes)
        cvg_window_lanes(&b.window, cut->l_count);

    for (struct cvg_classes c = classes_of(&b); !(CVG_FAST && cut->even) && cvg_next_class(&c);)
        cvg_class_destinations(&c.now, &b.window, &b.region, &b.result, b.x.row, b.x.place,
                               cut->in_result ? b.x.to : NULL);
    for (b.g = first; b.g < cvg_min(first + cut->groups, t->shape->G); b.g++) {
        for (int64_t l = 0; l < L; l += cut->l_count) {
            const int64_t l_count = cvg_min(cut->l_count, L - l);
            cvg_window_read(&b.window, t->kernels, &b.region, &source, cut->in_place, b.g * L + l, l_count, b.x.window);
            if (CVG_FAST && cut->even)
                b.window.base += b.region.begin[2] * source.step[2] * (int64_t)t->kernels->size;
            multiply(&b, l, l_count);
        }
        for (int64_t m = b.begin; m < b.end;) {
            const int lanes = cvg_panel_tile(t->kernels, cut->widest, b.end - m)->lanes;
            write_panel(&b, m, (int)cvg_min(lanes, b.end - m), lanes);
            m += lanes;
        }
    }
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    (void)s;
    return pass != CVG_GRAD_WEIGHT;
}

/* Few channels of a place are widened slowly, with all others of an image fast; so are places of which few are read. */
static CVG_ONCE int reads(const struct cvg_shape *s, cvg_pass pass)
{
    enum { FEW = 16 };
    const int strides = pass == CVG_FORWARD && s->filter_size == 1 && cvg_strides(s);
    return !strides && (s->layout == CVG_CHANNELS_FIRST || cvg_gather_of(s, pass).L >= FEW);
}

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_amounts x = cvg_amounts_of(s, pass);
    const struct cvg_gather view = cvg_gather_of(s, pass);
    const double lanes = view.M < NARROW / 2 ? CVG_CHANNELS_FEW : view.M < NARROW ? CVG_CHANNELS_NARROW : 1;
    const double weights = (double)s->G * (double)view.M * (double)view.L * (double)s->filter_size;
    return x.all * (double)cvg_inside_share(s, pass, 3) / 100 / CVG_CHANNELS_SHARE * lanes +
           CVG_CHANNELS_PACKED * weights + (x.steps > 0 ? x.steps : CVG_CHANNELS_WRITTEN * x.result);
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cvg_channels *cut = cvg_state_of(work);
    cvg_write(w,
              "lanes of channels, of which there are many: %" PRId64 " channels and %" PRId64
              " places a job, %s, weight packed %s",
              cut->m_count, cut->regions.images * cut->regions.part[0] * cut->regions.part[1] * cut->regions.part[2],
              cut->in_place ? "source in place" : "source copied to a window", cut->pack_once ? "once" : "by each job");
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cvg_channels *cut = cvg_work_state(work, sizeof *cut);
    cvg_channels_cut(s, kernels, pass, workers, cut);
    cvg_channels_lay_out(s, kernels, cut, work);
    work->flushes = cvg_pairs_of(s) != 0;
    if (cut->pack_once)
        cvg_work_phase(work, s->G * cut->m_blocks + (CVG_FAST && cut->even), pack_job);
    cvg_work_phase(work, cvg_channels_jobs(s, cut), region_job);
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_channels = {fits, cost, prepare, CVG_HALVES ? reads : NULL};
