#include "stage.h"

enum {
    BYTES = 2 << 20, /* of a stage, about: near caches hold it, */
    EACH = 2,        /* but as many as the weight has, so often, as that is packed in each round */
    LINE = 64 / 4,   /* floats of a cache line */
};

static int64_t lines(int64_t count) { return cvg_times(cvg_ceil_div(count, LINE), LINE); }

/* Rounds of as many units, images or pairs, as fit, of so many floats each. */
static struct cvg_stage rounds_of(const struct cvg_shape *s, int64_t units, int64_t in, int64_t out)
{
    const int64_t bytes = cvg_max(BYTES, cvg_times(EACH * (int64_t)sizeof(float), s->K * s->taps));
    const int64_t fit = cvg_max(1, bytes / (int64_t)sizeof(float) / cvg_plus(in, out));
    struct cvg_stage stage = {.units = units, .rounds = cvg_ceil_div(units, fit)};
    stage.each = units ? cvg_ceil_div(units, stage.rounds) : 1;
    return stage;
}

/* Where tensors begin, of units of so many floats. */
static void lay_out(struct cvg_stage *stage, const struct cvg_shape *s, int64_t in, int64_t out)
{
    stage->in_unit = in;
    stage->out_unit = out;
    stage->out = lines(cvg_times(stage->each, in));
    stage->weight = cvg_plus(stage->out, lines(cvg_times(stage->each, out)));
    stage->bias = cvg_plus(stage->weight, lines(s->K * s->taps));
    stage->all = cvg_plus(stage->bias, lines(cvg_max(s->C, s->K)));
}

struct cvg_stage cvg_stage_of(const struct cvg_shape *s, struct cvg_shape *inner)
{
    const int64_t in = s->C * s->in_size, out = s->K * s->out_size;
    struct cvg_stage stage = rounds_of(s, s->N, in, out);
    lay_out(&stage, s, in, out);
    cvg_shape_dense(s, stage.each, inner);
    inner->pairs = s->type == CVG_BF16 ? CVG_PAIRS_LISTED : 0;
    return stage;
}

int cvg_stage_zip(const struct cvg_shape *s, int stored, struct cvg_shape *zipped, struct cvg_stage *stage)
{
    struct cvg_shape one; /* unit of floats */
    if (!cvg_shape_zip(s, 1, 0, &one))
        return 0;
    *stage = rounds_of(s, cvg_one_tap(s) ? cvg_times(s->N, cvg_ceil_div(s->out_size, 2)) : s->N, s->C * one.in_size,
                       s->K * one.out_size);
    cvg_shape_zip(s, 1, stored, &one);
    lay_out(stage, s, s->C * one.in_size, s->K * one.out_size);
    return cvg_shape_zip(s, stage->each, stored, zipped);
}
