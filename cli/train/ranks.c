/* What the ranks of a training share, must agree on, and cost. */
#include "ranks.h"

#include "training.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int ranks_lead(void)
{
    const cvg_group *g = ranks_group();
    return !g || g->rank == 0;
}

/* Pieces of all ranks, one behind the other. */
static void gather(void *buffer, size_t size, size_t of_others)
{
    const cvg_group *g = ranks_group();
    size_t *at = cli_alloc(2 * (size_t)g->size, sizeof *at), *sizes = at + g->size;
    for (int i = 0; i < g->size; i++) {
        at[i] = i == 0 ? 0 : size + (size_t)(i - 1) * of_others;
        sizes[i] = i == 0 ? size : of_others;
    }
    const int bad = g->allgatherv(g->context, buffer, at, sizes);
    if (bad)
        die(EXIT_WRONG, "the ranks cannot reach each other: error %d", bad);
    free(at);
}

void ranks_share(unsigned char **bytes, size_t *size)
{
    const cvg_group *g = ranks_group();
    if (!g)
        return;
    uint64_t *sizes = cli_alloc((size_t)g->size, sizeof *sizes);
    sizes[g->rank] = *size;
    gather(sizes, sizeof *sizes, sizeof *sizes);
    *size = (size_t)sizes[0];
    free(sizes);
    const size_t whole = (*size + 3) / 4 * 4;
    unsigned char *all = cli_alloc(whole + 1, 1);
    if (g->rank == 0)
        memcpy(all, *bytes, *size);
    gather(all, whole, 0);
    free(*bytes);
    *bytes = all;
}

/* ---- what must be equal ---- */

enum { FACTS = 8192 };

static uint64_t hash(const void *bytes, size_t size)
{
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
    return sum;
}

/* A line for each fact: what decides bits, and when all save. */
static void put_facts(const struct training *t, char *text)
{
    const struct settings *s = &t->settings;
    int length =
        snprintf(text, FACTS,
                 "version %s\nfused multiply-add %s\nmodel %016" PRIx64 "\ntype %s\nlayout %d\nshard %" PRId64
                 "\nerror growth %.17g\nfreeze \"%s\"\ndata %016" PRIx64 "\ntest data %016" PRIx64 "\n",
                 cvg_version(), t->facts.fuses ? "yes" : "no", hash(t->model, strlen(t->model)), type_name(s->type),
                 (int)s->layout, t->facts.shard, s->error_growth, s->freeze, s->data_print, s->test_print);
    length += (int)cvg_recipe_write(&t->recipe, text + length, FACTS - (size_t)length);
    snprintf(text + length, FACTS - (size_t)length,
             "--every %" PRId64 "\na folder: %s\nstep %" PRId64 "\nweights %016" PRIx64 "\n", s->every,
             t->folder ? "yes" : "no", cvg_trainer_steps_done(t->trainer, t->state),
             hash(cvg_trainer_parameters(t->trainer, t->state), (size_t)t->facts.parameters * type_size(s->type)));
}

void ranks_must_agree(const struct training *t)
{
    const cvg_group *g = ranks_group();
    if (!g)
        return;
    char *facts = cli_alloc((size_t)g->size, FACTS);
    put_facts(t, facts + (size_t)g->rank * FACTS);
    gather(facts, FACTS, FACTS);
    for (int rank = 1; rank < g->size; rank++) {
        const char *a = facts, *b = facts + (size_t)rank * FACTS;
        while (*a && strcspn(a, "\n") == strcspn(b, "\n") && !strncmp(a, b, strcspn(a, "\n"))) {
            a += strcspn(a, "\n") + 1;
            b += strcspn(b, "\n") + 1;
        }
        if (*a)
            die(EXIT_BAD_INPUT, "rank %d has %.*s; rank 0 has %.*s: ranks must not differ", rank, (int)strcspn(b, "\n"),
                b, (int)strcspn(a, "\n"), a);
    }
    free(facts);
}

/* ---- what it costs ---- */

/* Seconds of a full shard, of zeros: the better of two, after a first one. */
static double shard_time(const struct training *t)
{
    const cvg_network_facts *f = &t->facts;
    const size_t size = type_size(f->type), shard = (size_t)f->shard;
    void *input = cli_alloc(shard * (size_t)f->input_elements, size);
    void *target = cli_alloc(shard * (size_t)f->target_elements, sizeof(int64_t));
    void *gradient = cli_alloc((size_t)f->parameters, size);
    void *workspace = cli_alloc(cvg_network_workspace_size(t->network, CVG_TRAIN), 1);
    const cvg_shard given = {.count = f->shard, .batch = f->shard, .input = input, .target = target};
    double best = INFINITY;
    for (int i = 0; i < 3; i++) {
        cvg_loss loss;
        const double begin = seconds();
        cvg_loss_gradient(t->network, cvg_trainer_parameters(t->trainer, t->state), &given, gradient, &loss, workspace,
                          NULL);
        best = i > 0 && seconds() - begin < best ? seconds() - begin : best;
    }
    free(input);
    free(target);
    free(gradient);
    free(workspace);
    return best;
}

void ranks_print(const struct training *t)
{
    const cvg_group *g = ranks_group();
    cvg_traffic traffic = {.struct_size = sizeof traffic};
    if (!g)
        return;
    const double one = shard_time(t);
    cvg_trainer_get_traffic(t->trainer, &traffic);
    const double work = one * ceil((double)traffic.shards / t->workers);
    const double bits = 8 * (double)(traffic.sent > traffic.received ? traffic.sent : traffic.received);
    printf("%d ranks: a rank runs up to %" PRId64 " shards a step, %.2f ms each: %.2f ms; it sends up to %.3f MB and "
           "receives %.3f MB in %d calls\n"
           "a network of 1 Gbit/s takes %.2f ms for that, of 10 Gbit/s %.2f ms; of %.2f Gbit/s as long as the shards\n",
           g->size, traffic.shards, 1e3 * one, 1e3 * work, 1e-6 * (double)traffic.sent, 1e-6 * (double)traffic.received,
           traffic.calls, 1e-6 * bits, 1e-7 * bits, 1e-9 * bits / work);
}
