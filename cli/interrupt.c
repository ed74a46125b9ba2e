/*
 * What SIGINT, SIGTERM and a closed pipe do.
 *
 * A thread of its own waits for the signals: whatever the others compute, the program says what it had, removes what
 * it had begun to write, and ends.
 */
#include "cli.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static int (*tell)(void *context, int number);
static double limit = INFINITY; /* when a command ends by itself */
static void *tell_context;

void interrupt_tells(int (*function)(void *context, int number), void *context)
{
    interrupt_hold();
    tell = function;
    tell_context = context;
    interrupt_release();
}

static int wake[2]; /* a pipe: handlers may do little but write */

static void on_signal(int number)
{
    const ssize_t written = write(wake[1], &number, sizeof number);
    (void)written;
}

/* The number of a signal, or 0 when the limit is reached. */
static int wait_for_end(void)
{
    for (;;) {
        interrupt_hold();
        const double left = limit - seconds();
        interrupt_release();
        struct pollfd readable = {.fd = wake[0], .events = POLLIN};
        int number = 0;
        const int ready = poll(&readable, 1, left < 1e6 ? (int)(fmax(left, 0) * 1000) + 1 : -1);
        if (ready == 0 && left < 1e6)
            return 0;
        if (ready > 0 && read(wake[0], &number, sizeof number) == sizeof number && number)
            return number;
    }
}

static void *wait_for_signal(void *unused)
{
    int number, status = EXIT_WRONG;
    (void)unused;
    for (;;) {
        number = wait_for_end();
        if (number) { /* a second one ends the program, whatever this waits for */
            signal(SIGINT, SIG_DFL);
            signal(SIGTERM, SIG_DFL);
        }
        interrupt_hold();
        if (number || limit <= seconds())
            break;
        interrupt_release(); /* the command ended by itself just now */
    }
    progress_clear();
    if (tell)
        status = tell(tell_context, number);
    else
        fputs("convgrad: interrupted\n", stderr);
    fflush(stdout);
    end_cleans();
    _exit(status);
}

void interrupt_at(double when)
{
    interrupt_hold();
    limit = when;
    interrupt_release();
    if (wake[1])
        on_signal(0); /* the thread looks at it */
}

/* Nobody reads any more: nothing to say. */
static void on_closed_pipe(int number)
{
    (void)number;
    end_cleans();
    _exit(EXIT_WRONG);
}

void interrupt_watch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM};
    pthread_t thread;
    signal(SIGPIPE, on_closed_pipe);
    if (pipe(wake) || pthread_create(&thread, NULL, wait_for_signal, NULL))
        return; /* not to be had: then a signal just ends the program */
    pthread_detach(thread);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (signal(numbers[i], on_signal) == SIG_IGN)
            signal(numbers[i], SIG_IGN); /* as who started the program wants it */
}
