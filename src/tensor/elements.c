/* A tensor's elements one after the other, whatever they mean: how halves are widened and made. */
#include "view.h"

#include <string.h>

struct cvg_view cvg_view_array(cvg_type type, const void *data, int64_t count)
{
    return (struct cvg_view){.base = (char *)data,
                             .type = type,
                             .size = (int64_t)cvg_type_size(type),
                             .channels = 1,
                             .extent = {1, 1, count},
                             .image = count,
                             .channel = count,
                             .step = {count, count, 1}};
}

/* Elements that lie one after the other, from number first on, of count; returns how many, and where they lie. */
static int64_t next_run(const struct cvg_view *v, int64_t n, int64_t first, int64_t count, char **at)
{
    const int last = cvg_view_last(v);
    const int64_t *e = v->extent, *step = v->step;
    const int64_t counts[4] = {last ? e[0] : v->channels, last ? e[1] : e[0], last ? e[2] : e[1],
                               last ? v->channels : e[2]};
    const int64_t steps[4] = {last ? step[0] : v->channel, last ? step[1] : step[0], last ? step[2] : step[1], 1};
    int64_t length = counts[3], offset;
    int level = 2;
    while (level >= 0 && (counts[level] == 1 || steps[level] == length))
        length *= counts[level--];
    if (level < 0 && v->image == length) { /* images follow each other, too */
        *at = v->base + (n * v->image + first) * v->size;
        return count;
    }
    const int64_t run = cvg_min(count, length - first % length);
    offset = first % length;
    for (first /= length; level >= 0; first /= counts[level--])
        offset += first % counts[level] * steps[level];
    *at = v->base + ((n + first) * v->image + offset) * v->size;
    return run;
}

void cvg_read_elements(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t first,
                       int64_t count, float *to)
{
    char *from;
    for (int64_t run; count > 0; first += run, count -= run, to += run) {
        run = next_run(v, n, first, count, &from);
        cvg_view_take(v, kernels, from, 1, run, (char *)to);
    }
}

static const char *position_at(const struct cvg_view *v, int64_t n, int64_t position)
{
    const int64_t row = position / v->extent[2];
    return cvg_view_at(v, n, 0, row / v->extent[1], row % v->extent[1], position % v->extent[2]);
}

void cvg_read_pairs(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t first, int64_t count,
                    float *to)
{
    const int64_t positions = v->extent[0] * v->extent[1] * v->extent[2], pairs = cvg_ceil_div(positions, 2);
    const int64_t channels = v->channels, width = channels * (kernels->pair ? 1 : 2), next = v->step[2] * v->size;
    const int line = cvg_view_is_line(v);
    int64_t n = first / pairs, p = first % pairs;
    for (int64_t run; count > 0; to += run * width, count -= run) {
        const int64_t whole = positions / 2 - p; /* pairs up to the end of the image; 0: at the last, half of one */
        run = line && whole > 0 && (kernels->pair || v->step[2] == channels) ? cvg_min(count, whole) : 1;
        const char *const one = line ? cvg_view_at(v, n, 0, 0, 0, 2 * p) : position_at(v, n, 2 * p);
        const char *const two = whole == 0 ? NULL : line ? one + next : position_at(v, n, 2 * p + 1);
        if (kernels->pair) {
            kernels->pair(to, one, two, 2 * v->step[2], run, channels);
        } else if (two == one + channels * v->size) {
            cvg_view_take(v, kernels, one, 1, run * width, (char *)to);
        } else {
            cvg_view_take(v, kernels, one, 1, channels, (char *)to);
            memset(to + channels, 0, (size_t)channels * sizeof *to);
            if (two)
                cvg_view_take(v, kernels, two, 1, channels, (char *)(to + channels));
        }
        p += run;
        if (p == pairs) {
            p = 0;
            n++;
        }
    }
}

/* A pair of columns, of which some may be outside. */
static void read_pair(const struct cvg_view *v, const struct cvg_kernels *kernels, const char *row, int64_t first,
                      int64_t second, float *to)
{
    const int there[2] = {first >= 0 && first < v->extent[2], second >= 0 && second < v->extent[2]};
    const char *const at[2] = {row + first * v->step[2] * v->size, row + second * v->step[2] * v->size};
    if (there[0])
        kernels->pair(to, at[0], there[1] ? at[1] : NULL, 0, 1, v->channels);
    else if (there[1])
        for (int64_t c = 0; c < v->channels; c++) {
            memset(to + c, 0, sizeof *to);
            memcpy((char *)(to + c) + v->size, at[1] + c * v->size, (size_t)v->size);
        }
    else
        memset(to, 0, (size_t)v->channels * sizeof *to);
}

void cvg_read_rows(const struct cvg_view *v, const struct cvg_kernels *kernels, const struct cvg_columns *columns,
                   int64_t first, int64_t count, float *to)
{
    const int pairs = kernels->pair != NULL;
    const int64_t step = pairs ? columns->step : 1, apart = pairs ? columns->apart : 0, width = v->extent[2];
    for (; count > 0; count--, first++) {
        const int64_t plane = first / v->extent[1];
        const char *const row = cvg_view_at(v, plane / v->extent[0], 0, plane % v->extent[0], first % v->extent[1], 0);
        for (int64_t i = 0, run; i < columns->count; i += run, to += run * v->channels) {
            const int64_t x = columns->first + i * step;
            const char *const at = row + x * v->step[2] * v->size;
            const int inside = x >= 0 && x + apart < width;
            run = inside && (pairs || v->step[2] == v->channels)
                      ? cvg_min(columns->count - i, (width - 1 - apart - x) / step + 1)
                      : 1;
            if (pairs && inside)
                kernels->pair(to, at, at + apart * v->step[2] * v->size, step * v->step[2], run, v->channels);
            else if (pairs)
                read_pair(v, kernels, row, x, x + apart, to);
            else if (inside)
                cvg_view_take(v, kernels, at, 1, run * v->channels, (char *)to);
            else
                memset(to, 0, (size_t)v->channels * sizeof *to);
        }
    }
}

void cvg_write_elements(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t first,
                        int64_t count, const float *sums, const struct cvg_finish *finish)
{
    enum { AT_ONCE = 512 };
    static const float zero = 0;
    const struct cvg_finish positive = {.scale = 1, .bias = &zero};
    const int half = cvg_is_half(v->type), plain = half && finish->scale == 1 && !finish->accumulate;
    float sum[AT_ONCE], old[AT_ONCE];
    char *to;
    for (int64_t run; count > 0; first += run, count -= run, sums += run) {
        run = next_run(v, n, first, plain ? count : cvg_min(count, AT_ONCE), &to);
        /* A sum that has vanished may be -0, or 0 if there is padding, of which forms have more or less. */
        if (!plain)
            kernels->put(sum, 1, sums, 1, run, &positive);
        if (!half) {
            kernels->put(to, 1, sum, 1, run, finish);
            continue;
        }
        if (finish->accumulate)
            kernels->half[v->type - CVG_BF16].widen(old, to, 1, run);
        if (!plain)
            kernels->put(old, 1, sum, 1, run, finish);
        kernels->half[v->type - CVG_BF16].narrow(to, 1, plain ? sums : old, run);
    }
}

void cvg_finish_positive(const struct cvg_task *task, char *sums, int lanes, int64_t positions,
                         struct cvg_finish *finish)
{
    const struct cvg_kernels *kernels = task->kernels;
    enum { AT_ONCE = 64 };
    static const float zeros[AT_ONCE];
    const struct cvg_finish scaled = {.scale = finish->scale, .bias = zeros};
    if (!cvg_is_half(task->shape->type) || task->result_type != CVG_F32)
        return;
    for (int l = 0; l < lanes; l += AT_ONCE) {
        char *const at = sums + l * (int64_t)kernels->size;
        kernels->put_lanes(at, lanes, at, lanes, (int)cvg_min(AT_ONCE, lanes - l), positions, &scaled);
    }
    finish->scale = 1;
}
