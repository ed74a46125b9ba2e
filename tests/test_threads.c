/*
 * Threads: a pool of the host's through the hook, results the same bits for every count,
 * and one plan run by many threads at once.  Meant for ThreadSanitizer too.
 */
#include "check.h"
#include "cli.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- a pool that lives across calls, as a host's does ---- */

enum { POOL_THREADS = 4 };

struct pool {
    pthread_t threads[POOL_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    void (*task)(void *context, int index);
    void *context;
    int next, count, running, stop;
    long calls;
};

static void *pool_main(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    while (!pool->stop) {
        if (pool->next == pool->count) {
            pthread_cond_wait(&pool->work, &pool->lock);
            continue;
        }
        const int index = pool->next++;
        pthread_mutex_unlock(&pool->lock);
        pool->task(pool->context, index);
        pthread_mutex_lock(&pool->lock);
        if (--pool->running == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void pool_for(void *argument, int count, void (*task)(void *context, int index), void *context)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->context = context;
    pool->next = 0;
    pool->count = pool->running = count;
    pool->calls++;
    pthread_cond_broadcast(&pool->work);
    while (pool->running)
        pthread_cond_wait(&pool->done, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

static void pool_start(struct pool *pool)
{
    *pool = (struct pool){
        .lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    for (int i = 0; i < POOL_THREADS; i++)
        if (pthread_create(&pool->threads[i], NULL, pool_main, pool))
            exit(1);
}

static void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stop = 1;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < POOL_THREADS; i++)
        pthread_join(pool->threads[i], NULL);
}

/* ---- a layer and its results ---- */

struct layer {
    cvg_conv conv;
    struct sizes z;
    struct array x, w, b, g;
};

struct results {
    float *y, *dx, *dw, *db;
};

static struct array numbers(int64_t count, uint64_t seed)
{
    struct array array;
    cvg_error error;
    struct random random = {seed};
    if (!array_new(&array, CVG_F32, 1, &count, &error))
        exit(1);
    for (int64_t i = 0; i < count; i++)
        array_set(&array, i, random_uniform(&random));
    return array;
}

static struct layer layer_of(const char *text)
{
    struct problem p = {.conv = CVG_CONV_INIT};
    struct layer l;
    cvg_error error;
    if (!check(problem_parse(&p, text, &error), "%s", error.text))
        exit(1);
    l.conv = p.conv;
    l.z = problem_sizes(&p.conv);
    l.x = numbers(l.z.input, 1);
    l.w = numbers(l.z.weight, 2);
    l.b = numbers(l.z.bias, 3);
    l.g = numbers(l.z.output, 4);
    return l;
}

static void layer_free(struct layer *l)
{
    array_free(&l->x);
    array_free(&l->w);
    array_free(&l->b);
    array_free(&l->g);
}

static struct results compute(const cvg_plan *plan, const struct layer *l)
{
    struct results r = {cli_alloc((size_t)l->z.output, 4), cli_alloc((size_t)l->z.input, 4),
                        cli_alloc((size_t)l->z.weight, 4), cli_alloc((size_t)l->z.bias, 4)};
    void *space = workspace_of(plan);
    cvg_forward(plan, l->x.data, l->w.data, l->b.data, r.y, space);
    cvg_backward(plan, l->x.data, l->w.data, l->g.data, r.dx, r.dw, r.db, CVG_OVERWRITE, space);
    free(space);
    return r;
}

static int same(const struct results *a, const struct results *b, const struct sizes *z)
{
    return !memcmp(a->y, b->y, 4 * (size_t)z->output) && !memcmp(a->dx, b->dx, 4 * (size_t)z->input) &&
           !memcmp(a->dw, b->dw, 4 * (size_t)z->weight) && !memcmp(a->db, b->db, 4 * (size_t)z->bias);
}

static void results_free(struct results *r)
{
    free(r->y);
    free(r->dx);
    free(r->dw);
    free(r->db);
}

static cvg_plan *pooled_plan(const cvg_conv *conv, cvg_algo algo, int threads, struct pool *pool)
{
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan;
    options.algo[0] = options.algo[1] = options.algo[2] = algo;
    options.threads = threads;
    options.parallel_for = pool_for;
    options.pool = pool;
    const cvg_status status = cvg_plan_create(&plan, conv, &options, NULL);
    check(status == CVG_OK || (status == CVG_UNSUPPORTED && cvg_algo_mixes(algo)), "cannot make a plan");
    return plan;
}

static void check_counts(struct pool *pool, const char *problem)
{
    static const int counts[] = {2, 3, 7};
    struct layer l = layer_of(problem);
    /* The definition is slow, and cut by channels alone: the small ones are enough. */
    for (int algo = l.z.macs > 1000000 ? CVG_DIRECT : CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++) {
        cvg_plan *plan = pooled_plan(&l.conv, (cvg_algo)algo, 1, pool);
        if (!plan)
            continue; /* Winograd's do not do every problem */
        struct results one = compute(plan, &l);
        cvg_plan_destroy(plan);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            const long calls = pool->calls;
            plan = pooled_plan(&l.conv, (cvg_algo)algo, counts[i], pool);
            struct results many = compute(plan, &l), again = compute(plan, &l);
            check(pool->calls > calls, "%s %s: the pool was not used", problem, cvg_algo_name((cvg_algo)algo));
            check(same(&one, &many, &l.z), "%s %s: %d threads give other bits", problem, cvg_algo_name((cvg_algo)algo),
                  counts[i]);
            check(same(&many, &again, &l.z), "%s %s: the second run gives other bits", problem,
                  cvg_algo_name((cvg_algo)algo));
            results_free(&many);
            results_free(&again);
            cvg_plan_destroy(plan);
        }
        results_free(&one);
    }
    layer_free(&l);
}

/* ---- many threads on one plan ---- */

struct shared {
    const cvg_plan *plan;
    const struct layer *layer;
    const struct results *want;
    int good;
};

static void *share_main(void *argument)
{
    struct shared *s = argument;
    s->good = 1;
    for (int i = 0; i < 3; i++) {
        struct results r = compute(s->plan, s->layer);
        s->good &= same(&r, s->want, &s->layer->z);
        results_free(&r);
    }
    return NULL;
}

static void check_shared_plan(void)
{
    struct layer l = layer_of("mb3ic9ih17oc10kh3ph1");
    for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++) {
        cvg_plan *plan = plan_of(&l.conv, (cvg_algo)algo, 1, 1);
        struct results want = compute(plan, &l);
        pthread_t threads[4];
        struct shared shared[4];
        for (int i = 0; i < 4; i++) {
            shared[i] = (struct shared){plan, &l, &want, 0};
            if (pthread_create(&threads[i], NULL, share_main, &shared[i]))
                exit(1);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            check(shared[i].good, "%s: thread %d on a shared plan got other bits", cvg_algo_name((cvg_algo)algo), i);
        }
        results_free(&want);
        cvg_plan_destroy(plan);
    }
    layer_free(&l);
}

int main(void)
{
    static const char *const problems[] = {
        "mb5ic3ih20oc4kh3ph1",  "mb1ic20ih9oc70kh3sh2ph1", "g4mb3ic8ih11oc8kh3dh1ph2",
        "mb40ic1iw30oc2kw3pw1", "mb1ic2ih40oc3kh3ph1",     "mb2ic2id5ih6iw7oc3kd3kh2kw2sd2sh1sw2pd1ph1pw0",
        "mb16ic3ih28oc4kh3ph1", "mb2ic40ih12oc130kh3ph1",
    };
    struct pool pool;
    pool_start(&pool);
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        check_counts(&pool, problems[i]);
    pool_stop(&pool);
    check_shared_plan();
    return check_summary();
}
