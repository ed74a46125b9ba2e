/* What bench found, as a table, a summary and a page. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "about.h"
#include "convgrad.h"
#include "output.h"
#include "peer.h"

enum { CANDIDATES_MOST = CVG_ALGO_COUNT + PEERS_MOST };

/* One layer: percent of the FMA peak by pass and candidate; 0 where not measured. */
struct report_row {
    char name[72]; /* with its type, unless that is f32 */
    char problem[256];
    cvg_type type;
    double peak; /* of the type, flop/s */
    double percent[CVG_PASS_COUNT][CANDIDATES_MOST];
    double error[CVG_PASS_COUNT][CANDIDATES_MOST]; /* root mean square, of that of the result; -1: not known */
    double intensity; /* flop for each byte of the three tensors of a pass */
};

/* The first candidate is the base of all ratios. */
struct report {
    const struct about *about;
    const char *names[CANDIDATES_MOST];
    int count; /* of candidates */
    struct report_row *rows;
    int row_count;
    double peak; /* the highest, flop/s */
};

/* Begins a row; returns its index. */
int report_row(struct report *report, const char *name, const char *problem, const cvg_conv *conv, double peak);

void report_add(struct report *report, int row, cvg_pass pass, int candidate, double percent, double error);

/* For each pass and candidate: geometric means of % of peak and of speed beside the base, and the layer of most. */
void report_print(const struct report *report);

/* The same as a page of charts. */
void report_page(const struct report *report, FILE *out);

#endif
