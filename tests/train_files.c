/*
 * safetensors: what the writer writes is read back as the same; what is no safetensors is refused by one sentence.
 *
 *   train_files           all checks
 *   train_files FILE      writes the file that tests/train_files.py reads
 */
#include "../train/safetensors.h"
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const float weights[6] = {1, -2, 3.5f, 0, 1e-40f, -0.0f};
static const double sums[2] = {0.1, 1e300};
static const int64_t step = 412;
static const char text[] = "input 1x28x28\nconv 16 5x5 \"quoted\" \\ tab\t end \x01 caf\xc3\xa9";

static int get(void *context, int index, struct cvg_tensor *tensor)
{
    static const struct {
        const char *name, *element;
        int rank;
        int64_t shape[2];
        const void *data;
    } all[] = {
        {"0.weight", "F32", 2, {2, 3}, weights},
        {"empty", "F32", 2, {0, 3}, NULL},
        {"optimizer.sum \"1\"", "F64", 1, {2, 0}, sums},
        {"step", "I64", 0, {0, 0}, &step},
    };
    (void)context;
    if (index >= 4)
        return 0;
    snprintf(tensor->name, sizeof tensor->name, "%s", all[index].name);
    tensor->element = cvg_element_named(all[index].element);
    tensor->rank = all[index].rank;
    memcpy(tensor->shape, all[index].shape, sizeof all[index].shape);
    tensor->data = all[index].data;
    return 1;
}

/* A file in memory that holds so many bytes at most. */
struct memory {
    unsigned char bytes[4096];
    size_t length, most;
};

static int keep(void *context, const void *bytes, size_t size)
{
    struct memory *memory = context;
    if (memory->length + size > memory->most)
        return 1;
    memcpy(memory->bytes + memory->length, bytes, size);
    memory->length += size;
    return 0;
}

static const cvg_note notes[] = {{"model", text}, {"epoch", "3"}};
static const struct cvg_tensors tensors = {get, NULL, notes, 2};

static void written_and_read(void)
{
    static struct memory memory = {.most = sizeof memory.bytes}, again = {.most = sizeof again.bytes};
    struct cvg_safetensors file;
    struct cvg_tensor tensor, want;
    cvg_error error = {""};
    char got[200];
    check(cvg_safetensors_write(&tensors, keep, &memory), "the file cannot be written");
    check(cvg_safetensors_write(&tensors, keep, &again) && again.length == memory.length &&
              !memcmp(again.bytes, memory.bytes, memory.length),
          "written again it is another file");
    if (!check(!cvg_safetensors_open(&file, memory.bytes, memory.length, &error), "refused: %s", error.text))
        return;
    check(file.count == 4 && (file.data - memory.bytes) % 8 == 0, "%d tensors at %d", file.count,
          (int)(file.data - memory.bytes));
    for (int i = 0; i < 4; i++) {
        get(NULL, i, &want);
        if (!check(cvg_safetensors_at(&file, i, &tensor), "tensor %d is not there", i))
            continue;
        check(!strcmp(tensor.name, want.name) && tensor.element == want.element && tensor.rank == want.rank &&
                  !memcmp(tensor.shape, want.shape, (size_t)want.rank * sizeof *want.shape) &&
                  (tensor.size == 0 || !memcmp(tensor.data, want.data, tensor.size)),
              "tensor %d is read as something else", i);
        check(cvg_safetensors_find(&file, want.name, &tensor) && !strcmp(tensor.name, want.name), "%s is not found",
              want.name);
    }
    check(!cvg_safetensors_at(&file, 4, &tensor) && !cvg_safetensors_at(&file, -1, &tensor) &&
              !cvg_safetensors_find(&file, "model", &tensor) && !cvg_safetensors_find(&file, "", &tensor),
          "a tensor that is not there is found");
    check(cvg_safetensors_metadata(&file, "model", got, sizeof got) == (int64_t)strlen(text) && !strcmp(got, text),
          "the text is read as: %s", got);
    check(cvg_safetensors_metadata(&file, "model", got, 6) == (int64_t)strlen(text) && !strcmp(got, "input"),
          "a text in little room is %s", got);
    check(cvg_safetensors_metadata(&file, "epoch", got, sizeof got) == 1 && !strcmp(got, "3"), "epoch is %s", got);
    check(cvg_safetensors_metadata(&file, "none", got, sizeof got) == -1, "a key that is not there is found");

    /* Each byte less is refused, and each room too small. */
    for (size_t length = 0; length < memory.length; length++) {
        unsigned char *exact = malloc(length + 1);
        memcpy(exact, memory.bytes, length);
        check(cvg_safetensors_open(&file, exact, length, &error) == CVG_INVALID_ARGUMENT && file.count == 0,
              "%zu of %zu bytes are taken", length, memory.length);
        free(exact);
        again.length = 0;
        again.most = length;
        check(!cvg_safetensors_write(&tensors, keep, &again), "written into %zu bytes", length);
    }
}

/* ---- files that are wrong: a header, how many bytes of data follow, and what the sentence must say ---- */

#define ONE "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"
#define B_FROM(from, to) "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[" #from "," #to "]}"
#define OF(dtype, shape, offsets) "{\"a\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const struct {
    const char *header;
    size_t data;
    const char *says; /* NULL: it is right */
} files[] = {
    {"{}", 0, NULL},
    {"{ }  \n ", 0, NULL},
    {"{" ONE "}", 8, NULL},
    {" { \"a\" : { \"shape\" : [ 2 ] ,\t\"data_offsets\" : [ 0 , 8 ], \"dtype\" : \"F32\" } } ", 8, NULL},
    {"{\"__metadata__\":{}," ONE "}", 8, NULL},
    {"{" ONE "," B_FROM(8, 12) ",\"__metadata__\":{\"\\u00e9\\ud83d\\ude00\":\"\\n\\/\"}}", 12, NULL},
    {OF("\"BF16\"", "[]", "[0,2]"), 2, NULL},
    {OF("\"F32\"", "[0,9223372036854775807,9223372036854775807]", "[0,0]"), 0, NULL},
    {"", 0, "no \"{\""},
    {"[]", 0, "no \"{\""},
    {"{", 0, "no string at byte 1"},
    {"{} x", 0, "no end at byte 3"},
    {"{" ONE ",}", 8, "no string"},
    {"{" ONE, 8, "no \"}\""},
    {"{\"a", 0, "ends within a string"},
    {"{\"a\\", 0, "escape that JSON knows"},
    {"{\"a\\x\":1}", 0, "escape that JSON knows"},
    {"{\"a\\u12\":1}", 0, "four hexadecimal digits"},
    {"{\"\\ud800\":1}", 0, "second half of a surrogate pair"},
    {"{\"\\ud800\\u0041\":1}", 0, "second half of a surrogate pair"},
    {"{\"\\udc00\":1}", 0, "first half of a surrogate pair"},
    {"{\"a\\u0000b\":1}", 0, "NUL"},
    {"{\"a\nb\":1}", 0, "control character, 0x0a"},
    {"{\"a\" 1}", 0, "no \":\""},
    {"{\"a\":1}", 0, "no \"{\""},
    {"{\"a\":{}}", 0, "no string"},
    {"{" ONE "," ONE "}", 8, "the name \"a\" twice"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "\"__metadata__\" twice"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "no string"},
    {"{\"__metadata__\":[]}", 0, "no \"{\""},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "\"a\" lacks \"data_offsets\""},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, "\"a\" lacks \"shape\""},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "\"a\" lacks \"dtype\""},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 8, "\"a\" has twice the key \"dtype\""},
    {"{\"a\":{\"order\":\"C\"}}", 8, "\"a\" has an unknown key \"order\""},
    {OF("\"F31\"", "[2]", "[0,8]"), 8, "dtype \"F31\", which is not known"},
    {OF("\"F32F32F32F32F32F32\"", "[2]", "[0,8]"), 8, "which is not known"},
    {OF("4", "[2]", "[0,8]"), 8, "no string"},
    {OF("\"F32\"", "2", "[0,8]"), 8, "no \"[\""},
    {OF("\"F32\"", "[-2]", "[0,8]"), 8, "no whole number"},
    {OF("\"F32\"", "[02]", "[0,8]"), 8, "no whole number"},
    {OF("\"F32\"", "[2.0]", "[0,8]"), 8, "no \"]\""},
    {OF("\"F32\"", "[2e0]", "[0,8]"), 8, "no \"]\""},
    {OF("\"F32\"", "[2,]", "[0,8]"), 8, "no whole number"},
    {OF("\"F32\"", "[9223372036854775808]", "[0,8]"), 8, "over 2^63"},
    {OF("\"F32\"", "[4611686018427387904,4]", "[0,8]"), 8, "more than 2^63 bytes"},
    {OF("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8, "more than 8 numbers"},
    {OF("\"F32\"", "[3]", "[0,8]"), 8, "\"a\" has 8 bytes; its shape needs 12"},
    {OF("\"F64\"", "[2]", "[0,8]"), 8, "\"a\" has 8 bytes; its shape needs 16"},
    {OF("\"F32\"", "[2]", "[0]"), 8, "\"a\" has 1 data_offsets"},
    {OF("\"F32\"", "[2]", "[0,4,8]"), 8, "more than 2 numbers"},
    {OF("\"F32\"", "[2]", "[4,12]"), 12, "\"a\" begins at byte 4 of the data; must begin at 0"},
    {OF("\"F32\"", "[2]", "[0,9223372036854775807]"), 8, "\"a\" ends at byte 9223372036854775807"},
    {OF("\"F32\"", "[2]", "[0,8]"), 7, "\"a\" ends at byte 8"},
    {OF("\"F32\"", "[2]", "[0,8]"), 9, "data has 9 bytes; the header tells of 8"},
    {"{" ONE "," B_FROM(4, 8) "}", 8, "\"b\" begins at byte 4 of the data; must begin at 8"}, /* overlap */
    {"{" ONE "," B_FROM(12, 16) "}", 16, "\"b\" begins at byte 12"},                          /* a gap */
    {"{" B_FROM(8, 12) "," ONE "}", 12, "\"b\" begins at byte 8"},                            /* not in order */
    {"{" ONE "," B_FROM(8, 4) "}", 8, "\"b\" ends at byte 4"},
};

/* The sentence of a file with that header, that length of it, and so many bytes of data; "" if it is taken. */
static const char *opened(const char *header, size_t header_length, uint64_t length, size_t data)
{
    static cvg_error error;
    struct cvg_safetensors file;
    unsigned char *bytes = calloc(1, 8 + header_length + data + 1);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> 8 * i);
    memcpy(bytes + 8, header, header_length);
    error.text[0] = 0;
    const cvg_status status = cvg_safetensors_open(&file, bytes, 8 + header_length + data, &error);
    check(status == (error.text[0] ? CVG_INVALID_ARGUMENT : CVG_OK), "status %d with: %s", status, error.text);
    check(!cvg_safetensors_open(&file, bytes, 8 + header_length + data, NULL) == !status,
          "without an error it differs");
    free(bytes);
    return error.text;
}

static void wrong_files(void)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const size_t length = strlen(files[i].header);
        const char *says = opened(files[i].header, length, length, files[i].data);
        check(files[i].says ? strstr(says, files[i].says) != NULL : !*says, "%s: %s; not: %s", files[i].header,
              *says ? says : "taken", files[i].says ? files[i].says : "taken");
    }
    static const uint64_t lengths[] = {3, 1ull << 32, 1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        check(strstr(opened("{}", 2, lengths[i], 0), "has a header of ") != NULL, "a length of %" PRIu64, lengths[i]);
    check(strstr(opened("{\"a\0\":1}", 8, 8, 0), "control character, 0x00") != NULL, "a NUL in a name");

    /* A name that is too long, and too many tensors. */
    char *header = malloc(400000);
    int length = snprintf(header, 400000, "{\"%0300d\":{}}", 1);
    check(strstr(opened(header, (size_t)length, (size_t)length, 0), "a name of 300 bytes") != NULL, "a long name");
    for (int count = CVG_TENSORS_MOST; count <= CVG_TENSORS_MOST + 1; count++) {
        length = snprintf(header, 400000, "{");
        for (int i = 0; i < count; i++)
            length += snprintf(header + length, 400000 - (size_t)length,
                               "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", i);
        length += snprintf(header + length, 2, "}");
        const char *says = opened(header, (size_t)length, (size_t)length, 0);
        check(count > CVG_TENSORS_MOST ? strstr(says, "more than 4096 tensors") != NULL : !*says, "%d tensors: %s",
              count, says);
    }
    free(header);
}

static int to_file(void *context, const void *bytes, size_t size) { return fwrite(bytes, 1, size, context) != size; }

int main(int argc, char **argv)
{
    if (argc > 1) {
        FILE *file = fopen(argv[1], "wb");
        return !(file && cvg_safetensors_write(&tensors, to_file, file) && fclose(file) == 0);
    }
    written_and_read();
    wrong_files();
    return check_summary();
}
