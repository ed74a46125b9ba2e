/* Pictures from files, as bytes. */
#ifndef CLI_TRAIN_IMAGE_H
#define CLI_TRAIN_IMAGE_H

#include "convgrad_train.h"

/* Channels are 1 (gray) or 3 (red, green, blue), side by side in each pixel. */
struct image {
    int channels;
    int64_t height, width;
    unsigned char *pixels; /* height x width x channels, the owner's to free */
};

/*
 * Reads the bytes of a picture: PGM and PPM (binary, P5 and P6, 8 bits), and PNG and JPEG if the program was built with
 * stb_image, without alpha, 16 bits cut to 8.  name is for the sentence.  Returns 0 with a sentence if it cannot.
 */
int image_read(struct image *image, const char *name, const unsigned char *bytes, size_t size, cvg_error *error);

/* PGM and PPM alone. */
int pnm_read(struct image *image, const char *name, const unsigned char *bytes, size_t size, cvg_error *error);

/* Gray as ITU-R 601 weighs it: (19595 R + 38470 G + 7471 B + 32768) / 65536, as Pillow does. */
void image_gray(struct image *image);

/*
 * The largest part in the middle that has the proportions of height x width, each new pixel the average of what it
 * covers there, rounded to the nearest: whole numbers, so the same everywhere.  0 if there is no memory.
 */
int image_fit(struct image *image, int64_t height, int64_t width);

#endif
