#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void must(int kept, const char *format, ...)
{
    va_list args;
    if (kept)
        return;
    va_start(args, format);
    fputs("BROKEN: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

void must_tell(const cvg_error *error)
{
    const size_t length = strnlen(error->text, sizeof error->text);
    must(length > 0 && length < sizeof error->text && error->text[length - 1] != '.', "an error without a sentence");
}

static char path[40];

static void remove_file(void) { unlink(path); }

const char *file_of(const void *data, size_t size)
{
    static int made;
    if (!made) { /* in memory where there is such a place */
        snprintf(path, sizeof path, "%s/convgrad-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
        const int file = mkstemp(path);
        must(file >= 0, "%s cannot be made", path);
        close(file);
        atexit(remove_file);
        made = 1;
    }
    FILE *file = fopen(path, "wb");
    must(file && fwrite(data, 1, size, file) == size && fclose(file) == 0, "%s cannot be written", path);
    return path;
}

uint8_t take_byte(struct bytes *bytes) { return bytes->at < bytes->end ? *bytes->at++ : 0; }

uint64_t take_word(struct bytes *bytes)
{
    uint64_t word = 0;
    for (int i = 0; i < 64; i += 8)
        word |= (uint64_t)take_byte(bytes) << i;
    return word;
}

int64_t take_number(struct bytes *bytes)
{
    const uint8_t first = take_byte(bytes);
    if (first < 0xe0)
        return (first + 2) % 32 - 1; /* 1 where the input has ended */
    if (first < 0xf0)
        return (int64_t)take_word(bytes);
    return (int64_t)(((uint64_t)1 << take_byte(bytes) % 64) + first % 3 - 1); /* around powers of two, up to 2^63 */
}
