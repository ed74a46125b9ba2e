/* What bench found, as a table, a summary, a picture and a page. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "convgrad.h"
#include "output.h"
#include "peer.h"

enum { CANDIDATES_MOST = CVG_ALGO_COUNT + PEERS_MOST };

/* One layer: percent of the FMA peak by pass and candidate; 0 where not measured. */
struct report_row {
    char name[72]; /* with its type, unless that is f32 */
    cvg_type type;
    double peak; /* of the type, flop/s */
    double percent[CVG_PASS_COUNT][CANDIDATES_MOST];
    double error[CVG_PASS_COUNT][CANDIDATES_MOST]; /* root mean square, of that of the result; -1: not known */
    double intensity; /* flop for each byte of the three tensors of a pass */
};

struct report {
    const char *names[CANDIDATES_MOST];
    int count, ours; /* candidates, and how many of the first are ours */
    struct report_row *rows;
    int row_count;
    double peak; /* the highest, flop/s */
    int interrupted;
};

/* Begins a row; returns its index. */
int report_row(struct report *report, const char *name, const cvg_conv *conv, double peak);

void report_add(struct report *report, int row, cvg_pass pass, int candidate, double percent, double error);

/* A table of all layers, and for each pass geometric means and ratios to the first candidate. */
void report_print(const struct report *report);

/* Dies unless FILE.svg can be written and gnuplot is there to draw it. */
void plot_open(struct output *plot, const char *path);

/* Draws % of peak by layer and pass, and a roofline. */
void report_plot(const struct report *report, struct output *plot, int threads);

/* The same as a page of charts. */
void report_page(const struct report *report, FILE *out, int threads);

#endif
