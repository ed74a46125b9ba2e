/* The gradient of a filter of one channel's plane as it lies: weigh_frame().  A part of body.h, after body_frames.h. */

enum { FAR_IMAGES = 1 << 18 }; /* elements that the second cache does not hold */

/* What weigh_frame() is told. */
struct weigh_job {
    const struct cvg_frame *f;
    int64_t images, rows, count;
    const real *src, *gradient;
    int64_t image, gradient_image, gradient_row;
    real *sums;
};

/* Lanes of a strip: of the source at three taps, and of the gradient. */
struct strip {
    vmask source[3][2], gradient;
};

static void strip_of(const struct weigh_job *w, int64_t t, struct strip *s)
{
    const int64_t step = w->f->step[1], left = w->count - t < VW ? w->count - t : VW;
    s->gradient = v_mask(0, (int)left);
    for (int x = 0; x < 3; x++) {
        const struct lanes l = lanes_of(step, frame_column(w->f, step, t, x), w->f->extent[1], left);
        s->source[x][0] = l.part[0];
        s->source[x][1] = l.part[1];
    }
}

/*
 * Adds the products of a strip of a row of the source and the rows of the gradient that meet it, by three lines of taps
 * of which some are on; sure: it is known of which.
 */
INLINE void weigh_strip(const int64_t step, const struct strip *strip, const int sure, int on, const real *s,
                        const real *g, int64_t g_row, vec *sum)
{
    vec from[3];
    UNROLL_FOR (int x = 0; x < 3; x++) {
        from[x] = strip ? v_load_mask(s + x, strip->source[x][0]) : v_load(s + x);
        if (step == 2)
            from[x] =
                v_ordered(v_even(from[x], strip ? v_load_mask(s + x + VW, strip->source[x][1]) : v_load(s + x + VW)));
    }
    UNROLL_FOR (int y = 0; y < 3; y++)
        if (sure ? sure & 1 << y : on & 1 << y) {
            const real *const p = g - y / step * g_row;
            const vec gv = strip ? v_load_mask(p, strip->gradient) : v_load(p);
            UNROLL_FOR (int x = 0; x < 3; x++)
                sum[3 * y + x] = v_fma(gv, from[x], sum[3 * y + x]);
        }
}

INLINE void weigh_row(const int many, const int64_t step, const struct strip *begin, const struct strip *end,
                      const int sure, int on, const real *s, const real *g, int64_t g_row, int64_t count, vec *sum)
{
    int64_t t = FOLD;
    weigh_strip(step, begin, sure, on, s, g, g_row, sum);
    for (; many && t + FOLD < count; t += FOLD)
        weigh_strip(step, NULL, sure, on, s + t * step, g + t, g_row, sum);
    if (many && t < count)
        weigh_strip(step, end, sure, on, s + t * step, g + t, g_row, sum);
}

/* Vector v of all partial sums; many: there may be several strips of columns. */
INLINE void weigh_square(const int many, const int64_t step, const struct weigh_job *w, int64_t v)
{
    const struct cvg_frame *const f = w->f;
    struct strip begin, end;
    vec sum[9];
    strip_of(w, v, &begin);
    strip_of(w, v + (w->count - 1 - v) / FOLD * FOLD, &end);
    const struct strip first = begin, last = end;
    const int64_t g_row = w->gradient_row, rows = (w->rows - 1) * step, count = w->count - v;
    /* Images lie far apart; but what short rows with a stride take is too little to hide that behind. */
    const int asks = w->images > 1 && w->images * w->image >= FAR_IMAGES && (step == 1 || count > FOLD);
    UNROLL_FOR (int j = 0; j < 9; j++)
        sum[j] = v_load(w->sums + j * FOLD + v);
    for (int64_t n = 0; n < w->images; n++) {
        const real *g = w->gradient + n * w->gradient_image + v;
        const real *const plane = w->src + n * w->image + f->first[1] + v * step;
        /* The next image, or channel. */
        const int64_t all = w->images - 1, last_one = n == all;
        const int64_t ahead = last_one ? f->extent[0] * f->row - all * w->image : w->image;
        const int64_t g_ahead = last_one ? w->rows * g_row - all * w->gradient_image : w->gradient_image;
        for (int64_t k = 0; k < rows + 3; k++) {
            const int64_t row = f->first[0] + k;
            const int inside = row >= 0 && row < f->extent[0];
            const real *const s = plane + (inside ? row * f->row : 0);
            if (asks)
                frame_ask(s + ahead, count * step);
            if (asks && (step == 1 || k % 2))
                frame_ask(g + g_ahead, count);
            if (inside && k >= 2 && k <= rows) {
                if (step == 1)
                    weigh_row(many, step, &first, &last, 7, 0, s, g, g_row, count, sum);
                else if (k % 2)
                    weigh_row(many, step, &first, &last, 2, 0, s, g, g_row, count, sum);
                else
                    weigh_row(many, step, &first, &last, 5, 0, s, g, g_row, count, sum);
            } else if (inside) {
                int on = step == 1 ? 7 : k % 2 ? 2 : 5;
                on &= (k <= rows) | (k >= 1 && k <= rows + 1) << 1 | (k >= 2) << 2;
                weigh_row(many, step, &first, &last, 0, on, s, g, g_row, count, sum);
            }
            if (step == 1 || k % 2)
                g += g_row;
        }
    }
    UNROLL_FOR (int j = 0; j < 9; j++)
        v_store(w->sums + j * FOLD + v, sum[j]);
}

static void weigh_frame(const struct cvg_frame *f, int64_t images, int64_t rows, int64_t count, const void *src,
                        const void *gradient, int64_t gradient_image, int64_t gradient_row, void *sums)
{
    const struct weigh_job w = {f, images, rows, count, src, gradient, f->next, gradient_image, gradient_row, sums};
    for (int64_t v = 0; v < FOLD && v < count; v += VW)
        if (f->step[1] == 2)
            weigh_square(1, 2, &w, v);
        else if (count - v > FOLD)
            weigh_square(1, 1, &w, v);
        else
            weigh_square(0, 1, &w, v);
}
