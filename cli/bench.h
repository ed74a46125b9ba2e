/* What bench found, as a table, a summary and a page. */
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "about.h"
#include "convgrad.h"
#include "output.h"
#include "peer.h"

enum { BENCH_MOST_RUNS = 1000 }; /* of a candidate: room for their times */
enum { CANDIDATES_MOST = CVG_ALGO_COUNT + PEERS_MOST };

/* What is timed: an algorithm of ours, or a peer. */
struct candidate {
    const char *name;
    cvg_algo algo;
    const struct peer *peer; /* NULL: ours */
    cvg_plan *plan;          /* NULL: refused */
    cvg_error why;
    void *workspace; /* ours; the peer's state */
    double *times;
    int runs;
    double error_rms, error_most; /* of the result, in parts of its root mean square; -1: not known */
};

/* A layer's tensors, the same numbers for every type. */
struct layer bench_layer_of(const cvg_conv *conv);
void bench_layer_free(struct layer *layer);

/* Times one pass by all candidates in turn, so that a slow spell of the machine hits all alike; times are sorted. */
void bench_time_pass(struct candidate *const *candidates, int count, cvg_pass pass, const struct layer *layer,
                     double min_time);

/*
 * How far each result is from that in double, in parts of its root mean square.  Dies of one that is
 * something else: a speed of that proves nothing.
 */
void bench_compare_results(const cvg_conv *conv, struct candidate *const *ready, int count, cvg_pass pass,
                           struct layer *layer, int threads);

/* One layer: percent of the FMA peak by pass and candidate; 0 where not measured. */
struct report_row {
    char name[72]; /* with its type, unless that is f32 */
    char problem[256];
    cvg_type type;
    double peak; /* of the type, flop/s */
    double percent[CVG_PASS_COUNT][CANDIDATES_MOST];
    double error[CVG_PASS_COUNT][CANDIDATES_MOST]; /* root mean square, of that of the result; -1: not known */
    double intensity;                              /* flop for each byte of the three tensors of a pass */
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
