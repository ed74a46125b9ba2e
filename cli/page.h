/* Pages of HTML: their sources stand in page/, their data are put in as JSON. */
#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include <stdio.h>

struct page {
    const char *before, *after; /* the data */
};

extern const struct page page_explain, page_bench, page_report; /* made by cmake/embed.cmake */

/*
 * Prints text, of any bytes, as a JSON string that HTML may stand around: what would be markup or is not printable
 * is escaped, what is no UTF-8 becomes U+FFFD.
 */
void json_string(FILE *out, const char *text);

/* Prints a number so that it is read back as the same; "NaN", "Infinity" and "-Infinity" as strings. */
void json_number(FILE *out, double value);

#endif
