/*
 * The matrices of Winograd's algorithm, from points.
 *
 * A filter of r elements slides over n = m + r - 1 elements x and gives m results
 *
 *   y = A^T [(G w) . (B^T x)]          where . multiplies element by element
 *
 * Toom's way to multiply polynomials w of r and d of m terms is to evaluate both at n points,
 * infinity among them, to multiply the values, and to interpolate:
 *
 *   s = V^-1 [(G w) . (A d)]           rows of A, G and V: powers of one point
 *
 * Sliding is the transpose of that product in d and s: y = A^T [(G w) . (V^-T x)], so
 * B^T = V^-T.  And the gradient of the weight is its transpose in w: with dy, m gradients of y,
 *
 *   dw = G^T [(B^T x) . (A dy)]
 *
 * so one set of points, and of matrices, serves all three passes.  Row i of B^T holds the
 * coefficients of the polynomial that is 0 at all other points, here without its divisor, which
 * is the product of the distances a_i - a_j and stands in G instead: then B^T and A need few
 * bits.  The row of infinity is the polynomial that is 0 at every finite point.
 *
 * In two dimensions all matrices are applied along rows and along columns.
 *
 * Source: A. L. Toom 1963 and S. A. Cook 1966; S. Winograd, Arithmetic complexity of
 * computations, 1980; A. Lavin and S. Gray, arXiv 1509.09308.  On the choice of points:
 * B. Barabasz, A. Anderson, K. M. Soodhalter, D. Gregg, arXiv 1803.10986, and B. Barabasz,
 * D. Gregg, arXiv 1905.05233.  Points come in pairs +a and -a, which share half their products.
 */
#ifndef CVG_WINOGRAD_POINTS_H
#define CVG_WINOGRAD_POINTS_H

#include "../../kernels/kernels.h"

/* n points, or 1: an axis along which the filter has one element and nothing is transformed. */
struct cvg_winograd_size {
    int n, m, r;
};

struct cvg_winograd_axis {
    int n, m, r;
    double evaluate_output[CVG_POINTS][CVG_POINTS]; /* A, n x m */
    double evaluate_weight[CVG_POINTS][CVG_POINTS]; /* G, n x r */
    double spread_input[CVG_POINTS][CVG_POINTS];    /* B^T, n x n */
};

/* For n = 4, 6 or 8 points and a filter of r elements, 2 <= r < n; or for r = 1. */
struct cvg_winograd_size cvg_winograd_size_of(int n, int r);
struct cvg_winograd_axis cvg_winograd_axis_of(int n, int r);

/*
 * How errors grow.  An element of the result is a sum of products of three transforms; absolute
 * is the largest sum of the absolute values of all terms that any result has along one axis, for
 * operands of absolute value 1, over the number of products that the definition has there.
 * square is the mean over results of the sum of squares, for operands of variance 1, over the
 * square of that number.  In two dimensions both are products of the axes'.
 */
struct cvg_winograd_norms {
    double absolute, square;
};

/* Of forward and grad_input, or of grad_weight. */
struct cvg_winograd_norms cvg_winograd_norms_of(const struct cvg_winograd_axis *axis, int weight);

#endif
