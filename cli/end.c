/* How the program ends by itself: one sentence, and nothing half done left behind. */
#include "cli.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pthread_mutex_t told = PTHREAD_MUTEX_INITIALIZER; /* held while what an end tells or cleans is changed */
static void (*clean)(void);
static const char *who = "";
static void (*end_all)(int status);

void interrupt_hold(void) { pthread_mutex_lock(&told); }

void interrupt_release(void) { pthread_mutex_unlock(&told); }

void at_end(void (*function)(void)) { clean = function; }

void end_cleans(void)
{
    if (clean)
        clean();
}

void die_as(const char *name, void (*end)(int status))
{
    who = name;
    end_all = end;
}

int cli_fail(cvg_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return 0;
}

_Noreturn void die(int status, const char *format, ...)
{
    char text[9000];
    va_list args;
    for (unsigned left = *who ? 3 : 0; left > 0; left = sleep(left))
        ; /* if all have this to say, the first one does, and ends us; signals wake sleepers */
    fflush(stdout);
    progress_clear();
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++) /* what a file says must not steer a terminal */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    fprintf(stderr, "convgrad: %s%s\n", who, text);
    end_cleans();
    if (end_all)
        end_all(status);
    exit(status);
}

void *cli_alloc(size_t count, size_t size)
{
    void *memory = calloc(count + 1, size); /* never of 0 bytes */
    if (!memory)
        die(EXIT_WRONG, "out of memory for %zu elements of %zu bytes", count, size);
    return memory;
}
