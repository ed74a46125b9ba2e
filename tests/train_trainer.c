/*
 * Training.  The same bits for any number of workers, for threads inside layers, and for each instruction set; the tree
 * against its definition; optimisers and schedules against theirs, and against PyTorch's numbers; a training that was
 * saved and loaded against one that was not; statistics of batch norm; mistakes.
 */
#include "check.h"
#include "train_case.h"
#include "train_golden.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Runs the tasks one after the other, the last one first. */
static void backwards(void *pool, int count, void (*task)(void *context, int index), void *context)
{
    (void)pool;
    for (int i = count; i-- > 0;)
        task(context, i);
}

static void test_bits(cvg_type type, cvg_optimizer optimizer, cvg_layout layout, uint64_t kept)
{
    struct setting s = every_setting();
    s.type = type;
    s.layout = layout;
    s.recipe.optimizer = optimizer;
    struct training first = begin(&s);
    const double before = go_on(&first, 1), after = go_on(&first, STEPS - 1);
    check(after < 0.9 * before, "it learns nothing: loss %g, then %g", before, after);
    const uint64_t hash = hash_of(first.state, first.size);
    check(!first.n->fuses || hash == kept, "the state's bits are 0x%llx; kept are 0x%llx", (unsigned long long)hash,
          (unsigned long long)kept);
    static const int workers[] = {1, 2, 3, 7, 0}, threads[] = {2, 3, 7};
    for (int i = 0; i < 8; i++) {
        s.workers = i < 5 ? workers[i] : 1;
        s.threads = i < 5 ? 1 : threads[i - 5];
        struct training g = begin(&s);
        go_on(&g, STEPS);
        check(g.size == first.size && memcmp(g.state, first.state, g.size) == 0,
              "other bits with %d workers, %d threads inside", s.workers, s.threads);
        end(&g);
    }
    s.workers = s.threads = 1;
    for (int i = 0; (s.isa = cvg_isa_name(i)); i++) {
        struct training g = begin(&s);
        if (g.n->fuses != first.n->fuses)
            printf("%s rounds twice: its bits may differ\n", s.isa);
        else {
            go_on(&g, STEPS);
            check(memcmp(g.state, first.state, g.size) == 0, "other bits with %s", s.isa);
        }
        end(&g);
    }
    end(&first);
}

/* A thread for each task. */
struct threaded {
    void (*task)(void *context, int index);
    void *context;
    int index;
};

static void *run_threaded(void *given)
{
    const struct threaded *one = given;
    one->task(one->context, one->index);
    return NULL;
}

static void at_once(void *pool, int count, void (*task)(void *context, int index), void *context)
{
    pthread_t thread[16];
    struct threaded one[16];
    (void)pool;
    for (int i = 0; i < count; i++) {
        one[i] = (struct threaded){task, context, i};
        if (pthread_create(&thread[i], NULL, run_threaded, &one[i]))
            exit(2);
    }
    for (int i = 0; i < count; i++)
        pthread_join(thread[i], NULL);
}

/* The host's pool: tasks in another order, or on threads of its own, which ThreadSanitizer looks at. */
static void test_pool(cvg_parallel_for *pool)
{
    struct setting s = every_setting();
    struct training first = begin(&s), g;
    go_on(&first, 7);
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    options.shard = s.shard;
    options.parallel_for = pool;
    g = begin(&s);
    cvg_trainer_destroy(g.t);
    cvg_network_destroy(g.n);
    check(cvg_network_create(&g.n, s.model, strlen(s.model), &options, NULL) == CVG_OK, "network");
    check(cvg_trainer_create(&g.t, g.n, &s.recipe, 4, NULL, NULL) == CVG_OK, "trainer");
    free(g.workspace);
    g.workspace = zeros(1, cvg_trainer_workspace_size(g.t));
    go_on(&g, 7);
    check(memcmp(g.state, first.state, g.size) == 0, "other bits with the host's pool");
    cvg_loss loss;
    const cvg_samples samples = samples_of(&g);
    check(cvg_evaluate(g.t, cvg_trainer_parameters(g.t, g.state), &samples, &loss, NULL, g.workspace, NULL) == CVG_OK,
          "evaluate");
    end(&g);
    end(&first);
}

/* ---- the tree ---- */

struct term {
    struct cvt_sum sum;
    double value;
    int64_t begin, end;
};

static void join_terms(void *context, char *to, const char *from)
{
    struct term *a = (struct term *)(void *)to;
    const struct term *b = (const struct term *)(const void *)from;
    (void)context;
    check(a->end == b->begin, "%lld and %lld are no neighbours", (long long)a->end, (long long)b->begin);
    a->value += b->value;
    a->end = b->end;
}

static double leaf(int64_t i) { return 1.0 / (double)(3 * i + 1); }

/* The definition: halves at the largest power of two. */
static double tree_of(int64_t begin, int64_t count)
{
    int64_t half = 1;
    while (2 * half < count)
        half *= 2;
    return count == 1 ? leaf(begin) : tree_of(begin, half) + tree_of(begin + half, count - half);
}

static void test_tree(void)
{
    static struct term term[200];
    for (int64_t leaves = 1; leaves < 70; leaves++)
        for (int workers = 1; workers < 12; workers++) {
            struct cvt_stack all = {.leaves = leaves};
            int used = 0;
            for (int w = 0; w < workers; w++) {
                struct cvt_stack own = {.leaves = leaves};
                const int64_t first = cvt_part(leaves, workers, w), last = cvt_part(leaves, workers, w + 1);
                const int most = cvt_most_nodes(leaves, first, last);
                int seen = 0;
                for (int64_t i = first; i < last; i++) {
                    struct term *t = &term[used + own.count];
                    seen = own.count + 1 > seen ? own.count + 1 : seen;
                    *t = (struct term){.value = leaf(i), .begin = i, .end = i + 1};
                    cvt_push(&own, (struct cvt_node){.index = i, .at = (char *)t}, join_terms, NULL);
                }
                check(seen == most, "%d nodes at once; foretold %d", seen, most);
                used += own.count;
                for (int i = 0; i < own.count; i++)
                    cvt_push(&all, own.node[i], join_terms, NULL);
            }
            const struct term *root = (const struct term *)(void *)all.node[0].at;
            check(all.count == 1 && root->begin == 0 && root->end == leaves, "%d nodes are left", all.count);
            check(root->value == tree_of(0, leaves), "%lld leaves, %d workers: another sum", (long long)leaves,
                  workers);
        }
}

/* ---- optimisers ---- */

static double lr_of(const cvg_recipe *r, int64_t step, int64_t steps, int64_t epoch_steps)
{
    if (step < r->warmup)
        return r->learning_rate * (double)(step + 1) / (double)r->warmup;
    if (r->schedule == CVG_STEP)
        return r->learning_rate * pow(r->step_factor, (double)(step / epoch_steps / r->step_epochs));
    if (r->schedule == CVG_COSINE)
        return r->learning_rate * (1 + cos(acos(-1) * (double)(step - r->warmup) / (double)(steps - r->warmup))) / 2;
    return r->learning_rate;
}

/* A trainer's parameters after steps, against updates of our own in double, from its own gradients (a single shard). */
static void test_optimizer(const char *name, cvg_recipe recipe)
{
    struct setting s = {.model = "input 6\nlinear 5\nrelu\nlinear 3\ncross_entropy\n", .type = CVG_F64, .shard = 20};
    s.workers = s.threads = 1;
    recipe.samples = 50;
    recipe.batch = 20;
    recipe.epochs = 20;
    s.recipe = recipe;
    struct training g = begin(&s);
    const int64_t P = g.n->elements, steps = cvg_trainer_steps(g.t);
    check(steps == 60 && cvg_trainer_epoch_steps(g.t) == 3, "%lld steps", (long long)steps);
    double *p = zeros((size_t)P, 8), *m = zeros((size_t)P, 8), *v = zeros((size_t)P, 8), *d = zeros((size_t)P, 8);
    double x[20 * 6];
    int64_t target[20];
    char *workspace = zeros(1, cvg_network_workspace_size(g.n, CVG_TRAIN));
    memcpy(p, cvg_trainer_parameters(g.t, g.state), (size_t)P * 8);
    double b1 = 1, b2 = 1;
    for (int64_t step = 0; step < 40; step++) {
        const uint32_t *order = (const uint32_t *)(void *)((char *)g.state + g.t->order_at);
        const int64_t count = step % 3 == 2 ? 10 : 20;
        for (int64_t i = 0; i < count; i++)
            read_drawn(&g.drawn, order[step % 3 * 20 + i], x + 6 * i, target + i);
        const cvg_shard shard = {.count = count, .batch = count, .input = x, .target = target, .seed = recipe.seed};
        cvg_loss loss;
        check(cvg_loss_gradient(g.n, p, &shard, d, &loss, workspace, NULL) == CVG_OK, "gradient");
        double norm = 0;
        for (int64_t i = 0; i < P; i++)
            norm += d[i] * d[i];
        norm = sqrt(norm);
        const double rate = lr_of(&recipe, step, steps, 3),
                     factor = recipe.clip > 0 && norm > recipe.clip ? recipe.clip / norm : 1;
        b1 *= recipe.beta1;
        b2 *= recipe.beta2;
        for (int64_t i = 0; i < P; i++) {
            double gradient = d[i] * factor;
            if (recipe.optimizer == CVG_ADAMW) {
                p[i] -= rate * recipe.weight_decay * p[i];
                m[i] = recipe.beta1 * m[i] + (1 - recipe.beta1) * gradient;
                v[i] = recipe.beta2 * v[i] + (1 - recipe.beta2) * gradient * gradient;
                p[i] -= rate * (m[i] / (1 - b1)) / (sqrt(v[i] / (1 - b2)) + recipe.epsilon);
            } else {
                gradient += recipe.weight_decay * p[i];
                m[i] = recipe.momentum * m[i] + gradient;
                p[i] -= rate * (recipe.nesterov ? gradient + recipe.momentum * m[i] : m[i]);
            }
        }
        cvg_progress progress;
        const cvg_samples samples = samples_of(&g);
        check(cvg_trainer_step(g.t, g.state, &samples, &progress, g.workspace, NULL) == CVG_OK, "step");
        check(fabs(progress.learning_rate - rate) <= 8 * 0x1p-53 * recipe.learning_rate, "%s: rate %.17g, not %.17g",
              name, progress.learning_rate, rate);
        check(fabs(progress.gradient_norm - norm) <= 1e-12 * norm, "%s: norm", name);
        const double *got = cvg_trainer_parameters(g.t, g.state);
        for (int64_t i = 0; i < P; i++) /* some ten roundings a step, which sum up and move the next gradients */
            if (!check(fabs(got[i] - p[i]) <= 1e-11 * (1 + fabs(p[i])),
                       "%s, step %lld: parameter %lld is %.17g, not %.17g", name, (long long)step, (long long)i, got[i],
                       p[i]))
                break;
    }
    void *const memory[] = {p, m, v, d, workspace};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        free(memory[i]);
    end(&g);
}

static void test_optimizers(void)
{
    cvg_recipe r = CVG_RECIPE_INIT;
    r.learning_rate = 0.1;
    r.momentum = 0;
    test_optimizer("SGD", r);
    r.weight_decay = 0.01;
    test_optimizer("SGD, decay", r);
    r.momentum = 0.9;
    r.schedule = CVG_COSINE;
    test_optimizer("momentum, cosine", r);
    r.nesterov = 1;
    r.warmup = 7;
    test_optimizer("Nesterov, warm-up", r);
    r.schedule = CVG_STEP;
    r.step_epochs = 2;
    r.step_factor = 0.3;
    r.clip = 0.05;
    test_optimizer("steps, clipping", r);
    r.optimizer = CVG_ADAMW;
    r.learning_rate = 0.01;
    test_optimizer("AdamW", r);
}

/* Moments of what gets no gradient end at 0, not at subnormal numbers, which are slow: here behind a relu that is 0. */
static void test_flush(cvg_optimizer optimizer)
{
    struct setting s = {.model = "input 6\nlinear 5\nrelu\nlinear 3\ncross_entropy\n", .shard = 8};
    s.workers = s.threads = 1;
    s.recipe = (cvg_recipe)CVG_RECIPE_INIT;
    s.recipe.samples = s.recipe.batch = 8;
    s.recipe.epochs = 200;
    s.recipe.optimizer = optimizer;
    s.recipe.beta2 = 0.9;
    struct training g = begin(&s);
    float *p = cvg_trainer_parameters(g.t, g.state);
    const int64_t count = g.n->parameter[0].count + g.n->parameter[1].count;
    for (int64_t i = g.n->parameter[1].offset; i < count; i++)
        p[i] = -1000;
    for (int moment = 0; moment < g.t->moments; moment++)
        for (int64_t i = 0; i < count; i++)
            ((float *)(void *)((char *)g.state + g.t->moment_at[moment]))[i] = moment || i % 2 ? 1e-30f : -1e-30f;
    go_on(&g, 150); /* 0.9^95 is 5e-5, and 2^-114 is 5e-35 */
    for (int moment = 0; moment < g.t->moments; moment++)
        for (int64_t i = 0; i < count; i++) {
            const float m = ((float *)(void *)((char *)g.state + g.t->moment_at[moment]))[i];
            check(m == 0, "moment %d of parameter %d is %g", moment, (int)i, (double)m);
        }
    end(&g);
}

/* ---- the order ---- */

static void test_order(void)
{
    struct setting s = every_setting();
    struct training g = begin(&s);
    const uint32_t *order = (const uint32_t *)(void *)((char *)g.state + g.t->order_at);
    uint32_t before[131] = {0};
    for (int epoch = 0; epoch < 5; epoch++) {
        int seen[131] = {0}, same = 0;
        for (int i = 0; i < 131; i++) {
            check(order[i] < 131 && seen[order[i]]++ == 0, "epoch %d has sample %u twice", epoch, (unsigned)order[i]);
            same += order[i] == before[i] || order[i] == (uint32_t)i;
        }
        check(same < 15, "epoch %d has %d samples where they were", epoch, same);
        memcpy(before, order, sizeof before);
        go_on(&g, 3);
    }
    end(&g);
}

/* ---- PyTorch ---- */

static double golden_number(int64_t i, int modulus, double scale)
{
    return (double)(i * 37 % modulus - modulus / 2) / scale;
}

static int read_golden(void *context, int64_t index, void *input, void *target)
{
    (void)context;
    for (int64_t i = 0; i < 60; i++)
        ((double *)input)[i] = golden_number(index * 60 + i, 97, 50);
    *(int64_t *)target = index % 3;
    return 0;
}

/* Both round each of some thousand operations by 2^-53, in another order; what is wrong shows in the first digits. */
static void near_golden(int index, int at, double got)
{
    const double want = golden[index][at];
    check(fabs(got - want) <= 1e-10 * (1 + fabs(want)), "PyTorch's case %d, number %d: %.17g; must be %.17g", index, at,
          got, want);
}

static void test_golden(int index)
{
    struct setting s = {.model = "input 2x6x5\nconv 4 3x3 padding=1 stride=1x2\nbatchnorm\nrelu\nconv_transpose 3 2x2 "
                                 "stride=2\nmaxpool 3 stride=2 padding=1\nleaky_relu 0.1\navgpool 2x2 stride=1 "
                                 "padding=1\nflatten\nlinear 3\ncross_entropy\n",
                        .type = CVG_F64,
                        .shard = GOLDEN_SAMPLES,
                        .workers = 1,
                        .threads = 1,
                        .recipe = CVG_RECIPE_INIT};
    cvg_recipe *r = &s.recipe;
    r->samples = r->batch = GOLDEN_SAMPLES;
    r->epochs = GOLDEN_STEPS;
    r->learning_rate = index == 3 ? 0.01 : 0.1;
    r->momentum = index == 1 ? 0.9 : index == 2 ? 0.8 : 0;
    r->nesterov = index == 2;
    r->weight_decay = index == 1 ? 0.01 : index == 2 ? 0.02 : index == 3 ? 0.1 : 0;
    r->schedule = index == 1 || index == 3 ? CVG_COSINE : index == 2 ? CVG_STEP : CVG_CONSTANT;
    r->step_epochs = 3;
    r->step_factor = 0.5;
    r->clip = index == 2 ? 0.3 : 0;
    r->optimizer = index == 3 ? CVG_ADAMW : CVG_SGD;
    r->beta1 = 0.8;
    r->beta2 = 0.95;
    r->epsilon = 1e-6;
    struct training g = begin(&s);
    double *p = cvg_trainer_parameters(g.t, g.state);
    cvg_parameter parameter;
    int64_t at = 0;
    for (int i = 0; cvg_network_parameter(g.n, i, &parameter); i++)
        for (int64_t j = 0; parameter.trained && j < parameter.count; j++)
            p[parameter.offset + j] = golden_number(at++, 101, 150);
    const cvg_samples samples = {GOLDEN_SAMPLES, read_golden, NULL};
    for (int step = 0; step < GOLDEN_STEPS; step++) {
        cvg_progress progress = {0};
        check(cvg_trainer_step(g.t, g.state, &samples, &progress, g.workspace, NULL) == CVG_OK, "step");
        near_golden(index, step, progress.loss);
        near_golden(index, GOLDEN_STEPS + step, progress.gradient_norm);
    }
    int value = 2 * GOLDEN_STEPS;
    for (int i = 0; cvg_network_parameter(g.n, i, &parameter); i++) {
        double sum = 0, squares = 0;
        for (int64_t j = 0; j < parameter.count; j++) {
            sum += p[parameter.offset + j];
            squares += p[parameter.offset + j] * p[parameter.offset + j];
        }
        near_golden(index, value++, sum);
        near_golden(index, value++, squares);
    }
    check(value == GOLDEN_VALUES, "%d numbers", value);
    end(&g);
}

/* ---- freezing, statistics ---- */

static void test_freeze(void)
{
    struct setting s = every_setting();
    s.freeze = "0-1,15";
    s.recipe.weight_decay = 0.1;
    struct training g = begin(&s);
    void *before = zeros(1, g.size);
    memcpy(before, g.state, g.size);
    go_on(&g, 5);
    const float *a = cvg_trainer_parameters(g.t, before), *b = cvg_trainer_parameters(g.t, g.state);
    cvg_parameter p;
    int frozen = 0;
    for (int i = 0; cvg_network_parameter(g.n, i, &p); i++) {
        const int same = memcmp(a + p.offset, b + p.offset, (size_t)p.count * sizeof *a) == 0;
        const int is_frozen = p.layer <= 1 || p.layer == 15;
        check(same == is_frozen, "%s %s", p.name, same ? "did not move" : "is frozen and moved");
        frozen += is_frozen;
    }
    check(frozen == 7, "%d parameters are frozen", frozen);
    free(before);
    end(&g);
}

/* Running statistics of a step: mean and unbiased variance over the whole batch, though it was cut to shards. */
static void test_statistics(void)
{
    struct setting s = {.model = "input 3x5\nbatchnorm momentum=0.25\nflatten\nlinear 4\ncross_entropy\n",
                        .type = CVG_F64,
                        .shard = 4,
                        .workers = 3,
                        .threads = 1,
                        .recipe = CVG_RECIPE_INIT};
    s.recipe.samples = s.recipe.batch = 22;
    struct training g = begin(&s);
    double mean[3] = {0}, variance[3] = {0}, old_mean[3], old_variance[3], x[15];
    int64_t target;
    for (int steps = 0; steps < 3; steps++) {
        const double *p = (const double *)cvg_trainer_parameters(g.t, g.state) + g.n->moved;
        memcpy(old_mean, p, sizeof old_mean);
        memcpy(old_variance, p + 3, sizeof old_variance);
        memset(mean, 0, sizeof mean);
        memset(variance, 0, sizeof variance);
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < 22; i++) {
                read_drawn(&g.drawn, i, x, &target);
                for (int j = 0; j < 15; j++)
                    if (pass == 0)
                        mean[j / 5] += x[j] / 110;
                    else
                        variance[j / 5] += (x[j] - mean[j / 5]) * (x[j] - mean[j / 5]) / 109;
            }
        go_on(&g, 1);
        for (int c = 0; c < 3; c++) {
            check(fabs(p[c] - (0.75 * old_mean[c] + 0.25 * mean[c])) < 1e-14, "running mean %.17g", p[c]);
            check(fabs(p[3 + c] - (0.75 * old_variance[c] + 0.25 * variance[c])) < 1e-14, "running variance %.17g",
                  p[3 + c]);
        }
    }
    end(&g);
}

/* ---- augmentation ---- */

/* Elements are their own numbers. */
static int read_numbers(void *context, int64_t index, void *input, void *target)
{
    (void)context;
    (void)index;
    for (int i = 0; i < 2 * 9 * 8; i++)
        ((float *)input)[i] = (float)(i + 1);
    *(int64_t *)target = 0;
    return 0;
}

/* What a flip and a shift make of it. */
static int is_moved(const float *x, int flip, int down, int right)
{
    for (int i = 0; i < 2 * 9 * 8; i++) {
        const int row = i / 8 % 9 + down, column = (flip ? 7 - i % 8 : i % 8) + right;
        const int inside = row >= 0 && row < 9 && column >= 0 && column < 8;
        if (x[i] != (inside ? (float)(i / 72 * 72 + row * 8 + column + 1) : 0))
            return 0;
    }
    return 1;
}

static void test_augment(void)
{
    struct setting s = every_setting();
    struct training g = begin(&s);
    const cvg_samples samples = {131, read_numbers, NULL};
    float x[144], again[144], scratch[144];
    int seen[50] = {0}, moved = 0;
    int64_t target;
    for (int64_t index = 0; index < 131; index++)
        for (int64_t epoch = 0; epoch < 8; epoch++) {
            int found = -1;
            cvt_read_sample(g.t, &samples, index, epoch, 1, (char *)x, (char *)&target, (char *)scratch);
            for (int i = 0; i < 50; i++)
                found = is_moved(x, i / 25, i / 5 % 5 - 2, i % 5 - 2) ? i : found;
            if (check(found >= 0, "sample %d is no flip and shift", (int)index))
                seen[found]++;
            cvt_read_sample(g.t, &samples, index, epoch, 1, (char *)again, (char *)&target, (char *)scratch);
            check(memcmp(x, again, sizeof x) == 0, "one sample and epoch, two pictures");
            cvt_read_sample(g.t, &samples, index, epoch + 1, 1, (char *)again, (char *)&target, (char *)scratch);
            moved += memcmp(x, again, sizeof x) != 0;
        }
    /* 1,048 draws of 50: 21 each on average, and 3 with a chance of 10^-5 */
    for (int i = 0; i < 50; i++)
        check(seen[i] > 3, "flip %d, shift %d, %d: drawn %d times", i / 25, i / 5 % 5 - 2, i % 5 - 2, seen[i]);
    check(moved > 1048 * 9 / 10, "%d of 1048 differ in the next epoch", moved);
    cvt_read_sample(g.t, &samples, 3, 1, 0, (char *)x, (char *)&target, (char *)scratch);
    check(is_moved(x, 0, 0, 0), "an evaluation's sample is changed");
    end(&g);
}

/* ---- files ---- */

struct file {
    char *bytes;
    size_t size, room, most;
};

static int put(void *context, const void *bytes, size_t size)
{
    struct file *f = context;
    if (f->size + size > f->most)
        return 1;
    if (f->size + size > f->room) {
        f->room = 2 * (f->size + size);
        f->bytes = realloc(f->bytes, f->room);
        if (!f->bytes)
            exit(2);
    }
    memcpy(f->bytes + f->size, bytes, size);
    f->size += size;
    return 0;
}

static void test_resume(cvg_type type, cvg_optimizer optimizer)
{
    struct setting s = every_setting();
    s.type = type;
    s.recipe.optimizer = optimizer;
    struct training whole = begin(&s);
    static const int stops[] = {0, 1, 3, 8, 29};
    cvg_error error = {""};
    for (int i = 0; i < 5; i++) {
        struct training a = begin(&s);
        struct file f = {.most = (size_t)-1 / 2};
        const cvg_note note = {"history", "1,2\n\"3\""};
        go_on(&a, stops[i]);
        check(cvg_trainer_save(a.t, a.state, &note, 1, put, &f, &error) == CVG_OK, "%s", error.text);
        s.workers = 3;
        s.recipe.epochs = i == 4 ? 20 : s.recipe.epochs;
        struct training b = begin(&s);
        check(cvg_trainer_load(b.t, b.state, f.bytes, f.size, &error) == CVG_OK, "%s", error.text);
        check(memcmp(a.state, b.state, a.size) == 0, "a loaded state is not what was saved at step %d", stops[i]);
        if (i < 4) {
            cvg_trainer_start(whole.t, NULL, whole.state);
            go_on(&whole, STEPS);
            go_on(&b, STEPS - stops[i]);
            check(memcmp(whole.state, b.state, b.size) == 0, "resumed at step %d: other bits", stops[i]);
        }
        char text[32];
        size_t length;
        check(cvg_file_note(f.bytes, f.size, "history", text, sizeof text, &length, &error) == CVG_OK && length == 7 &&
                  strcmp(text, note.value) == 0,
              "the note is \"%s\"", text);
        s.workers = 1;
        s.recipe.seed++;
        struct training other = begin(&s);
        check(cvg_trainer_load(other.t, other.state, f.bytes, f.size, &error) == CVG_INVALID_ARGUMENT &&
                  strcmp(error.text, "the checkpoint's recipe has seed=1; this one has seed=2") == 0,
              "%s", error.text);
        s.recipe.seed--;
        struct file full = {.most = f.size - 1};
        check(cvg_trainer_save(a.t, a.state, &note, 1, put, &full, &error) != CVG_OK, "a full disk");
        free(full.bytes);
        free(f.bytes);
        end(&other);
        end(&a);
        end(&b);
        s.recipe.epochs = 10;
    }
    end(&whole);
}

static void test_load(void)
{
    struct setting s = every_setting();
    struct training g = begin(&s);
    struct file f = {.most = (size_t)-1 / 2};
    cvg_error error = {""};
    int fitted = 0;
    go_on(&g, 2);
    void *p = cvg_trainer_parameters(g.t, g.state);
    check(cvg_network_save(g.n, p, NULL, 0, put, &f, &error) == CVG_OK, "%s", error.text);
    const size_t size = (size_t)g.n->elements * g.n->size;
    void *q = zeros(1, size);
    check(cvg_network_load(g.n, q, f.bytes, f.size, 1, &fitted, &error) == CVG_OK && memcmp(p, q, size) == 0, "%s",
          error.text);
    check(fitted == g.n->parameters, "%d fitted", fitted);
    const char other[] = "input 2x9x8\nconv 6 3x3 padding=1 bias=0\nbatchnorm\nflatten\nlinear 4\ncross_entropy\n";
    cvg_network *n;
    check(cvg_network_create(&n, other, strlen(other), NULL, &error) == CVG_OK, "%s", error.text);
    char *r = zeros((size_t)n->elements, 4);
    check(cvg_network_load(n, r, f.bytes, f.size, 1, NULL, &error) != CVG_OK &&
              strcmp(error.text, "the shape of 3.weight in the file is not the model's") == 0,
          "%s", error.text);
    check(cvg_network_load(n, r, f.bytes, f.size, 0, &fitted, &error) == CVG_OK && fitted == 5, "%d fitted: %s", fitted,
          error.text);
    cvg_network_destroy(n);
    free(r);
    free(q);
    free(f.bytes);
    end(&g);
}

static void test_recipe_text(void)
{
    cvg_recipe r = every_setting().recipe, back;
    char text[2048], again[2048];
    cvg_error error = {""};
    r.learning_rate = 1.0 / 3;
    r.beta1 = 0x1.fffffffffffffp-1;
    r.seed = UINT64_MAX;
    const size_t length = cvg_recipe_write(&r, text, sizeof text);
    check(length < sizeof text && cvg_recipe_read(&back, text, &error) == CVG_OK, "%s", error.text);
    check(back.learning_rate == r.learning_rate && back.beta1 == r.beta1 && back.seed == r.seed && back.crop == 2 &&
              back.schedule == CVG_COSINE && back.clip == 2,
          "a recipe as text");
    cvg_recipe_write(&back, again, sizeof again);
    check(strcmp(text, again) == 0, "a recipe as text, again");
    static const char *const bad[] = {"batch",    "batch=",  "batch=x",
                                      "batch=1x", "bath=3",  "optimizer=adam",
                                      "clip=1e",  "seed=-1", "seed=99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(cvg_recipe_read(&back, bad[i], &error) == CVG_INVALID_ARGUMENT, "taken: %s", bad[i]);
}

/* ---- data sets in memory ---- */

/* count x 3 numbers of all kinds of arrays, from an odd address on, are read as the network's type. */
static void test_arrays_of(cvg_type type, int classes, cvg_stored stored)
{
    enum { COUNT = 5, EACH = 3 };
    const size_t size = stored == CVG_STORED_U8 ? 1 : stored == CVG_STORED_F32 ? sizeof(float) : sizeof(double);
    const char *model = classes ? "input 3\nlinear 4\ncross_entropy\n" : "input 3\nlinear 3\nmse\n";
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    cvg_network *n;
    char memory[COUNT * EACH * sizeof(double) + 1], classed[COUNT * sizeof(int64_t) + 1];
    options.type = type;
    if (!check(cvg_network_create(&n, model, strlen(model), &options, NULL) == CVG_OK, "a network for arrays"))
        return;
    for (int i = 0; i < COUNT * EACH; i++) {
        const double value = stored == CVG_STORED_U8 ? 255 - i : 0.1 * i;
        const float single = (float)value;
        if (stored == CVG_STORED_U8)
            memory[1 + i] = (char)(unsigned char)value;
        else
            memcpy(memory + 1 + (size_t)i * size, size == sizeof single ? (const void *)&single : &value, size);
    }
    for (int i = 0; i < COUNT; i++)
        memcpy(classed + 1 + (size_t)i * sizeof(int64_t), &(int64_t){3 - i % 4}, sizeof(int64_t));
    const cvg_arrays arrays = {n, COUNT, memory + 1, classes ? classed + 1 : memory + 1, stored, stored};
    const cvg_samples samples = cvg_samples_array(&arrays);
    check(samples.count == COUNT, "%lld samples", (long long)samples.count);
    for (int s = 0; s < COUNT; s++) {
        double input[EACH], target[EACH]; /* room for either type */
        int64_t class;
        check(samples.read(samples.context, s, input, target) == 0, "sample %d", s);
        for (int i = 0; i < EACH; i++) {
            const double stored_value = stored == CVG_STORED_U8    ? 255 - (EACH * s + i)
                                        : stored == CVG_STORED_F32 ? (double)(float)(0.1 * (EACH * s + i))
                                                                   : 0.1 * (EACH * s + i);
            const double want = type == CVG_F32 ? (double)(float)stored_value : stored_value;
            const double got = type == CVG_F32 ? (double)((float *)input)[i] : input[i];
            check(got == want, "element %d of sample %d is %.17g, not %.17g", i, s, got, want);
            if (!classes)
                check(memcmp(input, target, EACH * (type == CVG_F32 ? sizeof(float) : sizeof(double))) == 0,
                      "target of sample %d", s);
        }
        memcpy(&class, target, sizeof class);
        check(!classes || class == 3 - s % 4, "class of sample %d", s);
    }
    double room[2 * EACH];
    check(samples.read(samples.context, COUNT, room, room + EACH) == 1, "a sample after the last one");
    check(samples.read(samples.context, -1, room, room + EACH) == 1, "a sample before the first one");
    check(samples.read(samples.context, 0, room, NULL) == 0, "a sample without its target");
    cvg_arrays wrong = arrays;
    wrong.input_stored = (cvg_stored)3;
    check(cvg_samples_array(&wrong).read(&wrong, 0, room, room + EACH) == 1, "stored in no way that is known");
    wrong = arrays;
    wrong.target = NULL;
    check(cvg_samples_array(&wrong).read(&wrong, 0, room, room + EACH) == 1, "no targets");
    check(cvg_samples_array(NULL).count == 0, "no arrays");
    cvg_network_destroy(n);
}

static void test_arrays(void)
{
    for (int type = CVG_F32; type <= CVG_F64; type++)
        for (int classes = 0; classes < 2; classes++)
            for (int stored = CVG_STORED_U8; stored <= CVG_STORED_F64; stored++)
                test_arrays_of((cvg_type)type, classes, (cvg_stored)stored);
}

/* ---- evaluation ---- */

static void test_evaluate(void)
{
    struct setting s = every_setting();
    cvg_loss first = {0};
    float *output = zeros(131, 16), *other = zeros(131, 16), *one = zeros(1, 4 * 144);
    for (int workers = 1; workers < 6; workers++) {
        s.workers = workers;
        struct training g = begin(&s);
        go_on(&g, STEPS);
        cvg_loss loss;
        const cvg_samples samples = samples_of(&g);
        const void *p = cvg_trainer_parameters(g.t, g.state);
        check(cvg_evaluate(g.t, p, &samples, &loss, workers == 1 ? output : other, g.workspace, NULL) == CVG_OK,
              "evaluate");
        if (workers == 1)
            first = loss;
        else
            check(loss.sum == first.sum && loss.hits == first.hits && memcmp(output, other, 131 * 16) == 0,
                  "%d workers: another evaluation", workers);
        check(loss.count == 131 && loss.hits > 33, "%lld of %lld", (long long)loss.hits, (long long)loss.count);
        float alone[4];
        int64_t target;
        read_drawn(&g.drawn, 77, one, &target);
        check(cvg_predict(g.n, p, one, 1, alone, g.workspace) == CVG_OK && memcmp(alone, output + 4 * 77, 16) == 0,
              "one sample is predicted otherwise than many");
        g.drawn.wrong = 100;
        cvg_error error;
        check(cvg_evaluate(g.t, p, &samples, &loss, NULL, g.workspace, &error) != CVG_OK &&
                  strcmp(error.text, "the target of sample 100 is 4; must be 0 to 3") == 0,
              "%s", error.text);
        end(&g);
    }
    free(output);
    free(other);
    free(one);
}

/* ---- mistakes ---- */

static void test_step_mistakes(void)
{
    struct setting s = every_setting();
    s.workers = 3;
    struct training g = begin(&s);
    void *before = zeros(1, g.size);
    cvg_error error;
    go_on(&g, 2);
    memcpy(before, g.state, g.size);
    cvg_samples samples = samples_of(&g);
    const uint32_t *order = (const uint32_t *)(void *)((char *)g.state + g.t->order_at);
    char want[200];
    g.drawn.broken = order[99];
    snprintf(want, sizeof want, "sample %d cannot be read", (int)order[99]);
    check(cvg_trainer_step(g.t, g.state, &samples, NULL, g.workspace, &error) == CVG_INVALID_ARGUMENT &&
              strcmp(error.text, want) == 0,
          "%s", error.text);
    g.drawn.broken = -1;
    g.drawn.wrong = order[130];
    snprintf(want, sizeof want, "the target of sample %d is 4; must be 0 to 3", (int)order[130]);
    check(cvg_trainer_step(g.t, g.state, &samples, NULL, g.workspace, &error) == CVG_INVALID_ARGUMENT &&
              strcmp(error.text, want) == 0,
          "%s", error.text);
    g.drawn.wrong = -1;
    samples.count--;
    check(cvg_trainer_step(g.t, g.state, &samples, NULL, g.workspace, &error) == CVG_INVALID_ARGUMENT &&
              strcmp(error.text, "samples.count is 130; the recipe's is 131") == 0,
          "%s", error.text);
    samples.count++;
    check(memcmp(before, g.state, g.size) == 0, "a step that failed changed the state");
    ((float *)cvg_trainer_parameters(g.t, g.state))[g.n->parameter[g.n->layer[3].parameter].offset] = INFINITY;
    check(cvg_trainer_step(g.t, g.state, &samples, NULL, g.workspace, &error) == CVG_INVALID_ARGUMENT &&
              strncmp(error.text, "loss is not finite in step 2: the output of layer 3 (conv) holds ", 65) == 0,
          "%s", error.text);
    memset(g.state, 0, 8);
    check(cvg_trainer_step(g.t, g.state, &samples, NULL, g.workspace, &error) == CVG_INVALID_ARGUMENT &&
              strcmp(error.text, "state is none of this trainer") == 0,
          "%s", error.text);
    free(before);
    end(&g);
}

static void test_recipe_mistakes(void)
{
    struct setting s = every_setting();
    struct training g = begin(&s);
    cvg_trainer *t;
    cvg_error error;
#define REFUSED(change, say)                                                            \
    do {                                                                                \
        cvg_recipe r = s.recipe;                                                        \
        int workers = 1;                                                                \
        change;                                                                         \
        check(cvg_trainer_create(&t, g.n, &r, workers, NULL, &error) != CVG_OK && !t && \
                  strncmp(error.text, say, strlen(say)) == 0,                           \
              "\"%s\" instead of \"%s\"", error.text, say);                             \
        (void)workers;                                                                  \
    } while (0)
    REFUSED(r.batch = 0, "batch is 0; must be 1 to");
    REFUSED(r.batch = 132, "batch is 132; there are 131 samples");
    REFUSED(r.samples = -3, "samples is -3; must be 1 to");
    REFUSED(r.epochs = 0, "epochs is 0; must be 1 to");
    REFUSED(r.learning_rate = NAN, "learning_rate is nan; must be");
    REFUSED(r.learning_rate = -1, "learning_rate is -1; must be");
    REFUSED(r.momentum = 1, "momentum is 1; must be at least 0 and less than 1");
    REFUSED((r.momentum = 0, r.nesterov = 1), "nesterov is 1 with momentum 0");
    REFUSED(r.optimizer = (cvg_optimizer)7, "optimizer is 7; must be 0 to 1");
    REFUSED(r.warmup = 31, "warmup is 31; there are 30 steps");
    REFUSED(r.crop = -1, "crop is -1; must be 0 to");
    REFUSED(r.struct_size = 3, "recipe.struct_size is 3; must be");
    REFUSED(workers = -1, "workers is -1; must be 0 to 4096");
    end(&g);
    s.model = "input 4\nlinear 4\nbatchnorm\ncross_entropy\n";
    s.recipe.flip = 0;
    s.recipe.crop = 0;
    s.recipe.batch = 65;
    g = begin(&(struct setting){.model = s.model,
                                .shard = 8,
                                .workers = 1,
                                .threads = 1,
                                .recipe = {sizeof(cvg_recipe), 4, 4, 1, 1, CVG_HE, CVG_SGD, 0.1, 0, 0, 0, 0, 1, 0,
                                           CVG_CONSTANT,       0, 1, 1, 0, 0,      0}});
    REFUSED((void)0, "the last batch of 1 has a shard of one sample, which leaves batchnorm in layer 1 one value");
    REFUSED(r.flip = 1, "flip is 1, but the model's input has no axes");
    end(&g);
}

/* With any argument float alone, for sanitizers: they take 30 times as long. */
int main(int argc, char **argv)
{
    (void)argv;
    test_tree();
    for (int type = CVG_F32; type <= (argc > 1 ? CVG_F32 : CVG_F64); type++) {
        test_bits((cvg_type)type, type == CVG_F32 ? CVG_SGD : CVG_ADAMW, CVG_CHANNELS_FIRST, kept_bits[type]);
        test_resume((cvg_type)type, type == CVG_F32 ? CVG_ADAMW : CVG_SGD);
    }
    test_bits(CVG_F32, CVG_SGD, CVG_CHANNELS_LAST, kept_last);
    test_pool(backwards);
    test_pool(at_once);
    test_augment();
    test_flush(CVG_SGD);
    test_flush(CVG_ADAMW);
    test_order();
    test_optimizers();
    for (int i = 0; i < GOLDEN_CASES; i++)
        test_golden(i);
    test_freeze();
    test_statistics();
    test_load();
    test_recipe_text();
    test_arrays();
    test_evaluate();
    test_step_mistakes();
    test_recipe_mistakes();
    return check_summary();
}
