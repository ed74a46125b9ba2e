#include "positions.h"

int64_t cvg_positions_count(const struct cvg_positions *w)
{
    int64_t count = 1;
    for (int64_t i = 0; i < w->levels; i++)
        count *= w->count[i];
    return count;
}

void cvg_positions_copy(const struct cvg_kernels *kernels, const struct cvg_positions *w, const int64_t *step,
                        const char *from, int64_t width, char *to, int64_t to_step)
{
    const int64_t size = (int64_t)kernels->size, inner = w->count[w->levels - 1];
    int64_t at[CVG_LEVELS] = {0};
    for (int64_t lines = cvg_positions_count(w) / inner; lines > 0; lines--, to += inner * to_step * size) {
        int64_t offset = 0;
        for (int64_t i = 0; i < w->levels - 1; i++)
            offset += at[i] * step[i];
        kernels->copy(to, to_step, from + offset * size, step[w->levels - 1], 1, inner, width);
        for (int64_t i = w->levels - 2; i >= 0 && ++at[i] == w->count[i]; i--)
            at[i] = 0;
    }
}

void cvg_positions_copied(const struct cvg_positions *w, int64_t to_step, int64_t *step)
{
    for (int64_t i = w->levels - 1; i >= 0; to_step *= w->count[i--])
        step[i] = to_step;
}
