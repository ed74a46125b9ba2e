/* The kernels that copy, turn and write rows; a part of body.h, which says what it needs. */

/* struct cvg_finish in the kernels' type, for sums of one bias. */
struct finish {
    real scale, bias;
    int biased, accumulate;
};

INLINE struct finish finish_of(const struct cvg_finish *f, int lane)
{
    return (struct finish){(real)f->scale, f->bias ? ((const real *)f->bias)[lane] : 0, f->bias != NULL, f->accumulate};
}

INLINE vec finished(vec sum, vec old, const struct finish *f)
{
    const vec value = v_mul(v_splat(f->scale), sum);
    return f->biased ? v_add(v_splat(f->bias), value) : f->accumulate ? v_add(old, value) : value;
}

/* A base that is a constant where this is inlined: a loop has no question in it. */
enum base { NOTHING, BIAS, OLD };

/* A call with that base: one for each, or, small, one that asks. */
#ifdef SMALL
#define BY_BASE(biased, accumulate, call)                                      \
    do {                                                                       \
        const enum base base = (biased) ? BIAS : (accumulate) ? OLD : NOTHING; \
        call;                                                                  \
    } while (0)
#else
#define BY_BASE(biased, accumulate, call)   \
    do {                                    \
        if (biased) {                       \
            const enum base base = BIAS;    \
            call;                           \
        } else if (accumulate) {            \
            const enum base base = OLD;     \
            call;                           \
        } else {                            \
            const enum base base = NOTHING; \
            call;                           \
        }                                   \
    } while (0)
#endif

INLINE void put_vector(const enum base base, const int streams, real *to, tvec sum, const tvec scale, const tvec bias)
{
    const tvec value = t_mul(scale, sum);
    const tvec finished = base == BIAS ? t_add(bias, value) : base == OLD ? t_add(t_load(to), value) : value;
    if (streams)
        t_stream(to, finished);
    else
        t_store(to, finished);
}

/* Whether so many elements, at places so far apart, are whole lines of the cache that may be streamed. */
INLINE int are_lines(const struct cvg_finish *finish, const void *dst, int64_t step, int64_t count)
{
    enum { LINE = 64 };
    return STREAMS && finish->streams && (uintptr_t)dst % LINE == 0 && step * (int64_t)sizeof(real) % LINE == 0 &&
           count * (int64_t)sizeof(real) % LINE == 0;
}

INLINE real with_base(const enum base base, real old, real value, real bias)
{
    return base == BIAS ? bias + value : base == OLD ? old + value : value;
}

INLINE void put_lines_of(const enum base base, real *dst, int64_t dst_row, int64_t step, const real *src,
                         int64_t src_row, int64_t src_step, int64_t rows, int64_t count, const real scale,
                         const real bias)
{
    const tvec scales = t_splat(scale), biases = t_splat(bias);
    for (int64_t r = 0; r < rows; r++, dst += dst_row, src += src_row) {
        int64_t i = 0;
        for (; step == 1 && src_step == 1 && i + TW <= count; i += TW)
            put_vector(base, 0, dst + i, t_load(src + i), scales, biases);
        for (; src_step == 1 && i < count; i++)
            dst[i * step] = with_base(base, dst[i * step], scale * src[i], bias);
        for (; i < count; i++)
            dst[i * step] = with_base(base, dst[i * step], scale * src[i * src_step], bias);
    }
}

/* Writes lines of finished sums of one bias. */
static void put_lines(real *dst, int64_t dst_row, int64_t step, const real *src, int64_t src_row, int64_t src_step,
                      int64_t rows, int64_t count, const struct finish *f)
{
    BY_BASE(f->biased, f->accumulate,
            put_lines_of(base, dst, dst_row, step, src, src_row, src_step, rows, count, f->scale, f->bias));
}

/* Copies ask for what the next one reads, further down the same plane; the smallest kernels do not. */
enum { COPY_ASKS = sizeof(vec) > 16 };

/* gather() for a step that is a constant where this is inlined. */
INLINE void gather_step(real *dst, const real *src, int64_t step, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        dst[i] = src[i * step];
}

INLINE void gather_2(real *dst, const real *src, int64_t count, int64_t ahead)
{
    if (count <= TW) {
        gather_step(dst, src, 2, count);
        return;
    }
    for (int64_t i = 0; i + TW < count; i += TW) {
        if (COPY_ASKS)
            __builtin_prefetch(src + 2 * i + ahead);
        t_store(dst + i, t_even(t_load(src + 2 * i), t_load(src + 2 * i + TW)));
    }
    /* The last ones, some of them again, read from one before, so as not to read one too many. */
    const real *const last = src + 2 * (count - TW) - 1;
    t_store(dst + count - TW, t_odd(t_load(last), t_load(last + TW)));
}

static void gather(void *dst, const void *src, int64_t step, int64_t count)
{
    switch (step) {
    case 1: memcpy(dst, src, (size_t)count * sizeof(real)); break;
    case 2: gather_2(dst, src, count, 0); break;
    default: gather_step(dst, src, step, count); break;
    }
}

static void copy(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t step, int64_t rows,
                 int64_t count)
{
    const int64_t ahead = rows > 1 ? rows * src_row : 0; /* a single row may have any step to the next */
    real *d = dst;
    const real *s = src;
    for (int64_t r = 0; r < rows; r++, d += dst_row, s += src_row) {
        if (step == 2) {
            gather_2(d, s, count, ahead);
            continue;
        }
        if (step != 1 || count < TW) {
            gather(d, s, step, count);
            continue;
        }
        for (int64_t i = 0; i + TW < count; i += TW) {
            if (COPY_ASKS)
                __builtin_prefetch(s + i + ahead);
            t_store(d + i, t_load(s + i));
        }
        t_store(d + count - TW, t_load(s + count - TW)); /* may write some again */
    }
}

static void put_rows(void *dst, int64_t dst_row, int64_t step, const void *src, int64_t src_row, int64_t rows,
                     int64_t count, const struct cvg_finish *finish)
{
    const struct finish f = finish_of(finish, 0);
    put_lines(dst, dst_row, step, src, src_row, 1, rows, count, &f);
}

enum {
    TURNED = 64 / (TW * sizeof(real)), /* groups of channels that make a line of the cache, unless they are so far */
    ONE_SET = 4096 / sizeof(real)      /* apart that they meet in one set of it: it has few ways */
};

#ifdef V_TURNS
enum { LINE_TURNS = IS_FLOAT ? V_TURNS : TC }; /* positions of a whole line of the cache that are turned at a time */
#else
enum { LINE_TURNS = TC };
#endif

/* Turns some positions of TW channels for each of so many groups, next to each other. */
INLINE void turn_block(const int groups, real *d, int64_t dst_step, const real *s, int64_t step)
{
#ifdef V_TURNS
    if (IS_FLOAT && groups == TURNED) {
        vec block[V_TURNS];
        v_load_turned(block, s, step);
        UNROLL_FOR (int r = 0; r < V_TURNS; r++)
            v_store(d + r * dst_step, block[r]);
        return;
    }
#endif
    UNROLL_FOR (int g = 0; g < groups; g++, s += TW * step) {
        tvec block[TC];
        ONE_ADDRESS(s);
        t_load_turned(block, s, step);
        UNROLL_FOR (int r = 0; r < TC; r++)
            t_store(d + r * dst_step + g * TW, block[r]);
    }
}

/* The same of a row; the last positions may be turned again. */
INLINE void turn_row(const int groups, real *d, int64_t dst_step, const real *s, int64_t step, int64_t count)
{
    const int most = groups == TURNED ? LINE_TURNS : TC;
    for (int64_t left = count, next;; s += next, d += next * dst_step) {
        turn_block(groups, d, dst_step, s, step);
        left -= most;
        if (left <= 0)
            return;
        next = left < most ? left : most;
    }
}

static void turn(void *dst, int64_t dst_row, int64_t dst_step, int lanes, const void *src, int64_t src_row,
                 int64_t step, int width, int64_t rows, int64_t count)
{
    const int whole = width >= TW && count >= TC;
    int l = 0;
#ifndef SMALL
    for (; count >= LINE_TURNS && step % ONE_SET && l + TURNED * TW <= width; l += TURNED * TW)
        for (int64_t r = 0; r < rows; r++)
            turn_row(TURNED, (real *)dst + r * dst_row + l, dst_step, (const real *)src + r * src_row + l * step, step,
                     count);
#endif
    for (; whole && l < width; l += TW) { /* the last channels may be turned again */
        const int at = l + TW <= width ? l : width - TW;
        for (int64_t r = 0; r < rows; r++)
            turn_row(1, (real *)dst + r * dst_row + at, dst_step, (const real *)src + r * src_row + at * step, step,
                     count);
    }
    for (int64_t r = 0; (!whole || width < lanes) && r < rows; r++) {
        real *d = (real *)dst + r * dst_row;
        const real *s = (const real *)src + r * src_row;
        for (int64_t i = 0; i < count; i++, d += dst_step, s++) {
            for (l = whole ? width : 0; l < lanes; l++)
                d[l] = l < width ? s[l * step] : 0;
        }
    }
}

/* unturn() of TW channels and TW positions, or more; the last blocks may write some again, unless they are added. */
INLINE int64_t unturn_blocks(const enum base base, real *d, int64_t step, const real *s, int64_t lanes, int64_t count,
                             real factor, const real *bias)
{
    const tvec scale = t_splat(factor);
    int64_t done = 0;
    while (done + TW <= count || (base != OLD && done < count && count >= TW)) {
        const int64_t at = done + TW <= count ? done : count - TW;
        for (int l = 0; l < TW; l += TC) {
            tvec block[TC];
            t_load_turned(block, s + at * lanes + l, lanes);
            UNROLL_FOR (int i = 0; i < TC; i++)
                put_vector(base, 0, d + (l + i) * step + at, block[i], scale,
                           base == BIAS ? t_splat(bias[l + i]) : scale);
        }
        done = at + TW;
    }
    return done;
}

/* The same of whole lines, each of two vectors, which are streamed. */
INLINE int64_t unturn_lines(const enum base base, real *d, int64_t step, const real *s, int64_t lanes, int64_t count,
                            real factor, const real *bias)
{
    const tvec scale = t_splat(factor);
    for (int64_t at = 0; at < count; at += 2 * TW)
        for (int l = 0; l < TW; l += TC) {
            tvec block[2][TC];
            UNROLL_FOR (int h = 0; h < 2; h++)
                t_load_turned(block[h], s + (at + h * TW) * lanes + l, lanes);
            UNROLL_FOR (int i = 0; i < TC; i++)
                UNROLL_FOR (int h = 0; h < 2; h++)
                    put_vector(base, 1, d + (l + i) * step + at + h * TW, block[h][i], scale,
                               base == BIAS ? t_splat(bias[l + i]) : scale);
        }
    return count;
}

static void unturn(void *dst, int64_t step, const void *src, int64_t lanes, int width, int64_t count,
                   const struct cvg_finish *finish)
{
    const real *s = src, *bias = finish->bias, scale = (real)finish->scale;
    real *d = dst;
    int64_t done = 0;
    int l = 0;
    const int streams = are_lines(finish, dst, step, count);
    for (; l + TW <= width; l += TW)
        BY_BASE(bias, finish->accumulate,
                done = (base != OLD && streams ? unturn_lines : unturn_blocks)(base, d + l * step, step, s + l, lanes,
                                                                               count, scale, bias ? bias + l : NULL));
    for (int m = 0; m < width; m++) {
        const int64_t from = m < l ? done : 0;
        const struct finish f = finish_of(finish, m);
        if (from < count)
            put_lines(d + m * step + from, 0, 1, s + from * lanes + m, 0, lanes, 1, count - from, &f);
    }
}

static void put(void *dst, int64_t dst_step, const void *src, int64_t src_step, int64_t count,
                const struct cvg_finish *finish)
{
    const struct finish f = finish_of(finish, 0);
    put_lines(dst, 0, dst_step, src, 0, src_step, 1, count, &f);
}

/* put_lanes() where scale, old values and biases are what base says. */
INLINE void put_lanes_base(const enum base base, real *d, int64_t dst_step, const real *s, int64_t src_step, int width,
                           int64_t count, real factor, const real *bias, int streams)
{
    const tvec scale = t_splat(factor);
    for (int64_t i = 0; i < count; i++, d += dst_step, s += src_step) {
        int l = 0;
        for (; base != OLD && streams && l + TW <= width; l += TW)
            put_vector(base, 1, d + l, t_load(s + l), scale, base == BIAS ? t_load(bias + l) : scale);
        for (; l + TW <= width; l += TW)
            put_vector(base, 0, d + l, t_load(s + l), scale, base == BIAS ? t_load(bias + l) : scale);
        for (; l < width; l++)
            d[l] = with_base(base, d[l], factor * s[l], base == BIAS ? bias[l] : 0);
    }
}

static void put_lanes(void *dst, int64_t dst_step, const void *src, int64_t src_step, int width, int64_t count,
                      const struct cvg_finish *finish)
{
    const real scale = (real)finish->scale;
    const int streams = are_lines(finish, dst, dst_step, width);
    BY_BASE(finish->bias, finish->accumulate,
            put_lanes_base(base, dst, dst_step, src, src_step, width, count, scale, finish->bias, streams));
}

static void sum(void *dst, int width, const void *src, int64_t images, int64_t image, const int64_t count[3],
                const int64_t step[3])
{
    real partial[FOLD * CVG_SUM_LANES], *const to = dst; /* [position % FOLD][lane] */
    const int along = width == 1 && step[2] == 1;
    memset(partial, 0, (size_t)(FOLD * width) * sizeof *partial);
    for (int64_t n = 0; n < images; n++) {
        int64_t number = 0;
        for (int64_t d = 0; d < count[0]; d++)
            for (int64_t h = 0; h < count[1]; h++) {
                const real *s = (const real *)src + n * image + d * step[0] + h * step[1];
                int64_t i = 0;
                for (; along && i < count[2] && number % FOLD; i++, number++)
                    partial[number % FOLD] += s[i];
                for (; along && i + FOLD <= count[2]; i += FOLD, number += FOLD)
                    for (int l = 0; l < FOLD; l++)
                        partial[l] += s[i + l];
                for (; i < count[2]; i++, number++)
                    for (int l = 0; l < width; l++)
                        partial[number % FOLD * width + l] += s[i * step[2] + l];
            }
    }
    for (int l = 0; l < width; l++) {
        real one[FOLD];
        for (int i = 0; i < FOLD; i++)
            one[i] = partial[i * width + l];
        to[l] = fold_one(one);
    }
}
