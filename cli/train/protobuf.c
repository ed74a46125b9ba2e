/* The part of protobuf's encoding that ONNX needs: numbers, floats, bytes and messages in messages. */
#include "export.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, BYTES = 2, FIXED_32 = 5 };

static void put(struct message *m, const void *bytes, size_t size)
{
    if (m->room - m->size < size) {
        m->room = 2 * m->room + size + 64;
        unsigned char *more = realloc(m->bytes, m->room);
        if (!more)
            die(EXIT_WRONG, "out of memory for %zu bytes of ONNX", m->room);
        m->bytes = more;
    }
    if (size)
        memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

/* Seven bits a byte, the low ones first. */
static void put_varint(struct message *m, uint64_t value)
{
    unsigned char bytes[10];
    size_t count = 0;
    for (; value >= 128; value >>= 7)
        bytes[count++] = (unsigned char)(value | 128);
    bytes[count++] = (unsigned char)value;
    put(m, bytes, count);
}

static void put_tag(struct message *m, int field, int wire) { put_varint(m, (uint64_t)field << 3 | (uint64_t)wire); }

void message_number(struct message *m, int field, int64_t value)
{
    put_tag(m, field, VARINT);
    put_varint(m, (uint64_t)value);
}

static void put_float(struct message *m, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const unsigned char bytes[4] = {(unsigned char)bits, (unsigned char)(bits >> 8), (unsigned char)(bits >> 16),
                                    (unsigned char)(bits >> 24)};
    put(m, bytes, sizeof bytes);
}

void message_float(struct message *m, int field, float value)
{
    put_tag(m, field, FIXED_32);
    put_float(m, value);
}

void message_bytes(struct message *m, int field, const void *bytes, size_t size)
{
    put_tag(m, field, BYTES);
    put_varint(m, size);
    put(m, bytes, size);
}

void message_text(struct message *m, int field, const char *text) { message_bytes(m, field, text, strlen(text)); }

void message_add(struct message *m, int field, struct message *inner)
{
    message_bytes(m, field, inner->bytes, inner->size);
    message_free(inner);
}

void message_values(struct message *m, int field, cvg_type type, const void *values, int64_t count)
{
    put_tag(m, field, BYTES);
    put_varint(m, (uint64_t)count * type_size(type));
    for (int64_t i = 0; i < count; i++) {
        if (type == CVG_F32) {
            put_float(m, ((const float *)values)[i]);
            continue;
        }
        uint64_t bits;
        unsigned char bytes[8];
        memcpy(&bits, (const double *)values + i, sizeof bits);
        for (int j = 0; j < 8; j++)
            bytes[j] = (unsigned char)(bits >> 8 * j);
        put(m, bytes, sizeof bytes);
    }
}

void message_free(struct message *m)
{
    free(m->bytes);
    *m = (struct message){NULL, 0, 0};
}
