/*
 * Regions and windows: the destination of a pass cut into regions of a few
 * hundred positions, and the part of the source that a region meets, in place or
 * copied, so that the microkernel reads it from near caches.
 */
#ifndef CVG_WINDOW_H
#define CVG_WINDOW_H

#include "box.h"

/* A destination cut into regions: some images, or a part of one; by the shape alone. */
struct cvg_regions {
    const struct cvg_shape *shape;
    int gradient;                          /* 0: the destination is the output; 1: the input, as in grad_input */
    const int64_t *extent, *source_extent; /* of one channel */
    int64_t images;                        /* of one region; */
    int64_t most_images;                   /* at any batch */
    int64_t part[3], parts[3];             /* positions of one region, and regions, along each axis */
    int64_t count;                         /* of regions */
    int places; /* windows, copied, have what each destination reads, of one tap that meets no padding; 0 unless set */
};

struct cvg_region {
    int64_t n, images;
    int64_t begin[3], count[3];
    int64_t positions;
};

/* Regions of at most about positions destinations. */
struct cvg_regions cvg_regions_of(const struct cvg_shape *shape, int gradient, int64_t positions);

struct cvg_region cvg_region_at(const struct cvg_regions *regions, int64_t index);

/* The walk over runs of one axis of a region. */
struct cvg_runs cvg_region_runs(const struct cvg_regions *regions, const struct cvg_region *region, int axis, int clip);

/* Whether some tap of some destination lies outside the source, along an axis. */
int cvg_axis_padded(const struct cvg_regions *regions, int axis);

/* Lists where the positions of a region lie in a tensor like the output, from its first image on. */
void cvg_region_places(const struct cvg_region *region, const struct cvg_view *view, int64_t *to);

/* Where a region's source lies: coordinates from first on, so many elements apart. */
struct cvg_window {
    const char *base; /* of the region's first image */
    int64_t first[3], count[3];
    int64_t image, channel, step[3]; /* of places: of the source, from place to place */
    int places;
};

/* The elements of one channel, at most, in a copied window of any region of so many images. */
int64_t cvg_window_size(const struct cvg_regions *regions, int64_t images);

/* The positions of a region, at most, at any batch. */
int64_t cvg_most_positions(const struct cvg_regions *regions);

/*
 * The window of a region, its base yet unset.  An axis that is not clipped has its padding, too.
 * In place it has the steps of the source.
 */
struct cvg_window cvg_window_of(const struct cvg_regions *regions, const struct cvg_region *region, const int clip[3],
                                int in_place, const struct cvg_view *source);

/* Makes a window that is copied one of so many channels that are neighbours, as they are in the source. */
void cvg_window_lanes(struct cvg_window *window, int64_t channels);

/* Reads count channels of the source, from one on: in place, or copied to where the window says, with zeros around. */
void cvg_window_read(struct cvg_window *window, const struct cvg_kernels *kernels, const struct cvg_region *region,
                     const struct cvg_view *source, int in_place, int64_t channel, int64_t count, char *to);

/* ---- classes: destinations of a region that sum the same taps ---- */

struct cvg_class {
    struct cvg_run run[3];
    int64_t first, count; /* its destinations, where those of all classes are numbered */
};

struct cvg_classes {
    struct cvg_runs walk[3];
    int64_t images;
    struct cvg_class now;
};

/* Border destinations of an axis that is clipped have classes of their own. */
struct cvg_classes cvg_classes_of(const struct cvg_regions *regions, const struct cvg_region *region,
                                  const int clip[3]);

/* Moves on to the next class, the first of which is now; 0 after the last. */
int cvg_next_class(struct cvg_classes *classes);

/* Whether they have as many destinations on average, in the first region, if borders of all axes have their own. */
int cvg_classes_are_large(const struct cvg_regions *regions, int64_t destinations);

/*
 * Lists for each destination of a class, from its number on: where it reads, at its first tap, its number in the
 * region, and, if to is not NULL, where it lies in the result, from the region's first image on.
 */
void cvg_class_destinations(const struct cvg_class *class, const struct cvg_window *window,
                            const struct cvg_region *region, const struct cvg_view *result, int64_t *row,
                            int64_t *place, int64_t *to);

/*
 * Lists the terms of a class, of channels one after the other (or, in pairs, of two by two, the second first): a, where
 * they lie in the window from a destination's first one on, and b, where in packed weights [channel][tap][lane].
 * Returns how many there are.
 */
int64_t cvg_class_terms(const struct cvg_shape *shape, const struct cvg_class *class, const struct cvg_window *window,
                        int64_t channels, int64_t lanes, int pairs, int64_t *a, int64_t *b);

/* ---- grad_weight: destinations are output positions, and one tap at a time meets the input ---- */

/*
 * The positions [*first, *end) of a region along one axis at which a tap meets the input; all
 * of them without clip.
 */
void cvg_tap_meets(const struct cvg_shape *shape, const struct cvg_region *region, int axis, int64_t tap, int clip,
                   int64_t *first, int64_t *end);

/* Whether all taps meet the input in a region: the outermost of each axis do so at one place. */
int cvg_taps_meet(const struct cvg_shape *shape, const struct cvg_region *region);

/*
 * Lists the positions of a region at which a tap meets the input: where that lies in the window,
 * and the number of the position in the region.  Returns how many there are.
 */
int64_t cvg_tap_positions(const struct cvg_shape *shape, const struct cvg_region *region,
                          const struct cvg_window *window, const int clip[3], const int64_t tap[3], int64_t *input,
                          int64_t *output);

/* The same in place: from the first pair on, counts and steps, outermost first; levels that go on evenly are one. */
enum { CVG_LEVELS = 4 };
struct cvg_walk {
    int levels;
    int64_t count[CVG_LEVELS], input[CVG_LEVELS], output[CVG_LEVELS];
};

/*
 * How a region and a tap meet, and where in their first images (*input and *output) they first do.  Returns whether
 * they do at all.
 */
int cvg_tap_walk(const struct cvg_shape *shape, const struct cvg_region *region, const int64_t tap[3],
                 const struct cvg_view *in, const struct cvg_view *out, struct cvg_walk *walk, int64_t *input,
                 int64_t *output);

#endif
