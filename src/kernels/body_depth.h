/*
 * Filters of one channel each, of 3x3, 5x5 or 7x7 taps, channels last, as planes lie; a part of body.h, which says what
 * it needs.  Included for elements of the tensors of its own type and for bfloat16, with
 *
 *   DEPTH(name)             its names
 *   ELEMENT                 what they are, and
 *   ELEMENT_LOAD(p)         a vector of them
 *   ELEMENT_STORE(p, v)     back
 *   ELEMENT_PHASES          also filters of one or two taps of a line, as phases of grad_input are
 *
 * Each element is loaded once for all the results of a line that it meets.  Half of the taps, or one more, are inside
 * for each result; of halves, columns that are outside are multiplied as 0.
 */

/* A row of the destination, of some channels. */
struct DEPTH(row) {
    const struct cvg_frame *frame;
    int64_t y, end; /* lines of taps that are inside */
    int64_t ahead;  /* elements from the first line to those that the next row reads first, or 0 */
    int64_t dst_step;
    const struct finish *finish;
};

/*
 * results neighbours of a vector of channels, that meet columns from low to high; results, step and taps are
 * constants.
 */
INLINE void DEPTH(block)(const int results, const int step, const int taps, const struct DEPTH(row) * w, int asks,
                         int64_t low, int64_t high, const real *weight, const ELEMENT *src, ELEMENT *dst,
                         const real *bias)
{
    const struct cvg_frame *const f = w->frame;
    const int last = (results - 1) * step + taps - 1, halves = sizeof(ELEMENT) < sizeof(real);
    static const ELEMENT zeros[VW]; /* to branch takes longer than to multiply, where columns are widened */
    vec sum[DEPTH_RESULTS];
    UNROLL_FOR (int i = 0; i < results; i++)
        sum[i] = v_zero();
    if (results == DEPTH_RESULTS && asks)
        UNROLL_FOR (int j = 0; j <= last; j++)
            UNROLL_FOR (int y = 0; y < step; y++)
                __builtin_prefetch(src + w->ahead + y * f->row + j * f->column);
    if (results > 1 && step == 1 && taps == 3 && !halves && f->asks > 1)
        UNROLL_FOR (int i = 0; i < results; i++)
            __builtin_prefetch(dst + i * w->dst_step, 1);
    const ELEMENT *line = src + w->y * f->row;
    weight += w->y * f->weight_step[0];
    for (int64_t y = w->y; y < w->end; y++, line += f->row, weight += f->weight_step[0]) {
        const ELEMENT *s = line;
        vec tap[DEPTH_TAPS];
        UNROLL_FOR (int x = 0; x < taps; x++)
            tap[x] = v_load(weight + x * f->weight_step[1]);
        ONE_ADDRESS(low); /* asked each time: there is one loop, not one for each answer */
        ONE_ADDRESS(high);
        UNROLL_FOR (int j = 0; j <= last; j++) {
            const int inside = (j >= taps / 2 && j <= last - taps / 2) || (j >= low && j < high);
            if (halves || inside) {
                const vec v = ELEMENT_LOAD(inside ? s : zeros);
                UNROLL_FOR (int i = 0; i < results; i++)
                    if (j >= i * step && j < i * step + taps)
                        sum[i] = v_fma(tap[j - i * step], v, sum[i]);
            }
            s += f->column;
            ONE_ADDRESS(s); /* added up as it goes: there are no registers for all */
        }
    }
    const vec scale = v_splat(w->finish->scale);
    UNROLL_FOR (int i = 0; i < results; i++)
        sum[i] = v_mul(scale, sum[i]);
    if (w->finish->biased)
        UNROLL_FOR (int i = 0; i < results; i++)
            sum[i] = v_add(v_load(bias), sum[i]);
    if (halves) /* what is rounded is no -0 */
        UNROLL_FOR (int i = 0; i < results; i++)
            sum[i] = v_add(sum[i], v_zero());
    if (w->finish->accumulate)
        UNROLL_FOR (int i = 0; i < results; i++)
            sum[i] = v_add(ELEMENT_LOAD(dst + i * w->dst_step), sum[i]);
    UNROLL_FOR (int i = 0; i < results; i++)
        ELEMENT_STORE(dst + i * w->dst_step, sum[i]);
}

#define DEPTH_BLOCKS(results, step, taps)                                                                       \
    for (int64_t l = 0; l < width; l += VW)                                                                     \
        DEPTH(block)                                                                                            \
    (results, step, taps, w, w->ahead && l * (int64_t)sizeof(ELEMENT) % DEPTH_LINE == 0, low, high, weight + l, \
     src + l, dst + l, bias + l)

INLINE void DEPTH(line)(const int taps, const struct DEPTH(row) * w, int64_t count, int64_t width, const real *weight,
                        const ELEMENT *src, ELEMENT *dst, const real *bias)
{
    const struct cvg_frame *const f = w->frame;
    const int64_t step = f->step[1];
    for (int64_t i = 0, now; i < count; i += now, src += now * step * f->column, dst += now * w->dst_step) {
        const int64_t rest = count - i, low = -f->first[1] - i * step, high = low + f->extent[1];
        now = rest >= DEPTH_RESULTS ? DEPTH_RESULTS : 1;
        if (taps > 2 && taps < DEPTH_TAPS && step == 1 && rest >= 5 && (rest < 7 || (rest % 5 == 0 && rest % 7)))
            now = 5;
        if (now == 1)
            DEPTH_BLOCKS(1, 1, taps);
        else if (taps > 2 && taps < DEPTH_TAPS && step > 1)
            DEPTH_BLOCKS(DEPTH_RESULTS, 2, taps);
        else if (taps == 3 && SQUARES_ARE_DEEP(ELEMENT))
            CVG_BROKEN();
        else if (taps > 2 && taps < DEPTH_TAPS && now == 5)
            DEPTH_BLOCKS(5, 1, taps);
        else
            DEPTH_BLOCKS(DEPTH_RESULTS, 1, taps);
    }
}

/* Each for itself: compilers find registers in small functions. */
#define DEPTH_LINE_OF(taps)                                                                                         \
    static NOINLINE void DEPTH(line_##taps)(const struct DEPTH(row) * w, int64_t count, int64_t width,              \
                                            const real *weight, const ELEMENT *src, ELEMENT *dst, const real *bias) \
    {                                                                                                               \
        DEPTH(line)(taps, w, count, width, weight, src, dst, bias);                                                 \
    }
#ifdef ELEMENT_PHASES
DEPTH_LINE_OF(1)
DEPTH_LINE_OF(2)
#endif
DEPTH_LINE_OF(3)
DEPTH_LINE_OF(5)
DEPTH_LINE_OF(7)
#undef DEPTH_LINE_OF

static void DEPTH(filter)(const struct cvg_frame *f, int64_t rows, int64_t count, int64_t width, const void *weight,
                          const void *src, void *dst, int64_t dst_row, int64_t dst_step,
                          const struct cvg_finish *finish)
{
    const struct finish own = finish_of(finish, 0);
    const int64_t taps = f->taps[1], whole = width / VW * VW;
    const int64_t fit = DEPTH_WEIGHTS / (taps * taps * (int64_t)sizeof(real)) / VW * VW;
    const int64_t most = depth_channels(f, (int64_t)sizeof(ELEMENT), fit);
    struct DEPTH(row) w = {.frame = f, .dst_step = dst_step, .finish = &own};
    w.ahead = f->asks && f->column * (int64_t)sizeof(ELEMENT) % DEPTH_MEET ? taps * f->row : 0;
    for (int64_t l = 0; l < whole; l += most)
        for (int64_t r = 0; r < rows; r++) {
            const int64_t row = f->first[0] + r * f->step[0], channels = whole - l < most ? whole - l : most;
            const real *const weights = (const real *)weight + l;
            const real *const bias = finish->bias ? (const real *)finish->bias + l : weights; /* not looked at */
            const ELEMENT *const s = (const ELEMENT *)src + row * f->row + f->first[1] * f->column + l;
            ELEMENT *const d = (ELEMENT *)dst + r * dst_row + l;
            w.y = row < 0 ? -row : 0;
            w.end = row + f->taps[0] < f->extent[0] ? f->taps[0] : f->extent[0] - row;
#ifdef ELEMENT_PHASES
            if (taps < 3) {
                (taps == 1 ? DEPTH(line_1) : DEPTH(line_2))(&w, count, channels, weights, s, d, bias);
                continue;
            }
#endif
            if (taps == 3)
                DEPTH(line_3)(&w, count, channels, weights, s, d, bias);
            else if (taps == 5)
                DEPTH(line_5)(&w, count, channels, weights, s, d, bias);
            else
                DEPTH(line_7)(&w, count, channels, weights, s, d, bias);
        }
#ifdef NARROW_KERNELS /* halves come in whole vectors */
    if (sizeof(ELEMENT) == sizeof(real) && whole < width) {
        struct cvg_finish rest = *finish;
        rest.bias = finish->bias ? (const real *)finish->bias + whole : NULL;
        NARROW_KERNELS.filter_depth(f, rows, count, width - whole, (const real *)weight + whole,
                                    (const real *)src + whole, (real *)dst + whole, dst_row, dst_step, &rest);
    }
#endif
}

#undef DEPTH_BLOCKS
#undef DEPTH
#undef ELEMENT
#undef ELEMENT_LOAD
#undef ELEMENT_STORE
#undef ELEMENT_PHASES
