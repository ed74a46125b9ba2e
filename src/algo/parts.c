#include "parts.h"

#define ENOUGH_JOBS 32        /* to keep as many threads busy, */
#define LEAST_JOBS 8          /* or as many, if the partial sums would take */
#define MOST_SUMS (192 << 10) /* more elements than these: 768 KiB in f32 */
#define LEAST_WORK (1 << 20)  /* multiplications that repay one more partial sum */

int64_t cvg_parts_most(const struct cvg_shape *s, int64_t jobs)
{
    const int64_t fit = MOST_SUMS / (s->K * s->taps);
    return cvg_min(cvg_ceil_div(ENOUGH_JOBS, jobs), cvg_max(cvg_ceil_div(LEAST_JOBS, jobs), fit));
}

int64_t cvg_parts(const struct cvg_shape *s, int64_t jobs, int64_t units)
{
    const int64_t work = cvg_times(cvg_times(s->N, s->K * s->taps), s->out_size);
    const int64_t worth = 1 + work / LEAST_WORK;
    return cvg_max(1, cvg_min(cvg_min(cvg_parts_most(s, jobs), worth), units));
}

struct sum_job {
    const struct cvg_task *task;
    int64_t parts;
    char *partial;
};

/* Job: the weights of one k. */
static void add_job(void *context, int64_t k, int worker)
{
    const struct sum_job *sum = context;
    const struct cvg_task *t = sum->task;
    const struct cvg_shape *s = t->shape;
    const int64_t weights = s->K * s->taps, count = s->taps;
    (void)worker;

    for (int64_t apart = 1; apart < sum->parts; apart *= 2)
        for (int64_t i = 0; i + apart < sum->parts; i += 2 * apart) {
            void *to = cvg_at(t, sum->partial, i * weights + k * count);
            const void *from = cvg_at(t, sum->partial, (i + apart) * weights + k * count);
            t->kernels->put(to, 1, from, 1, count, 1, to, 1);
        }
    cvg_put_result(t, k * count, 1, cvg_at(t, sum->partial, k * count), 1, count);
}

void cvg_parts_add(const struct cvg_task *task, int64_t parts, void *partial)
{
    struct sum_job sum = {task, parts, partial};
    cvg_parallel(task->threads, task->workers, task->shape->K, add_job, &sum);
}
