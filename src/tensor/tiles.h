/* Tiles of the microkernel, as counts of lanes ask for them. */
#ifndef CVG_TILES_H
#define CVG_TILES_H

#include "../kernels/kernels.h"
#include "sizes.h"

/* The tile nearest the processor's peak. */
static inline const struct cvg_tile *cvg_main_tile(const struct cvg_kernels *kernels)
{
    return &kernels->tile[kernels->main];
}

/* The narrowest tile: what counts of lanes are rounded up to. */
static inline const struct cvg_tile *cvg_narrow_tile(const struct cvg_kernels *kernels)
{
    return &kernels->tile[kernels->tiles - 1];
}

/* count rounded up to whole main tiles. */
static inline int64_t cvg_to_lanes(const struct cvg_kernels *kernels, int64_t count)
{
    const int64_t lanes = cvg_main_tile(kernels)->lanes;
    return cvg_times(cvg_ceil_div(count, lanes), lanes);
}

/*
 * The lanes that panels of count lanes have, at most.  A tile narrower than a vector takes as long as one that is as
 * wide, so it serves only what is left at the end.
 */
static inline int64_t cvg_panel_lanes(const struct cvg_kernels *kernels, int64_t count)
{
    const int64_t narrow = cvg_narrow_tile(kernels)->lanes;
    return count <= narrow ? narrow : cvg_times(cvg_ceil_div(count, kernels->vector), kernels->vector);
}

/* The tile for the next of so many lanes, at most as wide as the widest. */
static inline const struct cvg_tile *cvg_panel_tile(const struct cvg_kernels *kernels, int widest, int64_t lanes)
{
    const int64_t need = cvg_panel_lanes(kernels, lanes);
    const struct cvg_tile *tile = &kernels->tile[widest];
    while (tile->lanes > need)
        tile++;
    return tile;
}

/* Rows of a tile: as even as possible, so that the last is not a rest. */
static inline int64_t cvg_even_rows(int64_t count, int64_t most)
{
    return cvg_ceil_div(count, cvg_ceil_div(count, most));
}

/* Asks for the cache lines of some bytes, which need not be valid. */
static inline void cvg_prefetch(const void *from, int64_t bytes)
{
#if defined(__GNUC__)
    for (int64_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const char *)from + i);
    __asm__ volatile(""); /* or compilers find that nothing is done by who calls this, and drop it */
#else
    (void)from;
    (void)bytes;
#endif
}

#endif
