#include "safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct cvg_element elements[] = {
    {"F32", 4}, {"F64", 8}, {"F16", 2}, {"BF16", 2}, {"I64", 8},     {"I32", 4},     {"I16", 2},  {"I8", 1},
    {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1},
};

const struct cvg_element *cvg_element_named(const char *name)
{
    for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
        if (!strcmp(elements[i].name, name))
            return &elements[i];
    return NULL;
}

static int little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first;
}

/* ---- the header is put twice, first to count its bytes ---- */

struct sink {
    cvg_writer *write; /* NULL: only counts */
    void *context;
    uint64_t length;
    int failed;
};

static void put(struct sink *sink, const void *bytes, size_t size)
{
    sink->length += size;
    if (sink->write && size && !sink->failed)
        sink->failed = sink->write(sink->context, bytes, size);
}

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static void
put_text(struct sink *sink, const char *format, ...)
{
    char text[80];
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    put(sink, text, (size_t)length);
}

static void put_string(struct sink *sink, const char *text)
{
    put(sink, "\"", 1);
    while (*text) {
        const size_t plain = strcspn(text, "\"\\\n\r\t\001\002\003\004\005\006\007\010\013\014\016\017\020\021\022\023"
                                           "\024\025\026\027\030\031\032\033\034\035\036\037");
        put(sink, text, plain);
        text += plain;
        if (*text == '"' || *text == '\\')
            put_text(sink, "\\%c", *text);
        else if (*text == '\n')
            put(sink, "\\n", 2);
        else if (*text)
            put_text(sink, "\\u%04x", *text);
        text += *text != 0;
    }
    put(sink, "\"", 1);
}

static uint64_t size_of(const struct cvg_tensor *tensor)
{
    uint64_t size = tensor->element->size;
    for (int i = 0; i < tensor->rank; i++)
        size *= (uint64_t)tensor->shape[i];
    return size;
}

static void put_header(struct sink *sink, const struct cvg_tensors *tensors)
{
    struct cvg_tensor tensor;
    uint64_t at = 0;
    const char *between = "";
    put(sink, "{", 1);
    if (tensors->note_count) {
        put_text(sink, "\"__metadata__\":{");
        for (int i = 0; i < tensors->note_count; i++) {
            put(sink, ",", i > 0);
            put_string(sink, tensors->notes[i].key);
            put(sink, ":", 1);
            put_string(sink, tensors->notes[i].value);
        }
        put(sink, "}", 1);
        between = ",";
    }
    for (int i = 0; tensors->get(tensors->context, i, &tensor); i++, between = ",") {
        put_text(sink, "%s", between);
        put_string(sink, tensor.name);
        put_text(sink, ":{\"dtype\":\"%s\",\"shape\":[", tensor.element->name);
        for (int axis = 0; axis < tensor.rank; axis++)
            put_text(sink, "%s%" PRId64, axis ? "," : "", tensor.shape[axis]);
        put_text(sink, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + size_of(&tensor));
        at += size_of(&tensor);
    }
    put(sink, "}", 1);
    put(sink, "       ", (size_t)(-sink->length & 7)); /* elements begin at a multiple of 8 */
}

int cvg_safetensors_write(const struct cvg_tensors *tensors, cvg_writer *write, void *context)
{
    struct sink count = {0}, sink = {write, context, 0, !little_endian()};
    struct cvg_tensor tensor;
    unsigned char length[8];
    put_header(&count, tensors);
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)(count.length >> 8 * i);
    put(&sink, length, sizeof length);
    sink.length = 0;
    put_header(&sink, tensors);
    for (int i = 0; tensors->get(tensors->context, i, &tensor); i++)
        put(&sink, tensor.data, (size_t)size_of(&tensor));
    return !sink.failed;
}
