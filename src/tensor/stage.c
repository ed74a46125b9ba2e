#include "stage.h"

enum {
    BYTES = 2 << 20, /* of a stage, about: near caches hold it, */
    EACH = 2,        /* but as many as the weight has, so often, as that is packed in each round */
    LINE = 64 / 4,   /* floats of a cache line */
};

static int64_t lines(int64_t count) { return cvg_times(cvg_ceil_div(count, LINE), LINE); }

struct cvg_stage cvg_stage_of(const struct cvg_shape *s, struct cvg_shape *inner)
{
    const int64_t in = s->C * s->in_size, out = s->K * s->out_size, weight = s->K * s->taps;
    const int64_t bytes = cvg_max(BYTES, cvg_times(EACH * (int64_t)sizeof(float), weight));
    const int64_t fit = cvg_max(1, bytes / (int64_t)sizeof(float) / cvg_plus(in, out));
    struct cvg_stage stage = {.rounds = cvg_ceil_div(s->N, fit)};
    stage.images = s->N ? cvg_ceil_div(s->N, stage.rounds) : 1;
    stage.out = lines(cvg_times(stage.images, in));
    stage.weight = cvg_plus(stage.out, lines(cvg_times(stage.images, out)));
    stage.bias = cvg_plus(stage.weight, lines(weight));
    stage.all = cvg_plus(stage.bias, lines(cvg_max(s->C, s->K)));
    cvg_shape_dense(s, stage.images, inner);
    inner->pairs = s->type == CVG_BF16 ? CVG_PAIRS_LISTED : 0;
    return stage;
}
