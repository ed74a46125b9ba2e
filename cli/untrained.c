/* The program without its library for training. */
#include "cli.h"

static _Noreturn void die_untrained(const char *command)
{
    die(EXIT_BAD_INPUT, "%s is not in this program: it was built with CVG_TRAIN=OFF", command);
}

int command_train(const struct args *args)
{
    (void)args;
    die_untrained("train");
}

int command_predict(const struct args *args)
{
    (void)args;
    die_untrained("predict");
}

int command_evaluate(const struct args *args)
{
    (void)args;
    die_untrained("evaluate");
}

int command_export(const struct args *args)
{
    (void)args;
    die_untrained("export");
}

int command_pack(const struct args *args)
{
    (void)args;
    die_untrained("pack");
}
