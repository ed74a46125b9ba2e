/* One step of training: its shards, what may be wrong, the calls.  And evaluation, by the same workers and tree. */
#include "step.h"

#include <math.h>
#include <string.h>

/* bad_layer of a shard that could not be computed: its sample, or its target, is at fault. */
enum { UNREADABLE = 1 << 20, NO_CLASS };

static struct step step_of(const cvg_trainer *t, struct cvt_state *state, const cvg_samples *samples, void *workspace)
{
    struct step s = {.t = t, .state = state, .samples = samples, .base = cvt_aligned(workspace)};
    s.square = (double *)(void *)(s.base + t->square_at);
    s.pair = (char **)(void *)(s.base + t->pairs_at);
    s.stack = (struct cvt_stack *)(void *)(s.base + t->stacks_at);
    return s;
}

static char *worker_at(const struct step *s, int worker) { return s->base + (size_t)worker * s->t->worker_size; }

static void join(void *context, char *to, const char *from)
{
    const struct step *s = context;
    cvt_join_loss(cvt_loss_in(to), &((const struct cvt_sum *)(const void *)from)->loss);
    if (s->state)
        cvt_slice_add(s->t->network, 0, s->t->network->elements, cvt_gradient_of(to), cvt_gradient_of((char *)from));
}

/* Reads the samples of a shard into the worker's arrays; those of the order, or without a state by their index. */
static int read_shard(const struct step *s, int64_t first, int64_t count, char *own, cvg_loss *loss)
{
    const cvg_trainer *t = s->t;
    const cvg_network *n = t->network;
    const int classes = n->layer[n->layers - 1].kind == &cvt_cross_entropy;
    const size_t in = (size_t)n->input.elements * n->size;
    const size_t out = classes ? sizeof(int64_t) : (size_t)n->layer[n->layers - 2].out.elements * n->size;
    int64_t *index = (int64_t *)(void *)(own + t->index_at);
    const uint32_t *order = s->state ? (const uint32_t *)(void *)((char *)s->state + t->order_at) : NULL;
    for (int64_t i = 0; i < count; i++) {
        index[i] = order ? order[s->first + first + i] : s->first + first + i;
        char *const target = own + t->target_at + (size_t)i * out;
        const int bad = cvt_read_sample(t, s->samples, index[i], s->epoch, order != NULL,
                                        own + t->input_at + (size_t)i * in, target, own + t->sample_at);
        const int64_t class = classes ? *(const int64_t *)(const void *)target : 0;
        if (bad || class < 0 || (classes && class >= n->layer[n->layers - 2].out.elements)) {
            *loss = (cvg_loss){.bad_layer = bad ? UNREADABLE : NO_CLASS, .bad_elements = index[i], .hits = class};
            return 1;
        }
    }
    return 0;
}

/* One shard of a step: read, forward, loss, backward. */
static void run_shard(const struct step *s, int64_t shard, char *own, char *sum)
{
    const cvg_trainer *t = s->t;
    const int64_t first = cvt_part(s->count, s->shards, shard), end = cvt_part(s->count, s->shards, shard + 1);
    cvg_loss *loss = cvt_loss_in(sum);
    if (read_shard(s, first, end - first, own, loss)) {
        memset(cvt_gradient_of(sum), 0, (size_t)t->network->elements * t->network->size);
        return;
    }
    const cvg_shard given = {.count = end - first,
                             .batch = s->count,
                             .input = own + t->input_at,
                             .target = own + t->target_at,
                             .index = (const int64_t *)(const void *)(own + t->index_at),
                             .epoch = s->epoch,
                             .seed = t->recipe.seed};
    cvg_loss_gradient(t->network, cvg_trainer_parameters(t, s->state), &given, cvt_gradient_of(sum), loss, own, NULL);
}

static void run_worker(void *context, int worker)
{
    const struct step *s = context;
    const cvg_trainer *t = s->t;
    struct cvt_stack *stack = &s->stack[worker];
    char *const sums = s->base + t->sums_at + (size_t)t->first_sum[worker] * t->sum_size;
    *stack = (struct cvt_stack){.leaves = s->shards};
    const int64_t end = cvt_first_shard(t, s->shards, worker + 1);
    for (int64_t shard = cvt_first_shard(t, s->shards, worker); shard < end; shard++) {
        char *sum = sums + (size_t)stack->count * t->sum_size;
        run_shard(s, shard, worker_at(s, worker), sum);
        cvt_push(stack, (struct cvt_node){.index = shard, .at = sum}, join, (void *)s);
    }
}

/* ---- sentences ---- */

static cvg_status say_sample(const cvg_network *n, const cvg_loss *loss, cvg_error *error)
{
    if (loss->bad_layer == UNREADABLE)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "sample %lld cannot be read", (long long)loss->bad_elements);
    return cvt_fail(error, CVG_INVALID_ARGUMENT, "the target of sample %lld is %lld; must be 0 to %lld",
                    (long long)loss->bad_elements, (long long)loss->hits,
                    (long long)n->layer[n->layers - 2].out.elements - 1);
}

static cvg_status say_loss(const struct step *s, const cvg_loss *loss, cvg_error *error)
{
    const cvg_network *n = s->t->network;
    return cvt_fail(
        error, CVG_INVALID_ARGUMENT,
        "loss is not finite in step %lld: the output of layer %d (%s) holds %lld values that are not finite; "
        "learning_rate is %g",
        (long long)s->state->step, loss->bad_layer, n->layer[loss->bad_layer].kind->name, (long long)loss->bad_elements,
        s->rate);
}

/* How many elements of a parameter are not finite, in this rank's slice. */
static int64_t not_finite(const struct step *s, const struct cvt_parameter *p)
{
    const cvg_trainer *t = s->t;
    const void *values = cvt_gradient_of(s->root);
    const int64_t begin = p->offset > t->begin ? p->offset : t->begin;
    const int64_t end = p->offset + p->count < t->end ? p->offset + p->count : t->end;
    int64_t bad = 0;
    for (int64_t i = begin - t->begin; i < end - t->begin; i++) {
        const double v = t->network->type == CVG_F32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
        bad += !(v - v == 0);
    }
    return bad;
}

static cvg_status say_gradient(const struct step *s, cvg_error *error)
{
    const cvg_network *n = s->t->network;
    const int ranks = s->t->group.size;
    int64_t own[2] = {n->parameters, 0}, first = n->parameters, count = 0; /* which parameter, and how many elements */
    const int64_t *all = own;
    for (int i = 0; i < n->parameters && own[1] == 0; i++)
        if ((own[1] = not_finite(s, &n->parameter[i])) > 0)
            own[0] = i;
    const cvg_status status = ranks > 1 ? cvt_gather_pairs(s->t, s->base, own, &all, error) : CVG_OK;
    if (status)
        return status;
    for (int i = 0; i < ranks; i++)
        first = all[2 * i] < first ? all[2 * i] : first;
    for (int i = 0; i < ranks; i++)
        count += all[2 * i] == first ? all[2 * i + 1] : 0;
    if (first < n->parameters)
        return cvt_fail(error, CVG_INVALID_ARGUMENT,
                        "the gradient is not finite in step %lld: that of %s holds %lld values that are not finite; "
                        "learning_rate is %g",
                        (long long)s->state->step, n->parameter[first].name, (long long)count, s->rate);
    return cvt_fail(error, CVG_INVALID_ARGUMENT,
                    "the norm of the gradient is not finite in step %lld; learning_rate is %g",
                    (long long)s->state->step, s->rate);
}

/* ---- the calls ---- */

static cvg_status check_step(const cvg_trainer *t, const void *state, const cvg_samples *samples, const void *workspace,
                             cvg_error *error)
{
    const char *names[] = {"trainer", "state", "samples", "workspace"};
    const void *const pointers[] = {t, state, samples, workspace};
    if (error)
        error->text[0] = 0;
    for (int i = 0; i < 4; i++)
        if (!pointers[i])
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", names[i]);
    if (!samples->read)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "samples.read is NULL");
    return CVG_OK;
}

/* Which step it is, and its batch. */
static cvg_status find_batch(struct step *s, cvg_error *error)
{
    const cvg_trainer *t = s->t;
    const int64_t done = cvg_trainer_steps_done(t, s->state);
    if (done < 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "state is none of this trainer");
    if (done == t->steps)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the training is done: it had %lld steps", (long long)t->steps);
    if (s->samples->count != t->recipe.samples)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "samples.count is %lld; the recipe's is %lld",
                        (long long)s->samples->count, (long long)t->recipe.samples);
    s->epoch = done / t->epoch_steps;
    s->first = done % t->epoch_steps * t->recipe.batch;
    s->count = t->recipe.samples - s->first < t->recipe.batch ? t->recipe.samples - s->first : t->recipe.batch;
    s->shards = cvt_batch_shards(t, s->count);
    s->rate = cvt_learning_rate(t, done);
    return CVG_OK;
}

/* All ranks learn how the shards went, and the loss, before anything is changed. */
static cvg_status agree(struct step *s, cvg_status status, cvg_error *error)
{
    const cvg_trainer *t = s->t;
    const cvg_group *g = &t->group;
    struct cvt_word own = {.mark = t->mark, .at = s->state->step, .status = status};
    if (g->size > 1) {
        own.asked = g->asked ? g->asked(g->context) : 0;
        status = cvt_agree(t, s->base, &own, &s->mine, t->most_nodes, error);
    }
    s->asked = own.asked;
    if (status)
        return status;
    s->loss = g->size > 1 ? cvt_agreed_loss(t, s->base, s->shards, t->most_nodes) : *cvt_loss_in(s->mine.node[0].at);
    if (s->loss.bad_layer >= UNREADABLE)
        return say_sample(t->network, &s->loss, error);
    return s->loss.bad_layer >= 0 ? say_loss(s, &s->loss, error) : CVG_OK;
}

static void finish(struct step *s, double norm, cvg_progress *progress)
{
    const cvg_trainer *t = s->t;
    struct cvt_state *state = s->state;
    if (progress)
        *progress = (cvg_progress){.step = state->step,
                                   .epoch = s->epoch,
                                   .count = s->count,
                                   .hits = s->loss.hits,
                                   .loss = s->loss.sum / (double)s->count,
                                   .learning_rate = s->rate,
                                   .gradient_norm = norm,
                                   .asked = (int)s->asked};
    state->beta1_power *= t->recipe.beta1;
    state->beta2_power *= t->recipe.beta2;
    state->sharded = t->group.size > 1 && t->moments > 0;
    state->step++;
    if (state->step % t->epoch_steps == 0)
        cvt_find_order(t, state);
}

cvg_status cvg_trainer_step(const cvg_trainer *t, void *state, const cvg_samples *samples, cvg_progress *progress,
                            void *workspace, cvg_error *error)
{
    cvg_status status = check_step(t, state, samples, workspace, error);
    if (status)
        return status;
    struct step s = step_of(t, state, samples, workspace);
    status = find_batch(&s, error);
    if (!status) {
        cvt_side_by_side(t->network, t->workers, run_worker, &s);
        cvt_collect(&s, cvt_join_later);
    }
    if ((status = agree(&s, status, error)) || (status = cvt_join_all(&s, error)))
        return status;
    double squares = 0;
    for (int64_t i = 0; i < (t->network->moved + CVT_SLICE - 1) / CVT_SLICE; i++)
        squares += s.square[i];
    const double norm = sqrt(squares);
    if (!(norm - norm == 0))
        return say_gradient(&s, error);
    s.factor = t->recipe.clip > 0 && norm > t->recipe.clip ? t->recipe.clip / norm : 1;
    if ((status = cvt_update_all(&s, error)))
        return status;
    finish(&s, norm, progress);
    return CVG_OK;
}

/* ---- evaluation ---- */

struct evaluation {
    struct step s; /* without a state: samples by their index */
    const void *parameters;
    char *output;
};

static void evaluate_worker(void *context, int worker)
{
    struct evaluation *e = context;
    struct step *s = &e->s;
    const cvg_trainer *t = s->t;
    const cvg_network *n = t->network;
    const size_t out = (size_t)n->layer[n->layers - 2].out.elements * n->size;
    struct cvt_stack *stack = &s->stack[worker];
    struct cvt_sum sum[CVT_DEPTH];
    char *const own = worker_at(s, worker);
    *stack = (struct cvt_stack){.leaves = s->shards};
    const int64_t end = cvt_first_shard(t, s->shards, worker + 1);
    for (int64_t shard = cvt_first_shard(t, s->shards, worker); shard < end; shard++) {
        const int64_t first = shard * n->shard, count = s->count - first < n->shard ? s->count - first : n->shard;
        cvg_loss *loss = &sum[stack->count].loss;
        *loss = (cvg_loss){.count = count, .bad_layer = -1};
        if (!read_shard(s, first, count, own, loss)) {
            char *output = e->output ? e->output + (size_t)first * out : own + t->output_at;
            cvg_predict(n, e->parameters, own + t->input_at, count, output, own);
            cvt_loss_of(n, output, own + t->target_at, count, loss);
        }
        cvt_push(stack, (struct cvt_node){.index = shard, .at = (char *)&sum[stack->count]}, join, s);
    }
    /* what is left goes to the worker's own memory, which it does not need any more */
    for (int i = 0; i < stack->count; i++) {
        char *to = own + (size_t)i * sizeof *sum;
        memcpy(to, &sum[i], sizeof *sum);
        stack->node[i].at = to;
    }
}

/* All ranks' losses, and their rows of the output. */
static cvg_status evaluate_together(struct evaluation *e, cvg_status status, cvg_error *error)
{
    struct step *s = &e->s;
    const cvg_trainer *t = s->t;
    const cvg_network *n = t->network;
    struct cvt_word own = {.mark = t->mark, .at = -1 - 2 * s->count - (e->output != NULL), .status = status};
    struct cvt_stack nodes;
    int most = 0;
    if ((status = cvt_agree(t, s->base, &own, NULL, 0, error)))
        return status;
    for (int rank = 0; rank < t->group.size; rank++) {
        cvt_rank_nodes(t, s->shards, rank, &nodes);
        most = nodes.count > most ? nodes.count : most;
    }
    if ((status = cvt_agree(t, s->base, &own, &s->mine, most, error)))
        return status;
    s->loss = cvt_agreed_loss(t, s->base, s->shards, most);
    return e->output && s->loss.bad_layer < UNREADABLE
               ? cvt_gather_rows(t, s->base, e->output, s->count,
                                 (size_t)n->layer[n->layers - 2].out.elements * n->size, error)
               : CVG_OK;
}

cvg_status cvg_evaluate(const cvg_trainer *t, const void *parameters, const cvg_samples *samples, cvg_loss *loss,
                        void *output, void *workspace, cvg_error *error)
{
    cvg_status status = check_step(t, parameters, samples, workspace, error);
    if (status)
        return status;
    if (!loss)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "loss is NULL");
    *loss = (cvg_loss){.bad_layer = -1};
    struct evaluation e = {step_of(t, NULL, samples, workspace), parameters, output};
    e.s.count = samples->count;
    if (samples->count < 1)
        status = cvt_fail(error, CVG_INVALID_ARGUMENT, "samples.count is %lld; must be at least 1",
                          (long long)samples->count);
    else {
        e.s.shards = cvt_batch_shards(t, e.s.count);
        cvt_side_by_side(t->network, t->workers, evaluate_worker, &e);
        cvt_collect(&e.s, cvt_join_losses);
    }
    if (t->group.size > 1)
        status = evaluate_together(&e, status, error);
    else if (!status)
        e.s.loss = *cvt_loss_in(e.s.mine.node[0].at);
    if (status)
        return status;
    *loss = e.s.loss;
    return loss->bad_layer >= UNREADABLE ? say_sample(t->network, loss, error) : CVG_OK;
}
