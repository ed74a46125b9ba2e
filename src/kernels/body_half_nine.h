/*
 * Filters of 3x3 taps of one channel each, and the gradient of their weights, of bfloat16, channels last, as planes
 * lie; a part of body.h, which says what it needs.
 *
 * Halves are widened as they are loaded, each once for all the columns that it meets.  What is outside is multiplied
 * as 0.
 */

enum {
    HALF_RESULTS = 7,    /* neighbours that share what is widened */
    HALF_CHANNELS = 128, /* that go through all rows before the next, and all columns of a row, */
    HALF_COLUMNS = 14,   /* or about so many, in the gradient */
    HALF_MEET = 512,     /* columns that lie multiples of so many apart meet in few sets of the cache, */
    WEIGHED_MEET = 128,  /* and of two tensors of so many */
};

/* Three lines of the source, those outside of zeros; elements between neighbours. */
struct half_lines {
    const uint16_t *at[3];
    int64_t column[3];
};

static const uint16_t half_zeros[VW];

/* The lines that meet row r of the destination, from its column i on. */
INLINE struct half_lines half_lines_of(const struct cvg_frame *f, const uint16_t *src, int64_t r, int64_t i)
{
    struct half_lines lines;
    for (int y = 0; y < 3; y++) {
        const int64_t row = f->first[0] + r * f->step[0] + y;
        const int inside = row >= 0 && row < f->extent[0];
        lines.at[y] = inside ? src + row * f->row + (f->first[1] + i * f->step[1]) * f->column : half_zeros;
        lines.column[y] = inside ? f->column : 0;
    }
    return lines;
}

INLINE vec half_load(const uint16_t *p) { return vec_of_bf16(halves_load(p, VW)); }

/* results neighbours of channels; begins, ends: the first one and the last one meet a column outside. */
INLINE void half_block(const int results, const int step, int64_t ahead, const struct half_lines *lines, int begins,
                       int ends, const struct cvg_frame *f, const float *weight, uint16_t *dst, int64_t dst_step,
                       const float *bias, const struct finish *finish)
{
    const int last = (results - 1) * step + 2;
    vec sum[HALF_RESULTS];
    UNROLL_FOR (int i = 0; i < results; i++)
        sum[i] = v_zero();
    if (ahead)
        UNROLL_FOR (int j = 0; j <= last; j++)
            UNROLL_FOR (int y = 0; y < step; y++)
                __builtin_prefetch(lines->at[1] + ahead + y * f->row + j * f->column);
    for (int y = 0; y < 3; y++, weight += f->weight_step[0]) {
        const uint16_t *s = lines->at[y];
        vec tap[3];
        UNROLL_FOR (int x = 0; x < 3; x++)
            tap[x] = v_load(weight + x * f->weight_step[1]);
        UNROLL_FOR (int j = 0; j <= last; j++) {
            const vec v = half_load((j == 0 && begins) || (j == last && ends) ? half_zeros : s);
            s += lines->column[y];
            ONE_ADDRESS(s); /* added up as it goes: there are no registers for all */
            UNROLL_FOR (int i = 0; i < results; i++)
                if (j >= i * step && j <= i * step + 2)
                    sum[i] = v_fma(tap[j - i * step], v, sum[i]);
        }
    }
    const vec scale = v_splat(finish->scale);
    UNROLL_FOR (int i = 0; i < results; i++)
        sum[i] = v_mul(scale, sum[i]);
    if (finish->biased)
        UNROLL_FOR (int i = 0; i < results; i++)
            sum[i] = v_add(v_load(bias), sum[i]);
    UNROLL_FOR (int i = 0; i < results; i++)
        sum[i] = v_add(sum[i], v_zero());
    if (finish->accumulate)
        UNROLL_FOR (int i = 0; i < results; i++)
            sum[i] = v_add(half_load(dst + i * dst_step), sum[i]);
    UNROLL_FOR (int i = 0; i < results; i++)
        halves_store(dst + i * dst_step, 1, bf16_of_vec(sum[i]), VW);
}

#define HALF_BLOCKS(results, step, ahead) \
    half_block(results, step, ahead, &lines, begins, ends, f, w + l, d + l, dst_step, bias + l, finish)

/* A row of some channels. */
INLINE void half_row(const struct cvg_frame *f, int64_t r, int64_t count, int64_t width, const float *w,
                     const uint16_t *src, uint16_t *d, int64_t dst_step, const float *bias, const struct finish *finish)
{
    const int64_t step = f->step[1];
    const int64_t inner = (f->extent[1] - 3 - f->first[1] + step) / step; /* before what is outside */
    const int64_t ahead = f->column % HALF_MEET ? 2 * f->row : 0;         /* lines that the next row reads first */
    for (int64_t i = 0, now; i < count; i += now, d += now * dst_step) {
        now = count - i >= HALF_RESULTS ? HALF_RESULTS : count - i >= 3 && step == 1 ? 3 : 1;
        const int begins = i == 0 && (f->first[1] < 0), ends = i + now > inner;
        struct half_lines lines = half_lines_of(f, src, r, i);
        for (int64_t l = 0; l < width; l += VW) {
            if (now == 1)
                HALF_BLOCKS(1, 1, 0);
            else if (now == 3)
                HALF_BLOCKS(3, 1, 0);
            else if (step == 1)
                HALF_BLOCKS(HALF_RESULTS, 1, l % (2 * VW) ? 0 : ahead);
            else
                HALF_BLOCKS(HALF_RESULTS, 2, l % (2 * VW) ? 0 : ahead);
            for (int y = 0; y < 3; y++)
                lines.at[y] += lines.column[y] ? VW : 0;
        }
    }
}

static void filter_halves(const struct cvg_frame *f, int64_t rows, int64_t count, int64_t width, const void *weight,
                          const void *src, void *dst, int64_t dst_row, int64_t dst_step,
                          const struct cvg_finish *finish)
{
    const struct finish own = finish_of(finish, 0);
    const float *const bias = finish->bias ? finish->bias : weight; /* which is not looked at */
    for (int64_t l = 0; l < width; l += HALF_CHANNELS)
        for (int64_t r = 0; r < rows; r++)
            half_row(f, r, count, width - l < HALF_CHANNELS ? width - l : HALF_CHANNELS, (const float *)weight + l,
                     (const uint16_t *)src + l, (uint16_t *)dst + r * dst_row + l, dst_step, bias + l, &own);
}

/* Adds the products of one row of the gradient to the sums of a vector of channels. */
INLINE void half_weigh(const int step, int64_t ahead, int64_t g_ahead, struct half_lines lines, int begins, int ends,
                       int64_t count, const uint16_t *g, int64_t g_step, float *sums, int64_t sums_tap)
{
    const int kept = 3 - step; /* columns that the next one meets, too */
    vec sum[9], seen[3][3];
    UNROLL_FOR (int t = 0; t < 9; t++)
        sum[t] = v_load(sums + t * sums_tap);
    UNROLL_FOR (int y = 0; y < 3; y++)
        UNROLL_FOR (int x = 0; x < kept; x++) {
            seen[y][x + step] = half_load(x == 0 && begins ? half_zeros : lines.at[y]);
            lines.at[y] += lines.column[y];
        }
    for (int64_t i = 0; i < count; i++, g += g_step) {
        const vec gv = half_load(g);
        if (ahead) {
            UNROLL_FOR (int y = 0; y < step * step; y++)
                __builtin_prefetch(lines.at[1] + ahead + y / step * ahead / 2 + y % step * lines.column[1]);
            __builtin_prefetch(g + g_ahead);
        }
        const int outside = ends && i == count - 1;
        UNROLL_FOR (int y = 0; y < 3; y++) {
            UNROLL_FOR (int x = 0; x < 3; x++)
                if (x < kept) {
                    seen[y][x] = seen[y][x + step];
                } else {
                    seen[y][x] = half_load(x == 2 && outside ? half_zeros : lines.at[y]);
                    lines.at[y] += lines.column[y];
                }
            UNROLL_FOR (int x = 0; x < 3; x++)
                sum[3 * y + x] = v_fma(gv, seen[y][x], sum[3 * y + x]);
        }
    }
    UNROLL_FOR (int t = 0; t < 9; t++)
        v_store(sums + t * sums_tap, sum[t]);
}

static void weigh_halves(const struct cvg_frame *f, int64_t rows, int64_t count, int64_t width, const void *src,
                         const void *gradient, int64_t gradient_row, int64_t gradient_step, void *sums,
                         int64_t sums_tap)
{
    const int64_t step = f->step[1], most = HALF_COLUMNS / step;
    const int64_t inner = (f->extent[1] - 3 - f->first[1] + step) / step;     /* before what is outside */
    const int asks = f->asks || (step == 1 && f->column % WEIGHED_MEET != 0); /* for what the next row reads first */
    for (int64_t begin = 0, end; begin < width; begin = end) {
        end = begin + HALF_CHANNELS < width ? begin + HALF_CHANNELS : width;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0, now; i < count; i += now) {
                now = count - i < most ? count - i : most;
                const int begins = i == 0 && (f->first[1] < 0), ends = i + now > inner;
                const uint16_t *const g = (const uint16_t *)gradient + r * gradient_row + i * gradient_step;
                for (int64_t l = begin; l < end; l += VW) {
                    const struct half_lines lines = half_lines_of(f, (const uint16_t *)src + l, r, i);
                    float *const to = (float *)sums + l;
                    const int64_t ahead = asks && l % (2 * VW) == 0 ? 2 * f->row : 0;
                    if (step == 1)
                        half_weigh(1, ahead, gradient_row, lines, begins, ends, now, g + l, gradient_step, to,
                                   sums_tap);
                    else
                        half_weigh(2, ahead, gradient_row, lines, begins, ends, now, g + l, gradient_step, to,
                                   sums_tap);
                }
            }
    }
}
