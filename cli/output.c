#include "output.h"

#include "cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static struct output *open_outputs;

/* Removes what open outputs have written so far. */
static void outputs_drop(void)
{
    for (struct output *output = open_outputs; output; output = output->next)
        if (output->replaces)
            remove(output->part);
    open_outputs = NULL;
}

void output_open(struct output *output, const char *option, const char *path)
{
    struct stat old;
    *output = (struct output){.option = option, .path = path};
    output->replaces = lstat(path, &old) || S_ISREG(old.st_mode);
    if (snprintf(output->part, sizeof output->part, "%s%s", path, output->replaces ? ".part" : "") >=
        (int)sizeof output->part)
        die(EXIT_BAD_INPUT, "%s is longer than 4000 characters", option);
    interrupt_hold(); /* whoever ends the program finds it in the list */
    output->file = fopen(output->part, "w");
    if (!output->file)
        die(EXIT_WRONG, "%s: %s: %s", option, path, strerror(errno));
    output->next = open_outputs;
    open_outputs = output;
    at_end(outputs_drop);
    interrupt_release();
}

void output_close(struct output *output)
{
    errno = 0;
    const int flushed = fflush(output->file) == 0 && !ferror(output->file);
    const int why = errno; /* closing may succeed, and say so */
    const int closed = fclose(output->file) == 0;
    output->file = NULL;
    interrupt_hold();
    if (!flushed || !closed || (output->replaces && rename(output->part, output->path)))
        die(EXIT_WRONG, "%s: %s: %s", output->option, output->path,
            !flushed && why ? strerror(why)
            : errno         ? strerror(errno)
                            : "cannot be written");
    for (struct output **at = &open_outputs; *at; at = &(*at)->next)
        if (*at == output) {
            *at = output->next;
            break;
        }
    interrupt_release();
}
