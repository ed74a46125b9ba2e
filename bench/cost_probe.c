/*
 * What AUTO's model says, for bench/fit.py, which makes the rates of src/algo/cost.h variables and compiles this:
 *
 *   cost_probe FILE     lines "problem pass algorithm" (passes by number); then, for each line of rates on standard
 *                       input, in the order of the table, a line of costs; 0 where an algorithm refuses
 */
#include "plan.h"

#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern double *const fit_rates[];
extern const int fit_rate_count;

struct record {
    struct cvg_shape shape;
    cvg_pass pass;
    const struct cvg_algorithm *algorithm;
};

static const struct cvg_algorithm *algorithm_named(const char *name)
{
    for (int i = 0; cvg_algorithm_at(i); i++)
        if (!strcmp(cvg_algorithm_at(i)->name, name))
            return cvg_algorithm_at(i);
    return NULL;
}

int main(int argc, char **argv)
{
    enum { MOST = 100000 };
    struct record *records = calloc(MOST, sizeof *records);
    char text[300], name[40];
    int count = 0, pass;
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!file || !records)
        return 2;
    for (; count < MOST && fscanf(file, "%299s %d %39s", text, &pass, name) == 3; count++) {
        struct problem problem = {.conv = CVG_CONV_INIT};
        struct record *r = &records[count];
        cvg_error error;
        r->pass = (cvg_pass)pass;
        r->algorithm = algorithm_named(name);
        if (!r->algorithm || !problem_parse(&problem, text, &error) || cvg_shape_init(&r->shape, &problem.conv, &error))
            return fprintf(stderr, "%s by %s is not understood\n", text, name), 2;
    }
    fclose(file);
    for (;;) {
        for (int i = 0; i < fit_rate_count; i++)
            if (scanf("%lf", fit_rates[i]) != 1)
                return free(records), 0;
        for (int i = 0; i < count; i++) {
            const struct record *r = &records[i];
            const int refused = r->algorithm->refuses && r->algorithm->refuses(r->algorithm, &r->shape, r->pass);
            printf("%.9g%c", refused ? 0 : r->algorithm->cost(r->algorithm, &r->shape, r->pass),
                   i + 1 < count ? ' ' : '\n');
        }
        fflush(stdout);
    }
}
