#include "halves.h"

#include <string.h>

enum { BLOCK = 16384 }; /* elements of one job */

/* Elements of images from one on, to be widened to floats, or written from them through a finish. */
struct move {
    const struct cvg_kernels *kernels;
    struct cvg_view view;
    int64_t n, count;
    int64_t pair; /* floats of a pair of positions, count pairs from pair n on; 0: of elements */
    float *floats;
    const struct cvg_finish *finish; /* NULL: they are read */
    int flushes;
};

/* Of one job. */
static int64_t each_of(const struct move *m) { return m->pair ? cvg_max(1, BLOCK / m->pair) : BLOCK; }

static void move_job(void *context, int64_t job, int worker)
{
    const struct move *m = context;
    const int64_t each = each_of(m), first = job * each, count = cvg_min(each, m->count - first);
    (void)worker;
    if (m->pair) {
        cvg_read_pairs(&m->view, m->kernels, m->n + first, count, m->floats + first * m->pair);
    } else if (m->finish) {
        const uint64_t before = m->flushes ? cvg_flush(1, 0) : 0;
        cvg_write_elements(&m->view, m->kernels, m->n, first, count, m->floats + first, m->finish);
        if (m->flushes)
            cvg_flush(0, before);
    } else
        cvg_read_elements(&m->view, m->kernels, m->n, first, count, m->floats + first);
}

static void move(const struct cvg_plan *plan, cvg_pass pass, struct move m)
{
    m.kernels = plan->kernels;
    m.flushes = plan->pass[pass].work.flushes;
    cvg_parallel(&plan->threads, plan->pass[pass].workers, cvg_ceil_div(m.count, each_of(&m)), move_job, &m);
}

/* The bias of a result, in floats. */
static const float *widen_bias(const struct cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, float *floats)
{
    const int64_t channels = pass == CVG_FORWARD ? plan->shape.K : plan->shape.C;
    move(plan, pass,
         (struct move){.view = cvg_view_array(task->bias_type, task->finish.bias, channels),
                       .count = channels,
                       .floats = floats});
    return floats;
}

void cvg_run_pairs(const struct cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, void *workspace,
                   cvg_run_fn *run)
{
    struct cvg_task pairs = *task;
    pairs.kernels = plan->kernels->pairs;
    if (task->finish.bias)
        pairs.finish.bias = widen_bias(
            plan, pass, task,
            cvg_work_last(&plan->pass[pass].work, workspace, cvg_stage_bias(&plan->stage) * (int64_t)sizeof(float)));
    run(plan, pass, &pairs, workspace);
}

void cvg_run_reading(const struct cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, void *workspace,
                     cvg_run_fn *run)
{
    const struct cvg_stage *stage = &plan->stage;
    const int64_t weights = plan->shape.K * plan->shape.taps;
    float *const floats =
        cvg_work_last(&plan->pass[pass].work, workspace, cvg_stage_weight(stage) * (int64_t)sizeof(float));
    struct cvg_task inner = *task;
    struct move weight = {.count = weights, .floats = floats};
    if (pass == CVG_GRAD_WEIGHT) { /* sums, until they are all there */
        inner.result = floats;
        inner.result_type = CVG_F32;
        inner.finish = cvg_plain;
        run(plan, pass, &inner, workspace);
        weight.view = cvg_view_array(task->result_type, task->result, weights);
        weight.finish = &task->finish;
        move(plan, pass, weight);
        return;
    }
    weight.view = cvg_view_array(task->type, task->weight, weights);
    move(plan, pass, weight);
    inner.weight = floats;
    if (task->finish.bias)
        inner.finish.bias = widen_bias(plan, pass, task, floats + stage->bias - stage->weight);
    run(plan, pass, &inner, workspace);
}

void cvg_run_halves(const struct cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, void *workspace,
                    cvg_run_fn *run)
{
    const struct cvg_shape *s = &plan->shape, *seen = cvg_plan_seen(plan, pass);
    const int zips = plan->pass[pass].way == CVG_ZIPPED;
    const struct cvg_stage *stage = zips ? &plan->zip : &plan->stage;
    const int64_t weights = s->K * s->taps;
    const int64_t in = s->C * (zips ? seen->in[2] : s->in_size), out = s->K * (zips ? seen->out[2] : s->out_size);
    float *const floats = cvg_work_last(&plan->pass[pass].work, workspace, stage->all * (int64_t)sizeof(float));
    struct cvg_task inner = *task;
    inner.shape = &plan->inner;
    if (cvg_are_pairs(seen))
        inner.kernels = plan->kernels->pairs;
    inner.type = inner.result_type = inner.bias_type = CVG_F32;
    inner.input = floats;
    inner.grad_output = floats + stage->out;
    inner.weight = floats + stage->weight;
    inner.result = floats + (pass == CVG_FORWARD ? stage->out : pass == CVG_GRAD_INPUT ? 0 : stage->weight);
    if (task->weight)
        move(plan, pass,
             (struct move){.view = cvg_view_array(s->type, task->weight, weights),
                           .count = weights,
                           .floats = floats + stage->weight});
    if (task->finish.bias)
        inner.finish.bias = widen_bias(plan, pass, task, floats + stage->bias);
    /* Old values are added as the result is written; to sums of weights, which go on from round to round, as is scale.
     */
    const struct cvg_finish finish = {.scale = pass == CVG_GRAD_WEIGHT ? task->finish.scale : 1,
                                      .accumulate = task->finish.accumulate};
    if (pass == CVG_GRAD_WEIGHT)
        inner.finish.scale = 1;
    for (int64_t n = 0; n < stage->units; n += stage->each) {
        const int64_t units = cvg_min(stage->each, stage->units - n);
        inner.finish.accumulate = pass == CVG_GRAD_WEIGHT && n > 0;
        if (task->input)
            move(plan, pass,
                 (struct move){.view = zips ? cvg_view_met(task, task->input) : cvg_view_in(task, task->input),
                               .n = n,
                               .count = zips ? units : units * in,
                               .pair = zips ? in : 0,
                               .floats = floats});
        if (task->grad_output)
            move(plan, pass,
                 (struct move){.view = cvg_view_out(task, task->grad_output),
                               .n = n,
                               .count = zips ? units : units * out,
                               .pair = zips ? out : 0,
                               .floats = floats + stage->out});
        if (pass == CVG_GRAD_WEIGHT && units < stage->each) { /* units that do not exist add zeros */
            memset(floats + units * in, 0, (size_t)((stage->each - units) * in) * sizeof(float));
            memset(floats + stage->out + units * out, 0, (size_t)((stage->each - units) * out) * sizeof(float));
        }
        run(plan, pass, &inner, workspace);
        if (pass != CVG_GRAD_WEIGHT)
            move(plan, pass,
                 (struct move){.view = cvg_view_result(task, pass == CVG_GRAD_INPUT),
                               .n = n,
                               .count = units * (pass == CVG_FORWARD ? out : in),
                               .floats = inner.result,
                               .finish = &finish});
    }
    if (pass == CVG_GRAD_WEIGHT)
        move(plan, pass,
             (struct move){.view = cvg_view_array(task->result_type, task->result, weights),
                           .count = weights,
                           .floats = inner.result,
                           .finish = &finish});
}
