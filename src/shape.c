/* Every rule a descriptor must keep, and the sentence for each mistake. */
#include "shape.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Of all that counts positions along an axis, so that sums of several of them, padding and steps fit in 64 bits. */
#define MOST_ALONG_AXIS ((int64_t)1 << 60)

enum { MOST_STRUCT = 4096 }; /* no struct of any version is as large: its size was never set */

/* One field, or its entry for an axis (-1: it has none). */
static cvg_status check_range(cvg_error *error, const char *name, int axis, int64_t value, int64_t least, int64_t most)
{
    char index[16] = "";
    if (value >= least && value <= most)
        return CVG_OK;
    if (axis >= 0)
        snprintf(index, sizeof index, "[%d]", axis);
    return cvg_fail(error, CVG_INVALID_ARGUMENT, "%s%s is %" PRId64 "; must be at %s %" PRId64, name, index, value,
                    value < least ? "least" : "most", value < least ? least : most);
}

/* Bytes of an element, stored or computed. */
static size_t element_size(cvg_type type) { return cvg_type_size(cvg_is_half(type) ? CVG_F32 : type); }

/* a * b, or -1 when that (or an operand) does not fit. */
static int64_t times(int64_t a, int64_t b) { return a < 0 || b < 0 || (b && a > INT64_MAX / b) ? -1 : a * b; }

static cvg_status check_fields(const cvg_conv *conv, cvg_error *error)
{
    if (!cvg_type_name(conv->type))
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "type is %d; that is no cvg_type", (int)conv->type);
    const struct {
        const char *name;
        cvg_type type;
    } others[] = {{"grad_type", conv->grad_type}, {"bias_type", conv->bias_type}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].type != CVG_SAME_TYPE && others[i].type != conv->type &&
            !(cvg_is_half(conv->type) && others[i].type == CVG_F32))
            return cvg_fail(error, CVG_INVALID_ARGUMENT, "%s is %d; must be CVG_SAME_TYPE%s, as type is %s",
                            others[i].name, (int)others[i].type, cvg_is_half(conv->type) ? " or CVG_F32" : "",
                            cvg_type_name(conv->type));
    if (conv->spatial_dims < 1 || conv->spatial_dims > 3)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "spatial_dims is %d; must be 1, 2 or 3", conv->spatial_dims);
    if ((int)conv->layout < 0 || conv->layout > CVG_CHANNELS_LAST)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "layout is %d; that is no cvg_layout", (int)conv->layout);
    if ((int)conv->weight_layout < 0 || conv->weight_layout > CVG_RSCK)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "weight_layout is %d; that is no cvg_weight_layout",
                        (int)conv->weight_layout);
    const struct {
        const char *name;
        int64_t value, least;
    } counts[] = {
        {"batch", conv->batch, 0},
        {"in_channels", conv->in_channels, 1},
        {"out_channels", conv->out_channels, 1},
        {"groups", conv->groups, 1},
    };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (check_range(error, counts[i].name, -1, counts[i].value, counts[i].least, INT64_MAX))
            return CVG_INVALID_ARGUMENT;
    const struct {
        const char *name;
        const int64_t *values;
        int64_t least;
    } axes[] = {
        {"in", conv->in, 1},
        {"filter", conv->filter, 1},
        {"stride", conv->stride, 1},
        {"dilation", conv->dilation, 1},
        {"pad_begin", conv->pad_begin, 0},
        {"pad_end", conv->pad_end, 0},
    };
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
        for (int axis = 0; axis < conv->spatial_dims; axis++)
            if (check_range(error, axes[i].name, axis, axes[i].values[axis], axes[i].least, MOST_ALONG_AXIS))
                return CVG_INVALID_ARGUMENT;
    const struct {
        const char *name;
        int64_t value;
    } channels[] = {{"in_channels", conv->in_channels}, {"out_channels", conv->out_channels}};
    for (size_t i = 0; i < 2; i++)
        if (channels[i].value % conv->groups)
            return cvg_fail(error, CVG_INVALID_ARGUMENT, "%s is %" PRId64 "; must be a multiple of groups, %" PRId64,
                            channels[i].name, channels[i].value, conv->groups);
    return CVG_OK;
}

/* The output's size along one axis, or an error. */
static cvg_status check_axis(const cvg_conv *conv, int axis, int64_t *out, cvg_error *error)
{
    const int64_t padded = conv->in[axis] + conv->pad_begin[axis] + conv->pad_end[axis];
    const int64_t reach = times(conv->dilation[axis], conv->filter[axis] - 1); /* from the first tap to the last */
    if (reach < 0 || reach >= padded)
        return cvg_fail(error, CVG_INVALID_ARGUMENT,
                        "filter[%d] is %" PRId64 " with dilation %" PRId64
                        "; it does not fit in the padded input of %" PRId64 " (%" PRId64 " + %" PRId64 " + %" PRId64
                        ")",
                        axis, conv->filter[axis], conv->dilation[axis], padded, conv->in[axis], conv->pad_begin[axis],
                        conv->pad_end[axis]);
    *out = (padded - 1 - reach) / conv->stride[axis] + 1;
    return CVG_OK;
}

/* A tensor of a x b x plane elements must fit in the address space; the fields are those of a and b. */
static cvg_status check_tensor(cvg_error *error, const char *name, const char *a_field, int64_t a, const char *b_field,
                               int64_t b, const char *axes_field, const int64_t axes[3], int64_t plane, size_t size)
{
    const int64_t elements = times(a > 0 ? a : 1, times(b, plane)); /* a plan walks images, even of batch 0 */
    if (elements >= 0 && elements <= (int64_t)(PTRDIFF_MAX / size))
        return CVG_OK;
    if (plane < 0)
        return cvg_fail(error, CVG_INVALID_ARGUMENT,
                        "%s is too large: %s %" PRId64 " x %" PRId64 " x %" PRId64 " do not fit in the address space",
                        name, axes_field, axes[0], axes[1], axes[2]);
    return cvg_fail(error, CVG_INVALID_ARGUMENT,
                    "%s is too large: %s %" PRId64 " x %s %" PRId64 " x %" PRId64
                    " elements do not fit in the address space",
                    name, a_field, a, b_field, b, plane);
}

/*
 * The steps of a tensor of images, from what the caller gave: what is 0 has no gaps.  *span: elements from the first to
 * the last.
 */
static cvg_status read_steps(const cvg_conv *conv, const char *name, const cvg_steps *given, int64_t channels,
                             const int64_t extent[3], cvg_steps *steps, int64_t *span, cvg_error *error)
{
    enum { IMAGE, CHANNEL, PLANE, ROW, COLUMN, AXES };
    static const int inner_first[][AXES] = {[CVG_CHANNELS_FIRST] = {COLUMN, ROW, PLANE, CHANNEL, IMAGE},
                                            [CVG_CHANNELS_LAST] = {CHANNEL, COLUMN, ROW, PLANE, IMAGE}};
    const int missing = 3 - conv->spatial_dims;
    const int64_t most = (int64_t)(PTRDIFF_MAX / element_size(conv->type));
    const int64_t counts[AXES] = {conv->batch > 0 ? conv->batch : 1, channels, extent[0], extent[1], extent[2]};
    int64_t asked[AXES] = {given->image, given->channel}, own[AXES], dense = 1;
    for (int axis = missing; axis < 3; axis++)
        asked[PLANE + axis] = given->axis[axis - missing];
    *span = 1;
    for (int i = 0; i < AXES; i++) {
        const int axis = inner_first[conv->layout][i];
        char field[32];
        snprintf(field, sizeof field, "%s.%s", name, axis == IMAGE ? "image" : axis == CHANNEL ? "channel" : "axis");
        if (asked[axis] &&
            check_range(error, field, axis < PLANE ? -1 : axis - PLANE - missing, asked[axis], dense, i ? most : 1))
            return CVG_INVALID_ARGUMENT;
        own[axis] = asked[axis] ? asked[axis] : dense;
        const int64_t further = times(own[axis], counts[axis] - 1);
        dense = times(own[axis], counts[axis]);
        if (further < 0 || dense < 0 || *span > most - further)
            return cvg_fail(error, CVG_INVALID_ARGUMENT,
                            "%s is %" PRId64 "; so far apart the tensor does not fit in "
                            "the address space",
                            field, own[axis]);
        *span += further;
    }
    *steps = (cvg_steps){own[IMAGE], own[CHANNEL], {own[PLANE], own[ROW], own[COLUMN]}};
    return CVG_OK;
}

cvg_status cvg_struct_read(void *own, size_t size, size_t least, const void *theirs, const char *name, cvg_error *error)
{
    size_t given;
    memcpy(&given, theirs, sizeof given); /* struct_size, the first field of each */
    if (given < least || given > MOST_STRUCT)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "%s.struct_size is %zu; must be %zu (start from cvg_%s_init())",
                        name, given, size, name);
    for (size_t i = size; i < given; i++)
        if (((const char *)theirs)[i])
            return cvg_fail(error, CVG_INVALID_ARGUMENT,
                            "%s.struct_size is %zu; what stands past the %zu bytes that this library knows must be 0",
                            name, given, size);
    memcpy(own, theirs, given < size ? given : size);
    memcpy(own, &size, sizeof size); /* it is one of this library's now */
    return CVG_OK;
}

/* Gives a struct of the caller's defaults: as much as both sides know, then zeros. */
static void init(void *theirs, size_t size, const void *defaults, size_t known)
{
    if (!theirs || size < sizeof size)
        return;
    memset(theirs, 0, size);
    memcpy(theirs, defaults, size < known ? size : known);
    memcpy(theirs, &size, sizeof size);
}

void cvg_conv_init(cvg_conv *conv, size_t size)
{
    static const cvg_conv defaults = CVG_CONV_INIT;
    init(conv, size, &defaults, sizeof defaults);
}

void cvg_options_init(cvg_options *options, size_t size)
{
    static const cvg_options defaults = CVG_OPTIONS_INIT;
    init(options, size, &defaults, sizeof defaults);
}

cvg_status cvg_shape_init(struct cvg_shape *shape, const cvg_conv *conv, cvg_error *error)
{
    if (error)
        error->text[0] = 0;
    if (!conv)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "conv is NULL");
    cvg_conv known = CVG_CONV_INIT;
    if (cvg_struct_read(&known, sizeof known, offsetof(cvg_conv, layout), conv, "conv", error))
        return CVG_INVALID_ARGUMENT;
    conv = &known;
    if (check_fields(conv, error))
        return CVG_INVALID_ARGUMENT;

    struct cvg_shape s = {.type = conv->type, .rank = conv->spatial_dims};
    s.grad_type = conv->grad_type == CVG_SAME_TYPE ? s.type : conv->grad_type;
    s.bias_type = conv->bias_type == CVG_SAME_TYPE ? s.type : conv->bias_type;
    s.N = conv->batch;
    s.C = conv->in_channels;
    s.K = conv->out_channels;
    s.G = conv->groups;
    s.Cg = s.C / s.G;
    s.Kg = s.K / s.G;
    s.in_size = s.filter_size = s.out_size = 1;
    for (int axis = 0; axis < 3; axis++) {
        const int from = axis - (3 - s.rank); /* the user's index of this axis */
        s.in[axis] = s.filter[axis] = s.out[axis] = s.stride[axis] = s.dilation[axis] = 1;
        if (from < 0)
            continue;
        if (check_axis(conv, from, &s.out[axis], error))
            return CVG_INVALID_ARGUMENT;
        s.in[axis] = conv->in[from];
        s.filter[axis] = conv->filter[from];
        s.stride[axis] = conv->stride[from];
        s.dilation[axis] = conv->dilation[from];
        s.pad[axis] = conv->pad_begin[from];
        s.pad_end[axis] = conv->pad_end[from];
        s.in_size = times(s.in_size, s.in[axis]);
        s.filter_size = times(s.filter_size, s.filter[axis]);
        s.out_size = times(s.out_size, s.out[axis]);
    }
    const size_t size = element_size(s.type);
    s.taps = times(s.Cg, s.filter_size);
    if (check_tensor(error, "input", "batch", s.N, "in_channels", s.C, "in", s.in, s.in_size, size) ||
        check_tensor(error, "weight", "out_channels", s.K, "in_channels/groups", s.Cg, "filter", s.filter,
                     s.filter_size, size) ||
        check_tensor(error, "output", "batch", s.N, "out_channels", s.K, "out", s.out, s.out_size, size))
        return CVG_INVALID_ARGUMENT;
    s.layout = conv->layout;
    s.weight_layout = conv->weight_layout;
    if (read_steps(conv, "in_steps", &conv->in_steps, s.C, s.in, &s.in_steps, &s.in_span, error) ||
        read_steps(conv, "out_steps", &conv->out_steps, s.K, s.out, &s.out_steps, &s.out_span, error))
        return CVG_INVALID_ARGUMENT;
    s.weight_k = s.weight_layout == CVG_RSCK ? 1 : s.taps;
    s.weight_c = s.weight_layout == CVG_KCRS ? s.filter_size : s.weight_layout == CVG_KRSC ? 1 : s.K;
    s.weight_tap = s.weight_layout == CVG_KCRS ? 1 : s.weight_layout == CVG_KRSC ? s.Cg : s.Cg * s.K;
    *shape = s;
    return CVG_OK;
}

int cvg_rows_follow(const struct cvg_shape *s)
{
    const int64_t *in = s->in_steps.axis, *out = s->out_steps.axis;
    return in[2] == 1 && cvg_joins(s->in, in, 0) && cvg_joins(s->in, in, 1) && out[2] == 1 &&
           cvg_joins(s->out, out, 0) && cvg_joins(s->out, out, 1);
}

static cvg_steps dense_steps(const struct cvg_shape *s, int64_t channels, const int64_t extent[3], int64_t size)
{
    const int last = s->layout == CVG_CHANNELS_LAST;
    const int64_t pixel = last ? channels : 1, row = extent[2] * pixel;
    return (cvg_steps){channels * size, last ? 1 : size, {extent[1] * row, row, pixel}};
}

void cvg_shape_dense(const struct cvg_shape *s, int64_t images, struct cvg_shape *dense)
{
    *dense = *s;
    dense->type = dense->grad_type = dense->bias_type = CVG_F32;
    dense->N = images;
    dense->in_steps = dense_steps(s, s->C, s->in, s->in_size);
    dense->out_steps = dense_steps(s, s->K, s->out, s->out_size);
    dense->in_span = images * s->C * s->in_size;
    dense->out_span = images * s->K * s->out_size;
}

int cvg_shape_pairs(const struct cvg_shape *s, cvg_pass pass, struct cvg_shape *paired)
{
    *paired = *s;
    cvg_steps *const steps = pass == CVG_FORWARD ? &paired->in_steps : &paired->out_steps;
    int64_t *const all = pass == CVG_FORWARD ? &paired->C : &paired->K;
    int64_t *const each = pass == CVG_FORWARD ? &paired->Cg : &paired->Kg;
    int even = s->type == CVG_BF16 && pass != CVG_GRAD_WEIGHT && s->layout == CVG_CHANNELS_LAST && *each % 2 == 0;
    even &= steps->image % 2 == 0;
    for (int i = 0; i < 3; i++) {
        even &= steps->axis[i] % 2 == 0;
        steps->axis[i] /= 2;
    }
    steps->image /= 2;
    *all /= 2;
    *each /= 2;
    paired->taps = paired->Cg * paired->filter_size;
    paired->pairs = CVG_PAIRS_STORED;
    return even;
}

struct cvg_shape cvg_shape_swapped(const struct cvg_shape *s)
{
    struct cvg_shape other = *s;
    other.C = s->K;
    other.K = s->C;
    other.Cg = other.taps = s->Kg;
    other.Kg = s->Cg;
    other.in_steps = s->out_steps;
    other.out_steps = s->in_steps;
    return other;
}

int cvg_shape_zip(const struct cvg_shape *s, int64_t units, int stored, struct cvg_shape *zipped)
{
    const int64_t most = (int64_t)1 << 40; /* elements, with padding as wide as rows: so sizes fit in 64 bits */
    const int64_t reach = (s->filter[2] - 1) * s->dilation[2];
    const int pixels = cvg_one_tap(s), wide = s->pad[2] > s->in[2] || s->pad_end[2] > s->in[2];
    struct cvg_shape z = *s;
    if (s->type != CVG_BF16 || s->layout != CVG_CHANNELS_LAST || s->C * s->in_size > most ||
        s->K * s->out_size > most || s->K * s->taps > most || (!pixels && (s->out[2] % 2 || wide)))
        return 0;
    for (int i = 0; pixels && i < 3; i++)
        z.in[i] = z.out[i] = z.stride[i] = 1;
    if (pixels)
        z.in[1] = z.out[1] = units;
    else
        z.stride[2] *= stored ? 2 : 1;
    z.out[2] = pixels ? 2 : s->out[2];
    z.out[2] /= stored ? 2 : 1;
    z.in[2] = (z.out[2] - 1) * z.stride[2] + reach + 1; /* with padding */
    z.pad[2] = z.pad_end[2] = 0;
    z.in_size = z.in[0] * z.in[1] * z.in[2];
    z.out_size = z.out[0] * z.out[1] * z.out[2];
    z.pairs = stored ? CVG_PAIRS_ZIPPED : CVG_PAIRS_SWAPPED;
    cvg_shape_dense(&z, pixels ? 1 : units, zipped);
    zipped->N = pixels ? 1 : units;
    return 1;
}

int cvg_shape_flat(const struct cvg_shape *s, struct cvg_shape *flat)
{
    const int first = s->layout == CVG_CHANNELS_FIRST, pixel = s->filter_size == 1 && s->in_size == 1;
    const int64_t *in = s->in_steps.axis;
    int covers = s->out_steps.channel == 1 && !(pixel && !first);
    for (int i = 0; i < 3; i++)
        covers &=
            s->filter[i] == s->in[i] && (s->filter[i] == 1 || s->dilation[i] == 1) && s->pad[i] == 0 && s->out[i] == 1;
    if (first) /* [c][tap] */
        covers &= s->in_steps.channel == s->in_size && (pixel || s->weight_layout == CVG_KCRS);
    else /* [tap][c] */
        covers &= in[2] == s->C && s->G == 1 && s->weight_layout != CVG_KCRS;
    if (!covers || !cvg_joins(s->in, in, 0) || !cvg_joins(s->in, in, 1))
        return 0;
    *flat = *s;
    flat->C = s->C * s->in_size;
    flat->Cg = s->taps;
    for (int i = 0; i < 3; i++) {
        flat->in[i] = flat->filter[i] = flat->stride[i] = flat->dilation[i] = 1;
        flat->pad[i] = flat->pad_end[i] = 0;
        flat->in_steps.axis[i] = flat->C;
        flat->out_steps.axis[i] = flat->K;
    }
    flat->in_size = flat->filter_size = 1;
    flat->in_steps.channel = 1;
    flat->layout = CVG_CHANNELS_LAST;
    flat->weight_c = s->weight_layout == CVG_RSCK ? s->K : 1;
    flat->weight_tap = s->weight_layout == CVG_RSCK ? s->taps * s->K : 1;
    flat->weight_layout = s->weight_layout == CVG_RSCK ? CVG_RSCK : CVG_KCRS;
    return 1;
}
