/*
 * A whole training on convgrad's core alone: two convolutions, a pooling, a linear layer, softmax and gradient descent,
 * on bars that the program draws (class 0: lying, 1: standing, 2 and 3: the diagonals).
 *
 *   cc train_by_hand.c $(pkg-config --cflags --libs convgrad) -lm -o train_by_hand && ./train_by_hand
 */
#include <convgrad.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    N = 32,
    SIDE = 12,
    HALF = SIDE / 2,
    PIXELS = SIDE * SIDE,
    C1 = 8,
    C2 = 8,
    FEATURES = C2 * HALF * HALF,
    CLASSES = 4
};

/* A layer that is a convolution: its plan, and weight, bias and their gradients. */
struct layer {
    cvg_plan *plan;
    int weights, biases;
    float *w, *b, *dw, *db;
};

static double uniform(void) /* in [-1, 1) */
{
    static unsigned long long state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 33) / (1u << 30) - 1;
}

/* in x side x side to out channels; a linear layer is a filter of 1 pixel on an image of 1 pixel. */
static struct layer layer_make(int in, int out, int side, int filter)
{
    cvg_conv conv = CVG_CONV_INIT;
    cvg_error error;
    struct layer l = {.weights = out * in * filter * filter, .biases = out};
    conv.batch = N;
    conv.in_channels = in;
    conv.out_channels = out;
    for (int i = 0; i < 2; i++) {
        conv.in[i] = side;
        conv.filter[i] = filter;
        conv.pad_begin[i] = conv.pad_end[i] = filter / 2;
    }
    if (cvg_plan_create(&l.plan, &conv, NULL, &error)) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    float *all = calloc((size_t)(2 * (l.weights + out)), sizeof *all);
    l.w = all;
    l.b = l.w + l.weights;
    l.dw = l.b + out;
    l.db = l.dw + l.weights;
    for (int i = 0; i < l.weights; i++)
        l.w[i] = (float)(uniform() * sqrt(6.0 / (in * filter * filter)));
    return l;
}

static void layer_learn(struct layer *l, float rate)
{
    for (int i = 0; i < l->weights + l->biases; i++) /* w and b, dw and db, lie one after the other */
        l->w[i] -= rate * l->dw[i];
}

static void draw_bar(float *image, int *class)
{
    const int at = (int)((uniform() + 1) * 3) + 3;
    *class = (int)((uniform() + 1) * 2);
    for (int i = 0; i < PIXELS; i++)
        image[i] = (float)(0.3 * uniform());
    for (int i = 2; i < SIDE - 2; i++) {
        const int down = *class == 0 ? at : i, right = *class == 1 ? at : *class == 3 ? SIDE - 1 - i : i;
        image[(down * SIDE + right + (*class > 1 ? at - 6 : 0) + PIXELS) % PIXELS] += 1;
    }
}

int main(void)
{
    static float x[N * PIXELS], a1[N * C1 * PIXELS], a2[N * C2 * PIXELS], pooled[N * FEATURES], y[N * CLASSES];
    static float d1[N * C1 * PIXELS], d2[N * C2 * PIXELS], d_pooled[N * FEATURES], dy[N * CLASSES];
    static int class[N], most[N * FEATURES];
    struct layer one = layer_make(1, C1, SIDE, 3), two = layer_make(C1, C2, SIDE, 3);
    struct layer last = layer_make(FEATURES, CLASSES, 1, 1);
    size_t room = cvg_plan_workspace_most(one.plan), more = cvg_plan_workspace_most(two.plan);
    room = room > more ? room : more;
    more = cvg_plan_workspace_most(last.plan);
    void *work = malloc(room > more ? room : more);
    double loss = 0, right = 0;
    for (int step = 1; step <= 300; step++) {
        for (int n = 0; n < N; n++)
            draw_bar(x + n * PIXELS, &class[n]);
        cvg_forward(one.plan, x, one.w, one.b, a1, work);
        for (int i = 0; i < N * C1 * PIXELS; i++)
            a1[i] = a1[i] > 0 ? a1[i] : 0; /* ReLU */
        cvg_forward(two.plan, a1, two.w, two.b, a2, work);
        for (int i = 0; i < N * FEATURES; i++) { /* ReLU and max pooling of 2 x 2 */
            const int corner = (i / HALF * 2) * SIDE + i % HALF * 2;
            most[i] = corner;
            for (int k = 1; k < 4; k++)
                if (a2[corner + k / 2 * SIDE + k % 2] > a2[most[i]])
                    most[i] = corner + k / 2 * SIDE + k % 2;
            pooled[i] = a2[most[i]] > 0 ? a2[most[i]] : 0;
        }
        cvg_forward(last.plan, pooled, last.w, last.b, y, work);
        for (int n = 0; n < N; n++) { /* softmax and its gradient */
            float *out = y + n * CLASSES, sum = 0, top = out[0];
            int best = 0;
            for (int c = 1; c < CLASSES; c++)
                if (out[c] > top)
                    top = out[best = c];
            for (int c = 0; c < CLASSES; c++)
                sum += out[c] = expf(out[c] - top);
            for (int c = 0; c < CLASSES; c++)
                dy[n * CLASSES + c] = (out[c] / sum - (float)(c == class[n])) / N;
            loss -= log(out[class[n]] / sum);
            right += best == class[n];
        }
        cvg_backward(last.plan, pooled, last.w, dy, d_pooled, last.dw, last.db, CVG_OVERWRITE, work);
        memset(d2, 0, sizeof d2);
        for (int i = 0; i < N * FEATURES; i++)
            d2[most[i]] = pooled[i] > 0 ? d_pooled[i] : 0;
        cvg_backward(two.plan, a1, two.w, d2, d1, two.dw, two.db, CVG_OVERWRITE, work);
        for (int i = 0; i < N * C1 * PIXELS; i++)
            d1[i] = a1[i] > 0 ? d1[i] : 0;
        cvg_backward(one.plan, x, one.w, d1, NULL, one.dw, one.db, CVG_OVERWRITE, work);
        layer_learn(&one, 0.1f);
        layer_learn(&two, 0.1f);
        layer_learn(&last, 0.1f);
        if (step % 50 == 0) {
            printf("step %3d: loss %.4f, %.1f %% right\n", step, loss / (50 * N), 100 * right / (50 * N));
            if (step < 300)
                loss = right = 0;
        }
    }
    struct layer *all[] = {&one, &two, &last};
    for (int i = 0; i < 3; i++) {
        cvg_plan_destroy(all[i]->plan);
        free(all[i]->w);
    }
    free(work);
    return right < 0.95 * 50 * N; /* not learned */
}
