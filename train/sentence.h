/* Sentences for mistakes, text that grows, and the words of a line of model text. */
#ifndef CVG_TRAIN_SENTENCE_H
#define CVG_TRAIN_SENTENCE_H

#include "convgrad.h"

#if defined(__GNUC__)
#define CVT_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define CVT_PRINTF(at, first)
#endif

/* Writes a sentence to error unless that is NULL, and returns status. */
CVT_PRINTF(3, 4) cvg_status cvt_fail(cvg_error *error, cvg_status status, const char *format, ...);

/* Text that grows past the end of its buffer without being written there. */
struct cvt_text {
    char *text;
    size_t size, length;
};
CVT_PRINTF(2, 3) void cvt_print(struct cvt_text *t, const char *format, ...);

enum { CVT_WORDS = 16, CVT_LINE = 240, CVT_WORD = 32 };

/* A line of model text: its words, of which some were taken. */
struct cvt_line {
    int number, words;
    char text[CVT_LINE + 1], copy[CVT_LINE + 1];
    const char *name; /* of its output, or NULL */
    char *word[CVT_WORDS];
    int taken[CVT_WORDS];
    cvg_error *error;
};

/*
 * Reads the line at *at of text, moves *at past it, and counts it.  Returns 1, 0 at the end, or -1 for a mistake.
 * Empty lines have no words.
 */
int cvt_next_line(struct cvt_line *line, const char *text, size_t length, size_t *at);

/* "line 3: " and a sentence; CVG_INVALID_ARGUMENT. */
CVT_PRINTF(2, 3) cvg_status cvt_line_fail(struct cvt_line *line, const char *format, ...);

/* The next word without "=" that was not taken; NULL if there is none.  The value of KEY=VALUE, alike. */
const char *cvt_take(struct cvt_line *line);
const char *cvt_take_key(struct cvt_line *line, const char *key);

/*
 * Reads a whole number in [least, most], a number, or a number for each axis ("5" or "5x3"); what: its name for
 * sentences.  text NULL: nothing is changed.
 */
cvg_status cvt_read_whole(struct cvt_line *line, const char *text, const char *what, int64_t least, int64_t most,
                          int64_t *value);
cvg_status cvt_read_number(struct cvt_line *line, const char *text, const char *what, double *value);
cvg_status cvt_read_axes(struct cvt_line *line, const char *text, const char *what, int rank, int64_t least,
                         int64_t value[3]);

/* A sentence about a word that nobody took, if there is one. */
cvg_status cvt_all_taken(struct cvt_line *line, const char *usage);

/* The number that text begins with, in decimal, without the C library's locale; *end behind it. */
double cvt_parse_number(const char *text, const char **end);

#endif
