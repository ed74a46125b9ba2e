/* Data sets from files: IDX, .npy, CIFAR's binary format. */
#include "dataset.h"

#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef CVG_HAVE_ZLIB
#include <zlib.h>
#endif

/* ---- a file's bytes ---- */

#ifdef CVG_HAVE_ZLIB
static int read_some(gzFile in, unsigned char *to, size_t size)
{
    return gzread(in, to, size < 1 << 30 ? (unsigned)size : 1u << 30);
}

static int failed(gzFile in)
{
    int code;
    gzerror(in, &code);
    return code != Z_OK && code != Z_STREAM_END;
}
#define FILE_TYPE gzFile
#define file_open(path) gzopen(path, "rb")
#define file_close gzclose
#else
static int read_some(FILE *in, unsigned char *to, size_t size)
{
    return (int)fread(to, 1, size < 1 << 30 ? size : 1 << 30, in);
}

static int failed(FILE *in) { return ferror(in); }
#define FILE_TYPE FILE *
#define file_open(path) fopen(path, "rb")
#define file_close fclose
#endif

unsigned char *file_read(const char *path, size_t *size, cvg_error *error)
{
    unsigned char *bytes = NULL, *more;
    size_t room = 1 << 16;
    int got = 0;
    *size = 0;
    errno = 0;
    FILE_TYPE in = file_open(path);
    if (!in) {
        cli_fail(error, "%.150s: %s", path, errno ? strerror(errno) : "out of memory");
        return NULL;
    }
    do {
        *size += (size_t)got;
        if (!bytes || *size == room) {
            room *= bytes ? 2 : 1;
            more = realloc(bytes, room + 1);
            if (!more) {
                cli_fail(error, "%.150s: out of memory", path);
                break;
            }
            bytes = more;
        }
    } while ((got = read_some(in, bytes + *size, room - *size)) > 0);
    if (got > 0 || failed(in) || got < 0) {
        if (got <= 0)
            cli_fail(error, "%.150s: cannot be read or decompressed", path);
        free(bytes);
        bytes = NULL;
    }
    file_close(in);
#ifndef CVG_HAVE_ZLIB
    if (bytes && *size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
        cli_fail(error, "%.150s: is compressed; this build has no zlib: decompress it first", path);
        free(bytes);
        bytes = NULL;
    }
#endif
    return bytes;
}

/* ---- a file as one array ---- */

struct elements {
    char kind; /* as in NumPy: 'u', 'i', 'f' */
    int size;  /* bytes of one */
    int rank;
    int64_t shape[6], count;
    unsigned char *bytes; /* the file's: to be freed */
    const unsigned char *data;
};

/* The shape's number of elements; and that just as many are there. */
static int count_elements(struct elements *e, const char *path, size_t there, cvg_error *error)
{
    e->count = 1;
    for (int i = 0; i < e->rank; i++) {
        if (e->shape[i] && e->count > INT64_MAX / 8 / e->shape[i])
            return cli_fail(error, "%.150s: its header tells of more than 2^60 elements", path);
        e->count *= e->shape[i];
    }
    const uint64_t want = (uint64_t)e->count * (uint64_t)e->size;
    if (there < want)
        return cli_fail(error, "%.150s: is truncated: has %zu of %" PRIu64 " data bytes", path, there, want);
    if (there > want)
        return cli_fail(error, "%.150s: has more data than its header says", path);
    return 1;
}

static int parse_idx(struct elements *e, const char *path, size_t size, cvg_error *error)
{
    const unsigned char *bytes = e->bytes;
    if (bytes[2] != 8)
        return cli_fail(error, "%.150s: is IDX of type 0x%02x; must be unsigned bytes (0x08)", path, bytes[2]);
    if (bytes[3] < 1 || bytes[3] > 4)
        return cli_fail(error, "%.150s: is IDX of rank %d; must be 1 (labels), 3 or 4 (images)", path, bytes[3]);
    if (size < 4 + 4 * (size_t)bytes[3])
        return cli_fail(error, "%.150s: is truncated in its header", path);
    e->kind = 'u';
    e->size = 1;
    e->rank = bytes[3];
    for (int i = 0; i < e->rank; i++) {
        const unsigned char *at = bytes + 4 + 4 * i;
        e->shape[i] = (int64_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
    }
    e->data = bytes + 4 + 4 * e->rank;
    return count_elements(e, path, size - 4 - 4 * (size_t)e->rank, error);
}

static int parse_npy(struct elements *e, const char *path, size_t size, cvg_error *error)
{
    const unsigned char *bytes = e->bytes;
    char header[4097];
    const size_t start = size < 12 ? 0 : bytes[6] == 1 ? 10 : 12;
    const size_t length = !start ? 0
                          : start == 10
                              ? bytes[8] | (size_t)bytes[9] << 8
                              : bytes[8] | (size_t)bytes[9] << 8 | (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (!start || length > size - start)
        return cli_fail(error, "%.150s: is truncated in its header", path);
    if (bytes[6] < 1 || bytes[6] > 3 || length >= sizeof header)
        return cli_fail(error,
                        "%.150s: is .npy of version %d with a header of %zu bytes; must be 1 to 3, and at most %zu",
                        path, bytes[6], length, sizeof header - 1);
    memcpy(header, bytes + start, length);
    header[length] = 0;
    const char *descr = npy_value(header, "'descr'"), *order = npy_value(header, "'fortran_order'");
    const char *shape = npy_value(header, "'shape'");
    if (!descr || !order || !shape)
        return cli_fail(error, "%.150s: its header lacks descr, fortran_order or shape", path);
    const int good = descr[0] == '\'' && strchr("|<", descr[1]) && descr[1] && strchr("uif", descr[2]) && descr[2] &&
                     strchr("1248", descr[3]) && descr[3] && descr[4] == '\'';
    if (!good || (descr[2] == 'f' && descr[3] < '4'))
        return cli_fail(error, "%.100s: its dtype is %.*s; must be whole numbers, '<f4' or '<f8', little-endian", path,
                        (int)(strcspn(descr, ",}") < 20 ? strcspn(descr, ",}") : 20), descr);
    if (strncmp(order, "False", 5))
        return cli_fail(error, "%.150s: is in Fortran order; must be in C order", path);
    e->rank = npy_shape(shape, e->shape, 6);
    if (e->rank < 1)
        return cli_fail(error, "%.100s: its shape %.40s cannot be read, or has no axis or over 6", path, shape);
    e->kind = descr[2];
    e->size = descr[3] - '0';
    e->data = bytes + start + length;
    return count_elements(e, path, size - start - length, error);
}

/* An array of IDX or .npy; its bytes are to be freed. */
static int elements_read(struct elements *e, const char *path, cvg_error *error)
{
    size_t size;
    int good = 0;
    *e = (struct elements){0};
    e->bytes = file_read(path, &size, error);
    if (!e->bytes)
        return 0;
    if (size < 4)
        cli_fail(error, "%.150s: is too short to be .npy or IDX", path);
    else if (!memcmp(e->bytes, "\x93NUM", 4))
        good = parse_npy(e, path, size, error);
    else if (e->bytes[0] == 0 && e->bytes[1] == 0)
        good = parse_idx(e, path, size, error);
    else
        cli_fail(error, "%.150s: is neither .npy nor IDX (nor does its name end in .bin, as CIFAR's)", path);
    if (!good) {
        free(e->bytes);
        e->bytes = NULL;
    }
    return good;
}

/* A whole number of 1 to 8 bytes, little-endian. */
static int64_t whole(const struct elements *e, int64_t index)
{
    const unsigned char *at = e->data + index * e->size;
    uint64_t value = 0;
    for (int i = 0; i < e->size; i++)
        value |= (uint64_t)at[i] << 8 * i;
    if (e->kind == 'i' && e->size < 8 && value >> (8 * e->size - 1))
        value |= ~0ull << 8 * e->size;
    return (int64_t)value;
}

static double real(const struct elements *e, int64_t index)
{
    float single;
    double value;
    if (e->size == 4) {
        memcpy(&single, e->data + 4 * index, sizeof single);
        return (double)single;
    }
    memcpy(&value, e->data + 8 * index, sizeof value);
    return value;
}

/* ---- data sets ---- */

static int read_images(struct dataset *data, cvg_error *error)
{
    struct elements e;
    if (!elements_read(&e, data->images, error))
        return 0;
    const int idx = e.bytes[0] == 0, byte = e.kind == 'u' && e.size == 1;
    int good = 0;
    if (!byte && e.kind != 'f')
        cli_fail(error, "%.150s: has whole numbers of %d bytes; images must be u1, f4 or f8", data->images, e.size);
    else if (e.rank < 2 || e.rank > 5 || (idx && e.rank < 3))
        cli_fail(error, "%.150s: has %d %s; images must have N, C and up to 3 more%s", data->images, e.rank,
                 e.rank == 1 ? "axis: it looks like labels" : "axes", idx ? " (of IDX N, H and W)" : "");
    else if (e.count == 0)
        cli_fail(error, "%.150s: has %" PRId64 " images%s", data->images, e.shape[0],
                 e.shape[0] ? " without elements" : "");
    else
        good = 1;
    if (!good) {
        free(e.bytes);
        return 0;
    }
    data->count = e.shape[0];
    data->elements = e.count / e.shape[0];
    data->stored = byte ? CVG_STORED_U8 : e.size == 4 ? CVG_STORED_F32 : CVG_STORED_F64;
    data->rank = e.rank - 1;
    for (int i = 1; i < e.rank; i++)
        data->shape[i - 1] = e.shape[i];
    memmove(e.bytes, e.data, (size_t)e.count * (size_t)e.size);
    data->values = e.bytes;
    return 1;
}

static int read_labels(struct dataset *data, cvg_error *error)
{
    struct elements e;
    if (!elements_read(&e, data->labels, error))
        return 0;
    const int flat = e.rank == 1 || (e.kind == 'f' && e.rank == 2);
    int good = flat && e.shape[0] == data->count;
    if (!flat)
        cli_fail(error, "%.150s: has %d axes; labels must have one: are these images?", data->labels, e.rank);
    else if (!good)
        cli_fail(error, "%.100s: has %" PRId64 " labels; %.100s has %" PRId64 " images", data->labels, e.shape[0],
                 data->images, data->count);
    if (good && e.kind != 'f') {
        data->label = cli_alloc((size_t)e.count, sizeof *data->label);
        for (int64_t i = 0; i < e.count; i++)
            data->label[i] = whole(&e, i);
    } else if (good) {
        data->outputs = e.count / data->count;
        data->target = cli_alloc((size_t)e.count, sizeof *data->target);
        for (int64_t i = 0; i < e.count; i++)
            data->target[i] = real(&e, i);
    }
    free(e.bytes);
    return good;
}

/* CIFAR: records of one label, or two (coarse, fine), and 3 x 32 x 32 bytes.  Adds those of one more file. */
static int add_cifar(struct dataset *data, const char *path, cvg_error *error)
{
    enum { IMAGE = 3 * 32 * 32 };
    size_t size;
    unsigned char *bytes = file_read(path, &size, error);
    if (!bytes)
        return 0;
    const size_t labels = size % (IMAGE + 1) == 0 ? 1 : size % (IMAGE + 2) == 0 ? 2 : 0;
    const size_t count = labels ? size / (IMAGE + labels) : 0;
    if (!count) {
        free(bytes);
        return cli_fail(error, "%.150s: has %zu bytes; CIFAR files have records of %d or %d bytes", path, size,
                        IMAGE + 1, IMAGE + 2);
    }
    const size_t all = (size_t)data->count + count;
    unsigned char *values = realloc(data->values, all * IMAGE);
    if (values)
        data->values = values;
    int64_t *label = values ? realloc(data->label, all * sizeof *label) : NULL;
    if (!label) {
        free(bytes);
        return cli_fail(error, "%.150s: out of memory", path);
    }
    data->label = label;
    for (size_t i = 0; i < count; i++) {
        const unsigned char *record = bytes + i * (IMAGE + labels);
        label[(size_t)data->count + i] = record[labels - 1];
        memcpy(values + ((size_t)data->count + i) * IMAGE, record + labels, IMAGE);
    }
    data->count = (int64_t)all;
    free(bytes);
    return 1;
}

static int ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), want = strlen(end);
    return length >= want && !strcmp(text + length - want, end);
}

static int is_cifar(const char *text) { return ends_with(text, ".bin") || ends_with(text, ".bin.gz"); }

static int read_cifar(struct dataset *data, char *files, cvg_error *error)
{
    data->rank = 3;
    data->shape[0] = 3;
    data->shape[1] = data->shape[2] = 32;
    data->elements = 3 * 32 * 32;
    data->stored = CVG_STORED_U8;
    snprintf(data->images, sizeof data->images, "%.199s", files);
    snprintf(data->labels, sizeof data->labels, "%.199s", files);
    for (char *path = files, *comma; path; path = comma) {
        comma = strchr(path, ',');
        if (comma)
            *comma++ = 0;
        if (!is_cifar(path))
            return cli_fail(error, "%.150s: does not end in .bin, as the files beside it", path);
        if (!add_cifar(data, path, error))
            return 0;
    }
    return 1;
}

int dataset_read(struct dataset *data, const char *text, int labels, cvg_error *error)
{
    char files[4096];
    *data = (struct dataset){0};
    if (snprintf(files, sizeof files, "%s", text) >= (int)sizeof files)
        return cli_fail(error, "%.100s...: names of files longer than 4000 characters", text);
    int good = 0;
    char *comma = strrchr(files, ',');
    if (is_cifar(files))
        good = read_cifar(data, files, error);
    else if (labels && !comma)
        cli_fail(error, "%.150s: labels are missing; must be IMAGES,LABELS, or CIFAR's .bin files", files);
    else {
        if (comma && labels)
            *comma++ = 0;
        snprintf(data->images, sizeof data->images, "%.199s", files);
        if (labels)
            snprintf(data->labels, sizeof data->labels, "%.199s", comma);
        if (strlen(files) >= sizeof data->images || (labels && strlen(comma) >= sizeof data->labels))
            cli_fail(error, "%.100s...: a file's name is longer than 199 characters", files);
        else
            good = read_images(data, error) && (!labels || read_labels(data, error));
    }
    if (!good)
        dataset_free(data);
    return good;
}
