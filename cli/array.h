/* Arrays in files: NumPy's .npy and IDX images. */
#ifndef CLI_ARRAY_H
#define CLI_ARRAY_H

#include "convgrad.h"

#include <stdio.h>

enum { ARRAY_MOST_AXES = 8 };

struct array {
    cvg_type type;
    int rank;
    int64_t shape[ARRAY_MOST_AXES];
    int64_t count; /* elements */
    void *data;    /* owned; array_free() */
    int words;     /* in files: halves as uint16 */
};

/* An array of zeros; 0 with a sentence if there is no memory for it. */
int array_new(struct array *array, cvg_type type, int rank, const int64_t *shape, cvg_error *error);

void array_free(struct array *array);

/* A number as a type stores it. */
double type_rounded(cvg_type type, double value);

double array_get(const struct array *array, int64_t index);
void array_set(struct array *array, int64_t index, double value);

/* Changes the element type in place. */
int array_convert(struct array *array, cvg_type type, cvg_error *error);

/*
 * Reads .npy (format 1.0 to 3.0; little-endian f4, f8, f2 or bfloat16 (V2); C order), or an IDX file of
 * unsigned bytes as images: N x 1 x H x W, values / 255, f32.  Either may be
 * gzip-compressed if the program was built with zlib.  Returns 0 with the sentence in error
 * if it cannot.
 */
int array_read(struct array *array, const char *path, cvg_error *error);

/* The same, where words of 16 bits (u2) are halves of a type. */
int array_read_words(struct array *array, const char *path, cvg_type words, cvg_error *error);

/* Of .npy headers: the value of a key such as 'descr', with its quotes, or NULL if it is not there; */
const char *npy_value(const char *header, const char *key);

/* and the rank of a shape such as "(2, 3)" or "(4,)" or "()", whose sizes go to shape; -1 if it is none, or longer. */
int npy_shape(const char *text, int64_t *shape, int most);

/* Keeps [begin, end) of the first axis; 0 with a sentence if they are not there. */
int array_take(struct array *array, int64_t begin, int64_t end, cvg_error *error);

/* Writes .npy, format 1.0; 0 with a sentence, and no file, if it cannot. */
int array_write(const struct array *array, const char *path, cvg_error *error);

/* The same to an open file; and the head alone, of a dtype such as "|u1", elements follow.  0 if they cannot. */
int array_put(const struct array *array, FILE *file);
int npy_begin(FILE *file, const char *descr, int rank, const int64_t *shape);

/* "2x3x4" */
void shape_print(const int64_t *shape, int rank, char *text, size_t size);

/* The largest absolute value; 0 if there is none. */
double array_largest(const struct array *array);

#endif
