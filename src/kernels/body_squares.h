/*
 * Filters of 3x3 taps of groups of few channels, and the gradient of their weights, channels last, as planes lie; a
 * part of body.h, which says what it needs.
 *
 * Lanes are the channels of one or several groups.  Each picks channel k of its group from a vector of the source,
 * once for the three taps of a line.
 */

enum {
    SQUARE_RESULTS = 7,                /* neighbours that share what is picked */
    SQUARE_GROUP = 8,                  /* channels, at most */
    SQUARE_MEET = 1024 / sizeof(real), /* elements: columns that lie multiples of them apart meet in few sets of the
                                          cache, and lose what was asked for */
};

/* A row of some channels. */
struct square_row {
    const struct cvg_frame *frame;
    int64_t y, end;      /* lines of taps that are inside */
    int64_t group;       /* channels */
    const vindex *picks; /* channel k of each lane's group, in a vector of the source */
    const real *weight;
    int64_t dst_step;
    int asks;   /* for the line that the next row reads first */
    int claims; /* the result, which comes from memory */
    const real *bias;
    struct finish finish;
};

/* results neighbours, channels l on; begins, ends: the first one and the last one meet a column outside. */
INLINE void square_block(const int results, const struct square_row *w, int64_t l, int begins, int ends,
                         const real *src, real *dst)
{
    const struct cvg_frame *const f = w->frame;
    const int last = results + 1;
    const real *weight = w->weight + l + w->y * f->weight_step[0];
    vec sum[SQUARE_RESULTS];
    UNROLL_FOR (int i = 0; i < results; i++)
        sum[i] = v_zero();
    src += l;
    if (w->asks)
        UNROLL_FOR (int j = 1; j < last; j++)
            __builtin_prefetch(src + 3 * f->row + j * f->column);
    if (w->claims)
        UNROLL_FOR (int i = 0; i < results; i++)
            __builtin_prefetch(dst + l + i * w->dst_step, 1);
    src += w->y * f->row;
    for (int64_t k = 0; k < w->group; k++, weight += f->weight_next) {
        const vindex pick = w->picks[k];
        const real *s = src, *t = weight;
        for (int64_t y = w->y; y < w->end; y++, s += f->row, t += f->weight_step[0]) {
            vec tap[3];
            UNROLL_FOR (int x = 0; x < 3; x++)
                tap[x] = v_load(t + x * f->weight_step[1]);
            ONE_ADDRESS(begins); /* asked each time: there is one loop, not one for each answer */
            ONE_ADDRESS(ends);
            if (!begins)
                sum[0] = v_fma(tap[0], v_pick(v_load(s), pick), sum[0]);
            UNROLL_FOR (int j = 1; j < last; j++) {
                const vec v = v_pick(v_load(s + j * f->column), pick);
                UNROLL_FOR (int i = 0; i < results; i++)
                    if (j >= i && j <= i + 2)
                        sum[i] = v_fma(tap[j - i], v, sum[i]);
            }
            if (!ends)
                sum[results - 1] = v_fma(tap[2], v_pick(v_load(s + last * f->column), pick), sum[results - 1]);
        }
    }
    finish_lanes(results, VW, sum, dst + l, w->dst_step, w->bias + l, &w->finish);
}

#ifdef WEIGH_SQUARES /* as channels follow each other, memory is read best; but half a line at a time it is not */
enum { SQUARE_TOGETHER = DEPTH_CHANNELS, SQUARE_ASKS = 1 };
#else
enum { SQUARE_TOGETHER = VW, SQUARE_ASKS = 0 };
#endif

#define SQUARE_BLOCKS(results)              \
    for (int64_t l = 0; l < width; l += VW) \
    square_block(results, w, l, left, right, src, dst)

static void square_line(const struct square_row *row, int64_t first, int64_t width, int64_t count, const real *src,
                        real *dst)
{
    struct square_row now_at = *row, *const w = &now_at;
    w->weight += first;
    w->bias += first;
    const struct cvg_frame *const f = w->frame;
    const int begins = f->first[1] < 0;
    const int ends = f->first[1] + count + 2 > f->extent[1];
    for (int64_t i = 0, now; i < count; i += now, src += now * f->column, dst += now * w->dst_step) {
        const int64_t rest = count - i;
        now = rest >= 7 && rest != 8 && rest != 10 ? 7 : rest == 10 || rest == 5 ? 5 : rest >= 4 ? 4 : 1;
        const int left = begins && i == 0, right = ends && now == rest;
        if (now == 7)
            SQUARE_BLOCKS(7);
        else if (now == 5)
            SQUARE_BLOCKS(5);
        else if (now == 4)
            SQUARE_BLOCKS(4);
        else
            SQUARE_BLOCKS(1);
    }
}

/* Channel k of each lane's group, for each k. */
INLINE void square_picks(int64_t group, vindex *picks)
{
    int64_t at[VW];
    for (int i = 0; i < VW; i++)
        at[i] = i / group * group;
    for (int64_t k = 0; k < group; k++)
        picks[k] = v_index(at, k);
}

static void filter_squares(const struct cvg_frame *f, int64_t rows, int64_t count, int64_t width, int64_t group,
                           const void *weight, const void *src, void *dst, int64_t dst_row, int64_t dst_step,
                           const struct cvg_finish *finish)
{
    const int64_t whole = width / VW * VW, all = depth_channels(f, sizeof(real), DEPTH_CHANNELS);
    const int64_t fit = DEPTH_WEIGHTS / (9 * group * (int64_t)sizeof(real)) / VW * VW, most = fit < all ? fit : all;
    struct square_row w = {.frame = f,
                           .group = group,
                           .dst_step = dst_step,
                           .asks = SQUARE_ASKS && f->asks && f->column % SQUARE_MEET != 0,
                           .claims = f->asks > 1,
                           .finish = finish_of(finish, 0)};
    vindex picks[SQUARE_GROUP];
    square_picks(group, picks);
    w.picks = picks;
    for (int64_t begin = 0, end; begin < whole; begin = end) {
        end = begin + most < whole ? begin + most : whole;
        w.weight = (const real *)weight + begin;
        w.bias = finish->bias ? (const real *)finish->bias + begin : w.weight; /* which is not looked at */
        for (int64_t r = 0; r < rows; r++) {
            const int64_t row = f->first[0] + r;
            w.y = row < 0;
            w.end = row + 2 < f->extent[0] ? 3 : 2;
            ONE_ADDRESS(w.y); /* a loop, not each of its lines */
            ONE_ADDRESS(w.end);
            const real *const s = (const real *)src + row * f->row + f->first[1] * f->column;
            for (int64_t l = begin; l < end; l += SQUARE_TOGETHER)
                square_line(&w, l - begin, end - l < SQUARE_TOGETHER ? end - l : SQUARE_TOGETHER, count, s + l,
                            (real *)dst + r * dst_row + l);
        }
    }
#ifdef NARROW_KERNELS
    if (whole < width) {
        struct cvg_finish rest = *finish;
        rest.bias = finish->bias ? (const real *)finish->bias + whole : NULL;
        NARROW_KERNELS.filter_squares(f, rows, count, width - whole, group, (const real *)weight + whole,
                                      (const real *)src + whole, (real *)dst + whole, dst_row, dst_step, &rest);
    }
#endif
}

#ifdef WEIGH_SQUARES
/*
 * Lanes are channels of the input: for each k sums of their own, which go through a few columns of a row.  Half a
 * vector that is left is taken with the half before it, whose sums stay as they are.
 */
static void weigh_squares(const struct cvg_frame *f, int64_t rows, int64_t count, int64_t width, int64_t group,
                          const void *src, const void *gradient, int64_t gradient_row, int64_t gradient_step,
                          void *sums, int64_t sums_tap)
{
    const int64_t step = f->step[1], most = NINE_COLUMNS / step;
    const int64_t inner = (f->extent[1] - 3 - f->first[1] + step) / step; /* before what is outside */
    struct weighed_rows w = {
        .frame = f, .rows = 1, .gradient_row = gradient_row, .gradient_step = gradient_step, .sums_tap = sums_tap};
    enum { HALF = VW / 2 };
    real own[9 * VW] = {0};
    vindex picks[SQUARE_GROUP];
    square_picks(group, picks);
    for (int64_t r = 0; r < rows; r++) {
        w.row = f->first[0] + r * f->step[0];
        for (int64_t i = 0, now; i < count; i += now) {
            now = weigh_nine_columns(&w, i, count, most, inner);
            const real *const g = (const real *)gradient + r * gradient_row + i * gradient_step;
            const real *const s = (const real *)src + i * step * f->column;
            for (int64_t l = 0; l < width; l += VW) {
                const int half = l + VW > width;
                const int64_t from = half ? l - HALF : l;
                w.sums_tap = half ? VW : sums_tap;
                for (int64_t k = 0; k < group; k++) {
                    real *const to = (real *)sums + 9 * k * sums_tap + l;
                    for (int t = 0; half && t < 9; t++)
                        memcpy(own + t * VW + HALF, to + t * sums_tap, HALF * sizeof(real));
                    w.pick = picks[k];
                    weigh_nine_rows(1, &w, g + from, s + from, half ? own : to);
                    for (int t = 0; half && t < 9; t++)
                        memcpy(to + t * sums_tap, own + t * VW + HALF, HALF * sizeof(real));
                }
            }
        }
    }
}
#endif
