#include "view.h"

#include <string.h>

/* A tensor like the input or, if out, the output. */
static struct cvg_view view_of(const struct cvg_task *t, cvg_type type, const void *data, int out)
{
    const struct cvg_shape *s = t->shape;
    const int64_t *const extent = out ? s->out : s->in;
    const cvg_steps *const steps = out ? &s->out_steps : &s->in_steps;
    return (struct cvg_view){
        .base = (char *)data,
        .type = type,
        .size = (int64_t)(CVG_HALVES ? cvg_type_size(type) : t->kernels->size),
        .channels = out ? s->K : s->C,
        .extent = {extent[0], extent[1], extent[2]},
        .image = steps->image,
        .channel = steps->channel,
        .step = {steps->axis[0], steps->axis[1], steps->axis[2]},
    };
}

struct cvg_view cvg_view_in(const struct cvg_task *t, const void *data) { return view_of(t, t->type, data, 0); }

struct cvg_view cvg_view_out(const struct cvg_task *t, const void *data) { return view_of(t, t->type, data, 1); }

struct cvg_view cvg_view_met(const struct cvg_task *t, const void *data)
{
    struct cvg_view v = cvg_view_in(t, data);
    for (int i = 0; i < 3; i++) {
        v.extent[i] = t->shape->out[i];
        v.step[i] *= t->shape->stride[i];
    }
    return v;
}

struct cvg_view cvg_view_source(const struct cvg_task *t, int gradient)
{
    const cvg_type type = cvg_are_pairs(t->shape) ? CVG_F32 : t->type; /* which is as large as a pair */
    return view_of(t, type, gradient ? t->grad_output : t->input, gradient);
}

struct cvg_view cvg_view_result(const struct cvg_task *t, int gradient)
{
    return view_of(t, t->result_type, t->result, !gradient);
}

int cvg_view_is_line(const struct cvg_view *v)
{
    return cvg_joins(v->extent, v->step, 0) && cvg_joins(v->extent, v->step, 1);
}

void cvg_read_rectangle(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                        const int64_t first[3], const int64_t count[3], char *to)
{
    const int64_t size = (int64_t)kernels->size, plane = count[1] * count[2];
    int64_t low[3], high[3];
    for (int i = 0; i < 3; i++)
        cvg_inside(first[i], 1, count[i], v->extent[i], &low[i], &high[i]);
    const int whole =
        count[2] == v->extent[2] && first[2] == 0 && cvg_joins(v->extent, v->step, 1); /* rows follow each other */
    for (int64_t d = 0; d < count[0]; d++, to += plane * size) {
        const int64_t begin = d < low[0] || d >= high[0] ? count[1] : low[1], end = cvg_max(begin, high[1]);
        memset(to, 0, (size_t)(begin * count[2] * size));
        if (whole && begin < end)
            cvg_view_take(v, kernels, cvg_view_at(v, n, channel, first[0] + d, first[1] + begin, 0), v->step[2],
                          (end - begin) * count[2], to + begin * count[2] * size);
        for (int64_t h = begin; !whole && h < end; h++) {
            char *const row = to + h * count[2] * size;
            memset(row, 0, (size_t)(low[2] * size));
            if (low[2] < high[2])
                cvg_view_take(v, kernels, cvg_view_at(v, n, channel, first[0] + d, first[1] + h, first[2] + low[2]),
                              v->step[2], high[2] - low[2], row + low[2] * size);
            memset(row + high[2] * size, 0, (size_t)((count[2] - high[2]) * size));
        }
        memset(to + end * count[2] * size, 0, (size_t)((count[1] - end) * count[2] * size));
    }
}

/* A rectangle as rows that are as long as can be: whole rows, and whole planes, may follow each other. */
struct rows {
    int64_t planes, rows, length;
};

static struct rows rows_of(const struct cvg_view *v, const int64_t count[3])
{
    const int rows_join = count[2] == v->extent[2] && cvg_joins(v->extent, v->step, 1);
    const int planes_join = rows_join && count[1] == v->extent[1] && cvg_joins(v->extent, v->step, 0);
    return (struct rows){planes_join ? 1 : count[0], rows_join ? 1 : count[1],
                         count[2] * (rows_join ? count[1] : 1) * (planes_join ? count[0] : 1)};
}

enum { ROWS = 16, PLACES = 64 }; /* channels and positions of halves that are turned at a time */

/* Channels first: halves are widened some at a time, and turned. */
static void turn_line(const struct cvg_view *v, const struct cvg_kernels *kernels, const char *from, int width,
                      int64_t count, int lanes, char *to)
{
    float room[ROWS * PLACES];
    if (!cvg_is_half(v->type)) {
        kernels->turn(to, 0, lanes, lanes, from, 0, v->channel, width, 1, count);
        return;
    }
    for (int64_t i = 0; i < count; i += PLACES)
        for (int l = 0; l < lanes; l += ROWS) {
            const int64_t now = cvg_min(PLACES, count - i);
            const int rows = (int)cvg_max(0, cvg_min(ROWS, width - l));
            for (int r = 0; r < rows; r++)
                cvg_view_take(v, kernels, from + ((l + r) * v->channel + i) * v->size, 1, now,
                              (char *)(room + r * PLACES));
            kernels->turn((float *)(void *)to + i * lanes + l, 0, lanes, (int)cvg_min(ROWS, lanes - l), room, 0, PLACES,
                          rows, 1, now);
        }
}

/* A line of positions, turned to lanes, and back. */
static void read_line(const struct cvg_view *v, const struct cvg_kernels *kernels, const char *from, int width,
                      int64_t count, int lanes, char *to)
{
    const int64_t size = (int64_t)kernels->size;
    if (!cvg_view_last(v)) {
        turn_line(v, kernels, from, width, count, lanes, to);
        return;
    }
    if (width == lanes && v->step[2] == width) { /* whole pixels, one after the other */
        cvg_view_take(v, kernels, from, 1, count * width, to);
        return;
    }
    if (cvg_is_half(v->type))
        kernels->half[v->type - CVG_BF16].widen_rows(to, lanes, from, v->step[2], count, width);
    else
        kernels->copy(to, lanes, from, v->step[2], 1, count, width);
    for (int64_t i = 0; width < lanes && i < count; i++)
        memset(to + (i * lanes + width) * size, 0, (size_t)((lanes - width) * size));
}

/* Channels first: sums are turned some at a time, and narrowed. */
static void unturn_halves(const struct cvg_view *v, const struct cvg_kernels *kernels, char *to, int width,
                          int64_t count, int lanes, const float *sums, const struct cvg_finish *finish)
{
    float room[ROWS * PLACES], old[PLACES];
    static const float zero = 0;
    const struct cvg_finish positive = {.scale = 1, .bias = &zero}, add = {.scale = 1, .accumulate = 1};
    for (int64_t i = 0; i < count; i += PLACES)
        for (int l = 0; l < width; l += ROWS) {
            const int64_t now = cvg_min(PLACES, count - i);
            const int rows = (int)cvg_min(ROWS, width - l);
            const struct cvg_finish own = {.scale = finish->scale,
                                           .bias = finish->bias ? (const float *)finish->bias + l : NULL};
            kernels->unturn(room, PLACES, sums + i * lanes + l, lanes, rows, now, &own);
            for (int r = 0; r < rows; r++) {
                char *const row = to + ((l + r) * v->channel + i) * v->size;
                if (finish->accumulate) {
                    kernels->put(room + r * PLACES, 1, room + r * PLACES, 1, now, &positive);
                    kernels->half[v->type - CVG_BF16].widen(old, row, 1, now);
                    kernels->put(old, 1, room + r * PLACES, 1, now, &add);
                }
                kernels->half[v->type - CVG_BF16].narrow(row, 1, finish->accumulate ? old : room + r * PLACES, now);
            }
        }
}

static void write_line(const struct cvg_view *v, const struct cvg_kernels *kernels, char *to, int width, int64_t count,
                       int lanes, const char *sums, const struct cvg_finish *finish)
{
    if (cvg_is_half(v->type) && cvg_view_last(v))
        kernels->half[v->type - CVG_BF16].put_lanes(to, v->step[2], sums, lanes, width, count, finish);
    else if (cvg_is_half(v->type))
        unturn_halves(v, kernels, to, width, count, lanes, (const float *)(const void *)sums, finish);
    else if (cvg_view_last(v))
        kernels->put_lanes(to, v->step[2], sums, lanes, width, count, finish);
    else
        kernels->unturn(to, v->channel, sums, lanes, width, count, finish);
}

void cvg_read_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel, int width,
                    const int64_t first[3], const int64_t count[3], int lanes, void *to)
{
    const struct rows r = rows_of(v, count);
    char *lane = to;
    for (int64_t d = 0; d < r.planes; d++)
        for (int64_t h = 0; h < r.rows; h++, lane += r.length * lanes * (int64_t)kernels->size)
            read_line(v, kernels, cvg_view_at(v, n, channel, first[0] + d, first[1] + h, first[2]), width, r.length,
                      lanes, lane);
}

void cvg_write_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel, int width,
                     const int64_t first[3], const int64_t count[3], int lanes, const void *sums,
                     const struct cvg_finish *finish)
{
    const struct rows r = rows_of(v, count);
    const char *lane = sums;
    for (int64_t d = 0; d < r.planes; d++)
        for (int64_t h = 0; h < r.rows; h++, lane += r.length * lanes * (int64_t)kernels->size)
            write_line(v, kernels, cvg_view_at(v, n, channel, first[0] + d, first[1] + h, first[2]), width, r.length,
                       lanes, lane, finish);
}

void cvg_finish_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                      int width, const int64_t first[3], const int64_t count[3], const struct cvg_finish *finish)
{
    const struct rows r = rows_of(v, count);
    for (int64_t d = 0; d < r.planes; d++)
        for (int64_t h = 0; h < r.rows; h++) {
            char *const line = cvg_view_at(v, n, channel, first[0] + d, first[1] + h, first[2]);
            kernels->put_lanes(line, v->step[2], line, v->step[2], width, r.length, finish);
        }
}

/*
 * The next positions that follow each other, of count from one on: all of a tensor without gaps, else those of a row.
 * Returns how many, and where the first of a channel lies.
 */
static int64_t next_line(const struct cvg_view *v, int64_t n, int64_t channel, int64_t position, int64_t count,
                         char **at)
{
    int64_t place[3];
    cvg_split(position, v->extent, place);
    *at = cvg_view_at(v, n, channel, place[0], place[1], place[2]);
    return cvg_view_is_line(v) ? count : cvg_min(count, v->extent[2] - place[2]);
}

void cvg_read_positions(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                        int width, int64_t position, int64_t count, int lanes, char *to)
{
    char *from;
    for (int64_t length; count > 0; position += length, count -= length, to += length * lanes * v->size) {
        length = next_line(v, n, channel, position, count, &from);
        if (lanes == 1)
            kernels->gather(to, from, v->step[2], length);
        else
            read_line(v, kernels, from, width, length, lanes, to);
    }
}

void cvg_write_positions(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                         int64_t position, int64_t count, const char *sums, const struct cvg_finish *finish)
{
    char *to;
    for (int64_t length; count > 0; position += length, count -= length, sums += length * v->size) {
        length = next_line(v, n, channel, position, count, &to);
        kernels->put(to, v->step[2], sums, 1, length, finish);
    }
}

/* One plane of cvg_read_framed_lanes(). */
static void read_framed_plane(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                              int width, int64_t plane, const int64_t first[2], const int64_t count[2], int lanes,
                              int framed, char *to)
{
    const int64_t vector = lanes * (int64_t)kernels->size, columns = count[1];
    int64_t low, end, left, right;
    cvg_inside(first[0], 1, count[0], v->extent[1], &low, &end);
    cvg_inside(first[1], 1, columns, v->extent[2], &left, &right);

    if (!framed) {
        memset(to, 0, (size_t)(low * columns * vector));
        memset(to + end * columns * vector, 0, (size_t)((count[0] - end) * columns * vector));
    }
    for (int64_t y = low; y < end && !framed; y++) {
        char *const line = to + y * columns * vector;
        memset(line, 0, (size_t)(left * vector));
        memset(line + right * vector, 0, (size_t)((columns - right) * vector));
    }
    if (end <= low || right <= left)
        return;
    const char *from = cvg_view_at(v, n, channel, plane, first[0] + low, first[1] + left);
    to += (low * columns + left) * vector;
    if (!cvg_view_last(v) && !cvg_is_half(v->type))
        kernels->turn(to, columns * lanes, lanes, lanes, from, v->step[1], v->channel, width, end - low, right - left);
    else
        for (int64_t y = low; y < end; y++, from += v->step[1] * v->size, to += columns * vector)
            read_line(v, kernels, from, width, right - left, lanes, to);
}

void cvg_read_framed_lanes(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                           int width, const int64_t first[3], const int64_t count[3], int lanes, int framed, char *to)
{
    const int64_t plane = count[1] * count[2] * lanes * (int64_t)kernels->size;
    int64_t low, end;
    cvg_inside(first[0], 1, count[0], v->extent[0], &low, &end);
    if (!framed) {
        memset(to, 0, (size_t)(low * plane));
        memset(to + end * plane, 0, (size_t)((count[0] - end) * plane));
    }
    for (int64_t d = low; d < end; d++)
        read_framed_plane(v, kernels, n, channel, width, first[0] + d, first + 1, count + 1, lanes, framed,
                          to + d * plane);
}

void cvg_read_copies(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t n, int64_t channel,
                     int64_t width, const int64_t first[3], const int64_t count[3], int64_t m, int64_t copies,
                     int64_t lanes, char *to)
{
    const int64_t pixel = copies * lanes * v->size, row = count[2] * pixel;
    int64_t low[3], high[3];
    for (int i = 0; i < 3; i++)
        cvg_inside(first[i], 1, count[i], v->extent[i], &low[i], &high[i]);
    for (int64_t d = 0; d < count[0]; d++)
        for (int64_t h = 0; h < count[1]; h++, to += row) {
            const int inside = d >= low[0] && d < high[0] && h >= low[1] && h < high[1] && low[2] < high[2];
            const int64_t begin = inside ? low[2] : count[2], end = inside ? high[2] : count[2];
            memset(to, 0, (size_t)(begin * pixel));
            memset(to + end * pixel, 0, (size_t)((count[2] - end) * pixel));
            if (inside)
                kernels->copy_groups(to + begin * pixel, lanes,
                                     cvg_view_at(v, n, 0, first[0] + d, first[1] + h, first[2] + begin), v->step[2],
                                     end - begin, channel, width, m, copies);
        }
}

int64_t cvg_sum_lanes(const struct cvg_view *v) { return cvg_view_last(v) ? CVG_SUM_LANES : 1; }

/* The same order of sums as kernels->sum has, of numbers that are widened line by line. */
static void sum_halves(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t images, int64_t channel,
                       int width, float *sums)
{
    enum { FOLD = 16, AT_ONCE = 512 };
    const struct rows r = rows_of(v, v->extent);
    float partial[CVG_SUM_LANES * FOLD] = {0}, line[AT_ONCE];
    for (int64_t n = 0; n < images; n++) {
        int64_t number = 0;
        for (int64_t row = 0; row < r.planes * r.rows; row++)
            for (int64_t i = 0, count; i < r.length; i += count) {
                const char *from = cvg_view_at(v, n, channel, row / r.rows, row % r.rows, i);
                count = cvg_min(r.length - i, AT_ONCE / width);
                for (int64_t j = 0; j < (width == 1 ? 1 : count); j++)
                    kernels->half[v->type - CVG_BF16].widen(line + j * width, from + j * v->step[2] * v->size,
                                                            width == 1 ? v->step[2] : 1, width == 1 ? count : width);
                for (int64_t j = 0; j < count; j++, number++)
                    for (int l = 0; l < width; l++)
                        partial[l * FOLD + number % FOLD] += line[j * width + l];
            }
    }
    kernels->fold(sums, partial, width);
}

void cvg_sum_positions(const struct cvg_view *v, const struct cvg_kernels *kernels, int64_t images, int64_t channel,
                       int width, void *sums)
{
    const struct rows r = rows_of(v, v->extent);
    if (cvg_is_half(v->type)) {
        sum_halves(v, kernels, images, channel, width, sums);
        return;
    }
    kernels->sum(sums, width, cvg_view_at(v, 0, channel, 0, 0, 0), images, v->image,
                 (const int64_t[3]){r.planes, r.rows, r.length}, v->step);
}

struct cvg_filters cvg_filters_of(const struct cvg_task *t, const void *data)
{
    const struct cvg_shape *s = t->shape;
    return (struct cvg_filters){(char *)data, (int64_t)t->kernels->size, s->weight_k, s->weight_c, s->weight_tap};
}

void cvg_read_filters(const struct cvg_filters *f, const struct cvg_kernels *kernels, int64_t k, int width,
                      int64_t taps, int64_t step, char *to)
{
    if (f->k == 1)
        kernels->copy(to, step, cvg_filter_at(f, k, 0, 0), f->tap, 1, taps, width);
    else
        kernels->turn(to, step, step, width, cvg_filter_at(f, k, 0, 0), f->tap, f->k, width, f->tap == 1 ? 1 : taps,
                      f->tap == 1 ? taps : 1);
}

void cvg_write_filters(const struct cvg_filters *f, const struct cvg_kernels *kernels, int64_t k, int width, int64_t c,
                       int64_t c_count, int64_t tap, int64_t taps, int lanes, const char *sums,
                       const struct cvg_finish *finish)
{
    const int64_t line = taps * lanes * f->size;
    if (f->tap == 1 && f->c == taps) /* channels follow each other */
        kernels->unturn(cvg_filter_at(f, k, c, tap), f->k, sums, lanes, width, c_count * taps, finish);
    else if (f->tap == 1)
        for (int64_t i = 0; i < c_count; i++)
            kernels->unturn(cvg_filter_at(f, k, c + i, tap), f->k, sums + i * line, lanes, width, taps, finish);
    else if (f->k == 1)
        for (int64_t i = 0; i < c_count; i++)
            kernels->put_lanes(cvg_filter_at(f, k, c + i, tap), f->tap, sums + i * line, lanes, width, taps, finish);
    else
        for (int64_t i = 0; i < taps; i++)
            kernels->unturn(cvg_filter_at(f, k, c, tap + i), f->k, sums + i * lanes * f->size, taps * lanes, width,
                            c_count, finish);
}
