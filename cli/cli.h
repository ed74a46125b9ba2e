/* What the commands of the program share. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "array.h"
#include "problem.h"

enum { EXIT_WRONG = 1, EXIT_BAD_INPUT = 2 }; /* 1: wrong results, or the system failed */

/* Writes a sentence to error and returns 0. */
int cli_fail(cvg_error *error, const char *format, ...);

/* Prints "convgrad: " and a sentence on standard error, and exits. */
_Noreturn void die(int status, const char *format, ...);

/* One of many processes: its sentences begin with who, and after them end is called. */
void die_as(const char *who, void (*end)(int status));

/* Memory, or a clean exit; zeroed. */
void *cli_alloc(size_t count, size_t size);

/* What the program's end does, however it comes; and does it. */
void at_end(void (*clean)(void));
void end_cleans(void);

double seconds(void);

/* ---- interrupts (interrupt.c) and progress (progress.c) ---- */

/*
 * From interrupt_watch() on, SIGINT and SIGTERM end the program at once.
 * Before that it calls what interrupt_tells() was given, and removes what it has begun to write.
 */
void interrupt_watch(void);
void interrupt_tells(int (*function)(void *context, int number), void *context); /* gives the exit status */

/* The same at a time, in seconds(), with number 0. */
void interrupt_at(double when);

/* Around changes of what that function reads, or the end cleans (end.c). */
void interrupt_hold(void);
void interrupt_release(void);

/* One line on a terminal (else nothing): which step of how many, how long the others may take, and what is done now. */
void progress_begin(int64_t total);
void progress_says(const char *format, ...);
void progress_step(int64_t steps);
void progress_clear(void); /* before anything else is printed */

/* ---- arguments ---- */

/* clang-format off */
enum option {
    OPT_ALGO, OPT_AUGMENT, OPT_BATCH, OPT_BIAS, OPT_CHECK_PLANNER, OPT_CLIP, OPT_CROP, OPT_DATA, OPT_DEMO,
    OPT_DILATION, OPT_DTAG, OPT_EPOCHS, OPT_ERROR_GROWTH, OPT_EVERY, OPT_EXACT, OPT_EXPORT, OPT_FIGURE, OPT_FORMAT,
    OPT_FREEZE, OPT_GRAD_OUTPUT, OPT_GRAY, OPT_GROUPS, OPT_HELP, OPT_IMPORT, OPT_INIT, OPT_INPUT, OPT_INPUT_SHAPE, OPT_JSON,
    OPT_LANG, OPT_LAYOUT, OPT_LEARNING_RATE, OPT_MEAN, OPT_MEASURE, OPT_MEMORY, OPT_MIN_TIME, OPT_MODEL, OPT_MOMENTUM,
    OPT_NESTEROV, OPT_OPTIMIZER, OPT_OUTPUT, OPT_OUTPUT_PADDING, OPT_PAD, OPT_PASS, OPT_PEER, OPT_RANDOM, OPT_RESUME,
    OPT_SCHEDULE, OPT_SEED, OPT_SHAPES, OPT_SHARD, OPT_SIZE, OPT_STAG, OPT_STRIDE, OPT_TAKE, OPT_TEST, OPT_THREADS,
    OPT_TIME_LIMIT, OPT_TOP, OPT_TYPE, OPT_WARMUP, OPT_WEIGHT, OPT_WEIGHT_DECAY, OPT_WEIGHT_LAYOUT, OPT_WEIGHT_SHAPE,
    OPTIONS
};
/* clang-format on */

/* The commands, as bits: which take an option. */
enum {
    DEMO = 1,
    EXPLAIN = 2,
    VERIFY = 4,
    BENCH = 8,
    RUN = 16,
    INFO = 32,
    TRAIN = 64,
    PREDICT = 128,
    EVALUATE = 256,
    EXPORT = 512,
    PACK = 1024
};

struct option_info {
    const char *name;
    int commands;
    int flag; /* takes no value */
};

extern const struct option_info option_info[OPTIONS];

struct args {
    const char *option[OPTIONS]; /* the value; "" for options that take none; NULL if it is not there */
    int count;
    char **word; /* the arguments that are no options */
};

/* Dies of geometry options, where the problem says its own. */
void args_refuse_geometry(const struct args *args);

/* The problems that the arguments name: strings, --shapes, --input-shape; how many, maybe 0. */
int args_problems(const struct args *args, struct problem **problems);

/* A problem from two shapes and the geometry options; dies of what does not fit. */
cvg_conv args_conv(const struct args *args, const int64_t *input, int input_rank, const int64_t *weight,
                   int weight_rank);

/* The layouts that --layout, --weight-layout and benchdnn's --stag and --dtag ask for; 0 if they do not: what conv has.
 */
int args_layout(const struct args *args, cvg_conv *conv);

/* Fills per-axis numbers from "2,3" or one "2" for all; dies of anything else. */
void args_axes(const struct args *args, enum option option, int dims, int64_t *values);

/* Algorithms of --algo; all but CVG_AUTO if it is absent.  Returns how many. */
int args_algos(const struct args *args, cvg_algo algos[CVG_ALGO_COUNT]);

/* The one of --algo; CVG_AUTO if it is absent. */
cvg_algo args_algo(const struct args *args);

/* Types of --type, of the first so many known; standard if it is absent, all known if that is -1. */
int args_types(const struct args *args, int standard, int known, cvg_type types[CVG_TYPE_COUNT]);

/* Passes of --pass; all three if it is absent. */
int args_passes(const struct args *args, cvg_pass passes[CVG_PASS_COUNT]);

/* Thread counts of --threads, at most most; standard if it is absent. */
int args_threads(const struct args *args, const char *standard, int *threads, int most);

/* A whole number, at least least, that fits in 64 bits; standard if it is absent. */
int64_t args_count(const struct args *args, enum option option, int64_t standard, int64_t least);

/* A number option at least least; standard if it is absent. */
double args_number(const struct args *args, enum option option, double standard, double least);

/* Applies --take to input, and to grad_output (may be NULL) when that still has the whole batch. */
void args_take(const struct args *args, struct array *input, struct array *grad_output);

extern const char *const pass_names[CVG_PASS_COUNT];
const char *type_name(cvg_type type);

/* ---- plans and data ---- */

/*
 * A plan with one algorithm for all passes; dies if there is none.  When the library has
 * no threads of its own (no OpenMP), the program's are used.
 */
cvg_plan *plan_of(const cvg_conv *conv, cvg_algo algo, int threads, double gradient_scale);

/* The same; NULL, and why, if there is none. */
cvg_plan *plan_try(const cvg_conv *conv, cvg_algo algo, int threads, double gradient_scale, cvg_error *error);

/* The same with the algorithm for one pass; the others are AUTO's. */
cvg_plan *plan_of_pass(const cvg_conv *conv, cvg_pass pass, cvg_algo algo, int threads, cvg_error *error);

/* Their options.error_growth: --error-growth.  And options.isa; NULL: what the environment variable CVG_ISA says. */
extern double plan_error_growth;
extern const char *plan_isa;

/* Options with these and so many threads. */
cvg_options options_asked_for(int threads);

/* A cvg_parallel_for of plain threads, made and joined at each call. */
void thread_each(void *pool, int count, void (*task)(void *context, int index), void *context);

/* The largest workspace of a plan's passes; the caller frees it. */
void *workspace_of(const cvg_plan *plan);

/* A random number generator with the same numbers everywhere (splitmix64). */
struct random {
    uint64_t state;
};
uint64_t random_bits(struct random *random);
double random_uniform(struct random *random); /* in [-1, 1), a multiple of 2^-23 */

/* A small random problem that looks for edges: sizes of 1, long filters and strides, tails of vectors. */
void problem_draw(struct problem *problem, struct random *random);

/* Gives half of such problems other layouts, and half of these gaps between elements. */
void layout_draw(cvg_conv *conv, struct random *random);

/*
 * The FMA peak in flop/s of so many threads, measured now, by the widest vectors that the
 * processor has and that the environment variable CVG_ISA allows.
 */
double peak_flops(cvg_type type, int threads);

/* The bytes/s at which so many threads read memory that no cache holds, measured now. */
double peak_bytes(int threads);

/* ---- commands: what main returns ---- */

int command_demo(const struct args *args);
int command_explain(const struct args *args);
int command_verify(const struct args *args);
int command_bench(const struct args *args);
int command_run(const struct args *args);
int command_info(const struct args *args);
int command_train(const struct args *args); /* these five: cli/train/, or cli/untrained.c where that is left out */
int command_predict(const struct args *args);
int command_evaluate(const struct args *args);
int command_export(const struct args *args);
int command_pack(const struct args *args);

#endif
