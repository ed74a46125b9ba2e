/*
 * OpenBLAS as most frameworks use it: the whole column matrix of one image and group in
 * plain C, and one matrix product.
 */
#include "cli.h"
#include "peer.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

struct state {
    cvg_pass pass;
    int64_t N, G, Cg, Kg; /* channels of one group */
    int64_t in[3], out[3], filter[3], stride[3], dilation[3], pad[3];
    int64_t in_size, out_size, filter_size;
    struct layer *layer;
    float *col; /* Cg * filter_size rows of out_size columns */
};

static void *open_pass(const cvg_conv *conv, cvg_pass pass, struct layer *layer, int threads, cvg_error *error)
{
    const int lead = 3 - conv->spatial_dims;
    int64_t out[3];
    if (conv->type != CVG_F32 || conv->layout != CVG_CHANNELS_FIRST || conv->weight_layout != CVG_KCRS) {
        cli_fail(error, "only f32 with channels first is measured");
        return NULL;
    }
    struct state *s = cli_alloc(1, sizeof *s);
    cvg_output_size(conv, out, error);
    *s = (struct state){
        .pass = pass,
        .N = conv->batch,
        .G = conv->groups,
        .Cg = conv->in_channels / conv->groups,
        .Kg = conv->out_channels / conv->groups,
        .in_size = 1,
        .out_size = 1,
        .filter_size = 1,
        .layer = layer,
    };
    for (int i = 0; i < 3; i++) {
        const int from = i - lead;
        s->in[i] = from < 0 ? 1 : conv->in[from];
        s->out[i] = from < 0 ? 1 : out[from];
        s->filter[i] = from < 0 ? 1 : conv->filter[from];
        s->stride[i] = from < 0 ? 1 : conv->stride[from];
        s->dilation[i] = from < 0 ? 1 : conv->dilation[from];
        s->pad[i] = from < 0 ? 0 : conv->pad_begin[from];
        s->in_size *= s->in[i];
        s->out_size *= s->out[i];
        s->filter_size *= s->filter[i];
    }
    s->col = cli_alloc((size_t)(s->Cg * s->filter_size * s->out_size), sizeof *s->col);
    openblas_set_num_threads(threads);
    return s;
}

static void close_pass(void *state)
{
    struct state *s = state;
    free(s->col);
    free(s);
}

/*
 * Fills the columns from the image, or with back adds them to it.  A row of pixels of
 * stride 1 is copied as a whole.
 */
static void columns(const struct state *s, float *image, float *col, int back)
{
    const int64_t step = s->stride[2], Q = s->out[2];
    for (int64_t c = 0; c < s->Cg; c++)
        for (int64_t tap = 0; tap < s->filter_size; tap++)
            for (int64_t o = 0; o < s->out[0]; o++)
                for (int64_t p = 0; p < s->out[1]; p++, col += Q) {
                    const int64_t t = tap / s->filter[2] / s->filter[1];
                    const int64_t r = tap / s->filter[2] % s->filter[1];
                    const int64_t d = o * s->stride[0] + t * s->dilation[0] - s->pad[0];
                    const int64_t h = p * s->stride[1] + r * s->dilation[1] - s->pad[1];
                    const int64_t w = tap % s->filter[2] * s->dilation[2] - s->pad[2];
                    int64_t low = 0, high = 0; /* pixels that meet the image */
                    float *row = image;
                    if (d >= 0 && d < s->in[0] && h >= 0 && h < s->in[1]) {
                        low = w < 0 ? (-w + step - 1) / step : 0;
                        low = low < Q ? low : Q;
                        high = w < s->in[2] ? (s->in[2] - 1 - w) / step + 1 : 0;
                        high = high < low ? low : high < Q ? high : Q;
                        row += ((c * s->in[0] + d) * s->in[1] + h) * s->in[2] + w;
                    }
                    if (back) {
                        for (int64_t q = low; q < high; q++)
                            row[q * step] += col[q];
                        continue;
                    }
                    memset(col, 0, (size_t)low * sizeof *col);
                    if (step == 1 && high > low)
                        memcpy(col + low, row + low, (size_t)(high - low) * sizeof *col);
                    else
                        for (int64_t q = low; q < high; q++)
                            col[q] = row[q * step];
                    memset(col + high, 0, (size_t)(Q - high) * sizeof *col);
                }
}

/* Job of one image and group: columns and one product. */
static void run_image(const struct state *s, float *image, float *w, float *y, int first)
{
    const int M = (int)s->Kg, P = (int)s->out_size, L = (int)(s->Cg * s->filter_size);
    const int plain = s->filter_size == 1 && s->in_size == s->out_size; /* the image is the columns */
    float *col = plain ? image : s->col;
    if (!plain && s->pass != CVG_GRAD_INPUT)
        columns(s, image, col, 0);
    if (s->pass == CVG_FORWARD)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, M, P, L, 1, w, L, col, P, 0, y, P);
    else if (s->pass == CVG_GRAD_INPUT)
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, L, P, M, 1, w, L, y, P, 0, col, P);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, L, P, 1, y, P, col, P, first ? 0 : 1, w, L);
    if (!plain && s->pass == CVG_GRAD_INPUT) {
        memset(image, 0, (size_t)(s->Cg * s->in_size) * sizeof *image);
        columns(s, image, col, 1);
    }
}

static void run_pass(void *state)
{
    const struct state *s = state;
    const struct layer *l = s->layer;
    float *images = s->pass == CVG_GRAD_INPUT ? l->grad_input.data : l->input.data;
    float *weights = s->pass == CVG_GRAD_WEIGHT ? l->grad_weight.data : l->weight.data;
    float *pixels = s->pass == CVG_FORWARD ? l->output.data : l->grad_output.data;
    for (int64_t i = 0; i < s->N * s->G; i++)
        run_image(s, images + i * s->Cg * s->in_size, weights + i % s->G * s->Kg * s->Cg * s->filter_size,
                  pixels + i * s->Kg * s->out_size, i < s->G);
}

const struct peer peer_openblas = {"openblas", "openblas", 1, open_pass, run_pass, close_pass};
