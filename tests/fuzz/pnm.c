/* PGM and PPM: what is taken has its pixels in the file; then what is done to pictures. */
#include "train/image.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image;
    cvg_error error = {""};
    if (!pnm_read(&image, "picture", data, size, &error)) {
        must_tell(&error);
        must(image.pixels == NULL, "a refused file leaves pixels");
        return 0;
    }
    const size_t pixels = (size_t)(image.height * image.width), count = pixels * (size_t)image.channels;
    must((image.channels == 1 || image.channels == 3) && image.height > 0 && image.width > 0 && count < size,
         "%d x %lld x %lld", image.channels, (long long)image.height, (long long)image.width);
    must(!memcmp(image.pixels, data + size - count, count), "other pixels than the file's");

    /* A picture of one value stays so, whatever its size. */
    const int64_t height = 1 + data[size - 1] % 9, width = 1 + data[size / 2] % 9;
    memset(image.pixels, data[0], count);
    must(image_fit(&image, height, width), "out of memory");
    image_gray(&image);
    must(image.channels == 1 && image.height == height && image.width == width, "another size than was asked for");
    for (int64_t i = 0; i < height * width; i++)
        must(image.pixels[i] == data[0], "an average of %d is %d", data[0], image.pixels[i]);
    free(image.pixels);
    return 0;
}
