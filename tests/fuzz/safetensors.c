/* safetensors: what is taken has its tensors within the file, and is the same once it is written again. */
#include "../../train/safetensors.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

struct memory {
    unsigned char *bytes;
    size_t length, room;
};

static int keep(void *context, const void *bytes, size_t size)
{
    struct memory *memory = context;
    if (size > memory->room - memory->length)
        return 1;
    memcpy(memory->bytes + memory->length, bytes, size);
    memory->length += size;
    return 0;
}

static int get(void *context, int index, struct cvg_tensor *tensor)
{
    return cvg_safetensors_at(context, index, tensor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cvg_safetensors file, again;
    struct cvg_tensor tensor, other;
    cvg_error error = {""};
    if (cvg_safetensors_open(&file, data, size, &error)) {
        must_tell(&error);
        must(file.count == 0 && !cvg_safetensors_at(&file, 0, &tensor), "a refused file has tensors");
        return 0;
    }
    char text[64];
    const cvg_note note = {"model", text};
    const int64_t length = cvg_safetensors_metadata(&file, note.key, text, sizeof text);
    struct memory memory = {.room = 8 * size + 1024};
    memory.bytes = malloc(memory.room);
    must(memory.bytes != NULL, "out of memory");
    must(cvg_safetensors_write(&(struct cvg_tensors){get, &file, &note, length >= 0}, keep, &memory),
         "what was read cannot be written");
    must(!cvg_safetensors_open(&again, memory.bytes, memory.length, &error), "what was written is refused: %s",
         error.text);
    must(again.count == file.count, "%d tensors, then %d", file.count, again.count);
    for (int i = 0; cvg_safetensors_at(&file, i, &tensor); i++) {
        const unsigned char *at = tensor.data;
        must(at >= file.data && at + tensor.size <= data + size, "tensor %d lies outside the file", i);
        must(cvg_safetensors_find(&again, tensor.name, &other) && other.element == tensor.element &&
                 other.rank == tensor.rank && other.size == tensor.size &&
                 !memcmp(other.shape, tensor.shape, (size_t)tensor.rank * sizeof *tensor.shape) &&
                 !memcmp(other.data, at, tensor.size),
             "tensor %d is read as something else", i);
    }
    free(memory.bytes);
    return 0;
}
