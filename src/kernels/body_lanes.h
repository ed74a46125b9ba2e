/* The kernels of filters of one channel each, channels last; a part of body.h, which says what it needs. */

#ifdef SMALL
enum { LANE_RESULTS = 2, LANE_REST = 2, LANE_TAPS = 3, LANE_WEIGHED = 4 };
#else
enum { LANE_RESULTS = 8, LANE_REST = 4, LANE_TAPS = 9, LANE_WEIGHED = 14 };
#endif
enum {
    LANE_CHANNELS = 128, /* that go through all rows before the next */
    LANE_NEAR = 64,      /* elements between neighbours that lie in a near cache: as many positions at a time */
};

static void copy_groups(void *dst, int64_t lanes, const void *src, int64_t src_step, int64_t count, int64_t first,
                        int64_t width, int64_t m, int64_t copies)
{
    for (int64_t l = 0; l < width; l += VW) {
        const int left = (int)(width - l < VW ? width - l : VW);
        const int64_t group = (first + l) / m;
        const real *const s = (const real *)src + group * copies;
        int64_t at[VW] = {0};
        for (int i = 0; i < left; i++)
            at[i] = ((first + l + i) / m - group) * copies;
        for (int64_t copy = 0; copy < copies; copy++) {
            real *d = (real *)dst + copy * lanes + l;
#ifdef V_PICK
            const int64_t span = at[left - 1] + copies;
            if (span <= VW) {
                const vindex index = v_index(at, copy);
                for (int64_t i = 0; i < count; i++, d += copies * lanes)
                    v_store(d, v_pick(v_load_part(s + i * src_step, span), index));
                continue;
            }
#endif
            for (int64_t i = 0; i < count; i++, d += copies * lanes)
                for (int j = 0; j < left; j++)
                    d[j] = s[i * src_step + at[j] + copy];
        }
    }
}

INLINE vec lanes_load(const real *p, const int64_t left) { return left < VW ? v_load_part(p, left) : v_load(p); }

INLINE void lanes_store(real *p, vec v, const int64_t left)
{
    if (left < VW)
        v_store_part(p, v, left);
    else
        v_store(p, v);
}

/* Writes what becomes of the sums of results neighbours; results is a constant. */
INLINE void finish_lanes(const int results, const int64_t left, vec *sum, real *dst, int64_t dst_step, const real *bias,
                         const struct finish *f)
{
    const vec scale = v_splat(f->scale);
    UNROLL_FOR (int i = 0; i < results; i++)
        sum[i] = v_mul(scale, sum[i]);
    if (f->biased || f->accumulate)
        UNROLL_FOR (int i = 0; i < results; i++)
            sum[i] = v_add(lanes_load(f->biased ? bias : dst + i * dst_step, left), sum[i]);
    UNROLL_FOR (int i = 0; i < results; i++)
        lanes_store(dst + i * dst_step, sum[i], left);
}

/* results neighbours of a vector of channels, of which left exist; results is a constant. */
INLINE void filter_block(const int results, const int64_t left, const struct cvg_terms *terms, const real *weight,
                         const real *src, int64_t src_step, real *dst, int64_t dst_step, const real *bias,
                         const struct finish *f)
{
    vec sum[LANE_RESULTS];
    UNROLL_FOR (int i = 0; i < results; i++)
        sum[i] = v_zero();
    for (int64_t j = 0; j < terms->count; j++) {
        const vec w = lanes_load(weight + terms->b[j], left);
        const real *s = src + terms->a[j];
        ONE_ADDRESS(s);
        UNROLL_FOR (int i = 0; i < results; i++)
            sum[i] = v_fma(w, lanes_load(s + i * src_step, left), sum[i]);
    }
    finish_lanes(results, left, sum, dst, dst_step, bias, f);
}

/* count neighbours of what is left of the channels. */
static void filter_rest(int64_t count, int64_t left, const struct cvg_terms *terms, const real *weight, const real *s,
                        int64_t src_step, real *d, int64_t dst_step, const real *bias, const struct finish *f)
{
    const int three = LANE_REST > 3 && sizeof(real) == sizeof(float);
    for (int64_t now; count > 0; count -= now, s += now * src_step, d += now * dst_step) {
        now = count >= LANE_REST && (!three || count != 6) ? LANE_REST : three && count >= 3 ? 3 : 1; /* nearly even */
        if (now == LANE_REST)
            filter_block(LANE_REST, left, terms, weight, s, src_step, d, dst_step, bias, f);
        else if (three && now == 3)
            filter_block(3, left, terms, weight, s, src_step, d, dst_step, bias, f);
        else
            filter_block(1, left, terms, weight, s, src_step, d, dst_step, bias, f);
    }
}

#ifndef SMALL
/* results neighbours, all channels. */
INLINE void filter_results(const int results, int64_t width, const struct cvg_terms *terms, const real *weight,
                           const real *src, int64_t src_step, real *dst, int64_t dst_step, const real *bias,
                           const struct finish *f)
{
    int64_t l = 0;
    for (; l + VW <= width; l += VW)
        filter_block(results, VW, terms, weight + l, src + l, src_step, dst + l, dst_step, bias + l, f);
#ifdef NARROW_KERNELS
    if (width - l == NARROW_KERNELS.vector) {
        const struct cvg_finish finish = {
            .scale = f->scale, .bias = f->biased ? bias + l : NULL, .accumulate = f->accumulate};
        NARROW_KERNELS.filter_lanes(1, results, width - l, terms, weight + l, src + l, 0, src_step, dst + l, 0,
                                    dst_step, &finish);
        return;
    }
#endif
    if (l < width)
        filter_rest(results, width - l, terms, weight + l, src + l, src_step, dst + l, dst_step, bias + l, f);
}

/* count as even shares of at most so many: one of them. */
INLINE int64_t even_share(int64_t count, int64_t most)
{
    const int64_t shares = (count + most - 1) / most;
    return (count + shares - 1) / shares;
}
#endif

/* A row of some channels. */
INLINE void filter_row(int64_t count, int64_t width, const struct cvg_terms *terms, const real *w, const real *s,
                       int64_t src_step, real *d, int64_t dst_step, const real *bias, const struct finish *f)
{
#ifdef SMALL
    for (int64_t l = 0; l < width; l += VW)
        filter_rest(count, width - l, terms, w + l, s + l, src_step, d + l, dst_step, bias + l, f);
#else
    const int64_t even = even_share(count, LANE_RESULTS); /* one or two sums would wait for themselves */
    for (int64_t i = 0, results; i < count; i += results, s += results * src_step, d += results * dst_step) {
        results = count - i < even ? count - i : even;
        switch (results) {
#define FILTER(n)                                                              \
    case n:                                                                    \
        filter_results(n, width, terms, w, s, src_step, d, dst_step, bias, f); \
        break
            FILTER(1);
            FILTER(2);
            FILTER(3);
            FILTER(4);
            FILTER(5);
            FILTER(6);
            FILTER(7);
            FILTER(8);
#undef FILTER
        }
    }
#endif
}

static void filter_lanes(int64_t rows, int64_t count, int64_t width, const struct cvg_terms *terms, const void *weight,
                         const void *src, int64_t src_row, int64_t src_step, void *dst, int64_t dst_row,
                         int64_t dst_step, const struct cvg_finish *finish)
{
    const struct finish f = finish_of(finish, 0);
    const real *const bias = finish->bias ? finish->bias : weight; /* which is not looked at */
    /* Few channels of all rows at a time: most of what a row reads the one before has read. */
    for (int64_t l = 0; l < width; l += LANE_CHANNELS) {
        const int64_t channels = width - l < LANE_CHANNELS ? width - l : LANE_CHANNELS;
        for (int64_t r = 0; r < rows; r++)
            filter_row(count, channels, terms, (const real *)weight + l, (const real *)src + r * src_row + l, src_step,
                       (real *)dst + r * dst_row + l, dst_step, bias + l, &f);
    }
}

/* Rows of neighbours of both operands: elements between neighbours, and from the end of a row to the next. */
struct weighed {
    int64_t rows, count, src_step, src_gap, gradient_step, gradient_gap;
};

/* A vector of channels, of which left exist, and so many taps; taps is a constant. */
INLINE void weigh_block(const int taps, const int64_t left, const struct weighed *w, const int64_t *at,
                        const int64_t *to, const real *s, const real *g, real *sums)
{
    vec sum[LANE_TAPS];
    UNROLL_FOR (int t = 0; t < taps; t++)
        sum[t] = lanes_load(sums + to[t], left);
    for (int64_t r = 0; r < w->rows; r++, g += w->gradient_gap, s += w->src_gap)
        for (int64_t i = 0; i < w->count; i++, g += w->gradient_step, s += w->src_step) {
            const vec gv = lanes_load(g, left);
            UNROLL_FOR (int t = 0; t < taps; t++)
                sum[t] = v_fma(gv, lanes_load(s + at[t], left), sum[t]);
        }
    ONE_ADDRESS(to); /* the places are read again, not kept */
    UNROLL_FOR (int t = 0; t < taps; t++)
        lanes_store(sums + to[t], sum[t], left);
}

/* Taps to do next: one or two sums wait for themselves. */
INLINE int weigh_next(int64_t taps, int full)
{
    if (full && LANE_TAPS == 9)
        return taps >= 9 && taps != 10 ? 9 : taps >= 6 && taps != 7 ? 6 : taps >= 4 ? 4 : taps >= 3 ? 3 : 1;
    return taps >= 3 ? 3 : 1;
}

/* All of their channels. */
static void weigh_piece(const struct weighed *w, int64_t width, int64_t taps, const int64_t *at, const int64_t *to,
                        const real *src, const real *gradient, real *sums)
{
    for (int64_t l = 0; l < width; l += VW, src += VW, gradient += VW, sums += VW) {
        const int64_t left = width - l;
        for (int64_t t = 0, now; t < taps; t += now) {
            now = weigh_next(taps - t, left >= VW);
#define WEIGH(taps, left) weigh_block(taps, left, w, at + t, to + t, src, gradient, sums)
#ifndef SMALL
            if (now == 9)
                WEIGH(9, VW);
            else if (now == 6)
                WEIGH(6, VW);
            else if (now == 4)
                WEIGH(4, VW);
            else
#endif
                if (now == 3)
                WEIGH(3, left);
            else
                WEIGH(1, left);
        }
    }
}

static void weigh_lanes(int64_t rows, int64_t count, int64_t width, int64_t taps, const int64_t *at, const int64_t *to,
                        const void *src, int64_t src_row, int64_t src_step, const void *gradient, int64_t gradient_row,
                        int64_t gradient_step, void *sums)
{
    /* Few channels of all rows at a time, and few positions: most of what they read is near. */
    const int64_t far = src_step > gradient_step ? LANE_WEIGHED / 2 : LANE_WEIGHED;
#ifdef SMALL
    const int64_t most = far, together = 1;
#else
    const int64_t most = src_step <= LANE_NEAR ? LANE_NEAR : far, together = count < most ? most / count : 1;
#endif
    for (int64_t l = 0; l < width; l += LANE_CHANNELS)
        for (int64_t r = 0; r < rows; r += together)
            for (int64_t i = 0; i < count; i += most) {
                const int64_t now = count - i < most ? count - i : most;
                const struct weighed w = {.rows = rows - r < together ? rows - r : together,
                                          .count = now,
                                          .src_step = src_step,
                                          .src_gap = src_row - now * src_step,
                                          .gradient_step = gradient_step,
                                          .gradient_gap = gradient_row - now * gradient_step};
                weigh_piece(&w, width - l < LANE_CHANNELS ? width - l : LANE_CHANNELS, taps, at, to,
                            (const real *)src + r * src_row + i * src_step + l,
                            (const real *)gradient + r * gradient_row + i * gradient_step + l, (real *)sums + l);
            }
}
