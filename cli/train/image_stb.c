/* PNG and JPEG, by stb_image (Debian: libstb-dev).  Without it they are refused. */
#include "image.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>

static int is_png(const unsigned char *bytes, size_t size)
{
    return size >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8);
}

static int is_jpeg(const unsigned char *bytes, size_t size) { return size >= 3 && !memcmp(bytes, "\xff\xd8\xff", 3); }

#ifdef CVG_HAVE_STB
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 32768
#include <stb_image.h>

static uint32_t word(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t crc_of(const unsigned char *bytes, size_t size)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* stb_image looks at no checksum: whether all chunks are there and whole. */
static int png_is_whole(const unsigned char *bytes, size_t size)
{
    for (size_t at = 8; size - at >= 12;) {
        const size_t length = word(bytes + at);
        if (length > size - at - 12 || crc_of(bytes + at + 4, length + 4) != word(bytes + at + 8 + length))
            return 0;
        if (!memcmp(bytes + at + 4, "IEND", 4))
            return 1;
        at += 12 + length;
    }
    return 0;
}

/* stb_image makes up what is missing: whether the marker of the end follows the last scan's. */
static int jpeg_is_whole(const unsigned char *bytes, size_t size)
{
    for (size_t at = size - 1; at-- > 0;)
        if (bytes[at] == 0xff && (bytes[at + 1] == 0xd9 || bytes[at + 1] == 0xda))
            return bytes[at + 1] == 0xd9;
    return 0;
}

static int stb_read(struct image *image, const char *name, const unsigned char *bytes, size_t size, cvg_error *error)
{
    int width, height, channels;
    *image = (struct image){0};
    if (size > 1 << 30)
        return cli_fail(error, "%.150s: has %zu bytes; must be at most 2^30", name, size);
    if (!(is_png(bytes, size) ? png_is_whole(bytes, size) : jpeg_is_whole(bytes, size)))
        return cli_fail(error, "%.150s: is truncated or damaged", name);
    if (!stbi_info_from_memory(bytes, (int)size, &width, &height, &channels))
        return cli_fail(error, "%.150s: cannot be read: %s", name, stbi_failure_reason());
    const int wanted = channels < 3 ? 1 : 3; /* no alpha */
    image->pixels = stbi_load_from_memory(bytes, (int)size, &width, &height, &channels, wanted);
    if (!image->pixels)
        return cli_fail(error, "%.150s: cannot be read: %s", name, stbi_failure_reason());
    image->channels = wanted;
    image->height = height;
    image->width = width;
    return 1;
}
#else
static int stb_read(struct image *image, const char *name, const unsigned char *bytes, size_t size, cvg_error *error)
{
    *image = (struct image){0};
    return cli_fail(error,
                    "%.150s: is a %s file; this program was built without stb_image (Debian: libstb-dev) and reads PGM "
                    "and PPM alone",
                    name, is_png(bytes, size) ? "PNG" : "JPEG");
}
#endif

int image_read(struct image *image, const char *name, const unsigned char *bytes, size_t size, cvg_error *error)
{
    if (is_png(bytes, size) || is_jpeg(bytes, size))
        return stb_read(image, name, bytes, size, error);
    if (size >= 2 && bytes[0] == 'P')
        return pnm_read(image, name, bytes, size, error);
    *image = (struct image){0};
    return cli_fail(error, "%.150s: is no PGM, PPM, PNG or JPEG file, or is damaged", name);
}
