/* Every intermediate array of both methods, under the textbook's names. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "cli.h"

#include <stdio.h>

enum explained {
    X, W, DELTA_IN,                                       /* what is given */
    COL_X, COL_W, Y,                                      /* forward */
    DELTA_IN_2D, DB, DW_COL, DW, DCOL, DELTA_OUT,         /* method 2 */
    INPUT_PADDED, DZ_STRIDE_1, DZ_PADDED, ROT_WEIGHTS,    /* method 1 */
    EXPLAINED
};

struct explanation {
    cvg_conv conv;
    struct array array[EXPLAINED]; /* f64 */
    double disagreement;           /* largest difference of the two methods and the library */
};

/*
 * Explains a problem on operands of its shapes (f64, taken over).  Dies when the arrays
 * would be too large to look at.
 */
struct explanation explain(const cvg_conv *conv, struct array x, struct array w, struct array delta_in);
void explanation_free(struct explanation *e);

/* The same on tensors that hold 0, 1, 2, ... */
struct explanation explain_counting(const cvg_conv *conv);

/* The section's example, 1 simple or 2 complex, which are such. */
struct explanation explain_example(int number);

/* Prints one array as NumPy does, indented by a space, under its names. */
void explain_array(FILE *out, const struct explanation *e, enum explained which);

/* Figure 17-30: each row of dcol is moved into delta_out, where what overlaps is added. */
void explain_steps(FILE *out, struct explanation *e);

extern const char *const explained_names[EXPLAINED]; /* the textbook's */

/* The numbers that the section prints of an example's array; NULL if it prints none. */
const double *textbook_numbers(int example, enum explained which, int *count);

/* 1 if all arrays that the section prints of an example are equal to e's. */
int textbook_agrees(int example, const struct explanation *e);

#endif
