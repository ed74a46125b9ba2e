#include "dataset.h"

#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void dataset_free(struct dataset *data)
{
    free(data->values);
    free(data->label);
    free(data->target);
    *data = (struct dataset){0};
}

/* Whether samples have the input's shape; a channel of 1 may be left out. */
static int same_shape(const struct dataset *data, const cvg_network_facts *facts)
{
    int rank = 0;
    while (rank < 4 && facts->input[rank])
        rank++;
    const int skip = rank == data->rank + 1 && facts->input[0] == 1;
    if (rank - skip != data->rank)
        return 0;
    for (int i = 0; i < data->rank; i++)
        if (data->shape[i] != facts->input[i + skip])
            return 0;
    return 1;
}

static int labels_fit(const struct dataset *data, const cvg_network_facts *facts, cvg_error *error)
{
    if (facts->classifies && !data->label)
        return cli_fail(error, "%.100s: has numbers that are not whole; cross_entropy needs classes, such as 0 to 9",
                        data->labels);
    if (!facts->classifies && (!data->target || data->outputs != facts->target_elements))
        return cli_fail(error, "%.100s: has %" PRId64 " numbers for each sample; the model has %" PRId64 " outputs",
                        data->labels, data->target ? data->outputs : 1, facts->target_elements);
    for (int64_t i = 0; facts->classifies && i < data->count; i++)
        if (data->label[i] < 0 || data->label[i] >= facts->output_elements)
            return cli_fail(error,
                            "%.100s: label %" PRId64 " of sample %" PRId64 "; the model's classes are 0 to %" PRId64,
                            data->labels, data->label[i], i, facts->output_elements - 1);
    return 1;
}

int dataset_fits(const struct dataset *data, const cvg_network_facts *facts, int labels, cvg_error *error)
{
    char have[80], want[80];
    int rank = 0;
    while (rank < 4 && facts->input[rank])
        rank++;
    shape_print(data->shape, data->rank, have, sizeof have);
    shape_print(facts->input, rank, want, sizeof want);
    if (!same_shape(data, facts))
        return cli_fail(error, "%.100s: has samples of %s; the model's input is %s", data->images, have, want);
    return !labels || labels_fit(data, facts, error);
}

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * 0x100000001b3; /* FNV-1a */
    return hash;
}

static size_t size_of(cvg_stored stored) { return stored == CVG_STORED_U8 ? 1 : stored == CVG_STORED_F32 ? 4 : 8; }

uint64_t dataset_fingerprint(const struct dataset *data)
{
    uint64_t hash = 0xcbf29ce484222325;
    const size_t count = (size_t)data->count;
    hash = hash_bytes(hash, &data->count, sizeof data->count);
    hash = hash_bytes(hash, data->shape, (size_t)data->rank * sizeof *data->shape);
    hash = hash_bytes(hash, data->values, count * (size_t)data->elements * size_of(data->stored));
    if (data->label)
        hash = hash_bytes(hash, data->label, count * sizeof *data->label);
    if (data->target)
        hash = hash_bytes(hash, data->target, count * (size_t)data->outputs * sizeof *data->target);
    return hash;
}

cvg_arrays dataset_arrays(const struct dataset *data, const cvg_network *network)
{
    return (cvg_arrays){.network = network,
                        .count = data->count,
                        .input = data->values,
                        .target = data->label ? (const void *)data->label : data->target,
                        .input_stored = data->stored,
                        .target_stored = CVG_STORED_F64};
}
