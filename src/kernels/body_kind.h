/*
 * One kind of halves by vectors; a part of body_halves.h, which compilers would make slow and long code of otherwise.
 * Included for each kind, with
 *
 *   HALF(name)        its names
 *   WIDEN_VEC(v)      a vector of floats of one of halves, and
 *   NARROW_VEC(v)     back, rounded to nearest even
 */

static void HALF(widen)(void *dst, const void *src, int64_t step, int64_t count)
{
    float *const d = dst;
    const uint16_t *const s = src;
    int64_t i = 0;
    for (; step == 1 && i + VW <= count; i += VW)
        v_store(d + i, WIDEN_VEC(halves_load(s + i, VW)));
    for (; i < count; i += VW)
        lanes_store(d + i,
                    WIDEN_VEC(step == 1 ? halves_load(s + i, count - i) : halves_apart(s + i * step, step, count - i)),
                    count - i);
}

static void HALF(widen_rows)(void *dst, int64_t dst_row, const void *src, int64_t src_row, int64_t rows, int64_t count)
{
    for (int64_t r = 0; r < rows; r++)
        HALF(widen)((float *)dst + r * dst_row, (const uint16_t *)src + r * src_row, 1, count);
}

static void HALF(narrow)(void *dst, int64_t step, const void *src, int64_t count)
{
    for (int64_t i = 0; i < count; i += VW)
        halves_store((uint16_t *)dst + i * step, step,
                     NARROW_VEC(v_add(lanes_load((const float *)src + i, count - i), v_zero())), count - i);
}

INLINE void HALF(put_vec)(const struct cvg_finish *f, uint16_t *d, const float *s, int64_t l, const int64_t left)
{
    vec value = v_mul(v_splat((float)f->scale), lanes_load(s + l, left));
    if (f->bias)
        value = v_add(lanes_load((const float *)f->bias + l, left), value);
    value = v_add(value, v_zero());
    if (f->accumulate && !f->bias)
        value = v_add(WIDEN_VEC(halves_load(d + l, left)), value);
    halves_store(d + l, 1, NARROW_VEC(value), left);
}

static void HALF(put_lanes)(void *dst, int64_t dst_step, const void *src, int64_t src_step, int width, int64_t count,
                            const struct cvg_finish *finish)
{
    const struct cvg_finish own = *finish;
    const float *s = src;
    uint16_t *d = dst;
    for (int64_t i = 0; i < count; i++, d += dst_step, s += src_step) {
        int64_t l = 0;
        for (; l + VW <= width; l += VW)
            HALF(put_vec)(&own, d, s, l, VW);
        if (l < width)
            HALF(put_vec)(&own, d, s, l, width - l);
    }
}

#undef HALF
#undef WIDEN_VEC
#undef NARROW_VEC
