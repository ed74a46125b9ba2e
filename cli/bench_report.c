#include "bench.h"

#include "cli.h"
#include "page.h"

#include <math.h>
#include <stdio.h>

int report_row(struct report *report, const char *name, const char *problem, const cvg_conv *conv, double peak)
{
    struct report_row *row = &report->rows[report->row_count];
    const struct sizes z = problem_sizes(conv);
    const double bytes = (double)cvg_type_size(conv->type) * ((double)z.input + (double)z.weight + (double)z.output);
    char suffix[16] = "";
    if (conv->type != CVG_F32)
        snprintf(suffix, sizeof suffix, " (%s)", type_name(conv->type));
    snprintf(row->name, sizeof row->name, "%s%s", name, suffix);
    snprintf(row->problem, sizeof row->problem, "%s", problem);
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

/* One candidate's geometric mean of % of peak, and of its speed beside the base's. */
static void print_summary(const struct report *report, int pass, int c, int first)
{
    double own = 0, ratio = 0, most = 0, error = -1;
    int count = 0, where = 0;
    for (int i = 0; i < report->row_count; i++) {
        const double *percent = report->rows[i].percent[pass];
        if (!(percent[c] > 0 && percent[0] > 0))
            continue;
        error = fmax(error, report->rows[i].error[pass][c]);
        own += log(percent[c]);
        ratio += log(percent[c] / percent[0]);
        if (percent[c] / percent[0] > most) {
            most = percent[c] / percent[0];
            where = i;
        }
        count++;
    }
    if (!count)
        return;
    char worst[48] = "", rms[16] = "";
    if (c)
        snprintf(worst, sizeof worst, "%5.2fx  %-26.26s", most, report->rows[where].name);
    if (error >= 0)
        snprintf(rms, sizeof rms, "%.1e", error);
    printf("  %-11s %-14s %6d %7.1f %7.2fx   %-34s %9s\n", first ? pass_names[pass] : "", report->names[c], count,
           exp(own / count), exp(ratio / count), worst, rms);
}

void report_print(const struct report *report)
{
    printf("\nGeometric means of layers; speed 1.00x is that of %s\n", report->names[0]);
    printf("  %-11s %-14s %6s %7s %8s   %-34s %9s\n", "pass", "algorithm", "layers", "% peak", "speed",
           "at most, in layer", "max error");
    for (int pass = 0; pass < CVG_PASS_COUNT; pass++)
        for (int c = 0; c < report->count; c++)
            print_summary(report, pass, c, c == 0);
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

void report_page(const struct report *report, FILE *out)
{
    fputs(page_bench.before, out);
    fprintf(out, "{\"bytes\": ");
    json_number(out, peak_bytes(report->about->threads));
    fprintf(out, ", \"threads\": %d", report->about->threads);
    about_json(report->about, out);
    json_strings(out, "passes", pass_names, CVG_PASS_COUNT);
    json_strings(out, "names", report->names, report->count);
    fprintf(out, ", \"rows\": [");
    for (int i = 0; i < report->row_count; i++) {
        const struct report_row *row = &report->rows[i];
        fprintf(out, "%s\n{\"name\": ", i ? "," : "");
        json_string(out, row->name);
        fprintf(out, ", \"problem\": ");
        json_string(out, row->problem);
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
