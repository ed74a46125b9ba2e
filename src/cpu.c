#include "cpu.h"

#include "shape.h"

#include <stdlib.h>
#include <string.h>

static int always(void)
{
    return 1;
}

/* Every instruction set, best first. */
static const struct {
    const char *name;
    int (*available)(void);
    const struct cvg_kernels *kernels[2]; /* by cvg_type */
} sets[] = {
    {"portable", always, {&cvg_kernels_portable_f32, &cvg_kernels_portable_f64}},
};

enum { SETS = sizeof sets / sizeof *sets };

const struct cvg_kernels *cvg_cpu_kernels(cvg_type type, cvg_error *error)
{
    const char *wanted = getenv("CVG_ISA");
    for (int i = 0; i < SETS; i++) {
        if (wanted && *wanted && strcmp(wanted, sets[i].name))
            continue;
        if (sets[i].available())
            return sets[i].kernels[type];
        if (wanted && *wanted) {
            cvg_fail(error, CVG_INVALID_ARGUMENT,
                     "the environment variable CVG_ISA is \"%.40s\"; this processor lacks it", wanted);
            return NULL;
        }
    }
    cvg_fail(error, CVG_INVALID_ARGUMENT,
             "the environment variable CVG_ISA is \"%.40s\"; no instruction set has that name", wanted);
    return NULL;
}
