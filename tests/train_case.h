/* What tests of training share: a data set that is drawn, a network with every layer, and a training of it. */
#ifndef TESTS_TRAIN_CASE_H
#define TESTS_TRAIN_CASE_H

#include "../train/trainer.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>

static inline void *zeros(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        exit(2);
    return memory;
}

/* ---- a data set that is drawn ---- */

struct drawn {
    cvg_type type;
    int64_t elements, classes, broken, wrong; /* a sample that cannot be read, and one of no class */
};

static inline uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static inline int read_drawn(void *context, int64_t index, void *input, void *target)
{
    const struct drawn *d = context;
    const int64_t class = index % d->classes;
    if (index == d->broken)
        return 1;
    for (int64_t i = 0; i < d->elements; i++) {
        const double value = mix((uint32_t)(index * 7919 + i)) % 256 / 256.0 + (double)(i % 2 == 0 ? class : 0);
        if (d->type == CVG_F32)
            ((float *)input)[i] = (float)value;
        else
            ((double *)input)[i] = value;
    }
    *(int64_t *)target = index == d->wrong ? d->classes : class;
    return 0;
}

/* ---- one training, as settings ask ---- */

struct setting {
    const char *model, *isa, *freeze;
    cvg_type type;
    cvg_layout layout;
    int64_t shard;
    int workers, threads;
    cvg_recipe recipe;
    const cvg_group *group;
};

struct training {
    cvg_network *n;
    cvg_trainer *t;
    struct drawn drawn;
    cvg_samples samples;
    void *state, *workspace;
    size_t size;
};

static inline struct training begin(const struct setting *s)
{
    struct training g = {.drawn = {.type = s->type, .broken = -1, .wrong = -1}};
    cvg_network_options options = CVG_NETWORK_OPTIONS_INIT;
    cvg_error error;
    options.type = s->type;
    options.shard = s->shard;
    options.threads = s->threads;
    options.isa = s->isa;
    options.freeze = s->freeze;
    options.layout = s->layout;
    if (!check(cvg_network_create(&g.n, s->model, strlen(s->model), &options, &error) == CVG_OK, "%s", error.text) ||
        !check(cvg_trainer_create(&g.t, g.n, &s->recipe, s->workers, s->group, &error) == CVG_OK, "%s", error.text))
        exit(check_summary());
    cvg_network_facts facts = {.struct_size = sizeof facts};
    cvg_network_get_facts(g.n, &facts);
    g.drawn.elements = facts.input_elements;
    g.drawn.classes = facts.output_elements;
    g.size = cvg_trainer_state_size(g.t);
    g.state = zeros(1, g.size);
    g.workspace = zeros(1, cvg_trainer_workspace_size(g.t));
    check(cvg_trainer_start(g.t, NULL, g.state) == CVG_OK, "start");
    return g;
}

static inline cvg_samples samples_of(struct training *g)
{
    return (cvg_samples){g->t->recipe.samples, read_drawn, &g->drawn};
}

static inline double go_on(struct training *g, int steps)
{
    cvg_progress progress = {0};
    cvg_error error = {""};
    const cvg_samples samples = samples_of(g);
    for (int i = 0; i < steps; i++)
        if (!check(cvg_trainer_step(g->t, g->state, &samples, &progress, g->workspace, &error) == CVG_OK, "%s",
                   error.text))
            exit(check_summary());
    return progress.loss;
}

static inline void end(struct training *g)
{
    free(g->state);
    free(g->workspace);
    cvg_trainer_destroy(g->t);
    cvg_network_destroy(g->n);
}

static const char every_layer[] =
    "input 2x9x8 scale=0.5 mean=0.3,0.2 std=0.5\nconv 6 3x3 padding=1 bias=0\nbatchnorm\nshort = relu\n"
    "conv 6 3x3 padding=1 groups=2\nbatchnorm momentum=0.2\nadd short\nleaky_relu 0.1\nmaxpool 3 stride=2 padding=1\n"
    "conv_transpose 5 2x2 stride=2\nrelu6\navgpool 2x2\nconv 40 3x3 padding=1\nglobal_avgpool\nflatten\ndropout 0.25\n"
    "linear 130\nrelu\nlinear 4\ncross_entropy\n";

static inline struct setting every_setting(void)
{
    struct setting s = {.model = every_layer, .shard = 8, .workers = 1, .threads = 1, .recipe = CVG_RECIPE_INIT};
    s.recipe.samples = 131; /* batches of 45, 45, 41: 6 shards each, the last ones smaller */
    s.recipe.batch = 45;
    s.recipe.learning_rate = 0.03;
    s.recipe.weight_decay = 0.001;
    s.recipe.schedule = CVG_COSINE;
    s.recipe.warmup = 4;
    s.recipe.clip = 2;
    s.recipe.flip = 1;
    s.recipe.crop = 2;
    return s;
}

enum { STEPS = 30 };

/* What 30 steps leave on every machine with fused multiply-add, whatever compiled it: FNV-1a of the state. */
static const uint64_t kept_bits[] = {0x656ab3a5d1826569, 0x3829afbfc86e6579}, kept_last = 0x434fefc71cd00a4b;

static inline uint64_t hash_of(const void *memory, size_t size)
{
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const unsigned char *)memory)[i]) * 0x100000001b3;
    return sum;
}

#endif
