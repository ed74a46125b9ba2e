/* Every intermediate array of both methods, under the textbook's names. */
#ifndef CLI_EXPLAIN_H
#define CLI_EXPLAIN_H

#include "cli.h"

#include <inttypes.h>
#include <stdio.h>

/* clang-format off */
enum explained {
    X, W, DELTA_IN,                                       /* what is given */
    COL_X, COL_W, Y,                                      /* forward */
    DELTA_IN_2D, DB, DW_COL, DW, DCOL, DELTA_OUT,         /* method 2 */
    INPUT_PADDED, DZ_STRIDE_1, DZ_PADDED, ROT_WEIGHTS,    /* method 1 */
    EXPLAINED
};
/* clang-format on */

/* What is said of a problem: first what each array is called by frameworks (enum explained), then these. */
/* clang-format off */
enum sentence {
    SAY_PROBLEM = EXPLAINED, SAY_CUT, SAY_ONES, SAY_GIVEN, SAY_FORWARD, SAY_BACKWARD, SAY_METHOD_1, SAY_DIFFERENCE,
    SAY_TOO_MANY_STEPS, SAY_STEPS, SAY_STEP, SAY_PADDING, SAY_TO,
    SAY_COL2IMG, SAY_IM2COL, SAY_ROW_ADDED, SAY_WINDOW, SAY_IS_ROW, SAY_NO_PIXELS, SAY_AFTER_ROW,
    SENTENCES
};
/* clang-format on */
enum language { ENGLISH, CHINESE, LANGUAGES };

struct explanation {
    cvg_conv conv;
    enum language language;        /* of text and figures */
    struct array array[EXPLAINED]; /* f64 */
    double disagreement;           /* largest difference of the two methods and the library */
    const char *files[3];          /* of x, w and delta_in; no files: they count 0, 1, 2, ...; the last alone: ones */
    char whole[256];               /* the problem that this one was cut from; empty: none */
};

/* Explains a problem on operands of its shapes (f64, taken over). */
struct explanation explain(const cvg_conv *conv, struct array x, struct array w, struct array delta_in);
void explanation_free(struct explanation *e);

/* The same on tensors that hold 0, 1, 2, ... */
struct explanation explain_counting(const cvg_conv *conv);

/* The section's example, 1 simple or 2 complex, which are such. */
struct explanation explain_example(int number);
cvg_conv explain_example_conv(int number);

/* Whether a problem can be shown as text or JSON, on a page, in a figure: each has the limit that its name says. */
int explain_fits_text(const cvg_conv *conv);
int explain_fits_page(const cvg_conv *conv);
int explain_fits_figure(const cvg_conv *conv);
#define EXPLAIN_TEXT_LIMIT "300,000 elements of all arrays"
enum { EXPLAIN_PAGE_CELLS = 12000 }; /* the page is told, since it makes problems of its own */
#define EXPLAIN_PAGE_LIMIT "12,000 elements of all arrays"
#define EXPLAIN_FIGURE_LIMIT "16 output pixels, or 128 elements of a sample or window,"

/*
 * Cuts a problem down to its first sample, pixels, groups and channels, in this order, until it fits;
 * 0 if it never does.  Channels that are left are the first.
 */
int explain_cut(cvg_conv *conv, int (*fits)(const cvg_conv *conv));

/* The part of an array that begins there and has another shape of as many axes. */
struct array explain_cut_array(const struct array *array, const int64_t *begin, const int64_t *shape);

/* Prints all of it. */
void explain_text(FILE *out, const struct explanation *e);
void explain_json(FILE *out, const struct explanation *e);
void explain_page(FILE *out, const struct explanation *e);

/* Draws figure 17-30 for every output pixel: its row of dcol and the image after it; or its window and its row of
 * col_x. */
void explain_col2img(FILE *out, const struct explanation *e);
void explain_im2col(FILE *out, const struct explanation *e);

/* The element of x or delta_out that cell [row][j] of col_x or dcol stands for, or -1 for padding. */
int64_t explain_place(const struct explanation *e, int64_t row, int64_t j);

/* Prints one array as NumPy does, indented by a space, under its names. */
void explain_array(FILE *out, const struct explanation *e, enum explained which);

/* Figure 17-30: each row of dcol is moved into delta_out, where what overlaps is added. */
void explain_steps(FILE *out, const struct explanation *e);

extern const char *const explained_names[EXPLAINED]; /* the textbook's */

/* A sentence, or an array's name, in the explanation's language; some are formats. */
const char *explain_say(const struct explanation *e, int sentence);

/* The language of that name, such as "zh"; -1 if there is none. */
int explain_language(const char *name);

/* The numbers that the section prints of an example's array; NULL if it prints none. */
const double *textbook_numbers(int example, enum explained which, int *count);

/* 1 if all arrays that the section prints of an example are equal to e's. */
int textbook_agrees(int example, const struct explanation *e);

#endif
