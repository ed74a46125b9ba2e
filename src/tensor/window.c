#include "window.h"

enum {
    REGION_COLUMNS = 64, /* of a region in one row */
    MANY_PHASES = 4096,
};

/* Splits extent into equal parts of at most most. */
static int64_t even(int64_t extent, int64_t most) { return cvg_ceil_div(extent, cvg_ceil_div(extent, most)); }

struct cvg_regions cvg_regions_of(const struct cvg_shape *s, int gradient, int64_t positions)
{
    struct cvg_regions r = {.shape = s, .gradient = gradient};
    /* The columns of a pair stay together; stored, it is one that counts for two. */
    const int64_t unit = cvg_pairs_of(s) == CVG_PAIRS_SWAPPED ? 2 : 1;
    const int64_t weight = cvg_pairs_of(s) == CVG_PAIRS_ZIPPED ? 2 : 1;
    r.extent = gradient ? s->in : s->out;
    r.source_extent = gradient ? s->out : s->in;
    const int one_row = s->filter_size == 1 || (r.extent[0] == 1 && r.extent[1] == 1); /* or read like one */
    const int64_t most = cvg_max(1, (one_row ? positions : cvg_min(positions, REGION_COLUMNS)) / (unit * weight));
    r.part[2] = unit * even(r.extent[2] / unit, most);
    r.part[1] = even(r.extent[1], cvg_max(1, positions / (weight * r.part[2])));
    r.part[0] = even(r.extent[0], cvg_max(1, positions / (weight * r.part[1] * r.part[2])));
    r.images = r.most_images = 1;
    r.count = 1;
    for (int i = 0; i < 3; i++) {
        r.parts[i] = cvg_ceil_div(r.extent[i], r.part[i]);
        r.count = cvg_times(r.count, r.parts[i]);
    }
    if (r.count == 1) {
        r.most_images = cvg_max(1, positions / (weight * r.part[0] * r.part[1] * r.part[2]));
        r.images = even(cvg_max(1, s->N), r.most_images);
    }
    r.count = cvg_times(r.count, cvg_ceil_div(s->N, r.images));
    return r;
}

struct cvg_region cvg_region_at(const struct cvg_regions *regions, int64_t index)
{
    struct cvg_region r = {.positions = 1};
    for (int i = 2; i >= 0; i--) {
        r.begin[i] = index % regions->parts[i] * regions->part[i];
        r.count[i] = cvg_min(regions->part[i], regions->extent[i] - r.begin[i]);
        r.positions *= r.count[i];
        index /= regions->parts[i];
    }
    r.n = index * regions->images;
    r.images = cvg_min(regions->images, regions->shape->N - r.n);
    r.positions *= r.images;
    return r;
}

struct cvg_runs cvg_region_runs(const struct cvg_regions *regions, const struct cvg_region *region, int axis, int clip)
{
    return (struct cvg_runs){
        .shape = regions->shape,
        .axis = axis,
        .gradient = regions->gradient,
        .clip = clip,
        .begin = region->begin[axis],
        .end = region->begin[axis] + region->count[axis],
    };
}

int cvg_axis_padded(const struct cvg_regions *regions, int axis)
{
    if (regions->gradient && cvg_min(regions->shape->stride[axis], regions->extent[axis]) > MANY_PHASES)
        return 1; /* rare, and long to find out */
    const struct cvg_region all = {.count = {regions->extent[0], regions->extent[1], regions->extent[2]}};
    int64_t low, high;
    cvg_runs_extent(cvg_region_runs(regions, &all, axis, 0), &low, &high);
    return low < 0 || high > regions->source_extent[axis];
}

/* The most source elements along one axis that the destinations of one region meet. */
static int64_t window_extent(const struct cvg_regions *r, int axis)
{
    const struct cvg_shape *s = r->shape;
    if (CVG_FAST && r->places)
        return r->part[axis];
    const int64_t across = cvg_times(s->filter[axis] - 1, s->dilation[axis]);
    const int64_t part = r->part[axis] - 1;
    /* Taps that never meet the source are left out, so the others are not far off. */
    if (r->gradient)
        return cvg_min(cvg_plus(part, across) / s->stride[axis] + 1, cvg_plus(r->source_extent[axis], 2 * part));
    const int64_t far = cvg_times(part, s->stride[axis]);
    return cvg_min(cvg_plus(cvg_plus(far, across), 1), cvg_plus(r->source_extent[axis], cvg_times(2, far)));
}

int64_t cvg_most_positions(const struct cvg_regions *r)
{
    return r->most_images * r->part[0] * r->part[1] * r->part[2];
}

int64_t cvg_window_size(const struct cvg_regions *r, int64_t images)
{
    int64_t elements = images;
    for (int i = 0; i < 3; i++)
        elements = cvg_times(elements, window_extent(r, i));
    /* An odd number of cache lines, so that channels differ in their cache sets. */
    return elements > INT64_MAX - 32 ? elements : (elements + 15) / 32 * 32 + 16;
}

/* Lists count offsets, step apart. */
static void list_line(int64_t *to, int64_t first, int64_t step, int64_t count)
{
    for (int64_t q = 0; q < count; q++)
        to[q] = first + q * step;
}

#ifndef __OPTIMIZE_SIZE__
void cvg_region_places(const struct cvg_region *region, const struct cvg_view *view, int64_t *to)
{
    for (int64_t n = 0; n < region->images; n++)
        for (int64_t o = 0; o < region->count[0]; o++)
            for (int64_t p = 0; p < region->count[1]; p++, to += region->count[2])
                list_line(to, n * view->image + o * view->step[0] + p * view->step[1], view->step[2], region->count[2]);
}
#endif

struct cvg_window cvg_window_of(const struct cvg_regions *regions, const struct cvg_region *region, const int clip[3],
                                int in_place, const struct cvg_view *source)
{
    struct cvg_window w = {.channel = source->channel, .image = source->image};
    if (in_place) {
        for (int i = 0; i < 3; i++)
            w.step[i] = source->step[i];
        return w;
    }
    w.places = regions->places;
    w.channel = cvg_window_size(regions, regions->images);
    for (int i = 0; i < 3; i++) {
        int64_t high;
        cvg_runs_extent(cvg_region_runs(regions, region, i, clip[i]), &w.first[i], &high);
        w.count[i] = CVG_FAST && w.places ? region->count[i] : high - w.first[i];
    }
    if (CVG_FAST && w.places) {
        for (int i = 0; i < 3; i++)
            w.step[i] = source->step[i] * regions->shape->stride[i];
        w.image = region->positions / region->images;
        return w;
    }
    w.step[2] = 1;
    w.step[1] = w.count[2];
    w.step[0] = w.count[1] * w.step[1];
    w.image = w.count[0] * w.step[0];
    return w;
}

void cvg_window_lanes(struct cvg_window *w, int64_t channels)
{
    for (int i = 0; i < 3; i++)
        w->step[i] *= channels;
    w->image *= channels;
    w->channel = 1;
}

/* Copies what the places of an image read, of one channel. */
static void read_places(const struct cvg_window *w, const struct cvg_kernels *kernels, const char *from, char *to)
{
    const int64_t size = (int64_t)kernels->size;
    for (int64_t d = 0; d < w->count[0]; d++)
        kernels->copy(to + d * w->count[1] * w->count[2] * size, w->count[2], from + d * w->step[0] * size, w->step[1],
                      w->step[2], w->count[1], w->count[2]);
}

void cvg_window_read(struct cvg_window *w, const struct cvg_kernels *kernels, const struct cvg_region *region,
                     const struct cvg_view *source, int in_place, int64_t channel, int64_t count, char *to)
{
    w->base = in_place ? cvg_view_at(source, region->n, channel, 0, 0, 0) : to;
    if (!in_place && w->channel == 1) {
        for (int64_t n = 0; n < region->images; n++)
            cvg_read_framed_lanes(source, kernels, region->n + n, channel, (int)count, w->first, w->count,
                                  (int)w->step[2], 0, to + n * w->image * (int64_t)kernels->size);
        return;
    }
    const int64_t *const at = w->first;
    for (int64_t c = 0; !in_place && c < count; c++)
        for (int64_t n = 0; n < region->images; n++) {
            char *const there = to + (c * w->channel + n * w->image) * (int64_t)kernels->size;
            if (CVG_FAST && w->places)
                read_places(w, kernels, cvg_view_at(source, region->n + n, channel + c, at[0], at[1], at[2]), there);
            else
                cvg_read_rectangle(source, kernels, region->n + n, channel + c, at, w->count, there);
        }
}

struct cvg_classes cvg_classes_of(const struct cvg_regions *regions, const struct cvg_region *region, const int clip[3])
{
    struct cvg_classes c = {.images = region->images};
    for (int i = 0; i < 3; i++)
        c.walk[i] = cvg_region_runs(regions, region, i, clip[i]);
    cvg_run_next(&c.walk[0], &c.now.run[0]);
    cvg_run_next(&c.walk[1], &c.now.run[1]);
    return c;
}

int cvg_next_class(struct cvg_classes *c)
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

int cvg_classes_are_large(const struct cvg_regions *regions, int64_t destinations)
{
#ifdef __OPTIMIZE_SIZE__ /* the same bits, only slower */
    (void)regions, (void)destinations;
    return 1;
#else
    const struct cvg_region first = cvg_region_at(regions, 0);
    int64_t classes = 1;
    for (int axis = 0; axis < 3; axis++) {
        struct cvg_runs runs = cvg_region_runs(regions, &first, axis, 1);
        struct cvg_run run;
        int64_t count = 0;
        while (cvg_run_next(&runs, &run))
            count++;
        classes *= count;
    }
    return first.positions >= destinations * classes;
#endif
}

void cvg_class_destinations(const struct cvg_class *class, const struct cvg_window *window,
                            const struct cvg_region *region, const struct cvg_view *result, int64_t *row,
                            int64_t *place, int64_t *to)
{
    const struct cvg_run *run = class->run;
    int64_t i = class->first;
    for (int64_t n = 0; n < region->images; n++)
        for (int64_t d = 0; d < run[0].count; d++)
            for (int64_t h = 0; h < run[1].count; h++) {
                const int64_t source = n * window->image +
                                       (run[0].source + d * run[0].source_step - window->first[0]) * window->step[0] +
                                       (run[1].source + h * run[1].source_step - window->first[1]) * window->step[1] +
                                       (run[2].source - window->first[2]) * window->step[2];
                const int64_t number =
                    ((n * region->count[0] + run[0].at + d * run[0].step - region->begin[0]) * region->count[1] +
                     run[1].at + h * run[1].step - region->begin[1]) *
                        region->count[2] +
                    run[2].at - region->begin[2];
                const int64_t there = n * result->image + (run[0].at + d * run[0].step) * result->step[0] +
                                      (run[1].at + h * run[1].step) * result->step[1] + run[2].at * result->step[2];
                list_line(row + i, CVG_FAST && window->places ? number : source,
                          CVG_FAST && window->places ? run[2].step : run[2].source_step * window->step[2],
                          run[2].count);
                list_line(place + i, number, run[2].step, run[2].count);
                if (to)
                    list_line(to + i, there, run[2].step * result->step[2], run[2].count);
                i += run[2].count;
            }
}

int64_t cvg_class_terms(const struct cvg_shape *s, const struct cvg_class *class, const struct cvg_window *w,
                        int64_t channels, int64_t lanes, int pairs, int64_t *to_a, int64_t *to_b)
{
    const int64_t line = s->filter_size * lanes;
    const struct cvg_run *run = class->run;
    int64_t j = 0;
    for (int64_t a = 0; a < run[0].taps; a++)
        for (int64_t b = 0; b < run[1].taps; b++)
            for (int64_t c = 0; c < run[2].taps; c++, j++) {
                const int64_t t = run[0].tap + a * run[0].tap_step;
                const int64_t r = run[1].tap + b * run[1].tap_step;
                const int64_t q = run[2].tap + c * run[2].tap_step;
                to_a[j] = a * run[0].tap_source_step * w->step[0] + b * run[1].tap_source_step * w->step[1] +
                          c * run[2].tap_source_step * w->step[2];
                to_b[j] = ((t * s->filter[1] + r) * s->filter[2] + q) * lanes;
            }
    if (!CVG_HALVES || !pairs)
        return cvg_terms_go_on(j, channels, to_a, w->channel, to_b, line);
    const int64_t count = channels / 2 * 2 * j;         /* of whole pairs */
    for (int64_t i = j - 1; i >= 0 && count > 0; i--) { /* from the end on, where they stand already */
        const int64_t a = to_a[i], b = to_b[i];
        to_a[2 * i + 1] = a;
        to_b[2 * i + 1] = b;
        to_a[2 * i] = a + w->channel;
        to_b[2 * i] = b + line;
    }
    cvg_terms_go_on(2 * j, channels / 2, to_a, 2 * w->channel, to_b, 2 * line);
    for (int64_t i = 0; i < j && channels % 2; i++) { /* one that is left */
        to_a[count + i] = (count ? to_a[2 * i + 1] : to_a[i]) + (channels - 1) * w->channel;
        to_b[count + i] = (count ? to_b[2 * i + 1] : to_b[i]) + (channels - 1) * line;
    }
    return channels * j;
}

void cvg_tap_meets(const struct cvg_shape *s, const struct cvg_region *region, int axis, int64_t tap, int clip,
                   int64_t *first, int64_t *end)
{
    const int64_t begin = region->begin[axis];
    *first = 0;
    *end = region->count[axis];
    if (clip)
        cvg_inside(begin * s->stride[axis] - s->pad[axis] + tap * s->dilation[axis], s->stride[axis], *end, s->in[axis],
                   first, end);
    *first += begin;
    *end += begin;
}

#ifndef __OPTIMIZE_SIZE__
int cvg_taps_meet(const struct cvg_shape *s, const struct cvg_region *region)
{
    int all = 1;
    for (int i = 0; i < 3; i++) {
        int64_t first[2], end[2];
        for (int last = 0; last < 2; last++)
            cvg_tap_meets(s, region, i, last * (s->filter[i] - 1), 1, &first[last], &end[last]);
        all &= cvg_max(first[0], first[1]) < cvg_min(end[0], end[1]);
    }
    return all;
}
#endif

int64_t cvg_tap_positions(const struct cvg_shape *s, const struct cvg_region *region, const struct cvg_window *w,
                          const int clip[3], const int64_t tap[3], int64_t *input, int64_t *output)
{
    int64_t first[3], end[3], at[3], j = 0;
    for (int i = 0; i < 3; i++) {
        cvg_tap_meets(s, region, i, tap[i], clip[i], &first[i], &end[i]);
        at[i] = tap[i] * s->dilation[i] - s->pad[i] - w->first[i];
    }
    for (int64_t n = 0; n < region->images; n++)
        for (int64_t o = first[0]; o < end[0]; o++)
            for (int64_t p = first[1]; p < end[1]; p++) {
                const int64_t a = n * w->image + (o * s->stride[0] + at[0]) * w->step[0] +
                                  (p * s->stride[1] + at[1]) * w->step[1] + at[2] * w->step[2];
                const int64_t b =
                    ((n * region->count[0] + o - region->begin[0]) * region->count[1] + p - region->begin[1]) *
                        region->count[2] -
                    region->begin[2];
                for (int64_t q = first[2]; q < end[2]; q++, j++) {
                    input[j] = a + q * s->stride[2] * w->step[2];
                    output[j] = b + q;
                }
            }
    return j;
}

/* One more level, inside the others: of its own, or together with the one around it. */
static void add_level(struct cvg_walk *w, int64_t count, int64_t input, int64_t output)
{
    const int around = w->levels - 1;
    if (count == 1)
        return;
    if (w->levels > 0 && w->input[around] == count * input && w->output[around] == count * output)
        count *= w->count[--w->levels];
    w->count[w->levels] = count;
    w->input[w->levels] = input;
    w->output[w->levels++] = output;
}

int cvg_tap_walk(const struct cvg_shape *s, const struct cvg_region *region, const int64_t tap[3],
                 const struct cvg_view *in, const struct cvg_view *out, struct cvg_walk *walk, int64_t *input,
                 int64_t *output)
{
    *walk = (struct cvg_walk){.levels = 0};
    *input = *output = 0;
    add_level(walk, region->images, in->image, out->image);
    for (int i = 0; i < 3; i++) {
        int64_t first, end;
        cvg_tap_meets(s, region, i, tap[i], 1, &first, &end);
        if (first >= end)
            return 0;
        *input += (first * s->stride[i] + tap[i] * s->dilation[i] - s->pad[i]) * in->step[i];
        *output += first * out->step[i];
        add_level(walk, end - first, s->stride[i] * in->step[i], out->step[i]);
    }
    if (walk->levels == 0)
        walk->count[walk->levels++] = 1;
    return 1;
}
