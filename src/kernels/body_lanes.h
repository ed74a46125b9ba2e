/* The kernels of filters of one channel each, channels last; a part of body.h, which says what it needs. */

#ifdef SMALL
enum { LANE_RESULTS = 1, LANE_VECS = 1, LANE_TAPS = 3 };
#else
enum { LANE_RESULTS = 4, LANE_VECS = 2, LANE_TAPS = 9 };
#endif

INLINE vec lanes_load(const real *p, const int64_t left) { return left < VW ? v_load_part(p, left) : v_load(p); }

INLINE void lanes_store(real *p, vec v, const int64_t left)
{
    if (left < VW)
        v_store_part(p, v, left);
    else
        v_store(p, v);
}

/* results neighbours, vecs vectors of channels, of the last of which left exist; results and vecs are constants. */
INLINE void filter_block(const int results, const int vecs, const int64_t left, const struct cvg_terms *terms,
                         const real *weight, const real *src, int64_t src_step, real *dst, int64_t dst_step,
                         const real *bias, const struct finish *f)
{
    vec sum[LANE_RESULTS][LANE_VECS];
    UNROLL_FOR (int i = 0; i < results; i++)
        UNROLL_FOR (int v = 0; v < vecs; v++)
            sum[i][v] = v_zero();
    for (int64_t j = 0; j < terms->count; j++) {
        const real *const w = weight + terms->b[j], *const s = src + terms->a[j];
        UNROLL_FOR (int v = 0; v < vecs; v++) {
            const vec wv = lanes_load(w + v * VW, left);
            UNROLL_FOR (int i = 0; i < results; i++)
                sum[i][v] = v_fma(wv, lanes_load(s + i * src_step + v * VW, left), sum[i][v]);
        }
    }
    UNROLL_FOR (int v = 0; v < vecs; v++)
        UNROLL_FOR (int i = 0; i < results; i++) {
            real *const to = dst + i * dst_step + v * VW;
            const vec value = v_mul(v_splat(f->scale), sum[i][v]);
            lanes_store(to,
                        f->biased       ? v_add(lanes_load(bias + v * VW, left), value)
                        : f->accumulate ? v_add(lanes_load(to, left), value)
                                        : value,
                        left);
        }
}

/* results neighbours, all channels. */
INLINE void filter_results(const int results, int64_t width, const struct cvg_terms *terms, const real *weight,
                           const real *src, int64_t src_step, real *dst, int64_t dst_step, const real *bias,
                           const struct finish *f)
{
    int64_t l = 0;
    for (; l + LANE_VECS * VW <= width; l += LANE_VECS * VW)
        filter_block(results, LANE_VECS, VW, terms, weight + l, src + l, src_step, dst + l, dst_step, bias + l, f);
    for (; l + VW <= width; l += VW)
        filter_block(results, 1, VW, terms, weight + l, src + l, src_step, dst + l, dst_step, bias + l, f);
    if (l < width)
        filter_block(results, 1, width - l, terms, weight + l, src + l, src_step, dst + l, dst_step, bias + l, f);
}

static void filter_lanes(int64_t rows, int64_t count, int64_t width, const struct cvg_terms *terms, const void *weight,
                         const void *src, int64_t src_row, int64_t src_step, void *dst, int64_t dst_row,
                         int64_t dst_step, const struct cvg_finish *finish)
{
    const struct finish f = finish_of(finish, 0);
    const real *const bias = finish->bias ? finish->bias : weight; /* which is not looked at */
    for (int64_t r = 0; r < rows; r++) {
        const real *s = (const real *)src + r * src_row;
        real *d = (real *)dst + r * dst_row;
        int64_t i = 0;
        for (; i + LANE_RESULTS <= count; i += LANE_RESULTS, s += LANE_RESULTS * src_step, d += LANE_RESULTS * dst_step)
            filter_results(LANE_RESULTS, width, terms, weight, s, src_step, d, dst_step, bias, &f);
        for (; i < count; i++, s += src_step, d += dst_step)
            filter_results(1, width, terms, weight, s, src_step, d, dst_step, bias, &f);
    }
}

/* A vector of channels, of which left exist, and so many taps; taps is a constant. */
INLINE void weigh_block(const int taps, const int64_t left, int64_t rows, int64_t count, const int64_t *at,
                        const real *src, int64_t src_row, int64_t src_step, const real *gradient, int64_t gradient_row,
                        int64_t gradient_step, real *sums, int64_t sums_row)
{
    vec sum[LANE_TAPS];
    UNROLL_FOR (int t = 0; t < taps; t++)
        sum[t] = lanes_load(sums + t * sums_row, left);
    for (int64_t r = 0; r < rows; r++) {
        const real *s = src + r * src_row, *g = gradient + r * gradient_row;
        for (int64_t i = 0; i < count; i++, s += src_step, g += gradient_step) {
            const vec gv = lanes_load(g, left);
            UNROLL_FOR (int t = 0; t < taps; t++)
                sum[t] = v_fma(gv, lanes_load(s + at[t], left), sum[t]);
        }
    }
    UNROLL_FOR (int t = 0; t < taps; t++)
        lanes_store(sums + t * sums_row, sum[t], left);
}

static void weigh_lanes(int64_t rows, int64_t count, int64_t width, int64_t taps, const int64_t *at, const void *src,
                        int64_t src_row, int64_t src_step, const void *gradient, int64_t gradient_row,
                        int64_t gradient_step, void *sums, int64_t sums_row)
{
    for (int64_t l = 0; l < width; l += VW) {
        const real *const s = (const real *)src + l, *const g = (const real *)gradient + l;
        real *const to = (real *)sums + l;
        const int64_t left = width - l < VW ? width - l : VW;
#define WEIGH(taps, left)                                                                              \
    weigh_block(taps, left, rows, count, at + t, s, src_row, src_step, g, gradient_row, gradient_step, \
                to + t * sums_row, sums_row)
        int64_t t = 0;
        for (; LANE_TAPS > 3 && left == VW && t + LANE_TAPS <= taps; t += LANE_TAPS)
            WEIGH(LANE_TAPS, VW);
        for (; left == VW && t + 3 <= taps; t += 3)
            WEIGH(3, VW);
        for (; left == VW && t < taps; t++)
            WEIGH(1, VW);
        for (; t + 3 <= taps; t += 3)
            WEIGH(3, left);
        for (; t < taps; t++)
            WEIGH(1, left);
#undef WEIGH
    }
}
