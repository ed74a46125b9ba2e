/*
 * The kernels' code, once.  A file for one instruction set and type defines
 *
 *   real         float or double
 *   KERNELS      the name of the struct cvg_kernels to define
 *   KERNELS_ISA  its instruction set, KERNELS_TYPE its cvg_type
 *
 * and vec, VW (reals in a vec), TILE_ROWS, TILE_VECS, v_zero, v_load, v_store,
 * v_splat and v_fma from a simd_*.h, and includes this file.
 */
#include "kernels.h"

#include <string.h>

/* Without the unrolling, compilers keep the accumulators in memory. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#define INLINE static inline __attribute__((always_inline))
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 32")
#define INLINE static inline __attribute__((always_inline))
#else
#define UNROLL
#define INLINE static inline
#endif

enum { LANES = TILE_VECS * VW };

/* One register tile; rows is a constant wherever this is inlined. */
INLINE void tile_rows(const int rows, int64_t terms, const real *a, const int64_t *row,
                      const int64_t *col, const real *b, const int64_t *brow, real *acc,
                      int64_t ld, int first)
{
    vec sum[TILE_ROWS][TILE_VECS];
    const real *at[TILE_ROWS];

    UNROLL for (int i = 0; i < rows; i++) {
        at[i] = a + row[i];
        UNROLL for (int v = 0; v < TILE_VECS; v++)
            sum[i][v] = first ? v_zero() : v_load(acc + i * ld + v * VW);
    }
    for (int64_t j = 0; j < terms; j++) {
        const int64_t offset = col[j];
        vec bj[TILE_VECS];
        UNROLL for (int v = 0; v < TILE_VECS; v++)
            bj[v] = v_load(b + brow[j] + v * VW);
        UNROLL for (int i = 0; i < rows; i++) {
            const vec aij = v_splat(at[i][offset]);
            UNROLL for (int v = 0; v < TILE_VECS; v++)
                sum[i][v] = v_fma(aij, bj[v], sum[i][v]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < TILE_VECS; v++)
            v_store(acc + i * ld + v * VW, sum[i][v]);
}

static void tile(int rows, int64_t terms, const void *a, const int64_t *row, const int64_t *col,
                 const void *b, const int64_t *brow, void *acc, int64_t ld, int first)
{
    switch (rows) {
    case 1: tile_rows(1, terms, a, row, col, b, brow, acc, ld, first); break;
    case 2: tile_rows(2, terms, a, row, col, b, brow, acc, ld, first); break;
    case 3: tile_rows(3, terms, a, row, col, b, brow, acc, ld, first); break;
    case 4: tile_rows(4, terms, a, row, col, b, brow, acc, ld, first); break;
#if TILE_ROWS > 4
    case 5: tile_rows(5, terms, a, row, col, b, brow, acc, ld, first); break;
    case 6: tile_rows(6, terms, a, row, col, b, brow, acc, ld, first); break;
#endif
    default: break;
    }
}

static void gather(void *dst, const void *src, int64_t step, int64_t count)
{
    real *d = dst;
    const real *s = src;
    if (step == 1)
        memcpy(d, s, (size_t)count * sizeof *d);
    else
        for (int64_t i = 0; i < count; i++)
            d[i] = s[i * step];
}

static void turn(void *dst, const void *src, int64_t step, int width, int64_t count)
{
    real *d = dst;
    const real *s = src;
    for (int l = 0; l < LANES; l++)
        for (int64_t i = 0; i < count; i++)
            d[i * LANES + l] = l < width ? s[l * step + i] : 0;
}

/* put() for steps that are constants where this is inlined. */
INLINE void put_steps(real *dst, int64_t dst_step, const real *src, int64_t src_step,
                      int64_t count, real scale, const real *base, int64_t base_step)
{
    if (base)
        for (int64_t i = 0; i < count; i++)
            dst[i * dst_step] = base[i * base_step] + scale * src[i * src_step];
    else
        for (int64_t i = 0; i < count; i++)
            dst[i * dst_step] = scale * src[i * src_step];
}

static void put(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t count,
                double scale, const void *base, int64_t base_step)
{
    if (dst_step == 1 && src_step == 1 && base_step == 1)
        put_steps(dst, 1, src, 1, count, (real)scale, base, 1);
    else if (dst_step == 1 && src_step == 1 && base_step == 0)
        put_steps(dst, 1, src, 1, count, (real)scale, base, 0);
    else
        put_steps(dst, dst_step, src, src_step, count, (real)scale, base, base_step);
}

static double sum(const void *src, int64_t rows, int64_t step, int64_t count)
{
    real partial[16] = {0};
    for (int64_t r = 0; r < rows; r++) {
        const real *s = (const real *)src + r * step;
        int64_t i = 0;
        for (; i + 16 <= count; i += 16)
            for (int l = 0; l < 16; l++)
                partial[l] += s[i + l];
        for (int l = 0; i + l < count; l++)
            partial[l] += s[i + l];
    }
    for (int width = 8; width; width /= 2)
        for (int l = 0; l < width; l++)
            partial[l] += partial[l + width];
    return partial[0];
}

static double load(const void *src, int64_t index)
{
    return ((const real *)src)[index];
}

static void store(void *dst, int64_t index, double value)
{
    ((real *)dst)[index] = (real)value;
}

const struct cvg_kernels KERNELS = {
    .isa = KERNELS_ISA,
    .type = KERNELS_TYPE,
    .size = sizeof(real),
    .tile_rows = TILE_ROWS,
    .lanes = LANES,
    .tile = tile,
    .gather = gather,
    .turn = turn,
    .put = put,
    .sum = sum,
    .load = load,
    .store = store,
};
