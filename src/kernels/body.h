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
 *   v_zero v_load v_load_part v_store v_store_part v_splat v_fma v_mul v_add v_sub
 *   tvec, TW           the vector in which blocks are turned
 *   t_load t_store t_splat t_mul t_add t_even t_odd t_zip
 *   t_turn             transposes TW of them
 *   ROWS_1 .. ROWS_12  the most rows of a tile 1 .. 12 vectors wide, cut to CVG_TILE_ROWS: the
 *                      sums, and the smaller of rows and vectors, and one more, must fit in
 *                      the registers
 *   MAIN_VECS          the width of the best tile, SPREAD_VECS of that for rows far apart
 *   DOT_SUMS           the registers that dot() may fill with sums
 *
 * and, if it has one, NARROW, a tile of half a vector from elsewhere; then this file.
 */
#include "../broken.h"
#include "kernels.h"

#include <string.h>

/* Without the unrolling, compilers keep the accumulators in memory. */
#if defined(__clang__)
#define UNROLL_FOR _Pragma("clang loop unroll(full)") for
#define INLINE static inline __attribute__((always_inline))
#elif defined(__GNUC__)
#define UNROLL_FOR _Pragma("GCC unroll 32") for
#define INLINE static inline __attribute__((always_inline))
#else
#define UNROLL_FOR for
#define INLINE static inline
#endif
#ifdef SMALL
enum { STENCIL_ROWS = 2, STENCIL_VECS = 1, NINE_COLUMNS = 0 };
#else
enum { STENCIL_ROWS = 8, STENCIL_VECS = 3, NINE_COLUMNS = 1 };
#endif
enum { MOST_VECS = 12, NINE_ROWS = 12, EVEN_ROWS = 9 };
#define CUT(rows) ((int)(rows) < CVG_TILE_ROWS ? (int)(rows) : CVG_TILE_ROWS)

/*
 * One register tile; rows, vecs, lie and asks are constants wherever this is inlined.  lie says how
 * the rows lie in a: anyhow, as neighbours, or evenly apart.  Of the last two one address serves all,
 * which spares the registers and loads that as many pointers take.  With asks memory is asked for.
 */
enum lie { ANYHOW, NEAR, EVEN };

INLINE void tile_rows(const int rows, const int vecs, const enum lie lie, const int asks, const struct cvg_terms *terms,
                      const real *a, const int64_t *row, const real *b, real *acc, const int64_t *place, int first)
{
    const int near = lie == NEAR;
    const int64_t apart = lie == EVEN ? row[1] - row[0] : 0;
    const int64_t *const a_end = terms->a + terms->count;
    const char *ahead = terms->ahead;
    vec sum[CVG_TILE_ROWS][MOST_VECS];
    const real *at[CVG_TILE_ROWS];

    for (int64_t n = 0; n == 0 || n < terms->tiles; n++) {
        const real *b_now = b + n * terms->b_tile;
        real *const to = acc + n * terms->acc_tile;
        UNROLL_FOR (int i = 0; i < rows; i++)
            at[i] = near ? a : a + row[lie == EVEN ? 0 : i];
        UNROLL_FOR (int i = 0; i < rows; i++)
            UNROLL_FOR (int v = 0; v < vecs; v++) {
                if (first)
                    __builtin_prefetch(to + place[i] + v * VW, 1);
                sum[i][v] = first ? v_zero() : v_load(to + place[i] + v * VW);
            }
        for (int64_t block = 0; block < terms->blocks; block++) {
            /* Few registers hold addresses: what is more than they can be takes turns with the sums. */
            const int64_t *b_at = terms->b;
            for (const int64_t *a_at = terms->a; a_at < a_end; a_at++, b_at++) {
                const int64_t offset = *a_at;
                if (asks) {
                    __builtin_prefetch(ahead);
                    ahead += terms->ahead_step;
                }
                const real *const bj = b_now + *b_at, *const first_row = at[0] + offset;
                if (rows < vecs) {
                    vec aj[CVG_TILE_ROWS];
                    UNROLL_FOR (int i = 0; i < rows; i++)
                        aj[i] = v_splat(near ? first_row[i] : at[i][offset]);
                    UNROLL_FOR (int v = 0; v < vecs; v++) {
                        const vec bv = v_load(bj + v * VW);
                        UNROLL_FOR (int i = 0; i < rows; i++)
                            sum[i][v] = v_fma(aj[i], bv, sum[i][v]);
                    }
                } else {
                    vec bv[MOST_VECS];
                    UNROLL_FOR (int v = 0; v < vecs; v++)
                        bv[v] = v_load(bj + v * VW);
                    const real *even = first_row; /* moves on by three rows */
                    UNROLL_FOR (int i = 0; i < rows; i++) {
                        const vec aij = v_splat(near          ? first_row[i]
                                                : lie == EVEN ? even[i % 3 * apart]
                                                              : at[i][offset]);
                        even += lie == EVEN && i % 3 == 2 ? 3 * apart : 0;
                        UNROLL_FOR (int v = 0; v < vecs; v++)
                            sum[i][v] = v_fma(aij, bv[v], sum[i][v]);
                    }
                }
            }
            UNROLL_FOR (int i = 0; i < rows; i++)
                at[i] += terms->a_step;
            b_now += terms->b_step;
        }
        UNROLL_FOR (int i = 0; i < rows; i++)
            UNROLL_FOR (int v = 0; v < vecs; v++)
                v_store(to + place[i] + v * VW, sum[i][v]);
    }
}

/* tile_rows() for any rows; the tallest of some widths ask for memory as they go, others at once. */
INLINE void tile_any(const int rows, const int vecs, const int most, const struct cvg_terms *terms, const real *a,
                     const int64_t *row, const real *b, real *acc, const int64_t *place, int first)
{
#ifdef SMALL
    static const int64_t neighbours[CVG_TILE_ROWS] = {0, 1, 2, 3};
    (void)most;
    tile_rows(rows, vecs, ANYHOW, 0, terms, a, row ? row : neighbours, b, acc, place, first);
#else
    const int can = sizeof(vec) >= 32 && (vecs == SPREAD_VECS || vecs <= 2) && rows + 1 >= most,
              asks = can && terms->ahead;
    /* Fewer addresses find registers.  Code of its own is for what gains most: narrow tiles of float. */
    int even = vecs == 1 && sizeof(real) == sizeof(float) && rows > EVEN_ROWS && row;
    for (int i = 2; even && i < rows; i++)
        even = row[i] - row[i - 1] == row[1] - row[0];
    for (int64_t i = 0; !can && terms->ahead && i < terms->count * terms->blocks; i++)
        __builtin_prefetch(terms->ahead + i * terms->ahead_step);
    if (!row && asks)
        tile_rows(rows, vecs, NEAR, 1, terms, a, row, b, acc, place, first);
    else if (!row)
        tile_rows(rows, vecs, NEAR, 0, terms, a, row, b, acc, place, first);
    else if (even && !asks)
        tile_rows(rows, vecs, EVEN, 0, terms, a, row, b, acc, place, first);
    else if (asks)
        tile_rows(rows, vecs, ANYHOW, 1, terms, a, row, b, acc, place, first);
    else
        tile_rows(rows, vecs, ANYHOW, 0, terms, a, row, b, acc, place, first);
#endif
}

/* Chooses the code for a number of rows; vecs and most are constants, so only most cases stay. */
INLINE void tile(const int vecs, const int most, int rows, const struct cvg_terms *terms, const void *a,
                 const int64_t *row, const void *b, void *acc, const int64_t *place, int first)
{
    if (rows > most)
        CVG_BROKEN();
    /* clang-format off */
    switch (rows) {
    case 1: tile_any(1, vecs, most, terms, a, row, b, acc, place, first); break;
    case 2: if (most >= 2) tile_any(2, vecs, most, terms, a, row, b, acc, place, first); break;
    case 3: if (most >= 3) tile_any(3, vecs, most, terms, a, row, b, acc, place, first); break;
    case 4: if (most >= 4) tile_any(4, vecs, most, terms, a, row, b, acc, place, first); break;
    case 5: if (most >= 5) tile_any(5, vecs, most, terms, a, row, b, acc, place, first); break;
    case 6: if (most >= 6) tile_any(6, vecs, most, terms, a, row, b, acc, place, first); break;
    case 7: if (most >= 7) tile_any(7, vecs, most, terms, a, row, b, acc, place, first); break;
    case 8: if (most >= 8) tile_any(8, vecs, most, terms, a, row, b, acc, place, first); break;
    case 9: if (most >= 9) tile_any(9, vecs, most, terms, a, row, b, acc, place, first); break;
    case 10: if (most >= 10) tile_any(10, vecs, most, terms, a, row, b, acc, place, first); break;
    case 11: if (most >= 11) tile_any(11, vecs, most, terms, a, row, b, acc, place, first); break;
    case 12: if (most >= 12) tile_any(12, vecs, most, terms, a, row, b, acc, place, first); break;
    case 13: if (most >= 13) tile_any(13, vecs, most, terms, a, row, b, acc, place, first); break;
    case 14: if (most >= 14) tile_any(14, vecs, most, terms, a, row, b, acc, place, first); break;
    default: break;
    }
    /* clang-format on */
}

#ifdef TILE_1
#define TILE_1_LINKAGE
#else
#define TILE_1 tile_1
#define TILE_1_LINKAGE static
#endif

TILE_1_LINKAGE void TILE_1(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b,
                           void *acc, const int64_t *place, int first)
{
    tile(1, CUT(ROWS_1), rows, terms, a, row, b, acc, place, first);
}

static void tile_2(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b, void *acc,
                   const int64_t *place, int first)
{
    tile(2, CUT(ROWS_2), rows, terms, a, row, b, acc, place, first);
}

static void tile_3(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b, void *acc,
                   const int64_t *place, int first)
{
    tile(3, CUT(ROWS_3), rows, terms, a, row, b, acc, place, first);
}

static void tile_4(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b, void *acc,
                   const int64_t *place, int first)
{
    tile(4, ROWS_4, rows, terms, a, row, b, acc, place, first);
}

#ifdef SMALL
enum { WIDEST = 2 }; /* the index of the first tile: those before are left out */
#else
enum { WIDEST = 0 };

static void tile_6(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b, void *acc,
                   const int64_t *place, int first)
{
    tile(6, ROWS_6, rows, terms, a, row, b, acc, place, first);
}

static void tile_12(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b,
                    void *acc, const int64_t *place, int first)
{
    tile(12, ROWS_12, rows, terms, a, row, b, acc, place, first);
}
#endif

#include "body_dots.h"
#include "body_planes.h"
#include "body_lanes.h"
#ifdef SMALL /* its loops have no constant ends */
#undef UNROLL_FOR
#define UNROLL_FOR for
#endif
#include "body_points.h"

static double load(const void *src, int64_t index) { return ((const real *)src)[index]; }
static void store(void *dst, int64_t index, double value) { ((real *)dst)[index] = (real)value; }

const struct cvg_kernels KERNELS = {
    .isa = KERNELS_ISA,
    .type = KERNELS_TYPE,
#ifdef ROUNDS_TWICE
    .rounds_twice = 1,
#endif
    .size = sizeof(real),
    .vector = VW,
    .tile =
        {
#ifndef SMALL
            {12 * VW, ROWS_12, tile_12},
            {6 * VW, ROWS_6, tile_6},
#endif
            {4 * VW, ROWS_4, tile_4},
            {3 * VW, CUT(ROWS_3), tile_3},
            {2 * VW, CUT(ROWS_2), tile_2},
            {VW, CUT(ROWS_1), TILE_1},
#ifdef NARROW
            {VW / 2, CUT(NARROW_ROWS), NARROW},
#endif
        },
#ifdef NARROW
    .tiles = 7 - WIDEST,
#else
    .tiles = 6 - WIDEST,
#endif
    .main = (MAIN_VECS == 2 ? 4 : 2) - WIDEST, /* where MAIN_VECS stands above */
    .spread = (SPREAD_VECS == 2 ? 4 : 2) - WIDEST,
    .dot = dot,
    .dot_columns = {CVG_DOT_COLUMNS, DOT_MOST(2), DOT_MOST(3), DOT_MOST(4)},
    .fold = fold,
    .stencil = stencil,
    .zip = zip,
    .points = points,
    .gather = gather,
    .copy = copy,
    .put_rows = put_rows,
    .turn = turn,
    .unturn = unturn,
    .put_lanes = put_lanes,
    .copy_groups = copy_groups,
    .filter_lanes = filter_lanes,
    .weigh_lanes = weigh_lanes,
    .put = put,
    .sum = sum,
    .load = load,
    .store = store,
};
