/* Still pictures of img2col and col2img: a panel for each output pixel. */
#include "explain.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GAP = 14, LINE = 26, WIDE = 1100 }; /* between tables; height of a line of cells; width if panels allow */

static const char head[] =
    "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n"
    "<title>%s</title>\n"
    "<style>\n"
    "text { font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #1c1f22 }\n"
    "rect { fill: none; stroke: #b9bfc4 }\n"
    ".lit { fill: #d8eaff; stroke: #0b5fb0; stroke-width: 2 }\n"
    ".bold { font-weight: bold }\n"
    ".n { text-anchor: end }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "  text { fill: #e8eaec }\n"
    "  rect { stroke: #4d565e }\n"
    "  .lit { fill: #12304f; stroke: #7cbcff }\n"
    "}\n"
    "</style>\n";

/*
 * A panel has a sample's image, its planes side by side, and a row of a column matrix; the cells that belong together
 * are lit.  The first time all is "drawn" without a file, to find the longest text.
 */
struct figure {
    FILE *out; /* NULL: measure */
    const struct explanation *e;
    int scatter; /* col2img: the row goes into the image, which grows; else im2col */
    double *image;
    int64_t *tap; /* of an element of the image in the panel's row, or -1 */
    int longest;  /* text of a cell */
    int64_t planes, height, width, rows, taps;
    int cell, across; /* width of a cell; planes in a line */
    int panel_width, panel_height, image_height;
};

static int larger(int a, int b) { return a > b ? a : b; }

static void draw_cell(struct figure *f, int x, int y, int lit, const char *text)
{
    f->longest = larger(f->longest, (int)strlen(text));
    if (!f->out)
        return;
    fprintf(f->out, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"%s/>", x, y, f->cell - 3, LINE - 3,
            lit ? " class=\"lit\"" : "");
    fprintf(f->out, "<text x=\"%d\" y=\"%d\" class=\"%s\">%s</text>\n", x + f->cell - 8, y + 16, lit ? "n bold" : "n",
            text);
}

static void draw_label(struct figure *f, int x, int y, enum sentence sentence, int64_t row)
{
    if (!f->out)
        return;
    fprintf(f->out, "<text x=\"%d\" y=\"%d\">", x, y + 16);
    fprintf(f->out, explain_say(f->e, sentence), row);
    fprintf(f->out, "</text>\n");
}

static void draw_row(struct figure *f, int64_t row, int x, int y)
{
    char text[64];
    for (int64_t j = 0; j < f->taps; j++) {
        snprintf(text, sizeof text, "%.8g", array_get(&f->e->array[f->scatter ? DCOL : COL_X], row * f->taps + j));
        draw_cell(f, x + (int)j * f->cell, y, explain_place(f->e, row, j) >= 0, text); /* padding is not lit */
    }
}

/* The image of a sample; in col2img with what the row adds, if there is one (-1: none). */
static void draw_image(struct figure *f, int64_t sample, int64_t row, int x, int y)
{
    const int64_t elements = f->planes * f->height * f->width, begin = sample * elements;
    for (int64_t i = begin; i < begin + elements; i++)
        f->tap[i] = -1;
    for (int64_t j = 0; row >= 0 && j < f->taps; j++) { /* at most one tap takes an element */
        const int64_t at = explain_place(f->e, row, j);
        if (at >= 0)
            f->tap[at] = j;
    }
    for (int64_t i = begin; i < begin + elements; i++) {
        char text[64];
        const int lit = f->tap[i] >= 0;
        snprintf(text, sizeof text, "%.8g", f->image[i]);
        if (lit && f->scatter) {
            const double value = array_get(&f->e->array[DCOL], row * f->taps + f->tap[i]);
            snprintf(text, sizeof text, signbit(value) ? "%.8g%.8g" : "%.8g+%.8g", f->image[i], value);
            f->image[i] += value;
        }
        const int64_t at = i - begin, plane = at / (f->height * f->width);
        draw_cell(f, x + (int)(plane % f->across) * ((int)f->width * f->cell + GAP) + (int)(at % f->width) * f->cell,
                  y + (int)(plane / f->across) * ((int)f->height * LINE + GAP) +
                      (int)(at / f->width % f->height) * LINE,
                  lit, text);
    }
}

static void draw_panels(struct figure *f, int in_line)
{
    for (int64_t i = 0; i < f->e->array[X].count; i++)
        f->image[i] = f->scatter ? 0 : array_get(&f->e->array[X], i);
    for (int64_t row = 0; row < f->rows; row++) {
        const int64_t sample = row / (f->rows / f->e->conv.batch);
        const int x = (int)(row % in_line) * f->panel_width + GAP, y = (int)(row / in_line) * f->panel_height + GAP;
        if (f->scatter) {
            draw_label(f, x, y, SAY_ROW_ADDED, row);
            draw_row(f, row, x, y + LINE);
            draw_image(f, sample, row, x, y + 2 * LINE + GAP);
        } else {
            draw_image(f, sample, row, x, y + LINE);
            draw_label(f, x, y, SAY_WINDOW, row);
            draw_label(f, x, y + LINE + f->image_height, SAY_IS_ROW, row);
            draw_row(f, row, x, y + 2 * LINE + f->image_height);
        }
    }
    if (!f->rows)
        draw_label(f, GAP, GAP, SAY_NO_PIXELS, 0);
    if (f->scatter) {
        const int y = (int)(f->rows + in_line - 1) / in_line * f->panel_height + GAP;
        if (f->rows)
            draw_label(f, GAP, y, SAY_AFTER_ROW, f->rows - 1);
        for (int64_t n = 0; n < f->e->conv.batch; n++)
            draw_image(f, n, -1, GAP, y + LINE + (int)n * f->image_height);
    }
}

static void draw(FILE *out, const struct explanation *e, int scatter)
{
    const cvg_conv *conv = &e->conv;
    const int dims = conv->spatial_dims;
    struct figure f = {.e = e,
                       .scatter = scatter,
                       .image = cli_alloc((size_t)e->array[X].count + 1, sizeof(double)),
                       .tap = cli_alloc((size_t)e->array[X].count + 1, sizeof(int64_t)),
                       .width = conv->in[dims - 1],
                       .height = dims > 1 ? conv->in[dims - 2] : 1,
                       .planes = conv->in_channels * (dims == 3 ? conv->in[0] : 1),
                       .across = 1,
                       .rows = e->array[DCOL].shape[0],
                       .taps = e->array[DCOL].shape[1]};
    draw_panels(&f, 1);
    f.cell = 8 * larger(f.longest, 2) + 13;
    const int row = (int)f.taps * f.cell, plane = (int)f.width * f.cell + GAP;
    f.across = larger(1, (larger(row, WIDE / 2) + GAP) / plane);
    if (f.across > f.planes)
        f.across = (int)f.planes;
    f.image_height = (int)((f.planes + f.across - 1) / f.across) * ((int)f.height * LINE + GAP);
    f.panel_width = larger(larger(row, f.across * plane - GAP), 220) + 2 * GAP;
    f.panel_height = 3 * LINE + f.image_height + 2 * GAP;
    int in_line = larger(1, WIDE / f.panel_width);
    const int lines = ((int)f.rows + in_line - 1) / in_line;
    in_line = lines ? ((int)f.rows + lines - 1) / lines : 1; /* as many in each */
    const int width = in_line * f.panel_width, height = (lines ? lines * f.panel_height : LINE) + GAP +
                                                        (scatter ? LINE + (int)conv->batch * f.image_height : 0);
    f.out = out;
    fprintf(out, head, width, height, width, height, explain_say(e, scatter ? SAY_COL2IMG : SAY_IM2COL));
    draw_panels(&f, in_line);
    fprintf(out, "</svg>\n");
    free(f.tap);
    free(f.image);
}

void explain_col2img(FILE *out, const struct explanation *e) { draw(out, e, 1); }

void explain_im2col(FILE *out, const struct explanation *e) { draw(out, e, 0); }
