/*
 * The kernels: the only code that knows element types and vectors.  They see
 * pointers, steps and counts; never shapes, threads, memory or errors.
 *
 * Every instruction set provides one struct cvg_kernels for each type, all with
 * the same bits: lanes are independent sums, and each sum runs in one order.
 * Steps and offsets count elements.  Operands do not overlap unless said.
 */
#ifndef CVG_KERNELS_H
#define CVG_KERNELS_H

#include "convgrad.h"

struct cvg_kernels {
    const char *isa;
    cvg_type type;
    size_t size;   /* bytes of one element */
    int tile_rows; /* the largest tile() has tile_rows x lanes sums */
    int lanes;

    /*
     * The microkernel: for i < rows <= tile_rows and l < lanes, j in order,
     *
     *   acc[i*ld + l] = (first ? 0 : acc[i*ld + l]) + sum over j < terms of
     *                   a[row[i] + col[j]] * b[brow[j] + l]
     *
     * A sum continued with first = 0 has the bits of one uninterrupted sum.
     */
    void (*tile)(int rows, int64_t terms, const void *a, const int64_t *row, const int64_t *col,
                 const void *b, const int64_t *brow, void *acc, int64_t ld, int first);

    /* dst[i] = src[i*step], i < count */
    void (*gather)(void *dst, const void *src, int64_t step, int64_t count);

    /* dst[i*lanes + l] = l < width ? src[l*step + i] : 0, i < count, l < lanes; width <= lanes */
    void (*turn)(void *dst, const void *src, int64_t step, int width, int64_t count);

    /*
     * dst[i*dst_step] = base[i*base_step] + (scale * src[i*src_step]), i < count,
     * each operation rounded; base NULL counts as none; base may be dst.
     */
    void (*put)(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t count,
                double scale, const void *base, int64_t base_step);

    /*
     * The sum of rows x count elements, rows apart by step: element i of a row goes to
     * partial sum i % 16, and the 16 are added pairwise at the end, on every instruction set.
     */
    double (*sum)(const void *src, int64_t rows, int64_t step, int64_t count);

    /* One element, for code that need not be fast. */
    double (*load)(const void *src, int64_t index);
    void (*store)(void *dst, int64_t index, double value);
};

extern const struct cvg_kernels cvg_kernels_portable_f32, cvg_kernels_portable_f64;

#endif
