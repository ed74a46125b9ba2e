/* The command line: which commands there are and which options each takes. */
#include "about.h"
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEMO = 1, EXPLAIN = 2, VERIFY = 4, BENCH = 8, RUN = 16, INFO = 32 };
enum { GEOMETRY = EXPLAIN | VERIFY | BENCH | RUN | INFO, TABLES = VERIFY | BENCH, PLANS = VERIFY | BENCH | RUN | INFO };

static const struct command {
    const char *name;
    int bit;
    int (*run)(const struct args *args);
    const char *usage;
} commands[] = {
    {"demo", DEMO, command_demo,
     "  demo                             the textbook section: examples, agreement, speed\n"},
    {"explain", EXPLAIN, command_explain,
     "  explain simple|complex|PROBLEM   every intermediate array of both methods\n"
     "          [--input F --weight F --grad-output F [--take A:B]] [--crop] [-o FILE]\n"
     "          [--format text|json|html|svg] [--figure col2img|im2col] [--lang en|zh]\n"},
    {"verify", VERIFY, command_verify,
     "  verify  [PROBLEM...]             every algorithm against the definition\n"
     "          [--random N] [--time-limit S] [--algo A,...] [--type f32|f64] [--threads 1,2,...]\n"
     "          [--seed N]\n"},
    {"bench", BENCH, command_bench,
     "  bench   [PROBLEM...]             time, GFLOP/s, % of the machine's peak, and ratios\n"
     "          [--pass P,...] [--algo A,...] [--type T] [--threads N] [--min-time S] [--json FILE]\n"
     "          [--peer onednn,openblas] [--check-planner] [--format text|html] [-o FILE]\n"},
    {"run", RUN, command_run,
     "  run forward   --input F --weight F [--bias F] -o DIR\n"
     "  run backward  --input F --weight F --grad-output F [--mean] -o DIR\n"
     "  run transpose --input F --weight F [--bias F] [--output-padding N,...] -o DIR\n"
     "          [--type T] [--algo A] [--threads N] [--take A:B]\n"},
    {"info", INFO, command_info,
     "  info    [PROBLEM] [--algo A]     the machine, and what a plan chooses and why\n"
     "          [--measure S] [--export FILE] [--import FILE]\n"},
};

static const char common[] =
    "\n"
    "PROBLEM is benchdnn's string, such as mb64ic3ih28oc4kh3ph1 (dh1 is dilation 2), or\n"
    "  --input-shape 64,3,28,28 --weight-shape 4,3,3,3, or --shapes FILE.csv.\n"
    "Geometry: --stride 1,1 --pad 1,1,1,1 (begins, then ends) --dilation 1,1 --groups 1.\n"
    "Accuracy: --exact takes only algorithms that keep structure: what lies outside a sum adds\n"
    "  nothing to it.  --error-growth 12 allows what errs up to 12 times as much as direct sums.\n"
    "Files: .npy (little-endian f4 or f8, C order) and IDX images.  See man convgrad.\n";

static const struct {
    const char *name;
    enum option option;
    int commands; /* that take it */
} options[] = {
    {"--algo", OPT_ALGO, PLANS},
    {"--bias", OPT_BIAS, RUN},
    {"--check-planner", OPT_CHECK_PLANNER, BENCH},
    {"--crop", OPT_CROP, EXPLAIN},
    {"--dilation", OPT_DILATION, GEOMETRY},
    {"--error-growth", OPT_ERROR_GROWTH, PLANS},
    {"--exact", OPT_EXACT, PLANS},
    {"--export", OPT_EXPORT, INFO},
    {"--figure", OPT_FIGURE, EXPLAIN},
    {"--format", OPT_FORMAT, EXPLAIN | BENCH},
    {"--grad-output", OPT_GRAD_OUTPUT, EXPLAIN | RUN},
    {"--groups", OPT_GROUPS, GEOMETRY},
    {"--help", OPT_HELP, ~0},
    {"--import", OPT_IMPORT, INFO},
    {"--input", OPT_INPUT, EXPLAIN | RUN},
    {"--input-shape", OPT_INPUT_SHAPE, GEOMETRY & ~RUN},
    {"--json", OPT_JSON, BENCH},
    {"--lang", OPT_LANG, EXPLAIN},
    {"--mean", OPT_MEAN, RUN},
    {"--measure", OPT_MEASURE, INFO},
    {"--min-time", OPT_MIN_TIME, BENCH},
    {"-o", OPT_OUTPUT, EXPLAIN | BENCH | RUN},
    {"--output-padding", OPT_OUTPUT_PADDING, RUN},
    {"--pad", OPT_PAD, GEOMETRY},
    {"--pass", OPT_PASS, BENCH},
    {"--peer", OPT_PEER, BENCH},
    {"--random", OPT_RANDOM, VERIFY},
    {"--seed", OPT_SEED, VERIFY},
    {"--shapes", OPT_SHAPES, TABLES},
    {"--stride", OPT_STRIDE, GEOMETRY},
    {"--take", OPT_TAKE, EXPLAIN | RUN},
    {"--threads", OPT_THREADS, PLANS},
    {"--time-limit", OPT_TIME_LIMIT, VERIFY},
    {"--type", OPT_TYPE, PLANS},
    {"--weight", OPT_WEIGHT, EXPLAIN | RUN},
    {"--weight-shape", OPT_WEIGHT_SHAPE, GEOMETRY & ~RUN},
};

enum { COMMANDS = sizeof commands / sizeof *commands, NAMES = sizeof options / sizeof *options };

/* The row of options that word names, "--name" or "--name=value"; -1 if none. */
static int find_option(const char *word, const char **value)
{
    for (int i = 0; i < NAMES; i++) {
        const size_t length = strlen(options[i].name);
        if (strncmp(word, options[i].name, length))
            continue;
        if (!word[length])
            return i;
        if (word[length] == '=') {
            *value = word + length + 1;
            return i;
        }
    }
    return -1;
}

static int is_flag(enum option option)
{
    return option == OPT_CHECK_PLANNER || option == OPT_CROP || option == OPT_EXACT || option == OPT_HELP ||
           option == OPT_MEAN;
}

static void parse(int argc, char **argv, int command, struct args *args)
{
    for (int i = 2; i < argc; i++) {
        const char *value = NULL;
        if (argv[i][0] != '-' || !argv[i][1]) {
            args->word[args->count++] = argv[i];
            continue;
        }
        const int row = find_option(argv[i], &value);
        if (row < 0 && !strncmp(argv[i], "--plot", strlen("--plot")))
            die(EXIT_BAD_INPUT, "--plot is gone; bench --format html -o FILE draws the same charts");
        if (row < 0)
            die(EXIT_BAD_INPUT, "there is no option %s; see convgrad %s --help", argv[i], commands[command].name);
        if (!(options[row].commands & commands[command].bit))
            die(EXIT_BAD_INPUT, "%s does not take %s; see convgrad %s --help", commands[command].name,
                options[row].name, commands[command].name);
        if (is_flag(options[row].option)) {
            if (value)
                die(EXIT_BAD_INPUT, "%s is \"%s\"; takes no value", options[row].name, value);
            value = "";
        } else if (!value) {
            if (++i == argc)
                die(EXIT_BAD_INPUT, "%s needs a value", options[row].name);
            value = argv[i];
        }
        if (args->option[options[row].option])
            die(EXIT_BAD_INPUT, "%s stands there twice", options[row].name);
        args->option[options[row].option] = value;
    }
}

/* The status of a command, if all that it printed could be written. */
static int finished(int status)
{
    if (fflush(stdout) || ferror(stdout))
        die(EXIT_WRONG, "standard output cannot be written");
    return status;
}

static void print_usage(FILE *out, int bits)
{
    fputs("usage: convgrad COMMAND [ARGUMENT...]\n\n", out);
    for (int i = 0; i < COMMANDS; i++)
        if (commands[i].bit & bits)
            fputs(commands[i].usage, out);
    fputs(common, out);
}

/* --exact is an --error-growth of 1. */
static void set_error_growth(const struct args *args)
{
    plan_error_growth = args_number(args, OPT_ERROR_GROWTH, plan_error_growth, 1);
    if (args->option[OPT_EXACT] && args->option[OPT_ERROR_GROWTH] && plan_error_growth > 1)
        die(EXIT_BAD_INPUT, "--error-growth is \"%s\"; --exact means 1", args->option[OPT_ERROR_GROWTH]);
    if (args->option[OPT_EXACT])
        plan_error_growth = 1;
}

int main(int argc, char **argv)
{
    interrupt_watch();
    about_command(argc, argv);
    if (argc < 2) {
        print_usage(stderr, ~0);
        return EXIT_BAD_INPUT;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        print_usage(stdout, ~0);
        return finished(0);
    }
    if (!strcmp(argv[1], "--version")) {
        printf("convgrad %s\n", cvg_version());
        return finished(0);
    }
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name)) {
            struct args args = {.word = cli_alloc((size_t)argc, sizeof *args.word)};
            int status = 0;
            parse(argc, argv, i, &args);
            set_error_growth(&args);
            if (args.option[OPT_HELP])
                print_usage(stdout, commands[i].bit);
            else
                status = commands[i].run(&args);
            free(args.word);
            return finished(status);
        }
    die(EXIT_BAD_INPUT, "there is no command \"%s\"; see convgrad --help", argv[1]);
}
