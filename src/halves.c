#include "halves.h"

#include <string.h>

enum { BLOCK = 16384 }; /* elements of one job */

/* Elements of images from one on, to be widened to floats, or written from them through a finish. */
struct move {
    const struct cvg_kernels *kernels;
    struct cvg_view view;
    int64_t n, count;
    int64_t unit; /* floats of a pair of positions or a row of them, count from number n on; 0: of elements */
    struct cvg_columns columns; /* of a row */
    float *floats;
    const struct cvg_finish *finish; /* NULL: they are read */
    int flushes;
};

/* Of one job. */
static int64_t each_of(const struct move *m) { return m->unit ? cvg_max(1, BLOCK / m->unit) : BLOCK; }

static void move_job(void *context, int64_t job, int worker)
{
    const struct move *m = context;
    const int64_t each = each_of(m), first = job * each, count = cvg_min(each, m->count - first);
    (void)worker;
    if (m->columns.count) {
        cvg_read_rows(&m->view, m->kernels, &m->columns, m->n + first, count, m->floats + first * m->unit);
    } else if (m->unit) {
        cvg_read_pairs(&m->view, m->kernels, m->n + first, count, m->floats + first * m->unit);
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

/* Brings units of a tensor that are made pairs, or a tensor's elements as floats. */
static void bring(const struct cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, int of_output, int64_t n,
                  int64_t units, float *floats)
{
    const struct cvg_shape *s = &plan->shape, *seen = cvg_plan_seen(plan, pass);
    const int64_t channels = of_output ? s->K : s->C, *extent = of_output ? seen->out : seen->in;
    struct move m = {.view = of_output ? cvg_view_out(task, task->grad_output) : cvg_view_in(task, task->input),
                     .floats = floats};
    if (plan->pass[pass].way != CVG_ZIPPED) {
        m.n = n;
        m.count = units * channels * (of_output ? s->out_size : s->in_size);
    } else if (cvg_one_tap(s)) {
        if (!of_output)
            m.view = cvg_view_met(task, task->input);
        m.n = n;
        m.count = units;
        m.unit = channels * extent[2];
    } else {
        const int64_t rows = extent[0] * extent[1];
        m.n = n * rows;
        m.count = units * rows;
        m.unit = channels * extent[2];
        m.columns = of_output ? (struct cvg_columns){0, extent[2], 2, 1}
                              : (struct cvg_columns){-s->pad[2], extent[2], 1, s->stride[2]};
    }
    move(plan, pass, m);
}

void cvg_run_halves(const struct cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, void *workspace,
                    cvg_run_fn *run)
{
    const struct cvg_shape *s = &plan->shape, *seen = cvg_plan_seen(plan, pass);
    const int zips = plan->pass[pass].way == CVG_ZIPPED;
    const struct cvg_stage *stage = zips ? &plan->zip : &plan->stage;
    const int64_t weights = s->K * s->taps;
    const int64_t in = stage->in_unit, out = stage->out_unit;
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
            bring(plan, pass, task, 0, n, units, floats);
        if (task->grad_output)
            bring(plan, pass, task, 1, n, units, floats + stage->out);
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
