/* The kernel of Winograd's transforms; a part of body.h, which says what it needs. */

enum { POINTS = CVG_POINTS };

/*
 * One transform of in elements to out, where in and out are constants.  Points +a and -a lie in
 * rows (or columns) 2q+1 and 2q+2, so each pair shares the even powers of a and, but for the
 * sign, the odd ones: half the products of the matrix are enough.  Row 0 is point 0, the last
 * one infinity.
 */
INLINE vec points_sum(const int first, const int end, const real *row, const vec x[POINTS])
{
    vec sum = v_mul(v_splat(row[first]), x[first]);
    UNROLL_FOR (int j = first + 2; j < end; j += 2)
        sum = v_fma(v_splat(row[j]), x[j], sum);
    return sum;
}

/* To points, from the coefficients of a polynomial of in terms. */
INLINE void points_evaluate(const int in, const int out, const real *m, const vec x[POINTS], vec y[POINTS])
{
    y[0] = v_mul(v_splat(m[0]), x[0]);
    UNROLL_FOR (int i = 1; i + 1 < out; i += 2) {
        const vec even = points_sum(0, in, m + i * POINTS, x), odd = points_sum(1, in, m + i * POINTS, x);
        y[i] = v_add(even, odd);
        y[i + 1] = v_sub(even, odd);
    }
    y[out - 1] = v_mul(v_splat(m[(out - 1) * POINTS + in - 1]), x[in - 1]);
}

/* The transposed interpolation, in to in. */
INLINE void points_spread(const int in, const real *m, const vec x[POINTS], vec y[POINTS])
{
    y[0] = points_sum(0, in - 1, m, x);
    UNROLL_FOR (int i = 1; i + 1 < in; i += 2) {
        const vec even = points_sum(2, in - 1, m + i * POINTS, x);
        const vec odd = points_sum(1, in - 1, m + i * POINTS, x);
        y[i] = v_add(even, odd);
        y[i + 1] = v_sub(even, odd);
    }
    y[in - 1] = points_sum(1, in, m + (in - 1) * POINTS, x);
}

/* The transposed evaluation: from points to out elements. */
INLINE void points_collect(const int in, const int out, const real *m, const vec x[POINTS], vec y[POINTS])
{
    vec both[2][POINTS]; /* sums and differences of pairs */
    UNROLL_FOR (int i = 1; i + 1 < in; i += 2) {
        both[0][i] = v_add(x[i], x[i + 1]);
        both[1][i] = v_sub(x[i], x[i + 1]);
    }
    UNROLL_FOR (int j = 0; j < out; j++) {
        const real *const row = m + j * POINTS;
        y[j] = points_sum(1, in - 1, row, both[j % 2]);
        if (j == 0)
            y[j] = v_fma(v_splat(row[0]), x[0], y[j]);
        if (j == out - 1)
            y[j] = v_fma(v_splat(row[in - 1]), x[in - 1], y[j]);
    }
}

INLINE void points_walk(const int kind, const int in, const int out, const struct cvg_points *from, const real *src,
                        real *dst)
{
    /* Copies, so that no store can change them. */
    const struct cvg_points p = *from;
    real m[POINTS * POINTS];
    memcpy(m, p.matrix, sizeof m);
    for (int64_t o = 0; o < p.outer; o++, src += p.src_outer, dst += p.dst_outer) {
        const real *s = src;
        real *d = dst;
        for (int64_t i = 0; i < p.count; i++, s += p.src_item, d += p.dst_item) {
            vec x[POINTS], y[POINTS];
            UNROLL_FOR (int j = 0; j < in; j++)
                x[j] = v_load(s + j * p.src_step);
            if (kind == CVG_EVALUATE)
                points_evaluate(in, out, m, x, y);
            else if (kind == CVG_SPREAD)
                points_spread(in, m, x, y);
            else
                points_collect(in, out, m, x, y);
            UNROLL_FOR (int j = 0; j < out; j++)
                v_store(d + j * p.dst_step, y[j]);
        }
    }
}

/* clang-format off */
#define POINTS_CASE(kind, in, out) \
    case (kind) * 100 + (in) * 10 + (out): points_walk(kind, in, out, p, src, dst); break;
#define POINTS_BOTH(few, many) POINTS_CASE(CVG_EVALUATE, few, many) POINTS_CASE(CVG_COLLECT, many, few)
/* clang-format on */

static void points(const struct cvg_points *p, const void *src, void *dst)
{
#ifdef SMALL
    if (p->in > 1) {
        points_walk((int)p->kind, p->in, p->out, p, src, dst);
        return;
    }
#endif
    switch (p->kind * 100 + p->in * 10 + p->out) {
#ifndef SMALL
        /* clang-format off */
    POINTS_CASE(CVG_SPREAD, 4, 4) POINTS_CASE(CVG_SPREAD, 6, 6) POINTS_CASE(CVG_SPREAD, 8, 8)
    POINTS_BOTH(2, 4) POINTS_BOTH(3, 4)
    POINTS_BOTH(2, 6) POINTS_BOTH(3, 6) POINTS_BOTH(4, 6) POINTS_BOTH(5, 6)
    POINTS_BOTH(2, 8) POINTS_BOTH(3, 8) POINTS_BOTH(4, 8) POINTS_BOTH(5, 8) POINTS_BOTH(6, 8) POINTS_BOTH(7, 8)
        /* clang-format on */
#endif
                    default : /* 1 to 1: an axis that is not transformed */
                              for (int64_t o = 0; o < p->outer; o++) for (int64_t i = 0; i < p->count; i++)
                                  v_store((real *)dst + o * p->dst_outer + i * p->dst_item,
                                          v_load((const real *)src + o * p->src_outer + i * p->src_item));
    }
}
