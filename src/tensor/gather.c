#include "gather.h"

#include <string.h>

struct cvg_gather cvg_gather_of(const struct cvg_shape *s, cvg_pass pass)
{
    const struct cvg_gather forward = {
        .M = s->Kg,
        .L = s->Cg,
        .m_step = s->taps,
        .l_step = s->filter_size,
        .source_size = s->in_size,
        .dst_size = s->out_size,
        .source_extent = s->in,
        .dst_extent = s->out,
    };
    const struct cvg_gather grad_input = {
        .gradient = 1,
        .M = s->Cg,
        .L = s->Kg,
        .m_step = s->filter_size,
        .l_step = s->taps,
        .source_size = s->out_size,
        .dst_size = s->in_size,
        .source_extent = s->out,
        .dst_extent = s->in,
    };
    return pass == CVG_FORWARD ? forward : grad_input;
}

void cvg_pack_weight(const struct cvg_task *t, const struct cvg_gather *view, int64_t g,
                     int64_t m, int width, int64_t l, int64_t l_count, int lanes, char *to)
{
    const struct cvg_shape *s = t->shape;
    const int64_t from = g * s->Kg * s->taps + m * view->m_step + l * view->l_step;
    if (view->l_step == s->filter_size) { /* forward: one row for each m */
        t->kernels->turn(to, lanes, cvg_at(t, t->weight, from), view->m_step, width,
                         l_count * s->filter_size);
        return;
    }
    if (s->filter_size == 1) { /* rows of m */
        if (width < lanes)
            memset(to, 0, (size_t)(l_count * lanes) * t->kernels->size);
        t->kernels->copy(to, lanes, cvg_at(t, t->weight, from), view->l_step, 1, l_count, width);
        return;
    }
    for (int64_t i = 0; i < l_count; i++)
        t->kernels->turn(to + i * s->filter_size * lanes * (int64_t)t->kernels->size, lanes,
                         cvg_at(t, t->weight, from + i * view->l_step), view->m_step, width,
                         s->filter_size);
}
