/* Dot products in 16 partial sums: dot() and fold().  A part of body.h. */

enum { FOLD = 16, DOT_VECS = FOLD / VW }; /* partial sums of a dot product, and their vectors */

#ifdef __clang__
enum { DOT_HELD = 8 }; /* clang 14 keeps longer arrays in memory */
#else
enum { DOT_HELD = CVG_DOT_COLUMNS };
#endif

/* The columns of a block of so many rows: as many sums as fit into the registers. */
#define DOT_FIT(rows) (DOT_SUMS / DOT_VECS / (rows))
#define DOT_MOST(rows) (DOT_FIT(rows) < DOT_HELD ? DOT_FIT(rows) : DOT_HELD)

/* Adds the products of vector v of lanes, or a part of them, of which left are there, to the sums of a block. */
INLINE void dot_step(const int rows, const int columns, const int v, const int part, int64_t left, const real *a,
                     const int64_t *a_at, const real *b, const int64_t *b_at,
                     vec sum[CVG_DOT_ROWS][CVG_DOT_COLUMNS][DOT_VECS])
{
    vec held[CVG_DOT_COLUMNS];
    if (rows <= columns) { /* the fewer stay in registers */
        UNROLL_FOR (int i = 0; i < rows; i++)
            held[i] = part ? v_load_part(a + a_at[i], left) : v_load(a + a_at[i]);
        UNROLL_FOR (int j = 0; j < columns; j++) {
            const vec bv = part ? v_load_part(b + b_at[j], left) : v_load(b + b_at[j]);
            UNROLL_FOR (int i = 0; i < rows; i++)
                sum[i][j][v] = v_fma(held[i], bv, sum[i][j][v]);
        }
    } else {
        UNROLL_FOR (int j = 0; j < columns; j++)
            held[j] = part ? v_load_part(b + b_at[j], left) : v_load(b + b_at[j]);
        UNROLL_FOR (int i = 0; i < rows; i++) {
            const vec av = part ? v_load_part(a + a_at[i], left) : v_load(a + a_at[i]);
            UNROLL_FOR (int j = 0; j < columns; j++)
                sum[i][j][v] = v_fma(av, held[j], sum[i][j][v]);
        }
    }
}

/* dot() where rows and columns are constants. */
INLINE void dot_block(const int rows, const int columns, const real *a, const int64_t *a_at, int64_t a_line,
                      const real *b, const int64_t *b_at, int64_t b_line, int64_t lines, int64_t count, real *sums,
                      int64_t sums_row)
{
    vec sum[CVG_DOT_ROWS][CVG_DOT_COLUMNS][DOT_VECS];
    UNROLL_FOR (int i = 0; i < rows; i++)
        UNROLL_FOR (int j = 0; j < columns; j++)
            UNROLL_FOR (int v = 0; v < DOT_VECS; v++)
                sum[i][j][v] = v_load(sums + (i * sums_row + j) * FOLD + v * VW);
    for (int64_t r = 0; r < lines; r++, a += a_line, b += b_line) {
        int64_t t = 0;
        for (; t + FOLD <= count; t += FOLD)
            UNROLL_FOR (int v = 0; v < DOT_VECS; v++)
                dot_step(rows, columns, v, 0, VW, a + t + v * VW, a_at, b + t + v * VW, b_at, sum);
        /* All 16, whatever the vector: where nothing is left, 0 is added, which makes -0 a 0. */
        if (t < count)
            UNROLL_FOR (int v = 0; v < DOT_VECS; v++) {
                const int64_t left = count - t > v * VW ? count - t - v * VW : 0, at = left ? t + v * VW : t;
                dot_step(rows, columns, v, 1, left, a + at, a_at, b + at, b_at, sum);
            }
    }
    UNROLL_FOR (int i = 0; i < rows; i++)
        UNROLL_FOR (int j = 0; j < columns; j++)
            UNROLL_FOR (int v = 0; v < DOT_VECS; v++)
                v_store(sums + (i * sums_row + j) * FOLD + v * VW, sum[i][j][v]);
}

/* Chooses the code for a number of columns; rows is a constant. */
INLINE void dot_rows(const int rows, int columns, const real *a, const int64_t *a_at, int64_t a_line, const real *b,
                     const int64_t *b_at, int64_t b_line, int64_t lines, int64_t count, real *sums, int64_t row)
{
    const int most = DOT_MOST(rows);
    /* clang-format off */
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
    /* clang-format on */
}

#ifdef NINES
/* Adds left elements of a line of b, VW or fewer, to the lines of sums of dot_nine() that they meet, or to all. */
INLINE void dot_nine_step(const int all, const int64_t left, int64_t y, int64_t lines, const real *a, int64_t a_line,
                          const real *b, const int64_t *b_at, vec sum[3][3])
{
    vec s[3];
    UNROLL_FOR (int c = 0; c < 3; c++)
        s[c] = left < VW ? v_load_part(b + b_at[c], left) : v_load(b + b_at[c]);
    UNROLL_FOR (int r = 0; r < 3; r++)
        if (all || (y >= r && y < lines + r)) {
            const vec g = left < VW ? v_load_part(a - r * a_line, left) : v_load(a - r * a_line);
            UNROLL_FOR (int c = 0; c < 3; c++)
                sum[r][c] = v_fma(g, s[c], sum[r][c]);
        }
}

/*
 * dot() of one row and nine columns, of which column 3*r + c is column c, r lines further on: a
 * vector of b is loaded once for three of them.  Each sum still runs line by line.
 */
INLINE void dot_nine(int64_t v, const real *a, int64_t a_line, const real *b, const int64_t *b_at, int64_t b_line,
                     int64_t lines, int64_t count, real *sums)
{
    vec sum[3][3];
    UNROLL_FOR (int r = 0; r < 3; r++)
        UNROLL_FOR (int c = 0; c < 3; c++)
            sum[r][c] = v_load(sums + (3 * r + c) * FOLD + v * VW);
    for (int64_t y = 0; y < lines + 2; y++, a += a_line, b += b_line) {
        int64_t t = v * VW;
        if (y >= 2 && y < lines)
            for (; t - v * VW + FOLD <= count; t += FOLD)
                dot_nine_step(1, VW, y, lines, a + t, a_line, b + t, b_at, sum);
        else
            for (; t - v * VW + FOLD <= count; t += FOLD)
                dot_nine_step(0, VW, y, lines, a + t, a_line, b + t, b_at, sum);
        if (t - v * VW < count) { /* all 16, as in dot_block() */
            const int64_t left = count > t ? count - t : 0, at = left ? t : t - v * VW;
            dot_nine_step(0, left < VW ? left : VW, y, lines, a + at, a_line, b + at, b_at, sum);
        }
    }
    UNROLL_FOR (int r = 0; r < 3; r++)
        UNROLL_FOR (int c = 0; c < 3; c++)
            v_store(sums + (3 * r + c) * FOLD + v * VW, sum[r][c]);
}
#endif

static void dot(int rows, int columns, const void *a, const int64_t *a_at, int64_t a_line, const void *b,
                const int64_t *b_at, int64_t b_line, int64_t lines, int64_t count, void *sums, int64_t sums_row)
{
#ifdef NINES
    if (rows == 1) {
        int nine = columns == 9;
        for (int j = 3; nine && j < 9; j++)
            nine = b_at[j] - b_at[j - 3] == b_line;
        for (int64_t v = 0; nine && v < DOT_VECS; v++)
            dot_nine(v, (const real *)a + a_at[0], a_line, b, b_at, b_line, lines, count, sums);
        if (nine)
            return;
        while (columns > DOT_MOST(1)) {
            dot_rows(1, DOT_MOST(1), a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row);
            columns -= DOT_MOST(1);
            b_at += DOT_MOST(1);
            sums = (real *)sums + DOT_MOST(1) * FOLD;
        }
    }
#endif
    /* clang-format off */
    switch (rows) {
    case 1: dot_rows(1, columns, a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row); break;
    case 2: dot_rows(2, columns, a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row); break;
    case 3: dot_rows(3, columns, a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row); break;
    case 4: dot_rows(4, columns, a, a_at, a_line, b, b_at, b_line, lines, count, sums, sums_row); break;
    default: break;
    }
    /* clang-format on */
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
    int64_t i = 0;
#ifndef SMALL
    for (; i + TW <= count; i += TW) { /* TW at a time, as columns */
        tvec column[FOLD];
        UNROLL_FOR (int c = 0; c < FOLD; c += TC)
            t_load_turned(column + c, (const real *)src + i * FOLD + c, FOLD);
        UNROLL_FOR (int width = FOLD / 2; width; width /= 2)
            UNROLL_FOR (int l = 0; l < width; l++)
                column[l] = t_add(column[l], column[l + width]);
        t_store((real *)dst + i, column[0]);
    }
#endif
    for (; i < count; i++) {
        memcpy(partial, (const real *)src + i * FOLD, sizeof partial);
        ((real *)dst)[i] = fold_one(partial);
    }
}
