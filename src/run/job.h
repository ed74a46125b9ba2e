/*
 * How a pass runs.  Its algorithm prepares it once, with the plan: what it decided, its phases, and how the workspace
 * is laid out.  A call only runs the phases, one after the other; each is a number of independent jobs.
 *
 *   workspace = what all jobs share, then the scratch of each worker, which one job after the other uses
 *
 * Both are laid out by the same calls that make the promised size, so they cannot differ.
 */
#ifndef CVG_JOB_H
#define CVG_JOB_H

#include "parallel.h"

#include <stddef.h>

#define CVG_ALIGNMENT 64 /* bytes: a cache line, and the widest vector */

enum {
    CVG_PHASES = 3,
    CVG_PIECES = 12,      /* of a worker's scratch */
    CVG_STATE = 11 << 10, /* bytes of an algorithm's decisions: Winograd's have its matrices */
};

struct cvg_task; /* the operands of one call: tensor/task.h */
struct cvg_text;
struct cvg_job;

typedef void cvg_job_fn(const struct cvg_job *job, int64_t index);

/* A pass, prepared.  It may be run by many threads at once, and stays where it is: states may point into themselves. */
struct cvg_work {
    struct {
        int64_t jobs;
        cvg_job_fn *run;
    } phase[CVG_PHASES];
    int phases;
    int flushes;              /* jobs take numbers below the smallest normal ones for zeros */
    int repeated;             /* the phases from this one on are run */
    int64_t rounds;           /* so many times */
    int64_t parts;            /* of a sum that is split, in shared memory: algo/parts.h */
    size_t shared, each;      /* bytes: of all workers, and of each */
    size_t piece[CVG_PIECES]; /* where the pieces of a worker's scratch begin */
    int pieces, overflow;     /* overflow: no address space has so much */
    void (*describe)(const struct cvg_work *work, struct cvg_text *text); /* one clause for people; NULL: nothing */
    union {
        char bytes[CVG_STATE];
        int64_t aligned_as;
        double and;
        void *of_all;
    } state; /* the algorithm's own */
};

/* What one job is given. */
struct cvg_job {
    const struct cvg_work *work;
    const struct cvg_task *task;
    char *base;    /* of the workspace */
    int64_t round; /* of the repeated phases */
    int worker;
};

/* An empty pass, to be prepared. */
void cvg_work_init(struct cvg_work *work);

/* One more phase, of so many jobs. */
void cvg_work_phase(struct cvg_work *work, int64_t jobs, cvg_job_fn *run);

/* One more piece of what all jobs share, or of each worker's scratch: count * size bytes. */
void cvg_work_share(struct cvg_work *work, int64_t count, size_t size);
void cvg_work_piece(struct cvg_work *work, int64_t count, size_t size);

/* The bytes of workspace, at any alignment, for so many workers; SIZE_MAX if they fit in no address space. */
size_t cvg_work_size(const struct cvg_work *work, int workers);

/*
 * Has this thread take numbers below the smallest normal ones for zeros, or as it did before; returns how it did.
 * Where the processor knows no such mode nothing happens.
 */
uint64_t cvg_flush(int flushes, uint64_t before);

/* The last bytes of what all jobs share, as they were asked for last, in whole cache lines. */
void *cvg_work_last(const struct cvg_work *work, void *workspace, int64_t bytes);

/* Runs all phases in a workspace of that size. */
void cvg_work_run(const struct cvg_work *work, const struct cvg_task *task, const struct cvg_threads *threads,
                  int workers, void *workspace);

/* Room for an algorithm's decisions, so many bytes; and these, as a job sees them. */
void *cvg_work_state(struct cvg_work *work, size_t size);

static inline const void *cvg_state_of(const struct cvg_work *work) { return work->state.bytes; }

static inline const void *cvg_state(const struct cvg_job *job) { return cvg_state_of(job->work); }

/* A piece of a worker's scratch: of the job's own, or of another's that has finished writing it in an earlier phase. */
static inline void *cvg_piece_of(const struct cvg_job *job, int worker, int piece)
{
    return job->base + job->work->shared + (size_t)worker * job->work->each + job->work->piece[piece];
}

static inline void *cvg_own_piece(const struct cvg_job *job, int piece)
{
    return cvg_piece_of(job, job->worker, piece);
}

#endif
