/* One step of training: shards, the tree, the update.  And evaluation, by the same workers and tree. */
#include "trainer.h"

#include <math.h>
#include <string.h>

/* One step, as workers see it. */
struct step {
    const cvg_trainer *t;
    struct cvt_state *state;
    const cvg_samples *samples;
    char *base;
    int64_t epoch, first, count, shards; /* of the batch: its first place in the order */
    struct cvt_stack *stack;             /* of each worker */
    char **pair;                         /* what is joined at the end: to, from */
    int pairs;
    char *root;
    double *square, rate, factor;
};

static char *aligned(void *workspace) { return (char *)(((uintptr_t)workspace + 63) / 64 * 64); }

static char *gradient_of(char *sum) { return sum + (sizeof(struct cvt_sum) + 63) / 64 * 64; }
static const char *gradient_in(const char *sum) { return sum + (sizeof(struct cvt_sum) + 63) / 64 * 64; }
static cvg_loss *loss_of(char *sum) { return &((struct cvt_sum *)(void *)sum)->loss; }

/* bad_layer of a shard that could not be computed: its sample, or its target, is at fault. */
enum { UNREADABLE = 1 << 20, NO_CLASS };

static struct step step_of(const cvg_trainer *t, struct cvt_state *state, const cvg_samples *samples, void *workspace)
{
    struct step s = {.t = t, .state = state, .samples = samples, .base = aligned(workspace)};
    const size_t sums = (size_t)t->first_sum[t->workers];
    s.square = (double *)(void *)(s.base + t->square_at);
    s.pair = (char **)(void *)(s.base + t->pairs_at);
    s.stack = (struct cvt_stack *)(void *)(s.base + t->pairs_at + (sums * 2 * sizeof(char *) + 63) / 64 * 64);
    return s;
}

static char *worker_at(const struct step *s, int worker) { return s->base + (size_t)worker * s->t->worker_size; }

static void join(void *context, char *to, const char *from)
{
    const struct step *s = context;
    cvt_join_loss(loss_of(to), &((const struct cvt_sum *)(const void *)from)->loss);
    if (s->state)
        cvt_slice_add(s->t->network, 0, s->t->network->elements, gradient_of(to), gradient_in(from));
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
    cvg_loss *loss = loss_of(sum);
    if (read_shard(s, first, end - first, own, loss)) {
        memset(gradient_of(sum), 0, (size_t)t->network->elements * t->network->size);
        return;
    }
    const cvg_shard given = {.count = end - first,
                             .batch = s->count,
                             .input = own + t->input_at,
                             .target = own + t->target_at,
                             .index = (const int64_t *)(const void *)(own + t->index_at),
                             .epoch = s->epoch,
                             .seed = t->recipe.seed};
    cvg_loss_gradient(t->network, cvg_trainer_parameters(t, s->state), &given, gradient_of(sum), loss, own, NULL);
}

static void run_worker(void *context, int worker)
{
    const struct step *s = context;
    const cvg_trainer *t = s->t;
    struct cvt_stack *stack = &s->stack[worker];
    char *const sums = s->base + t->sums_at + (size_t)t->first_sum[worker] * t->sum_size;
    *stack = (struct cvt_stack){.leaves = s->shards};
    const int64_t end = cvt_part(s->shards, t->workers, worker + 1);
    for (int64_t shard = cvt_part(s->shards, t->workers, worker); shard < end; shard++) {
        char *sum = sums + (size_t)stack->count * t->sum_size;
        run_shard(s, shard, worker_at(s, worker), sum);
        cvt_push(stack, (struct cvt_node){.index = shard, .at = sum}, join, (void *)s);
    }
}

/* ---- the tree's last joins, and the update, slice by slice ---- */

static void note_pair(void *context, char *to, const char *from)
{
    struct step *s = context;
    s->pair[2 * s->pairs] = to;
    s->pair[2 * s->pairs + 1] = (char *)from;
    s->pairs++;
    cvt_join_loss(loss_of(to), &((const struct cvt_sum *)(const void *)from)->loss);
}

static void find_pairs(struct step *s)
{
    struct cvt_stack all = {.leaves = s->shards};
    for (int worker = 0; worker < s->t->workers; worker++)
        for (int i = 0; i < s->stack[worker].count; i++)
            cvt_push(&all, s->stack[worker].node[i], note_pair, s);
    s->root = all.node[0].at;
}

/* A worker's slices: [begin, end) of all. */
static void each_slice(const struct step *s, int worker, int64_t elements,
                       void (*run)(const struct step *s, int64_t slice, int64_t begin, int64_t end))
{
    const int64_t slices = (elements + CVT_SLICE - 1) / CVT_SLICE;
    for (int64_t i = cvt_part(slices, s->t->workers, worker); i < cvt_part(slices, s->t->workers, worker + 1); i++)
        run(s, i, i * CVT_SLICE, (i + 1) * CVT_SLICE < elements ? (i + 1) * CVT_SLICE : elements);
}

static void join_slice(const struct step *s, int64_t slice, int64_t begin, int64_t end)
{
    for (int i = 0; i < s->pairs; i++)
        cvt_slice_add(s->t->network, begin, end, gradient_of(s->pair[2 * i]), gradient_of(s->pair[2 * i + 1]));
    if (begin < s->t->network->moved)
        s->square[slice] = cvt_slice_squares(s->t, gradient_of(s->root), begin, end);
}

static void update_slice(const struct step *s, int64_t slice, int64_t begin, int64_t end)
{
    (void)slice;
    cvt_slice_update(s->t, s->state, gradient_of(s->root), s->rate, s->factor, begin, end);
}

static void join_worker(void *context, int worker)
{
    const struct step *s = context;
    each_slice(s, worker, s->t->network->elements, join_slice);
}

static void update_worker(void *context, int worker)
{
    const struct step *s = context;
    each_slice(s, worker, s->t->network->moved, update_slice);
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

static int64_t not_finite(const cvg_network *n, const void *values, const struct cvt_parameter *p)
{
    int64_t bad = 0;
    for (int64_t i = p->offset; i < p->offset + p->count; i++) {
        const double v = n->type == CVG_F32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
        bad += !(v - v == 0);
    }
    return bad;
}

static cvg_status say_gradient(const struct step *s, cvg_error *error)
{
    const cvg_network *n = s->t->network;
    for (int i = 0; i < n->parameters; i++) {
        const int64_t bad = not_finite(n, gradient_of(s->root), &n->parameter[i]);
        if (bad > 0)
            return cvt_fail(
                error, CVG_INVALID_ARGUMENT,
                "the gradient is not finite in step %lld: that of %s holds %lld values that are not finite; "
                "learning_rate is %g",
                (long long)s->state->step, n->parameter[i].name, (long long)bad, s->rate);
    }
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

static void finish(struct step *s, const cvg_loss *loss, double norm, cvg_progress *progress)
{
    const cvg_trainer *t = s->t;
    struct cvt_state *state = s->state;
    if (progress)
        *progress = (cvg_progress){.step = state->step,
                                   .epoch = s->epoch,
                                   .count = s->count,
                                   .hits = loss->hits,
                                   .loss = loss->sum / (double)s->count,
                                   .learning_rate = s->rate,
                                   .gradient_norm = norm};
    state->beta1_power *= t->recipe.beta1;
    state->beta2_power *= t->recipe.beta2;
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
    const int64_t done = cvg_trainer_steps_done(t, state);
    if (done < 0)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "state is none of this trainer");
    if (done == t->steps)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "the training is done: it had %lld steps", (long long)t->steps);
    if (samples->count != t->recipe.samples)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "samples.count is %lld; the recipe's is %lld",
                        (long long)samples->count, (long long)t->recipe.samples);
    struct step s = step_of(t, state, samples, workspace);
    s.epoch = done / t->epoch_steps;
    s.first = done % t->epoch_steps * t->recipe.batch;
    s.count = t->recipe.samples - s.first < t->recipe.batch ? t->recipe.samples - s.first : t->recipe.batch;
    s.shards = (s.count + t->network->shard - 1) / t->network->shard;
    s.rate = cvt_learning_rate(t, done);
    cvt_side_by_side(t->network, t->workers, run_worker, &s);
    find_pairs(&s);
    const cvg_loss *loss = loss_of(s.root);
    if (loss->bad_layer >= UNREADABLE)
        return say_sample(t->network, loss, error);
    if (loss->bad_layer >= 0)
        return say_loss(&s, loss, error);
    cvt_side_by_side(t->network, t->workers, join_worker, &s);
    double squares = 0;
    for (int64_t i = 0; i < (t->network->moved + CVT_SLICE - 1) / CVT_SLICE; i++)
        squares += s.square[i];
    const double norm = sqrt(squares);
    if (!(norm - norm == 0))
        return say_gradient(&s, error);
    s.factor = t->recipe.clip > 0 && norm > t->recipe.clip ? t->recipe.clip / norm : 1;
    cvt_side_by_side(t->network, t->workers, update_worker, &s);
    cvt_update_statistics(t, cvg_trainer_parameters(t, state), gradient_of(s.root), s.count);
    finish(&s, loss, norm, progress);
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
    const int64_t end = cvt_part(s->shards, t->workers, worker + 1);
    for (int64_t shard = cvt_part(s->shards, t->workers, worker); shard < end; shard++) {
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

static void join_alone(void *context, char *to, const char *from)
{
    (void)context;
    cvt_join_loss(loss_of(to), &((const struct cvt_sum *)(const void *)from)->loss);
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
    if (samples->count < 1)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "samples.count is %lld; must be at least 1",
                        (long long)samples->count);
    struct evaluation e = {step_of(t, NULL, samples, workspace), parameters, output};
    e.s.count = samples->count;
    e.s.shards = (samples->count + t->network->shard - 1) / t->network->shard;
    cvt_side_by_side(t->network, t->workers, evaluate_worker, &e);
    struct cvt_stack all = {.leaves = e.s.shards};
    for (int worker = 0; worker < t->workers; worker++)
        for (int i = 0; i < e.s.stack[worker].count; i++)
            cvt_push(&all, e.s.stack[worker].node[i], join_alone, NULL);
    *loss = *loss_of(all.node[0].at);
    return loss->bad_layer >= UNREADABLE ? say_sample(t->network, loss, error) : CVG_OK;
}
