/*
 * forward and grad_input of a filter of one tap without padding (direct.h): a matrix product on
 * plain memory.
 *
 *   destination[m][pixel] = sum over l of weight[m][l] * source[l][source of pixel]
 *
 * Lanes are pixels, tile rows are channels m.  Sums grow in the destination itself, but for the
 * pixels that are left over when a plane is no multiple of the narrowest vector.  The source is read
 * in place, and what is read next is asked for meanwhile, as its channels lie pages apart.  With
 * stride, a job copies its part of the source to panels of [l][lane]; so are pixels that are left
 * over.  The weight is packed once, to panels of [l][row].
 *
 * With stride, a job of grad_input has whole rows of the gradient, and spreads its sums among
 * zeros.
 */
#include "../../text.h"
#include "direct.h"

#include <inttypes.h>
#include <string.h>

enum {
    LEAST_PLANE = 96,   /* pixels: fewer leave too much of the last vector unused */
    LANES = 16,         /* pixels, up to which planes are filled up, about */
    MOST_PLANE = 400,   /* pixels of a plane that lanes of channels may be better for: */
    NEAR_CHANNELS = 96, /* so many channels at least, which */
    SAME_SETS = 256,    /* bytes, whose multiples apart, meet in few sets of the cache, */
    PIXELS = 288,       /* of one job, at most */
    AHEAD = 2,          /* channels to prefetch while one is copied */
    TILE_BYTES = 24576, /* of the source, read between two stores of a tile, about, */
    NEAR_TERMS = 128,   /* and so many channels in place */
    CLAIMED_TERMS = 32, /* of a sum, at most, whose result is asked for: it would come while more are added */
    LINE_BYTES = 64,    /* of the cache */
};

/* Sizes of a job, the best first: pixels in whole tiles of 16, 32, 48 and 96, and about m. */
static const struct {
    int64_t pixels, channels;
} sizes[] = {{PIXELS, 256}, {PIXELS, 128}, {96, 256}, {96, 128}, {96, 64}};

/* One pass, cut into jobs, which does not change the order of the sums. */
struct cut {
    struct cvg_gather view;
    int64_t pixels, pixel_blocks;
    int64_t rows;              /* of a panel */
    int64_t m_count, m_blocks; /* whole panels */
    int64_t l_count;
    int64_t jobs;
    int64_t weight_size; /* elements of one group's packed weight */
    int spreads;         /* sums among zeros */
    int in_place;        /* the source is read where it lies */
    int claims;          /* the result, which no near cache holds */
};

/* Channels m of a job, whole panels of rows, of about so many. */
static int64_t even_panels(int64_t M, int64_t rows, int64_t channels)
{
    const int64_t panels = cvg_ceil_div(M, rows), most = cvg_max(1, channels / rows); /* panels of one job */
    return cvg_ceil_div(panels, cvg_ceil_div(panels, most)) * rows;
}

static CVG_ONCE struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass,
                                  int workers)
{
    const struct cvg_tile *tile = cvg_main_tile(kernels);
    struct cut cut = {.view = cvg_gather_of(s, pass)};
    const int64_t M = cut.view.M;
    cut.rows = cvg_ceil_div(M, cvg_ceil_div(M, tile->rows));
    cut.spreads = CVG_FAST && cut.view.gradient && s->in_size != s->out_size;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && (i == 0 || !cvg_busy(cut.jobs, workers)); i++) {
        cut.pixels = sizes[i].pixels;
        if (cut.spreads)
            cut.pixels = cvg_max(1, cut.pixels / s->out[2]) * s->out[2];
        cut.m_count = even_panels(M, cut.rows, sizes[i].channels);
        cut.m_blocks = cvg_ceil_div(M, cut.m_count);
        cut.pixel_blocks = cvg_ceil_div(s->out_size, cut.pixels);
        cut.jobs = cvg_times(cvg_times(s->N * s->G, cut.pixel_blocks), cut.m_blocks);
    }
    cut.claims = CVG_FAST && cut.view.L <= CLAIMED_TERMS && cvg_is_far(s, pass);
    cut.in_place = CVG_FAST && (cut.view.gradient || s->in_size == s->out_size);
    const int64_t fit = TILE_BYTES / (tile->lanes * (int64_t)kernels->size);
    const int64_t most = cut.in_place ? cvg_min(fit, NEAR_TERMS) : fit;
    cut.l_count = cvg_ceil_div(cut.view.L, cvg_ceil_div(cut.view.L, most));
    cut.weight_size = cvg_times(cvg_ceil_div(M, cut.rows) * cut.rows, cut.view.L);
    return cut;
}

/* Pieces of a worker's scratch. */
enum { PANELS, REST, BLOCK, A, B, THERE, ZEROS };

struct scratch {
    char *panels;   /* of the source */
    char *rest;     /* sums of pixels left over */
    char *block;    /* sums of one job, when they are added to the result */
    int64_t *a, *b; /* of each l: its weight; for each tile, its source in a panel */
    int64_t *there; /* and its source in place */
};

static struct scratch scratch_of(const struct cvg_job *job)
{
    return (struct scratch){cvg_own_piece(job, PANELS), cvg_own_piece(job, REST), cvg_own_piece(job, BLOCK),
                            cvg_own_piece(job, A),      cvg_own_piece(job, B),    cvg_own_piece(job, THERE)};
}

/* Shares the packed weight, [group][panel][l][row], and lays out scratch; enough for any batch. */
static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cut *cut,
                    struct cvg_work *work)
{
    const int64_t lanes = cvg_narrow_tile(kernels)->lanes;
    const int64_t channels = even_panels(cut->view.M, cut->rows, sizes[0].channels);
    cvg_work_share(work, cvg_times(s->G, cut->weight_size), kernels->size);
    cvg_work_piece(work, cut->l_count * (cut->in_place ? lanes : PIXELS + lanes), kernels->size);
    cvg_work_piece(work, channels * lanes, kernels->size);
    cvg_work_piece(work, channels * PIXELS, kernels->size);
    cvg_work_piece(work, cut->l_count, sizeof(int64_t));
    cvg_work_piece(work, CVG_TILES * cut->l_count, sizeof(int64_t));
    cvg_work_piece(work, cut->in_place ? cut->l_count : 0, sizeof(int64_t));
    cvg_work_piece(work, cut->spreads ? s->in[2] : 0, kernels->size);
}

/* Packs the weight; job = group and panel. */
static void pack_job(const struct cvg_job *job, int64_t index)
{
    const struct cut *cut = cvg_state(job);
    cvg_pack_panel(job->task, &cut->view, index, cut->rows, cut->weight_size, job->base);
}

/* One job's block of a plane, and the channels l that are being added. */
struct block {
    int64_t m_count, pixels, l, l_count;
    const char *weight;       /* of the first m and l */
    const char *there, *next; /* the source of the first pixel and l, in place, and that of the next block, or NULL; */
    int64_t there_step;       /* channels are as far apart */
    char *sums;               /* of the first m and pixel; channels sums_step apart */
    int64_t sums_step;
};

/* The tile for the next pixels: the main one for as long as they fill it. */
static const struct cvg_tile *next_tile(const struct cvg_kernels *kernels, int64_t pixels)
{
    const struct cvg_tile *tile = cvg_main_tile(kernels);
    while (tile->lanes > pixels && tile->lanes > cvg_narrow_tile(kernels)->lanes)
        tile++;
    return tile;
}

/*
 * Runs tiles one by one, with their source in place, and asks for a line of the cache of each channel where a tile of
 * the next block will read.
 */
static void run_asking(const struct cvg_tile *tile, int64_t size, int rows, struct cvg_terms terms, const char *weight,
                       const char *source, const char *next, char *sums, const int64_t *place, int first)
{
    const int64_t step = tile->lanes * size;
    int64_t tiles = terms.tiles;
    terms.tiles = 1;
    for (; tiles > 0; tiles--) {
        terms.ahead = next;
        tile->run(rows, &terms, weight, NULL, source, sums, place, first);
        next += step;
        source += step;
        sums += step;
    }
}

/*
 * Adds the products of channels m .. m + rows - 1 and all pixels, panel after panel: so the sums
 * are written along few rows at a time, as caches like it.
 */
static void add_rows(const struct cvg_kernels *kernels, const struct cut *cut, const struct block *block, int64_t m,
                     int rows, const char *weight, const struct scratch *x)
{
    const int64_t size = (int64_t)kernels->size;
    const char *panel = x->panels;
    for (int64_t pixel = 0; pixel < block->pixels;) {
        const struct cvg_tile *tile = next_tile(kernels, block->pixels - pixel);
        const int64_t panels = (block->pixels - pixel) / tile->lanes; /* 0: what is left of the plane */
        const int there = CVG_FAST && cut->in_place && panels;
        const struct cvg_terms terms = {
            .count = block->l_count,
            .a = x->a,
            .b = there ? x->there : x->b + (tile - kernels->tile) * cut->l_count,
            .tiles = panels,
            .b_tile = there ? tile->lanes : block->l_count * tile->lanes,
            .acc_tile = tile->lanes,
            .ahead_step = block->there_step * size,
            .claims = cut->claims && panels,
        };
        const char *const source = there ? block->there + pixel * size : panel;
        /* The first rows ask for a line each. */
        const int64_t line = m / cut->rows * LINE_BYTES;
        const int asks = there && block->next && line < tile->lanes * size;
        const int64_t step = panels ? block->sums_step : tile->lanes;
        char *sums = panels ? block->sums + pixel * size : x->rest;
        for (int done = 0; done < rows; done += tile->rows) {
            const int count = (int)cvg_min(tile->rows, rows - done);
            int64_t place[CVG_TILE_ROWS];
            for (int i = 0; i < count; i++)
                place[i] = (m + done + i) * step;
            if (asks && done == 0)
                run_asking(tile, size, count, terms, weight, source, block->next + pixel * size + line, sums, place,
                           block->l == 0);
            else
                cvg_run_tiles(tile, size, count, &terms, weight + done * size, NULL, source, sums, place,
                              block->l == 0);
        }
        panel += there ? 0 : panels * block->l_count * tile->lanes * size;
        pixel += cvg_max(1, panels) * tile->lanes;
    }
}

/* Copies count pixels from pixel on of one channel, in pieces of lanes that lie to_step apart. */
static void copy_channel(const struct cvg_task *t, const struct cvg_view *source, const char *channel, int64_t pixel,
                         int64_t count, int64_t lanes, int64_t to_step, char *to)
{
    const struct cvg_shape *s = t->shape;
    const int64_t size = (int64_t)t->kernels->size;
    if (source->extent[0] * source->extent[1] * source->extent[2] == s->out_size) { /* no stride */
        t->kernels->copy(to, to_step, channel + pixel * source->step[2] * size, lanes * source->step[2],
                         source->step[2], cvg_max(1, count / lanes), cvg_min(count, lanes));
        return;
    }
    int64_t o = pixel / s->out[2] / s->out[1], p = pixel / s->out[2] % s->out[1], q = pixel % s->out[2];
    const char *ahead = channel + AHEAD * source->channel * size; /* rows in pieces come from far */
    for (int64_t lane = 0; count > 0;) {                          /* along rows of pixels, and not across panels */
        const int64_t length = cvg_min(cvg_min(s->out[2] - q, lanes - lane), count);
        const int64_t step = s->stride[2] * source->step[2];
        const int64_t from = o * s->stride[0] * source->step[0] + p * s->stride[1] * source->step[1] + q * step;
        cvg_prefetch(ahead + from * size, length * step * size);
        t->kernels->gather(to + lane * size, channel + from * size, step, length);
        count -= length;
        if ((lane += length) == lanes) {
            lane = 0;
            to += to_step * size;
        }
        if ((q += length) == s->out[2]) {
            q = 0;
            if (++p == s->out[1]) {
                p = 0;
                o++;
            }
        }
    }
}

/* Copies pixels of l_count channels, from a channel on counted through all images, to panels, one after the other. */
static void copy_panels(const struct cvg_task *t, const struct cvg_view *source, int64_t channel, int64_t l_count,
                        int64_t pixel, int64_t pixels, char *to)
{
    const struct cvg_kernels *kernels = t->kernels;
    const int64_t size = (int64_t)kernels->size;
    while (pixels > 0) {
        const int64_t lanes = next_tile(kernels, pixels)->lanes;
        const int64_t panels = cvg_max(1, pixels / lanes), count = cvg_min(panels * lanes, pixels);
        if (count < lanes)
            memset(to, 0, (size_t)(l_count * lanes * size));
        for (int64_t l = 0; l < l_count; l++) /* along the channel */
            copy_channel(t, source, cvg_view_channel(source, channel + l), pixel, count, lanes, l_count * lanes,
                         to + l * lanes * size);
        to += panels * l_count * lanes * size;
        pixel += panels * lanes;
        pixels -= panels * lanes;
    }
}

/* Lists where the weights of every l lie, and its source in the panels of each tile. */
static void list_terms(const struct cvg_kernels *kernels, const struct cut *cut, const struct scratch *x)
{
    for (int64_t l = 0; l < cut->l_count; l++) {
        x->a[l] = l * cut->rows;
        for (int i = kernels->main; i < kernels->tiles; i++)
            x->b[i * cut->l_count + l] = l * kernels->tile[i].lanes;
    }
}

/* Finds the source of channels l, from a pixel of a pair of image and group on, and of what is read after them. */
static void find_source(const struct cvg_task *t, const struct cut *cut, const struct cvg_view *source, int64_t pair,
                        int64_t pixel, struct block *block, int64_t *there)
{
    const int64_t size = (int64_t)t->kernels->size, L = cut->view.L;
    int64_t next = pixel, channel = pair * L + block->l + cut->l_count;
    if (block->l + cut->l_count >= L) {
        next = pixel + cut->pixels < t->shape->out_size ? pixel + cut->pixels : 0;
        channel = (next ? pair : pair + 1) * L;
    }
    block->there = cvg_view_channel(source, pair * L + block->l) + pixel * size;
    block->there_step = source->channel;
    block->next = channel < t->shape->N * t->shape->G * L ? cvg_view_channel(source, channel) + next * size : NULL;
    for (int64_t l = 0; l < block->l_count; l++)
        there[l] = l * source->channel;
}

/*
 * Writes whole rows of sums, from pixel on, of count channels that lie PIXELS apart, to the rows of the result that
 * they are spread to, and zeros around them.
 */
static void spread(const struct cvg_job *job, const struct cvg_view *to, int64_t n, int64_t channel, int64_t count,
                   int64_t pixel, int64_t pixels, char *sums)
{
    const struct cvg_task *t = job->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const struct cvg_finish scaled = {.scale = t->finish.scale};
    const int64_t size = (int64_t)kernels->size, *const stride = s->stride;
    char *const zeros = cvg_own_piece(job, ZEROS);
    memset(zeros, 0, (size_t)(s->in[2] * size));
    if (scaled.scale != 1)
        kernels->put_lanes(sums, PIXELS, sums, PIXELS, (int)pixels, count, &scaled);
    for (int64_t m = 0; m < count; m++, sums += PIXELS * size) {
        struct cvg_finish finish = cvg_finish_of(t, channel + m);
        finish.scale = 1;
        for (int64_t row = pixel / s->out[2]; row < (pixel + pixels) / s->out[2]; row++) {
            const int64_t o = row / s->out[1], p = row % s->out[1];
            const int64_t d_end = o + 1 < s->out[0] ? (o + 1) * stride[0] : s->in[0];
            const int64_t h_end = p + 1 < s->out[1] ? (p + 1) * stride[1] : s->in[1];
            const char *const from = sums + (row * s->out[2] - pixel) * size;
            for (int64_t d = o * stride[0]; d < d_end; d++)
                for (int64_t h = p * stride[1]; h < h_end; h++) {
                    char *const line = cvg_view_at(to, n, channel + m, d, h, 0);
                    const int values = d == o * stride[0] && h == p * stride[1];
                    if (values && stride[2] == 2) {
                        kernels->zip(line, 0, from, (zeros - from) / size, 0, 2, 1, s->in[2], &finish);
                        continue;
                    }
                    if (!finish.accumulate)
                        kernels->put_rows(line, 0, 1, zeros, 0, 1, s->in[2], &finish);
                    if (values)
                        kernels->put_rows(line, 0, stride[2], from, 0, 1, s->out[2], &finish);
                }
        }
    }
}

static void dense_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_kernels *kernels = t->kernels;
    const struct cut *cut = cvg_state(job);
    const struct cvg_gather *view = &cut->view;
    const struct cvg_view source = cvg_view_source(t, view->gradient), to = cvg_view_result(t, view->gradient);
    const int64_t size = (int64_t)kernels->size, G = t->shape->G;
    const int64_t m = index % cut->m_blocks * cut->m_count;
    const int64_t pixel = index / cut->m_blocks % cut->pixel_blocks * cut->pixels;
    const int64_t pair = index / cut->m_blocks / cut->pixel_blocks; /* of image and group */
    const int64_t pixels = cvg_min(cut->pixels, t->shape->out_size - pixel);
    const int64_t whole = pixels / cvg_narrow_tile(kernels)->lanes * cvg_narrow_tile(kernels)->lanes;
    const struct scratch x = scratch_of(job);
    struct block block = {.m_count = cvg_min(cut->m_count, view->M - m), .pixels = pixels};

    /* Sums grow in the result itself, unless they are added to what is there. */
    const int apart = t->finish.accumulate || cut->spreads;
    char *result = cvg_view_at(&to, pair / G, pair % G * view->M + m, 0, 0, 0) + pixel * size;
    char *sums = block.sums = apart ? x.block : result;
    const int64_t sums_step = block.sums_step = apart ? PIXELS : to.channel;
    list_terms(kernels, cut, &x);
    for (block.l = 0; block.l < view->L; block.l += cut->l_count) {
        block.l_count = cvg_min(cut->l_count, view->L - block.l);
        block.weight = cvg_at(t, job->base, pair % G * cut->weight_size + m * view->L + block.l * cut->rows);
        if (CVG_FAST && cut->in_place)
            find_source(t, cut, &source, pair, pixel, &block, x.there);
        const int64_t copied = CVG_FAST && cut->in_place ? whole : 0; /* from there on */
        copy_panels(t, &source, pair * view->L + block.l, block.l_count, pixel + copied, pixels - copied, x.panels);
        for (int64_t i = 0; i < block.m_count; i += cut->rows)
            add_rows(kernels, cut, &block, i, (int)cvg_min(cut->rows, block.m_count - i),
                     block.weight + i * view->L * size, &x);
    }
    if (CVG_FAST && cut->spreads) {
        const int64_t lanes = cvg_narrow_tile(kernels)->lanes;
        kernels->put_rows(sums + whole * size, PIXELS, 1, x.rest, lanes, block.m_count, pixels - whole, &cvg_plain);
        spread(job, &to, pair / G, pair % G * view->M + m, block.m_count, pixel, pixels, sums);
        return;
    }
    for (int64_t i = 0; i < block.m_count; i++, result += to.channel * size, sums += sums_step * size) {
        const struct cvg_finish finish = cvg_finish_of(t, pair % G * view->M + m + i);
        if (finish.bias || finish.scale != 1 || finish.accumulate)
            kernels->put_rows(result, 0, 1, sums, 0, 1, whole, &finish);
        kernels->put_rows(result + whole * size, 0, 1, x.rest + i * cvg_narrow_tile(kernels)->lanes * size, 0, 1,
                          pixels - whole, &finish);
    }
}

/*
 * Whether channels.c is faster, with lanes of channels m: if what it saves takes longer than turning the result.  It
 * fills up no planes and, without stride, reads small ones in place.
 */
static int turning_pays(const struct cvg_shape *s, const struct cvg_gather *view)
{
    /* In parts of a pass: copying elements of the source, filling up the plane, and turning those of the result. */
    const double copied = 9.0 / (double)view->M, turned = 16.0 / (double)view->L;
    const double filled = s->out_size % LANES ? (double)LANES / (double)s->out_size : 0;
    if (s->in_size != s->out_size)
        return !view->gradient && filled > turned;
    return view->L >= NEAR_CHANNELS && s->out_size <= MOST_PLANE &&
           s->out_size * (int64_t)cvg_type_size(s->type) % SAME_SETS && copied + filled > turned;
}

static CVG_ONCE int fits(const struct cvg_shape *s, cvg_pass pass)
{
    int dense = pass != CVG_GRAD_WEIGHT && !cvg_pairs_of(s) && cvg_one_tap(s) && s->out_size >= LEAST_PLANE;
    dense &= cvg_rows_follow(s); /* sums grow in the destination itself */
    dense &= pass == CVG_FORWARD || s->in_size == s->out_size || (CVG_FAST && s->out[2] <= PIXELS); /* whole rows */
    if (dense && !cvg_is_half(s->type)) {
        const struct cvg_gather view = cvg_gather_of(s, pass);
        dense = !turning_pays(s, &view);
    }
    return dense;
}

static CVG_ONCE double cost(const struct cvg_shape *s, cvg_pass pass)
{
    return cvg_amounts_of(s, pass).products / CVG_DENSE_SHARE;
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *w)
{
    const struct cut *cut = cvg_state_of(work);
    cvg_write(w,
              "a matrix product, for the filter is one tap: %" PRId64 " channels and %" PRId64 " pixels a job, %" PRId64
              " source channels at a time",
              cut->m_count, cut->pixels, cut->l_count);
}

static CVG_ONCE void prepare(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                             struct cvg_work *work)
{
    struct cut *cut = cvg_work_state(work, sizeof *cut);
    *cut = cut_of(s, kernels, pass, workers);
    lay_out(s, kernels, cut, work);
    cvg_work_phase(work, s->G * cvg_ceil_div(cut->view.M, cut->rows), pack_job);
    cvg_work_phase(work, cut->jobs, dense_job);
    cvg_work_describe(work, describe);
}

const struct cvg_form cvg_direct_dense = {fits, cost, prepare, NULL};
