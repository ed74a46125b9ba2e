#include "gather.h"

#include <string.h>

struct cvg_gather cvg_gather_of(const struct cvg_shape *s, cvg_pass pass)
{
    return pass == CVG_FORWARD ? (struct cvg_gather){0, s->Kg, s->Cg} : (struct cvg_gather){1, s->Cg, s->Kg};
}

struct cvg_gather_weight cvg_gather_weight(const struct cvg_task *t, const struct cvg_gather *view)
{
    const struct cvg_filters f = cvg_filters_of(t, t->weight);
    return (struct cvg_gather_weight){f.base, t->shape->Kg * f.k, view->gradient ? f.c : f.k,
                                      view->gradient ? f.k : f.c, f.tap};
}

void cvg_pack_weight(const struct cvg_task *t, const struct cvg_gather *view, int64_t g, int64_t m, int width,
                     int64_t l, int64_t l_count, int lanes, char *to)
{
    const struct cvg_shape *s = t->shape;
    const struct cvg_gather_weight weight = cvg_gather_weight(t, view);
    const int64_t size = (int64_t)t->kernels->size;
    const char *from = weight.base + (g * weight.g + m * weight.m + l * weight.l) * size;
    const int64_t taps = s->filter_size, line = taps * lanes;
    const struct cvg_kernels *kernels = t->kernels;
    if (weight.m == 1) { /* rows of m */
        if (width < lanes)
            memset(to, 0, (size_t)(l_count * line * size));
        for (int64_t i = 0; i < (taps == 1 ? 1 : l_count); i++)
            kernels->copy(to + i * line * size, lanes, from + i * weight.l * size, taps == 1 ? weight.l : weight.tap, 1,
                          taps == 1 ? l_count : taps, width);
    } else if (weight.l == taps && weight.tap == 1) { /* one row for each m */
        kernels->turn(to, lanes, lanes, from, weight.m, width, l_count * taps);
    } else if (weight.tap == 1) {
        for (int64_t i = 0; i < l_count; i++)
            kernels->turn(to + i * line * size, lanes, lanes, from + i * weight.l * size, weight.m, width, taps);
    } else { /* l follow each other */
        for (int64_t i = 0; i < taps; i++)
            kernels->turn(to + i * lanes * size, line, lanes, from + i * weight.tap * size, weight.m, width, l_count);
    }
}

void cvg_pack_panel(const struct cvg_task *t, const struct cvg_gather *view, int64_t index, int64_t rows,
                    int64_t weight_size, void *packed)
{
    const int64_t panels = cvg_ceil_div(view->M, rows), g = index / panels, m = index % panels * rows;
    cvg_pack_weight(t, view, g, m, (int)cvg_min(rows, view->M - m), 0, view->L, (int)rows,
                    cvg_at(t, packed, g * weight_size + m * view->L * t->shape->filter_size));
}
