/*
 * PyTorch's results, from golden/golden.txt (made by golden/make_golden.py): operands and results
 * are exact in every type and order, so the comparison is for equality.
 */
#include "check.h"
#include "cli.h"
#include "move.h"

#include <stdlib.h>
#include <string.h>

static struct array tensor(cvg_type type, int64_t count, int multiplier, int offset, int modulus, int shift, int unit)
{
    struct array array;
    cvg_error error;
    if (!array_new(&array, type, 1, &count, &error))
        exit(1);
    for (int64_t i = 0; i < count; i++)
        array_set(&array, i, (double)((i * multiplier + offset) % modulus - shift) / unit);
    return array;
}

/* The next line of the file must be name, a count and that many integers: results times 64. */
static double *read_line(FILE *file, const char *name, int64_t count)
{
    char word[32];
    long long number;
    double *values = cli_alloc((size_t)count, sizeof *values);
    if (!check(fscanf(file, "%31s %lld", word, &number) == 2 && !strcmp(word, name) && number == count,
               "golden.txt: expected %s of %lld numbers", name, (long long)count))
        exit(1);
    for (int64_t i = 0; i < count; i++) {
        if (fscanf(file, "%lld", &number) != 1)
            exit(1);
        values[i] = (double)number / 64;
    }
    return values;
}

static void compare(const char *problem, const char *what, const struct array *got, const double *want)
{
    for (int64_t i = 0; i < got->count; i++)
        if (!check(array_get(got, i) == want[i], "%s: %s: element %lld is %g, must be %g", problem, what, (long long)i,
                   array_get(got, i), want[i]))
            return;
}

static void check_case(const char *text, FILE *file)
{
    struct problem p = {.conv = CVG_CONV_INIT};
    cvg_error error;
    double *want[4];
    static const char *const names[4] = {"output", "grad_input", "grad_weight", "grad_bias"};
    if (!check(problem_parse(&p, text, &error), "%s", error.text))
        exit(1);
    const struct sizes z = problem_sizes(&p.conv);
    const int64_t count[4] = {z.output, z.input, z.weight, z.bias};
    for (int i = 0; i < 4; i++)
        want[i] = read_line(file, names[i], count[i]);
    for (int type = CVG_F32; type <= CVG_F64; type++)
        for (int run = 0; run < 6 * CVG_ALGO_COUNT; run++) {
            const int algo = run % CVG_ALGO_COUNT, layouts = run / CVG_ALGO_COUNT;
            if (algo == CVG_AUTO || cvg_algo_mixes((cvg_algo)algo))
                continue; /* its sums are not exact */
            p.conv.layout = (cvg_layout)(layouts / 3);
            p.conv.weight_layout = (cvg_weight_layout)(layouts % 3);
            const struct geometry at = geometry_of(&p.conv);
            p.conv.type = (cvg_type)type;
            cvg_plan *plan = plan_of(&p.conv, (cvg_algo)algo, 2, 1);
            void *space = workspace_of(plan);
            struct array x = tensor(p.conv.type, z.input, 37, 11, 17, 8, 8);
            struct array w = tensor(p.conv.type, z.weight, 29, 5, 13, 6, 8);
            struct array b = tensor(p.conv.type, z.bias, 7, 0, 5, 2, 64);
            struct array g = tensor(p.conv.type, z.output, 23, 3, 11, 5, 8);
            struct array got[4];
            for (int i = 0; i < 4; i++)
                got[i] = tensor(p.conv.type, count[i], 0, 1, 2, 0, 1);
            move(&x, &at, geometry_in, 0);
            move(&w, &at, geometry_weight, 0);
            move(&g, &at, geometry_out, 0);
            cvg_forward(plan, x.data, w.data, b.data, got[0].data, space);
            cvg_backward(plan, x.data, w.data, g.data, got[1].data, got[2].data, got[3].data, CVG_OVERWRITE, space);
            move(&got[0], &at, geometry_out, 1);
            move(&got[1], &at, geometry_in, 1);
            move(&got[2], &at, geometry_weight, 1);
            for (int i = 0; i < 4; i++) {
                char what[80];
                snprintf(what, sizeof what, "%s by %s %s, layouts %d", names[i], cvg_algo_name((cvg_algo)algo),
                         type_name(p.conv.type), layouts);
                compare(text, what, &got[i], want[i]);
                array_free(&got[i]);
            }
            array_free(&x);
            array_free(&w);
            array_free(&b);
            array_free(&g);
            free(space);
            cvg_plan_destroy(plan);
        }
    for (int i = 0; i < 4; i++)
        free(want[i]);
}

int main(int argc, char **argv)
{
    char word[8], problem[128];
    int cases = 0;
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    if (!file) {
        printf("usage: test_golden GOLDEN.TXT\n");
        return 1;
    }
    while (fscanf(file, "%7s %127s", word, problem) == 2 && !strcmp(word, "case")) {
        check_case(problem, file);
        cases++;
    }
    check(cases == 15 && feof(file), "golden.txt: %d cases", cases);
    fclose(file);
    return check_summary();
}
