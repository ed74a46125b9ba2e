/*
 * The parts of Winograd's algorithm (points.h), for filters without stride and dilation
 * along rows and columns.  A third axis, that of planes, has no tiles: each tap along it is a
 * sub-filter (below), which sees another plane of the source.
 *
 * The destination, in grad_weight the output, is cut into tiles of m x m elements, which read
 * n x n elements of the source, n = m + r - 1.  Transforms turn those into F = n x n values of
 * as many independent matrix products, one for each pair of points, over channels or tiles:
 *
 *   V[f][tile][c]   the source       forward:     M[f][tile][k] = sum over c of V * U[f][c][k]
 *   U[f][c][k]      the weight       grad_input:  the same, with c and k exchanged
 *   M[f][tile][k]   the destination  grad_weight: U[f][c][k] = sum over tiles of V * M[f][tile][k]
 *
 * Lanes of all transforms are channels.  Tiles are counted across images: those of one *run*, a
 * few rows of tiles of one image, are transformed together; runs follow each other in groups.
 */
#ifndef CVG_WINOGRAD_H
#define CVG_WINOGRAD_H

#include "../../tensor/gather.h"
#include "../algo.h"
#include "points.h"

/* The matrices of one axis in the kernels' type, as kernels->points wants them. */
struct cvg_winograd_maps {
    struct cvg_points spread_input, evaluate_output, evaluate_weight; /* towards points */
    struct cvg_points collect_output, collect_weight;                 /* back */
    double room[5][CVG_POINTS * CVG_POINTS];
};

/* Fills maps, which must then stay where they are. */
void cvg_winograd_maps_of(const struct cvg_winograd_size *size, const struct cvg_kernels *kernels,
                          struct cvg_winograd_maps *maps);

/* Those of one transform: along rows of a tile, then along its columns. */
struct cvg_winograd_map {
    struct cvg_points rows, columns;
};

/* Elements between neighbouring items, between their rows and between their columns. */
struct cvg_winograd_steps {
    int64_t item, row, column;
};

/*
 * Transforms items, which are tiles or filters of vectors, along both axes.  between: room for what lies between, as
 * many rows as result and as many columns as are read.  Columns of the result are written in the order of its rows.
 */
void cvg_winograd_transform(const struct cvg_kernels *kernels, const struct cvg_winograd_map *map, int64_t items,
                            const struct cvg_winograd_steps *from, const void *src, const struct cvg_winograd_steps *to,
                            void *dst, void *between);

/*
 * The axis of planes: tap i of destination plane o reads source plane o - lead + i*gap.  Taps that read none for any o
 * are left out, but in grad_weight, where they have a result.
 */
struct cvg_winograd_depth {
    int64_t source, lead, gap;
    int64_t tap, taps;     /* the first that is not left out, and how many are not */
    int64_t plane, planes; /* of the destination, those that runs have: the first, and how many */
};

/* What is numbered from first on, before end. */
struct cvg_winograd_range {
    int64_t first, end;
};

/*
 * Both axes, rows and columns, and how a destination is cut into tiles and runs.
 *
 * A filter that is long for its points is split into sub-filters of r elements, the last of which
 * may have fewer: what they give are sums over as many times the channels, each with the source
 * shifted to its sub-filter; in grad_weight each is a result of its own.  So are the taps along
 * the axis of planes.
 */
struct cvg_winograd {
    struct cvg_winograd_size axis[2];
    int64_t filter[2];      /* elements of the whole filter */
    int64_t split[2], flat; /* sub-filters along each axis, of both: those of one tap along planes */
    struct cvg_winograd_depth depth;
    int64_t subs;               /* of all taps */
    int64_t points;             /* F */
    int64_t source[2], dst[2];  /* extents */
    int64_t lead[2];            /* tile 0 reads from -lead on */
    int64_t tiles[2];           /* of one image */
    int64_t segment, segments;  /* columns of tiles of one run */
    int64_t rows, row_runs;     /* rows of tiles of one run */
    int64_t group, group_tiles; /* runs of one group, and their tiles, at most */
    int64_t image_runs, runs;   /* of one image, of all */
    int64_t images;             /* where runs go plane by plane, through so many; else 0 */
};

/*
 * Into how many sub-filters of ceil(r / split) elements a filter is best split: so that a result
 * takes the fewest points.  0 if it is too long.
 */
int64_t cvg_winograd_split(int64_t n, int64_t r);

/*
 * Cuts a pass for n points: 4, 6 or 8; groups have at most about so many tiles.  The order of no
 * sum depends on that.
 */
struct cvg_winograd cvg_winograd_of(const struct cvg_shape *shape, int n, cvg_pass pass, int64_t tiles);

struct cvg_winograd_run {
    int64_t n, plane, first[2], tiles[2]; /* image; tiles along each axis */
    int64_t at;                           /* tiles of its group before it */
};

/* Where a sub-filter begins in the filter, along three axes, and its extents along rows and columns. */
struct cvg_winograd_sub {
    int64_t first[3], size[2];
};

struct cvg_winograd_sub cvg_winograd_sub_at(const struct cvg_winograd *w, int64_t sub);

/* The run of an index, in a group whose first run is given. */
struct cvg_winograd_run cvg_winograd_run_at(const struct cvg_winograd *w, int64_t first, int64_t index);

/* The tiles of the runs [first, end) of one group. */
int64_t cvg_winograd_tiles(const struct cvg_winograd *w, int64_t first, int64_t end);

/* Of all destination planes, those for which a tap, counted in the whole filter, reads a source plane. */
struct cvg_winograd_range cvg_winograd_planes_with(const struct cvg_winograd *w, int64_t tap);

/* Sub-filters that read a source plane for any of the runs [first, end): at least one. */
struct cvg_winograd_range cvg_winograd_subs_of(const struct cvg_winograd *w, int64_t first, int64_t end);

/* Counts runs anew, after a change of planes. */
void cvg_winograd_count(struct cvg_winograd *w, int64_t images);

/* Channels that are read at a time, in whole vectors: channels last, where they are neighbours, about so many. */
int64_t cvg_winograd_together(const struct cvg_shape *shape, const struct cvg_kernels *kernels, int64_t most);

/* Elements of scratch that transforms need: of a run of so many channels that are read, or a row that is written. */
int64_t cvg_winograd_scratch(const struct cvg_winograd *w, const struct cvg_kernels *kernels, int64_t read,
                             int64_t written);

/* Planes [tile][channel] of one point each, in which tiles are row elements apart: a piece of scratch. */
struct cvg_winograd_planes {
    int64_t row, plane;
};

/* For so many tiles (or other rows) of so many channels; at odd multiples of a cache line.  Takes the piece. */
struct cvg_winograd_planes cvg_winograd_planes_of(const struct cvg_winograd *w, const struct cvg_kernels *kernels,
                                                  int64_t tiles, int64_t channels, struct cvg_work *work);

/*
 * Transforms a run of width channels of a tensor, from one on, to planes from a tile and channel on, in whole vectors.
 * Of the source as a sub-filter that begins at first sees it (with its borders), by spread_input; without one (NULL) of
 * the output's gradient, by evaluate_output.
 */
void cvg_winograd_to_points(const struct cvg_winograd *w, const struct cvg_winograd_maps maps[2],
                            const struct cvg_kernels *kernels, const struct cvg_winograd_run *run, const int64_t *first,
                            const struct cvg_view *from, int64_t channel, int width,
                            const struct cvg_winograd_planes *planes, void *to, void *scratch);

/*
 * The transformed weight is made once for all jobs if it has no more bytes than this: what is read
 * from further away than the third cache costs more than to transform it again.  Sub-filters take
 * longer to transform.
 */
static inline int64_t cvg_winograd_shared_bytes(const struct cvg_winograd *w)
{
    return w->subs > 1 ? 64 << 20 : 16 << 20;
}

/* The passes, for n points: as the algorithm's prepare. */
void cvg_winograd_gather(const struct cvg_shape *shape, const struct cvg_kernels *kernels, cvg_pass pass, int n,
                         int workers, struct cvg_work *work);
void cvg_winograd_weight(const struct cvg_shape *shape, const struct cvg_kernels *kernels, int n, int workers,
                         struct cvg_work *work);

#endif
