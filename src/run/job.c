#include "job.h"

#include "../broken.h"
#include "../number.h"

#include <string.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#ifdef CVG_DEBUG
enum { GUARD = CVG_ALIGNMENT, GUARD_BYTE = 0xA5 }; /* after every piece */
#else
enum { GUARD = 0 };
#endif

void cvg_work_init(struct cvg_work *work)
{
    memset(work, 0, offsetof(struct cvg_work, state));
    work->rounds = work->parts = 1;
    work->repeated = CVG_PHASES;
}

void cvg_work_phase(struct cvg_work *work, int64_t jobs, cvg_job_fn *run)
{
    if (work->phases == CVG_PHASES)
        CVG_BROKEN(); /* an algorithm's mistake, as is one piece too many */
    work->phase[work->phases].jobs = jobs;
    work->phase[work->phases++].run = run;
}

void *cvg_work_state(struct cvg_work *work, size_t size)
{
    if (size > CVG_STATE)
        CVG_BROKEN();
    return work->state.bytes;
}

/* Adds count * size bytes, in whole lines, to used; returns where they begin. */
static size_t take(struct cvg_work *work, size_t *used, int64_t count, size_t size, size_t guard)
{
    /* The last lines are kept free, so that rounding up and aligning fit as well. */
    const size_t room = PTRDIFF_MAX - 2 * CVG_ALIGNMENT - guard - *used, at = *used;
    if (count < 0 || (uint64_t)count > room / size) {
        work->overflow = 1;
        return at;
    }
    *used += ((size_t)count * size + CVG_ALIGNMENT - 1) / CVG_ALIGNMENT * CVG_ALIGNMENT + guard;
    return at;
}

void cvg_work_share(struct cvg_work *work, int64_t count, size_t size) { take(work, &work->shared, count, size, 0); }

void cvg_work_piece(struct cvg_work *work, int64_t count, size_t size)
{
    if (work->pieces == CVG_PIECES)
        CVG_BROKEN();
    work->piece[work->pieces++] = take(work, &work->each, count, size, GUARD);
}

size_t cvg_work_size(const struct cvg_work *work, int workers)
{
    const size_t room = PTRDIFF_MAX - 2 * CVG_ALIGNMENT - work->shared;
    if (work->overflow || (work->each && (size_t)workers > room / work->each))
        return SIZE_MAX;
    const size_t used = work->shared + (size_t)workers * work->each;
    return used ? used + CVG_ALIGNMENT - 1 : 0;
}

/* ---- running ---- */

struct call {
    struct cvg_job job;
    cvg_job_fn *run;
};

#ifdef CVG_DEBUG
/* The guard after a piece; the last line before what follows. */
static unsigned char *guard_after(const struct cvg_job *job, int piece)
{
    const struct cvg_work *work = job->work;
    const size_t end = piece + 1 < work->pieces ? work->piece[piece + 1] : work->each;
    return (unsigned char *)job->base + work->shared + (size_t)job->worker * work->each + end - GUARD;
}
#endif

uint64_t cvg_flush(int flushes, uint64_t before)
{
#if defined(__SSE2__)
    const unsigned now = _mm_getcsr();
    _mm_setcsr(flushes ? now | 0x8040 : (unsigned)before); /* results and operands */
    return now;
#elif defined(__aarch64__) && defined(__GNUC__)
    uint64_t now;
    __asm__ volatile("mrs %0, fpcr" : "=r"(now));
    __asm__ volatile("msr fpcr, %0" : : "r"(flushes ? now | (uint64_t)1 << 24 : before) : "memory");
    return now;
#else
    (void)flushes;
    return before;
#endif
}

static void run_job(void *context, int64_t index, int worker)
{
    const struct call *call = context;
    struct cvg_job job = call->job;
    job.worker = worker;
#ifdef CVG_DEBUG
    for (int i = 0; i < job.work->pieces; i++)
        memset(guard_after(&job, i), GUARD_BYTE, GUARD);
#endif
    if (CVG_HALVES && job.work->flushes) {
        const uint64_t before = cvg_flush(1, 0);
        call->run(&job, index);
        cvg_flush(0, before);
    } else {
        call->run(&job, index);
    }
#ifdef CVG_DEBUG
    for (int i = 0; i < job.work->pieces; i++)
        for (int j = 0; j < GUARD; j++)
            if (guard_after(&job, i)[j] != GUARD_BYTE)
                CVG_BROKEN(); /* the job wrote past its piece */
#endif
}

static char *base_of(void *workspace)
{
    return workspace ? (char *)workspace + (CVG_ALIGNMENT - (uintptr_t)workspace % CVG_ALIGNMENT) % CVG_ALIGNMENT
                     : NULL;
}

void *cvg_work_last(const struct cvg_work *work, void *workspace, int64_t bytes)
{
    return base_of(workspace) + work->shared - bytes;
}

void cvg_work_run(const struct cvg_work *work, const struct cvg_task *task, const struct cvg_threads *threads,
                  int workers, void *workspace)
{
    struct call call = {.job = {.work = work, .task = task, .base = base_of(workspace)}};
    for (call.job.round = 0; call.job.round < work->rounds; call.job.round++)
        for (int i = call.job.round ? work->repeated : 0; i < work->phases; i++) {
            call.run = work->phase[i].run;
            cvg_parallel(threads, workers, work->phase[i].jobs, run_job, &call);
        }
}
