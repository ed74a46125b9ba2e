/*
 * exp, log and cos as fixed sums of products in double: the same bits on every machine and with every C library.
 * Those of C libraries differ in their last bits.
 *
 * Accuracy: within 2 units of a double's last place, so that a result rounded to float is within 1 of the float's.
 * The largest seen are 0.84 (exp), 0.78 (log) and 1.40 (cos) of a double's (tests/train_leaves.c).
 */
#ifndef CVG_TRAIN_REAL_H
#define CVG_TRAIN_REAL_H

/* e^x: infinity from 709.8 on, 0 below -745.2; NaN of NaN. */
double cvg_exp(double x);

/* The natural logarithm: minus infinity of 0, NaN of NaN and of what is less. */
double cvg_log(double x);

/* The cosine of so many full turns, that is of 2 pi turns; NaN beyond 2^50 turns, and of NaN. */
double cvg_cos2pi(double turns);

#endif
