/* The plan: a validated problem and the algorithm chosen for each pass. */
#ifndef CVG_PLAN_H
#define CVG_PLAN_H

#include "algo/algo.h"

enum { CVG_PLAN_VERSION = 1, CVG_WHY = 160 }; /* of the text; room for a reason */

/* Why a plan has the algorithm that it has. */
enum cvg_reason { CVG_EXPECTED, CVG_PINNED, CVG_MEASURED, CVG_IMPORTED };

struct cvg_plan {
    struct cvg_shape shape;
    double gradient_scale;
    size_t workspace_limit;
    double error_growth;
    struct cvg_threads threads;
    const struct cvg_kernels *kernels;
    struct {
        const struct cvg_algorithm *algorithm;
        enum cvg_reason reason;
        size_t workspace;
        int workers;
    } pass[CVG_PASS_COUNT];
};

/* Text that grows past the end of its buffer without being written there. */
struct cvg_text {
    char *text;
    size_t size, length;
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void cvg_write(struct cvg_text *w, const char *format, ...);

/* "forward", "grad_input", "grad_weight" */
extern const char *const cvg_pass_names[CVG_PASS_COUNT];

/* NULL if there is none. */
const struct cvg_algorithm *cvg_algorithm_of(cvg_algo algo);

/* Why AUTO leaves an algorithm out; NULL if it may take it.  room: for the sentence. */
const char *cvg_plan_leaves_out(const struct cvg_plan *plan, const struct cvg_algorithm *algorithm, cvg_pass pass,
                                char room[CVG_WHY]);

#endif
