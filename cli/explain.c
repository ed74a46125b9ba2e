/*
 * What the two methods compute on the way, element by element.
 *
 * Nothing here is fast, and nothing but the final check calls the library: each
 * array is built by the formula that names it.
 */
#include "explain.h"
#include "geometry.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

enum { MOST_STEPS = 200 };

/* ---- elements ---- */

/* The element of x or delta_out that cell (row, j) of a column matrix stands for, or -1. */
static int64_t source(const struct geometry *g, int64_t row, int64_t j)
{
    const int64_t at = geometry_meet(g, row % g->out_size, j % g->filter_size);
    return at < 0 ? -1 : (row / g->out_size * g->C + j / g->filter_size) * g->in_size + at;
}

int64_t explain_place(const struct explanation *e, int64_t row, int64_t j)
{
    const struct geometry g = geometry_of(&e->conv);
    return source(&g, row, j);
}

static double get(const struct explanation *e, enum explained which, int64_t index)
{
    return array_get(&e->array[which], index);
}

static void set(struct explanation *e, enum explained which, int64_t index, double value)
{
    array_set(&e->array[which], index, value);
}

static void add(struct explanation *e, enum explained which, int64_t index, double value)
{
    set(e, which, index, get(e, which, index) + value);
}

/* Makes an array of batch x channels x the axes that the rank has. */
static void new_tensor(struct explanation *e, enum explained which, int64_t batch, int64_t channels,
                       const int64_t size[3])
{
    int64_t shape[5] = {batch, channels};
    cvg_error error;
    const int dims = e->conv.spatial_dims;
    for (int i = 0; i < dims; i++)
        shape[2 + i] = size[3 - dims + i];
    if (!array_new(&e->array[which], CVG_F64, 2 + dims, shape, &error))
        die(EXIT_WRONG, "%s", error.text);
}

static void new_matrix(struct explanation *e, enum explained which, int64_t rows, int64_t columns)
{
    cvg_error error;
    const int64_t shape[2] = {rows, columns};
    if (!array_new(&e->array[which], CVG_F64, 2, shape, &error))
        die(EXIT_WRONG, "%s", error.text);
}

/* c[i][j] += sum over l of a * b, where a and b may be read transposed. */
static void multiply(struct explanation *e, enum explained a, int a_transposed, enum explained b, int b_transposed,
                     enum explained c)
{
    const int64_t *as = e->array[a].shape, *bs = e->array[b].shape;
    const int64_t m = as[a_transposed], inner = as[!a_transposed], n = bs[!b_transposed];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t l = 0; l < inner; l++)
                add(e, c, i * n + j,
                    get(e, a, a_transposed ? l * m + i : i * inner + l) *
                        get(e, b, b_transposed ? j * inner + l : l * n + j));
}

/* ---- method 2 ---- */

static void method_2_forward(struct explanation *e, const struct geometry *g)
{
    const int64_t taps = g->C * g->filter_size;
    new_matrix(e, COL_X, g->N * g->out_size, taps);
    for (int64_t row = 0; row < g->N * g->out_size; row++)
        for (int64_t j = 0; j < taps; j++) {
            const int64_t at = source(g, row, j);
            if (at >= 0)
                set(e, COL_X, row * taps + j, get(e, X, at));
        }
    new_matrix(e, COL_W, taps, g->K);
    for (int64_t j = 0; j < taps; j++)
        for (int64_t k = 0; k < g->K; k++) {
            const int64_t c = j / g->filter_size;
            if (c / g->Cg == k / g->Kg) /* other groups' channels have weight 0 */
                set(e, COL_W, j * g->K + k, get(e, W, (k * g->Cg + c % g->Cg) * g->filter_size + j % g->filter_size));
        }
    new_tensor(e, Y, g->N, g->K, g->out);
    for (int64_t row = 0; row < g->N * g->out_size; row++)
        for (int64_t k = 0; k < g->K; k++)
            for (int64_t j = 0; j < taps; j++)
                add(e, Y, (row / g->out_size * g->K + k) * g->out_size + row % g->out_size,
                    get(e, COL_X, row * taps + j) * get(e, COL_W, j * g->K + k));
}

static void method_2_backward(struct explanation *e, const struct geometry *g)
{
    const int64_t rows = g->N * g->out_size, taps = g->C * g->filter_size;
    const double mean = g->N ? 1.0 / (double)g->N : 1;
    new_matrix(e, DELTA_IN_2D, rows, g->K);
    new_matrix(e, DB, g->K, 1);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t k = 0; k < g->K; k++) {
            const double d = get(e, DELTA_IN, (row / g->out_size * g->K + k) * g->out_size + row % g->out_size);
            set(e, DELTA_IN_2D, row * g->K + k, d);
            add(e, DB, k, d);
        }
    for (int64_t k = 0; k < g->K; k++)
        set(e, DB, k, get(e, DB, k) * mean);

    new_matrix(e, DW_COL, taps, g->K);
    multiply(e, COL_X, 1, DELTA_IN_2D, 0, DW_COL);
    new_tensor(e, DW, g->K, g->Cg, g->filter);
    for (int64_t j = 0; j < taps; j++)
        for (int64_t k = 0; k < g->K; k++) {
            const int64_t c = j / g->filter_size;
            const int own = c / g->Cg == k / g->Kg; /* the rest belongs to no weight */
            const double d = own ? get(e, DW_COL, j * g->K + k) * mean : 0;
            set(e, DW_COL, j * g->K + k, d);
            if (own)
                set(e, DW, (k * g->Cg + c % g->Cg) * g->filter_size + j % g->filter_size, d);
        }

    new_matrix(e, DCOL, rows, taps);
    multiply(e, DELTA_IN_2D, 0, COL_W, 1, DCOL);
    new_tensor(e, DELTA_OUT, g->N, g->C, g->in);
    for (int64_t row = 0; row < rows; row++)
        for (int64_t j = 0; j < taps; j++) {
            const int64_t at = source(g, row, j);
            if (at >= 0)
                add(e, DELTA_OUT, at, get(e, DCOL, row * taps + j));
        }
}

/* ---- method 1 ---- */

/* Copies channels of a box into another at an offset; what falls outside is dropped. */
static void place(struct explanation *e, enum explained from, const int64_t from_size[3], enum explained to,
                  const int64_t to_size[3], const int64_t step[3], const int64_t offset[3])
{
    const int64_t from_elements = from_size[0] * from_size[1] * from_size[2];
    const int64_t to_elements = to_size[0] * to_size[1] * to_size[2];
    for (int64_t i = 0; i < e->array[from].count; i++) {
        int64_t at[3];
        geometry_split(i % from_elements, from_size, at);
        for (int axis = 0; axis < 3; axis++)
            at[axis] = at[axis] * step[axis] + offset[axis];
        if (geometry_join(at, to_size) >= 0)
            set(e, to, i / from_elements * to_elements + geometry_join(at, to_size), get(e, from, i));
    }
}

static void method_1_arrays(struct explanation *e, const struct geometry *g)
{
    static const int64_t ones[3] = {1, 1, 1}, zeros[3] = {0, 0, 0};
    int64_t padded[3], full[3], border[3];
    for (int i = 0; i < 3; i++) {
        padded[i] = g->in[i] + g->pad[i] + g->pad_end[i];
        full[i] = g->in[i] + g->extent[i] - 1;
        border[i] = g->extent[i] - 1 - g->pad[i]; /* negative crops: padding past the filter */
    }
    new_tensor(e, INPUT_PADDED, g->N, g->C, padded);
    place(e, X, g->in, INPUT_PADDED, padded, ones, g->pad);
    new_tensor(e, DZ_STRIDE_1, g->N, g->K, g->dense);
    place(e, DELTA_IN, g->out, DZ_STRIDE_1, g->dense, g->stride, zeros);
    new_tensor(e, DZ_PADDED, g->N, g->K, full);
    place(e, DZ_STRIDE_1, g->dense, DZ_PADDED, full, ones, border);
    new_tensor(e, ROT_WEIGHTS, g->K, g->Cg, g->filter);
    for (int64_t i = 0; i < e->array[W].count; i++)
        set(e, ROT_WEIGHTS, i,
            get(e, W, i / g->filter_size * g->filter_size + g->filter_size - 1 - i % g->filter_size));
}

/* The place in a box of base + tap * dilation. */
static int64_t tap_place(const struct geometry *g, const int64_t base[3], int64_t tap, const int64_t size[3])
{
    int64_t at[3];
    geometry_split(tap, g->filter, at);
    for (int i = 0; i < 3; i++)
        at[i] = base[i] + at[i] * g->dilation[i];
    return geometry_join(at, size);
}

/* dW of method 1: input_padded convolved with dz_stride_1. */
static double method_1_dw(const struct explanation *e, const struct geometry *g, int64_t k, int64_t c, int64_t tap)
{
    int64_t padded[3], at[3], padded_size = 1, dense_size = 1;
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        padded[i] = g->in[i] + g->pad[i] + g->pad_end[i];
        padded_size *= padded[i];
        dense_size *= g->dense[i];
    }
    for (int64_t n = 0; n < g->N; n++)
        for (int64_t i = 0; i < dense_size; i++) {
            geometry_split(i, g->dense, at);
            const int64_t channel = n * g->C + k / g->Kg * g->Cg + c;
            sum += get(e, DZ_STRIDE_1, (n * g->K + k) * dense_size + i) *
                   get(e, INPUT_PADDED, channel * padded_size + tap_place(g, at, tap, padded));
        }
    return g->N ? sum / (double)g->N : 0;
}

/* delta_out of method 1: dz_padded convolved with the rotated filters. */
static double method_1_delta_out(const struct explanation *e, const struct geometry *g, int64_t n, int64_t c,
                                 int64_t at)
{
    int64_t full[3], place_[3], full_size = 1;
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        full[i] = g->in[i] + g->extent[i] - 1;
        full_size *= full[i];
    }
    geometry_split(at, g->in, place_);
    for (int64_t k = c / g->Cg * g->Kg; k < (c / g->Cg + 1) * g->Kg; k++)
        for (int64_t tap = 0; tap < g->filter_size; tap++)
            sum += get(e, DZ_PADDED, (n * g->K + k) * full_size + tap_place(g, place_, tap, full)) *
                   get(e, ROT_WEIGHTS, (k * g->Cg + c % g->Cg) * g->filter_size + tap);
    return sum;
}

static void differ(struct explanation *e, double a, double b)
{
    const double difference = fabs(a - b);
    if (!isnan(e->disagreement) && !(difference <= e->disagreement)) /* a NaN stays */
        e->disagreement = difference;
}

/* The largest difference between method 1, method 2 and the library's direct algorithm. */
static void compare_methods(struct explanation *e, const struct geometry *g)
{
    cvg_plan *plan = plan_of(&e->conv, CVG_DIRECT, 1, 1);
    void *workspace = workspace_of(plan);
    struct array *a = e->array;
    double *dx = cli_alloc((size_t)a[X].count, sizeof *dx), *dw = cli_alloc((size_t)a[W].count, sizeof *dw);
    double *db = cli_alloc((size_t)g->K, sizeof *db), *y = cli_alloc((size_t)a[Y].count, sizeof *y);
    const double mean = g->N ? 1.0 / (double)g->N : 1;

    cvg_forward(plan, a[X].data, a[W].data, NULL, y, workspace);
    cvg_backward(plan, a[X].data, a[W].data, a[DELTA_IN].data, dx, dw, db, CVG_OVERWRITE, workspace);
    for (int64_t i = 0; i < a[Y].count; i++)
        differ(e, y[i], get(e, Y, i));
    for (int64_t i = 0; i < a[X].count; i++) {
        differ(e, dx[i], get(e, DELTA_OUT, i));
        differ(e, method_1_delta_out(e, g, i / g->in_size / g->C, i / g->in_size % g->C, i % g->in_size),
               get(e, DELTA_OUT, i));
    }
    for (int64_t i = 0; i < a[W].count; i++) {
        differ(e, dw[i] * mean, get(e, DW, i));
        differ(e, method_1_dw(e, g, i / g->filter_size / g->Cg, i / g->filter_size % g->Cg, i % g->filter_size),
               get(e, DW, i));
    }
    for (int64_t k = 0; k < g->K; k++)
        differ(e, db[k] * mean, get(e, DB, k));
    free(y);
    free(db);
    free(dw);
    free(dx);
    free(workspace);
    cvg_plan_destroy(plan);
}

struct explanation explain(const cvg_conv *conv, struct array x, struct array w, struct array delta_in)
{
    struct explanation e = {.conv = *conv};
    e.conv.type = CVG_F64;
    const struct geometry g = geometry_of(&e.conv);
    e.array[X] = x;
    e.array[W] = w;
    e.array[DELTA_IN] = delta_in;
    method_2_forward(&e, &g);
    method_2_backward(&e, &g);
    method_1_arrays(&e, &g);
    compare_methods(&e, &g);
    return e;
}

void explanation_free(struct explanation *e)
{
    for (int i = 0; i < EXPLAINED; i++)
        array_free(&e->array[i]);
}

/* A tensor of the problem that holds 0, 1, 2, ... as the section's examples do. */
static struct array counting(const cvg_conv *conv, enum explained which)
{
    struct explanation e = {.conv = *conv};
    const struct geometry g = geometry_of(conv);
    if (which == X)
        new_tensor(&e, X, g.N, g.C, g.in);
    else if (which == W)
        new_tensor(&e, W, g.K, g.Cg, g.filter);
    else
        new_tensor(&e, DELTA_IN, g.N, g.K, g.out);
    for (int64_t i = 0; i < e.array[which].count; i++)
        array_set(&e.array[which], i, (double)i);
    return e.array[which];
}

struct explanation explain_counting(const cvg_conv *conv)
{
    return explain(conv, counting(conv, X), counting(conv, W), counting(conv, DELTA_IN));
}

cvg_conv explain_example_conv(int number)
{
    struct problem problem = {.conv = CVG_CONV_INIT};
    cvg_error error;
    if (!problem_parse(&problem, number == 1 ? "mb1ic1ih3oc1kh2ph0" : "mb2ic3ih3oc2kh2ph0", &error))
        die(EXIT_WRONG, "%s", error.text);
    return problem.conv;
}

struct explanation explain_example(int number)
{
    const cvg_conv conv = explain_example_conv(number);
    return explain_counting(&conv);
}

void explain_steps(FILE *out, const struct explanation *whole)
{
    struct explanation sofar = *whole, *e = &sofar; /* with a delta_out of its own */
    const struct geometry g = geometry_of(&e->conv);
    const int64_t rows = e->array[DCOL].shape[0], taps = e->array[DCOL].shape[1];
    const int dims = e->conv.spatial_dims;

    if (rows * taps > MOST_STEPS) {
        fprintf(out, explain_say(e, SAY_TOO_MANY_STEPS), rows * taps, MOST_STEPS);
        return;
    }
    fputs(explain_say(e, SAY_STEPS), out);
    new_tensor(e, DELTA_OUT, g.N, g.C, g.in);
    for (int64_t row = 0; row < rows; row++) {
        fprintf(out, explain_say(e, SAY_STEP), row + 1, row);
        for (int64_t j = 0; j < taps; j++) {
            const int64_t at = source(&g, row, j);
            const double value = get(e, DCOL, row * taps + j);
            int64_t place_[3];
            fprintf(out, "  dcol[%" PRId64 "][%" PRId64 "] = %.8g", row, j, value);
            if (at < 0) {
                fprintf(out, "  %s\n", explain_say(e, SAY_PADDING));
                continue;
            }
            geometry_split(at % g.in_size, g.in, place_);
            fprintf(out, "  %s delta_out[%" PRId64 "][%" PRId64 "]", explain_say(e, SAY_TO), at / g.in_size / g.C,
                    at / g.in_size % g.C);
            for (int axis = 3 - dims; axis < 3; axis++)
                fprintf(out, "[%" PRId64 "]", place_[axis]);
            const double old = get(e, DELTA_OUT, at);
            add(e, DELTA_OUT, at, value);
            fprintf(out, ": %.8g + %.8g = %.8g\n", old, value, get(e, DELTA_OUT, at));
        }
        if (e->array[DELTA_OUT].count <= 32)
            explain_array(out, e, DELTA_OUT);
        fputc('\n', out);
    }
    array_free(&e->array[DELTA_OUT]);
}
