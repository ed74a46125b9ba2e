/*
 * Many threads make, run and destroy plans of random shapes for a while, of their own and shared ones, and
 * compare every result; memory must not grow.   usage: soak SECONDS [THREADS]
 */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 12, MOST_THREADS = 64 };

enum { OUTPUT, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS, RESULTS };

/* A problem with operands and the results that they must have. */
struct work {
    cvg_conv conv;
    cvg_algo algo;
    cvg_plan *plan;
    struct array input, weight, bias, grad_output, result[RESULTS];
};

/* Shared plans: any number of threads run one, a thread that wants to replace it waits for them. */
static struct slot {
    pthread_rwlock_t lock;
    struct work work;
} slots[SLOTS];

static double end_time;
static atomic_long plans, runs, wrong;

static struct array array_of(cvg_type type, int64_t count, struct random *random)
{
    struct array array;
    cvg_error error;
    if (!array_new(&array, type, 1, &count, &error))
        die(EXIT_WRONG, "%s", error.text);
    for (int64_t i = 0; random && i < count; i++)
        array_set(&array, i, (double)(random_bits(random) % 5) - 2);
    return array;
}

static void results_of(const cvg_conv *conv, struct array result[RESULTS])
{
    const struct sizes z = problem_sizes(conv);
    const int64_t count[RESULTS] = {z.output, z.input, z.weight, z.bias};
    for (int i = 0; i < RESULTS; i++)
        result[i] = array_of(conv->type, count[i], NULL);
}

static void results_free(struct array result[RESULTS])
{
    for (int i = 0; i < RESULTS; i++)
        array_free(&result[i]);
}

/* Runs a plan on the operands of work into results, in workspace of its own. */
static void run(const cvg_plan *plan, const struct work *w, struct array result[RESULTS])
{
    void *workspace = workspace_of(plan);
    cvg_forward(plan, w->input.data, w->weight.data, w->bias.data, result[OUTPUT].data, workspace);
    cvg_backward(plan, w->input.data, w->weight.data, w->grad_output.data, result[GRAD_INPUT].data,
                 result[GRAD_WEIGHT].data, result[GRAD_BIAS].data, CVG_OVERWRITE, workspace);
    free(workspace);
    runs += 2;
}

/* Whether results are what they must be: exactly, or, by fewer products, within their bound. */
static int right(const cvg_plan *plan, const struct array got[RESULTS], const struct array want[RESULTS])
{
    for (int i = 0; i < RESULTS; i++) {
        const cvg_pass pass = i == GRAD_BIAS ? CVG_GRAD_WEIGHT : (cvg_pass)i;
        const double allowed = i == GRAD_BIAS || cvg_plan_error_growth(plan, pass) == 1
                                   ? 0
                                   : cvg_plan_error_bound(plan, pass) * 8; /* of -2 to 2, and the bias */
        for (int64_t j = 0; j < want[i].count; j++)
            if (!(fabs(array_get(&got[i], j) - array_get(&want[i], j)) <= allowed))
                return 0;
    }
    return 1;
}

/* A random problem; 0 if the algorithm that was drawn does not do it. */
static int work_new(struct work *w, struct random *random)
{
    struct problem problem;
    cvg_error error;
    problem_draw(&problem, random);
    *w = (struct work){.conv = problem.conv};
    w->conv.type = random_bits(random) % 2 ? CVG_F32 : CVG_F64;
    w->algo = (cvg_algo)(random_bits(random) % CVG_ALGO_COUNT);
    w->plan = plan_try(&w->conv, w->algo, 1 + (int)(random_bits(random) % 4), 1, &error);
    plans++;
    if (!w->plan)
        return 0;
    const struct sizes z = problem_sizes(&w->conv);
    w->input = array_of(w->conv.type, z.input, random);
    w->weight = array_of(w->conv.type, z.weight, random);
    w->bias = array_of(w->conv.type, z.bias, random);
    w->grad_output = array_of(w->conv.type, z.output, random);
    results_of(&w->conv, w->result);
    cvg_plan *reference = plan_of(&w->conv, CVG_REFERENCE, 1, 1);
    run(reference, w, w->result);
    cvg_plan_destroy(reference);
    return 1;
}

static void work_free(struct work *w)
{
    cvg_plan_destroy(w->plan);
    array_free(&w->input);
    array_free(&w->weight);
    array_free(&w->bias);
    array_free(&w->grad_output);
    results_free(w->result);
}

static void run_and_compare(const struct work *w)
{
    struct array result[RESULTS];
    results_of(&w->conv, result);
    run(w->plan, w, result);
    if (!right(w->plan, result, w->result)) {
        char text[256];
        problem_print(&w->conv, text, sizeof text);
        printf("WRONG %s by %s, %s\n", text, cvg_algo_name(w->algo), type_name(w->conv.type));
        wrong++;
    }
    results_free(result);
}

static void *thread_main(void *argument)
{
    struct random random = {1000 + *(int *)argument};
    while (seconds() < end_time) {
        struct slot *slot = &slots[random_bits(&random) % SLOTS];
        const int replaces = random_bits(&random) % 16 == 0;
        struct work own;
        if (!work_new(&own, &random))
            continue;
        run_and_compare(&own);
        if (replaces) {
            pthread_rwlock_wrlock(&slot->lock);
            const struct work old = slot->work;
            slot->work = own;
            own = old;
            pthread_rwlock_unlock(&slot->lock);
        } else {
            pthread_rwlock_rdlock(&slot->lock);
            if (slot->work.plan)
                run_and_compare(&slot->work);
            pthread_rwlock_unlock(&slot->lock);
        }
        work_free(&own);
    }
    return NULL;
}

/* Memory of the process in MiB; 0 where the system does not tell. */
static double resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

int main(int argc, char **argv)
{
    pthread_t threads[MOST_THREADS];
    int numbers[MOST_THREADS];
    const double length = argc > 1 ? atof(argv[1]) : 0;
    const int count = argc > 2 ? atoi(argv[2]) : 8;
    if (!(length > 0) || count < 1 || count > MOST_THREADS)
        die(EXIT_BAD_INPUT, "usage: soak SECONDS [THREADS]");
    const double begin = seconds();
    double early = 0;
    end_time = begin + length;
    for (int i = 0; i < SLOTS; i++)
        pthread_rwlock_init(&slots[i].lock, NULL);
    for (int i = 0; i < count; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, thread_main, &numbers[i]))
            die(EXIT_WRONG, "no thread to be had");
    }
    for (int tenth = 1; tenth < 10; tenth++) {
        struct timespec rest = {(time_t)(length / 10), (long)(fmod(length / 10, 1) * 1e9)};
        nanosleep(&rest, NULL);
        printf("after %4.0f s: %ld plans, %ld runs, %.0f MiB\n", seconds() - begin, (long)plans, (long)runs,
               resident());
        fflush(stdout);
        if (tenth == 3)
            early = resident(); /* by then all has been as large as it gets */
    }
    const double late = resident();
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SLOTS; i++)
        work_free(&slots[i].work);
    const int grown = length >= 300 && late > 1.25 * early + 16; /* shorter ones are still filling caches */
    printf("%d threads, %.0f s: %ld plans, %ld runs, %ld wrong; %.0f MiB after 3 tenths, %.0f MiB at the end%s\n",
           count, seconds() - begin, (long)plans, (long)runs, (long)wrong, early, late, grown ? ": GROWN" : "");
    return wrong > 0 || grown || runs == 0;
}
