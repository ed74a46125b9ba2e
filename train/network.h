/* What a network is made of: layers, named parameters, and blocks of workspace with the time in which they live. */
#ifndef CVG_TRAIN_NETWORK_H
#define CVG_TRAIN_NETWORK_H

#include "convgrad_train.h"
#include "sentence.h"

/* Nothing is fused, whatever the compiler's flags, or bits would differ between machines. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* Channels, then up to three axes; a vector has rank 0. */
struct cvt_shape {
    int64_t channels, size[3];
    int rank;
    int64_t pixels, elements; /* the product of the sizes; that and the channels */
};

/* A piece of workspace that lives from step begin to step end of a use, and where it lies; never: begin > end. */
struct cvt_block {
    size_t size;
    int begin[2], end[2];
    size_t at[2];
};

struct cvt_parameter {
    char name[32];
    int layer, rank, statistic;
    int64_t shape[5], offset, count;
    int64_t fan_in, fan_out; /* of a weight; 0 of others, which start as value */
    double value;
};

enum { CVT_NONE = -1 };

struct cvt_layer {
    const struct cvt_kind *kind;
    int index, line;
    char text[CVT_LINE + 1]; /* as it was written, without comments */
    char name[CVT_WORD];     /* of its output; "" for none */
    int from, other;         /* the layers it reads; CVT_NONE: the input; other: of add */
    struct cvt_shape in, out;
    int64_t filter[3], stride[3], padding[3], dilation[3], extra[3], groups;
    int has_bias;
    double value, eps;       /* slope, probability, momentum */
    int frozen, trains;      /* trains: it or a layer before it has parameters to train */
    int parameter;           /* the number of its first one; CVT_NONE */
    int in_place;            /* its result and gradient take the place of its operand's */
    int turns;               /* flatten, channels last: its result has another order */
    int adds[2];             /* a layer further on has written the gradient of from, and of other, before it */
    cvg_plan **plan, **back; /* by samples, 1 to the shard; back: of gradients, of linear */
    size_t keep_size, scratch_size[2]; /* bytes: from forward to backward; during either */
    int y, dy, dx, keep, scratch[2];   /* blocks; dx: if it adds */
};

struct cvg_network {
    cvg_type type;
    size_t size; /* of an element */
    int64_t shard;
    cvg_layout layout;   /* of arrays between layers */
    cvg_options options; /* of plans */
    char *text;
    size_t length;
    struct cvt_layer *layer;
    int layers;
    struct cvt_parameter *parameter;
    int parameters;
    int64_t elements, moved, trained; /* of all; of those that are no statistics, which come first; that are trained */
    struct cvt_shape input;
    double *factor, *shift; /* a channel's values are read as value * factor - shift */
    struct cvt_block *block;
    int blocks, x; /* x: the input's block */
    size_t workspace[2];
    int fuses;
};

/* One run of a shard, or of a piece of what is predicted. */
struct cvt_run {
    const cvg_network *network;
    const char *parameters;
    char *gradient; /* NULL: forward alone */
    char *base;     /* of the workspace, aligned */
    cvg_use use;
    int64_t count;
    const cvg_shard *shard; /* NULL to predict */
    cvg_loss *loss;
    int watch; /* counts values that are not finite after each layer */
};

/* What a layer's code is given. */
struct cvt_call {
    const struct cvt_run *run;
    const struct cvt_layer *layer;
    const void *x, *other, *dy;
    void *y, *dx, *dother, *keep, *scratch;
};

typedef void cvt_code(const struct cvt_call *call);

/* A kind of layer: a row of the table. */
struct cvt_kind {
    const char *name, *usage;
    /* Reads its words, checks its input, sets out, parameters and needs. */
    cvg_status (*make)(cvg_network *n, struct cvt_layer *layer, struct cvt_line *line);
    /* Makes plans, for as many samples; NULL if it has none. */
    cvg_status (*plan)(const cvg_network *n, struct cvt_layer *layer, int64_t count, cvg_error *error);
    cvt_code *forward[2], *backward[2]; /* by cvg_type; forward of a loss does both */
    int reads_x, reads_y;               /* backward needs them */
    int may_replace;                    /* y may be written over x, dx over dy */
    int is_loss;
};

extern const struct cvt_kind cvt_conv, cvt_conv_transpose, cvt_linear, cvt_relu, cvt_leaky_relu, cvt_relu6, cvt_maxpool,
    cvt_avgpool, cvt_global_avgpool, cvt_batchnorm, cvt_add, cvt_flatten, cvt_dropout, cvt_cross_entropy, cvt_mse;

/* The kind of that name; NULL if there is none. */
const struct cvt_kind *cvt_kind_of(const char *name);

/* a * b for sizes, at most CVT_MOST: what is larger is refused where a layer or a parameter is added. */
#define CVT_MOST ((int64_t)1 << 40)
int64_t cvt_times(int64_t a, int64_t b);

struct cvt_shape cvt_shape_of(int64_t channels, int rank, const int64_t size[3]);

/* "32x7x7" */
struct cvt_shape_text {
    char text[96];
};
struct cvt_shape_text cvt_shape_text(const struct cvt_shape *s);

/*
 * Adds a parameter of a layer: its name's last part, shape, and how it starts (cvt_parameter).  statistic: of batch
 * norm.  make() alone calls it.
 */
void cvt_add_parameter(cvg_network *n, struct cvt_layer *layer, const char *part, int rank, const int64_t *shape,
                       int64_t fan_in, int64_t fan_out, double value, int statistic);

/* The workspace: places blocks so that those that live at once do not overlap; sets network->workspace. */
void cvt_place_blocks(cvg_network *n);
int cvt_add_block(cvg_network *n, size_t size);
void cvt_live(cvg_network *n, int block, cvg_use use, int step); /* it is needed in this step, too */

/* Runs forward (and backward, with a gradient) on the normalised input in block x. */
void cvt_run_layers(const struct cvt_run *run);

/* Turns count samples as they were read into the network's input block. */
void cvt_read_input(const struct cvt_run *run, const void *input);

void *cvt_block_at(const struct cvt_run *run, int block);

/* Whether arrays of a shape between layers have another order than samples and predictions. */
static inline int cvt_turned(const cvg_network *n, const struct cvt_shape *s)
{
    return n->layout == CVG_CHANNELS_LAST && s->pixels > 1 && s->channels > 1;
}

/* Turns count arrays of a shape from channels last to channels first, or back. */
void cvt_turn(const cvg_network *n, const struct cvt_shape *s, int64_t count, int back, const void *from, void *to);

/* A layer's parameter by its number within it, and the gradient's place. */
const void *cvt_value(const struct cvt_call *call, int part);
void *cvt_gradient(const struct cvt_call *call, int part);

/* The first layer of batch norm, if it is trained, to which that many samples leave one value a channel, which has no
 * variance; CVT_NONE. */
int cvt_batchnorm_alone(const cvg_network *n, int64_t count);

/* Refuses a shard that cannot be run, or whose targets are no classes. */
cvg_status cvt_check_shard(const cvg_network *n, const cvg_shard *shard, cvg_error *error);

/* Adds the loss of samples whose outputs are known. */
void cvt_loss_of(const cvg_network *n, const void *output, const void *target, int64_t count, cvg_loss *loss);

static inline size_t cvt_larger(size_t a, size_t b) { return a > b ? a : b; }

#endif
