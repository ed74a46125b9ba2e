/* PGM and PPM, and what is done to pictures of all kinds. */
#include "image.h"

#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SIZE = 32768 };

/* ---- PGM and PPM ---- */

struct header {
    const unsigned char *at, *end;
};

static int is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The next number, after blanks and comments; -1 if there is none, or it is too large. */
static int64_t next_number(struct header *h)
{
    int64_t value = -1;
    while (h->at < h->end && (is_space(*h->at) || *h->at == '#'))
        if (*h->at++ == '#')
            while (h->at < h->end && *h->at != '\n' && *h->at != '\r')
                h->at++;
    for (; h->at < h->end && *h->at >= '0' && *h->at <= '9'; h->at++) {
        value = (value < 0 ? 0 : value) * 10 + (*h->at - '0');
        if (value > 1000000000)
            return -1;
    }
    return value;
}

int pnm_read(struct image *image, const char *name, const unsigned char *bytes, size_t size, cvg_error *error)
{
    struct header h = {bytes + 2, bytes + size};
    *image = (struct image){0};
    if (size < 2 || bytes[0] != 'P' || bytes[1] < '1' || bytes[1] > '7')
        return cli_fail(error, "%.150s: is no PGM or PPM file", name);
    if (bytes[1] != '5' && bytes[1] != '6')
        return cli_fail(error, "%.150s: is of kind P%c; must be binary PGM (P5) or PPM (P6)", name, bytes[1]);
    const int64_t width = next_number(&h), height = next_number(&h), most = next_number(&h);
    if (width < 0 || height < 0 || most < 0 || h.at == h.end || !is_space(*h.at))
        return cli_fail(error, "%.150s: its header is cut short or damaged", name);
    if (width < 1 || height < 1 || width > MOST_SIZE || height > MOST_SIZE)
        return cli_fail(error, "%.150s: has %" PRId64 "x%" PRId64 " pixels; must be 1 to %d in height and width", name,
                        height, width, MOST_SIZE);
    if (most != 255)
        return cli_fail(error, "%.150s: its largest value is %" PRId64 "; must be 255", name, most);
    const int channels = bytes[1] == '5' ? 1 : 3;
    const size_t want = (size_t)(width * height * channels), there = (size_t)(h.end - h.at) - 1;
    if (there != want)
        return cli_fail(error, "%.150s: %s: has %zu of %zu bytes of pixels", name,
                        there < want ? "is truncated" : "has more than one picture", there, want);
    image->pixels = malloc(want);
    if (!image->pixels)
        return cli_fail(error, "%.150s: out of memory for %zu bytes", name, want);
    memcpy(image->pixels, h.at + 1, want);
    image->channels = channels;
    image->height = height;
    image->width = width;
    return 1;
}

/* ---- changes ---- */

void image_gray(struct image *image)
{
    const int64_t count = image->channels == 3 ? image->height * image->width : 0;
    for (int64_t i = 0; i < count; i++) {
        const unsigned char *p = image->pixels + 3 * i;
        image->pixels[i] = (unsigned char)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
    }
    image->channels = 1;
}

/*
 * Along one axis, size elements are count new ones.  In units of 1 / count of an element, new one i covers
 * [i size, (i + 1) size), and element j [j count, (j + 1) count): how much of j lies in i.
 */
static int64_t covered(int64_t i, int64_t j, int64_t size, int64_t count)
{
    const int64_t begin = i * size > j * count ? i * size : j * count;
    const int64_t end = (i + 1) * size < (j + 1) * count ? (i + 1) * size : (j + 1) * count;
    return end > begin ? end - begin : 0;
}

int image_fit(struct image *image, int64_t height, int64_t width)
{
    const int c = image->channels;
    int64_t h = image->height, w = image->width;
    if (w * height > h * width)
        w = h * width / height > 0 ? h * width / height : 1;
    else
        h = w * height / width > 0 ? w * height / width : 1;
    const unsigned char *from = image->pixels + ((image->height - h) / 2 * image->width + (image->width - w) / 2) * c;
    unsigned char *to = malloc((size_t)(height * width * c));
    if (!to)
        return 0;
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width * c; x++) {
            const int64_t column = x / c, channel = x % c;
            int64_t sum = h * w / 2; /* so that it is rounded */
            for (int64_t i = y * h / height; i < h && i * height < (y + 1) * h; i++) {
                int64_t row = 0;
                for (int64_t j = column * w / width; j < w && j * width < (column + 1) * w; j++)
                    row += covered(column, j, w, width) * from[(i * image->width + j) * c + channel];
                sum += covered(y, i, h, height) * row;
            }
            to[y * width * c + x] = (unsigned char)(sum / (h * w));
        }
    free(image->pixels);
    image->pixels = to;
    image->height = height;
    image->width = width;
    return 1;
}
