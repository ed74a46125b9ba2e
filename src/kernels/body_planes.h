/* The kernels that filter planes; a part of body.h, which says what it needs. */

/* stencil() for few rows and vectors, of which the last has left elements; full: all of them. */
INLINE void stencil_block(const int rows, const int vecs, const int full, int64_t left, const struct cvg_terms *terms,
                          const real *weight, const real *src, int64_t src_row, real *dst, int64_t dst_row,
                          const struct finish *f)
{
    vec sum[STENCIL_ROWS][STENCIL_VECS];
    UNROLL_FOR (int i = 0; i < rows; i++)
        UNROLL_FOR (int v = 0; v < vecs; v++)
            sum[i][v] = v_zero();
    for (int64_t j = 0; j < terms->count; j++) {
        const vec w = v_splat(weight[terms->a[j]]);
        const real *s = src + terms->b[j];
        UNROLL_FOR (int i = 0; i < rows; i++, s += src_row)
            UNROLL_FOR (int v = 0; v < vecs; v++)
                sum[i][v] =
                    v_fma(w, full || v + 1 < vecs ? v_load(s + v * VW) : v_load_part(s + v * VW, left), sum[i][v]);
    }
    UNROLL_FOR (int i = 0; i < rows; i++)
        UNROLL_FOR (int v = 0; v < vecs; v++) {
            real *const d = dst + i * dst_row + v * VW;
            if (full || v + 1 < vecs)
                v_store(d, finished(sum[i][v], f->accumulate ? v_load(d) : v_zero(), f));
            else
                v_store_part(d, finished(sum[i][v], f->accumulate ? v_load_part(d, left) : v_zero(), f), left);
        }
}

/* A strip of columns, vecs vectors wide. */
INLINE void stencil_strip(const int vecs, const int full, int64_t left, int64_t rows, const struct cvg_terms *terms,
                          const real *weight, const real *src, int64_t src_row, real *dst, int64_t dst_row,
                          const struct finish *f)
{
    const int most = vecs == 1 ? STENCIL_ROWS : (STENCIL_ROWS + 1) / 2;
    for (; rows >= most; rows -= most, src += most * src_row, dst += most * dst_row)
        stencil_block(most, vecs, full, left, terms, weight, src, src_row, dst, dst_row, f);
    if (most > 4 && rows >= 4) {
        stencil_block(4, vecs, full, left, terms, weight, src, src_row, dst, dst_row, f);
        rows -= 4;
        src += 4 * src_row;
        dst += 4 * dst_row;
    }
    for (; most > 2 && rows >= 2; rows -= 2, src += 2 * src_row, dst += 2 * dst_row)
        stencil_block(2, vecs, full, left, terms, weight, src, src_row, dst, dst_row, f);
    if (rows)
        stencil_block(1, vecs, full, left, terms, weight, src, src_row, dst, dst_row, f);
}

#ifdef NINES
/*
 * Nine terms that lie in three neighbouring lines of three: each vector of a line is loaded once
 * for the three rows that it is part of, which walk along with it.
 */
INLINE void stencil_nine(const int full, int64_t left, int64_t rows, const struct cvg_terms *terms, const real *weight,
                         const real *src, int64_t src_row, real *dst, int64_t dst_row, const struct finish *f)
{
    vec w[9], sum[3];
    UNROLL_FOR (int j = 0; j < 9; j++)
        w[j] = v_splat(weight[terms->a[j]]);
    sum[1] = sum[2] = v_zero();
    for (int64_t r = -2; r < rows; r++, src += src_row) {
        /* sum[2] is row r, which has its last three terms here, sum[0] row r + 2. */
        sum[0] = v_zero();
        UNROLL_FOR (int c = 0; c < 3; c++) {
            const vec s = full ? v_load(src + terms->b[c]) : v_load_part(src + terms->b[c], left);
            UNROLL_FOR (int line = 0; line < 3; line++)
                sum[line] = v_fma(w[3 * line + c], s, sum[line]);
        }
        if (r >= 0) {
            real *const d = dst + r * dst_row;
            if (full)
                v_store(d, finished(sum[2], f->accumulate ? v_load(d) : v_zero(), f));
            else
                v_store_part(d, finished(sum[2], f->accumulate ? v_load_part(d, left) : v_zero(), f), left);
        }
        sum[2] = sum[1];
        sum[1] = sum[0];
    }
}

/* Whether terms are three lines of three, line apart. */
INLINE int are_nine(const struct cvg_terms *terms, int64_t line)
{
    int nine = terms->count == 9;
    for (int j = 3; nine && j < 9; j++)
        nine = terms->b[j] - terms->b[j - 3] == line;
    return nine;
}

/* stencil() for such terms; up: their lines lie one above the other, so the last row comes first. */
static void stencil_nines(int up, int64_t rows, int64_t count, const struct cvg_terms *terms, const real *weight,
                          const real *src, int64_t src_row, real *dst, int64_t dst_row, const struct finish *f)
{
    /* Wide rows a few at a time, so that they are written nearly in order. */
    const int64_t most = count > 2 * FOLD && rows > NINE_ROWS ? NINE_ROWS : rows;
    const int64_t src_line = up ? -src_row : src_row, dst_line = up ? -dst_row : dst_row;
    for (int64_t r = 0; r < rows; r += most) {
        const int64_t now = rows - r < most ? rows - r : most, first = up ? r + now - 1 : r;
        const real *s = src + first * src_row;
        real *d = dst + first * dst_row;
        int64_t i = 0;
        for (; i + VW <= count; i += VW)
            stencil_nine(1, 0, now, terms, weight, s + i, src_line, d + i, dst_line, f);
        if (i < count)
            stencil_nine(0, count - i, now, terms, weight, s + i, src_line, d + i, dst_line, f);
    }
}
#endif

static void stencil(int64_t rows, int64_t count, const struct cvg_terms *terms, const void *weight, const void *src,
                    int64_t src_row, void *dst, int64_t dst_row, const struct cvg_finish *finish)
{
    const struct finish f = finish_of(finish, 0);
    const real *s = src;
    real *d = dst;
#ifdef NINES
    const int nine = are_nine(terms, src_row) ? 1 : are_nine(terms, -src_row) ? -1 : 0;
    if (nine) {
        stencil_nines(nine < 0, rows, count, terms, weight, s, src_row, d, dst_row, &f);
        return;
    }
#endif
    for (; count >= STENCIL_VECS * VW; count -= STENCIL_VECS * VW, s += STENCIL_VECS * VW, d += STENCIL_VECS * VW)
        stencil_strip(STENCIL_VECS, 1, 0, rows, terms, weight, s, src_row, d, dst_row, &f);
    if (STENCIL_VECS > 2 && count > 2 * VW)
        stencil_strip(3, 0, count - 2 * VW, rows, terms, weight, s, src_row, d, dst_row, &f);
    else if (STENCIL_VECS > 1 && count > VW)
        stencil_strip(2, 0, count - VW, rows, terms, weight, s, src_row, d, dst_row, &f);
    else if (count)
        stencil_strip(1, 0, count, rows, terms, weight, s, src_row, d, dst_row, &f);
}

INLINE void zip_rows(const enum base base, real *d, int64_t dst_row, const real *s, int64_t src_step, int64_t src_row,
                     int64_t step, int64_t rows, int64_t count, const real bias)
{
    const tvec biases = t_splat(bias);
    for (int64_t r = 0; r < rows; r++, d += dst_row, s += src_row) {
        int64_t i = 0;
        for (; step == 2 && i + 2 * TW <= count; i += 2 * TW) {
            tvec both[2];
            t_zip(t_load(s + i / 2), t_load(s + src_step + i / 2), both);
            for (int h = 0; h < 2; h++) {
                real *const to = d + i + h * TW;
                t_store(to, base == BIAS ? t_add(biases, both[h]) : base == OLD ? t_add(t_load(to), both[h]) : both[h]);
            }
        }
        for (; step == 2 && i + 2 <= count; i += 2) {
            d[i] = with_base(base, d[i], s[i / 2], bias);
            d[i + 1] = with_base(base, d[i + 1], s[src_step + i / 2], bias);
        }
        for (int64_t phase = i % step; i < count; i++, phase = phase + 1 == step ? 0 : phase + 1)
            d[i] = with_base(base, d[i], s[phase * src_step + i / step], bias);
    }
}

static void zip(void *dst, int64_t dst_row, const void *src, int64_t src_step, int64_t src_row, int64_t step,
                int64_t rows, int64_t count, const struct cvg_finish *finish)
{
    const struct finish f = finish_of(finish, 0);
    BY_BASE(f.biased, f.accumulate, zip_rows(base, dst, dst_row, src, src_step, src_row, step, rows, count, f.bias));
}
