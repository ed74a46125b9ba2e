/*
 * The kernels' code, once.  A file for one instruction set and type defines
 *
 *   real         float or double
 *   KERNELS      the name of the struct cvg_kernels to define
 *   KERNELS_ISA  its instruction set, KERNELS_TYPE its cvg_type
 *
 * and includes a simd_*.h with
 *
 *   vec, VW            a vector, and how many reals it holds
 *   v_zero v_load v_load_part v_store v_store_part v_splat v_fma v_mul v_add
 *   tvec, TW           the vector in which blocks are turned
 *   t_load t_store t_splat t_mul t_add t_even t_zip
 *   t_turn             transposes TW of them
 *   ROWS_1 .. ROWS_12  the most rows of a tile 1 .. 12 vectors wide, cut to CVG_TILE_ROWS: the
 *                      sums, and the smaller of rows and vectors, and one more, must fit in
 *                      the registers
 *   MAIN_VECS          the width of the best tile
 *   DOT_SUMS           the registers that dot() may fill with sums
 *
 * and, if it has one, NARROW, a tile of half a vector from elsewhere; then this file.
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

enum { MOST_VECS = 12, STENCIL_ROWS = 8, STENCIL_VECS = 3 };
#define CUT(rows) ((int)(rows) < CVG_TILE_ROWS ? (int)(rows) : CVG_TILE_ROWS)

/*
 * One register tile; rows, vecs and near are constants wherever this is inlined.  With near the
 * rows are neighbours in a: one address serves them all, which spares the registers and loads
 * that as many pointers take.
 */
INLINE void tile_rows(const int rows, const int vecs, const int near, const struct cvg_terms *terms,
                      const real *a, const int64_t *row, const real *b, real *acc,
                      const int64_t *place, int first)
{
    const int64_t count = terms->count, *const a_at = terms->a, *const b_at = terms->b;
    vec sum[CVG_TILE_ROWS][MOST_VECS];
    const real *at[CVG_TILE_ROWS];
    int64_t further = 0;

    UNROLL for (int i = 0; i < rows; i++) {
        at[i] = near ? a + i : a + row[i];
        UNROLL for (int v = 0; v < vecs; v++) {
            if (first)
                __builtin_prefetch(acc + place[i] + v * VW, 1);
            sum[i][v] = first ? v_zero() : v_load(acc + place[i] + v * VW);
        }
    }
    for (int64_t block = 0; block < terms->blocks; block++) {
        for (int64_t j = 0; j < count; j++) {
            const int64_t offset = a_at[j] + further;
            const real *const bj = b + b_at[j], *const first_row = at[0] + offset;
            if (rows < vecs) {
                vec aj[CVG_TILE_ROWS];
                UNROLL for (int i = 0; i < rows; i++)
                    aj[i] = v_splat(near ? first_row[i] : at[i][offset]);
                UNROLL for (int v = 0; v < vecs; v++) {
                    const vec bv = v_load(bj + v * VW);
                    UNROLL for (int i = 0; i < rows; i++)
                        sum[i][v] = v_fma(aj[i], bv, sum[i][v]);
                }
            } else {
                vec bv[MOST_VECS];
                UNROLL for (int v = 0; v < vecs; v++)
                    bv[v] = v_load(bj + v * VW);
                UNROLL for (int i = 0; i < rows; i++) {
                    const vec aij = v_splat(near ? first_row[i] : at[i][offset]);
                    UNROLL for (int v = 0; v < vecs; v++)
                        sum[i][v] = v_fma(aij, bv[v], sum[i][v]);
                }
            }
        }
        further += terms->a_step;
        b += terms->b_step;
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < vecs; v++)
            v_store(acc + place[i] + v * VW, sum[i][v]);
}

/* tile_rows() for any rows. */
INLINE void tile_any(const int rows, const int vecs, const struct cvg_terms *terms, const real *a,
                      const int64_t *row, const real *b, real *acc, const int64_t *place,
                      int first)
{
    if (!row)
        tile_rows(rows, vecs, 1, terms, a, row, b, acc, place, first);
    else
        tile_rows(rows, vecs, 0, terms, a, row, b, acc, place, first);
}

/* Chooses the code for a number of rows; vecs and most are constants, so only most cases stay. */
INLINE void tile(const int vecs, const int most, int rows, const struct cvg_terms *terms,
                 const void *a, const int64_t *row, const void *b, void *acc, const int64_t *place,
                 int first)
{
    if (rows > most)
        return;
    switch (rows) {
    case 1: tile_any(1, vecs, terms, a, row, b, acc, place, first); break;
    case 2: if (most >= 2) tile_any(2, vecs, terms, a, row, b, acc, place, first); break;
    case 3: if (most >= 3) tile_any(3, vecs, terms, a, row, b, acc, place, first); break;
    case 4: if (most >= 4) tile_any(4, vecs, terms, a, row, b, acc, place, first); break;
    case 5: if (most >= 5) tile_any(5, vecs, terms, a, row, b, acc, place, first); break;
    case 6: if (most >= 6) tile_any(6, vecs, terms, a, row, b, acc, place, first); break;
    case 7: if (most >= 7) tile_any(7, vecs, terms, a, row, b, acc, place, first); break;
    case 8: if (most >= 8) tile_any(8, vecs, terms, a, row, b, acc, place, first); break;
    case 9: if (most >= 9) tile_any(9, vecs, terms, a, row, b, acc, place, first); break;
    case 10: if (most >= 10) tile_any(10, vecs, terms, a, row, b, acc, place, first); break;
    case 11: if (most >= 11) tile_any(11, vecs, terms, a, row, b, acc, place, first); break;
    case 12: if (most >= 12) tile_any(12, vecs, terms, a, row, b, acc, place, first); break;
    case 13: if (most >= 13) tile_any(13, vecs, terms, a, row, b, acc, place, first); break;
    case 14: if (most >= 14) tile_any(14, vecs, terms, a, row, b, acc, place, first); break;
    default: break;
    }
}

#ifdef TILE_1
#define TILE_1_LINKAGE
#else
#define TILE_1 tile_1
#define TILE_1_LINKAGE static
#endif

TILE_1_LINKAGE void TILE_1(int rows, const struct cvg_terms *terms, const void *a,
                           const int64_t *row, const void *b, void *acc, const int64_t *place,
                           int first)
{
    tile(1, CUT(ROWS_1), rows, terms, a, row, b, acc, place, first);
}

static void tile_2(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row,
                   const void *b, void *acc, const int64_t *place, int first)
{
    tile(2, CUT(ROWS_2), rows, terms, a, row, b, acc, place, first);
}

static void tile_3(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row,
                   const void *b, void *acc, const int64_t *place, int first)
{
    tile(3, CUT(ROWS_3), rows, terms, a, row, b, acc, place, first);
}

static void tile_4(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row,
                   const void *b, void *acc, const int64_t *place, int first)
{
    tile(4, ROWS_4, rows, terms, a, row, b, acc, place, first);
}

static void tile_6(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row,
                   const void *b, void *acc, const int64_t *place, int first)
{
    tile(6, ROWS_6, rows, terms, a, row, b, acc, place, first);
}

static void tile_12(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row,
                    const void *b, void *acc, const int64_t *place, int first)
{
    tile(12, ROWS_12, rows, terms, a, row, b, acc, place, first);
}

enum { FOLD = 16, DOT_VECS = FOLD / VW }; /* partial sums of a dot product, and their vectors */

/* The columns of a block of so many rows: as many sums as fit into the registers. */
#define DOT_FIT(rows) (DOT_SUMS / DOT_VECS / (rows))
#define DOT_MOST(rows) (DOT_FIT(rows) < CVG_DOT_COLUMNS ? DOT_FIT(rows) : CVG_DOT_COLUMNS)

/* Adds the products of vector v of lanes, of which left are there, to the sums of a block. */
INLINE void dot_step(const int rows, const int columns, const int v, const int64_t left,
                     const real *a, const int64_t *a_at, const real *b, const int64_t *b_at,
                     vec sum[CVG_DOT_ROWS][CVG_DOT_COLUMNS][DOT_VECS])
{
    vec held[CVG_DOT_COLUMNS];
    if (rows <= columns) { /* the fewer stay in registers */
        UNROLL for (int i = 0; i < rows; i++)
            held[i] = left < VW ? v_load_part(a + a_at[i], left) : v_load(a + a_at[i]);
        UNROLL for (int j = 0; j < columns; j++) {
            const vec bv = left < VW ? v_load_part(b + b_at[j], left) : v_load(b + b_at[j]);
            UNROLL for (int i = 0; i < rows; i++)
                sum[i][j][v] = v_fma(held[i], bv, sum[i][j][v]);
        }
    } else {
        UNROLL for (int j = 0; j < columns; j++)
            held[j] = left < VW ? v_load_part(b + b_at[j], left) : v_load(b + b_at[j]);
        UNROLL for (int i = 0; i < rows; i++) {
            const vec av = left < VW ? v_load_part(a + a_at[i], left) : v_load(a + a_at[i]);
            UNROLL for (int j = 0; j < columns; j++)
                sum[i][j][v] = v_fma(av, held[j], sum[i][j][v]);
        }
    }
}

/* dot() where rows and columns are constants. */
INLINE void dot_block(const int rows, const int columns, const real *a, const int64_t *a_at,
                      int64_t a_line, const real *b, const int64_t *b_at, int64_t b_line,
                      int64_t lines, int64_t count, real *sums, int64_t sums_row)
{
    vec sum[CVG_DOT_ROWS][CVG_DOT_COLUMNS][DOT_VECS];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++)
            UNROLL for (int v = 0; v < DOT_VECS; v++)
                sum[i][j][v] = v_load(sums + (i * sums_row + j) * FOLD + v * VW);
    for (int64_t r = 0; r < lines; r++, a += a_line, b += b_line) {
        int64_t t = 0;
        for (; t + FOLD <= count; t += FOLD)
            UNROLL for (int v = 0; v < DOT_VECS; v++)
                dot_step(rows, columns, v, VW, a + t + v * VW, a_at, b + t + v * VW, b_at, sum);
        UNROLL for (int v = 0; v < DOT_VECS; v++) {
            const int64_t left = count - t - v * VW;
            if (left >= VW)
                dot_step(rows, columns, v, VW, a + t + v * VW, a_at, b + t + v * VW, b_at, sum);
            else if (left > 0)
                dot_step(rows, columns, v, left, a + t + v * VW, a_at, b + t + v * VW, b_at, sum);
        }
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int j = 0; j < columns; j++)
            UNROLL for (int v = 0; v < DOT_VECS; v++)
                v_store(sums + (i * sums_row + j) * FOLD + v * VW, sum[i][j][v]);
}

/* Chooses the code for a number of columns; rows is a constant. */
INLINE void dot_rows(const int rows, int columns, const real *a, const int64_t *a_at,
                     int64_t a_line, const real *b, const int64_t *b_at, int64_t b_line,
                     int64_t lines, int64_t count, real *sums, int64_t row)
{
    const int most = DOT_MOST(rows);
    switch (columns) {
    case 1: if (most >= 1) dot_block(rows, 1, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    case 2: if (most >= 2) dot_block(rows, 2, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    case 3: if (most >= 3) dot_block(rows, 3, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    case 4: if (most >= 4) dot_block(rows, 4, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    case 5: if (most >= 5) dot_block(rows, 5, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    case 6: if (most >= 6) dot_block(rows, 6, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    case 7: if (most >= 7) dot_block(rows, 7, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    case 8: if (most >= 8) dot_block(rows, 8, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    case 9: if (most >= 9) dot_block(rows, 9, a, a_at, a_line, b, b_at, b_line, lines, count, sums, row); break;
    default: break;
    }
}

static void dot(int rows, int columns, const void *a, const int64_t *a_at, int64_t a_line,
                const void *b, const int64_t *b_at, int64_t b_line, int64_t lines, int64_t count,
                void *sums, int64_t sums_row)
{
    switch (rows) {
    case 1: dot_rows(1, columns, a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row); break;
    case 2: dot_rows(2, columns, a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row); break;
    case 3: dot_rows(3, columns, a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row); break;
    case 4: dot_rows(4, columns, a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row); break;
    default: break;
    }
}

/* Adds 16 partial sums pairwise; they are overwritten. */
INLINE real fold_one(real *partial)
{
    for (int width = FOLD / 2; width; width /= 2)
        for (int l = 0; l < width; l++)
            partial[l] += partial[l + width];
    return partial[0];
}

static void fold(void *dst, const void *src, int64_t count)
{
    real partial[FOLD];
    for (int64_t i = 0; i < count; i++) {
        memcpy(partial, (const real *)src + i * FOLD, sizeof partial);
        ((real *)dst)[i] = fold_one(partial);
    }
}

/* What stencil() does with finished sums. */
struct finish {
    real scale;
    const real *bias;
    int accumulate;
};

INLINE vec finished(vec sum, vec old, const struct finish *f)
{
    const vec value = v_mul(v_splat(f->scale), sum);
    return f->bias ? v_add(v_splat(*f->bias), value) : f->accumulate ? v_add(old, value) : value;
}

/* stencil() for few rows and vectors, of which the last has left elements; full: all of them. */
INLINE void stencil_block(const int rows, const int vecs, const int full, int64_t left,
                          const struct cvg_terms *terms, const real *weight, const real *src,
                          int64_t src_row, real *dst, int64_t dst_row, const struct finish *f)
{
    vec sum[STENCIL_ROWS][STENCIL_VECS];
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < vecs; v++)
            sum[i][v] = v_zero();
    for (int64_t j = 0; j < terms->count; j++) {
        const vec w = v_splat(weight[terms->a[j]]);
        const real *s = src + terms->b[j];
        UNROLL for (int i = 0; i < rows; i++, s += src_row)
            UNROLL for (int v = 0; v < vecs; v++)
                sum[i][v] = v_fma(w, full || v + 1 < vecs ? v_load(s + v * VW) : v_load_part(s + v * VW, left),
                                  sum[i][v]);
    }
    UNROLL for (int i = 0; i < rows; i++)
        UNROLL for (int v = 0; v < vecs; v++) {
            real *const d = dst + i * dst_row + v * VW;
            if (full || v + 1 < vecs)
                v_store(d, finished(sum[i][v], f->accumulate ? v_load(d) : v_zero(), f));
            else
                v_store_part(d, finished(sum[i][v], f->accumulate ? v_load_part(d, left) : v_zero(), f), left);
        }
}

/* A strip of columns, vecs vectors wide. */
INLINE void stencil_strip(const int vecs, const int full, int64_t left, int64_t rows,
                          const struct cvg_terms *terms, const real *weight, const real *src,
                          int64_t src_row, real *dst, int64_t dst_row, const struct finish *f)
{
    const int most = vecs == 1 ? STENCIL_ROWS : STENCIL_ROWS / 2;
    for (; rows >= most; rows -= most, src += most * src_row, dst += most * dst_row)
        stencil_block(most, vecs, full, left, terms, weight, src, src_row, dst, dst_row, f);
    if (rows >= 4) {
        stencil_block(4, vecs, full, left, terms, weight, src, src_row, dst, dst_row, f);
        rows -= 4;
        src += 4 * src_row;
        dst += 4 * dst_row;
    }
    for (; rows >= 2; rows -= 2, src += 2 * src_row, dst += 2 * dst_row)
        stencil_block(2, vecs, full, left, terms, weight, src, src_row, dst, dst_row, f);
    if (rows)
        stencil_block(1, vecs, full, left, terms, weight, src, src_row, dst, dst_row, f);
}

static void stencil(int64_t rows, int64_t count, const struct cvg_terms *terms, const void *weight,
                    const void *src, int64_t src_row, void *dst, int64_t dst_row, double scale,
                    const void *bias, int accumulate)
{
    const struct finish f = {(real)scale, bias, accumulate};
    const real *s = src;
    real *d = dst;
    for (; count >= 3 * VW; count -= 3 * VW, s += 3 * VW, d += 3 * VW)
        stencil_strip(3, 1, 0, rows, terms, weight, s, src_row, d, dst_row, &f);
    if (count > 2 * VW)
        stencil_strip(3, 0, count - 2 * VW, rows, terms, weight, s, src_row, d, dst_row, &f);
    else if (count > VW)
        stencil_strip(2, 0, count - VW, rows, terms, weight, s, src_row, d, dst_row, &f);
    else if (count)
        stencil_strip(1, 0, count, rows, terms, weight, s, src_row, d, dst_row, &f);
}

static void zip(void *dst, int64_t dst_row, const void *src, int64_t src_step, int64_t src_row,
                int64_t step, int64_t rows, int64_t count, int accumulate)
{
    for (int64_t r = 0; r < rows; r++) {
        real *const d = (real *)dst + r * dst_row;
        const real *const s = (const real *)src + r * src_row;
        int64_t i = 0;
        for (; step == 2 && i + 2 * TW <= count; i += 2 * TW) {
            tvec both[2];
            t_zip(t_load(s + i / 2), t_load(s + src_step + i / 2), both);
            for (int h = 0; h < 2; h++)
                t_store(d + i + h * TW, accumulate ? t_add(t_load(d + i + h * TW), both[h]) : both[h]);
        }
        for (int64_t phase = 0; phase < step; phase++)
            for (int64_t q = i / step; q * step + phase < count; q++) {
                const real value = s[phase * src_step + q];
                d[q * step + phase] = accumulate ? d[q * step + phase] + value : value;
            }
    }
}

/* gather() for a step that is a constant where this is inlined. */
INLINE void gather_step(real *dst, const real *src, int64_t step, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        dst[i] = src[i * step];
}

static void gather_2(real *dst, const real *src, int64_t count)
{
    int64_t i = 0;
    for (; i + TW < count; i += TW) /* not the last: it would read one element too many */
        t_store(dst + i, t_even(t_load(src + 2 * i), t_load(src + 2 * i + TW)));
    gather_step(dst + i, src + 2 * i, 2, count - i);
}

static void gather(void *dst, const void *src, int64_t step, int64_t count)
{
    switch (step) {
    case 1: memcpy(dst, src, (size_t)count * sizeof(real)); break;
    case 2: gather_2(dst, src, count); break;
    default: gather_step(dst, src, step, count); break;
    }
}

static void copy(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t step,
                 int64_t rows, int64_t count)
{
    real *d = dst;
    const real *s = src;
    for (int64_t r = 0; r < rows; r++, d += dst_row, s += src_row) {
        if (step != 1 || count < TW) {
            gather(d, s, step, count);
            continue;
        }
        for (int64_t i = 0; i + TW < count; i += TW)
            t_store(d + i, t_load(s + i));
        t_store(d + count - TW, t_load(s + count - TW)); /* may write some again */
    }
}

static void put_rows(void *dst, int64_t dst_row, int64_t step, const void *src, int64_t src_row,
                     int64_t rows, int64_t count, double scale, const void *bias, int accumulate)
{
    const real factor = (real)scale, base = bias ? *(const real *)bias : 0;
    const tvec factors = t_splat(factor), bases = t_splat(base);
    const real *s = src;
    real *d = dst;
    for (int64_t r = 0; r < rows; r++, d += dst_row, s += src_row) {
        int64_t i = 0;
        if (step == 1 && bias)
            for (; i + TW <= count; i += TW)
                t_store(d + i, t_add(bases, t_mul(factors, t_load(s + i))));
        else if (step == 1 && accumulate)
            for (; i + TW <= count; i += TW)
                t_store(d + i, t_add(t_load(d + i), t_mul(factors, t_load(s + i))));
        else if (step == 1)
            for (; i + TW <= count; i += TW)
                t_store(d + i, t_mul(factors, t_load(s + i)));
        for (; i < count; i++) {
            const real value = factor * s[i];
            real *const to = d + i * step;
            *to = bias ? base + value : accumulate ? *to + value : value;
        }
    }
}

/* Turns TW channels from l on for TW positions from i on. */
INLINE void turn_block(real *d, int lanes, const real *s, int64_t step, int64_t l, int64_t i)
{
    tvec block[TW];
    UNROLL for (int r = 0; r < TW; r++)
        block[r] = t_load(s + (l + r) * step + i);
    t_turn(block);
    UNROLL for (int r = 0; r < TW; r++)
        t_store(d + (i + r) * lanes + l, block[r]);
}

static void turn(void *dst, int lanes, const void *src, int64_t step, int width, int64_t count)
{
    real *d = dst;
    const real *s = src;
    if (width < TW || count < TW) {
        for (int64_t i = 0; i < count; i++)
            for (int l = 0; l < width; l++)
                d[i * lanes + l] = s[l * step + i];
    } else { /* the last blocks may turn some again */
        for (int64_t l = 0; l < width; l += TW)
            for (int64_t i = 0; i < count; i += TW)
                turn_block(d, lanes, s, step, l + TW <= width ? l : width - TW,
                           i + TW <= count ? i : count - TW);
    }
    for (int64_t i = 0; width < lanes && i < count; i++)
        for (int l = width; l < lanes; l++)
            d[i * lanes + l] = 0;
}

/* One element of unturn(). */
INLINE void unturn_one(real *d, const real *s, real scale, const real *bias, int accumulate)
{
    const real value = scale * *s;
    *d = bias ? *bias + value : accumulate ? *d + value : value;
}

static void unturn(void *dst, int64_t step, const void *src, int lanes, int width, int64_t count,
                   double scale, const void *bias, int accumulate)
{
    real *d = dst;
    const real *s = src, *base = bias;
    const tvec factor = t_splat((real)scale);
    int64_t done = 0;
    int l = 0;
    for (; l + TW <= width; l += TW)
        for (done = 0; done + TW <= count; done += TW) {
            tvec block[TW];
            UNROLL for (int i = 0; i < TW; i++)
                block[i] = t_load(s + (done + i) * lanes + l);
            t_turn(block);
            UNROLL for (int i = 0; i < TW; i++) {
                real *const to = d + (l + i) * step + done;
                tvec value = t_mul(factor, block[i]);
                if (base)
                    value = t_add(t_splat(base[l + i]), value);
                else if (accumulate)
                    value = t_add(t_load(to), value);
                t_store(to, value);
            }
        }
    for (int m = 0; m < width; m++)
        for (int64_t i = m < l ? done : 0; i < count; i++)
            unturn_one(d + m * step + i, s + i * lanes + m, (real)scale, base ? base + m : NULL,
                       accumulate);
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
    real partial[FOLD] = {0};
    for (int64_t r = 0; r < rows; r++) {
        const real *s = (const real *)src + r * step;
        int64_t i = 0;
        for (; i + FOLD <= count; i += FOLD)
            for (int l = 0; l < FOLD; l++)
                partial[l] += s[i + l];
        for (int l = 0; i + l < count; l++)
            partial[l] += s[i + l];
    }
    return fold_one(partial);
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
    .tile = {
        {12 * VW, ROWS_12, tile_12},
        {6 * VW, ROWS_6, tile_6},
        {4 * VW, ROWS_4, tile_4},
        {3 * VW, CUT(ROWS_3), tile_3},
        {2 * VW, CUT(ROWS_2), tile_2},
        {VW, CUT(ROWS_1), TILE_1},
#ifdef NARROW
        {VW / 2, CUT(NARROW_ROWS), NARROW},
#endif
    },
#ifdef NARROW
    .tiles = 7,
#else
    .tiles = 6,
#endif
    .main = MAIN_VECS == 2 ? 4 : 2, /* where MAIN_VECS stands above */
    .dot = dot,
    .dot_columns = {DOT_MOST(1), DOT_MOST(2), DOT_MOST(3), DOT_MOST(4)},
    .fold = fold,
    .stencil = stencil,
    .zip = zip,
    .gather = gather,
    .copy = copy,
    .put_rows = put_rows,
    .turn = turn,
    .unturn = unturn,
    .put = put,
    .sum = sum,
    .load = load,
    .store = store,
};
