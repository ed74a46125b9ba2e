/*
 * The kernels of one channel's plane as it lies, in a frame of zeros that is not there: filter_frame() and
 * filter_spread(); weigh_frame() is in body_weights.h.  A part of body.h, which says what it needs.
 */

#ifdef PLANE_PAIRS
enum { PAIRED = VW / 2 }; /* Planes of so many columns are pairs, each in a half of a vector. */
#else
enum { PAIRED = 0 };
#define v_load_pair(a, b, lanes) ((void)(b), v_load_mask(a, lanes))
#define v_store_pair(a, b, v, lanes) ((void)(b), v_store_mask(a, v, lanes))
#define v_halves(a, b) ((void)(b), (a))
#endif

enum {
    FRAME_TAPS = 5,                 /* of a line, at most */
    LINE_REALS = 64 / sizeof(real), /* of a line of the cache */
    TOGETHER = 2048 /* elements of results that are walked through, strip by strip, and stay in the first cache */
};

/* Where lanes of a strip of columns meet one tap: from an element of their row on, or of none of it. */
struct lanes {
    int64_t column;
    vmask part[2]; /* of one vector, or of two whose even elements are the lanes; */
    int64_t high;  /* the end of both */
};

INLINE vmask mask_between(int64_t low, int64_t high)
{
    const int64_t from = low < 0 ? 0 : low < VW ? low : VW, to = high < from ? from : high < VW ? high : VW;
    return v_mask((int)from, (int)to);
}

/* Of count lanes, which lie step (1 or 2) apart from a column on. */
static struct lanes lanes_of(int64_t step, int64_t column, int64_t extent, int64_t count)
{
    const int64_t end = column < extent ? extent - column : 0, last = (count - 1) * step + 1;
    const int64_t low = column < 0 ? -column : 0, high = end < last ? end : last;
    struct lanes l = {low < high ? column : 0, {mask_between(low, high), mask_between(low - VW, high - VW)}, high};
    return l;
}

/* pair: and as many of the plane that lies so many elements further on. */
INLINE vec lanes_take(const int pair, const struct lanes *l, const real *row, int64_t next)
{
    const real *const p = row + l->column;
    (void)next;
    return pair ? v_load_pair(p, p + next, l->part[0]) : v_load_mask(p, l->part[0]);
}

/* Lanes two apart, in the order of v_even(). */
INLINE vec apart_take(const int full, const int pair, const struct lanes *l, const real *row, int64_t next)
{
    const real *const p = row + l->column;
    if (full)
        return v_even(v_load(p), v_load(p + VW));
    if (pair)
        return v_even(v_load_mask(p, l->part[0]), v_load_mask(p + next, l->part[0]));
    return v_even(v_load_mask(p, l->part[0]), l->high > VW ? v_load_mask(p + VW, l->part[1]) : v_zero());
}

/*
 * Asks for count elements of a row that is read in a plane to come: rows are short, and processors do not see that they
 * follow each other.
 */
INLINE void frame_ask(const real *row, int64_t count)
{
    for (int64_t i = 0; i < count; i += LINE_REALS)
        __builtin_prefetch(row + i);
}

/* A weight of a plane, or of both of a pair. */
INLINE vec frame_weight(const int pair, const struct cvg_frame *f, const real *weight, int64_t y, int64_t x)
{
    const real *const w = weight + y * f->weight_step[0] + x * f->weight_step[1];
    return pair ? v_halves(v_splat(w[0]), v_splat(w[f->weight_next])) : v_splat(w[0]);
}

/* Where tap (0, x) of destinations from column i on lies. */
INLINE int64_t frame_column(const struct cvg_frame *f, const int64_t step, int64_t i, int64_t x)
{
    return f->first[1] + i * step + x * f->tap_step[1];
}

/* What becomes of a row of sums.  A base of -0 changes nothing, not even another -0. */
struct put {
    vec scale, base;
    vmask part; /* lanes that are written, but for full rows */
    int accumulate;
};

/* Of channel c, or of it and the next. */
INLINE vec put_base(const int pair, const struct cvg_finish *f, int64_t c)
{
    const real *const bias = f->bias;
    if (!bias)
        return v_splat((real)-0.0);
    return pair ? v_halves(v_splat(bias[c]), v_splat(bias[c + 1])) : v_splat(bias[c]);
}

INLINE struct put put_of(const struct cvg_finish *f, int64_t left)
{
    return (struct put){v_splat((real)f->scale), put_base(0, f, 0), mask_between(0, left), f->accumulate};
}

/* next: elements to the other plane of a pair. */
INLINE void put_row(const int full, const int pair, real *d, int64_t next, vec sum, const struct put *p)
{
    vec base = p->base;
    int accumulate = p->accumulate;
    ONE_ADDRESS(accumulate); /* asked each time: there is one loop, not one for each answer */
    if (accumulate)
        base = full ? v_load(d) : pair ? v_load_pair(d, d + next, p->part) : v_load_mask(d, p->part);
    sum = v_add(base, v_mul(p->scale, sum));
    if (full)
        v_store(d, sum);
    else if (pair)
        v_store_pair(d, d + next, sum, p->part);
    else
        v_store_mask(d, sum, p->part);
}

/*
 * filter_frame() of a plane and a strip of columns from i on, without stride: each vector of a row is loaded once for
 * all the destinations that it is part of, whose sums walk along with it.
 */
INLINE void frame_square(const int taps, const int full, const int pair, const struct cvg_frame *f,
                         const struct lanes *lanes, int64_t rows, const real *weight, const real *src, real *dst,
                         int64_t dst_row, int64_t next, const struct put *put)
{
    const int64_t up = f->tap_step[0], begin = up < 0 ? rows - 1 : 0, line = f->row, extent = f->extent[0];
    struct lanes part[FRAME_TAPS];
    vec w[FRAME_TAPS * FRAME_TAPS], sum[FRAME_TAPS];
    UNROLL_FOR (int x = 0; x < taps; x++)
        part[x] = lanes[x];
    UNROLL_FOR (int j = 0; j < taps * taps; j++)
        w[j] = frame_weight(pair, f, weight, j / taps, j % taps);
    UNROLL_FOR (int y = 0; y < taps; y++)
        sum[y] = v_zero();
    int64_t row = f->first[0] + begin;
    const real *const ahead = src + part[taps / 2].column + (pair ? 2 : 1) * f->next;
    real *d = dst + begin * dst_row;
    dst_row *= up;
    for (int64_t k = 1 - taps; k < rows; k++, row += up) {
        frame_ask(ahead + row * line, VW);
        /* sum[y] is destination k + taps - 1 - y, as they are walked through. */
        if (row >= 0 && row < extent)
            UNROLL_FOR (int x = 0; x < taps; x++) {
                const real *const s = src + row * line;
                const vec v = full ? v_load(s + part[x].column) : lanes_take(pair, &part[x], s, f->next);
                UNROLL_FOR (int y = 0; y < taps; y++)
                    sum[y] = v_fma(w[y * taps + x], v, sum[y]);
            }
        if (k >= 0) {
            put_row(full, pair, d, next, sum[taps - 1], put);
            d += dst_row;
        }
        UNROLL_FOR (int y = taps - 1; y > 0; y--)
            sum[y] = sum[y - 1];
        sum[0] = v_zero();
    }
}

/* The same of three by three taps with stride 2: every other row is part of two destinations. */
INLINE void frame_nine_apart(const int full, const int pair, const struct cvg_frame *f, const struct lanes *lanes,
                             int64_t rows, const real *weight, const real *src, real *dst, int64_t dst_row,
                             int64_t next, const struct put *put)
{
    const struct lanes part[3] = {lanes[0], lanes[1], lanes[2]};
    const int64_t line = f->row, extent = f->extent[0];
    vec w[9], sum = v_zero();
    UNROLL_FOR (int j = 0; j < 9; j++)
        w[j] = frame_weight(pair, f, weight, j / 3, j % 3);
    const real *const ahead = src + part[1].column + (pair ? 2 : 1) * f->next;
    int64_t row = f->first[0];
    for (int64_t k = 0; k <= rows; k++) { /* the last row of destination k - 1 is the first of k */
        vec begun = v_zero();
        frame_ask(ahead + row * line, 2 * VW);
        frame_ask(ahead + (row + 1) * line, 2 * VW);
        if (row >= 0 && row < extent)
            UNROLL_FOR (int x = 0; x < 3; x++) {
                const vec v = apart_take(full, pair, &part[x], src + row * line, f->next);
                sum = v_fma(w[6 + x], v, sum);
                begun = v_fma(w[x], v, begun);
            }
        if (k > 0) {
            put_row(full, pair, dst, next, v_ordered(sum), put);
            dst += dst_row;
        }
        sum = begun;
        row++;
        if (row >= 0 && row < extent)
            UNROLL_FOR (int x = 0; x < 3; x++)
                sum = v_fma(w[3 + x], apart_take(full, pair, &part[x], src + row * line, f->next), sum);
        row++;
    }
}

/* Whether all lanes of a strip are inside, at all taps; two apart, what lies between is, too. */
INLINE int frame_is_full(const struct cvg_frame *f, const int64_t step, int64_t i, int64_t count)
{
    const int64_t a = frame_column(f, step, i, 0), b = frame_column(f, step, i, f->taps[1] - 1);
    return i + VW <= count && (a < b ? a : b) >= 0 && (a < b ? b : a) + step * VW <= f->extent[1];
}

INLINE void frame_strip(const int taps, const int64_t step, const struct cvg_frame *f, int64_t i, int64_t rows,
                        int64_t count, int64_t channels, const real *w, const real *s, real *d, int64_t dst_row,
                        int64_t dst_channel, const struct cvg_finish *finish)
{
    const int64_t left = count - i < VW ? count - i : VW;
    const int full = !FREE_MASKS && frame_is_full(f, step, i, count);
    struct lanes part[FRAME_TAPS];
    struct put put = put_of(finish, left);
    UNROLL_FOR (int x = 0; x < taps; x++)
        part[x] = lanes_of(step, frame_column(f, step, i, x), f->extent[1], left);
    d += i;
    int64_t c = 0;
    if (count <= PAIRED) {
        for (; c + 1 < channels; c += 2, s += 2 * f->next, w += 2 * f->weight_next, d += 2 * dst_channel) {
            put.base = put_base(1, finish, c);
            if (step == 2)
                frame_nine_apart(0, 1, f, part, rows, w, s, d, dst_row, dst_channel, &put);
            else
                frame_square(taps, 0, 1, f, part, rows, w, s, d, dst_row, dst_channel, &put);
        }
    }
    for (; c < channels; c++, s += f->next, w += f->weight_next, d += dst_channel) {
        if (finish->bias)
            put.base = v_splat(((const real *)finish->bias)[c]);
        if (step == 2 && full)
            frame_nine_apart(1, 0, f, part, rows, w, s, d, dst_row, dst_channel, &put);
        else if (step == 2)
            frame_nine_apart(0, 0, f, part, rows, w, s, d, dst_row, dst_channel, &put);
        else if (full)
            frame_square(taps, 1, 0, f, part, rows, w, s, d, dst_row, dst_channel, &put);
        else
            frame_square(taps, 0, 0, f, part, rows, w, s, d, dst_row, dst_channel, &put);
    }
}

/* How many channels of a strip are filtered before the next strip. */
INLINE int64_t frame_channels(int64_t rows, int64_t count, int64_t channels)
{
    const int64_t few = TOGETHER / (rows * count);
    return few < 1 ? 1 : few < channels ? few : channels;
}

static void filter_frame(const struct cvg_frame *f, int64_t rows, int64_t count, int64_t channels, const void *weight,
                         const void *src, void *dst, int64_t dst_row, int64_t dst_channel,
                         const struct cvg_finish *finish)
{
    struct cvg_finish now = *finish;
    for (int64_t c = 0, together; c < channels; c += together) {
        together = frame_channels(rows, count, channels - c);
        const real *const w = (const real *)weight + c * f->weight_next, *const s = (const real *)src + c * f->next;
        real *const d = (real *)dst + c * dst_channel;
        now.bias = finish->bias ? (const real *)finish->bias + c : NULL;
        for (int64_t i = 0; i < count; i += VW)
            if (f->step[1] == 2)
                frame_strip(3, 2, f, i, rows, count, together, w, s, d, dst_row, dst_channel, &now);
            else if (f->taps[1] == 3)
                frame_strip(3, 1, f, i, rows, count, together, w, s, d, dst_row, dst_channel, &now);
            else
                frame_strip(5, 1, f, i, rows, count, together, w, s, d, dst_row, dst_channel, &now);
    }
}

/* Adds what tap line y makes of a row of the source, whose neighbours a and b meet destinations two apart. */
INLINE void spread_line(const int y, const int odd, const int pair, const struct lanes part[2], const real *s,
                        int64_t next, const vec w[9], vec *one, vec *two)
{
    const vec a = lanes_take(pair, &part[0], s, next), b = lanes_take(pair, &part[1], s, next);
    *two = v_fma(w[3 * y + 2], a, v_fma(w[3 * y], b, *two));
    *one = v_fma(w[3 * y + 1], odd ? a : b, *one);
}

/* A strip of filter_spread(), two vectors wide; odd: its first destination has one tap along its row. */
INLINE void spread_strip(const int odd, const int pair, const struct cvg_frame *f, const struct lanes *lanes,
                         int64_t rows, const real *weight, const real *src, real *dst, int64_t dst_row, int64_t next,
                         const struct put put[2])
{
    const struct lanes part[2] = {lanes[0], lanes[1]};
    const int64_t line = f->row, extent = f->extent[0];
    vec w[9];
    UNROLL_FOR (int j = 0; j < 9; j++)
        w[j] = frame_weight(pair, f, weight, j / 3, j % 3);
    const real *const ahead = src + part[1].column + (pair ? 2 : 1) * f->next;
    for (int64_t r = f->first[0]; r < f->first[0] + rows; r++, dst += dst_row) {
        const int64_t row = r / 2; /* of the first line that there is */
        vec one = v_zero(), two = v_zero(), both[2];
        if (r % 2) {
            if (row < extent)
                spread_line(1, odd, pair, part, src + row * line, f->next, w, &one, &two);
        } else {
            frame_ask(ahead + row * line, VW);
            if (row < extent)
                spread_line(0, odd, pair, part, src + row * line, f->next, w, &one, &two);
            if (row > 0 && row <= extent)
                spread_line(2, odd, pair, part, src + (row - 1) * line, f->next, w, &one, &two);
        }
        v_zip(odd ? one : two, odd ? two : one, both);
        put_row(0, 0, dst, 0, both[0], &put[0]);
        put_row(0, 0, dst + (pair ? next : VW), 0, both[1], &put[1]);
    }
}

static void filter_spread(const struct cvg_frame *f, int64_t rows, int64_t count, int64_t channels, const void *weight,
                          const void *src, void *dst, int64_t dst_row, int64_t dst_channel,
                          const struct cvg_finish *finish)
{
    for (int64_t c = 0, together; c < channels; c += together) {
        together = frame_channels(rows, count, channels - c);
        for (int64_t i = 0; i < count; i += 2 * VW) {
            const int64_t column = (f->first[1] + 1 + i) / 2 - 1, extent = f->extent[1];
            const int64_t lanes = PAIRED > 0 && count <= VW ? PAIRED : VW;
            const struct lanes part[2] = {lanes_of(1, column, extent, lanes), lanes_of(1, column + 1, extent, lanes)};
            struct put put[2] = {put_of(finish, count - i), put_of(finish, count - i - VW)};
            struct put of[2] = {put[0], put[0]}; /* each plane of a pair */
            const real *w = (const real *)weight + c * f->weight_next, *s = (const real *)src + c * f->next;
            real *d = (real *)dst + c * dst_channel + i;
            int64_t m = c;
            for (; lanes == PAIRED && m + 1 < c + together; m += 2) {
                of[0].base = put_base(0, finish, m);
                of[1].base = put_base(0, finish, m + 1);
                if (f->first[1] % 2)
                    spread_strip(1, 1, f, part, rows, w, s, d, dst_row, dst_channel, of);
                else
                    spread_strip(0, 1, f, part, rows, w, s, d, dst_row, dst_channel, of);
                w += 2 * f->weight_next;
                s += 2 * f->next;
                d += 2 * dst_channel;
            }
            for (; m < c + together; m++, w += f->weight_next, s += f->next, d += dst_channel) {
                if (finish->bias)
                    put[0].base = put[1].base = v_splat(((const real *)finish->bias)[m]);
                if (f->first[1] % 2)
                    spread_strip(1, 0, f, part, rows, w, s, d, dst_row, 0, put);
                else
                    spread_strip(0, 0, f, part, rows, w, s, d, dst_row, 0, put);
            }
        }
    }
}
