/* Running a network: forward, backward, predict, and the loss and gradient of a shard. */
#ifndef real
#include "network.h"

#include <string.h>

#define SELF "run.c"
#include "twice.h"

static void add(const struct cvt_run *run, int64_t count, void *to, const void *from)
{
    run->network->type == CVG_F32 ? add_f32(count, to, from) : add_f64(count, to, from);
}

void cvt_read_input(const struct cvt_run *run, const void *input)
{
    run->network->type == CVG_F32 ? read_input_f32(run, input) : read_input_f64(run, input);
}

static int64_t not_finite(const struct cvt_run *run, const struct cvt_layer *l)
{
    const int64_t count = run->count * l->out.elements;
    const void *y = cvt_block_at(run, l->y);
    return run->network->type == CVG_F32 ? not_finite_f32(count, y) : not_finite_f64(count, y);
}

static struct cvt_call call_of(const struct cvt_run *run, const struct cvt_layer *l)
{
    const cvg_network *n = run->network;
    struct cvt_call call = {.run = run, .layer = l};
    call.x = cvt_block_at(run, l->from == CVT_NONE ? n->x : n->layer[l->from].y);
    call.other = cvt_block_at(run, l->other == CVT_NONE ? CVT_NONE : n->layer[l->other].y);
    call.y = cvt_block_at(run, l->y);
    if (run->use == CVG_TRAIN) {
        call.keep = cvt_block_at(run, l->keep);
        call.dy = cvt_block_at(run, l->dy);
        call.dx = cvt_block_at(run, l->from == CVT_NONE ? CVT_NONE : n->layer[l->from].dy);
        call.dother = cvt_block_at(run, l->other == CVT_NONE ? CVT_NONE : n->layer[l->other].dy);
    }
    return call;
}

/* Gradients of what is frozen are 0, and the sums of statistics. */
static void clear_frozen(const struct cvt_run *run)
{
    const cvg_network *n = run->network;
    for (int i = 0; i < n->parameters; i++)
        if (n->layer[n->parameter[i].layer].frozen)
            memset(run->gradient + (size_t)n->parameter[i].offset * n->size, 0,
                   (size_t)n->parameter[i].count * n->size);
}

static void backward(const struct cvt_run *run, const struct cvt_layer *l)
{
    struct cvt_call call = call_of(run, l);
    void *const to = call.dx;
    call.scratch = cvt_block_at(run, l->scratch[1]);
    if (l->adds[0] && !l->kind->is_loss && l->kind != &cvt_add && to)
        call.dx = cvt_block_at(run, l->dx);
    l->kind->backward[run->network->type](&call);
    if (call.dx != to)
        add(run, run->count * l->in.elements, to, call.dx);
}

void cvt_run_layers(const struct cvt_run *run)
{
    const cvg_network *n = run->network;
    const int last = run->use == CVG_TRAIN ? n->layers : n->layers - 1;
    for (int i = 0; i < last; i++) {
        struct cvt_call call = call_of(run, &n->layer[i]);
        call.scratch = cvt_block_at(run, n->layer[i].scratch[0]);
        n->layer[i].kind->forward[n->type](&call);
        const int64_t bad = run->watch && !n->layer[i].kind->is_loss ? not_finite(run, &n->layer[i]) : 0;
        if (bad > 0) {
            run->loss->bad_layer = i;
            run->loss->bad_elements = bad;
            return;
        }
    }
    if (!run->gradient || run->watch)
        return;
    clear_frozen(run);
    for (int i = n->layers - 2; i >= 0; i--)
        if (n->layer[i].trains)
            backward(run, &n->layer[i]);
}

static char *aligned(void *workspace) { return (char *)(((uintptr_t)workspace + 63) / 64 * 64); }

cvg_status cvg_predict(const cvg_network *n, const void *parameters, const void *input, int64_t count, void *output,
                       void *workspace)
{
    if (!n || count < 0 || (count > 0 && (!parameters || !input || !output || !workspace)))
        return CVG_INVALID_ARGUMENT;
    struct cvt_run run = {.network = n, .parameters = parameters, .base = aligned(workspace), .use = CVG_PREDICT};
    const struct cvt_layer *last = &n->layer[n->layers - 2];
    const size_t in = (size_t)n->input.elements * n->size, out = (size_t)last->out.elements * n->size;
    for (int64_t done = 0; done < count; done += run.count) {
        run.count = count - done < n->shard ? count - done : n->shard;
        cvt_read_input(&run, (const char *)input + (size_t)done * in);
        cvt_run_layers(&run);
        const void *y = cvt_block_at(&run, last->y);
        if (cvt_turned(n, &last->out))
            cvt_turn(n, &last->out, run.count, 0, y, (char *)output + (size_t)done * out);
        else
            memcpy((char *)output + (size_t)done * out, y, (size_t)run.count * out);
    }
    return CVG_OK;
}

/* The loss layer is given targets that are classes. */
static cvg_status check_targets(const cvg_network *n, const cvg_shard *shard, cvg_error *error)
{
    const int64_t classes = n->layer[n->layers - 2].out.elements, *target = shard->target;
    if (n->layer[n->layers - 1].kind != &cvt_cross_entropy)
        return CVG_OK;
    for (int64_t i = 0; i < shard->count; i++)
        if (target[i] < 0 || target[i] >= classes)
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "the target of sample %lld is %lld; must be 0 to %lld",
                            (long long)(shard->index ? shard->index[i] : i), (long long)target[i],
                            (long long)classes - 1);
    return CVG_OK;
}

int cvt_batchnorm_alone(const cvg_network *n, int64_t count)
{
    for (int i = 0; i < n->layers; i++)
        if (n->layer[i].kind == &cvt_batchnorm && !n->layer[i].frozen && count * n->layer[i].in.pixels < 2)
            return i;
    return CVT_NONE;
}

cvg_status cvt_check_shard(const cvg_network *n, const cvg_shard *shard, cvg_error *error)
{
    if (shard->count < 1 || shard->count > n->shard)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "shard.count is %lld; must be 1 to %lld", (long long)shard->count,
                        (long long)n->shard);
    if (shard->batch < shard->count)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "shard.batch is %lld; must be at least its count %lld",
                        (long long)shard->batch, (long long)shard->count);
    if (!shard->input || !shard->target)
        return cvt_fail(error, CVG_INVALID_ARGUMENT, "shard.%s is NULL", shard->input ? "target" : "input");
    const int alone = cvt_batchnorm_alone(n, shard->count);
    if (alone != CVT_NONE)
        return cvt_fail(error, CVG_INVALID_ARGUMENT,
                        "a shard of 1 sample leaves batchnorm in layer %d one value a channel", alone);
    return check_targets(n, shard, error);
}

cvg_status cvg_loss_gradient(const cvg_network *n, const void *parameters, const cvg_shard *shard, void *gradient,
                             cvg_loss *loss, void *workspace, cvg_error *error)
{
    const char *names[] = {"network", "parameters", "shard", "gradient", "loss", "workspace"};
    const void *const pointers[] = {n, parameters, shard, gradient, loss, workspace};
    if (error)
        error->text[0] = 0;
    for (int i = 0; i < 6; i++)
        if (!pointers[i])
            return cvt_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", names[i]);
    const cvg_status status = cvt_check_shard(n, shard, error);
    if (status)
        return status;
    *loss = (cvg_loss){.count = shard->count, .bad_layer = -1};
    struct cvt_run run = {.network = n,
                          .parameters = parameters,
                          .gradient = gradient,
                          .base = aligned(workspace),
                          .use = CVG_TRAIN,
                          .count = shard->count,
                          .shard = shard,
                          .loss = loss};
    cvt_read_input(&run, shard->input);
    cvt_run_layers(&run);
    if (!(loss->sum - loss->sum == 0)) { /* which layer was it? */
        const double sum = loss->sum;
        run.watch = 1;
        cvt_read_input(&run, shard->input);
        cvt_run_layers(&run);
        loss->sum = sum;
        loss->bad_layer = loss->bad_layer < 0 ? n->layers - 1 : loss->bad_layer;
    }
    return CVG_OK;
}

/* Loss of a sample whose outputs are known, as the network's loss layer computes it. */
void cvt_loss_of(const cvg_network *n, const void *output, const void *target, int64_t count, cvg_loss *loss)
{
    const cvg_shard shard = {.count = count, .batch = count, .target = target};
    const struct cvt_run run = {.network = n, .use = CVG_PREDICT, .count = count, .shard = &shard, .loss = loss};
    const struct cvt_call call = {.run = &run, .layer = &n->layer[n->layers - 1], .x = output};
    n->layer[n->layers - 1].kind->forward[n->type](&call);
}

#else

static void OF(add)(int64_t count, real *to, const real *from)
{
    for (int64_t i = 0; i < count; i++)
        to[i] += from[i];
}

static int64_t OF(not_finite)(int64_t count, const real *y)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < count; i++)
        bad += !(y[i] - y[i] == 0);
    return bad;
}

static void OF(read_input)(const struct cvt_run *run, const real *input)
{
    const cvg_network *n = run->network;
    real *x = cvt_block_at(run, n->x);
    const int64_t pixels = n->input.pixels, last = n->layout == CVG_CHANNELS_LAST;
    const int64_t channel = last ? 1 : pixels, pixel = last ? n->input.channels : 1;
    for (int64_t i = 0; i < run->count; i++, x += n->input.elements)
        for (int64_t c = 0; c < n->input.channels; c++) {
            const double factor = n->factor[c], shift = n->shift[c];
            for (int64_t p = 0; p < pixels; p++)
                x[c * channel + p * pixel] = (real)((double)*input++ * factor - shift);
        }
}

#endif
