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
#include "../../tensor/window.h"
#include "../../text.h"
#include "direct.h"

#include <inttypes.h>
#include <string.h>

enum {
    NARROW = 32,     /* channels: fewer leave vectors unused */
    POSITIONS = 512, /* destinations of one region */
    LEAST_POSITIONS = 56,
    WINDOW_ELEMENTS = 24576, /* a window holds about as many: 96 KiB in f32 */
    PANEL_BYTES = 16384,     /* of the weight, read between two stores of a tile, about */
    LEAST_TERMS = 128,       /* and as many of one tap, channels first: each meets a line of cache of its own */
    LAST_BYTES = 4608,       /* of the weight, of one lane, channels last, where sums lie far apart in the result */
    FEW_POSITIONS = 128,     /* destinations of all regions */
    NEAR_ROWS = 8192,        /* elements between rows of a weight in place: further apart, each is a page of its own */
    FEW_REGIONS = 3,         /* as many share a packed weight, or each packs what it reads */
    CHANNELS = 256,          /* m of one job, at most; */
    PLACED_CHANNELS = 512,   /* of a window of places, which is copied for as many */
    WINDOW_POSITIONS = 256,  /* of a window of halves or of places */
    LEAST_CHANNELS = 32,
    GROUPS = 16,          /* of one job, at most */
    FAR_SOURCE = 3 << 17, /* elements of a source that no near cache holds, */
    FAR_PAIRS = 11 << 17, /* or pairs, of which all of a tile are asked for at once */
    CLASS = 12,           /* destinations that a class must have, on average */
    TALL = 12,            /* rows of a tile that has not registers for as many addresses */
    SOON = 28,            /* destinations further on, the source is asked for */
};

/* One pass, cut into jobs, which does not change the order of the sums. */
struct cut {
    struct cvg_gather view;
    struct cvg_shape line; /* the problem, each image one line, if it can be */
    struct cvg_regions regions;
    int64_t m_count, m_blocks;
    int64_t groups; /* of one job: they share lists of destinations */
    int widest;     /* the widest tile: the main one, or channels last, where rows are no neighbours, that for such */
    int padded;     /* columns meet padding */
    int in_place;   /* no window */
    int lanes;      /* of a window are channels, as they are neighbours in the source */
    int ahead;      /* the source of a tile to come is asked for: it is read once, from memory */
    int in_result;  /* sums of whole panels grow in the result, where channels are neighbours, or, of pairs that are
                       all added at once, are rounded to it; */
    int claims;     /* which no near cache holds */
    int clip[3];    /* border columns are classes of their own; else the window is padded */
    int64_t l_count;
    int pack_once;       /* the weight, for all regions */
    int weight_in_place; /* whole panels, whose lanes are neighbours: so few destinations do not repay packing */
    int64_t weight_size; /* elements of one group's packed weight */
};

/* Products between two stores of a tile, about. */
static int64_t panel_terms(const struct cvg_shape *s, const struct cvg_kernels *kernels, int weight_in_place)
{
    if (s->layout == CVG_CHANNELS_LAST && !weight_in_place)
        return LAST_BYTES / (int64_t)kernels->size;
    if (s->filter_size == 1)
        return LEAST_TERMS;
    return cvg_max(LEAST_TERMS, PANEL_BYTES / (cvg_main_tile(kernels)->lanes * (int64_t)kernels->size));
}

static int64_t jobs(const struct cvg_shape *s, const struct cut *cut)
{
    return cvg_times(cut->regions.count, cvg_ceil_div(s->G, cut->groups) * cvg_ceil_div(cut->view.M, cut->m_count));
}

/* Whether to copy a source of one channel: with padding, all destinations are neighbours, but not with a stride. */
static int copies(const struct cvg_shape *s, const struct cvg_gather *view)
{
    return view->L == 1 && s->filter_size > 1 && s->stride[0] * s->stride[1] * s->stride[2] == 1;
}

/* Whether a window is made of halves. */
static int widened(const struct cvg_shape *s) { return cvg_is_half(s->type) && !cvg_are_pairs(s); }

/* Regions of at most so many positions, or fewer.  With stride, what destinations of one tap read is copied. */
static struct cvg_regions regions_of(const struct cvg_shape *s, const struct cvg_gather *view, int64_t positions)
{
    const int places = CVG_FAST && !view->gradient && s->layout == CVG_CHANNELS_FIRST && !widened(s) &&
                       cvg_one_tap(s) && s->stride[0] * s->stride[1] * s->stride[2] > 1;
    struct cvg_regions r =
        cvg_regions_of(s, view->gradient, widened(s) || places ? cvg_min(positions, WINDOW_POSITIONS) : positions);
    r.places = places;
    return r;
}

static int64_t most_channels(const struct cvg_regions *regions) { return regions->places ? PLACED_CHANNELS : CHANNELS; }

static void cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                   struct cut *cut)
{
    const int last = s->layout == CVG_CHANNELS_LAST; /* read in place: channels are neighbours, and borders classes */
    const int stored = cvg_are_pairs(s), widens = widened(s);
    *cut = (struct cut){.view = cvg_gather_of(s, pass),
                        .groups = 1,
                        .clip = {1, 1, 1},
                        .widest = last ? kernels->spread : kernels->main};
    /* Views of what is copied know its rows. */
    const struct cvg_shape *const lines = CVG_FAST && !widens ? cvg_shape_line(s, &cut->line) : s;
    cut->regions = regions_of(lines, &cut->view, POSITIONS);
    cut->m_count = cvg_min(cut->view.M, most_channels(&cut->regions));
    while (cut->m_count > LEAST_CHANNELS && !cvg_busy(jobs(s, cut), workers))
        cut->m_count = cvg_max(LEAST_CHANNELS, cut->m_count / 2 / LEAST_CHANNELS * LEAST_CHANNELS);
    cut->m_blocks = cvg_ceil_div(cut->view.M, cut->m_count);
    const int64_t lanes = kernels->tile[cut->widest].lanes; /* blocks are as even as whole tiles can be */
    cut->m_count = cvg_min(cut->m_count, cvg_ceil_div(cvg_ceil_div(cut->view.M, cut->m_blocks), lanes) * lanes);
    if (!cvg_busy(jobs(s, cut), workers))
        cut->regions = regions_of(lines, &cut->view, LEAST_POSITIONS);
    cut->groups = cut->m_blocks == 1 ? cvg_min(s->G, GROUPS) : 1;
    while (cut->groups > 1 && !cvg_busy(jobs(s, cut), workers))
        cut->groups /= 2;

    cut->padded = cvg_axis_padded(&cut->regions, 2);
    const int copied = last && copies(s, &cut->view);
    if (copied)
        memset(cut->clip, 0, sizeof cut->clip);
    else
        cut->clip[2] = last || !cut->padded || cvg_classes_are_large(&cut->regions, CLASS);
    cut->in_result = last && !cvg_is_half(s->type);
    cut->claims = CVG_FAST && cut->in_result && cvg_is_far(s, pass);
    cut->lanes = widens && last;
    cut->in_place = !widens && !cut->regions.places && ((last && !copied) || (cut->clip[2] && s->filter_size == 1));
    const int64_t read = cvg_times(s->N, cut->view.gradient ? s->K * s->out_size : s->C * s->in_size);
    cut->ahead =
        CVG_FAST && cut->in_place && s->filter_size == 1 && (!last || read >= (stored ? FAR_PAIRS : FAR_SOURCE));
    cut->weight_in_place = !stored && s->filter_size == 1 && (cut->view.gradient ? s->weight_c : s->weight_k) == 1 &&
                           (cut->view.gradient ? s->weight_k : s->weight_c) <= NEAR_ROWS &&
                           cvg_times(s->N, cut->view.gradient ? s->in_size : s->out_size) <= FEW_POSITIONS;
    const int64_t terms = panel_terms(s, kernels, cut->weight_in_place);
    cut->l_count = cvg_min(cut->view.L, cvg_max(1, terms / s->filter_size));
    if (!cut->in_place)
        cut->l_count =
            cvg_min(cut->l_count, cvg_max(1, WINDOW_ELEMENTS / cvg_window_size(&cut->regions, cut->regions.images)));
    cut->l_count = cvg_ceil_div(cut->view.L, cvg_ceil_div(cut->view.L, cut->l_count));
    if (cvg_pairs_of(s) == CVG_PAIRS_LISTED)
        cut->l_count = cvg_min(cut->view.L, cvg_max(2, cut->l_count / 2 * 2));
    cut->in_result |= last && stored && cut->l_count == cut->view.L;
    cut->pack_once = cut->regions.count >= FEW_REGIONS && !cut->weight_in_place;
    cut->weight_size = cvg_times(cvg_panel_lanes(kernels, cut->view.M), cvg_times(cut->view.L, s->filter_size));
}

/* Pieces of a worker's scratch. */
enum { WINDOW, WEIGHT, SUMS, ROW, PLACE, TO, A, B };

struct scratch {
    char *window, *weight, *sums;
    int64_t *row, *place, *to; /* of each destination: where it reads, where its sums lie, and in the result */
    int64_t *a, *b;            /* of each term */
};

static struct scratch scratch_of(const struct cvg_job *job)
{
    return (struct scratch){
        cvg_own_piece(job, WINDOW), cvg_own_piece(job, WEIGHT), cvg_own_piece(job, SUMS), cvg_own_piece(job, ROW),
        cvg_own_piece(job, PLACE),  cvg_own_piece(job, TO),     cvg_own_piece(job, A),    cvg_own_piece(job, B),
    };
}

/* Shares the packed weight, [group][panel][l][tap][lane], and lays out scratch; enough for any batch. */
static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cut *cut,
                    struct cvg_work *work)
{
    const struct cvg_regions largest = regions_of(cut->regions.shape, &cut->view, POSITIONS);
    const int64_t positions = cvg_most_positions(&largest), channel = cvg_window_size(&largest, largest.most_images);
    const int64_t lanes = cvg_panel_lanes(kernels, cvg_min(cut->view.M, most_channels(&largest)));
    const int64_t least =
        cvg_pairs_of(s) == CVG_PAIRS_LISTED ? cvg_min(2, cut->view.L) : 1; /* channels of one window */
    const int64_t terms = cvg_max(cvg_min(panel_terms(s, kernels, 0), cvg_times(cut->view.L, s->filter_size)),
                                  cvg_times(least, s->filter_size));
    const int64_t window =
        cut->in_place && (s->layout == CVG_CHANNELS_LAST || (s->filter_size == 1 && !cut->padded))
            ? 0 /* in place at any batch */
            : cvg_min(cvg_max(cvg_times(least, channel), WINDOW_ELEMENTS), cvg_times(cut->view.L, channel));
    cvg_work_share(work, cvg_times(s->G, cut->weight_size), kernels->size);
    cvg_work_piece(work, window, kernels->size);
    cvg_work_piece(work, cvg_times(terms, lanes), kernels->size);
    cvg_work_piece(work, positions * lanes, kernels->size);
    cvg_work_piece(work, positions, sizeof(int64_t));
    cvg_work_piece(work, positions, sizeof(int64_t));
    cvg_work_piece(work, cut->in_result ? positions : 0, sizeof(int64_t));
    cvg_work_piece(work, terms, sizeof(int64_t));
    cvg_work_piece(work, terms, sizeof(int64_t));
}

/* Packs channels l of m in [begin, end) to panels of [l][tap][lane]; but those that are read where they lie. */
static void pack_panels(const struct cvg_task *t, const struct cut *cut, int64_t g, int64_t begin, int64_t end,
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

/* Job: a group and block of m, for the whole call. */
static void pack_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cut *cut = cvg_state(job);
    const struct cvg_gather *view = &cut->view;
    const int64_t g = index / cut->m_blocks, begin = index % cut->m_blocks * cut->m_count;
    pack_panels(t, cut, g, begin, cvg_min(begin + cut->m_count, view->M), 0, view->L,
                cvg_at(t, job->base, g * cut->weight_size + begin * view->L * t->shape->filter_size));
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
    const struct cut *cut;
    struct cvg_region region;
    struct cvg_window window;
    struct cvg_view result;
    int64_t g, begin, end; /* m */
    struct scratch x;
};

/* Where the sums of a panel lie, of channels m on of which width exist: in the result itself, or in scratch. */
static struct sums sums_of(const struct block *b, int64_t m, int64_t width, int lanes)
{
    const struct cvg_finish *const f = &b->job->task->finish;
    const int rounded = cvg_is_half(b->job->task->shape->type); /* then they are finished */
    if (b->cut->in_result && width == lanes && !f->accumulate &&
        (!rounded || (f->scale == 1 && !f->bias && b->result.type == CVG_BF16)))
        return (struct sums){cvg_view_at(&b->result, b->region.n, b->g * b->cut->view.M + m, 0, 0, 0), b->x.to, 1};
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
        weight = cvg_at(t, b->job->base, b->g * b->cut->weight_size + b->begin * view->L * s->filter_size);
        panel = view->L * s->filter_size;
    } else {
        pack_panels(t, b->cut, b->g, b->begin, b->end, l, l_count, b->x.weight);
    }
    for (struct cvg_classes c = cvg_classes_of(&b->cut->regions, &b->region, b->cut->clip); cvg_next_class(&c);) {
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
    const struct cut *cut = cvg_state(job);
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

    for (struct cvg_classes c = cvg_classes_of(&cut->regions, &b.region, cut->clip); cvg_next_class(&c);)
        cvg_class_destinations(&c.now, &b.window, &b.region, &b.result, b.x.row, b.x.place,
                               cut->in_result ? b.x.to : NULL);
    for (b.g = first; b.g < cvg_min(first + cut->groups, t->shape->G); b.g++) {
        for (int64_t l = 0; l < L; l += cut->l_count) {
            const int64_t l_count = cvg_min(cut->l_count, L - l);
            cvg_window_read(&b.window, t->kernels, &b.region, &source, cut->in_place, b.g * L + l, l_count, b.x.window);
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
    const int strides = pass == CVG_FORWARD && s->filter_size == 1 && s->stride[0] * s->stride[1] * s->stride[2] > 1;
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
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w,
              "lanes of channels, of which there are many: %" PRId64 " channels and %" PRId64
              " places a job, %s, weight packed %s",
              cut->m_count, cut->regions.images * cut->regions.part[0] * cut->regions.part[1] * cut->regions.part[2],
              cut->in_place ? "source in place" : "source copied to a window", cut->pack_once ? "once" : "by each job");
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    cut_of(s, kernels, pass, workers, cut);
    lay_out(s, kernels, cut, work);
    work->flushes = cvg_pairs_of(s) != 0;
    if (cut->pack_once)
        cvg_work_phase(work, s->G * cut->m_blocks, pack_job);
    cvg_work_phase(work, jobs(s, cut), region_job);
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_channels = {fits, cost, prepare, CVG_HALVES ? reads : NULL};
