#include "view.h"

#include <string.h>

enum { SHORT = 16 }; /* rows as short are turned many at a time, where that is a detour */

/* Channels first, dense. */
static struct cvg_view view_of(const struct cvg_task *t, const void *data, int64_t channels, const int64_t extent[3])
{
    struct cvg_view v = {(char *)data, (int64_t)t->kernels->size, channels, {extent[0], extent[1], extent[2]}, 0, 0,
                         {0}};
    v.step[2] = 1;
    v.step[1] = extent[2];
    v.step[0] = extent[1] * v.step[1];
    v.channel = extent[0] * v.step[0];
    v.image = channels * v.channel;
    return v;
}

struct cvg_view cvg_view_in(const struct cvg_task *t, const void *data)
{
    return view_of(t, data, t->shape->C, t->shape->in);
}

struct cvg_view cvg_view_out(const struct cvg_task *t, const void *data)
{
    return view_of(t, data, t->shape->K, t->shape->out);
}

struct cvg_view cvg_view_source(const struct cvg_task *t, int gradient)
{
    return gradient ? cvg_view_out(t, t->grad_output) : cvg_view_in(t, t->input);
}

struct cvg_view cvg_view_result(const struct cvg_task *t, int gradient)
{
    return gradient ? cvg_view_in(t, t->result) : cvg_view_out(t, t->result);
}

void cvg_read_rectangle(const struct cvg_view *v, int64_t n, int64_t channel, const int64_t first[3],
                        const int64_t count[3], char *to)
{
    const int64_t size = v->size, plane = count[1] * count[2];
    int64_t low[3], high[3];
    for (int i = 0; i < 3; i++)
        cvg_inside(first[i], 1, count[i], v->extent[i], &low[i], &high[i]);
    const int whole = count[2] == v->extent[2] && first[2] == 0; /* rows follow each other */
    for (int64_t d = 0; d < count[0]; d++, to += plane * size) {
        const int64_t begin = d < low[0] || d >= high[0] ? count[1] : low[1], end = cvg_max(begin, high[1]);
        memset(to, 0, (size_t)(begin * count[2] * size));
        if (whole && begin < end)
            memcpy(to + begin * count[2] * size, cvg_view_at(v, n, channel, first[0] + d, first[1] + begin, 0),
                   (size_t)((end - begin) * count[2] * size));
        for (int64_t h = begin; !whole && h < end; h++) {
            char *const row = to + h * count[2] * size;
            memset(row, 0, (size_t)(low[2] * size));
            if (low[2] < high[2])
                memcpy(row + low[2] * size, cvg_view_at(v, n, channel, first[0] + d, first[1] + h, first[2] + low[2]),
                       (size_t)((high[2] - low[2]) * size));
            memset(row + high[2] * size, 0, (size_t)((count[2] - high[2]) * size));
        }
        memset(to + end * count[2] * size, 0, (size_t)((count[1] - end) * count[2] * size));
    }
}

/* A rectangle as rows that are as long as can be: whole rows, and whole planes, follow each other. */
struct rows {
    int64_t planes, rows, length;
};

static struct rows rows_of(const struct cvg_view *v, const int64_t count[3])
{
    const int rows_join = count[2] == v->extent[2], planes_join = rows_join && count[1] == v->extent[1];
    return (struct rows){planes_join ? 1 : count[0], rows_join ? 1 : count[1],
                         count[2] * (rows_join ? count[1] : 1) * (planes_join ? count[0] : 1)};
}

void cvg_read_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel, int width,
                    const int64_t first[3], const int64_t count[3], int lanes, void *to)
{
    const struct rows r = rows_of(v, count);
    char *lane = to;
    for (int64_t d = 0; d < r.planes; d++)
        for (int64_t h = 0; h < r.rows; h++, lane += r.length * lanes * v->size)
            kernels->turn(lane, lanes, cvg_view_at(v, n, channel, first[0] + d, first[1] + h, first[2]), v->channel,
                          width, r.length);
}

void cvg_write_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel, int width,
                     const int64_t first[3], const int64_t count[3], int lanes, const void *sums,
                     const struct cvg_finish *finish)
{
    const struct rows r = rows_of(v, count);
    const char *lane = sums;
    for (int64_t d = 0; d < r.planes; d++)
        for (int64_t h = 0; h < r.rows; h++, lane += r.length * lanes * v->size)
            kernels->unturn(cvg_view_at(v, n, channel, first[0] + d, first[1] + h, first[2]), v->channel, lane, lanes,
                            width, r.length, finish);
}

void cvg_read_framed_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                           int width, const int64_t first[2], const int64_t count[2], int lanes, char *to,
                           char *scratch)
{
    const int64_t vector = lanes * v->size, columns = count[1];
    int64_t low, end, left, right;
    cvg_inside(first[0], 1, count[0], v->extent[1], &low, &end);
    cvg_inside(first[1], 1, columns, v->extent[2], &left, &right);
    const int64_t inside = right - left;
    const int together = inside == v->extent[2] && inside < SHORT && end > low;

    memset(to, 0, (size_t)(low * columns * vector));
    memset(to + end * columns * vector, 0, (size_t)((count[0] - end) * columns * vector));
    if (together)
        kernels->turn(scratch, lanes, cvg_view_at(v, n, channel, 0, first[0] + low, 0), v->channel, width,
                      (end - low) * inside);
    for (int64_t y = low; y < end; y++) {
        char *line = to + y * columns * vector;
        memset(line, 0, (size_t)(left * vector));
        if (together)
            memcpy(line + left * vector, scratch + (y - low) * inside * vector, (size_t)(inside * vector));
        else if (inside)
            kernels->turn(line + left * vector, lanes, cvg_view_at(v, n, channel, 0, first[0] + y, first[1] + left),
                          v->channel, width, inside);
        memset(line + right * vector, 0, (size_t)((columns - right) * vector));
    }
}

struct cvg_filters cvg_filters_of(const struct cvg_task *t, const void *data)
{
    const struct cvg_shape *s = t->shape;
    return (struct cvg_filters){(char *)data, (int64_t)t->kernels->size, s->taps, s->filter_size, 1};
}
