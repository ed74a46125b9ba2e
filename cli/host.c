/* The program's own threads, random numbers and plans. */
#include "cli.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct one_thread {
    pthread_t id;
    int started, index;
    void (*task)(void *context, int index);
    void *context;
};

static void *thread_main(void *argument)
{
    struct one_thread *one = argument;
    one->task(one->context, one->index);
    return NULL;
}

void thread_each(void *pool, int count, void (*task)(void *context, int index), void *context)
{
    struct one_thread *threads = cli_alloc((size_t)count, sizeof *threads);
    (void)pool;
    for (int i = 1; i < count; i++) {
        threads[i] = (struct one_thread){.index = i, .task = task, .context = context};
        threads[i].started = pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) == 0;
    }
    task(context, 0);
    for (int i = 1; i < count; i++) {
        if (threads[i].started)
            pthread_join(threads[i].id, NULL);
        else
            task(context, i); /* no thread to be had: do its work here */
    }
    free(threads);
}

double plan_error_growth = CVG_ERROR_GROWTH;

const char *plan_isa;

/* The instruction set that the environment asks for; dies if there is none of that name. */
static const char *isa_of_environment(void)
{
    const char *named = getenv("CVG_ISA");
    if (!named || !*named)
        return NULL;
    for (int i = 0; cvg_isa_name(i); i++)
        if (!strcmp(named, cvg_isa_name(i)))
            return named;
    die(EXIT_BAD_INPUT, "CVG_ISA is \"%s\"; this processor has no such instruction set", named);
}

cvg_options options_asked_for(int threads)
{
    cvg_options options = CVG_OPTIONS_INIT;
    options.threads = threads;
    options.error_growth = plan_error_growth;
    options.isa = plan_isa ? plan_isa : isa_of_environment();
    return options;
}

static cvg_plan *plan_with(const cvg_conv *conv, cvg_options options, cvg_error *error)
{
    cvg_plan *plan;

    /* More threads than processors would mostly wait, and OpenMP's burn time while they do. */
    if (options.threads > sysconf(_SC_NPROCESSORS_ONLN))
        options.parallel_for = thread_each;
    cvg_status status = cvg_plan_create(&plan, conv, &options, error);
    if (!status && options.threads > cvg_plan_threads(plan, CVG_FORWARD)) {
        cvg_plan_destroy(plan);
        options.parallel_for = thread_each;
        status = cvg_plan_create(&plan, conv, &options, error);
    }
    if (status == CVG_OUT_OF_MEMORY)
        die(EXIT_WRONG, "%s", error->text);
    return status ? NULL : plan;
}

cvg_plan *plan_try(const cvg_conv *conv, cvg_algo algo, int threads, double gradient_scale, cvg_error *error)
{
    cvg_options options = options_asked_for(threads);
    options.algo[CVG_FORWARD] = options.algo[CVG_GRAD_INPUT] = options.algo[CVG_GRAD_WEIGHT] = algo;
    options.gradient_scale = gradient_scale;
    return plan_with(conv, options, error);
}

cvg_plan *plan_of_pass(const cvg_conv *conv, cvg_pass pass, cvg_algo algo, int threads, cvg_error *error)
{
    cvg_options options = options_asked_for(threads);
    options.algo[pass] = algo;
    return plan_with(conv, options, error);
}

cvg_plan *plan_of(const cvg_conv *conv, cvg_algo algo, int threads, double gradient_scale)
{
    cvg_error error;
    cvg_plan *plan = plan_try(conv, algo, threads, gradient_scale, &error);
    if (!plan)
        die(EXIT_BAD_INPUT, "%s", error.text);
    return plan;
}

void *workspace_of(const cvg_plan *plan) { return cli_alloc(cvg_plan_workspace_most(plan), 1); }

uint64_t random_bits(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double random_uniform(struct random *random) { return (double)(random_bits(random) >> 40) / (1 << 23) - 1; }
