#include "gather.h"

#include <string.h>

struct cvg_gather cvg_gather_of(const struct cvg_shape *s, cvg_pass pass)
{
    return pass == CVG_FORWARD ? (struct cvg_gather){0, s->Kg, s->Cg} : (struct cvg_gather){1, s->Cg, s->Kg};
}

struct cvg_gather_weight cvg_gather_weight(const struct cvg_task *t, const struct cvg_gather *view)
{
    const struct cvg_filters f = cvg_filters_of(t, t->weight);
    const int pairs = view->gradient && cvg_are_pairs(t->shape); /* of k */
    return (struct cvg_gather_weight){f.base, (pairs ? 2 : 1) * t->shape->Kg * f.k, view->gradient ? f.c : f.k,
                                      view->gradient ? f.k : f.c, f.tap};
}

/* Of channels m and l from an address on, as steps say. */
static void pack(const struct cvg_task *t, const char *from, const struct cvg_gather_weight *weight, int width,
                 int64_t l_count, int lanes, char *to)
{
    const int64_t size = (int64_t)t->kernels->size, taps = t->shape->filter_size, line = taps * lanes;
    const struct cvg_kernels *kernels = t->kernels;
    if (weight->m == 1) { /* rows of m */
        if (width < lanes)
            memset(to, 0, (size_t)(l_count * line * size));
        for (int64_t i = 0; i < (taps == 1 ? 1 : l_count); i++)
            kernels->copy(to + i * line * size, lanes, from + i * weight->l * size, taps == 1 ? weight->l : weight->tap,
                          1, taps == 1 ? l_count : taps, width);
    } else if (weight->l == taps && weight->tap == 1) { /* one row for each m */
        kernels->turn(to, 0, lanes, lanes, from, 0, weight->m, width, 1, l_count * taps);
    } else if (weight->tap == 1) {
        kernels->turn(to, line, lanes, lanes, from, weight->l, weight->m, width, l_count, taps);
    } else { /* l follow each other */
        kernels->turn(to, lanes, line, lanes, from, weight->tap, weight->m, width, taps, l_count);
    }
}

void cvg_pack_weight(const struct cvg_task *t, const struct cvg_gather *view, int64_t g, int64_t m, int width,
                     int64_t l, int64_t l_count, int lanes, char *to)
{
    const struct cvg_gather_weight weight = cvg_gather_weight(t, view);
    pack(t, (const char *)cvg_at(t, weight.base, g * weight.g + m * weight.m + l * weight.l), &weight, width, l_count,
         lanes, to);
}

void cvg_pack_pairs(const struct cvg_task *t, const struct cvg_gather *view, int64_t g, int64_t m, int width, int64_t l,
                    int64_t l_count, int lanes, char *to)
{
    enum { ROWS = 16, TERMS = 64 };
    const struct cvg_gather_weight w = cvg_gather_weight(t, view);
    const int64_t taps = t->shape->filter_size, terms = l_count * taps;
    const uint16_t *const from = (const uint16_t *)(const void *)w.base + g * w.g + m * w.m + 2 * l * w.l;
    uint32_t *const pairs = (uint32_t *)(void *)to, rows[ROWS * TERMS];
    if (w.l == 1) { /* pairs lie there */
        const struct cvg_gather_weight steps = {.m = w.m / 2, .l = 1, .tap = w.tap / 2};
        pack(t, (const char *)from, &steps, width, l_count, lanes, to);
        return;
    }
    if (w.m == 1) { /* lanes do */
        if (width < lanes)
            memset(to, 0, (size_t)(terms * lanes) * sizeof *pairs);
        for (int64_t i = 0; i < terms; i++) {
            const uint16_t *const low = from + i / taps * 2 * w.l + i % taps * w.tap;
            t->kernels->pair(pairs + i * lanes, low, low + w.l, 0, 1, width);
        }
        return;
    }
    for (int64_t first = 0; first < terms; first += TERMS)
        for (int lane = 0; lane < lanes; lane += ROWS) {
            const int64_t count = cvg_min(TERMS, terms - first);
            const int real = (int)cvg_max(0, cvg_min(ROWS, width - lane)), all = (int)cvg_min(ROWS, lanes - lane);
            for (int i = 0; i < real; i++) {
                const uint16_t *const own = from + (lane + i) * w.m;
                int64_t pair = first / taps, tap = first % taps;
                for (int64_t j = 0; j < count; j++) {
                    const uint16_t *const low = own + 2 * pair * w.l + tap * w.tap;
                    rows[i * TERMS + j] = low[0] | (uint32_t)low[w.l] << 16;
                    pair += ++tap == taps;
                    tap = tap == taps ? 0 : tap;
                }
            }
            t->kernels->turn(pairs + first * lanes + lane, 0, lanes, all, rows, 0, TERMS, real, 1, count);
        }
}

void cvg_pack_panel(const struct cvg_task *t, const struct cvg_gather *view, int64_t index, int64_t rows,
                    int64_t weight_size, void *packed)
{
    const int64_t panels = cvg_ceil_div(view->M, rows), g = index / panels, m = index % panels * rows;
    cvg_pack_weight(t, view, g, m, (int)cvg_min(rows, view->M - m), 0, view->L, (int)rows,
                    cvg_at(t, packed, g * weight_size + m * view->L * t->shape->filter_size));
}
