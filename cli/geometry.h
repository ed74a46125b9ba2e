/* A problem of any rank as one of three axes: missing leading ones have size 1. */
#ifndef CLI_GEOMETRY_H
#define CLI_GEOMETRY_H

#include "convgrad.h"

struct geometry {
    int64_t N, C, K, G, Cg, Kg;
    int64_t in[3], filter[3], out[3], stride[3], dilation[3], pad[3], pad_end[3];
    int64_t extent[3]; /* of the dilated filter */
    int64_t dense[3];  /* output size if stride were 1 */
    int64_t in_size, filter_size, out_size;
    int64_t in_steps[5], out_steps[5]; /* elements between neighbours: images, channels, axes */
    int64_t weight_steps[3];           /* output channels, input channels of a group, taps */
    int64_t in_span, out_span;         /* elements of memory, gaps and all; 0 for batch 0 */
};

struct geometry geometry_of(const cvg_conv *conv);

/* Splits a row-major index of a box into its three coordinates; and back, or -1 outside the box. */
void geometry_split(int64_t index, const int64_t size[3], int64_t at[3]);
int64_t geometry_join(const int64_t at[3], const int64_t size[3]);

/* The input position that output pixel and tap meet, or -1 for padding. */
int64_t geometry_meet(const struct geometry *g, int64_t pixel, int64_t tap);

/* The output pixel that a tap carries to an input position, or -1 if there is none. */
int64_t geometry_carry(const struct geometry *g, int64_t position, int64_t tap);

/* Where elements of the input, of the output and of the weight lie that are counted as if channels stood first. */
int64_t geometry_in(const struct geometry *g, int64_t index);
int64_t geometry_out(const struct geometry *g, int64_t index);
int64_t geometry_weight(const struct geometry *g, int64_t index);

#endif
