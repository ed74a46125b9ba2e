/*
 * Many ranks: here each is a thread, and bytes move through memory.  The same states as alone, to the bit, for every
 * number of ranks, workers, and each instruction set; evaluation; what is wrong on one rank is known to all; a
 * transport that fails changes nothing.
 */
#include "train_case.h"

#include <math.h>
#include <pthread.h>

enum { MOST = 8 };

/* ---- the transport ---- */

struct barrier {
    pthread_mutex_t lock;
    pthread_cond_t open;
    int size, waiting, round;
};

static void wait_for_all(struct barrier *b)
{
    pthread_mutex_lock(&b->lock);
    const int round = b->round;
    if (++b->waiting == b->size) {
        b->waiting = 0;
        b->round++;
        pthread_cond_broadcast(&b->open);
    }
    while (round == b->round)
        pthread_cond_wait(&b->open, &b->lock);
    pthread_mutex_unlock(&b->lock);
}

struct shared {
    struct barrier barrier;
    const char *from[MOST]; /* what each rank's call has */
    const size_t *at[MOST], *size[MOST];
};

struct rank {
    cvg_group group;
    struct shared *shared;
    struct training training;
    int calls, fails;           /* done; the number of the call that fails, on all ranks; -1: none */
    int64_t sent, received;     /* bytes to and from others */
    int odd, signal, evaluates; /* sizes that are no multiple of 4; what is asked; what the thread does */
    int64_t steps;
    cvg_status status;
    cvg_error error;
    cvg_progress progress;
    cvg_loss loss;
    float *output;
};

static void publish(struct rank *r, const void *from, const size_t *at, const size_t *size)
{
    struct shared *s = r->shared;
    s->from[r->group.rank] = from;
    s->at[r->group.rank] = at;
    s->size[r->group.rank] = size;
    wait_for_all(&s->barrier);
}

static int move_alltoallv(void *context, const void *send, const size_t *send_at, const size_t *send_size,
                          void *receive, const size_t *receive_at, const size_t *receive_size)
{
    struct rank *r = context;
    struct shared *s = r->shared;
    const int me = r->group.rank;
    publish(r, send, send_at, send_size);
    const int fails = r->calls++ == r->fails;
    for (int i = 0; i < r->group.size; i++) {
        const size_t size = s->size[i][me];
        r->odd |= size != receive_size[i] || size % 4 || receive_at[i] % 4;
        if (fails)
            memset((char *)receive + receive_at[i], 0xff, size);
        else
            memcpy((char *)receive + receive_at[i], s->from[i] + s->at[i][me], size);
        r->received += i == me ? 0 : (int64_t)size;
        r->sent += i == me ? 0 : (int64_t)send_size[i];
    }
    wait_for_all(&s->barrier);
    return fails ? 7 : 0;
}

static int move_allgatherv(void *context, void *buffer, const size_t *at, const size_t *size)
{
    struct rank *r = context;
    struct shared *s = r->shared;
    publish(r, buffer, at, size);
    const int fails = r->calls++ == r->fails;
    for (int i = 0; i < r->group.size; i++) {
        r->odd |= s->size[i][i] != size[i] || size[i] % 4 || at[i] % 4;
        if (i == r->group.rank)
            continue;
        if (fails)
            memset((char *)buffer + at[i], 0xff, size[i]);
        else
            memcpy((char *)buffer + at[i], s->from[i] + s->at[i][i], size[i]);
        r->received += (int64_t)size[i];
        r->sent += (int64_t)size[i]; /* on a ring each rank passes on what it received */
    }
    wait_for_all(&s->barrier);
    return fails ? 9 : 0;
}

static int ask(void *context)
{
    const struct rank *r = context;
    return r->signal;
}

/* ---- ranks ---- */

struct team {
    struct shared shared;
    struct rank rank[MOST];
    int size;
};

static void team_begin(struct team *t, struct setting s, int size)
{
    *t = (struct team){.size = size};
    t->shared.barrier = (struct barrier){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, size, 0, 0};
    for (int i = 0; i < size; i++) {
        struct rank *r = &t->rank[i];
        r->group = (cvg_group)CVG_GROUP_INIT;
        r->group.rank = i;
        r->group.size = size;
        r->group.alltoallv = move_alltoallv;
        r->group.allgatherv = move_allgatherv;
        r->group.asked = ask;
        r->group.context = r;
        r->shared = &t->shared;
        r->fails = -1;
        s.group = &r->group;
        r->training = begin(&s);
    }
}

static void *run_rank(void *given)
{
    struct rank *r = given;
    struct training *g = &r->training;
    const cvg_samples samples = samples_of(g);
    r->status = CVG_OK;
    r->error.text[0] = 0;
    if (r->evaluates)
        r->status = cvg_evaluate(g->t, cvg_trainer_parameters(g->t, g->state), &samples, &r->loss, r->output,
                                 g->workspace, &r->error);
    for (int64_t i = 0; i < r->steps && !r->status; i++)
        r->status = cvg_trainer_step(g->t, g->state, &samples, &r->progress, g->workspace, &r->error);
    if (r->steps == 0 && !r->evaluates)
        r->status = cvg_trainer_gather(g->t, g->state, g->workspace, &r->error);
    return NULL;
}

/* Steps on all ranks at once; 0: gathers the moments. */
static void team_run(struct team *t, int64_t steps)
{
    pthread_t thread[MOST];
    for (int i = 0; i < t->size; i++) {
        t->rank[i].steps = steps;
        if (pthread_create(&thread[i], NULL, run_rank, &t->rank[i]))
            exit(2);
    }
    for (int i = 0; i < t->size; i++)
        pthread_join(thread[i], NULL);
}

/* The same, which must go well. */
static void team_go(struct team *t, int64_t steps)
{
    team_run(t, steps);
    for (int i = 0; i < t->size; i++)
        check(t->rank[i].status == CVG_OK, "rank %d of %d: %s", i, t->size, t->rank[i].error.text);
}

static void team_end(struct team *t)
{
    for (int i = 0; i < t->size; i++) {
        check(!t->rank[i].odd, "rank %d of %d: sizes that do not fit", i, t->size);
        end(&t->rank[i].training);
    }
}

/* All ranks failed, with that sentence. */
static void team_says(const struct team *t, const char *say)
{
    for (int i = 0; i < t->size; i++)
        check(t->rank[i].status == CVG_INVALID_ARGUMENT && strncmp(t->rank[i].error.text, say, strlen(say)) == 0,
              "rank %d of %d says \"%s\" instead of \"%s\"", i, t->size, t->rank[i].error.text, say);
}

static int state_is(const struct team *t, const void *state)
{
    for (int i = 0; i < t->size; i++)
        if (memcmp(t->rank[i].training.state, state, t->rank[i].training.size) != 0)
            return 0;
    return 1;
}

/* ---- tests ---- */

static struct setting setting_of(cvg_type type, cvg_optimizer optimizer, cvg_layout layout)
{
    struct setting s = every_setting();
    s.type = type;
    s.recipe.optimizer = optimizer;
    s.layout = layout;
    return s;
}

/* Thirty steps leave the kept bits: batches of 45, 45, 41 samples are 6 shards, so that of 7 ranks one is idle. */
static void test_bits(struct setting s, uint64_t kept, int quick)
{
    static const int ranks[] = {1, 2, 3, 4, 7};
    for (int i = 0; i < 5; i++)
        for (int workers = 1; workers < (quick ? 2 : 4); workers += 2) {
            struct team t;
            s.workers = workers;
            team_begin(&t, s, ranks[i]);
            team_go(&t, STEPS);
            team_go(&t, 0);
            const struct training *first = &t.rank[0].training;
            check(!first->n->fuses || hash_of(first->state, first->size) == kept,
                  "other bits with %d ranks of %d workers", ranks[i], workers);
            check(state_is(&t, first->state), "%d ranks have different states", ranks[i]);
            team_end(&t);
        }
}

static void test_sets(void)
{
    struct setting s = every_setting();
    for (int i = 0; (s.isa = cvg_isa_name(i)); i++) {
        struct team t;
        team_begin(&t, s, 2 + i % 3);
        if (t.rank[0].training.n->fuses) {
            team_go(&t, STEPS);
            team_go(&t, 0);
            check(hash_of(t.rank[1].training.state, t.rank[1].training.size) == kept_bits[0], "other bits with %s",
                  s.isa);
        }
        team_end(&t);
    }
}

/* Two numbers that alone and with ranks are the same: the loss of each step, and the norm. */
static void test_progress(void)
{
    struct setting s = every_setting();
    struct training alone = begin(&s);
    const cvg_samples samples = samples_of(&alone);
    struct team t;
    team_begin(&t, s, 3);
    for (int step = 0; step < 4; step++) {
        cvg_progress want;
        check(cvg_trainer_step(alone.t, alone.state, &samples, &want, alone.workspace, NULL) == CVG_OK, "alone");
        t.rank[1].signal = step == 2 ? 15 : 0;
        team_go(&t, 1);
        want.asked = t.rank[1].signal;
        for (int i = 0; i < 3; i++) {
            const cvg_progress *p = &t.rank[i].progress;
            check(p->step == want.step && p->epoch == want.epoch && p->count == want.count && p->hits == want.hits &&
                      p->loss == want.loss && p->learning_rate == want.learning_rate &&
                      p->gradient_norm == want.gradient_norm && p->asked == want.asked,
                  "rank %d has other progress in step %d", i, step);
        }
    }
    team_end(&t);
    end(&alone);
}

static void test_evaluate(void)
{
    struct setting s = every_setting();
    struct training alone = begin(&s);
    const cvg_samples samples = samples_of(&alone);
    cvg_loss want;
    float *output = zeros(131, 16), *other = zeros(MOST * 131, 16);
    s.workers = 2;
    check(cvg_evaluate(alone.t, cvg_trainer_parameters(alone.t, alone.state), &samples, &want, output, alone.workspace,
                       NULL) == CVG_OK,
          "alone");
    for (int ranks = 1; ranks <= MOST; ranks++) {
        struct team t;
        team_begin(&t, s, ranks);
        for (int i = 0; i < ranks; i++) {
            t.rank[i].evaluates = 1;
            t.rank[i].output = ranks % 2 ? other + (size_t)i * 131 * 4 : NULL;
        }
        team_go(&t, 0);
        for (int i = 0; i < ranks; i++) {
            const cvg_loss *l = &t.rank[i].loss;
            check(l->sum == want.sum && l->hits == want.hits && l->count == 131, "rank %d of %d: another loss", i,
                  ranks);
            check(!t.rank[i].output || memcmp(t.rank[i].output, output, 131 * 16) == 0, "rank %d: another output", i);
        }
        for (int i = 0; i < ranks; i++)
            t.rank[i].training.drawn.wrong = 100;
        team_run(&t, 0);
        team_says(&t, "the target of sample 100 is 4; must be 0 to 3");
        team_end(&t);
    }
    free(output);
    free(other);
    end(&alone);
}

/* Each call of a step fails once: the state is as it was, and the training goes on as if nothing had been. */
static void test_failures(cvg_optimizer optimizer)
{
    struct setting s = setting_of(CVG_F32, optimizer, CVG_CHANNELS_FIRST);
    struct training alone = begin(&s);
    struct team t;
    team_begin(&t, s, 4);
    const int before = t.rank[0].calls;
    team_go(&t, 1);
    const int calls = t.rank[0].calls - before;
    void *kept = zeros(4, t.rank[0].training.size);
    for (int call = 0; call < calls; call++) {
        for (int i = 0; i < 4; i++) {
            struct rank *r = &t.rank[i];
            memcpy((char *)kept + (size_t)i * r->training.size, r->training.state, r->training.size);
            r->fails = r->calls + call;
        }
        team_run(&t, 1);
        team_says(&t, call > 0 && call < calls - 2 ? "the group's alltoallv failed: it returned 7"
                                                   : "the group's allgatherv failed: it returned 9");
        for (int i = 0; i < 4; i++) {
            const struct rank *r = &t.rank[i];
            check(memcmp((char *)kept + (size_t)i * r->training.size, r->training.state, r->training.size) == 0,
                  "call %d of a step failed, and changed the state of rank %d", call, i);
        }
    }
    for (int i = 0; i < 4; i++)
        t.rank[i].fails = -1;
    team_go(&t, 6);
    for (int i = 0; i < 4; i++)
        t.rank[i].fails = t.rank[i].calls + 1;
    team_run(&t, 0);
    team_says(&t, "the group's allgatherv failed");
    for (int i = 0; i < 4; i++)
        t.rank[i].fails = -1;
    team_go(&t, 0);
    go_on(&alone, 7);
    check(state_is(&t, alone.state), "other bits after failures");
    free(kept);
    team_end(&t);
    end(&alone);
}

static int read_huge(void *context, int64_t index, void *input, void *target)
{
    (void)context;
    (void)index;
    for (int i = 0; i < 3; i++)
        ((float *)input)[i] = 1e25f;
    for (int i = 0; i < 2000; i++)
        ((float *)target)[i] = 0;
    return 0;
}

static void *run_huge(void *given)
{
    struct rank *r = given;
    const cvg_samples samples = {8, read_huge, NULL};
    r->status = cvg_trainer_step(r->training.t, r->training.state, &samples, NULL, r->training.workspace, &r->error);
    return NULL;
}

/* A parameter of two slices whose gradient is not finite. */
static void test_gradient(void)
{
    struct setting s = {.model = "input 3\nlinear 2000\nmse\n", .shard = 2, .workers = 1, .threads = 1};
    s.recipe = (cvg_recipe)CVG_RECIPE_INIT;
    s.recipe.samples = s.recipe.batch = 8;
    cvg_error want[2];
    for (int ranks = 1; ranks <= 2; ranks++) {
        struct team t;
        pthread_t thread[2];
        team_begin(&t, s, ranks);
        for (int i = 0; i < ranks; i++)
            if (pthread_create(&thread[i], NULL, run_huge, &t.rank[i]))
                exit(2);
        for (int i = 0; i < ranks; i++)
            pthread_join(thread[i], NULL);
        want[ranks - 1] = t.rank[0].error;
        team_says(&t, "the gradient is not finite in step 0: that of 0.weight holds ");
        team_end(&t);
    }
    check(strcmp(want[0].text, want[1].text) == 0, "\"%s\"; alone \"%s\"", want[1].text, want[0].text);
}

/* What is wrong on one rank, or differs between ranks, ends the call on all. */
static void test_mistakes(void)
{
    struct setting s = every_setting();
    struct team t;
    team_begin(&t, s, 3);
    team_go(&t, 1);
    struct training *g = &t.rank[0].training, *other = &t.rank[2].training;
    const uint32_t *order = (const uint32_t *)(void *)((char *)g->state + g->t->order_at);
    char want[200];
    other->drawn.broken = order[89]; /* the last one of this batch: on the last rank alone */
    snprintf(want, sizeof want, "sample %d cannot be read", (int)order[89]);
    team_run(&t, 1);
    team_says(&t, want);
    other->drawn.broken = -1;

    void *state = zeros(1, g->size);
    memcpy(state, other->state, g->size);
    ((struct cvt_state *)other->state)->step = 0;
    team_run(&t, 1);
    check(strcmp(t.rank[0].error.text, "rank 2 is in another step or call than rank 0") == 0, "%s",
          t.rank[0].error.text);
    check(strcmp(t.rank[2].error.text, "rank 0 is in another step or call than rank 2") == 0, "%s",
          t.rank[2].error.text);
    memset(other->state, 0, sizeof(uint64_t));
    team_run(&t, 1);
    check(strcmp(t.rank[1].error.text, "rank 2 refused the call, for a reason of its own") == 0, "%s",
          t.rank[1].error.text);
    check(strcmp(t.rank[2].error.text, "state is none of this trainer") == 0, "%s", t.rank[2].error.text);
    memcpy(other->state, state, g->size);
    other->t->mark++;
    ((struct cvt_state *)other->state)->mark++;
    team_run(&t, 1);
    check(strcmp(t.rank[1].error.text, "rank 2 has another model or recipe than rank 1") == 0, "%s",
          t.rank[1].error.text);
    other->t->mark--;
    ((struct cvt_state *)other->state)->mark--;
    ((float *)cvg_trainer_parameters(g->t, g->state))[g->n->parameter[g->n->layer[3].parameter].offset] = INFINITY;
    team_run(&t, 1);
    team_says(&t, "loss is not finite in step 1: the output of layer 3 (conv) holds ");
    free(state);
    team_end(&t);
}

static int put(void *context, const void *bytes, size_t size)
{
    (void)context;
    (void)bytes;
    (void)size;
    return 0;
}

static void test_groups(void)
{
    struct setting s = every_setting();
    struct team t;
    cvg_trainer *trainer;
    cvg_error error = {""};
    team_begin(&t, s, 2);
    team_go(&t, 2);
    struct training *g = &t.rank[0].training;
    check(cvg_trainer_save(g->t, g->state, NULL, 0, put, NULL, &error) == CVG_INVALID_ARGUMENT &&
              strcmp(error.text,
                     "the state has the moments of its own slice alone; all ranks must call cvg_trainer_gather()") == 0,
          "%s", error.text);
    team_go(&t, 0);
    check(cvg_trainer_save(g->t, g->state, NULL, 0, put, NULL, &error) == CVG_OK, "%s", error.text);
#define REFUSED(change, say)                                                                            \
    do {                                                                                                \
        cvg_group group = t.rank[1].group;                                                              \
        change;                                                                                         \
        check(cvg_trainer_create(&trainer, g->n, &s.recipe, 1, &group, &error) != CVG_OK && !trainer && \
                  strncmp(error.text, say, strlen(say)) == 0,                                           \
              "\"%s\" instead of \"%s\"", error.text, say);                                             \
    } while (0)
    REFUSED(group.size = 0, "group.size is 0; must be 1 to 65536");
    REFUSED(group.rank = 2, "group.rank is 2; must be 0 to 1");
    REFUSED(group.rank = -1, "group.rank is -1; must be 0 to 1");
    REFUSED(group.alltoallv = NULL, "group.alltoallv is NULL");
    REFUSED(group.allgatherv = NULL, "group.allgatherv is NULL");
    REFUSED(group.struct_size = 8, "group.struct_size is 8; must be");
    team_end(&t);
}

/* What cvg_traffic foretells is what moves, besides words and norms. */
static void test_traffic(void)
{
    struct setting s = every_setting();
    for (int ranks = 1; ranks < 8; ranks++) {
        struct team t;
        cvg_traffic traffic = {.struct_size = sizeof traffic};
        int64_t sent = 0, received = 0;
        int calls = 0;
        team_begin(&t, s, ranks);
        team_go(&t, 1);
        for (int i = 0; i < ranks; i++) {
            const struct rank *r = &t.rank[i];
            sent = r->sent > sent ? r->sent : sent;
            received = r->received > received ? r->received : received;
            calls = r->calls;
        }
        check(cvg_trainer_get_traffic(t.rank[0].training.t, &traffic) == CVG_OK, "traffic");
        const int64_t words = ranks * (int64_t)(sizeof(struct cvt_word) + 4 * sizeof(struct cvt_sum) + 3 * 8);
        check(calls == traffic.calls && traffic.shards == (6 + ranks - 1) / ranks, "%d ranks: %d calls, foretold %d",
              ranks, calls, traffic.calls);
        check(traffic.sent <= sent && sent <= traffic.sent + words && traffic.received <= received &&
                  received <= traffic.received + words,
              "%d ranks: %lld and %lld bytes, foretold %lld and %lld", ranks, (long long)sent, (long long)received,
              (long long)traffic.sent, (long long)traffic.received);
        team_end(&t);
    }
}

/* With any argument less, for sanitizers: they take 30 times as long. */
int main(int argc, char **argv)
{
    (void)argv;
    test_bits(setting_of(CVG_F32, CVG_SGD, CVG_CHANNELS_FIRST), kept_bits[0], argc > 1);
    test_bits(setting_of(CVG_F64, CVG_ADAMW, CVG_CHANNELS_FIRST), kept_bits[1], argc > 1);
    if (argc == 1)
        test_bits(setting_of(CVG_F32, CVG_SGD, CVG_CHANNELS_LAST), kept_last, 1);
    test_sets();
    test_progress();
    test_evaluate();
    test_failures(CVG_SGD);
    test_failures(CVG_ADAMW);
    test_gradient();
    test_mistakes();
    test_groups();
    test_traffic();
    return check_summary();
}
