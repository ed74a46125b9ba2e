/*
 * How far an element reaches beyond its receptive field, and how much it leaves there: one element of an image of
 * zeros, at every place in turn; 16 channels, 16 filters of weights in [-1, 1], f32, forward.  The table of
 * docs/numerics.md.
 *
 *   cc -O2 -Iinclude docs/measurements/structure.c build/libconvgrad.a -lm -fopenmp -o structure && ./structure
 */
#include <convgrad.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 32, C = 16, IMAGE = SIZE * SIZE, ROUNDS = 4 };
static float x[C * IMAGE], w[C * C * 5 * 5], y[C * IMAGE];

static float uniform(float low, float high) { return low + (high - low) * (float)rand() / (float)RAND_MAX; }

static void measure(cvg_algo algo, int r)
{
    cvg_conv conv = CVG_CONV_INIT;
    cvg_options options = CVG_OPTIONS_INIT;
    cvg_plan *plan;
    cvg_error error;
    int most = 0, beyond = 0;
    float left = 0;

    conv.in_channels = conv.out_channels = C;
    for (int axis = 0; axis < 2; axis++) {
        conv.in[axis] = SIZE;
        conv.filter[axis] = r;
        conv.pad_begin[axis] = conv.pad_end[axis] = r / 2;
    }
    options.algo[CVG_FORWARD] = algo;
    if (cvg_plan_create(&plan, &conv, &options, &error) != CVG_OK) {
        printf("%s\n", error.text);
        return;
    }
    void *workspace = malloc(cvg_plan_workspace_most(plan) + 1);
    srand(1);
    for (int i = 0; i < C * C * r * r; i++)
        w[i] = uniform(-1, 1);
    for (int at = 0; workspace && at < ROUNDS * IMAGE; at++) {
        const int place = at % IMAGE;
        int cells = 0;
        x[place] = uniform(0.5f, 1);
        cvg_forward(plan, x, w, NULL, y, workspace);
        for (int i = 0; i < C * IMAGE; i++) {
            const int rows = abs(i % IMAGE / SIZE - place / SIZE), columns = abs(i % SIZE - place % SIZE);
            const int outside = (rows > columns ? rows : columns) - r / 2;
            if (outside <= 0 || y[i] == 0)
                continue;
            cells++;
            beyond = outside > beyond ? outside : beyond;
            left = fmaxf(left, fabsf(y[i]) / x[place]);
        }
        most = cells > most ? cells : most;
        x[place] = 0;
    }
    printf("%-9s %dx%d: up to %d beyond, in at most %4d results; at most %.1e of the element; bound %.1e\n",
           cvg_algo_name(algo), r, r, beyond, most, left, cvg_plan_error_bound(plan, CVG_FORWARD) / C);
    free(workspace);
    cvg_plan_destroy(plan);
}

int main(void)
{
    for (int r = 3; r <= 5; r += 2)
        for (int algo = CVG_REFERENCE; algo < CVG_ALGO_COUNT; algo++)
            measure((cvg_algo)algo, r);
    return 0;
}
