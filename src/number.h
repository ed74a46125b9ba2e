/* Numbers as they are stored, one at a time: for code that need not be fast. */
#ifndef CVG_NUMBER_H
#define CVG_NUMBER_H

#include "convgrad.h"

#if defined(CVG_NO_HALVES) || defined(CVG_NO_F32)
enum { CVG_HALVES = 0 }; /* a build without them */
#else
enum { CVG_HALVES = 1 };
#endif

/* Whether numbers are stored in 16 bits, and computed as float. */
static inline int cvg_is_half(cvg_type type) { return CVG_HALVES && (type == CVG_BF16 || type == CVG_F16); }

/* The unit roundoff of a type: half the distance between 1 and the next number. */
double cvg_roundoff(cvg_type type);

/* Element index of an array; and that rounded to nearest even, once. */
double cvg_load(cvg_type type, const void *array, int64_t index);
void cvg_store(cvg_type type, void *array, int64_t index, double value);

/* A number as it would be stored. */
double cvg_rounded(cvg_type type, double value);

#endif
