/* Data sets in memory: a sample of an array becomes one of the network's type. */
#ifndef real
#include "network.h"

#include <string.h>

#define SELF "arrays.c"
#include "twice.h"

/* count elements of an array from element first on; 1 if they are stored in no way that is known. */
static int take(const cvg_network *n, cvg_stored stored, const void *from, int64_t first, int64_t count, void *to)
{
    const size_t size = stored == CVG_STORED_U8 ? 1 : stored == CVG_STORED_F32 ? sizeof(float) : sizeof(double);
    const char *at = (const char *)from + (size_t)first * size;
    if (stored != CVG_STORED_U8 && stored != CVG_STORED_F32 && stored != CVG_STORED_F64)
        return 1;
    n->type == CVG_F32 ? take_f32(stored, at, count, to) : take_f64(stored, at, count, to);
    return 0;
}

static int read_arrays(void *context, int64_t index, void *input, void *target)
{
    const cvg_arrays *a = context;
    const cvg_network *n = a->network;
    if (!n || !a->input || (target && !a->target) || index < 0 || index >= a->count)
        return 1;
    if (take(n, a->input_stored, a->input, index * n->input.elements, n->input.elements, input))
        return 1;
    if (!target)
        return 0;
    if (n->layer[n->layers - 1].kind == &cvt_cross_entropy) {
        memcpy(target, (const char *)a->target + (size_t)index * sizeof(int64_t), sizeof(int64_t));
        return 0;
    }
    const int64_t outputs = n->layer[n->layers - 2].out.elements;
    return take(n, a->target_stored, a->target, index * outputs, outputs, target);
}

cvg_samples cvg_samples_array(const cvg_arrays *arrays)
{
    return (cvg_samples){arrays ? arrays->count : 0, read_arrays, (void *)arrays};
}

#else

static void OF(take)(cvg_stored stored, const char *from, int64_t count, real *to)
{
    float single;
    double value;
    if (stored == CVG_STORED_U8)
        for (int64_t i = 0; i < count; i++)
            to[i] = ((const unsigned char *)from)[i];
    else if (stored == CVG_STORED_F32)
        for (int64_t i = 0; i < count; i++) {
            memcpy(&single, from + (size_t)i * sizeof single, sizeof single);
            to[i] = single;
        }
    else
        for (int64_t i = 0; i < count; i++) {
            memcpy(&value, from + (size_t)i * sizeof value, sizeof value);
            to[i] = (real)value;
        }
}

#endif
