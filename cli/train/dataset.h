/* Samples and their labels, from files or drawn. */
#ifndef CLI_TRAIN_DATASET_H
#define CLI_TRAIN_DATASET_H

#include "convgrad_train.h"

/* All in memory.  A sample is channels first; values are as the file has them, 0 to 255 of bytes. */
struct dataset {
    char images[200], labels[200]; /* the files, for sentences */
    int64_t count, elements;       /* samples; values of one */
    int rank;                      /* of a sample */
    int64_t shape[4];
    cvg_stored stored;
    unsigned char *values;
    int64_t *label;  /* of each sample, from 0; or NULL */
    double *target;  /* of each sample, outputs of them; or NULL */
    int64_t outputs; /* of target */
};

/*
 * Reads "IMAGES,LABELS", or one or more files of CIFAR's binary format ("A.bin,B.bin"), or images alone if labels is 0.
 * IMAGES: IDX of unsigned bytes (N x H x W, or with channels N x C x H x W), or .npy of u1, f4 or f8, N x C [x D]
 * [x H] [x W].  LABELS: IDX of unsigned bytes, or .npy of whole numbers, or, for a model that ends with mse, of f4 or
 * f8, N x outputs.  All may be compressed by gzip, if the program was built with zlib.  Returns 0, with a sentence that
 * names the file, if it cannot.
 */
int dataset_read(struct dataset *data, const char *text, int labels, cvg_error *error);

/* The demonstration's digits, drawn with shifts, slants and noise: 1 x 16 x 16, ten classes. */
void dataset_draw(struct dataset *data, int64_t count, uint64_t seed);

void dataset_free(struct dataset *data);

/* Whether a network can take the samples; and, unless labels is 0, their labels. */
int dataset_fits(const struct dataset *data, const cvg_network_facts *facts, int labels, cvg_error *error);

/* A number that stands for shape, values and labels. */
uint64_t dataset_fingerprint(const struct dataset *data);

/* The samples for cvg_samples_array(), as a network that they fit reads them. */
cvg_arrays dataset_arrays(const struct dataset *data, const cvg_network *network);

/* A file's bytes, decompressed if need be: one more than size of memory, the caller's to free. */
unsigned char *file_read(const char *path, size_t *size, cvg_error *error);

#endif
