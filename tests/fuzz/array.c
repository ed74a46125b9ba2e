/* Array files: what is read is what its header says, and survives being written and read again. */
#include "array.h"
#include "fuzz.h"

#include <string.h>

static size_t size_of(const struct array *array) { return (size_t)array->count * cvg_type_size(array->type); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct array array, again;
    cvg_error error = {""};
    if (!array_read(&array, file_of(data, size), &error)) {
        must_tell(&error);
        must(array.data == NULL, "a refused file leaves data");
        return 0;
    }
    int64_t count = 1;
    must(array.rank >= 0 && array.rank <= ARRAY_MOST_AXES, "rank %d", array.rank);
    for (int i = 0; i < array.rank; i++)
        count *= array.shape[i];
    must(count == array.count, "the count is not that of the shape");

    const char *path = file_of("", 0);
    must(array_write(&array, path, &error), "%s", error.text);
    must(array_read(&again, path, &error), "what was written is refused: %s", error.text);
    must(again.type == array.type && again.rank == array.rank &&
             !memcmp(again.shape, array.shape, (size_t)array.rank * sizeof *array.shape) &&
             !memcmp(again.data, array.data, size_of(&array)),
         "what was written is read as something else");
    array_free(&again);

    /* Images that the input's own bytes choose. */
    const int64_t begin = (int64_t)data[size - 1] - 1, end = begin + (int64_t)data[size / 2] % 4 - 1;
    const int there = array.rank > 0 && begin >= 0 && end >= begin && end <= array.shape[0];
    must(array_take(&array, begin, end, &error) == there, "images that are there are refused, or others taken");
    if (!there)
        must_tell(&error);
    else
        must(array.shape[0] == end - begin, "other images were taken");
    array_largest(&array);
    must(array_convert(&array, CVG_F64, &error), "%s", error.text);
    array_free(&array);
    return 0;
}
