#include "channels_cut.h"

#include "direct.h"

#include <string.h>

enum {
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

int64_t cvg_channels_jobs(const struct cvg_shape *s, const struct cvg_channels *cut)
{
    return cvg_times(cut->regions.count, cvg_ceil_div(s->G, cut->groups) * cvg_ceil_div(cut->view.M, cut->m_count));
}

/* Whether to copy a source of one channel: with padding, all destinations are neighbours, but not with a stride. */
static int copies(const struct cvg_shape *s, const struct cvg_gather *view)
{
    return view->L == 1 && s->filter_size > 1 && !cvg_strides(s);
}

/* Whether a window is made of halves. */
static int widened(const struct cvg_shape *s) { return cvg_is_half(s->type) && !cvg_are_pairs(s); }

/* Regions of at most so many positions, or fewer.  With stride, what destinations of one tap read is copied. */
static struct cvg_regions regions_of(const struct cvg_shape *s, const struct cvg_gather *view, int64_t positions)
{
    const int places = CVG_FAST && !view->gradient && s->layout == CVG_CHANNELS_FIRST && !widened(s) &&
                       cvg_one_tap(s) && cvg_strides(s);
    struct cvg_regions r =
        cvg_regions_of(s, view->gradient, widened(s) || places ? cvg_min(positions, WINDOW_POSITIONS) : positions);
    r.places = places;
    return r;
}

static int64_t most_channels(const struct cvg_regions *regions) { return regions->places ? PLACED_CHANNELS : CHANNELS; }

/* Whether images follow each other as positions do. */
static int goes_on(const struct cvg_shape *s)
{
    return s->in_steps.image == s->in_size * s->in_steps.axis[2] &&
           s->out_steps.image == s->out_size * s->out_steps.axis[2];
}

/*
 * The same problem with the pixels of each image in one line, which is filled in, if they lie so and each destination
 * is a sum over the channels of the pixel that lies as it does; else the problem.
 */
static const struct cvg_shape *line_of(const struct cvg_shape *s, struct cvg_shape *line)
{
    int one = cvg_one_tap(s) && s->in_size == s->out_size;
    for (int i = 0; i < 2; i++)
        one &= cvg_joins(s->in, s->in_steps.axis, i) && cvg_joins(s->out, s->out_steps.axis, i);
    if (!one)
        return s;
    *line = *s;
    for (int i = 0; i < 3; i++) {
        line->in[i] = line->out[i] = i < 2 ? 1 : s->in_size;
        line->stride[i] = 1;
    }
    return line;
}

void cvg_channels_cut(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int workers,
                      struct cvg_channels *cut)
{
    const int last = s->layout == CVG_CHANNELS_LAST; /* read in place: channels are neighbours, and borders classes */
    const int stored = cvg_are_pairs(s), widens = widened(s);
    *cut = (struct cvg_channels){.view = cvg_gather_of(s, pass),
                                 .groups = 1,
                                 .clip = {1, 1, 1},
                                 .widest = last ? kernels->spread : kernels->main};
    /* Views of what is copied know its rows. */
    const struct cvg_shape *const lines = CVG_FAST && !widens ? line_of(s, &cut->line) : s;
    cut->regions = regions_of(lines, &cut->view, POSITIONS);
    cut->m_count = cvg_min(cut->view.M, most_channels(&cut->regions));
    while (cut->m_count > LEAST_CHANNELS && !cvg_busy(cvg_channels_jobs(s, cut), workers))
        cut->m_count = cvg_max(LEAST_CHANNELS, cut->m_count / 2 / LEAST_CHANNELS * LEAST_CHANNELS);
    cut->m_blocks = cvg_ceil_div(cut->view.M, cut->m_count);
    const int64_t lanes = kernels->tile[cut->widest].lanes; /* blocks are as even as whole tiles can be */
    cut->m_count = cvg_min(cut->m_count, cvg_ceil_div(cvg_ceil_div(cut->view.M, cut->m_blocks), lanes) * lanes);
    if (!cvg_busy(cvg_channels_jobs(s, cut), workers))
        cut->regions = regions_of(lines, &cut->view, LEAST_POSITIONS);
    cut->groups = cut->m_blocks == 1 ? cvg_min(s->G, GROUPS) : 1;
    while (cut->groups > 1 && !cvg_busy(cvg_channels_jobs(s, cut), workers))
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
    if (lines != s && cut->pack_once && cut->in_place && (cut->regions.images == 1 || goes_on(s)))
        cut->even = POSITIONS;
}

void cvg_channels_lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, const struct cvg_channels *cut,
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
    if (CVG_FAST && cut->regions.shape != s)
        cvg_work_share(work, 3 * POSITIONS, sizeof(int64_t));
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
