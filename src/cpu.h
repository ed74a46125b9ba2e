/* Which kernels this processor may run. */
#ifndef CVG_CPU_H
#define CVG_CPU_H

#include "kernels/kernels.h"

/*
 * The best kernels for a type that the processor has and the environment
 * variable CVG_ISA allows; NULL, with a sentence in error, when CVG_ISA names
 * no instruction set or one that the processor lacks.
 */
const struct cvg_kernels *cvg_cpu_kernels(cvg_type type, cvg_error *error);

/* The instruction sets that were built, best first: names (NULL past the last), and kernels (NULL
 * if the processor lacks them). */
const char *cvg_cpu_name(int index);
const struct cvg_kernels *cvg_cpu_set(int index, cvg_type type);

#endif
