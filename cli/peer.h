/* Other libraries that bench measures beside this one; each is compiled in where CMake finds it. */
#ifndef CLI_PEER_H
#define CLI_PEER_H

#include "array.h"

/* One layer's tensors; grad tensors are results and operands alike. */
struct layer {
    struct array input, weight, output, grad_output, grad_input, grad_weight;
};

/* The tensor that a pass writes. */
struct array *layer_result(struct layer *layer, cvg_pass pass);

/*
 * One way of using a library.  open() prepares a pass outside the measured time and returns
 * its state, or NULL with a reason; run() is what is timed.
 */
struct peer {
    const char *library; /* what --peer calls it */
    const char *name;
    int fills_layer; /* run() leaves its result in the layer's plain tensor */
    void *(*open)(const cvg_conv *conv, cvg_pass pass, struct layer *layer, int threads, cvg_error *error);
    void (*run)(void *state);
    void (*close)(void *state);
};

enum { PEERS_MOST = 8 };

/* All peers of this build, with NULL at the end. */
extern const struct peer *const peers[];

/* " onednn openblas": the libraries of this build, or " no peers". */
const char *peer_list(void);

extern const struct peer peer_onednn, peer_onednn_plain, peer_onednn_nhwc, peer_onednn_reorder, peer_openblas;

#endif
