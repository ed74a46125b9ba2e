#include "parts.h"

#define ENOUGH_JOBS 32        /* to keep as many threads busy, */
#define LEAST_JOBS 8          /* or as many, if the partial sums would take */
#define MOST_SUMS (192 << 10) /* more elements than these: 768 KiB in f32 */
#define LEAST_WORK (1 << 20)  /* multiplications that repay one more partial sum */
#define TOGETHER 2048         /* sums of one job that adds them */

int64_t cvg_parts_most(const struct cvg_shape *s, int64_t jobs)
{
    const int64_t fit = MOST_SUMS / (s->K * s->taps);
    return cvg_min(cvg_ceil_div(ENOUGH_JOBS, jobs), cvg_max(cvg_ceil_div(LEAST_JOBS, jobs), fit));
}

int64_t cvg_parts(const struct cvg_shape *s, int64_t jobs, int64_t units)
{
    const int64_t work = cvg_times(cvg_times(s->N, s->K * s->taps), s->out_size);
    const int64_t worth = 1 + (cvg_are_pairs(s) ? cvg_times(work, 2) : work) / LEAST_WORK;
    return cvg_max(1, cvg_min(cvg_min(cvg_parts_most(s, jobs), worth), units));
}

void cvg_parts_share(const struct cvg_shape *s, const struct cvg_kernels *kernels, int64_t most, struct cvg_work *work)
{
    if (most > 1)
        cvg_work_share(work, cvg_times(most, s->K * s->taps), kernels->size);
}

struct cvg_filters cvg_parts_filters(const struct cvg_job *job, int64_t part)
{
    const struct cvg_shape *s = job->task->shape;
    return job->work->parts > 1 ? cvg_filters_of(job->task, cvg_at(job->task, job->base, part * s->K * s->taps))
                                : cvg_filters_of(job->task, job->task->result);
}

const struct cvg_finish *cvg_parts_finish(const struct cvg_job *job)
{
    return job->work->parts > 1 ? &cvg_plain : &job->task->finish;
}

/* k whose weights are added by one job, or as many weights: in the order of memory, which is that of the result. */
static int64_t together(const struct cvg_shape *s) { return CVG_FAST ? cvg_max(1, TOGETHER / s->taps) : 1; }

static void add_job(const struct cvg_job *job, int64_t index)
{
    const struct cvg_task *t = job->task;
    const struct cvg_filters result = cvg_filters_of(t, t->result);
    static const struct cvg_finish add = {.scale = 1, .accumulate = 1};
    const int64_t weights = t->shape->K * t->shape->taps, parts = job->work->parts;
    const int64_t first = index * together(t->shape) * t->shape->taps;
    const int64_t count = cvg_min(weights - first, together(t->shape) * t->shape->taps);
    for (int64_t apart = 1; apart < parts; apart *= 2)
        for (int64_t i = 0; i + apart < parts; i += 2 * apart) {
            void *to = cvg_at(t, job->base, i * weights + first);
            const void *from = cvg_at(t, job->base, (i + apart) * weights + first);
            t->kernels->put(to, 1, from, 1, count, &add);
        }
    t->kernels->put(cvg_at(t, result.base, first), 1, cvg_at(t, job->base, first), 1, count, &t->finish);
}

void cvg_parts_phase(const struct cvg_shape *s, struct cvg_work *work)
{
    if (work->parts > 1)
        cvg_work_phase(work, cvg_ceil_div(s->K, together(s)), add_job);
}
