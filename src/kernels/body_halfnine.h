/*
 * The gradient of 3x3 weights of one channel each, of bfloat16, channels last, as planes lie; a part of body.h, which
 * says what it needs.
 *
 * Halves are widened as they are loaded, each once for all the columns that it meets.  What is outside is multiplied
 * as 0.
 */

enum {
    HALF_CHANNELS = 128, /* go through all rows before the next, */
    HALF_LONG = 32,      /* or so many, */
    HALF_SHORT = 16,     /* unless rows have at most so many columns; */
    HALF_COLUMNS = 28,   /* columns of the source, about, are read for all of them before the next */
    HALF_MEET = 128,     /* columns of two tensors that lie multiples of so many apart meet in few sets of the cache */
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
    const int64_t inner = (f->extent[1] - 3 - f->first[1] + step) / step;  /* before what is outside */
    const int asks = f->asks || (step == 1 && f->column % HALF_MEET != 0); /* for what the next row reads first */
    const int64_t channels = f->extent[1] <= HALF_SHORT ? HALF_CHANNELS : HALF_LONG;
    for (int64_t begin = 0, end; begin < width; begin = end) {
        end = begin + channels < width ? begin + channels : width;
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
