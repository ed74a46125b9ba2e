/*
 * Trains a small network on MNIST with convgrad-train, and says how many test digits it reads right.
 *
 *   cc train_mnist.c $(pkg-config --cflags --libs convgrad-train) -o train_mnist
 *   ./train_mnist train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte
 * [EPOCHS]
 *
 * The files are MNIST's, decompressed.  The result is the same to the bit on every machine with fused multiply-add, for
 * every number of threads.
 */
#include <convgrad_train.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char model[] = "input 1x28x28 scale=1/255 mean=0.1307 std=0.3081\n"
                            "conv 16 5x5 padding=2\nrelu\nmaxpool 2\n"
                            "conv 32 5x5 padding=2\nrelu\nmaxpool 2\n"
                            "flatten\nlinear 128\nrelu\nlinear 10\ncross_entropy\n";

enum { SIDE = 28, PIXELS = SIDE * SIDE };

struct digits {
    int64_t count;
    unsigned char *pixels, *labels;
};

/* Bytes of an IDX file after its header; how many samples there are. */
static unsigned char *idx_read(const char *path, size_t header, size_t each, int64_t *count)
{
    FILE *file = fopen(path, "rb");
    unsigned char start[16], *bytes;
    if (!file || fread(start, 1, header, file) != header) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    *count = (int64_t)start[4] << 24 | start[5] << 16 | start[6] << 8 | start[7];
    bytes = malloc((size_t)*count * each + 1);
    if (!bytes || start[2] != 8 || fread(bytes, each, (size_t)*count, file) != (size_t)*count) {
        fprintf(stderr, "%s is no IDX file of bytes, or is cut short\n", path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

static struct digits digits_read(const char *images, const char *labels)
{
    struct digits d;
    int64_t count;
    d.pixels = idx_read(images, 16, PIXELS, &d.count);
    d.labels = idx_read(labels, 8, 1, &count);
    if (count != d.count) {
        fprintf(stderr, "%s has %" PRId64 " labels for %" PRId64 " images\n", labels, count, d.count);
        exit(1);
    }
    return d;
}

/* One sample for the library: values as they are stored; "input" in the model says how they are scaled. */
static int read_digit(void *context, int64_t index, void *input, void *target)
{
    const struct digits *d = context;
    for (int i = 0; i < PIXELS; i++)
        ((float *)input)[i] = d->pixels[index * PIXELS + i];
    *(int64_t *)target = d->labels[index];
    return 0;
}

static void must(cvg_status status, const cvg_error *error)
{
    if (status) {
        fprintf(stderr, "%s\n", error->text);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    cvg_error error;
    cvg_network *network;
    cvg_trainer *trainer;
    cvg_recipe recipe = CVG_RECIPE_INIT;
    cvg_progress progress;
    cvg_loss tested;
    if (argc < 5) {
        fprintf(stderr, "usage: %s IMAGES LABELS TEST-IMAGES TEST-LABELS [EPOCHS]\n", argv[0]);
        return 2;
    }
    struct digits train = digits_read(argv[1], argv[2]), test = digits_read(argv[3], argv[4]);
    const cvg_samples samples = {train.count, read_digit, &train}, tests = {test.count, read_digit, &test};
    recipe.samples = train.count;
    recipe.epochs = argc > 5 ? atoll(argv[5]) : 12;
    recipe.schedule = CVG_COSINE;
    recipe.crop = 2;

    must(cvg_network_create(&network, model, sizeof model - 1, NULL, &error), &error);
    must(cvg_trainer_create(&trainer, network, &recipe, 0, NULL, &error), &error);
    void *state = malloc(cvg_trainer_state_size(trainer)), *workspace = malloc(cvg_trainer_workspace_size(trainer));
    if (!state || !workspace)
        return 1;
    cvg_trainer_start(trainer, NULL, state);
    double loss = 0;
    for (int64_t step = 1; step <= cvg_trainer_steps(trainer); step++) {
        must(cvg_trainer_step(trainer, state, &samples, &progress, workspace, &error), &error);
        loss += progress.loss * (double)progress.count / (double)train.count;
        if (step % cvg_trainer_epoch_steps(trainer))
            continue;
        must(cvg_evaluate(trainer, cvg_trainer_parameters(trainer, state), &tests, &tested, NULL, workspace, &error),
             &error);
        printf("epoch %" PRId64 ": loss %.4f, %" PRId64 " of %" PRId64 " test digits right\n", progress.epoch + 1, loss,
               tested.hits, tested.count);
        loss = 0;
    }
    cvg_trainer_destroy(trainer);
    cvg_network_destroy(network);
    free(state);
    free(workspace);
    free(train.pixels);
    free(train.labels);
    free(test.pixels);
    free(test.labels);
    return 0;
}
