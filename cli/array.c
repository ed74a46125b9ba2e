#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef CVG_HAVE_ZLIB
#include <zlib.h>
#endif

enum { CACHE_LINE = 64 };

void shape_print(const int64_t *shape, int rank, char *text, size_t size)
{
    size_t length = 0;
    if (size)
        text[0] = 0;
    for (int i = 0; i < rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%" PRId64, i ? "x" : "", shape[i]);
}

int array_new(struct array *array, cvg_type type, int rank, const int64_t *shape, cvg_error *error)
{
    char text[80];
    shape_print(shape, rank, text, sizeof text);
    *array = (struct array){.type = type, .rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) {
        array->shape[i] = shape[i];
        if (shape[i] && array->count > INT64_MAX / 8 / shape[i])
            return cli_fail(error, "an array of %s elements does not fit in memory", text);
        array->count *= shape[i];
    }
    /* Whole cache lines, as PyTorch's and oneDNN's tensors have. */
    const size_t lines = (size_t)array->count * cvg_type_size(type) / CACHE_LINE + 1;
    array->data = aligned_alloc(CACHE_LINE, lines * CACHE_LINE);
    if (!array->data)
        return cli_fail(error, "an array of %s elements does not fit in memory", text);
    memset(array->data, 0, lines * CACHE_LINE);
    return 1;
}

void array_free(struct array *array)
{
    free(array->data);
    array->data = NULL;
}

/* ---- elements; those of 16 bits by what they stand for ---- */

/* Bits of the fraction, and the exponent of the least normal number. */
static int fraction_of(cvg_type half) { return half == CVG_BF16 ? 7 : 10; }
static int least_of(cvg_type half) { return half == CVG_BF16 ? -126 : -14; }

static double half_value(cvg_type type, unsigned bits)
{
    const int fraction = fraction_of(type), ones = (1 << (15 - fraction)) - 1;
    const int exponent = (int)(bits >> fraction) & ones, rest = (int)(bits & ((1u << fraction) - 1));
    double value =
        ldexp(rest + (exponent ? 1 << fraction : 0), (exponent ? exponent - 1 : 0) + least_of(type) - fraction);
    if (exponent == ones)
        value = rest ? NAN : INFINITY;
    return bits >> 15 ? -value : value;
}

/* The nearest, of two as near the even one. */
static unsigned half_bits(cvg_type type, double value)
{
    const int fraction = fraction_of(type), least = least_of(type);
    const unsigned sign = signbit(value) ? 1u << 15 : 0, infinite = ((1u << (15 - fraction)) - 1) << fraction;
    const double size = fabs(value);
    if (isnan(value))
        return sign | infinite | 1u << (fraction - 1);
    if (size >= ldexp(2 - ldexp(1, -fraction - 1), 1 - least)) /* nearer to the next power of two */
        return sign | infinite;
    const int exponent = size < ldexp(1, least) ? least : ilogb(size);
    const unsigned steps = (unsigned)nearbyint(ldexp(size, fraction - exponent));
    return sign | (steps + ((unsigned)(exponent - least) << fraction));
}

double array_get(const struct array *array, int64_t index)
{
    switch (array->type) {
    case CVG_F32: return ((float *)array->data)[index];
    case CVG_F64: return ((double *)array->data)[index];
    default: return half_value(array->type, ((uint16_t *)array->data)[index]);
    }
}

void array_set(struct array *array, int64_t index, double value)
{
    switch (array->type) {
    case CVG_F32: ((float *)array->data)[index] = (float)value; break;
    case CVG_F64: ((double *)array->data)[index] = value; break;
    default: ((uint16_t *)array->data)[index] = (uint16_t)half_bits(array->type, value); break;
    }
}

double type_rounded(cvg_type type, double value)
{
    double room;
    struct array one = {.type = type, .count = 1, .data = &room};
    array_set(&one, 0, value);
    return array_get(&one, 0);
}

int array_convert(struct array *array, cvg_type type, cvg_error *error)
{
    struct array to;
    if (array->type == type)
        return 1;
    if (!array_new(&to, type, array->rank, array->shape, error))
        return 0;
    for (int64_t i = 0; i < array->count; i++)
        array_set(&to, i, array_get(array, i));
    array_free(array);
    *array = to;
    return 1;
}

/* ---- reading: a file, perhaps compressed ---- */

#ifdef CVG_HAVE_ZLIB
typedef gzFile stream;
#define stream_open(path) gzopen(path, "rb")
#define stream_close(in) gzclose(in)
static const int reads_gzip = 1;

/* Bytes read, less than size only at the end or after an error. */
static size_t stream_read(stream in, void *to, size_t size)
{
    size_t done = 0;
    while (done < size) {
        const size_t left = size - done;
        const int n = gzread(in, (char *)to + done, left < 1 << 30 ? (unsigned)left : 1u << 30);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static int stream_failed(stream in)
{
    int code;
    gzerror(in, &code);
    return code != Z_OK && code != Z_STREAM_END;
}
#else
typedef FILE *stream;
#define stream_open(path) fopen(path, "rb")
#define stream_close(in) fclose(in)
#define stream_read(in, to, size) fread(to, 1, size, in)
#define stream_failed(in) ferror(in)
static const int reads_gzip = 0;
#endif

const char *npy_value(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at)
        return NULL;
    at += strlen(key);
    while (*at == ' ' || *at == ':')
        at++;
    return at;
}

int npy_shape(const char *text, int64_t *shape, int most)
{
    if (*text++ != '(')
        return -1;
    for (int rank = 0;;) {
        char *end;
        text += strspn(text, " ");
        if (*text == ')')
            return rank;
        if (rank == most || *text < '0' || *text > '9')
            return -1;
        errno = 0;
        shape[rank++] = strtoll(text, &end, 10);
        if (errno)
            return -1;
        text = end + strspn(end, " ");
        if (*text == ',')
            text++;
        else if (*text != ')')
            return -1;
    }
}

/* The elements, as stored; checks that they are all there and that nothing follows. */
static int read_elements(struct array *array, const char *path, stream in, void *to, size_t size, cvg_error *error)
{
    char more;
    const size_t want = (size_t)array->count * size, got = stream_read(in, to, want);
    if (stream_failed(in))
        return cli_fail(error, "%.100s: cannot be read or decompressed", path);
    if (got != want)
        return cli_fail(error, "%.100s: is truncated: has %zu of %zu data bytes", path, got, want);
    if (stream_read(in, &more, 1))
        return cli_fail(error, "%.100s: has more data than its header says", path);
    return 1;
}

static int little_endian(void)
{
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first;
}

/* Between the file's little-endian order and the machine's. */
static void swap_bytes(void *data, int64_t count, size_t size)
{
    unsigned char *p = data;
    if (little_endian())
        return;
    for (int64_t i = 0; i < count; i++, p += size)
        for (size_t a = 0, b = size - 1; a < b; a++, b--) {
            const unsigned char kept = p[a];
            p[a] = p[b];
            p[b] = kept;
        }
}

/* The dtypes of elements; uint16 are those of a type that is asked for. */
static const struct {
    const char *descr;
    cvg_type type;
} dtypes[] = {{"<f4", CVG_F32},  {"<f8", CVG_F64},  {"<f2", CVG_F16},
              {"<V2", CVG_BF16}, {"|V2", CVG_BF16}, {"<u2", CVG_SAME_TYPE}};

static int read_npy(struct array *array, const char *path, stream in, cvg_type words, cvg_error *error)
{
    unsigned char start[8]; /* the rest of the magic, version, length */
    char header[4097];

    if (stream_read(in, start, 6) != 6 || memcmp(start, "PY", 2))
        return cli_fail(error, "%.100s: is truncated in its header", path);
    const int major = start[2];
    size_t length = start[4] | (size_t)start[5] << 8;
    if (major < 1 || major > 3)
        return cli_fail(error, "%.100s: is .npy of version %d; must be 1, 2 or 3", path, major);
    if (major > 1) {
        if (stream_read(in, start + 6, 2) != 2)
            return cli_fail(error, "%.100s: is truncated in its header", path);
        length |= (size_t)start[6] << 16 | (size_t)start[7] << 24;
    }
    if (length >= sizeof header)
        return cli_fail(error, "%.100s: has a header of %zu bytes; must be at most %zu", path, length,
                        sizeof header - 1);
    if (stream_read(in, header, length) != length)
        return cli_fail(error, "%.100s: is truncated in its header", path);
    header[length] = 0;

    const char *descr = npy_value(header, "'descr'");
    const char *order = npy_value(header, "'fortran_order'");
    const char *shape = npy_value(header, "'shape'");
    if (!descr || !order || !shape)
        return cli_fail(error, "%.100s: its header lacks descr, fortran_order or shape", path);
    array->type = CVG_SAME_TYPE;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (*descr == '\'' && !strncmp(descr + 1, dtypes[i].descr, 3) && descr[4] == '\'') {
            array->words = dtypes[i].type == CVG_SAME_TYPE;
            array->type = array->words ? words : dtypes[i].type;
        }
    if (array->type == CVG_SAME_TYPE)
        return cli_fail(error,
                        "%.100s: its dtype is %.*s; must be '<f4', '<f8', '<f2', '<V2' (bfloat16), or '<u2' with "
                        "--type bf16 or f16",
                        path, (int)strcspn(descr, ",}"), descr);
    if (strncmp(order, "False", 5))
        return cli_fail(error, "%.100s: is in Fortran order; must be in C order", path);
    array->rank = npy_shape(shape, array->shape, ARRAY_MOST_AXES);
    if (array->rank < 0)
        return cli_fail(error, "%.100s: its shape %.40s cannot be read", path, shape);

    const struct array said = *array;
    if (!array_new(array, said.type, said.rank, said.shape, error)) {
        const cvg_error why = *error;
        return cli_fail(error, "%.60s: %.160s", path, why.text);
    }
    array->words = said.words;
    if (!read_elements(array, path, in, array->data, cvg_type_size(array->type), error))
        return 0;
    swap_bytes(array->data, array->count, cvg_type_size(array->type));
    return 1;
}

/* IDX: 0 0 type rank, then the sizes as 32-bit big-endian numbers, then the bytes. */
static int read_idx(struct array *array, const char *path, stream in, const unsigned char magic[4], cvg_error *error)
{
    unsigned char size[4];
    int64_t shape[4] = {0, 1, 0, 0};

    if (magic[2] != 8 || magic[3] != 3)
        return cli_fail(error,
                        "%.100s: is IDX of type 0x%02x and rank %d; must be images: unsigned "
                        "bytes (0x08) of rank 3",
                        path, magic[2], magic[3]);
    for (int i = 0; i < 3; i++) {
        if (stream_read(in, size, 4) != 4)
            return cli_fail(error, "%.100s: is truncated in its header", path);
        shape[i ? i + 1 : 0] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
    }
    if (!array_new(array, CVG_F32, 4, shape, error)) {
        const cvg_error why = *error;
        return cli_fail(error, "%.60s: %.160s", path, why.text);
    }
    unsigned char *bytes = malloc((size_t)array->count + 1);
    if (!bytes)
        return cli_fail(error, "%.100s: out of memory", path);
    const int good = read_elements(array, path, in, bytes, 1, error);
    for (int64_t i = 0; good && i < array->count; i++)
        ((float *)array->data)[i] = (float)bytes[i] / 255;
    free(bytes);
    return good;
}

int array_read(struct array *array, const char *path, cvg_error *error)
{
    return array_read_words(array, path, CVG_SAME_TYPE, error);
}

int array_read_words(struct array *array, const char *path, cvg_type words, cvg_error *error)
{
    unsigned char magic[4] = {0};
    int good = 0;

    *array = (struct array){0};
    errno = 0;
    stream in = stream_open(path);
    if (!in)
        return cli_fail(error, "%.100s: %s", path, errno ? strerror(errno) : "out of memory");
    if (stream_read(in, magic, 4) != 4)
        cli_fail(error, "%.100s: is %s", path,
                 stream_failed(in) ? "no file that can be read" : "too short to be .npy or IDX");
    else if (!memcmp(magic, "\x93NUM", 4))
        good = read_npy(array, path, in, words, error);
    else if (magic[0] == 0 && magic[1] == 0)
        good = read_idx(array, path, in, magic, error);
    else if (magic[0] == 0x1f && magic[1] == 0x8b && !reads_gzip)
        cli_fail(error, "%.100s: is compressed; this build has no zlib: decompress it first", path);
    else
        cli_fail(error, "%.100s: is neither .npy nor IDX", path);
    stream_close(in);
    if (!good)
        array_free(array);
    return good;
}

int array_take(struct array *array, int64_t begin, int64_t end, cvg_error *error)
{
    if (array->rank < 1 || begin < 0 || end < begin || end > array->shape[0])
        return cli_fail(error, "takes %" PRId64 ":%" PRId64 " of a batch of %" PRId64, begin, end,
                        array->rank < 1 ? 0 : array->shape[0]);
    const int64_t each = array->shape[0] ? array->count / array->shape[0] : 0;
    memmove(array->data, (char *)array->data + (size_t)(begin * each) * cvg_type_size(array->type),
            (size_t)((end - begin) * each) * cvg_type_size(array->type));
    array->shape[0] = end - begin;
    array->count = (end - begin) * each;
    return 1;
}

int npy_begin(FILE *file, const char *descr, int rank, const int64_t *sizes)
{
    char shape[200] = "", header[320];
    size_t length = 0;
    for (int i = 0; i < rank; i++)
        length += (size_t)snprintf(shape + length, sizeof shape - length, "%" PRId64 "%s", sizes[i],
                                   i + 1 < rank ? ", "
                                   : rank == 1  ? ","
                                                : "");
    /* Magic, version and length take 10 bytes; all is padded to a multiple of 64. */
    int used = snprintf(header, sizeof header - 64, "{'descr': '%.8s', 'fortran_order': False, 'shape': (%s), }", descr,
                        shape);
    const int total = (10 + used + 1 + 63) / 64 * 64;
    for (; used < total - 11; used++)
        header[used] = ' ';
    header[used++] = '\n';
    const unsigned char start[10] = {
        0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(used & 255), (unsigned char)(used >> 8)};
    return fwrite(start, 1, 10, file) == 10 && fwrite(header, 1, (size_t)used, file) == (size_t)used;
}

int array_put(const struct array *array, FILE *file)
{
    swap_bytes(array->data, array->count, cvg_type_size(array->type));
    const char *descr = "<u2";
    for (int i = sizeof dtypes / sizeof *dtypes - 1; i >= 0 && !array->words; i--)
        if (dtypes[i].type == array->type)
            descr = dtypes[i].descr;
    const int good =
        npy_begin(file, descr, array->rank, array->shape) &&
        fwrite(array->data, cvg_type_size(array->type), (size_t)array->count, file) == (size_t)array->count;
    swap_bytes(array->data, array->count, cvg_type_size(array->type));
    return good;
}

int array_write(const struct array *array, const char *path, cvg_error *error)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        return cli_fail(error, "%.150s: %s", path, strerror(errno));
    const int good = array_put(array, file);
    const int closed = fclose(file) == 0;
    if (good && closed)
        return 1;
    cli_fail(error, "%.150s: %s", path, errno ? strerror(errno) : "cannot be written");
    remove(path);
    return 0;
}

double array_largest(const struct array *array)
{
    double most = 0;
    for (int64_t i = 0; i < array->count; i++) {
        const double size = fabs(array_get(array, i));
        if (size > most) /* fmax() here crashes gcc 12 for AArch64 */
            most = size;
    }
    return most;
}
