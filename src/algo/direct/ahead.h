/*
 * What grad_weight reads next is asked for, tile by tile, or plane by plane.
 */
#ifndef CVG_AHEAD_H
#define CVG_AHEAD_H

#include "../../kernels/kernels.h"
#include "../../tensor/tiles.h"
#include "../../tensor/window.h"

/*
 * What is read next of two operands, so many bytes of each: tiles ask for it, each for its share.  Or, channels first,
 * so many bytes of each of their planes, which are step bytes apart: each tile asks for one plane, so far on that all
 * others have had their turn before the next.
 */
struct cvg_ahead {
    const char *at[2];
    int64_t left[2], each;
    int64_t planes[2], step[2];
    int64_t turn, regions; /* the number of the next tile; regions that it asks for */
};

enum { CVG_MOST_AHEAD = 96 }; /* bytes asked for with each product: no more are on their way at once */

/* Has the next tile ask. */
static inline void cvg_ask(struct cvg_ahead *ahead, struct cvg_terms *terms)
{
    const int64_t count = cvg_max(1, terms->count), all = ahead->planes[0] + ahead->planes[1];
    if (all > 0) {
        const int64_t plane = ahead->turn++ % all;
        const int i = plane >= ahead->planes[0];
        terms->ahead = ahead->at[i] + (plane - i * ahead->planes[0]) * ahead->step[i];
        terms->ahead_step = cvg_min(CVG_MOST_AHEAD, ahead->left[i] * ahead->regions / count);
        return;
    }
    const int i = ahead->left[0] <= 0;
    terms->ahead_step = ahead->each / count;
    terms->ahead = ahead->left[i] > 0 && terms->ahead_step <= CVG_MOST_AHEAD ? ahead->at[i] : NULL;
    ahead->at[i] += ahead->each;
    ahead->left[i] -= ahead->each;
}

/*
 * What a region reads of grad_output and the input, as much as so many positions do, of channels from k and c on: of
 * all at once, channels last, or of each plane.
 */
static inline struct cvg_ahead cvg_ahead_of(const struct cvg_task *t, const struct cvg_regions *regions, int64_t index,
                                            int64_t k, int64_t k_count, int64_t c, int64_t c_count)
{
    const struct cvg_shape *s = t->shape;
    const struct cvg_view gradient = cvg_view_out(t, t->grad_output), input = cvg_view_in(t, t->input);
    const struct cvg_region r = cvg_region_at(regions, index);
    struct cvg_ahead ahead = {.turn = index};
    int64_t from[3], area = r.positions;
    for (int i = 0; i < 3; i++) {
        from[i] = cvg_max(0, r.begin[i] * s->stride[i] - s->pad[i]);
        area = cvg_min(cvg_times(area, s->stride[i]), r.images * s->in_size);
    }
    ahead.at[0] = cvg_view_at(&gradient, r.n, k, r.begin[0], r.begin[1], r.begin[2]);
    ahead.at[1] = cvg_view_at(&input, r.n, c, from[0], from[1], from[2]);
    ahead.left[0] = cvg_times(r.positions * gradient.size, gradient.step[2]);
    ahead.left[1] = cvg_times(area * input.size, input.step[2]);
    if (s->layout == CVG_CHANNELS_FIRST && r.positions == s->in_size && gradient.channel == s->in_size &&
        input.channel == s->in_size) { /* planes of an image follow each other */
        ahead.left[0] *= k_count;
        ahead.left[1] *= c_count;
    } else if (s->layout == CVG_CHANNELS_FIRST) {
        ahead.planes[0] = k_count;
        ahead.planes[1] = c_count;
        ahead.step[0] = gradient.channel * gradient.size;
        ahead.step[1] = input.channel * input.size;
    }
    return ahead;
}

/* Asks at once for a rectangle of each channel from channel + begin on, before channel + end. */
static inline void cvg_ask_planes(const struct cvg_view *v, int64_t n, int64_t channel, int64_t begin, int64_t end,
                                  const int64_t at[3], const int64_t count[3])
{
    for (; begin < end; begin++)
        cvg_prefetch(cvg_view_at(v, n, channel + begin, at[0], at[1], at[2]), count[1] * count[2] * v->size);
}

#endif
