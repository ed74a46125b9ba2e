#include "parallel.h"

#include <stdatomic.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

static int host_threads(const cvg_options *options)
{
#ifdef _OPENMP
    if (!options->parallel_for)
        return omp_get_max_threads();
#endif
    if (!options->parallel_for)
        return 1;
#ifdef _SC_NPROCESSORS_ONLN
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    if (online > 0)
        return online < 4096 ? (int)online : 4096;
#endif
    return 1;
}

struct cvg_threads cvg_threads_from(const cvg_options *options)
{
    struct cvg_threads threads = {options->threads, options->parallel_for, options->pool};
    if (threads.count == 0)
        threads.count = host_threads(options);
    if (threads.count < 1)
        threads.count = 1;
#ifndef _OPENMP
    if (!threads.parallel_for)
        threads.count = 1;
#endif
    return threads;
}

struct crew {
    _Atomic int64_t next; /* the first job that nobody has taken */
    int64_t jobs;
    void (*run)(void *context, int64_t job, int worker);
    void *context;
};

static void work(void *context, int worker)
{
    struct crew *crew = context;
    int64_t job;
    while ((job = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed)) < crew->jobs)
        crew->run(crew->context, job, worker);
#ifdef __SSE2__
    _mm_sfence(); /* what went past the caches is there for all */
#endif
}

void cvg_parallel(const struct cvg_threads *threads, int workers, int64_t jobs,
                  void (*run)(void *context, int64_t job, int worker), void *context)
{
    struct crew crew = {.jobs = jobs, .run = run, .context = context};
    atomic_init(&crew.next, 0);
    if (jobs < workers)
        workers = (int)jobs;
    if (workers <= 1) {
        work(&crew, 0);
    } else if (threads->parallel_for) {
        threads->parallel_for(threads->pool, workers, work, &crew);
    } else {
#ifdef _OPENMP
#pragma omp parallel for num_threads(workers) schedule(static, 1)
#endif
        for (int worker = 0; worker < workers; worker++)
            work(&crew, worker);
    }
}
