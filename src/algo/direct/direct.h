/*
 * The parts of the direct algorithm.  forward and grad_input (gather.h) have four forms:
 * channels as lanes (direct_channels.c), pixels as lanes for few channels (direct_pixels.c), for
 * one tap (direct_dense.c), and for groups of one channel (depthwise.c).  grad_weight has two:
 * lanes of k (direct_weight.c), or dot products (direct_dots.c).
 */
#ifndef CVG_DIRECT_H
#define CVG_DIRECT_H

#include "../../tensor/gather.h"
#include "../algo.h"

/* One form of a pass: how it is prepared (struct cvg_algorithm). */
struct cvg_form {
    void (*prepare)(const struct cvg_shape *shape, const struct cvg_kernels *kernels, cvg_pass pass,
                    struct cvg_work *work);
};

/* Up to as many destination channels, the weight is read in place. */
enum { CVG_FEW_CHANNELS = 6 };

extern const struct cvg_form cvg_direct_channels, cvg_direct_pixels, cvg_direct_dense,
    cvg_direct_depthwise;                                        /* forward, grad_input */
extern const struct cvg_form cvg_direct_weight, cvg_direct_dots; /* grad_weight */

#endif
