#include "output.h"

#include "cli.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct output *open_outputs;
static const char *made_folder;

/* Removes what open outputs have written so far, and the folder made for them. */
static void outputs_drop(void)
{
    for (struct output *output = open_outputs; output; output = output->next)
        if (output->replaces)
            remove(output->part);
    open_outputs = NULL;
    if (made_folder)
        rmdir(made_folder); /* fails, as it should, if something is in it */
}

void output_folder(const char *option, const char *path)
{
    struct stat there;
    at_end(outputs_drop);
    interrupt_hold();
    if (mkdir(path, 0777) == 0)
        made_folder = path;
    else if (errno != EEXIST || stat(path, &there))
        die(EXIT_WRONG, "%s: %s: %s", option, path, strerror(errno));
    else if (!S_ISDIR(there.st_mode))
        die(EXIT_BAD_INPUT, "%s: %s: is a file; must be a folder", option, path);
    interrupt_release();
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

void output_end(struct output *output)
{
    errno = 0;
    const int flushed = fflush(output->file) == 0 && !ferror(output->file);
    const int why = errno; /* closing may succeed, and say so */
    const int closed = fclose(output->file) == 0;
    output->file = NULL;
    if (!flushed || !closed)
        die(EXIT_WRONG, "%s: %s: %s", output->option, output->path,
            !flushed && why ? strerror(why)
            : errno         ? strerror(errno)
                            : "cannot be written");
}

static void forget(const struct output *output)
{
    for (struct output **at = &open_outputs; *at; at = &(*at)->next)
        if (*at == output) {
            *at = output->next;
            break;
        }
}

void output_place(struct output *outputs, int64_t count)
{
    interrupt_hold();
    for (int64_t i = 0; i < count; i++) {
        struct output *o = &outputs[i];
        if (o->replaces && rename(o->part, o->path)) {
            const int why = errno;
            for (int64_t j = 0; j < i; j++)
                if (outputs[j].replaces)
                    remove(outputs[j].path);
            die(EXIT_WRONG, "%s: %s: %s", o->option, o->path, why ? strerror(why) : "cannot be written");
        }
        forget(o);
    }
    made_folder = NULL;
    interrupt_release();
}

void output_close(struct output *output)
{
    output_end(output);
    output_place(output, 1);
}
