/* Trainers: checks, sizes, where everything lies in a state and in the workspace. */
#include "random.h"
#include "trainer.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a */
static uint64_t hash(uint64_t sum, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
    return sum;
}

/* Of all that decides a state's bits, but the number of epochs, which may grow. */
static uint64_t mark_of(const cvg_trainer *t)
{
    cvg_recipe recipe = t->recipe;
    char text[2048];
    const cvg_network *n = t->network;
    recipe.epochs = 1;
    const size_t length = cvg_recipe_write(&recipe, text, sizeof text);
    const int64_t numbers[] = {n->type, n->shard, n->fuses, (int64_t)n->options.workspace_limit};
    uint64_t mark = hash(0xcbf29ce484222325, text, length < sizeof text ? length : sizeof text);
    mark = hash(hash(mark, n->text, n->length), numbers, sizeof numbers);
    mark = hash(mark, &n->options.error_growth, sizeof n->options.error_growth);
    mark = n->layout == CVG_CHANNELS_LAST ? hash(mark, "channels last", 13) : mark;
    for (int i = 0; i < n->layers; i++)
        mark = hash(mark, &n->layer[i].frozen, sizeof n->layer[i].frozen);
    return mark;
}

/* Runs of parameters that are trained, joined where they touch. */
static cvg_status find_ranges(cvg_trainer *t, cvg_error *error)
{
    const cvg_network *n = t->network;
    t->range = malloc((size_t)(n->parameters + 1) * sizeof *t->range);
    if (!t->range)
        return cvt_fail(error, CVG_OUT_OF_MEMORY, "the trainer could not be allocated");
    for (int i = 0; i < n->parameters; i++) {
        const struct cvt_parameter *p = &n->parameter[i];
        if (p->statistic || n->layer[p->layer].frozen)
            continue;
        if (t->ranges > 0 && t->range[t->ranges - 1].end == p->offset)
            t->range[t->ranges - 1].end += p->count;
        else
            t->range[t->ranges++] = (struct cvt_range){p->offset, p->offset + p->count};
    }
    if (t->ranges == 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "nothing is trained: no layer has parameters that are not frozen");
    return CVG_OK;
}

/* The smallest shard of a batch may not leave batch norm one value a channel. */
static cvg_status check_batchnorm(const cvg_trainer *t, int64_t batch, const char *which, cvg_error *error)
{
    const cvg_network *n = t->network;
    const int64_t shards = (batch + n->shard - 1) / n->shard;
    const int alone = cvt_batchnorm_alone(n, batch / shards);
    if (alone == CVT_NONE)
        return CVG_OK;
    return cvt_fail(error, CVG_INVALID_ARGUMENT,
                    "%s of %lld has a shard of one sample, which leaves batchnorm in layer %d one value a channel",
                    which, (long long)batch, alone);
}

static int64_t last_batch(const cvg_trainer *t) { return t->recipe.samples - (t->epoch_steps - 1) * t->recipe.batch; }

static void lay_out_state(cvg_trainer *t)
{
    const cvg_network *n = t->network;
    const int adam = t->recipe.optimizer == CVG_ADAMW;
    t->moments = adam ? 2 : t->recipe.momentum > 0;
    size_t at = cvt_round_up(sizeof(struct cvt_state));
    t->parameters_at = at;
    at += cvt_round_up((size_t)n->elements * n->size);
    for (int i = 0; i < t->moments; i++) {
        t->moment_at[i] = at;
        at += cvt_round_up((size_t)n->moved * n->size);
    }
    t->order_at = at;
    t->state_size = at + cvt_round_up((size_t)t->recipe.samples * sizeof(uint32_t));
}

static cvg_status lay_out_workspace(cvg_trainer *t, cvg_error *error)
{
    const cvg_network *n = t->network;
    const int64_t outputs = n->layer[n->layers - 2].out.elements, shard = n->shard;
    const size_t target = cvt_larger(sizeof(int64_t), n->size) * (size_t)outputs;
    t->first_sum = calloc((size_t)t->workers + 1, sizeof *t->first_sum);
    if (!t->first_sum)
        return cvt_fail(error, CVG_OUT_OF_MEMORY, "the trainer could not be allocated");
    t->input_at = cvt_round_up(cvt_larger(n->workspace[CVG_TRAIN], n->workspace[CVG_PREDICT]));
    t->target_at = t->input_at + cvt_round_up((size_t)(shard * n->input.elements) * n->size);
    t->index_at = t->target_at + cvt_round_up((size_t)shard * target);
    t->output_at = t->index_at + cvt_round_up((size_t)shard * sizeof(int64_t));
    t->sample_at = t->output_at + cvt_round_up((size_t)(shard * outputs) * n->size);
    t->worker_size = t->sample_at + cvt_round_up((size_t)n->input.elements * n->size);
    t->worker_size =
        cvt_larger(t->worker_size, cvt_round_up(CVT_DEPTH * sizeof(struct cvt_sum))); /* of an evaluation */

    t->sum_size = cvt_round_up(sizeof(struct cvt_sum)) + cvt_round_up((size_t)n->elements * n->size);
    const int64_t batches[2] = {t->recipe.batch, last_batch(t)};
    for (int worker = 0; worker < t->workers; worker++) {
        int most = 1;
        for (int i = 0; i < 2; i++) {
            const int64_t shards = cvt_batch_shards(t, batches[i]);
            const int nodes =
                cvt_most_nodes(shards, cvt_first_shard(t, shards, worker), cvt_first_shard(t, shards, worker + 1));
            most = nodes > most ? nodes : most;
        }
        t->first_sum[worker + 1] = t->first_sum[worker] + most;
    }
    const size_t sums = (size_t)t->first_sum[t->workers], slices = (size_t)((n->moved + CVT_SLICE - 1) / CVT_SLICE);
    t->sums_at = (size_t)t->workers * t->worker_size;
    t->square_at = t->sums_at + sums * t->sum_size;
    t->stacks_at = t->square_at + cvt_round_up(slices * sizeof(double));
    size_t at = t->stacks_at + cvt_round_up((size_t)t->workers * sizeof(struct cvt_stack));
    if (t->group.size > 1)
        at = cvt_lay_out_group(t, batches, at);
    t->pairs_at = at;
    at += cvt_round_up(cvt_larger(sums, (size_t)t->slots) * 2 * sizeof(char *));
    t->workspace_size = at + 64;
    return CVG_OK;
}

static cvg_status read_group(cvg_group *own, const cvg_group *given, cvg_error *error)
{
    if (given->struct_size < sizeof *given)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "group.struct_size is %zu; must be %zu", given->struct_size,
                        sizeof *given);
    *own = *given;
    if (own->size < 1 || own->size > 65536)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "group.size is %d; must be 1 to 65536", own->size);
    if (own->rank < 0 || own->rank >= own->size)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "group.rank is %d; must be 0 to %d", own->rank, own->size - 1);
    if (own->size > 1 && (!own->alltoallv || !own->allgatherv))
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "group.%s is NULL", own->alltoallv ? "allgatherv" : "alltoallv");
    return CVG_OK;
}

static cvg_status make(cvg_trainer *t, const cvg_recipe *recipe, int workers, const cvg_group *group, cvg_error *error)
{
    const cvg_network *n = t->network;
    cvg_status status = cvt_recipe_check(&t->recipe, recipe, n, error);
    if (status)
        return status;
    if (workers < 0 || workers > 4096)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "workers is %d; must be 0 to 4096", workers);
    if (n->options.threads != 1 && workers != 1)
        return cvt_fail(error, CVG_INVALID_ARGUMENT,
                        "workers is %d, and the network has threads inside its layers; one of both must be 1", workers);
    if (group && (status = read_group(&t->group, group, error)))
        return status;
    t->workers = cvt_workers(n, workers);
    t->epoch_steps = (t->recipe.samples + t->recipe.batch - 1) / t->recipe.batch;
    t->steps = t->epoch_steps * t->recipe.epochs;
    if (t->recipe.warmup > t->steps)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "warmup is %lld; there are %lld steps",
                        (long long)t->recipe.warmup, (long long)t->steps);
    if ((status = check_batchnorm(t, t->recipe.batch, "a batch", error)) ||
        (status = check_batchnorm(t, last_batch(t), "the last batch", error)) || (status = find_ranges(t, error)))
        return status;
    t->mark = mark_of(t);
    lay_out_state(t);
    return lay_out_workspace(t, error);
}

cvg_status cvg_trainer_create(cvg_trainer **trainer, const cvg_network *network, const cvg_recipe *recipe, int workers,
                              const cvg_group *group, cvg_error *error)
{
    if (error)
        error->text[0] = 0;
    if (!trainer)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "trainer is NULL");
    *trainer = NULL;
    if (!network || !recipe)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", network ? "recipe" : "network");
    cvg_trainer *t = calloc(1, sizeof *t);
    if (!t)
        return cvt_fail(error, CVG_OUT_OF_MEMORY, "the trainer could not be allocated");
    t->network = network;
    t->group.size = 1;
    t->end = network->elements;
    const cvg_status status = make(t, recipe, workers, group, error);
    if (status)
        cvg_trainer_destroy(t);
    else
        *trainer = t;
    return status;
}

void cvg_trainer_destroy(cvg_trainer *t)
{
    if (!t)
        return;
    free(t->range);
    free(t->first_sum);
    free(t);
}

size_t cvg_trainer_state_size(const cvg_trainer *t) { return t ? t->state_size : 0; }
size_t cvg_trainer_workspace_size(const cvg_trainer *t) { return t ? t->workspace_size : 0; }
int64_t cvg_trainer_steps(const cvg_trainer *t) { return t ? t->steps : 0; }
int64_t cvg_trainer_epoch_steps(const cvg_trainer *t) { return t ? t->epoch_steps : 0; }

void *cvg_trainer_parameters(const cvg_trainer *t, const void *state)
{
    return t && state ? (char *)state + t->parameters_at : NULL;
}

int64_t cvg_trainer_steps_done(const cvg_trainer *t, const void *state) { return cvt_steps_done(t, state); }

void cvt_find_order(const cvg_trainer *t, struct cvt_state *state)
{
    cvg_random_order(cvg_random_key(t->recipe.seed, CVG_RANDOM_ORDER, 0), (uint32_t)(state->step / t->epoch_steps),
                     (uint32_t)t->recipe.samples, (uint32_t *)(void *)((char *)state + t->order_at));
}

cvg_status cvg_trainer_start(const cvg_trainer *t, const void *start, void *state)
{
    if (!t || !state)
        return CVG_INVALID_ARGUMENT;
    memset(state, 0, t->state_size);
    struct cvt_state *s = state;
    *s = (struct cvt_state){.mark = t->mark, .beta1_power = 1, .beta2_power = 1};
    cvt_find_order(t, s);
    void *parameters = cvg_trainer_parameters(t, state);
    if (start)
        memcpy(parameters, start, (size_t)t->network->elements * t->network->size);
    return start ? CVG_OK : cvg_network_init(t->network, t->recipe.init, t->recipe.seed, parameters);
}
