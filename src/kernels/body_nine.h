/*
 * The gradient of 3x3 weights of one channel each, channels last, as planes lie; a part of body.h, which says what it
 * needs.
 *
 * Some lanes of a vector are loaded slowly, even by a mask: what is left of the channels is for vectors of half as many
 * lanes, where there are.
 */

enum {
    NINE_CHANNELS = 64, /* go through all rows before the next; */
    NINE_COLUMNS = 14,  /* columns of the source, about, are read for all of them before the next, */
    NINE_LINE = 64,     /* bytes of a line of the cache */
    NINE_MEET = 256,    /* bytes: columns that lie multiples of them apart meet in some sets of it, */
    NINE_VECS = 4,      /* of which so many vectors of a column are read */
    NINE_LINES = 4,     /* or so many short rows of the gradient, */
    NINE_NEAR = 45056   /* of as many bytes of the source: the processor knows where few pages lie */
};

/* Rows of the gradient, of which at most the first and the last element meet a column outside. */
struct weighed_rows {
    const struct cvg_frame *frame;
    int64_t row, rows; /* the first of three of the source that the first one meets, and how many */
    int64_t inner;
    int begins, ends; /* whether the first and the last element do; inner: how many do not */
    int64_t gradient_row, gradient_step, sums_tap;
    int64_t ahead; /* rows of the gradient further on, both are asked for; or 0 */
#ifdef V_PICK
    vindex pick; /* where lanes do not multiply their own element of the gradient: which, of a vector */
#endif
};

/* The gradient's elements of lanes of which left exist. */
INLINE vec weigh_nine_load(const int picks, const int64_t left, const struct weighed_rows *w, const real *g)
{
#ifdef V_PICK
    if (picks)
        return v_pick(lanes_load(g, left), w->pick);
#endif
    (void)picks, (void)w;
    return lanes_load(g, left);
}

/* Adds the products of an element of the gradient: of lines that are on, and some taps of each. */
INLINE void weigh_nine_at(const int on, const int tap, const int taps, const int64_t left, const vec gv, const real *s,
                          int64_t line, int64_t column, vec *sum)
{
    UNROLL_FOR (int y = 0; y < 3; y++)
        UNROLL_FOR (int x = tap; x < tap + taps; x++)
            if (on & 1 << y)
                sum[3 * y + x] = v_fma(gv, lanes_load(s + (y - 1) * line + x * column, left), sum[3 * y + x]);
}

/* The same of a row; s: of the second line. */
INLINE void weigh_nine_row(const int on, const int picks, const int64_t left, const struct weighed_rows *w,
                           const real *g, const real *s, vec *sum)
{
    const int64_t line = w->frame->row, column = w->frame->column, step = w->frame->step[1] * column;
    const int64_t g_step = w->gradient_step;
    if (w->begins) {
        weigh_nine_at(on, 1, 2, left, weigh_nine_load(picks, left, w, g), s, line, column, sum);
        g += g_step;
        s += step;
    }
    for (const real *const end = g + w->inner * g_step; g != end; g += g_step, s += step) {
        if (on == 7 && w->ahead) { /* of a stride of 2, as slides go without */
            const real *const next = s + 2 * w->ahead * line + column;
            UNROLL_FOR (int i = 0; i < 4; i++)
                __builtin_prefetch(next + i / 2 * line + i % 2 * column);
            __builtin_prefetch(g + w->ahead * w->gradient_row);
        }
        weigh_nine_at(on, 0, 3, left, weigh_nine_load(picks, left, w, g), s, line, column, sum);
    }
    if (w->ends)
        weigh_nine_at(on, 0, 2, left, weigh_nine_load(picks, left, w, g), s, line, column, sum);
}

#ifdef NARROW_KERNELS /* there are registers enough */
#define NINE_SLIDES
/* weigh_nine_row() of all lines without a stride: an element of the source is loaded once for its three columns. */
INLINE void weigh_nine_slide(const int picks, const struct weighed_rows *w, const real *g, const real *s, vec *sum)
{
    const int64_t line = w->frame->row, column = w->frame->column;
    vec seen[3][2]; /* the last two columns */
    s += w->begins ? column : 0;
    UNROLL_FOR (int y = 0; y < 3; y++)
        UNROLL_FOR (int x = 0; x < 2; x++)
            seen[y][x] = v_load(s + (y - 1) * line + x * column);
    s += 2 * column;
    if (w->begins) {
        const vec gv = weigh_nine_load(picks, VW, w, g);
        UNROLL_FOR (int y = 0; y < 3; y++)
            UNROLL_FOR (int x = 0; x < 2; x++)
                sum[3 * y + x + 1] = v_fma(gv, seen[y][x], sum[3 * y + x + 1]);
        g += w->gradient_step;
    }
    for (const real *const end = g + w->inner * w->gradient_step; g != end; g += w->gradient_step, s += column) {
        const vec gv = weigh_nine_load(picks, VW, w, g);
        if (w->ahead) {
            __builtin_prefetch(s + (w->ahead + 1) * line);
            __builtin_prefetch(g + w->ahead * w->gradient_row);
        }
        UNROLL_FOR (int y = 0; y < 3; y++) {
            const vec now = v_load(s + (y - 1) * line);
            sum[3 * y] = v_fma(gv, seen[y][0], sum[3 * y]);
            sum[3 * y + 1] = v_fma(gv, seen[y][1], sum[3 * y + 1]);
            sum[3 * y + 2] = v_fma(gv, now, sum[3 * y + 2]);
            seen[y][0] = seen[y][1];
            seen[y][1] = now;
        }
    }
    if (w->ends) {
        const vec gv = weigh_nine_load(picks, VW, w, g);
        UNROLL_FOR (int y = 0; y < 3; y++)
            UNROLL_FOR (int x = 0; x < 2; x++)
                sum[3 * y + x] = v_fma(gv, seen[y][x], sum[3 * y + x]);
    }
}
#endif

/* The same of all rows, of a vector of channels. */
INLINE void weigh_nine_rows(const int picks, const struct weighed_rows *w, const real *g, const real *s, real *sums)
{
    const struct cvg_frame *const f = w->frame;
    int64_t row = w->row;
    vec sum[9];
    s += (row + 1) * f->row + f->first[1] * f->column;
    UNROLL_FOR (int t = 0; t < 9; t++)
        sum[t] = v_load(sums + t * w->sums_tap);
    for (int64_t r = 0; r < w->rows; r++, row += f->step[0], g += w->gradient_row, s += f->step[0] * f->row)
#ifdef NINE_SLIDES
        if (f->step[1] == 1 && row >= 0 && row + 2 < f->extent[0])
            weigh_nine_slide(picks, w, g, s, sum);
        else
#endif
            if (row < 0)
            weigh_nine_row(6, picks, VW, w, g, s, sum);
        else if (row + 2 < f->extent[0])
            weigh_nine_row(7, picks, VW, w, g, s, sum);
        else
            weigh_nine_row(3, picks, VW, w, g, s, sum);
    UNROLL_FOR (int t = 0; t < 9; t++)
        v_store(sums + t * w->sums_tap, sum[t]);
}

#ifndef NARROW_KERNELS
/* The same of a part of a vector, line by line: less code. */
static void weigh_nine_rest(int64_t left, const struct weighed_rows *w, const real *g, const real *s, real *sums)
{
    const struct cvg_frame *const f = w->frame;
    s += f->first[1] * f->column;
    for (int y = 0; y < 3; y++) {
        vec sum[9];
        UNROLL_FOR (int x = 0; x < 3; x++)
            sum[3 + x] = v_load_part(sums + (3 * y + x) * w->sums_tap, left);
        for (int64_t r = 0; r < w->rows; r++) {
            const int64_t row = w->row + r * f->step[0] + y;
            if (row >= 0 && row < f->extent[0])
                weigh_nine_row(2, 0, left, w, g + r * w->gradient_row, s + row * f->row, sum);
        }
        UNROLL_FOR (int x = 0; x < 3; x++)
            v_store_part(sums + (3 * y + x) * w->sums_tap, sum[3 + x], left);
    }
}
#endif

/* Adds the products of an element of the gradient of NINE_VECS vectors of channels, and some taps of one line. */
INLINE void weigh_taps_at(const int tap, const int taps, const real *g, const real *s, int64_t column,
                          vec sum[NINE_VECS][3])
{
    UNROLL_FOR (int v = 0; v < NINE_VECS; v++) {
        const vec gv = v_load(g + v * VW);
        UNROLL_FOR (int x = tap; x < tap + taps; x++)
            sum[v][x] = v_fma(gv, v_load(s + v * VW + x * column), sum[v][x]);
    }
}

/* Rows, line of taps by line: memory is read as it lies. */
static void weigh_by_taps(const struct weighed_rows *w, const real *g, const real *s, real *sums)
{
    const struct cvg_frame *const f = w->frame;
    const int64_t column = f->column, step = f->step[1] * column, g_step = w->gradient_step;
    s += f->first[1] * column;
    for (int y = 0; y < 3; y++) {
        vec sum[NINE_VECS][3];
        UNROLL_FOR (int v = 0; v < NINE_VECS; v++)
            UNROLL_FOR (int x = 0; x < 3; x++)
                sum[v][x] = v_load(sums + (3 * y + x) * w->sums_tap + v * VW);
        for (int64_t r = 0; r < w->rows; r++) {
            const int64_t row = w->row + r * f->step[0] + y;
            const real *t = s + row * f->row, *h = g + r * w->gradient_row;
            if (row < 0 || row >= f->extent[0])
                continue;
            if (w->begins) {
                weigh_taps_at(1, 2, h, t, column, sum);
                h += g_step;
                t += step;
            }
            for (const real *const end = h + w->inner * g_step; h != end; h += g_step, t += step)
                weigh_taps_at(0, 3, h, t, column, sum);
            if (w->ends)
                weigh_taps_at(0, 2, h, t, column, sum);
        }
        UNROLL_FOR (int v = 0; v < NINE_VECS; v++)
            UNROLL_FOR (int x = 0; x < 3; x++)
                v_store(sums + (3 * y + x) * w->sums_tap + v * VW, sum[v][x]);
    }
}

/* Turns to the columns of the gradient from i on, at most so many; inner: those before what is outside. */
INLINE int64_t weigh_nine_columns(struct weighed_rows *w, int64_t i, int64_t count, int64_t most, int64_t inner)
{
    const int64_t now = count - i <= most ? count - i : most;
    w->begins = i == 0 && w->frame->first[1] < 0;
    w->ends = i + now > inner;
    w->inner = now - w->begins - w->ends;
    return now;
}

/*
 * Whether several vectors of a column are read before the next one, for one line of taps after the other: memory is
 * read nearly as it lies, but rows three times.
 */
static int nine_is_by_taps(const struct cvg_frame *f, int64_t count)
{
    const int64_t column = f->column * (int64_t)sizeof(real);
    const int strides = f->step[1] == 2, wide = count + strides > NINE_COLUMNS;
    if (sizeof(vec) < NINE_LINE)
        return !f->asks && (strides || wide);
    if (f->asks)
        return column % NINE_MEET == 0 || (strides && count > 2 * NINE_COLUMNS);
    return strides ? wide || column % (2 * NINE_MEET) == 0 : wide && column % (4 * NINE_MEET) == 0;
}

static void weigh_nine(const struct cvg_frame *f, int64_t rows, int64_t count, int64_t width, const void *src,
                       const void *gradient, int64_t gradient_row, int64_t gradient_step, void *sums, int64_t sums_tap)
{
    const int copied = !f->asks && f->column < NINE_CHANNELS; /* or nearly as dense */
    const int64_t step = f->step[1],
                  inner = (f->extent[1] - 3 - f->first[1] + step) / step; /* before what is outside */
    const int by_taps = !copied && nine_is_by_taps(f, count);
    /* From far, whole lines of the cache are read best one by one, along whole rows. */
    const int by_line = !by_taps && f->asks && sizeof(vec) == NINE_LINE && f->column % VW == 0;
    const int64_t channels = by_line ? VW : f->asks ? 2 * NINE_CHANNELS : NINE_CHANNELS;
    const int64_t most = by_line || by_taps || copied ? count : NINE_COLUMNS / step,
                  bytes = count * step * f->column * (int64_t)sizeof(real);
    const int64_t lines = copied ? rows : count <= most && bytes <= NINE_NEAR ? NINE_LINES : 1;
    struct weighed_rows w = {
        .frame = f, .gradient_row = gradient_row, .gradient_step = gradient_step, .sums_tap = sums_tap};
    w.ahead = f->asks ? lines : 0;
    for (int64_t begin = 0, end; begin < width; begin = end) {
        end = begin + channels < width ? begin + channels : width;
        for (int64_t r = 0; r < rows; r += w.rows) {
            w.row = f->first[0] + r * f->step[0];
            w.rows = rows - r < lines ? rows - r : lines;
            for (int64_t i = 0, now; i < count; i += now) {
                now = weigh_nine_columns(&w, i, count, most, inner);
                const real *const g = (const real *)gradient + r * gradient_row + i * gradient_step;
                const real *const s = (const real *)src + i * step * f->column;
                int64_t l = begin;
                for (; by_taps && l + NINE_VECS * VW <= end; l += NINE_VECS * VW)
                    weigh_by_taps(&w, g + l, s + l, (real *)sums + l);
                for (; l + VW <= end; l += VW)
                    weigh_nine_rows(0, &w, g + l, s + l, (real *)sums + l);
#ifndef NARROW_KERNELS
                if (l < end)
                    weigh_nine_rest(end - l, &w, g + l, s + l, (real *)sums + l);
#endif
            }
        }
    }
#ifdef NARROW_KERNELS
    const int64_t done = width / VW * VW;
    if (done < width)
        NARROW_KERNELS.weigh_nine(f, rows, count, width - done, (const real *)src + done, (const real *)gradient + done,
                                  gradient_row, gradient_step, (real *)sums + done, sums_tap);
#endif
}
