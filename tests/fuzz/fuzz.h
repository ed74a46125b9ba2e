/*
 * What the fuzz targets share.  Each target is one LLVMFuzzerTestOneInput(): clang's libFuzzer drives
 * it, and replay.c, where there is no libFuzzer, with the files of a corpus.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "convgrad.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the program with a sentence, which the fuzzer reports with the input, if a promise is broken. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void must(int kept, const char *format, ...);

/* An error's sentence: not empty, ended within its room, without a final stop. */
void must_tell(const cvg_error *error);

/* A file that holds these bytes, until the next call. */
const char *file_of(const void *data, size_t size);

/* Takes what a target needs from its input; zeros after the end. */
struct bytes {
    const uint8_t *at, *end;
};
uint8_t take_byte(struct bytes *bytes);
uint64_t take_word(struct bytes *bytes);

/* Mostly small: -1 to 30; one in eight any 64 bits, or a power of two and its neighbours. */
int64_t take_number(struct bytes *bytes);

#endif
