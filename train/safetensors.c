#include "safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first;
}

/* A place in the header, and the sentence of the first mistake; text is what could be read last. */
struct reader {
    const char *begin, *at, *end;
    cvg_error error;
    int failed;
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
static int
refuse(struct reader *r, const char *format, ...)
{
    va_list args;
    if (r->failed)
        return 0;
    va_start(args, format);
    vsnprintf(r->error.text, sizeof r->error.text, format, args);
    va_end(args);
    r->failed = 1;
    return 0;
}

static int expected(struct reader *r, const char *what)
{
    return refuse(r, "header has no %s at byte %zu", what, (size_t)(r->at - r->begin));
}

/* Passes white space, and c if that comes next. */
static int next_is(struct reader *r, char c)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
    if (r->at == r->end || *r->at != c)
        return 0;
    r->at++;
    return 1;
}

static int must_be(struct reader *r, char c)
{
    const char what[] = {'"', c, '"', 0};
    return next_is(r, c) || expected(r, c == '"' ? "string" : what);
}

/* Text that grows past the end of its room without being written there. */
struct room {
    char *text;
    size_t size, length;
};

static void add(struct room *room, unsigned byte)
{
    if (room->length + 1 < room->size)
        room->text[room->length] = (char)byte;
    room->length++;
}

static int hex(struct reader *r, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        const char c = r->at < r->end ? *r->at : 0;
        const int digit = c >= '0' && c <= '9'                 ? c - '0'
                          : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                               : -1;
        if (digit < 0)
            return expected(r, "four hexadecimal digits");
        *value = *value << 4 | (unsigned)digit;
    }
    return 1;
}

/* What follows a backslash. */
static int escape(struct reader *r, struct room *room)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = r->at < r->end ? *r->at++ : 0;
    const char *found = c ? strchr(from, c) : NULL;
    unsigned code, low;
    if (found)
        return add(room, (unsigned char)to[found - from]), 1;
    if (c != 'u' || !hex(r, &code))
        return expected(r, "escape that JSON knows");
    if (code >= 0xd800 && code < 0xdc00) {
        if (r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
            return expected(r, "second half of a surrogate pair");
        r->at += 2;
        if (!hex(r, &low))
            return 0;
        if (low < 0xdc00 || low > 0xdfff)
            return expected(r, "second half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return expected(r, "first half of a surrogate pair");
    }
    if (code == 0)
        return refuse(r, "header has a string with a NUL at byte %zu", (size_t)(r->at - r->begin));
    if (code < 0x80)
        return add(room, code), 1;
    static const unsigned first[] = {0, 0xc0, 0xe0, 0xf0}; /* UTF-8 */
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    add(room, first[more] | code >> 6 * more);
    for (int i = more - 1; i >= 0; i--)
        add(room, 0x80 | (code >> 6 * i & 0x3f));
    return 1;
}

static int read_string(struct reader *r, struct room *room)
{
    if (!must_be(r, '"'))
        return 0;
    room->length = 0;
    for (;;) {
        if (r->at == r->end)
            return refuse(r, "header ends within a string");
        const unsigned char c = (unsigned char)*r->at;
        if (c < ' ')
            return refuse(r, "header has a control character, 0x%02x, in a string at byte %zu", c,
                          (size_t)(r->at - r->begin));
        r->at++;
        if (c == '"')
            break;
        if (c != '\\')
            add(room, c);
        else if (!escape(r, room))
            return 0;
    }
    if (room->size)
        room->text[room->length < room->size ? room->length : room->size - 1] = 0;
    return 1;
}

/* A whole number below 2^63, as JSON writes it. */
static int read_number(struct reader *r, int64_t *value)
{
    next_is(r, ' ');
    const char *begin = r->at;
    *value = 0;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
        const int digit = *r->at - '0';
        if (*value > (INT64_MAX - digit) / 10)
            return refuse(r, "header has a number over 2^63 at byte %zu", (size_t)(begin - r->begin));
        *value = *value * 10 + digit;
    }
    if (r->at == begin || (*begin == '0' && r->at - begin > 1))
        return r->at = begin, expected(r, "whole number");
    return 1;
}

/* [1,2,3]: at most so many; how many, or -1. */
static int read_numbers(struct reader *r, int64_t *values, int most, const char *name)
{
    int count = 0;
    if (!must_be(r, '['))
        return -1;
    if (next_is(r, ']'))
        return 0;
    do {
        if (count == most)
            return refuse(r, "\"%.80s\" has more than %d numbers in a list", name, most), -1;
        if (!read_number(r, &values[count++]))
            return -1;
    } while (next_is(r, ','));
    return must_be(r, ']') ? count : -1;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [...]} of a tensor whose name is read. */
static int read_tensor(struct reader *r, struct cvg_tensor *tensor, int64_t offsets[2])
{
    static const char *const keys[] = {"dtype", "shape", "data_offsets"};
    char text[16];
    struct room key = {text, sizeof text, 0};
    int seen = 0;
    if (!must_be(r, '{'))
        return 0;
    do {
        int k = 0;
        if (!read_string(r, &key) || !must_be(r, ':'))
            return 0;
        while (k < 3 && (strcmp(keys[k], text) || key.length >= sizeof text))
            k++;
        if (k == 3 || seen >> k & 1)
            return refuse(r, "\"%.80s\" has %s key \"%s\"", tensor->name, k == 3 ? "an unknown" : "twice the", text);
        seen |= 1 << k;
        if (k == 0) {
            if (!read_string(r, &key))
                return 0;
            tensor->element = key.length < sizeof text ? cvg_element_named(text) : NULL;
            if (!tensor->element)
                return refuse(r, "\"%.80s\" has the dtype \"%s\", which is not known", tensor->name, text);
        } else if (k == 1) {
            tensor->rank = read_numbers(r, tensor->shape, CVG_TENSOR_AXES, tensor->name);
            if (tensor->rank < 0)
                return 0;
        } else {
            const int count = read_numbers(r, offsets, 2, tensor->name);
            if (count != 2)
                return refuse(r, "\"%.80s\" has %d data_offsets; must have 2", tensor->name, count);
        }
    } while (next_is(r, ','));
    if (!must_be(r, '}'))
        return 0;
    for (int k = 0; k < 3; k++)
        if (!(seen >> k & 1))
            return refuse(r, "\"%.80s\" lacks \"%s\"", tensor->name, keys[k]);
    return 1;
}

/* Whether the offsets follow what came before (of *used bytes), and hold just the shape's elements. */
static int place(struct reader *r, const struct cvg_safetensors *file, struct cvg_tensor *tensor,
                 const int64_t offsets[2], size_t *used)
{
    int64_t size = (int64_t)tensor->element->size;
    if ((uint64_t)offsets[0] != *used)
        return refuse(r,
                      "\"%.80s\" begins at byte %" PRId64 " of the data; must begin at %zu, where the one before ends",
                      tensor->name, offsets[0], *used);
    if (offsets[1] < offsets[0] || (uint64_t)offsets[1] > file->data_size)
        return refuse(r, "\"%.80s\" ends at byte %" PRId64 " of the data; must end from %" PRId64 " to %zu",
                      tensor->name, offsets[1], offsets[0], file->data_size);
    for (int i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] && size > INT64_MAX / tensor->shape[i])
            return refuse(r, "\"%.80s\" has a shape of more than 2^63 bytes", tensor->name);
        size *= tensor->shape[i];
    }
    if (size != offsets[1] - offsets[0])
        return refuse(r, "\"%.80s\" has %" PRId64 " bytes; its shape needs %" PRId64, tensor->name,
                      offsets[1] - offsets[0], size);
    tensor->data = file->data + *used;
    tensor->size = (size_t)size;
    *used += (size_t)size;
    return 1;
}

/* {"key": "value", ...}: copies the value of wanted, if that is not NULL, and sets *found to its length. */
static int read_metadata(struct reader *r, const char *wanted, char *text, size_t size, int64_t *found)
{
    char name[CVG_TENSOR_NAME];
    struct room key = {name, sizeof name, 0};
    if (!must_be(r, '{'))
        return 0;
    if (next_is(r, '}'))
        return 1;
    do {
        if (!read_string(r, &key) || !must_be(r, ':'))
            return 0;
        const int is = wanted && *found < 0 && key.length < sizeof name && !strcmp(name, wanted);
        struct room value = {text, is ? size : 0, 0};
        if (!read_string(r, &value))
            return 0;
        if (is)
            *found = (int64_t)value.length;
    } while (next_is(r, ','));
    return must_be(r, '}');
}

/* What walk() looks for: a name, or a number; a key of the metadata. */
struct wanted {
    const char *name;
    int index;
    struct cvg_tensor *tensor;
    const char *key;
    char *text;
    size_t size;
    int64_t length;   /* of the key's text; -1: not found */
    uint64_t *hashes; /* of all names, if these are to be compared */
};

/* FNV-1a. */
static uint64_t hash_of(const char *name)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3;
    return hash;
}

/* One more tensor of the file.  (Two names of one hash are taken for equal: nobody has such by chance.) */
static int count_name(struct reader *r, struct cvg_safetensors *file, const char *name, uint64_t *hashes)
{
    if (file->count == CVG_TENSORS_MOST)
        return refuse(r, "header has more than %d tensors", CVG_TENSORS_MOST);
    const uint64_t hash = hash_of(name);
    for (int i = 0; i < file->count; i++)
        if (hashes[i] == hash)
            return refuse(r, "header has the name \"%.80s\" twice", name);
    hashes[file->count++] = hash;
    return 1;
}

/* Reads the header from its begin; whether what is wanted was found, or all was right if that is nothing. */
static int walk(struct reader *r, struct cvg_safetensors *file, struct wanted *wanted)
{
    struct cvg_tensor tensor;
    size_t used = 0;
    int index = 0, metadata = 0;
    int64_t offsets[2];
    if (!must_be(r, '{'))
        return 0;
    if (!next_is(r, '}')) {
        do {
            struct room name = {tensor.name, sizeof tensor.name, 0};
            if (!read_string(r, &name) || !must_be(r, ':'))
                return 0;
            if (!strcmp(tensor.name, "__metadata__")) {
                if (metadata++)
                    return refuse(r, "header has the name \"__metadata__\" twice");
                if (!read_metadata(r, wanted->key, wanted->text, wanted->size, &wanted->length))
                    return 0;
                continue;
            }
            if (name.length >= sizeof tensor.name)
                return refuse(r, "header has a name of %zu bytes; must be at most %d", name.length,
                              CVG_TENSOR_NAME - 1);
            if (wanted->hashes && !count_name(r, file, tensor.name, wanted->hashes))
                return 0;
            if (!read_tensor(r, &tensor, offsets) || !place(r, file, &tensor, offsets, &used))
                return 0;
            if (wanted->tensor && (wanted->name ? !strcmp(wanted->name, tensor.name) : wanted->index == index)) {
                *wanted->tensor = tensor;
                return 1;
            }
            index++;
        } while (next_is(r, ','));
        if (!must_be(r, '}'))
            return 0;
    }
    next_is(r, ' ');
    if (r->at != r->end)
        return expected(r, "end");
    if (used != file->data_size)
        return refuse(r, "data has %zu bytes; the header tells of %zu", file->data_size, used);
    return !wanted->tensor;
}

cvg_status cvg_safetensors_open(struct cvg_safetensors *file, const void *bytes, size_t size, cvg_error *error)
{
    const unsigned char *data = bytes;
    uint64_t length = 0, hashes[CVG_TENSORS_MOST];
    struct reader r = {0};
    *file = (struct cvg_safetensors){0};
    for (int i = 0; i < 8 && size >= 8; i++)
        length |= (uint64_t)data[i] << 8 * i;
    if (!little_endian())
        refuse(&r, "safetensors are read on little-endian machines alone");
    else if (size < 8)
        refuse(&r, "has %zu bytes; safetensors have at least 8", size);
    else if (length > size - 8)
        refuse(&r, "has a header of %" PRIu64 " bytes, but only %zu bytes after its length", length, size - 8);
    else {
        *file = (struct cvg_safetensors){(const char *)data + 8, (const char *)data + 8 + length, data + 8 + length,
                                         size - 8 - (size_t)length, 0};
        struct wanted wanted = {.length = -1, .hashes = hashes};
        r.begin = r.at = file->header;
        r.end = file->header_end;
        walk(&r, file, &wanted);
    }
    if (!r.failed)
        return CVG_OK;
    if (error)
        *error = r.error;
    *file = (struct cvg_safetensors){0};
    return CVG_INVALID_ARGUMENT;
}

/* The same again in a file that was found good. */
static int look(const struct cvg_safetensors *file, struct wanted *wanted)
{
    struct cvg_safetensors copy = *file;
    struct reader r = {.begin = file->header, .at = file->header, .end = file->header_end};
    return file->header && walk(&r, &copy, wanted);
}

int cvg_safetensors_at(const struct cvg_safetensors *file, int index, struct cvg_tensor *tensor)
{
    return look(file, &(struct wanted){.index = index, .tensor = tensor, .length = -1});
}

int cvg_safetensors_find(const struct cvg_safetensors *file, const char *name, struct cvg_tensor *tensor)
{
    return look(file, &(struct wanted){.name = name, .tensor = tensor, .length = -1});
}

int64_t cvg_safetensors_metadata(const struct cvg_safetensors *file, const char *key, char *text, size_t size)
{
    struct wanted wanted = {.key = key, .text = text, .size = size, .length = -1};
    look(file, &wanted);
    return wanted.length;
}
