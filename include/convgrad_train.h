/*
 * convgrad-train: training of whole convolutional networks, on the CPU, in plain C.
 *
 *   1. Write the model as text, one layer a line, and make a network of it: cvg_network_create().
 *   2. Fill a cvg_recipe and make a trainer: cvg_trainer_create().
 *   3. Allocate cvg_trainer_state_size() and cvg_trainer_workspace_size() bytes.
 *   4. cvg_trainer_start(), then cvg_trainer_step() until cvg_trainer_steps().
 *   5. cvg_predict() with cvg_trainer_parameters(); cvg_trainer_save() whenever you like.
 *
 * Whoever has an optimiser or a loop of his own needs the network alone: cvg_network_init() and
 * cvg_loss_gradient().
 *
 * The model.  Words and rules are PyTorch's.  Layers are numbered from 0, the input line is none; parameters have
 * exactly the names of torch.nn.Sequential's state_dict: "0.weight", "0.bias", "1.running_mean".
 *
 *   input 1x28x28 scale=1/255 mean=0.1307 std=0.3081   channels, then 1 to 3 axes; or "input 10" for vectors
 *   conv 16 5x5 stride=1 padding=2 dilation=1 groups=1 bias=1
 *   conv_transpose 16 2x2 stride=2 padding=0 output_padding=0 dilation=1 groups=1 bias=1
 *   linear 128 bias=1
 *   relu        leaky_relu 0.01        relu6
 *   maxpool 3 stride=2 padding=1        avgpool 2        global_avgpool
 *   batchnorm momentum=0.1 eps=1e-5
 *   flatten     dropout 0.5
 *   short = relu                  names the line's output;
 *   add short                     adds it to that of the line before
 *   cross_entropy  or  mse        the last line
 *
 * "#" begins a comment.  A size such as 5x5 or stride=2x1 may be one number for all axes.  Zeros of avgpool's padding
 * count; of equal values in maxpool the first one wins; a pool's stride is its size if it is not given.  mean and std
 * may be lists with commas, one number a channel.  The network sees (value * scale - mean) / std.
 *
 * Samples, predictions and parameters are as PyTorch's: channels first.  Between layers the network may keep channels
 * last (cvg_network_options.layout), which is faster where there are many; only convolutions round differently then.
 *
 * Shards.  A batch is cut into ceil(batch / shard) parts, as even as possible, the larger ones first.  One worker runs
 * a shard whole; the gradients of shards are added in one fixed binary tree over their numbers.  Batch norm takes its
 * statistics from each shard (ghost batch norm).  Threads and processes only decide who runs a shard.
 *
 * Same bits.  For one model, recipe and data, everything is bit-identical for every number of threads and processes,
 * every run, and every instruction set with fused multiply-add.  A sample's prediction does not depend on the samples
 * beside it.
 *
 * Random numbers come from counters: keyed by the seed, the epoch and the sample's index in the data set.
 *
 * Threads.  Networks and trainers never change after they were made: any number of threads may use them at once, each
 * with its own workspace, state and results.  Nothing allocates but the two create functions.
 *
 * Not here: GPUs, bf16, quantisation, attention, recurrent layers, detection losses, arbitrary graphs.
 */
#ifndef CONVGRAD_TRAIN_H
#define CONVGRAD_TRAIN_H

#include "convgrad.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the network: layers, shapes, plans ---- */

typedef struct cvg_network cvg_network;

typedef struct cvg_network_options {
    size_t struct_size;             /* sizeof(cvg_network_options); set by CVG_NETWORK_OPTIONS_INIT */
    cvg_type type;                  /* of parameters, samples and results */
    int64_t shard;                  /* samples of a shard at most, 1 to 256; see cvg_shard_default() */
    size_t workspace_limit;         /* as in cvg_options, of each layer's passes; it and */
    double error_growth;            /* this decide algorithms, and so bits */
    int threads;                    /* inside a layer; 0 = as many as there are; 1 for shards side by side */
    cvg_parallel_for *parallel_for; /* the host's pool, for layers and for shards; NULL = OpenMP */
    void *pool;
    const char *isa;    /* as in cvg_options */
    const char *freeze; /* layers that are not trained, such as "0-5,7"; NULL or "" = none */
    cvg_layout layout;  /* of the arrays between layers; it decides algorithms, and so bits */
} cvg_network_options;

#define CVG_NETWORK_OPTIONS_INIT                                                                                     \
    {                                                                                                                \
        sizeof(cvg_network_options), CVG_F32, 16, 0, CVG_ERROR_GROWTH, 1, NULL, NULL, NULL, NULL, CVG_CHANNELS_FIRST \
    }

/* The largest of 32, 16 and 8 that leaves at least 4 shards in a batch; 8 or the batch, if none does. */
CVG_API int64_t cvg_shard_default(int64_t batch);

/*
 * cvg_network_create() reads length bytes of model text, checks each line, chooses the algorithms at the full shard,
 * and plans every size of shard with them.
 *
 *   options  NULL for the defaults of CVG_NETWORK_OPTIONS_INIT
 *   error    NULL, or where to write a sentence such as "line 3: maxpool 2x2 is larger than its input 8x1x1"
 *
 * Returns CVG_OK, CVG_INVALID_ARGUMENT, CVG_UNSUPPORTED or CVG_OUT_OF_MEMORY.  *network is NULL on failure.
 */
CVG_API cvg_status cvg_network_create(cvg_network **network, const char *text, size_t length,
                                      const cvg_network_options *options, cvg_error *error);

/* Frees a network; NULL is fine.  No trainer of it may be left. */
CVG_API void cvg_network_destroy(cvg_network *network);

/*
 * A table for people: each layer, its output, parameters, million multiplications a sample and algorithms, and sums.
 * Like snprintf: at most size bytes, returns the length of the full text.
 */
CVG_API size_t cvg_network_describe(const cvg_network *network, char *text, size_t size);

/* What a network is, in numbers.  Grows at its end; set struct_size before the call. */
typedef struct cvg_network_facts {
    size_t struct_size; /* sizeof(cvg_network_facts) */
    cvg_type type;
    int layers;              /* the loss among them */
    int64_t shard;           /* samples at most */
    int64_t input[4];        /* channels, then axes; 0 past the last */
    int64_t output[4];       /* of the layer before the loss */
    int64_t input_elements;  /* of one sample */
    int64_t output_elements; /* of one sample: the classes, if it is flat */
    int64_t target_elements; /* of one sample: 1 int64_t for cross_entropy, output_elements of type for mse */
    int64_t parameters;      /* elements of one array of parameters, the statistics of batch norm among them */
    int64_t trained;         /* of these, those that are trained */
    int classifies;          /* 1: cross_entropy, 0: mse */
    int fuses;               /* as cvg_plan_fuses() */
} cvg_network_facts;
CVG_API cvg_status cvg_network_get_facts(const cvg_network *network, cvg_network_facts *facts);

/* One layer for people and tables: "conv 16 5x5 padding=2".  NULL past the last. */
CVG_API const char *cvg_network_layer(const cvg_network *network, int index);

/* One layer for programs that write a network in another form.  Grows at its end; set struct_size before the call. */
typedef struct cvg_layer {
    size_t struct_size;    /* sizeof(cvg_layer) */
    const char *kind;      /* its word: "conv" */
    int from, other;       /* the layers that it reads, -1 the input; other: of add, else -1 */
    int64_t in[4], out[4]; /* channels, then axes; 0 past the last */
    int64_t filter[3], stride[3], padding[3], dilation[3], output_padding[3]; /* of convolutions and pools; by axis */
    int64_t groups;
    double value; /* leaky_relu: slope; dropout: probability; batchnorm: momentum */
    double eps;   /* batchnorm */
} cvg_layer;
/* Returns CVG_INVALID_ARGUMENT past the last layer (the loss is the last), and for another struct_size. */
CVG_API cvg_status cvg_network_get_layer(const cvg_network *network, int index, cvg_layer *layer);

/* The network sees value * factor - shift of an input's channel.  Returns 1, or 0 past the last. */
CVG_API int cvg_network_scaling(const cvg_network *network, int64_t channel, double *factor, double *shift);

/* One named part of the array of parameters. */
typedef struct cvg_parameter {
    const char *name; /* as in PyTorch's state_dict: "0.weight"; belongs to the network */
    int layer, rank;
    int64_t shape[5];      /* rank of them; a weight of conv: K x C/G x [T x] [R x] S, of linear: outputs x inputs */
    int64_t offset, count; /* in elements */
    int trained;           /* 0: statistics of batch norm, or frozen */
} cvg_parameter;

/* The parameter number index, in the order of the state_dict.  Returns 1, or 0 past the last. */
CVG_API int cvg_network_parameter(const cvg_network *network, int index, cvg_parameter *parameter);

typedef enum cvg_use { CVG_PREDICT = 0, CVG_TRAIN = 1 } cvg_use;

/* Bytes of workspace, of any alignment, for cvg_predict() or cvg_loss_gradient(): exact; arrays take the room of dead
 * ones. */
CVG_API size_t cvg_network_workspace_size(const cvg_network *network, cvg_use use);

typedef enum cvg_init {
    CVG_HE = 0,    /* weights uniform in +-sqrt(6 / fan_in); fan_in = C/G x filter */
    CVG_XAVIER = 1 /* in +-sqrt(6 / (fan_in + fan_out)); fan_out = K x filter */
} cvg_init;

/* Fills parameters: weights at random, biases 0; batch norm: weight 1, bias 0, mean 0, variance 1. */
CVG_API cvg_status cvg_network_init(const cvg_network *network, cvg_init init, uint64_t seed, void *parameters);

/*
 * cvg_predict() runs the network without its loss, in pieces of the shard.  Dropout passes everything, batch norm uses
 * its running statistics.  cross_entropy's outputs are logits: cvg_softmax() makes probabilities of them.
 *
 *   parameters  cvg_network_facts.parameters elements
 *   input       count x input_elements, before scale, mean and std
 *   output      count x output_elements
 *   workspace   cvg_network_workspace_size(network, CVG_PREDICT)
 */
CVG_API cvg_status cvg_predict(const cvg_network *network, const void *parameters, const void *input, int64_t count,
                               void *output, void *workspace);

/* Makes probabilities of count x output_elements logits, in place. */
CVG_API cvg_status cvg_softmax(const cvg_network *network, int64_t count, void *output);

/* Some samples of a batch. */
typedef struct cvg_shard {
    int64_t count;        /* 1 to the network's shard */
    int64_t batch;        /* samples of the whole batch, by which the sums are divided */
    const void *input;    /* count x input_elements, before scale, mean and std */
    const void *target;   /* count x int64_t, the class from 0; or of mse count x output_elements */
    const int64_t *index; /* of each sample in the data set, for dropout; NULL: 0, 1, ... */
    int64_t epoch;        /* for dropout */
    uint64_t seed;
} cvg_shard;

typedef struct cvg_loss {
    double sum;           /* of the samples' losses; of mse, a sample's is the mean over its elements */
    int64_t count, hits;  /* samples; and of cross_entropy those whose largest logit is the target's */
    int bad_layer;        /* the first layer whose output is not finite, or -1 */
    int64_t bad_elements; /* how many elements of it are not */
} cvg_loss;

/*
 * cvg_loss_gradient() computes loss and gradient of ONE shard in training mode:
 *
 *   gradient[i] = (sum over the samples of d loss / d parameter i) / batch
 *
 * Overwritten whole; 0 for what is frozen.  In the place of a running_mean stands the sum over samples and positions of
 * (x - running_mean), in that of running_var that of its squares: so the gradients of shards are added, all alike.
 *
 *   workspace  cvg_network_workspace_size(network, CVG_TRAIN)
 *
 * If the loss is not finite, loss names the layer, and the call returns CVG_OK.  Returns CVG_INVALID_ARGUMENT for a
 * NULL, a count, or a target that is no class; the sentence is in error, which may be NULL.
 */
CVG_API cvg_status cvg_loss_gradient(const cvg_network *network, const void *parameters, const cvg_shard *shard,
                                     void *gradient, cvg_loss *loss, void *workspace, cvg_error *error);

/* ---- files: safetensors, as PyTorch, NumPy, JAX and others read them ---- */

/* Takes the next bytes of a file.  Returns 0, or anything else to stop. */
typedef int cvg_writer(void *context, const void *bytes, size_t size);

/* One entry of a file's __metadata__; both are UTF-8. */
typedef struct cvg_note {
    const char *key, *value;
} cvg_note;

/*
 * Writes parameters with their names and the model text; notes are the caller's metadata.  Keys "model", "recipe",
 * "step", "mark" and "convgrad" are taken.
 */
CVG_API cvg_status cvg_network_save(const cvg_network *network, const void *parameters, const cvg_note *notes,
                                    int note_count, cvg_writer *write, void *context, cvg_error *error);

/*
 * Reads parameters from a whole file in memory, f32 or f64, by name and shape.  With strict, all must be there.
 * Without, what does not fit keeps its value, and *fitted, if not NULL, is the number of parameters that did; error
 * names those that did not, as far as they have room.  Values that are not finite are refused.
 */
CVG_API cvg_status cvg_network_load(const cvg_network *network, void *parameters, const void *file, size_t size,
                                    int strict, int *fitted, cvg_error *error);

/*
 * Copies the metadata value of key to text, as snprintf does, and its full length to *length.  Returns
 * CVG_INVALID_ARGUMENT if the file is damaged or has no such key.
 */
CVG_API cvg_status cvg_file_note(const void *file, size_t size, const char *key, char *text, size_t text_size,
                                 size_t *length, cvg_error *error);

/* ---- training ---- */

typedef enum cvg_optimizer { CVG_SGD = 0, CVG_ADAMW = 1 } cvg_optimizer;
typedef enum cvg_schedule { CVG_CONSTANT = 0, CVG_STEP = 1, CVG_COSINE = 2 } cvg_schedule;

/* All that decides a training besides model and data.  Grows at its end. */
typedef struct cvg_recipe {
    size_t struct_size; /* sizeof(cvg_recipe); set by CVG_RECIPE_INIT */
    int64_t samples;    /* of the data set, 1 to 2^31 - 1 */
    int64_t batch;      /* samples of a step, 1 to samples; an epoch's last batch has what is left */
    int64_t epochs;
    uint64_t seed;
    cvg_init init;
    cvg_optimizer optimizer;
    double learning_rate;         /* moments below 2^-114, of f64 2^-1010, count as 0: subnormal numbers are slow */
    double momentum;              /* of SGD, 0 to 1 (excluded), as in torch.optim.SGD */
    int nesterov;                 /* 0 or 1 */
    double beta1, beta2, epsilon; /* of AdamW */
    double weight_decay;          /* of SGD added to the gradient, of AdamW apart from it */
    cvg_schedule schedule;        /* of the learning rate, after warm-up: */
    int64_t warmup;               /* steps, in which it rises evenly to learning_rate */
    int64_t step_epochs;          /* of CVG_STEP: after so many epochs it is multiplied by step_factor; */
    double step_factor;           /* CVG_COSINE: down towards 0 at the end */
    double clip;                  /* most that the norm of the whole gradient may be; 0 = no limit */
    int flip;                     /* 1: every other sample, at random, is reversed along its last axis */
    int64_t crop;                 /* samples are padded by so many zeros, and cut at random places */
} cvg_recipe;

#define CVG_RECIPE_INIT                                                                                                \
    {                                                                                                                  \
        sizeof(cvg_recipe), 0, 64, 10, 1, CVG_HE, CVG_SGD, 0.02, 0.9, 0, 0.9, 0.999, 1e-8, 0, CVG_CONSTANT, 0, 1, 0.1, \
            0, 0, 0                                                                                                    \
    }

/*
 * The data set.  read() writes one sample, input_elements of the network's type (before scale, mean and std), and its
 * target; it returns 0, or anything else if it cannot.  Workers call it at once, for different samples.
 */
typedef struct cvg_samples {
    int64_t count;
    int (*read)(void *context, int64_t index, void *input, void *target);
    void *context;
} cvg_samples;

/* How an array's elements are stored. */
typedef enum cvg_stored { CVG_STORED_U8 = 0, CVG_STORED_F32 = 1, CVG_STORED_F64 = 2 } cvg_stored;

/* A data set that lies in memory, sample after sample, at any alignment. */
typedef struct cvg_arrays {
    const cvg_network *network; /* whose input and target samples are turned into */
    int64_t count;
    const void *input;                      /* count x input_elements, before scale, mean and std */
    const void *target;                     /* count x int64_t, the class from 0; or of mse count x output_elements */
    cvg_stored input_stored, target_stored; /* target_stored: of mse */
} cvg_arrays;

/*
 * The data set as cvg_trainer_step() reads it; the struct and what it points to must stay as long.  Its read() writes
 * no target where it is given NULL.
 */
CVG_API cvg_samples cvg_samples_array(const cvg_arrays *arrays);

/*
 * Training by many processes, the ranks of a group.  Each has the same model, options, recipe and samples, makes a
 * trainer with its own rank, and calls the same functions of it in the same order.  A rank runs some of each batch's
 * shards, and updates a slice of the parameters.  States and results are those of one process, to the bit.
 *
 * You bring two functions that move bytes, by MPI or whatever you have; the library alone adds.  All ranks call them
 * together, from the thread that called the library.  Places and sizes are bytes, one for each rank, multiples of 4;
 * sizes may be 0.  A function returns 0 when its memory may be used again and what was to come is there.  Else it
 * returns anything, and the library's call fails with a sentence that has the number.
 *
 *   alltoallv   sends send_size[j] bytes at send + send_at[j] to each rank j, itself among them, and receives
 *               receive_size[i] bytes from each rank i at receive + receive_at[i]
 *   allgatherv  buffer + at[i] holds size[i] bytes on rank i; afterwards on all ranks
 *   asked       NULL, or called once in a step: gives a number of this rank's, such as that of a signal; the largest
 *               of all ranks is cvg_progress.asked on each
 */
typedef struct cvg_group {
    size_t struct_size; /* sizeof(cvg_group); set by CVG_GROUP_INIT */
    int rank, size;     /* 0 to size - 1; 1 to 65536 */
    int (*alltoallv)(void *context, const void *send, const size_t *send_at, const size_t *send_size, void *receive,
                     const size_t *receive_at, const size_t *receive_size);
    int (*allgatherv)(void *context, void *buffer, const size_t *at, const size_t *size);
    int (*asked)(void *context);
    void *context;
} cvg_group;

#define CVG_GROUP_INIT                                  \
    {                                                   \
        sizeof(cvg_group), 0, 1, NULL, NULL, NULL, NULL \
    }

typedef struct cvg_trainer cvg_trainer;

/*
 * cvg_trainer_create() checks the recipe for the network, which must outlive the trainer.
 *
 *   workers  shards that run side by side; 0 = as many as there are threads; must be 1 if the network has threads
 *   group    which of many processes this one is; copied; NULL = alone
 *
 * Returns CVG_OK, CVG_INVALID_ARGUMENT, CVG_UNSUPPORTED or CVG_OUT_OF_MEMORY, with *trainer NULL on failure.
 */
CVG_API cvg_status cvg_trainer_create(cvg_trainer **trainer, const cvg_network *network, const cvg_recipe *recipe,
                                      int workers, const cvg_group *group, cvg_error *error);
CVG_API void cvg_trainer_destroy(cvg_trainer *trainer);

/*
 * State: parameters, the optimiser's moments, the number of steps done, the order of the epoch.  One block of the
 * caller's, at an alignment of 8 bytes, which may be copied.  Equal trainings have equal states, to the bit.
 */
CVG_API size_t cvg_trainer_state_size(const cvg_trainer *trainer);
CVG_API size_t cvg_trainer_workspace_size(const cvg_trainer *trainer); /* of any alignment */

CVG_API int64_t cvg_trainer_steps(const cvg_trainer *trainer);       /* of the whole training */
CVG_API int64_t cvg_trainer_epoch_steps(const cvg_trainer *trainer); /* of one epoch */

/* Fills state as at step 0; parameters: of cvg_network_init(), or copied from start if that is not NULL. */
CVG_API cvg_status cvg_trainer_start(const cvg_trainer *trainer, const void *start, void *state);

/* The array of parameters in a state, for cvg_predict(); and the steps done, or -1 if it is no state of this trainer.
 */
CVG_API void *cvg_trainer_parameters(const cvg_trainer *trainer, const void *state);
CVG_API int64_t cvg_trainer_steps_done(const cvg_trainer *trainer, const void *state);

/* What a step did. */
typedef struct cvg_progress {
    int64_t step, epoch;  /* the step that was done, and its epoch; from 0 */
    int64_t count, hits;  /* of its batch */
    double loss;          /* the mean of its samples */
    double learning_rate; /* that was used */
    double gradient_norm; /* before clipping; of what is trained */
    int asked;            /* the largest of what cvg_group.asked gave on the ranks; 0 without it */
} cvg_progress;

/*
 * cvg_trainer_step() takes the next batch of the epoch's order, and moves the state on by one step.
 *
 *   samples   samples->count must be the recipe's
 *   progress  written, or NULL
 *   error     NULL, or where to write the sentence
 *
 * Returns CVG_OK.  CVG_INVALID_ARGUMENT, with the state as it was: a NULL, a training that is done, a sample that
 * cannot be read ("sample 4711 cannot be read"), a target that is no class, or a loss or gradient that is not finite
 * ("loss is not finite in step 412: the output of layer 3 (conv) holds 17 values that are not finite; learning_rate
 * is 0.5").  Of a group, all ranks return the same sentence; but a rank with a NULL does not tell the others, who wait.
 * The same, with a sentence, if the group's functions fail.
 */
CVG_API cvg_status cvg_trainer_step(const cvg_trainer *trainer, void *state, const cvg_samples *samples,
                                    cvg_progress *progress, void *workspace, cvg_error *error);

/*
 * cvg_evaluate() runs the network with given parameters over samples, by the trainer's workers, in the order of their
 * index; loss is that of all of them.
 *
 *   output  samples->count x output_elements, the predictions; or NULL (of a group, on all ranks or on none)
 */
CVG_API cvg_status cvg_evaluate(const cvg_trainer *trainer, const void *parameters, const cvg_samples *samples,
                                cvg_loss *loss, void *output, void *workspace, cvg_error *error);

/*
 * Of a group, a rank's state has the moments of its own slice.  cvg_trainer_gather() brings the others': all ranks call
 * it before one of them saves, or compares states.  Parameters are whole after each step.  Alone it does nothing.
 */
CVG_API cvg_status cvg_trainer_gather(const cvg_trainer *trainer, void *state, void *workspace, cvg_error *error);

/* What travels in a step of a whole batch, and who works how much.  Grows at its end; set struct_size. */
typedef struct cvg_traffic {
    size_t struct_size;     /* sizeof(cvg_traffic) */
    int64_t shards;         /* that the busiest rank runs */
    int64_t sent, received; /* bytes, of the rank that has most of them; allgatherv counted as a ring does it */
    int calls;              /* of alltoallv and allgatherv */
} cvg_traffic;
CVG_API cvg_status cvg_trainer_get_traffic(const cvg_trainer *trainer, cvg_traffic *traffic);

/*
 * cvg_trainer_save() writes a checkpoint: what cvg_network_save() writes, and the optimiser's moments, the steps done
 * and the recipe.  No clock, no host, no number of threads: equal states give equal files.
 * cvg_trainer_load() fills state from such a file; model, options, recipe (but
 * epochs, which may grow) and version must be the same.
 */
CVG_API cvg_status cvg_trainer_save(const cvg_trainer *trainer, const void *state, const cvg_note *notes,
                                    int note_count, cvg_writer *write, void *context, cvg_error *error);
CVG_API cvg_status cvg_trainer_load(const cvg_trainer *trainer, void *state, const void *file, size_t size,
                                    cvg_error *error);

/* A recipe as text, "key=value" a line, as checkpoints hold it; and back.  Like snprintf; unknown keys are refused. */
CVG_API size_t cvg_recipe_write(const cvg_recipe *recipe, char *text, size_t size);
CVG_API cvg_status cvg_recipe_read(cvg_recipe *recipe, const char *text, cvg_error *error);

#ifdef __cplusplus
}
#endif

#endif
