#include "bench.h"

#include "cli.h"
#include "page.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int report_row(struct report *report, const char *name, const cvg_conv *conv, double peak)
{
    struct report_row *row = &report->rows[report->row_count];
    const struct sizes z = problem_sizes(conv);
    const double bytes = (conv->type == CVG_F32 ? 4 : 8) * ((double)z.input + (double)z.weight + (double)z.output);
    snprintf(row->name, sizeof row->name, "%s%s", name, conv->type == CVG_F64 ? " (f64)" : "");
    row->type = conv->type;
    row->peak = peak;
    report->peak = fmax(report->peak, peak);
    row->intensity = 2 * z.macs / bytes;
    return report->row_count++;
}

void report_add(struct report *report, int row, cvg_pass pass, int candidate, double percent, double error)
{
    report->rows[row].error[pass][candidate] = error;
    report->rows[row].percent[pass][candidate] = percent;
}

/* Whether anything was measured in a pass. */
static int has_pass(const struct report *report, int pass)
{
    for (int i = 0; i < report->row_count; i++)
        for (int c = 0; c < report->count; c++)
            if (report->rows[i].percent[pass][c] > 0)
                return 1;
    return 0;
}

static void print_table(const struct report *report)
{
    printf("\n%% of the FMA peak\n%-28s", "layer");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        for (int c = 0; has_pass(report, pass) && c < report->count; c++)
            printf(" %14s", c ? "" : pass_names[pass]);
    printf("\n%-28s", "");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        for (int c = 0; has_pass(report, pass) && c < report->count; c++)
            printf(" %14s", report->names[c]);
    printf("\n");
    for (int i = 0; i < report->row_count; i++) {
        printf("%-28.28s", report->rows[i].name);
        for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
            for (int c = 0; has_pass(report, pass) && c < report->count; c++) {
                const double percent = report->rows[i].percent[pass][c];
                if (percent > 0)
                    printf(" %14.1f", percent);
                else
                    printf(" %14s", "-");
            }
        printf("\n");
    }
}

/* Geometric mean of one candidate's % of peak, and of the first one's times its. */
static void print_summary(const struct report *report, int pass, int c)
{
    double own = 0, ratio = 0, worst = INFINITY, error = -1;
    int count = 0, where = 0;
    for (int i = 0; i < report->row_count; i++) {
        const double *percent = report->rows[i].percent[pass];
        if (!(percent[c] > 0 && percent[0] > 0))
            continue;
        error = fmax(error, report->rows[i].error[pass][c]);
        own += log(percent[c]);
        ratio += log(percent[0] / percent[c]);
        if (percent[0] / percent[c] < worst) {
            worst = percent[0] / percent[c];
            where = i;
        }
        count++;
    }
    if (!count)
        return;
    printf("%-12s %-14s %6.1f over %d layers", pass_names[pass], report->names[c], exp(own / count), count);
    if (c)
        printf("; %s is %.2f times as fast, at worst %.2f (%s)", report->names[0], exp(ratio / count), worst,
               report->rows[where].name);
    if (error >= 0)
        printf("; error at most %.1e rms", error);
    printf("\n");
}

void report_print(const struct report *report)
{
    print_table(report);
    printf("\nGeometric mean of %% of peak\n");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        for (int c = 0; c < report->count; c++)
            print_summary(report, pass, c);
}

void plot_open(struct output *plot, const char *path)
{
    const size_t length = strlen(path);
    if (length < 4 || strcmp(path + length - 4, ".svg") || strpbrk(path, "'\n"))
        die(EXIT_BAD_INPUT, "--plot is \"%s\"; must be a file name that ends with .svg, without '", path);
    if (system("gnuplot --version >/dev/null 2>&1"))
        die(EXIT_WRONG, "--plot draws with gnuplot, which is not there; install gnuplot");
    output_open(plot, "--plot", path);
}

/* The data: one line for each layer, with the names first; gnuplot's $data. */
static void plot_data(FILE *plot, const struct report *report)
{
    fprintf(plot, "$data << END\n");
    for (int i = 0; i < report->row_count; i++) {
        const char *name = report->rows[i].name; /* from files: nothing that ends the data or its quotes */
        fputc('"', plot);
        for (int c = 0; name[c]; c++)
            fputc(name[c] == '"' || (unsigned char)name[c] < ' ' ? '_' : name[c], plot);
        fprintf(plot, "\" %g %g", report->rows[i].intensity, report->rows[i].peak * 1e-11);
        for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
            for (int c = 0; c < report->count; c++) {
                const double percent = report->rows[i].percent[pass][c];
                if (percent > 0)
                    fprintf(plot, " %g", percent);
                else
                    fprintf(plot, " NaN");
            }
        fprintf(plot, "\n");
    }
    fprintf(plot, "END\n");
}

void report_plot(const struct report *report, struct output *output, int threads)
{
    const double bytes = peak_bytes(threads);
    FILE *plot = popen("gnuplot", "w");
    if (!plot)
        die(EXIT_WRONG, "--plot: gnuplot: %s", strerror(errno));
    fprintf(plot, "set terminal svg size 1200,1700 font 'sans,13' background 'white'\nset output '%s'\n", output->part);
    plot_data(plot, report);
    fprintf(plot, "set multiplot layout 4,1\nset grid\nset key outside right\n");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        if (!has_pass(report, pass))
            continue;
        fprintf(plot, "set title '%s' noenhanced\nset ylabel '%% of the FMA peak'\nset yrange [0:*]\n"
                      "set xtics rotate by -40 noenhanced font 'sans,10'\nset xrange [-0.5:%g]\nplot", pass_names[pass],
                report->row_count - 0.5);
        for (int c = 0; c < report->count; c++)
            fprintf(plot, "%s $data using %d:xtic(1) with linespoints linewidth %d pointtype %d title '%s' noenhanced",
                    c ? "," : "", 4 + pass * report->count + c, c < report->ours ? 3 : 1, c + 4,
                    report->names[c]);
        fprintf(plot, "\n");
    }
    fprintf(plot, "set title 'Roofline: FMA peak %.0f GFLOP/s, memory %.1f GB/s; threads: %d'\n"
                  "set xlabel 'flop for each byte of the three tensors'\nset ylabel 'GFLOP/s'\n"
                  "set logscale xy\nset xtics norotate\nset yrange [1:*]\nset xrange [0.5:*]\n"
                  "roof(x) = x * %g < %g ? x * %g : %g\nplot roof(x) title 'roof' linecolor 'black'",
            report->peak * 1e-9, bytes * 1e-9, threads, bytes * 1e-9, report->peak * 1e-9, bytes * 1e-9,
            report->peak * 1e-9);
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        if (has_pass(report, pass))
            fprintf(plot, ", $data using 2:(column(%d)*column(3)) with points pointtype %d title '%s %s' noenhanced",
                    4 + pass * report->count, pass + 5, report->names[0],
                    pass_names[pass]);
    fprintf(plot, "\nunset multiplot\n");
    if (pclose(plot))
        die(EXIT_WRONG, "--plot: gnuplot failed");
    output_close(output);
}

/* One array of numbers for each pass. */
static void json_by_pass(FILE *out, const char *name, const double (*values)[CANDIDATES_MOST], int count)
{
    fprintf(out, ", \"%s\": [", name);
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++) {
        fputs(pass ? ", [" : "[", out);
        for (int c = 0; c < count; c++) {
            fputs(c ? ", " : "", out);
            json_number(out, values[pass][c]);
        }
        fputc(']', out);
    }
    fputc(']', out);
}

static void json_strings(FILE *out, const char *name, const char *const *texts, int count)
{
    fprintf(out, ", \"%s\": [", name);
    for (int i = 0; i < count; i++) {
        fputs(i ? ", " : "", out);
        json_string(out, texts[i]);
    }
    fputc(']', out);
}

void report_page(const struct report *report, FILE *out, int threads)
{
    fputs(page_bench.before, out);
    fprintf(out, "{\"interrupted\": %s, \"bytes\": ", report->interrupted ? "true" : "false");
    json_number(out, peak_bytes(threads));
    fprintf(out, ", \"threads\": %d", threads);
    json_strings(out, "passes", pass_names, CVG_PASS_COUNT);
    json_strings(out, "names", report->names, report->count);
    fprintf(out, ", \"rows\": [");
    for (int i = 0; i < report->row_count; i++) {
        const struct report_row *row = &report->rows[i];
        fprintf(out, "%s\n{\"name\": ", i ? "," : "");
        json_string(out, row->name);
        fprintf(out, ", \"type\": \"%s\", \"peak\": ", type_name(row->type));
        json_number(out, row->peak);
        fprintf(out, ", \"intensity\": ");
        json_number(out, row->intensity);
        json_by_pass(out, "percent", row->percent, report->count);
        json_by_pass(out, "error", row->error, report->count);
        fputc('}', out);
    }
    fprintf(out, "\n]}\n");
    fputs(page_bench.after, out);
}
