/* The command line: which commands there are and which options each takes. */
#include "about.h"
#include "cli.h"
#include "ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    {"train", TRAIN, command_train,
     "  train MODEL.txt --data IMAGES,LABELS [--test IMAGES,LABELS] -o DIR     trains a whole network\n"
     "  train --demo [-o DIR]            learns drawn digits, in seconds\n"
     "  train --resume DIR [--epochs N]  goes on as if it had never stopped\n"
     "  mpirun -n 4 convgrad-mpi train ...   the same files, by many processes\n"
     "          [--epochs 10] [--batch 64] [--learning-rate 0.02] [--optimizer sgd|adamw] [--momentum 0.9]\n"
     "          [--nesterov] [--weight-decay 0] [--schedule cosine|constant|step=N,F] [--warmup STEPS]\n"
     "          [--clip NORM] [--augment flip,crop=N] [--seed 1] [--init he|xavier|FILE] [--freeze 0-5]\n"
     "          [--shard N] [--layout L] [--type f32|f64] [--threads N] [--memory BYTES] [--every STEPS]\n"},
    {"predict", PREDICT, command_predict,
     "  predict DIR|WEIGHTS IMAGES       the classes of images [--top 3] [--format text|json]\n"
     "          [--model MODEL.txt]      of weights that another program wrote [--type f32|f64]\n"},
    {"evaluate", EVALUATE, command_evaluate,
     "  evaluate DIR|WEIGHTS --data IMAGES,LABELS     loss, accuracy and what is taken for what\n"
     "          [--model MODEL.txt] [--type f32|f64] [--threads N]\n"},
    {"export", EXPORT, command_export,
     "  export  DIR|WEIGHTS -o F.onnx|F.c     the network for other programs\n"
     "          [--format onnx|c|npy] [--model MODEL.txt] [--type f32|f64]\n"},
    {"pack", PACK, command_pack,
     "  pack    FOLDER -o F.npy          images in folders, one a class, as data for train\n"
     "          [--size HxW] [--gray]\n"},
};

static const char common[] =
    "\n"
    "PROBLEM is benchdnn's string, such as mb64ic3ih28oc4kh3ph1 (dh1 is dilation 2), or\n"
    "  --input-shape 64,3,28,28 --weight-shape 4,3,3,3, or --shapes FILE.csv.\n"
    "Geometry: --stride 1,1 --pad 1,1,1,1 (begins, then ends) --dilation 1,1 --groups 1.\n"
    "Layout: --layout channels_last (N,H,W,C); --weight-layout kcrs, krsc or rsck.\n"
    "Accuracy: --exact takes only algorithms that keep structure: what lies outside a sum adds\n"
    "  nothing to it.  --error-growth 12 allows what errs up to 12 times as much as direct sums.\n"
    "Files: .npy (little-endian f4 or f8, C order) and IDX images.  See man convgrad.\n";

enum { COMMANDS = sizeof commands / sizeof *commands };

/* The option that word names, "--name" or "--name=value"; -1 if none. */
static int find_option(const char *word, const char **value)
{
    for (int i = 0; i < OPTIONS; i++) {
        const size_t length = strlen(option_info[i].name);
        if (strncmp(word, option_info[i].name, length))
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

static void parse(int argc, char **argv, int command, struct args *args)
{
    for (int i = 2; i < argc; i++) {
        const char *value = NULL;
        if (argv[i][0] != '-' || !argv[i][1]) {
            args->word[args->count++] = argv[i];
            continue;
        }
        const int option = find_option(argv[i], &value);
        if (option < 0 && !strncmp(argv[i], "--plot", strlen("--plot")))
            die(EXIT_BAD_INPUT, "--plot is gone; bench --format html -o FILE draws the same charts");
        if (option < 0)
            die(EXIT_BAD_INPUT, "there is no option %s; see convgrad %s --help", argv[i], commands[command].name);
        const struct option_info *info = &option_info[option];
        if (!(info->commands & commands[command].bit))
            die(EXIT_BAD_INPUT, "%s does not take %s; see convgrad %s --help", commands[command].name, info->name,
                commands[command].name);
        if (info->flag) {
            if (value)
                die(EXIT_BAD_INPUT, "%s is \"%s\"; takes no value", info->name, value);
            value = "";
        } else if (!value) {
            if (++i == argc)
                die(EXIT_BAD_INPUT, "%s needs a value", info->name);
            value = argv[i];
        }
        if (args->option[option])
            die(EXIT_BAD_INPUT, "%s stands there twice", info->name);
        args->option[option] = value;
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

static int run(int argc, char **argv)
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
            ranks_allow(commands[i].name, commands[i].bit & (TRAIN | EVALUATE));
            if (args.option[OPT_HELP])
                print_usage(stdout, commands[i].bit);
            else
                status = commands[i].run(&args);
            free(args.word);
            return finished(status);
        }
    die(EXIT_BAD_INPUT, "there is no command \"%s\"; see convgrad --help", argv[1]);
}

int main(int argc, char **argv)
{
    ranks_begin(&argc, &argv);
    return ranks_end(run(argc, argv));
}
