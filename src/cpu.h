/* Which kernels this processor may run. */
#ifndef CVG_CPU_H
#define CVG_CPU_H

#include "kernels/kernels.h"

/* The best kernels for a type that the processor has, or those named isa; NULL, with a sentence, if it lacks them. */
const struct cvg_kernels *cvg_cpu_kernels(cvg_type type, const char *isa, cvg_error *error);

/* The instruction sets that were built, best first: names (NULL past the last), and kernels (NULL
 * if the processor lacks them). */
const char *cvg_cpu_name(int index);
const struct cvg_kernels *cvg_cpu_set(int index, cvg_type type);

#endif
