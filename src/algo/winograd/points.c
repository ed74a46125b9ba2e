#include "points.h"

#include <math.h>

/*
 * The positive one of each pair; 0 and infinity are points of every set.  Of all pairs and
 * triples of thirteen simple fractions from 1/4 to 4 these have the smallest measured error
 * (docs/numerics.md); 1 alone makes every number of F(2, 3) a multiple of 1/4.
 */
static const struct {
    int n, pairs;
    double point[3];
} sets[] = {
    {4, 1, {1}},
    {6, 2, {2.0 / 3, 3.0 / 2}},
    {8, 3, {1.0 / 2, 1, 2}},
};

/* Coefficients of the product of (x - root) over count roots but the one to leave out. */
static void polynomial(double *c, const double *roots, int count, int without)
{
    int degree = 0;
    c[0] = 1;
    for (int i = 0; i < count; i++) {
        if (i == without)
            continue;
        c[++degree] = 0;
        for (int j = degree; j >= 0; j--)
            c[j] = (j ? c[j - 1] : 0) - roots[i] * c[j];
    }
}

struct cvg_winograd_size cvg_winograd_size_of(int n, int r)
{
    return r == 1 ? (struct cvg_winograd_size){1, 1, 1} : (struct cvg_winograd_size){n, n - r + 1, r};
}

struct cvg_winograd_axis cvg_winograd_axis_of(int n, int r)
{
    const struct cvg_winograd_size size = cvg_winograd_size_of(n, r);
    struct cvg_winograd_axis axis = {.n = size.n, .m = size.m, .r = size.r};
    double point[CVG_POINTS] = {0};
    if (r == 1) {
        axis.evaluate_output[0][0] = axis.evaluate_weight[0][0] = axis.spread_input[0][0] = 1;
        return axis;
    }
    for (size_t set = 0; set < sizeof sets / sizeof *sets; set++)
        for (int pair = 0; sets[set].n == n && pair < sets[set].pairs; pair++) {
            point[2 * pair + 1] = sets[set].point[pair];
            point[2 * pair + 2] = -sets[set].point[pair];
        }
    for (int i = 0; i < n - 1; i++) {
        double divisor = 1, power = 1;
        polynomial(axis.spread_input[i], point, n - 1, i);
        for (int j = 0; j < n - 1; j++)
            if (j != i)
                divisor *= point[i] - point[j];
        for (int j = 0; j < n; j++, power *= point[i]) {
            if (j < axis.m)
                axis.evaluate_output[i][j] = power;
            if (j < r)
                axis.evaluate_weight[i][j] = power / divisor;
        }
    }
    polynomial(axis.spread_input[n - 1], point, n - 1, -1);
    axis.evaluate_output[n - 1][axis.m - 1] = 1;
    axis.evaluate_weight[n - 1][r - 1] = 1;
    return axis;
}

struct cvg_winograd_norms cvg_winograd_norms_of(const struct cvg_winograd_axis *axis, int weight)
{
    /* The result is collected by the transpose of one evaluation; the other one is an operand's. */
    const double(*to)[CVG_POINTS] = weight ? axis->evaluate_weight : axis->evaluate_output;
    const double(*from)[CVG_POINTS] = weight ? axis->evaluate_output : axis->evaluate_weight;
    const int results = weight ? axis->r : axis->m, products = weight ? axis->m : axis->r;
    struct cvg_winograd_norms norms = {0, 0};
    for (int j = 0; j < results; j++) {
        double absolute = 0, square = 0;
        for (int i = 0; i < axis->n; i++) {
            double one[2] = {0, 0}, two[2] = {0, 0};
            for (int k = 0; k < CVG_POINTS; k++) {
                one[0] += fabs(from[i][k]);
                one[1] += fabs(axis->spread_input[i][k]);
                two[0] += from[i][k] * from[i][k];
                two[1] += axis->spread_input[i][k] * axis->spread_input[i][k];
            }
            absolute += fabs(to[i][j]) * one[0] * one[1];
            square += to[i][j] * to[i][j] * two[0] * two[1];
        }
        norms.absolute = fmax(norms.absolute, absolute / products);
        norms.square += square / products / products / results;
    }
    return norms;
}
