/*
 * safetensors: 8 bytes with the length of a header, a header of JSON, then the elements of all tensors, little-endian,
 * one tensor after the other.  PyTorch, NumPy and JAX read and write it (github.com/huggingface/safetensors).
 *
 * Nothing here allocates.  Memory of a file may hold anything: what is no safetensors is refused by one sentence.
 */
#ifndef CVG_TRAIN_SAFETENSORS_H
#define CVG_TRAIN_SAFETENSORS_H

#include "convgrad_train.h"

enum { CVG_TENSOR_AXES = 8, CVG_TENSOR_NAME = 256, CVG_TENSORS_MOST = 4096 };

/* Types of elements by the format's names: "F32", "F64", "I64" and others; their size. */
struct cvg_element {
    const char *name;
    size_t size;
};

/* The type of that name; NULL if there is none. */
const struct cvg_element *cvg_element_named(const char *name);

struct cvg_tensor {
    char name[CVG_TENSOR_NAME];
    const struct cvg_element *element;
    int rank; /* 0: one number */
    int64_t shape[CVG_TENSOR_AXES];
    const void *data; /* of any alignment */
    size_t size;      /* bytes */
};

/* ---- writing ---- */

/* What is to be written. */
struct cvg_tensors {
    int (*get)(void *context, int index, struct cvg_tensor *tensor); /* 0 past the last; size need not be set */
    void *context;
    const cvg_note *notes; /* __metadata__ */
    int note_count;
};

/* Gives write the file's bytes, one piece after the other.  1, or 0 if one of them could not be written. */
int cvg_safetensors_write(const struct cvg_tensors *tensors, cvg_writer *write, void *context);

/* ---- reading ---- */

struct cvg_safetensors {
    const char *header, *header_end;
    const unsigned char *data;
    size_t data_size;
    int count; /* tensors */
};

/*
 * Checks a whole file in memory: that the header is JSON of the format's form, each name stands there once (at most
 * CVG_TENSORS_MOST), shapes and sizes agree, and the tensors follow each other in the header's order without gaps, up
 * to the end.  CVG_OK, or CVG_INVALID_ARGUMENT with the sentence in error, which may be NULL.  The file's memory must
 * stay.
 */
cvg_status cvg_safetensors_open(struct cvg_safetensors *file, const void *bytes, size_t size, cvg_error *error);

/* The tensor of a number, or of a name; 0 if there is none. */
int cvg_safetensors_at(const struct cvg_safetensors *file, int index, struct cvg_tensor *tensor);
int cvg_safetensors_find(const struct cvg_safetensors *file, const char *name, struct cvg_tensor *tensor);

/* The text of a key of __metadata__, as snprintf would write it; its full length, or -1 if the key is not there. */
int64_t cvg_safetensors_metadata(const struct cvg_safetensors *file, const char *key, char *text, size_t size);

#endif
