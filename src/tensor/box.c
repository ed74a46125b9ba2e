#include "box.h"

static int64_t gcd(int64_t a, int64_t b)
{
    while (b > 1) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return b ? 1 : a;
}

struct cvg_axis cvg_axis_forward(const struct cvg_shape *s, int axis)
{
    return (struct cvg_axis){
        .step = 1,
        .count = s->out[axis],
        .source_first = -s->pad[axis],
        .source_step = s->stride[axis],
        .source_size = s->in[axis],
        .tap_step = 1,
        .taps = s->filter[axis],
        .tap_source_step = s->dilation[axis],
    };
}

/* a * b mod m for a, b < m, which may not fit in 64 bits. */
static int64_t times_mod(int64_t a, int64_t b, int64_t m)
{
    int64_t product = 0;
    if (b == 0 || a <= INT64_MAX / b)
        return a * b % m;
    for (; b; b /= 2) {
        if (b % 2)
            product = product >= m - a ? product - (m - a) : product + a;
        a = a >= m - a ? a - (m - a) : a + a;
    }
    return product;
}

/* The least r >= 0 with r * dilation = at modulo stride, or -1: r = at/g * (dilation/g)^-1 mod stride/g. */
static int64_t first_tap(int64_t at, int64_t dilation, int64_t stride)
{
    if (dilation == 1) /* the same without divisions, but one */
        return at % stride;
    const int64_t g = gcd(stride, dilation), m = stride / g;
    int64_t old = dilation / g % m, rest = m, inverse = 1, next = 0;
    if (at % g)
        return -1;
    while (rest) { /* inverse * dilation/g = old mod m throughout */
        const int64_t quotient = old / rest, r = old - quotient * rest, i = inverse - quotient * next;
        old = rest;
        rest = r;
        inverse = next;
        next = i;
    }
    return times_mod(at / g % m, (inverse % m + m) % m, m);
}

/*
 * grad_input at h sums over taps r with (h + pad - r*dilation) divisible by
 * stride; the quotient is the output position p.  For h = phase + i*stride that
 * condition does not depend on i, and its solutions r are tap_first plus the
 * multiples of tap_step = stride / gcd(stride, dilation).
 */
struct cvg_axis cvg_axis_phase(const struct cvg_shape *s, int axis, int64_t phase)
{
    const int64_t stride = s->stride[axis], dilation = s->dilation[axis], at = phase + s->pad[axis];
#ifndef __OPTIMIZE_SIZE__
    if (stride == 1) /* the same without divisions */
        return (struct cvg_axis){
            .step = 1,
            .count = s->in[axis],
            .source_first = at,
            .source_step = 1,
            .source_size = s->out[axis],
            .tap_step = 1,
            .taps = s->filter[axis],
            .tap_source_step = -dilation,
        };
#endif
    const int64_t common = gcd(stride, dilation);
    struct cvg_axis a = {
        .first = phase,
        .step = cvg_min(stride, s->in[axis]), /* a longer one is not taken */
        .count = (s->in[axis] - phase - 1) / stride + 1,
        .source_step = 1,
        .source_size = s->out[axis],
        .tap_step = stride / common,
    };
    a.tap_source_step = -(dilation / common);
    const int64_t first = first_tap(at, dilation, stride);
    if (first >= 0 && first < s->filter[axis]) {
        a.tap_first = first;
        a.taps = (s->filter[axis] - 1 - a.tap_first) / a.tap_step + 1;
        a.source_first = (at - a.tap_first * dilation) / stride;
    }
    return a;
}

/*
 * The taps [*first, *end) that meet the source when the destinations meet it, at
 * tap 0, from low to high.
 */
static void meeting_taps(const struct cvg_axis *a, int64_t low, int64_t high, int64_t *first, int64_t *end)
{
    const int falls = a->tap_source_step < 0; /* with the taps: then seen from the source's end */
    const int64_t step = falls ? -a->tap_source_step : a->tap_source_step;
    int64_t rest;
    cvg_inside(falls ? a->source_size - 1 - low : high, step, a->taps, a->source_size, first, &rest);
    cvg_inside(falls ? a->source_size - 1 - high : low, step, a->taps, a->source_size, &rest, end);
    *end = cvg_max(*first, *end);
}

/* Whether destination i of the axis has exactly the taps [first, end); both grow, or fall, with i. */
static int has_taps(const struct cvg_axis *a, int64_t i, int64_t first, int64_t end)
{
    const int64_t source = a->source_first + i * a->source_step;
    int64_t f, e;
    meeting_taps(a, source, source, &f, &e);
    return f == first && e == end;
}

/* The first of destinations first, first + step, ... at or after position at. */
static int64_t from_position(const struct cvg_axis *a, int64_t at)
{
    if (at <= a->first)
        return 0;
    return a->step == 1 ? at - a->first : cvg_ceil_div(at - a->first, a->step);
}

int cvg_run_next(struct cvg_runs *w, struct cvg_run *run)
{
    const int64_t stride = w->shape->stride[w->axis];
    const int64_t phases = w->gradient ? cvg_min(stride, w->end - w->begin) : 1; /* those that it meets */
    for (; w->phase < phases; w->phase++, w->next = 0) {
        const struct cvg_axis a = w->gradient ? cvg_axis_phase(w->shape, w->axis, (w->begin + w->phase) % stride)
                                              : cvg_axis_forward(w->shape, w->axis);
        /* This phase's destinations in [begin, end), and where the walk is among them. */
        const int64_t first = from_position(&a, w->begin), end = from_position(&a, w->end), i = first + w->next;
        if (i >= end)
            continue;
        const int64_t source = a.source_first + i * a.source_step;
        int64_t last = end - 1, tap, tap_end;
        if (w->clip) {
            meeting_taps(&a, source, source, &tap, &tap_end);
            for (int64_t low = i; low < last;) { /* the last one with the same taps */
                const int64_t middle = low + (last - low + 1) / 2;
                if (has_taps(&a, middle, tap, tap_end))
                    low = middle;
                else
                    last = middle - 1;
            }
        } else {
            meeting_taps(&a, source, a.source_first + last * a.source_step, &tap, &tap_end);
        }
        w->next = last + 1 - first;
        *run = (struct cvg_run){
            .at = a.first + i * a.step,
            .step = a.step,
            .count = last + 1 - i,
            .source = source + tap * a.tap_source_step,
            .source_step = a.source_step,
            .tap = a.tap_first + tap * a.tap_step,
            .tap_step = a.tap_step,
            .taps = tap_end - tap,
            .tap_source_step = a.tap_source_step,
        };
        return 1;
    }
    return 0;
}

void cvg_runs_extent(struct cvg_runs runs, int64_t *low, int64_t *high)
{
    struct cvg_run run;
    int any = 0;
    *low = *high = 0;
    while (cvg_run_next(&runs, &run)) {
        if (run.taps == 0)
            continue;
        const int64_t across = (run.taps - 1) * run.tap_source_step;
        const int64_t first = run.source + cvg_min(0, across);
        const int64_t end = run.source + (run.count - 1) * run.source_step + cvg_max(0, across) + 1;
        *low = any ? cvg_min(*low, first) : first;
        *high = any ? cvg_max(*high, end) : end;
        any = 1;
    }
}

struct cvg_axis cvg_axis_part(struct cvg_axis a, int64_t begin, int64_t count)
{
    a.first += begin * a.step;
    a.source_first += begin * a.source_step;
    a.count = count;
    if (a.taps == 0) {
        a.classes = a.length = 0;
        return a;
    }
    /*
     * Taps m and m + period lie a whole number of source steps apart: shift.
     * They share a class, m + period reading the same slots shifted.
     */
    const int64_t apart = a.tap_source_step < 0 ? -a.tap_source_step : a.tap_source_step;
    const int64_t common = gcd(a.source_step, apart);
    a.period = a.source_step / common;
    a.shift = a.tap_source_step / common;
    a.classes = cvg_min(a.period, a.taps);
    const int64_t widest = cvg_times((a.taps - 1) / a.period, apart / common);
    a.lead = a.shift < 0 ? widest : 0;
    a.length = cvg_plus(count, widest);
    if (a.length > cvg_times(a.taps, count) / a.classes) {
        a.period = a.classes = a.taps;
        a.shift = a.lead = 0;
        a.length = count;
    }
    return a;
}

static int64_t slots(const struct cvg_axis *a) { return cvg_times(a->classes, a->length); }

struct cvg_box cvg_box_of(struct cvg_axis depth, struct cvg_axis row, struct cvg_axis column)
{
    struct cvg_box box = {.axis = {depth, row, column}};
    box.cells = cvg_times(depth.length, cvg_times(row.length, column.length));
    box.channel = cvg_times(slots(&depth), cvg_times(slots(&row), slots(&column)));
    return box;
}

int64_t cvg_box_slot(const struct cvg_box *box, int64_t a, int64_t b, int64_t c)
{
    const int64_t tap[3] = {a, b, c};
    int64_t class = 0, at = 0;
    for (int i = 0; i < 3; i++) {
        const struct cvg_axis *x = &box->axis[i];
        class = class * x->classes + tap[i] % x->period;
        at = at * x->length + tap[i] / x->period * x->shift + x->lead;
    }
    return class * box->cells + at;
}

int64_t cvg_terms_go_on(int64_t count, int64_t channels, int64_t *a, int64_t a_step, int64_t *b, int64_t b_step)
{
    for (int64_t i = count; i < channels * count; i++) {
        a[i] = a[i - count] + a_step;
        b[i] = b[i - count] + b_step;
    }
    return channels * count;
}

void cvg_terms_swap(int64_t *a, int64_t *b, int64_t count)
{
    for (int64_t i = 0; i < count; i += 2) {
        const int64_t first[] = {a[i], b[i]};
        a[i] = a[i + 1];
        b[i] = b[i + 1];
        a[i + 1] = first[0];
        b[i + 1] = first[1];
    }
}

int64_t cvg_box_terms(const struct cvg_box *box, const int64_t filter[3], int64_t tap_step, int64_t l_step,
                      int64_t channels, int64_t *weight, int64_t *slot)
{
    const struct cvg_axis *x = box->axis;
    int64_t j = 0;
    for (int64_t a = 0; a < x[0].taps; a++)
        for (int64_t b = 0; b < x[1].taps; b++)
            for (int64_t c = 0; c < x[2].taps; c++, j++) {
                const int64_t t = x[0].tap_first + a * x[0].tap_step;
                const int64_t r = x[1].tap_first + b * x[1].tap_step;
                const int64_t q = x[2].tap_first + c * x[2].tap_step;
                weight[j] = ((t * filter[1] + r) * filter[2] + q) * tap_step;
                slot[j] = cvg_box_slot(box, a, b, c);
            }
    return cvg_terms_go_on(j, channels, weight, l_step, slot, box->channel);
}

/* The slots of one class that lie inside the source, and the coordinate of the first. */
struct inside {
    int64_t low, high, source;
};

static struct inside inside_of(const struct cvg_axis *a, int64_t class)
{
    const int64_t step = a->source_step;
    const int64_t from = a->source_first + class * a->tap_source_step - a->lead * step;
    struct inside in;
    cvg_inside(from, step, a->length, a->source_size, &in.low, &in.high);
    in.source = from + in.low * step;
    return in;
}

void cvg_box_pack(const struct cvg_box *box, const struct cvg_kernels *kernels, const struct cvg_view *source,
                  int64_t channel, int64_t channels, void *packed)
{
    const struct cvg_axis *x = box->axis;
    const int64_t size = (int64_t)kernels->size;
    char *class = packed;
    for (int64_t c0 = 0; c0 < x[0].classes; c0++)
        for (int64_t c1 = 0; c1 < x[1].classes; c1++)
            for (int64_t c2 = 0; c2 < x[2].classes; c2++, class += box->cells * size) {
                const struct inside d = inside_of(&x[0], c0), h = inside_of(&x[1], c1);
                const struct inside w = inside_of(&x[2], c2);
                const int64_t row = h.high - h.low > 1 ? x[1].source_step * source->step[1] : 0;
                if (h.low == h.high || w.low == w.high)
                    continue;
                const char *from = cvg_view_channel(source, channel);
                int64_t left = source->channels - channel % source->channels; /* of this image */
                for (int64_t c = 0; c < channels; c++, from += source->channel * size) {
                    if (left-- == 0) {
                        from += (source->image - source->channels * source->channel) * size;
                        left = source->channels - 1;
                    }
                    for (int64_t i = d.low; i < d.high; i++)
                        kernels->copy(class +
                                          (c * box->channel + (i * x[1].length + h.low) * x[2].length + w.low) * size,
                                      x[2].length,
                                      from + ((d.source + (i - d.low) * x[0].source_step) * source->step[0] +
                                              h.source * source->step[1] + w.source * source->step[2]) *
                                                 size,
                                      row, x[2].source_step * source->step[2], h.high - h.low, w.high - w.low);
                }
            }
}

/* Part sizes from the last axis outwards: whole axes while they fit into positions. */
static void cut(struct cvg_pieces *pieces, const int64_t longest[3], int64_t positions)
{
    pieces->count = 1;
    for (int axis = 2; axis >= 0; axis--) {
        pieces->part[axis] = cvg_min(longest[axis], positions);
        pieces->parts[axis] = cvg_ceil_div(longest[axis], pieces->part[axis]);
        pieces->count = cvg_times(pieces->count, cvg_times(pieces->phases[axis], pieces->parts[axis]));
        positions = cvg_max(1, positions / pieces->part[axis]);
    }
}

struct cvg_pieces cvg_pieces_of(const struct cvg_shape *s, int gradient, int64_t positions)
{
    struct cvg_pieces pieces = {.gradient = gradient};
    struct cvg_axis axis[3];
    int64_t longest[3];
    for (int i = 0; i < 3; i++) {
        pieces.phases[i] = gradient ? cvg_min(s->stride[i], s->in[i]) : 1;
        longest[i] = gradient ? cvg_ceil_div(s->in[i], s->stride[i]) : s->out[i];
    }
    cut(&pieces, longest, positions);
    for (int i = 0; i < 3; i++) {
        struct cvg_axis most = gradient ? cvg_axis_phase(s, i, 0) : cvg_axis_forward(s, i);
        /* No phase has more taps than one that starts at tap 0, nor, there, more slots. */
        most.taps = (s->filter[i] - 1) / most.tap_step + 1;
        axis[i] = cvg_axis_part(most, 0, pieces.part[i]);
    }
    pieces.bound = cvg_box_of(axis[0], axis[1], axis[2]);
    return pieces;
}

int cvg_piece(const struct cvg_shape *s, const struct cvg_pieces *pieces, int64_t index, struct cvg_box *box)
{
    struct cvg_axis axis[3];
    for (int i = 2; i >= 0; i--) {
        const int64_t part = index % pieces->parts[i];
        const int64_t phase = index / pieces->parts[i] % pieces->phases[i];
        index /= pieces->parts[i] * pieces->phases[i];
        const struct cvg_axis whole = pieces->gradient ? cvg_axis_phase(s, i, phase) : cvg_axis_forward(s, i);
        const int64_t begin = part * pieces->part[i];
        const int64_t count = cvg_min(pieces->part[i], whole.count - begin);
        if (count <= 0)
            return 0;
        axis[i] = cvg_axis_part(whole, begin, count);
    }
    *box = cvg_box_of(axis[0], axis[1], axis[2]);
    return 1;
}
