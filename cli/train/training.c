#include "training.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t type_size(cvg_type type) { return type == CVG_F32 ? sizeof(float) : sizeof(double); }

double value_of(cvg_type type, const void *values, int64_t index)
{
    return type == CVG_F32 ? (double)((const float *)values)[index] : ((const double *)values)[index];
}

int64_t class_of(const cvg_network_facts *facts, const void *outputs, int64_t sample)
{
    const int64_t first = sample * facts->output_elements;
    int64_t best = 0;
    for (int64_t c = 1; c < facts->output_elements; c++)
        if (value_of(facts->type, outputs, first + c) > value_of(facts->type, outputs, first + best))
            best = c;
    return best;
}

cvg_network *network_make(const char *model, const struct settings *settings, int64_t batch, int threads)
{
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    const cvg_options plans = options_asked_for(1); /* what CVG_ISA asks for */
    cvg_network *network;
    cvg_error error;
    options.type = settings->type;
    options.shard = settings->shard ? settings->shard : cvg_shard_default(batch);
    options.error_growth = settings->error_growth;
    options.threads = threads;
    options.isa = plans.isa;
    options.freeze = settings->freeze;
    options.layout = settings->layout;
    if (threads > sysconf(_SC_NPROCESSORS_ONLN)) /* more would mostly wait, and OpenMP's burn time while they do */
        options.parallel_for = thread_each;
    const cvg_status status = cvg_network_create(&network, model, strlen(model), &options, &error);
    if (status)
        die(status == CVG_OUT_OF_MEMORY ? EXIT_WRONG : EXIT_BAD_INPUT, "%s", error.text);
    return network;
}

static void make_with(struct training *t, int workers, int threads)
{
    cvg_error error;
    t->workers = workers;
    t->network = network_make(t->model, &t->settings, t->recipe.batch, threads);
    t->facts = (cvg_network_facts){.struct_size = sizeof t->facts};
    cvg_network_get_facts(t->network, &t->facts);
    const cvg_status status =
        cvg_trainer_create(&t->trainer, t->network, &t->recipe, workers, t->group.size > 1 ? &t->group : NULL, &error);
    if (status)
        die(status == CVG_OUT_OF_MEMORY ? EXIT_WRONG : EXIT_BAD_INPUT, "%s", error.text);
}

/* Bytes of a training; more means "does not fit". */
static uint64_t bytes_of(const struct training *t)
{
    return (uint64_t)cvg_trainer_state_size(t->trainer) + cvg_trainer_workspace_size(t->trainer);
}

static void unmake(struct training *t)
{
    cvg_trainer_destroy(t->trainer);
    cvg_network_destroy(t->network);
    t->trainer = NULL;
    t->network = NULL;
}

void training_make(struct training *t)
{
    int threads = t->threads;
    if (threads == 0)
        threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    threads = threads < 1 ? 1 : threads;
    for (int workers = threads;; workers = workers > 1 ? workers - 1 : 0) {
        /* Fewest bytes: one shard at a time, with all threads inside its layers. */
        make_with(t, workers ? workers : 1, workers ? 1 : threads);
        if (!t->memory || bytes_of(t) <= (uint64_t)t->memory)
            break;
        if (workers == 0 || (workers == 1 && threads == 1))
            die(EXIT_BAD_INPUT,
                "--memory is %" PRId64 "; this training needs at least %" PRIu64
                " bytes besides the data (a smaller --shard needs less)",
                t->memory, bytes_of(t));
        unmake(t);
    }
    t->state = cli_alloc(cvg_trainer_state_size(t->trainer), 1);
    t->workspace = cli_alloc(cvg_trainer_workspace_size(t->trainer), 1);
}

void training_free(struct training *t)
{
    unmake(t);
    dataset_free(&t->data);
    dataset_free(&t->test);
    free(t->state);
    free(t->workspace);
    free(t->history.epochs);
    free(t->model);
}
