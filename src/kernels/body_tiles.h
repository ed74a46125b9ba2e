/*
 * The microkernel; a part of body.h, which says what it needs.  Also included for itself, with other
 *
 *   TILE_NAME(name)      names of its functions
 *   TILE_FMA(a, b, sum)  what is done to vectors: sums of products of elements, or of what stands in their place
 *   TILE_SPLAT(p)        a vector of the element at p
 *   FEW_TILES            only tiles of 1, 2 and 4 vectors, and one piece of code for a number of rows
 *   TILE_NARROW(p, v)    stores a vector of sums as halves, if it can
 */

/*
 * One register tile; rows, vecs, lie and asks are constants wherever this is inlined.  lie says how
 * the rows lie in a: anyhow, as neighbours, or evenly apart.  Of the last two one address serves all,
 * which spares the registers and loads that as many pointers take.  With asks memory is asked for.
 *
 * Only neighbours are repeated for other tiles here, and not in single tiles.  For others compilers would keep more in
 * memory then, and what is read there waits until the sums of the tile before are written, where the last 12 bits of
 * both addresses are alike.
 */
INLINE void TILE_NAME(tile_rows)(const int rows, const int vecs, const enum lie lie, const int asks, int64_t tiles,
                                 const struct cvg_terms *terms, const real *a, const int64_t *row, const real *b,
                                 real *acc, const int64_t *place, int first)
{
    const int near = lie == NEAR, few = rows <= FEW_ROWS && (!near || vecs == SINGLE_VECS);
    const int64_t apart = lie == EVEN ? row[1] - row[0] : 0;
    const int64_t *const a_end = terms->a + terms->count, *const b_end = terms->b + terms->count;
    const char *ahead = terms->ahead ? terms->ahead : (const char *)b;
    const int64_t ahead_step = terms->ahead ? terms->ahead_step : 0;
    vec sum[CVG_TILE_ROWS][MOST_VECS];
    const real *at[CVG_TILE_ROWS];

    UNROLL_FOR (int i = 0; i < rows; i++) {
        at[i] = near ? a : a + row[lie == EVEN ? 0 : i];
        if (few && lie == ANYHOW)
            ONE_ADDRESS(at[i]);
    }
    for (int64_t n = 0; n == 0 || n < tiles; n++) {
        const real *const b_now = b + n * terms->b_tile;
        real *to = acc + n * terms->acc_tile;
        if (CLAIMS && first && terms->claims)
            UNROLL_FOR (int i = 0; i < rows; i++)
                UNROLL_FOR (int v = 0; v < vecs; v++)
                    __builtin_prefetch(to + place[i] + v * VW, 1);
        UNROLL_FOR (int i = 0; i < rows; i++)
            UNROLL_FOR (int v = 0; v < vecs; v++)
                sum[i][v] = first ? v_zero() : v_load(to + place[i] + v * VW);
        if (few && !near) { /* of more the addresses find no registers anyhow */
            IN_MEMORY(to);
            IN_MEMORY(place);
        }
        const int64_t *a_at = terms->a, *b_at = terms->b; /* few rows are faster without them, many with them */
        for (int64_t j = -terms->count; few ? LONG_LOOP(j < 0) : a_at < a_end; j++, a_at++, b_at++) {
            const int64_t offset = few ? a_end[j] : *a_at;
            if (asks) {
                __builtin_prefetch(ahead);
                ahead += ahead_step;
            }
            const real *const bj = b_now + (few ? b_end[j] : *b_at), *const first_row = at[0] + offset;
            if (rows < vecs) {
                vec aj[CVG_TILE_ROWS];
                UNROLL_FOR (int i = 0; i < rows; i++)
                    aj[i] = TILE_SPLAT(near ? first_row + i : at[i] + offset);
                UNROLL_FOR (int v = 0; v < vecs; v++) {
                    const vec bv = v_load(bj + v * VW);
                    UNROLL_FOR (int i = 0; i < rows; i++)
                        sum[i][v] = TILE_FMA(aj[i], bv, sum[i][v]);
                }
            } else {
                vec bv[MOST_VECS];
                UNROLL_FOR (int v = 0; v < vecs; v++)
                    bv[v] = v_load(bj + v * VW);
                const real *even = first_row; /* moves on by three rows */
                UNROLL_FOR (int i = 0; i < rows; i++) {
                    const vec aij = TILE_SPLAT(near          ? first_row + i
                                               : lie == EVEN ? even + i % 3 * apart
                                                             : at[i] + offset);
                    even += lie == EVEN && i % 3 == 2 ? 3 * apart : 0;
                    UNROLL_FOR (int v = 0; v < vecs; v++)
                        sum[i][v] = TILE_FMA(aij, bv[v], sum[i][v]);
                }
            }
        }
#ifdef TILE_NARROW
        if (terms->narrows) {
            UNROLL_FOR (int i = 0; i < rows; i++)
                UNROLL_FOR (int v = 0; v < vecs; v++)
                    TILE_NARROW((uint16_t *)to + place[i] + v * VW, sum[i][v]);
            continue;
        }
#endif
        UNROLL_FOR (int i = 0; i < rows; i++) {
            real *const there = to + place[i];
            UNROLL_FOR (int v = 0; v < vecs; v++)
                v_store(there + v * VW, sum[i][v]);
        }
    }
}

#ifndef TILE_ASKS
#define TILE_ASKS
/* Asks for all at once. */
static NOINLINE void tile_asks(const struct cvg_terms *terms)
{
    const char *ahead = terms->ahead;
    for (int64_t i = 0; i < terms->count; i++, ahead += terms->ahead_step)
        __builtin_prefetch(ahead);
#ifdef __GNUC__
    __asm__ volatile(""); /* or compilers would find that nothing is done here */
#endif
}
#endif

/* tile_rows() for any rows; the tallest of some widths ask for memory as they go, others at once. */
INLINE void TILE_NAME(tile_any)(const int rows, const int vecs, const int most, const struct cvg_terms *terms,
                                const real *a, const int64_t *row, const real *b, real *acc, const int64_t *place,
                                int first)
{
    const int64_t tiles = vecs == SINGLE_VECS ? 1 : terms->tiles;
#ifdef FEW_TILES
    static const int64_t neighbours[14] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    (void)most;
    if (CVG_FAST && terms->ahead)
        tile_asks(terms);
    const int64_t *const rows_at = row ? row : neighbours;
    TILE_NAME(tile_rows)(rows, vecs, ANYHOW, 0, row ? 1 : tiles, terms, a, rows_at, b, acc, place, first);
#else
    /* Fewer addresses find registers.  Code of its own is for what gains most: narrow tiles of float. */
    const int evens = vecs <= 2 && sizeof(real) == sizeof(float) && rows > EVEN_ROWS;
    const int asks = sizeof(vec) >= 32 && rows * vecs >= ASKS;
    int even = evens && row;
    for (int i = 2; even && i < rows; i++)
        even = row[i] - row[i - 1] == row[1] - row[0];
    (void)most;
    if (!asks && terms->ahead)
        tile_asks(terms);
    if (!row)
        TILE_NAME(tile_rows)(rows, vecs, NEAR, asks, tiles, terms, a, row, b, acc, place, first);
    else if (even)
        TILE_NAME(tile_rows)(rows, vecs, EVEN, asks, 1, terms, a, row, b, acc, place, first);
    else
        TILE_NAME(tile_rows)(rows, vecs, ANYHOW, asks, 1, terms, a, row, b, acc, place, first);
#endif
}

/* Chooses the code for a number of rows; vecs and most are constants, so only most cases stay. */
INLINE void TILE_NAME(tile)(const int vecs, const int most, int rows, const struct cvg_terms *terms, const void *a,
                            const int64_t *row, const void *b, void *acc, const int64_t *place, int first)
{
    if (rows > most)
        CVG_BROKEN();
    /* clang-format off */
    switch (rows) {
    case 1: TILE_NAME(tile_any)(1, vecs, most, terms, a, row, b, acc, place, first); break;
    case 2: if (most >= 2) TILE_NAME(tile_any)(2, vecs, most, terms, a, row, b, acc, place, first); break;
    case 3: if (most >= 3) TILE_NAME(tile_any)(3, vecs, most, terms, a, row, b, acc, place, first); break;
    case 4: if (most >= 4) TILE_NAME(tile_any)(4, vecs, most, terms, a, row, b, acc, place, first); break;
    case 5: if (most >= 5) TILE_NAME(tile_any)(5, vecs, most, terms, a, row, b, acc, place, first); break;
    case 6: if (most >= 6) TILE_NAME(tile_any)(6, vecs, most, terms, a, row, b, acc, place, first); break;
    case 7: if (most >= 7) TILE_NAME(tile_any)(7, vecs, most, terms, a, row, b, acc, place, first); break;
    case 8: if (most >= 8) TILE_NAME(tile_any)(8, vecs, most, terms, a, row, b, acc, place, first); break;
    case 9: if (most >= 9) TILE_NAME(tile_any)(9, vecs, most, terms, a, row, b, acc, place, first); break;
    case 10: if (most >= 10) TILE_NAME(tile_any)(10, vecs, most, terms, a, row, b, acc, place, first); break;
    case 11: if (most >= 11) TILE_NAME(tile_any)(11, vecs, most, terms, a, row, b, acc, place, first); break;
    case 12: if (most >= 12) TILE_NAME(tile_any)(12, vecs, most, terms, a, row, b, acc, place, first); break;
    case 13: if (most >= 13) TILE_NAME(tile_any)(13, vecs, most, terms, a, row, b, acc, place, first); break;
    case 14: if (most >= 14) TILE_NAME(tile_any)(14, vecs, most, terms, a, row, b, acc, place, first); break;
    default: break;
    }
    /* clang-format on */
}

#ifdef TILE_1
#define TILE_1_LINKAGE
#else
#define TILE_1 TILE_NAME(tile_1)
#define TILE_1_LINKAGE static
#endif

TILE_1_LINKAGE void TILE_1(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b,
                           void *acc, const int64_t *place, int first)
{
    TILE_NAME(tile)(1, CUT(ROWS_1), rows, terms, a, row, b, acc, place, first);
}

static void TILE_NAME(tile_2)(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b,
                              void *acc, const int64_t *place, int first)
{
    TILE_NAME(tile)(2, CUT(ROWS_2), rows, terms, a, row, b, acc, place, first);
}

#ifndef FEW_TILES
static void TILE_NAME(tile_3)(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b,
                              void *acc, const int64_t *place, int first)
{
    TILE_NAME(tile)(3, CUT(ROWS_3), rows, terms, a, row, b, acc, place, first);
}
#endif

static void TILE_NAME(tile_4)(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b,
                              void *acc, const int64_t *place, int first)
{
    TILE_NAME(tile)(4, ROWS_4, rows, terms, a, row, b, acc, place, first);
}

#ifndef FEW_TILES
static void TILE_NAME(tile_6)(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row, const void *b,
                              void *acc, const int64_t *place, int first)
{
    TILE_NAME(tile)(6, ROWS_6, rows, terms, a, row, b, acc, place, first);
}

static void TILE_NAME(tile_12)(int rows, const struct cvg_terms *terms, const void *a, const int64_t *row,
                               const void *b, void *acc, const int64_t *place, int first)
{
    TILE_NAME(tile)(12, ROWS_12, rows, terms, a, row, b, acc, place, first);
}
#endif
