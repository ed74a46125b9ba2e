/*
 * Every algorithm, pass, type, instruction set and thread count against the oracle, and
 * with the same bits wherever multiply-add is fused: exactly on small integers, within a
 * derived bound on real numbers.  Results start as NaN, the workspace, too; every buffer
 * is a heap block of its exact size (which AddressSanitizer watches) behind a guard zone, off
 * by one element.
 */
#include "check.h"
#include "cli.h"
#include "cpu.h"
#include "geometry.h"
#include "oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Each case exists for a reason; the reason is part of the table.  Each has another layout drawn, too; "last:" has
 * channels last first, in PyTorch's weight layout.
 */
static const struct {
    const char *problem, *why;
} cases[] = {
    {"mb1ic1ih1iw1oc1kh1kw1ph0pw0", "the smallest problem there is"},
    {"mb2ic3ih5iw7oc4kh3kw2ph2pw1", "every extent differs: swapped indices show"},
    {"mb1ic1ih5iw5oc1kh3kw3ph1pw1", "ones by ones is 4 6 9: row padding, which one library gets wrong"},
    {"mb1ic2ih8iw8oc2kh3kw3sh3sw3ph0pw0", "stride skips inputs: their grad_input is 0"},
    {"mb1ic2ih9iw9oc2kh3kw3dh1dw1ph2pw2", "dilation 2 (benchdnn counts from 0)"},
    {"mb1ic2ih4iw4oc2kh3kw3ph5pw5", "some outputs see only padding: bias alone"},
    {"g2mb1ic4ih6iw6oc6kh3kw3ph1pw1", "groups, with K/G unlike C/G"},
    {"g8mb1ic8ih9iw9oc8kh3kw3ph1pw1", "depthwise"},
    {"g3mb2ic3ih7iw5oc12kh3kw3sh2sw2ph1pw1", "depthwise with multiplier and stride"},
    {"mb3ic17ih13iw11oc33kh3kw3ph1pw1", "a multiple of no tile, vector or thread count"},
    {"mb2ic2ih32iw32oc2kh5kw5sh3sw3ph1pw1", "stride 3, padding 1 and a leftover border"},
    {"mb2ic24ih50iw50oc24kh1kw1ph0pw0", "regions of the sum that its parts do not divide, in either layout"},
    {"mb1ic2ih5iw5oc3kh1kw1sh3sw3ph1pw1", "1x1 filter with padding: outputs of padding alone"},
    {"mb1ic1ih3iw3oc1kh7kw7ph3pw3", "filter larger than the image"},
    {"mb2ic3ih6iw6oc2kh6kw6ph0pw0", "filter as large as the image: one output"},
    {"mb1ic2ih9iw12oc3kh2kw3sh5sw4ph0pw1", "stride larger than the filter"},
    {"mb1ic2ih14iw11oc3kh3kw3sh2sw3dh1dw2ph3pw2", "stride and dilation, with and without common factors"},
    {"mb1ic2ih13iw13oc2kh4kw4sh4sw6dh1dw3ph2pw5", "stride 4 with dilation 2: taps on half the phases"},
    {"mb1ic1ih4iw600oc2kh1kw3ph0pw1", "a row longer than one piece of work"},
    {"mb1ic1ih2iw40oc1kh1kw3dw15ph0pw16", "dilation far beyond the filter"},
    {"mb1ic1ih3iw3oc2kh2kw2sh100sw100ph60pw60", "stride and padding far beyond the image"},
    {"mb2ic5ih4oh4iw4ow4oc3kh2kw2ph0pw0", "padding at the end only"},
    {"mb1ic300ih3iw3oc5kh1kw1ph0pw0", "many input channels"},
    {"mb1ic5ih3iw3oc300kh1kw1ph0pw0", "many output channels"},
    {"mb1ic70ih6iw6oc70kh3kw3ph1pw1", "more than one block of channels, both ways"},
    {"mb1ic2ih20iw20oc3kh17kw17ph8pw8", "a filter of more taps than one block"},
    {"mb9ic2ih10iw10oc3kh3kw3ph1pw1", "batch shared out unevenly"},
    {"mb13ic20ih7iw7oc40kh3kw3ph1pw1", "several images in one region, two widths of panels"},
    {"mb2ic9ih20iw70oc24kh3kw3ph1pw1", "rows of several regions, borders as classes of their own"},
    {"mb2ic20ih12iw12oc12kh5kw5ph0pw0", "grad_input all border: a padded window"},
    {"mb2ic130ih9iw9oc65kh1kw1sh2sw2ph0pw0", "1x1 with stride: read in place"},
    {"mb2ic16ih18iw18oc16kh3kw3sh2sw2ph1pw1", "stride phases with channels as lanes"},
    {"g4mb3ic16ih11iw37oc16kh3kw3ph1pw1", "four channels a group: dot products"},
    {"g20mb2ic20ih9iw33oc60kh3kw3sh2sw2ph1pw1", "depthwise, multiplier 3, rows of several vectors"},
    {"mb2ic2ih9iw20oc3kh3kw3dh1dw2ph2pw3", "dot products of dilated rows"},
    {"g24mb2ic24ih14oc24kh3sh2ph0", "depthwise, small planes whose last row and column are not read"},
    {"mb2ic6ih4iw130oc20kh1", "one tap, rows of more than a region"},
    {"mb7ic2ih70iw75oc2kh3kw3ph1pw1", "dot products of images in several pieces, and in parts that are added up"},
    {"mb3ic40ih13iw11oc30kh1kw1ph0pw0", "dense 1x1: pixels left over"},
    {"g2mb2ic6ih20iw20oc34kh1kw1ph0pw0", "dense 1x1: groups, several blocks of pixels"},
    {"mb1ic400ih10iw10oc7kh1kw1ph0pw0", "dense 1x1: more than one block of source channels"},
    {"mb2ic20ih29iw31oc14kh1kw1sh2sw3ph0pw0", "dense 1x1 with stride: rows of pixels across panels"},
    {"g2mb1ic6id5ih25iw22oc8kd1kh1kw1sd2sh2sw2pd0ph0pw0", "the same in three dimensions"},
    {"mb2ic20ih20iw11oc14kh1kw1sh1sw1ph0pw0oh21ow13", "1x1 with padding at the end"},
    {"mb2ic3ih50iw41oc8kh7kw9sh7sw9ph0pw0", "stride as large as the filter: a phase for every tap"},
    {"mb2ic9ih40iw41oc10kh5kw6sh15sw10dh3dw6ph9pw4", "stride and dilation with common factors"},
    {"mb2ic3ih20iw20oc50kh3kw3ph1pw1", "short sums: pixels with a packed weight"},
    {"mb2ic3ih9iw40oc20kh3kw3ph1pw1", "short sums of whole tiles, which grow in the result"},
    {"g2mb2ic8ih6iw64oc10kh3kw3ph1pw1", "the same by a weight in place, and in grad_input"},
    {"mb2ic4id3ih4iw32oc8kd2kh3kw3pd1ph1pw1", "the same in three dimensions"},
    {"mb2ic10ih17iw23oc20kh3kw3ph1pw1", "Winograd: tiles left over, several runs of one group"},
    {"mb1ic140ih3iw4oc160kh3kw3ph1pw1", "Winograd: several blocks of channels, a weight that is not shared"},
    {"g2mb1ic6iw160ih3oc36kh3kw3ph1pw2", "Winograd: groups, more columns of tiles than one run has"},
    {"mb2ic5ih12iw30oc9kh5kw2ph3pw1", "Winograd: two filter sizes, padding past the filter's half"},
    {"mb2ic6ih20iw14oc5kh7kw1ph3pw0", "Winograd along rows alone"},
    {"mb2ic6ih9iw40oc5kh1kw4ph1pw5", "Winograd along columns alone, padding past the filter"},
    {"mb2ic3iw200oc20kw7pw3", "Winograd: rank 1"},
    {"mb2ic20ih15iw18oc10kh7kw7ph3pw3", "Winograd: filters split in four"},
    {"g2mb1ic6ih10iw16oc40kh9kw4ph4pw1", "Winograd: filters split along one axis, groups"},
    {"mb2ic3id1od1ih5iw9oc4kd1kh3kw3sd11sh1sw1pd1ph1pw1", "a plane that reads nothing but padding"},
    {"mb2ic5iw70oc7kw13pw14", "Winograd: sub-filters with a rest, padding past the filter"},
    {"mb3ic5id4ih9iw7oc18kd3kh3kw3pd1ph1pw1", "Winograd: planes, small ones of several images in one group"},
    {"mb1ic20id3ih40iw38oc9kd2kh3kw5pd1ph1pw2", "Winograd: planes of many tiles, some in one group with the next"},
    {"mb2ic19id1ih6iw7oc5kd3kh3kw3pd1ph1pw1", "Winograd: taps along planes that all read padding"},
    {"g2mb3ic6id5ih6iw8oc10kd3kh3kw9dd2dh0dw0pd7ph1pw4",
     "Winograd: planes with gaps, of nothing but padding, too; split filters"},
    {"mb1ic110id2ih6iw5oc20kd3kh3kw3pd1ph1pw1", "Winograd: planes that read none of the first block of terms"},
    {"mb2ic40id3ih12iw9oc33kd1kh3kw3pd0ph1pw1", "Winograd: planes without a filter of their own"},
    {"mb0ic3ih5iw5oc4kh3kw3ph1pw1", "batch 0: zero gradients"},
    {"mb0ic16oc16g16ih14iw14kh3kw3ph1pw1", "batch 0: no planes to share among jobs"},
    {"mb2ic3iw17oc4kw3sw2dw1pw2", "rank 1"},
    {"mb2ic2iw1500oc3kw9pw4", "rank 1, long"},
    {"mb2ic40ih1iw1oc600kh1kw1ph0pw0", "a dense layer: a weight that is not packed, more than one block of its rows"},
    {"last:mb4ic256ih4iw9oc256kh1kw1ph0pw0", "grad_weight of rows and lanes that meet in the cache, several regions"},
    {"last:mb1ic32ih41iw112oc64kh1kw1ph0pw0", "grad_weight from memory, rows in two parts, one by one"},
    {"last:mb1ic34ih57iw67oc34kh3kw2ph1pw1", "the same with taps that meet padding"},
    {"mb3ic1ih97iw61oc2kh3ph1", "few channels: the last region of a job is shorter"},
    {"last:mb3ic1ih97iw61oc2kh3ph1", "the same, channels last"},
    {"mb2ic20ih31iw33oc14kh1kw1sh3sw3ph0pw0", "dense 1x1 with stride 3: sums spread among zeros"},
    {"g16mb3ic16ih7iw6oc16kh3kw3ph1pw1", "depthwise on small planes, turned"},
    {"g70mb2ic70ih9iw21oc70kh3kw3sh2sw2ph1pw1", "the same with stride, several blocks of channels"},
    {"last:g256mb2ic256ih11iw20oc256kh3kw3ph1pw1", "depthwise, columns that meet in the cache"},
    {"last:g256mb1ic256ih13iw21oc256kh3kw3sh2sw2ph1pw1", "the same with stride"},
    {"mb2ic2id4ih5iw11oc3kd2kh3kw3pd1ph1pw1", "dot products of several planes"},
    {"mb3ic3ih9iw8oc9kh3kw3ph1pw1", "few channels of several images in one region"},
    {"g2mb2ic4id4ih5iw6oc6kd2kh3kw2sd1sh2sw1pd1ph1pw0", "rank 3 with groups"},
    {"mb1ic2id6ih5iw4oc2kd3kh2kw3sd2sh1sw3dd1dh0dw0pd3ph1pw2", "rank 3, every parameter at once"},
};

enum tensor { INPUT, WEIGHT, BIAS, GRAD_OUTPUT, OUTPUT, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS, TENSORS };
static const char *const names[TENSORS] = {"input",  "weight",     "bias",        "grad_output",
                                           "output", "grad_input", "grad_weight", "grad_bias"};

enum { GUARD = 64 };

/* A heap block of exactly GUARD + one element + bytes; data begins off by one element. */
struct buffer {
    unsigned char *block;
    struct array view;
    size_t bytes, front;
};

static struct buffer buffer_new(cvg_type type, int64_t count)
{
    const size_t size = type == CVG_F32 ? 4 : 8;
    struct buffer b = {.bytes = (size_t)count * size, .front = GUARD + size};
    b.block = malloc(b.front + b.bytes);
    if (!b.block)
        exit(1);
    memset(b.block, 0x5a, b.front + b.bytes);
    b.view = (struct array){.type = type, .count = count, .data = b.block + b.front};
    return b;
}

static int guard_intact(const struct buffer *b)
{
    for (size_t i = 0; i < b->front; i++)
        if (b->block[i] != 0x5a)
            return 0;
    return 1;
}

/* Workspace of exactly the promised size, poisoned; NULL if that is 0. */
static void *workspace_new(const cvg_plan *plan, cvg_pass pass)
{
    const size_t bytes = cvg_plan_workspace_size(plan, pass);
    void *space = bytes ? malloc(bytes) : NULL;
    if (space)
        memset(space, 0xff, bytes);
    return space;
}

struct test {
    const char *problem;
    cvg_conv conv;
    struct geometry g;
    struct sizes z;
    int64_t count[TENSORS];
    double terms[TENSORS];
    double *value[TENSORS], *sum[TENSORS]; /* operands and the oracle's results; sums of |terms| */
};

static struct test test_new(const char *problem, const cvg_conv *conv)
{
    struct test t = {.problem = problem, .conv = *conv, .g = geometry_of(conv), .z = problem_sizes(conv)};
    const int64_t count[TENSORS] = {t.z.input,  t.z.weight, t.z.bias,   t.z.output,
                                    t.z.output, t.z.input,  t.z.weight, t.z.bias};
    t.terms[OUTPUT] = t.z.terms + 1;
    t.terms[GRAD_INPUT] = t.z.input_terms;
    t.terms[GRAD_WEIGHT] = t.terms[GRAD_BIAS] = t.z.weight_terms;
    for (int i = 0; i < TENSORS; i++) {
        t.count[i] = count[i];
        t.value[i] = cli_alloc((size_t)count[i], sizeof(double));
        t.sum[i] = cli_alloc((size_t)count[i], sizeof(double));
    }
    return t;
}

static void test_free(struct test *t)
{
    for (int i = 0; i < TENSORS; i++) {
        free(t->value[i]);
        free(t->sum[i]);
    }
}

/* Where an element of a tensor lies, and how much memory that has, with the gaps of a view. */
static int64_t where(const struct test *t, int tensor, int64_t index)
{
    switch (tensor) {
    case INPUT:
    case GRAD_INPUT: return geometry_in(&t->g, index);
    case OUTPUT:
    case GRAD_OUTPUT: return geometry_out(&t->g, index);
    case WEIGHT:
    case GRAD_WEIGHT: return geometry_weight(&t->g, index);
    default: return index;
    }
}

static int64_t span(const struct test *t, int tensor)
{
    return tensor == INPUT || tensor == GRAD_INPUT     ? t->g.in_span
           : tensor == OUTPUT || tensor == GRAD_OUTPUT ? t->g.out_span
                                                       : t->count[tensor];
}

/* Fills operands (integers in [-2, 2], or real numbers exact in f32) and asks the oracle. */
static void test_fill(struct test *t, int integers, uint64_t seed)
{
    struct random random = {seed};
    for (int i = INPUT; i < OUTPUT; i++)
        for (int64_t j = 0; j < t->count[i]; j++)
            t->value[i][j] = integers ? (double)(random_bits(&random) % 5) - 2 : random_uniform(&random);
    const struct oracle o = {
        t->value[INPUT],  t->value[WEIGHT],     t->value[BIAS],        t->value[GRAD_OUTPUT],
        t->value[OUTPUT], t->value[GRAD_INPUT], t->value[GRAD_WEIGHT], t->value[GRAD_BIAS],
        t->sum[OUTPUT],   t->sum[GRAD_INPUT],   t->sum[GRAD_WEIGHT],   t->sum[GRAD_BIAS],
    };
    oracle_run(&t->conv, &o);
}

/*
 * factor * the oracle's values, exactly or within gamma(terms + 3) of the sum of |terms|; off by more
 * where the plan does not add the definition's products.
 */
static void compare(const struct test *t, enum tensor tensor, const struct buffer *got, double factor, int exact,
                    double more, const char *what)
{
    const double u = (got->view.type == CVG_F32 ? 0x1p-24 : 0x1p-53) + 0x1p-53;
    const double n = (t->terms[tensor] + 3) * u, gamma = n / (1 - n);
    int64_t bad = -1;
    for (int64_t i = 0; i < t->count[tensor] && bad < 0; i++) {
        const double error = fabs(array_get(&got->view, where(t, tensor, i)) - factor * t->value[tensor][i]);
        if (!(error <= (exact ? 0 : gamma * t->sum[tensor][i]) + more * factor))
            bad = i;
    }
    check(bad < 0, "%s: %s, %s: element %lld is %.17g, must be %.17g", t->problem, what, names[tensor], (long long)bad,
          bad < 0 ? 0 : array_get(&got->view, where(t, tensor, bad)), bad < 0 ? 0 : factor * t->value[tensor][bad]);
}

static long runs[CVG_ALGO_COUNT]; /* that were checked */

static double largest(const struct test *t, enum tensor tensor)
{
    double most = 0;
    for (int64_t j = 0; j < t->count[tensor]; j++)
        most = fmax(most, fabs(t->value[tensor][j]));
    return most;
}

/* By how much more than direct sums a plan's results may be off; on integers Winograd's of 4 points are exact. */
static double more_of(const struct test *t, const cvg_plan *plan, enum tensor tensor, int integers)
{
    static const struct {
        enum tensor result, a, b;
        cvg_pass pass;
    } of[] = {{OUTPUT, INPUT, WEIGHT, CVG_FORWARD},
              {GRAD_INPUT, GRAD_OUTPUT, WEIGHT, CVG_GRAD_INPUT},
              {GRAD_WEIGHT, INPUT, GRAD_OUTPUT, CVG_GRAD_WEIGHT}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        const cvg_algo algo = cvg_plan_algo(plan, of[i].pass);
        if (of[i].result == tensor && cvg_algo_mixes(algo) && !(algo == CVG_WINOGRAD4 && integers))
            return cvg_plan_error_bound(plan, of[i].pass) *
                   (largest(t, of[i].a) * largest(t, of[i].b) + (tensor == OUTPUT ? largest(t, BIAS) : 0));
    }
    return 0;
}

/* One algorithm, type and thread count; keeps the results' bits in kept, or compares them. */
static void check_run(const struct test *t, cvg_type type, cvg_algo algo, int threads, int integers,
                      struct buffer kept[TENSORS])
{
    cvg_conv conv = t->conv;
    struct buffer b[TENSORS];
    char what[200];
    void *space;
    conv.type = type;
    cvg_error error;
    cvg_plan *plan = plan_try(&conv, algo, threads, 1, &error);
    if (!plan) { /* Winograd's do not do every problem */
        check(cvg_algo_mixes(algo), "%s: %s", t->problem, error.text);
        return;
    }
    cvg_plan *half = plan_of(&conv, algo, threads, 0.5);
    runs[algo]++;

    snprintf(what, sizeof what, "%s %s %s %d threads %s, layout %d, weight %d%s", cvg_algo_name(algo), type_name(type),
             plan_isa, threads, integers ? "integers" : "real", (int)conv.layout, (int)conv.weight_layout,
             t->g.in_span > t->z.input || t->g.out_span > t->z.output ? ", views" : "");
    for (int i = 0; i < TENSORS; i++) {
        b[i] = buffer_new(type, span(t, i));
        for (int64_t j = 0; j < span(t, i); j++)
            array_set(&b[i].view, j, NAN); /* gaps, too: they are not read */
        for (int64_t j = 0; i < OUTPUT && j < t->count[i]; j++)
            array_set(&b[i].view, where(t, i, j), t->value[i][j]);
    }
    space = workspace_new(plan, CVG_FORWARD);
    cvg_forward(plan, b[INPUT].view.data, b[WEIGHT].view.data, b[BIAS].view.data, b[OUTPUT].view.data, space);
    free(space);
    space = workspace_new(plan, CVG_GRAD_INPUT);
    cvg_grad_input(plan, b[GRAD_OUTPUT].view.data, b[WEIGHT].view.data, b[GRAD_INPUT].view.data, CVG_OVERWRITE, space);
    free(space);
    space = workspace_new(plan, CVG_GRAD_WEIGHT);
    cvg_grad_weight(plan, b[INPUT].view.data, b[GRAD_OUTPUT].view.data, b[GRAD_WEIGHT].view.data, CVG_OVERWRITE, space);
    free(space);
    cvg_grad_bias(plan, b[GRAD_OUTPUT].view.data, b[GRAD_BIAS].view.data, CVG_OVERWRITE);
    for (int i = OUTPUT; i < TENSORS; i++) {
        compare(t, (enum tensor)i, &b[i], 1, integers, more_of(t, plan, (enum tensor)i, integers), what);
        if (kept[i].block && !integers)
            check(!memcmp(kept[i].view.data, b[i].view.data, b[i].bytes), "%s: %s: %s has other bits", t->problem, what,
                  names[i]);
    }
    if (integers) { /* 1 + 1/2 of it */
        space = workspace_of(half);
        cvg_backward(half, b[INPUT].view.data, b[WEIGHT].view.data, b[GRAD_OUTPUT].view.data, b[GRAD_INPUT].view.data,
                     b[GRAD_WEIGHT].view.data, b[GRAD_BIAS].view.data, CVG_ACCUMULATE, space);
        free(space);
        for (int i = GRAD_INPUT; i < TENSORS; i++)
            compare(t, (enum tensor)i, &b[i], 1.5, 1, more_of(t, plan, (enum tensor)i, 1), what);
    }
    for (int i = 0; i < TENSORS; i++) {
        check(guard_intact(&b[i]), "%s: %s: wrote before %s", t->problem, what, names[i]);
        if (i < OUTPUT) {
            int same = 1;
            for (int64_t j = 0; j < t->count[i]; j++)
                same &= array_get(&b[i].view, where(t, i, j)) == t->value[i][j];
            check(same, "%s: %s: %s was changed", t->problem, what, names[i]);
        }
        int64_t numbers = 0;
        for (int64_t j = 0; j < span(t, i); j++)
            numbers += !isnan(array_get(&b[i].view, j));
        check(numbers == t->count[i], "%s: %s: %s: %lld elements were written", t->problem, what, names[i],
              (long long)numbers);
        if (!integers && !kept[i].block)
            kept[i] = b[i];
        else
            free(b[i].block);
    }
    cvg_plan_destroy(plan);
    cvg_plan_destroy(half);
}

/* Whether an instruction set fuses multiply and add, so that its bits are those of all such sets. */
static int is_fused(const char *isa)
{
#ifdef __FP_FAST_FMA
    (void)isa;
    return 1;
#else
    return strcmp(isa, "portable") != 0;
#endif
}

/* All algorithms, types, instruction sets and some thread counts on one problem, in its layout. */
static void check_layout(const char *problem, const cvg_conv *conv, uint64_t seed, int all, int others)
{
    static const int threads[] = {1, 3, 2, 7};
    struct test integers = test_new(problem, conv), real = test_new(problem, conv);
    test_fill(&integers, 1, seed);
    test_fill(&real, 0, seed);
    for (int type = CVG_F32; type <= CVG_F64; type++)
        for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++) {
            struct buffer kept[2][TENSORS] = {{{0}}}; /* of sets that fuse, and that do not */
            int most = all;
            for (int set = 0; cvg_cpu_name(set); set++) {
                const char *isa = cvg_cpu_name(set);
                if (!cvg_cpu_set(set, (cvg_type)type))
                    continue; /* main says so */
                plan_isa = isa;
                check_run(&integers, (cvg_type)type, (cvg_algo)algo, 3, 1, kept[is_fused(isa)]);
                for (int i = 0; i < most; i++)
                    check_run(&real, (cvg_type)type, (cvg_algo)algo, threads[i], 0, kept[is_fused(isa)]);
                most = others; /* the other instruction sets; reference has but one form, in C */
                if (algo == CVG_REFERENCE)
                    break;
            }
            plan_isa = NULL;
            for (int i = 0; i < TENSORS; i++) {
                free(kept[0][i].block);
                free(kept[1][i].block);
            }
        }
    test_free(&integers);
    test_free(&real);
}

static void check_problem(const char *problem, const cvg_conv *conv, uint64_t seed)
{
    struct random random = {seed};
    cvg_conv other = *conv;
#ifdef CVG_DEBUG /* slow, and about memory: each set once more is enough */
    const int all = 2, others = 1;
#else
    const int all = 4, others = 2;
#endif
    check_layout(problem, conv, seed, all, others);
    while (!memcmp(&other, conv, sizeof other))
        layout_draw(&other, &random);
    check_layout(problem, &other, seed, 2, 1);
}

/* A small random problem that likes edges; 0 if the draw has no output. */
static int random_conv(struct random *random, cvg_conv *conv)
{
#define DRAW(n) ((int64_t)(random_bits(random) % (uint64_t)(n)))
    int64_t out[3];
    *conv = (cvg_conv)CVG_CONV_INIT;
    conv->spatial_dims = 1 + (int)DRAW(3);
    conv->batch = 1 + DRAW(3);
    conv->groups = DRAW(3) ? 1 : 1 + DRAW(4);
    conv->in_channels = conv->groups * (1 + DRAW(DRAW(4) ? 5 : 40));
    conv->out_channels = conv->groups * (1 + DRAW(DRAW(4) ? 5 : 70));
    for (int i = 0; i < conv->spatial_dims; i++) {
        conv->in[i] = 1 + DRAW(conv->spatial_dims == 3 ? 6 : 12);
        conv->filter[i] = 1 + DRAW(5);
        conv->stride[i] = DRAW(2) ? 1 : 1 + DRAW(5);
        conv->dilation[i] = DRAW(2) ? 1 : 1 + DRAW(4);
        conv->pad_begin[i] = DRAW(2) ? 0 : DRAW(7);
        conv->pad_end[i] = DRAW(2) ? conv->pad_begin[i] : DRAW(7);
    }
#undef DRAW
    return cvg_output_size(conv, out, NULL) == CVG_OK && problem_sizes(conv).macs < 300000;
}

/* ---- properties that need no oracle ---- */

/* A one in the middle of an image copies the filter, turned round. */
static void check_delta(void)
{
    struct problem p = {.conv = CVG_CONV_INIT};
    cvg_error error;
    float input[49] = {0}, weight[9], output[49];
    problem_parse(&p, "mb1ic1ih7oc1kh3ph1", &error);
    input[24] = 1;
    for (int i = 0; i < 9; i++)
        weight[i] = (float)(i + 1);
    for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++) {
        cvg_plan *plan = plan_of(&p.conv, (cvg_algo)algo, 1, 1);
        void *space = workspace_of(plan);
        cvg_forward(plan, input, weight, NULL, output, space);
        const double off = algo > CVG_WINOGRAD4 ? 9 * cvg_plan_error_bound(plan, CVG_FORWARD) : 0;
        for (int i = 0; i < 49; i++) {
            const int r = 3 - i / 7 + 1, s = 3 - i % 7 + 1;
            const float want = r >= 0 && r < 3 && s >= 0 && s < 3 ? weight[r * 3 + s] : 0;
            check(fabs((double)(output[i] - want)) <= off, "%s: a delta gives %g at %d, must be %g",
                  cvg_algo_name((cvg_algo)algo), (double)output[i], i, (double)want);
        }
        free(space);
        cvg_plan_destroy(plan);
    }
}

/* Ones by ones with padding count the taps inside: 4 6 9. */
static void check_ones(void)
{
    struct problem p = {.conv = CVG_CONV_INIT};
    cvg_error error;
    float input[25], weight[9], output[25];
    problem_parse(&p, "mb1ic1ih5oc1kh3ph1", &error);
    for (int i = 0; i < 25; i++)
        input[i] = 1;
    for (int i = 0; i < 9; i++)
        weight[i] = 1;
    for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++) {
        cvg_plan *plan = plan_of(&p.conv, (cvg_algo)algo, 1, 1);
        void *space = workspace_of(plan);
        cvg_forward(plan, input, weight, NULL, output, space);
        const double off = algo > CVG_WINOGRAD4 ? cvg_plan_error_bound(plan, CVG_FORWARD) : 0;
        for (int i = 0; i < 25; i++) {
            const float want = (float)((i / 5 % 4 ? 3 : 2) * (i % 5 % 4 ? 3 : 2));
            check(fabs((double)(output[i] - want)) <= off, "%s: ones by ones gives %g at %d, must be %g",
                  cvg_algo_name((cvg_algo)algo), (double)output[i], i, (double)want);
        }
        free(space);
        cvg_plan_destroy(plan);
    }
}

/*
 * NaN in one input element reaches exactly the outputs that read it; by Winograd's, those of the
 * tiles that read it.
 */
static void check_nan(void)
{
    struct problem p = {.conv = CVG_CONV_INIT};
    cvg_error error;
    float input[49] = {0}, weight[9], output[49];
    problem_parse(&p, "mb1ic1ih7oc1kh3ph1", &error);
    input[0] = NAN;
    for (int i = 0; i < 9; i++)
        weight[i] = 1;
    for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++) {
        cvg_plan *plan = plan_of(&p.conv, (cvg_algo)algo, 1, 1);
        void *space = workspace_of(plan);
        cvg_forward(plan, input, weight, NULL, output, space);
        const int tile = cvg_algo_mixes((cvg_algo)algo) ? 2 * (algo - CVG_WINOGRAD4) + 2 : 2; /* m of F(m, 3) */
        for (int i = 0; i < 49; i++)
            check(!isnan(output[i]) == !(i / 7 < tile && i % 7 < tile), "%s: NaN reaches the wrong outputs, at %d",
                  cvg_algo_name((cvg_algo)algo), i);
        free(space);
        cvg_plan_destroy(plan);
    }
}

/* Groups are separate convolutions, bit for bit where the algorithm is the same. */
static void check_groups(void)
{
    struct problem whole = {.conv = CVG_CONV_INIT}, one = {.conv = CVG_CONV_INIT};
    cvg_error error;
    struct random random = {5};
    double input[2 * 2 * 36], weight[2 * 3 * 2 * 9], output[2 * 3 * 36], part[3 * 36];
    problem_parse(&whole, "g2mb1ic4ih6oc6kh3ph1", &error);
    problem_parse(&one, "mb1ic2ih6oc3kh3ph1", &error);
    whole.conv.type = one.conv.type = CVG_F64;
    for (size_t i = 0; i < sizeof input / sizeof *input; i++)
        input[i] = random_uniform(&random);
    for (size_t i = 0; i < sizeof weight / sizeof *weight; i++)
        weight[i] = random_uniform(&random);
    for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++) {
        cvg_plan *plan = plan_of(&whole.conv, (cvg_algo)algo, 1, 1);
        cvg_plan *small = plan_of(&one.conv, (cvg_algo)algo, 1, 1);
        void *space = workspace_of(plan), *small_space = workspace_of(small);
        cvg_forward(plan, input, weight, NULL, output, space);
        for (int g = 0; g < 2; g++) {
            cvg_forward(small, input + g * 72, weight + g * 54, NULL, part, small_space);
            check(!memcmp(part, output + g * 108, sizeof part), "%s: group %d is no convolution of its own",
                  cvg_algo_name((cvg_algo)algo), g);
        }
        free(space);
        free(small_space);
        cvg_plan_destroy(plan);
        cvg_plan_destroy(small);
    }
}

/* The workspace does not grow with the batch. */
static void check_workspace(void)
{
    static const char *const problems[] = {"ic3ih28oc4kh3ph1", "ic64ih14oc64kh3ph1", "ic5iw300oc7kw5pw2"};
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++)
            for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
                size_t bytes[2];
                for (int large = 0; large < 2; large++) {
                    struct problem p = {.conv = CVG_CONV_INIT};
                    cvg_error error;
                    char text[64];
                    snprintf(text, sizeof text, "mb%d%s", large ? 64 : 1, problems[i]);
                    problem_parse(&p, text, &error);
                    cvg_plan *plan = plan_try(&p.conv, (cvg_algo)algo, 2, 1, &error);
                    check(plan || algo == CVG_WINOGRAD4, "%s: %s", text,
                          error.text); /* 5 elements are too many for it */
                    bytes[large] = cvg_plan_workspace_size(plan, (cvg_pass)pass);
                    cvg_plan_destroy(plan);
                }
                check(bytes[1] <= bytes[0], "%s: %s %s: workspace %zu at batch 64, %zu at batch 1", problems[i],
                      cvg_algo_name((cvg_algo)algo), pass_names[pass], bytes[1], bytes[0]);
            }
}

/* Small images and many channels: at some batches grad_weight has more parts than at the largest. */
static void check_parts(void)
{
    static const char *const problems[] = {"mb12ic512ih5oc24kh3ph1", "mb41ic512ih5oc5kh3ph1",
                                           "mb60ic256oc6ih5kh3sh2ph1", "mb6ic1760oc5ih7kh3ph1"};
    struct random random = {5};
    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
        struct problem p = {.conv = CVG_CONV_INIT};
        cvg_error error;
        problem_parse(&p, problems[i], &error);
        const struct sizes z = problem_sizes(&p.conv);
        struct buffer input = buffer_new(CVG_F32, z.input), grad_output = buffer_new(CVG_F32, z.output);
        struct buffer weight[2] = {buffer_new(CVG_F32, z.weight), buffer_new(CVG_F32, z.weight)};
        for (int64_t j = 0; j < z.input; j++)
            array_set(&input.view, j, (double)(random_bits(&random) % 5) - 2);
        for (int64_t j = 0; j < z.output; j++)
            array_set(&grad_output.view, j, (double)(random_bits(&random) % 5) - 2);
        for (int k = 0; k < 2; k++) {
            cvg_plan *plan = plan_of(&p.conv, k ? CVG_DIRECT : CVG_IM2COL, 2, 1);
            void *workspace = workspace_new(plan, CVG_GRAD_WEIGHT);
            cvg_grad_weight(plan, input.view.data, grad_output.view.data, weight[k].view.data, CVG_OVERWRITE,
                            workspace);
            free(workspace);
            cvg_plan_destroy(plan);
        }
        check(!memcmp(weight[0].view.data, weight[1].view.data, weight[0].bytes), "%s: grad_weight in parts",
              problems[i]);
        free(input.block);
        free(grad_output.block);
        free(weight[0].block);
        free(weight[1].block);
    }
}

int main(int argc, char **argv)
{
    struct random random = {2026};
    for (int set = 0; cvg_cpu_name(set); set++)
        printf("%s %s\n",
               cvg_cpu_set(set, CVG_F32) ? "checking" : "SKIPPED (this processor lacks it):", cvg_cpu_name(set));
    /* How many random problems; and which part of how many of all problems, so that parts can run side by side. */
    const int draws = argc > 1 ? atoi(argv[1]) : 150, part = argc > 3 ? atoi(argv[2]) : 0;
    const int parts = argc > 3 ? atoi(argv[3]) : 1;
    for (size_t i = (size_t)part; i < sizeof cases / sizeof *cases; i += (size_t)parts) {
        struct problem p = {.conv = CVG_CONV_INIT};
        cvg_error error;
        const int last = !strncmp(cases[i].problem, "last:", 5);
        if (!check(problem_parse(&p, cases[i].problem + (last ? 5 : 0), &error), "%s", error.text))
            continue;
        if (last) {
            p.conv.layout = CVG_CHANNELS_LAST;
            p.conv.weight_layout = CVG_KRSC;
        }
        check_problem(cases[i].problem, &p.conv, i + 1);
    }
    for (int drawn = 0; drawn < draws;) {
        cvg_conv conv;
        char text[256];
        const uint64_t seed = random_bits(&random);
        if (!random_conv(&random, &conv))
            continue;
        problem_print(&conv, text, sizeof text);
        if (drawn++ % parts == part)
            check_problem(text, &conv, seed);
    }
    if (part == 0) {
        check_delta();
        check_ones();
        check_nan();
        check_groups();
        check_workspace();
        check_parts();
    }
    for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++) {
        check(runs[algo] > 0, "%s was never run", cvg_algo_name((cvg_algo)algo));
        printf("%s: %ld runs\n", cvg_algo_name((cvg_algo)algo), runs[algo]);
    }
    return check_summary();
}
