/* The passes' public face: checks pointers, looks up, calls. */
#include "halves.h"
#include "plan.h"
#include "tensor/view.h"

#include <string.h>

cvg_status cvg_output_size(const cvg_conv *conv, int64_t *out, cvg_error *error)
{
    struct cvg_shape shape;
    const cvg_status status = cvg_shape_init(&shape, conv, error);
    if (status)
        return status;
    if (!out)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "out is NULL");
    for (int axis = 0; axis < shape.rank; axis++)
        out[axis] = shape.out[axis + 3 - shape.rank];
    return CVG_OK;
}

/* An operand may be NULL only when it has no elements: those of batch 0. */
static int missing(const cvg_plan *plan, const void *batch_operand) { return !batch_operand && plan->shape.N > 0; }

static int is_mode(cvg_mode mode) { return mode == CVG_OVERWRITE || mode == CVG_ACCUMULATE; }

cvg_status cvg_check_call(const cvg_plan *plan, cvg_pass pass, const void *first, const void *second,
                          const void *result, cvg_mode mode, const void *workspace, cvg_error *error)
{
    static const struct {
        const char *name;
        int of_batch;
    } operands[CVG_PASS_COUNT][3] = {
        [CVG_FORWARD] = {{"input", 1}, {"weight", 0}, {"output", 1}},
        [CVG_GRAD_INPUT] = {{"grad_output", 1}, {"weight", 0}, {"grad_input", 1}},
        [CVG_GRAD_WEIGHT] = {{"input", 1}, {"grad_output", 1}, {"grad_weight", 0}},
    };
    const void *const given[] = {first, second, result};
    if (!plan)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "plan is NULL");
    if ((int)pass < 0 || (int)pass >= CVG_PASS_COUNT)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "pass is %d; that is no cvg_pass", (int)pass);
    for (int i = 0; i < 3; i++)
        if (operands[pass][i].of_batch ? missing(plan, given[i]) : !given[i])
            return cvg_fail(error, CVG_INVALID_ARGUMENT, "%s is NULL", operands[pass][i].name);
    if (!is_mode(mode))
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "mode is %d; that is no cvg_mode", (int)mode);
    if (!workspace && plan->pass[pass].workspace > 0)
        return cvg_fail(error, CVG_INVALID_ARGUMENT, "workspace is NULL; %s needs %zu bytes", cvg_pass_names[pass],
                        plan->pass[pass].workspace);
    return CVG_OK;
}

/* pass FORWARD: the result is no gradient. */
static struct cvg_task task_of(const cvg_plan *plan, cvg_pass pass, void *result, cvg_mode mode)
{
    return (struct cvg_task){
        .shape = &plan->shape,
        .kernels = plan->kernels,
        .result = result,
        .type = plan->shape.type,
        .result_type = pass == CVG_FORWARD ? plan->shape.type : plan->shape.grad_type,
        .bias_type = plan->shape.bias_type,
        .finish = {.scale = pass == CVG_FORWARD ? 1 : plan->gradient_scale, .accumulate = mode == CVG_ACCUMULATE},
    };
}

/*
 * Runs a pass.  Batch 0 ends here, so no algorithm meets it: output and grad_input have no
 * elements, and the sums behind grad_weight and grad_bias no terms.
 */
static void run(const cvg_plan *plan, cvg_pass pass, const struct cvg_work *work, const struct cvg_task *task,
                int64_t sums, void *workspace)
{
    if (task->shape->N > 0)
        cvg_work_run(work, task, &plan->threads, plan->pass[pass].workers, workspace);
    else if (sums && !task->finish.accumulate)
        memset(task->result, 0, (size_t)sums * cvg_type_size(task->result_type));
}

/* Sets every element of a result that is like the input to the bias of its channel. */
static void fill_channels(const struct cvg_task *t, const void *bias)
{
    const struct cvg_view result = cvg_view_result(t, 1);
    for (int64_t n = 0; n < t->shape->N; n++)
        for (int64_t c = 0; c < t->shape->C; c++)
            for (int64_t d = 0; d < result.extent[0]; d++)
                for (int64_t h = 0; h < result.extent[1]; h++)
                    t->kernels->put(cvg_view_at(&result, n, c, d, h, 0), result.step[2], cvg_at(t, bias, c), 0,
                                    result.extent[2], &cvg_plain);
}

/* Runs a pass as its algorithm sees the problem. */
static void run_seen(const cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, void *workspace)
{
    struct cvg_task seen = *task;
    if (plan->shape.N > 0)
        seen.shape = cvg_plan_seen(plan, pass);
    if (pass == CVG_GRAD_INPUT && seen.shape == &plan->flat && task->finish.bias) {
        fill_channels(task, task->finish.bias); /* it has more channels than the bias: that is there first */
        seen.finish.bias = NULL;
        seen.finish.accumulate = 1;
    }
    run(plan, pass, &plan->pass[pass].work, &seen, pass == CVG_GRAD_WEIGHT ? plan->shape.K * plan->shape.taps : 0,
        workspace);
}

static void run_pass(const cvg_plan *plan, cvg_pass pass, const struct cvg_task *task, void *workspace)
{
    static cvg_run_half_fn *const ways[] = {[CVG_WIDENED] = cvg_run_halves,
                                            [CVG_READ] = cvg_run_reading,
                                            [CVG_PAIRED] = cvg_run_pairs,
                                            [CVG_ZIPPED] = cvg_run_halves};
    cvg_run_half_fn *const half =
        cvg_is_half(plan->shape.type) && plan->shape.N > 0 ? ways[plan->pass[pass].way] : NULL;
    if (half)
        half(plan, pass, task, workspace, run_seen);
    else
        run_seen(plan, pass, task, workspace);
}

cvg_status cvg_forward(const cvg_plan *plan, const void *input, const void *weight, const void *bias, void *output,
                       void *workspace)
{
    if (cvg_check_call(plan, CVG_FORWARD, input, weight, output, CVG_OVERWRITE, workspace, NULL))
        return CVG_INVALID_ARGUMENT;
    struct cvg_task task = task_of(plan, CVG_FORWARD, output, CVG_OVERWRITE);
    task.input = input;
    task.weight = weight;
    task.finish.bias = bias;
    run_pass(plan, CVG_FORWARD, &task, workspace);
    return CVG_OK;
}

cvg_status cvg_grad_input(const cvg_plan *plan, const void *grad_output, const void *weight, void *grad_input,
                          cvg_mode mode, void *workspace)
{
    if (cvg_check_call(plan, CVG_GRAD_INPUT, grad_output, weight, grad_input, mode, workspace, NULL))
        return CVG_INVALID_ARGUMENT;
    struct cvg_task task = task_of(plan, CVG_GRAD_INPUT, grad_input, mode);
    task.grad_output = grad_output;
    task.weight = weight;
    run_pass(plan, CVG_GRAD_INPUT, &task, workspace);
    return CVG_OK;
}

cvg_status cvg_grad_weight(const cvg_plan *plan, const void *input, const void *grad_output, void *grad_weight,
                           cvg_mode mode, void *workspace)
{
    if (cvg_check_call(plan, CVG_GRAD_WEIGHT, input, grad_output, grad_weight, mode, workspace, NULL))
        return CVG_INVALID_ARGUMENT;
    struct cvg_task task = task_of(plan, CVG_GRAD_WEIGHT, grad_weight, mode);
    task.input = input;
    task.grad_output = grad_output;
    run_pass(plan, CVG_GRAD_WEIGHT, &task, workspace);
    return CVG_OK;
}

/* The sums over the channels of a tensor like the output or, of a transposed convolution, like the input. */
static void sum_channels(const cvg_plan *plan, const void *grad_output, int transposed, void *grad_bias, cvg_mode mode)
{
    const int64_t channels = transposed ? plan->shape.C : plan->shape.K;
    struct cvg_task task = task_of(plan, CVG_GRAD_WEIGHT, grad_bias, mode);
    struct cvg_work work;
    task.grad_output = grad_output;
    cvg_work_init(&work);
    cvg_work_phase(&work, channels, plan->pass[CVG_GRAD_WEIGHT].algorithm->grad_bias);
    *(int *)cvg_work_state(&work, sizeof(int)) = transposed;
    run(plan, CVG_GRAD_WEIGHT, &work, &task, channels, NULL);
}

cvg_status cvg_grad_bias(const cvg_plan *plan, const void *grad_output, void *grad_bias, cvg_mode mode)
{
    if (!plan || missing(plan, grad_output) || !grad_bias || !is_mode(mode))
        return CVG_INVALID_ARGUMENT;
    sum_channels(plan, grad_output, 0, grad_bias, mode);
    return CVG_OK;
}

cvg_status cvg_backward(const cvg_plan *plan, const void *input, const void *weight, const void *grad_output,
                        void *grad_input, void *grad_weight, void *grad_bias, cvg_mode mode, void *workspace)
{
    if (!plan || missing(plan, grad_output) || !is_mode(mode) ||
        (grad_input && cvg_check_call(plan, CVG_GRAD_INPUT, grad_output, weight, grad_input, mode, workspace, NULL)) ||
        (grad_weight && cvg_check_call(plan, CVG_GRAD_WEIGHT, input, grad_output, grad_weight, mode, workspace, NULL)))
        return CVG_INVALID_ARGUMENT;
    if (grad_input)
        cvg_grad_input(plan, grad_output, weight, grad_input, mode, workspace);
    if (grad_weight)
        cvg_grad_weight(plan, input, grad_output, grad_weight, mode, workspace);
    if (grad_bias)
        cvg_grad_bias(plan, grad_output, grad_bias, mode);
    return CVG_OK;
}

cvg_status cvg_transpose_forward(const cvg_plan *plan, const void *input, const void *weight, const void *bias,
                                 void *output, void *workspace)
{
    if (cvg_check_call(plan, CVG_GRAD_INPUT, input, weight, output, CVG_OVERWRITE, workspace, NULL))
        return CVG_INVALID_ARGUMENT;
    struct cvg_task task = task_of(plan, CVG_FORWARD, output, CVG_OVERWRITE);
    task.grad_output = input;
    task.weight = weight;
    task.finish.bias = bias;
    run_pass(plan, CVG_GRAD_INPUT, &task, workspace);
    return CVG_OK;
}

cvg_status cvg_transpose_backward(const cvg_plan *plan, const void *input, const void *weight, const void *grad_output,
                                  void *grad_input, void *grad_weight, void *grad_bias, cvg_mode mode, void *workspace)
{
    if (!plan || missing(plan, grad_output) || !is_mode(mode) ||
        (grad_input && cvg_check_call(plan, CVG_FORWARD, grad_output, weight, grad_input, mode, workspace, NULL)) ||
        (grad_weight && cvg_check_call(plan, CVG_GRAD_WEIGHT, grad_output, input, grad_weight, mode, workspace, NULL)))
        return CVG_INVALID_ARGUMENT;
    if (grad_input) { /* the convolution itself, scaled and added as gradients are */
        struct cvg_task task = task_of(plan, CVG_GRAD_INPUT, grad_input, mode);
        task.input = grad_output;
        task.weight = weight;
        run_pass(plan, CVG_FORWARD, &task, workspace);
    }
    if (grad_weight)
        cvg_grad_weight(plan, grad_output, input, grad_weight, mode, workspace);
    if (grad_bias)
        sum_channels(plan, grad_output, 1, grad_bias, mode);
    return CVG_OK;
}
