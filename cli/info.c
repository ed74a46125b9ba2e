/* convgrad info: the machine, and what a plan chooses. */
#include "about.h"
#include "cli.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The plan that the options ask for: of a text, measured, or as AUTO or --algo has it. */
static cvg_plan *plan_asked_for(const struct args *args, const cvg_conv *conv, cvg_algo algo, int threads)
{
    const char *import = args->option[OPT_IMPORT];
    cvg_options options = options_asked_for(threads);
    char text[4096];
    cvg_plan *plan;
    cvg_error error;
    cvg_status status;

    options.algo[0] = options.algo[1] = options.algo[2] = algo;
    if (import) {
        FILE *file = fopen(import, "rb");
        if (!file)
            die(EXIT_BAD_INPUT, "--import: %s: %s", import, strerror(errno));
        const size_t length = fread(text, 1, sizeof text, file);
        const int failed = ferror(file);
        fclose(file);
        if (failed)
            die(EXIT_BAD_INPUT, "--import: %s: cannot be read", import);
        status = cvg_plan_import(&plan, text, length, conv, &options, &error);
    } else if (args->option[OPT_MEASURE]) {
        status = cvg_plan_measure(&plan, conv, &options, args_number(args, OPT_MEASURE, 0, 0), &error);
    } else {
        return plan_of(conv, algo, threads, 1);
    }
    if (status)
        die(status == CVG_OUT_OF_MEMORY ? EXIT_WRONG : EXIT_BAD_INPUT, "%s%s%s", import ? import : "",
            import ? ": " : "", error.text);
    return plan;
}

static void export_plan(const cvg_plan *plan, const char *path)
{
    char text[4096];
    struct output out;
    cvg_plan_export(plan, text, sizeof text);
    output_open(&out, "--export", path);
    fputs(text, out.file);
    output_close(&out);
}

static void print_plan(const cvg_plan *plan)
{
    const size_t size = cvg_plan_describe(plan, NULL, 0) + 1;
    char *text = cli_alloc(size, 1);
    cvg_plan_describe(plan, text, size);
    fputs(text, stdout);
    free(text);
}

int command_info(const struct args *args)
{
    struct problem *problems;
    cvg_type types[CVG_TYPE_COUNT];
    int threads;
    const int count = args_problems(args, &problems);
    const int type_count = args_types(args, CVG_F32, CVG_TYPE_COUNT, types);
    const cvg_algo algo = args_algo(args);

    if (args->option[OPT_IMPORT] && args->option[OPT_MEASURE])
        die(EXIT_BAD_INPUT, "--measure is \"%s\"; a plan that --import reads is not measured",
            args->option[OPT_MEASURE]);
    if (args->option[OPT_EXPORT] && count * type_count != 1)
        die(EXIT_BAD_INPUT, "--export is \"%s\"; it writes the plan of one problem and type", args->option[OPT_EXPORT]);
    static const enum option of_plans[] = {OPT_ALGO, OPT_IMPORT, OPT_MEASURE};
    for (size_t i = 0; !count && i < sizeof of_plans / sizeof *of_plans; i++)
        if (args->option[of_plans[i]])
            die(EXIT_BAD_INPUT, "%s is \"%s\"; it needs a problem", option_info[of_plans[i]].name,
                args->option[of_plans[i]]);
    if (args->option[OPT_MEASURE] && algo != CVG_AUTO)
        die(EXIT_BAD_INPUT, "--measure is \"%s\"; with --algo %s there is nothing to choose", args->option[OPT_MEASURE],
            args->option[OPT_ALGO]);
    args_threads(args, "0", &threads, 1);
    cvg_plan **plans = cli_alloc((size_t)(count * type_count), sizeof *plans);
    for (int i = 0; i < count * type_count; i++) {
        cvg_conv conv = problems[i / type_count].conv;
        conv.type = types[i % type_count];
        plans[i] = plan_asked_for(args, &conv, algo, threads);
    }
    const struct about *about = about_now(threads);
    printf("convgrad %s\ncpu: %s\nprocessors: %ld online\ninstruction set: %s%s\n", cvg_version(), about->processor,
           sysconf(_SC_NPROCESSORS_ONLN), about->isa,
           about->fuses ? "" : ", without fused multiply-add: not the bits of processors that have it");
    printf("algorithms:");
    for (int i = CVG_AUTO + 1; i < CVG_ALGO_COUNT; i++)
        printf(" %s", cvg_algo_name((cvg_algo)i));
    printf("\n");
    for (int t = 0; t < type_count; t++)
        printf("FMA peak of one thread, %s: %.1f GFLOP/s\n", type_name(types[t]), peak_flops(types[t], 1) * 1e-9);
    for (int i = 0; i < count * type_count; i++) {
        printf("\n");
        print_plan(plans[i]);
        if (args->option[OPT_EXPORT])
            export_plan(plans[i], args->option[OPT_EXPORT]);
        cvg_plan_destroy(plans[i]);
    }
    free(plans);
    free(problems);
    return 0;
}
