/* verify's tensors and checks (checks.c, structure.c), for the command that runs them (verify.c). */
#ifndef CLI_VERIFY_H
#define CLI_VERIFY_H

#include "cli.h"
#include "geometry.h"
#include "guard.h"

enum tensor { INPUT, WEIGHT, BIAS, GRAD_OUTPUT, OUTPUT, GRAD_INPUT, GRAD_WEIGHT, GRAD_BIAS, TENSORS };
enum { FIRST_RESULT = OUTPUT };

/* One set of tensors of one type, in the layout of their problem.  What lies between the elements of a view is NaN. */
struct set {
    struct geometry geometry;
    struct array view[TENSORS]; /* data in memory[], with the gaps of a view */
    struct guarded memory[TENSORS];
};

/* end: elements between each tensor and the end of memory. */
void set_new(struct set *set, const cvg_conv *conv, cvg_type type, size_t end);
void set_free(struct set *set);

/* How many elements a tensor has; and where one lies that is counted as if channels stood first. */
int64_t set_count(const struct set *set, enum tensor tensor);
int64_t set_place(const struct set *set, enum tensor tensor, int64_t index);

/* Operands: integers in [-range, range], or real numbers in [-1, 1) if range is 0. */
void fill_operands(struct set *set, int range, uint64_t seed);
void copy_operands(struct set *to, const struct set *from, int absolute);
void poison_results(struct set *set);

/* Computes all results; the workspace is exact, odd, poisoned and guarded.  1 if its guard held. */
int run_all(const cvg_plan *plan, struct set *set, cvg_mode mode);

enum { MOST_SETS = 8 };

struct verify {
    uint64_t seed;
    int threads[16], thread_count;
    const char *sets[MOST_SETS]; /* instruction sets that the processor has; the one it takes is first */
    int fuses[MOST_SETS];        /* with one rounding: such sets agree to the bit */
    int set_count;
    cvg_algo algos[CVG_ALGO_COUNT];
    int algo_count;
    cvg_type types[CVG_TYPE_COUNT];
    int type_count;
    double limit, deadline, macs_a_second;                  /* of the definition */
    long problems, drawn, passed, failed, skipped, refused; /* drawn: problems that were not compared whole */
    int steps;                                              /* of the problem's runs that are done */
    long passed_before;                                     /* the problem that is being checked */
    int drawing;                                            /* only some of its elements */
    int quiet;                                              /* does not print problems that pass */
    /* what is being checked, for messages */
    char problem[256];   /* "" between problems */
    char arguments[512]; /* that name it */
    cvg_algo algo;
    cvg_type type;
    int at_threads, at_set;
    const char *doing;       /* ", with something special", or "" */
    double allowed[TENSORS]; /* beyond what the sum of the products allows */
};

/* The command that runs the same once more. */
void repeat(const struct verify *v, char *text, size_t size);

/* got = factor * want, within terms roundings of sum (NULL: exactly), and what v->allowed adds. */
void compare(struct verify *v, enum tensor tensor, const struct set *got, const struct set *want, const struct set *sum,
             double factor, double terms);

/* Counts a check; prints what, and how to repeat it, if it is not good. */
void record(struct verify *v, int good, const char *what);

/* By how much the results of a plan may be off; 0 if it adds the definition's products. */
void set_allowed(struct verify *v, const cvg_plan *plan, const struct set *set);

/* The same elements, exactly, as in a set of another layout. */
void same_elements(struct verify *v, const struct set *set, const struct set *other);

/* Neither operands nor what surrounds tensors and workspace were written. */
void unharmed(struct verify *v, const struct set *set, const struct set *before, int workspace_intact);

/* Those results whose bits are set in a mask, 1 << OUTPUT and so on. */
void same_bits(struct verify *v, const struct set *set, const struct set *want, unsigned results);

/* What is checked once for each algorithm, on integers; set holds the plan's results. */
void identities(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
                const struct set *want, struct set *set, struct set *work);

/*
 * What results may know (structure.c): ones alone give copies, and ones added to operands the sum.  By exact algorithms
 * an element changes nothing that does not read it, and sums of non-negative products are not negative.
 */
void structure(struct verify *v, const cvg_conv *conv, const cvg_plan *plan, const struct set *before,
               const struct set *want, const struct set *set, struct set *work);
void non_negative(struct verify *v, const cvg_plan *plan, const struct set *before, struct set *work);

#endif
