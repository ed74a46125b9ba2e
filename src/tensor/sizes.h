/* Arithmetic of sizes: saturating where they may not fit. */
#ifndef CVG_SIZES_H
#define CVG_SIZES_H

#include <stdint.h>

static inline int64_t cvg_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t cvg_max(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t cvg_ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* a * b of non-negative sizes; INT64_MAX stands for all that does not fit. */
static inline int64_t cvg_times(int64_t a, int64_t b) { return b && a > INT64_MAX / b ? INT64_MAX : a * b; }

/* a + b of non-negative sizes; INT64_MAX stands for all that does not fit. */
static inline int64_t cvg_plus(int64_t a, int64_t b) { return a > INT64_MAX - b ? INT64_MAX : a + b; }

/* An odd multiple of line that count fits in, nearly: the first at or after the last multiple; saturating as above. */
static inline int64_t cvg_odd_lines(int64_t count, int64_t line) { return cvg_times(count / line | 1, line); }

/*
 * Along an axis element i lies at first + i*step, step > 0: those of i < count that lie in [0, extent) are [*low,
 * *end). All that a filter meets, or a window holds, is found by this.
 */
static inline void cvg_inside(int64_t first, int64_t step, int64_t count, int64_t extent, int64_t *low, int64_t *end)
{
    *low = *end = 0;
    if (first < 0) /* steps of 1 are the usual case: without divisions */
        *low = *end = cvg_min(count, step == 1 ? -first : cvg_ceil_div(-first, step));
    if (first < extent)
        *end = cvg_max(*low, cvg_min(count, step == 1 ? extent - first : (extent - 1 - first) / step + 1));
}

/* Splits a row-major index of a box into its three coordinates. */
static inline void cvg_split(int64_t index, const int64_t size[3], int64_t place[3])
{
    place[2] = index % size[2];
    place[1] = index / size[2] % size[1];
    place[0] = index / size[2] / size[1];
}

#endif
