/* Running independent jobs on the host's pool, on OpenMP, or on the calling thread. */
#ifndef CVG_PARALLEL_H
#define CVG_PARALLEL_H

#include "convgrad.h"

struct cvg_threads {
    int count; /* at least 1 */
    cvg_parallel_for *parallel_for;
    void *pool;
};

/* The threads that options ask for. */
struct cvg_threads cvg_threads_from(const cvg_options *options);

/*
 * Calls run(context, job, worker) once for every job in [0, jobs).  Workers are
 * numbered from 0 to workers-1; one worker's jobs follow each other, so worker
 * may index scratch memory.  Which worker takes a job is not fixed: results
 * may not depend on it.  Returns when all jobs are done.
 */
void cvg_parallel(const struct cvg_threads *threads, int workers, int64_t jobs,
                  void (*run)(void *context, int64_t job, int worker), void *context);

#endif
