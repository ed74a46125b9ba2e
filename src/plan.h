/* The plan: a validated problem, and for each pass the algorithm chosen and what it prepared. */
#ifndef CVG_PLAN_H
#define CVG_PLAN_H

#include "algo/algo.h"
#include "tensor/stage.h"

enum { CVG_PLAN_VERSION = 1, CVG_WHY = 160 }; /* of the text; room for a reason */

/* Why a plan has the algorithm that it has. */
enum cvg_reason { CVG_EXPECTED, CVG_PINNED, CVG_MEASURED, CVG_IMPORTED };

/*
 * What an algorithm is given: tensors as they are; or of halves all as floats, or only the weight, as it reads and
 * writes the others by the view, or pairs, as they lie or made of positions.
 */
enum cvg_way { CVG_AS_STORED, CVG_WIDENED, CVG_READ, CVG_PAIRED, CVG_ZIPPED };

struct cvg_plan {
    struct cvg_shape shape;                  /* the problem; */
    struct cvg_shape inner;                  /* what algorithms are given: it, or of halves some images as floats; */
    struct cvg_shape flat;                   /* and that as a matrix product, */
    int is_flat;                             /* if it is one */
    struct cvg_stage stage;                  /* of halves */
    struct cvg_shape paired[CVG_PASS_COUNT]; /* of a pass whose operands are made of pairs, */
    int is_paired[CVG_PASS_COUNT];           /* if they are; of channels only if the processor multiplies them */
    struct cvg_stage zip;                    /* of pairs of positions */
    double gradient_scale;
    size_t workspace_limit;
    double error_growth;
    struct cvg_threads threads;
    const struct cvg_kernels *kernels;
    struct {
        const struct cvg_algorithm *algorithm;
        enum cvg_reason reason;
        enum cvg_way way;
        size_t workspace;
        int workers;
        double seconds[CVG_ALGO_COUNT]; /* as measured; 0 if not */
        struct cvg_work work;
    } pass[CVG_PASS_COUNT];
};

/* "forward", "grad_input", "grad_weight" */
extern const char *const cvg_pass_names[CVG_PASS_COUNT];

/* The caller's options as this library has them, defaults if they are NULL; each has its sentence if it is wrong. */
cvg_status cvg_options_read(cvg_options *options, const cvg_options *given, cvg_error *error);

/* The algorithms in the order in which AUTO looks at them; NULL past the last. */
const struct cvg_algorithm *cvg_algorithm_at(int index);

/* NULL if there is none. */
const struct cvg_algorithm *cvg_algorithm_of(cvg_algo algo);

/* The problem as the algorithm of a pass sees it. */
const struct cvg_shape *cvg_plan_seen(const struct cvg_plan *plan, cvg_pass pass);

/* What AUTO asks of an algorithm that mixes neighbours: to be so many times as fast as the others. */
#define CVG_PAYS 1.25

/* The plan as it is with one worker, as long as plan lives: what several are held to. */
void cvg_plan_alone(struct cvg_plan *alone, const struct cvg_plan *plan);

/* Whether AUTO asks that, and leaves rank 1 to exact algorithms: unless error_growth is above the default. */
int cvg_plan_keeps_structure(const struct cvg_plan *plan);

/* By what AUTO multiplies an algorithm's time, for that. */
double cvg_plan_handicap(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm);

/* Why AUTO leaves an algorithm out; NULL if it may take it.  room: for the sentence. */
const char *cvg_plan_leaves_out(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm, cvg_pass pass,
                                char room[CVG_WHY]);

#endif
