/* One sample: read, and shifted and reversed at random, keyed by its index in the data set and the epoch. */
#ifndef real
#include "random.h"
#include "trainer.h"

#include <string.h>

struct change {
    int flip;
    int64_t shift[3]; /* of the place that is read, along each of three axes */
};

static struct change draw(const cvg_trainer *t, int64_t index, int64_t epoch)
{
    const struct cvg_random_key key = cvg_random_key(t->recipe.seed, CVG_RANDOM_AUGMENT, 0);
    struct change change = {0};
    uint32_t number[8];
    cvg_random(key, (uint32_t)epoch, (uint64_t)index, 0, number);
    cvg_random(key, (uint32_t)epoch, (uint64_t)index, 1, number + 4);
    change.flip = t->recipe.flip && number[0] >> 31;
    for (int i = 0; i < 3; i++)
        change.shift[i] =
            (int64_t)cvg_random_below(number[2 + 2 * i], number[3 + 2 * i], 2 * (uint64_t)t->recipe.crop + 1) -
            t->recipe.crop;
    return change;
}

#define SELF "sample.c"
#include "twice.h"

int cvt_read_sample(const cvg_trainer *t, const cvg_samples *samples, int64_t index, int64_t epoch, int augment,
                    char *input, char *target, char *scratch)
{
    const int changes = augment && (t->recipe.flip || t->recipe.crop) && t->network->input.rank > 0;
    if (samples->read(samples->context, index, changes ? scratch : input, target))
        return 1;
    if (changes) {
        const struct change change = draw(t, index, epoch);
        if (t->network->type == CVG_F32)
            change_f32(&t->network->input, &change, (const float *)(void *)scratch, (float *)(void *)input);
        else
            change_f64(&t->network->input, &change, (const double *)(void *)scratch, (double *)(void *)input);
    }
    return 0;
}

#else

/* One row of the result; from NULL: outside. */
static void OF(change_row)(int64_t width, const struct change *change, const real *from, real *to)
{
    for (int64_t i = 0; i < width; i++) {
        const int64_t at = (change->flip ? width - 1 - i : i) + change->shift[2];
        to[i] = from && at >= 0 && at < width ? from[at] : 0;
    }
}

static void OF(change)(const struct cvt_shape *s, const struct change *change, const real *from, real *to)
{
    int64_t size[3] = {1, 1, 1}, shift[3] = {0, 0, 0};
    for (int i = 0, axis = 3 - s->rank; i < s->rank; i++, axis++) {
        size[axis] = s->size[i];
        shift[axis] = change->shift[axis];
    }
    for (int64_t c = 0; c < s->channels; c++, from += s->pixels)
        for (int64_t d = 0; d < size[0]; d++)
            for (int64_t h = 0; h < size[1]; h++, to += size[2]) {
                const int64_t depth = d + shift[0], row = h + shift[1];
                const int inside = depth >= 0 && depth < size[0] && row >= 0 && row < size[1];
                OF(change_row)(size[2], change, inside ? from + (depth * size[1] + row) * size[2] : NULL, to);
            }
}

#endif
