/*
 * What SIGINT, SIGTERM and a closed pipe do, and the line that tells a terminal how far long work is.
 *
 * A thread of its own waits for the signals: whatever the others compute, the program says what it had, removes what
 * it had begun to write, and ends.
 */
#include "cli.h"
#include "output.h"

#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static pthread_mutex_t told = PTHREAD_MUTEX_INITIALIZER; /* held while what a command tells is changed */
static int (*tell)(void *context, int number);
static double limit = INFINITY; /* when a command ends by itself */
static void *tell_context;

void interrupt_hold(void)
{
    pthread_mutex_lock(&told);
}

void interrupt_release(void)
{
    pthread_mutex_unlock(&told);
}

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
    outputs_drop();
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
    outputs_drop();
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

/* ---- progress ---- */

enum { COLUMNS = 79 };
static pthread_mutex_t drawing = PTHREAD_MUTEX_INITIALIZER; /* held while progress is read or changed */
static struct {
    double begin, drawn; /* seconds */
    int64_t done, total; /* steps; total 0: not begun */
    int visible;
} progress;

void progress_begin(int64_t total)
{
    pthread_mutex_lock(&drawing);
    progress.begin = seconds();
    progress.drawn = -INFINITY;
    progress.done = 0;
    progress.total = isatty(STDERR_FILENO) ? total : 0;
    pthread_mutex_unlock(&drawing);
}

static void draw(const char *format, va_list args)
{
    char text[COLUMNS + 1], left[40] = "";
    const double now = seconds();
    if (!progress.total || now < progress.drawn + 0.1)
        return;
    if (progress.done > 0) {
        const double rest = (now - progress.begin) / (double)progress.done * (double)(progress.total - progress.done);
        snprintf(left, sizeof left, ", %.0f:%02.0f left", floor(fmin(rest, 1e6) / 60), fmod(floor(fmin(rest, 1e6)), 60));
    }
    const int length = snprintf(text, sizeof text, "%lld of %lld%s: ", (long long)progress.done + 1, (long long)progress.total, left);
    if (length < COLUMNS)
        vsnprintf(text + length, sizeof text - (size_t)length, format, args);
    fprintf(stderr, "\r%-*s", COLUMNS, text);
    fflush(stderr);
    progress.drawn = now;
    progress.visible = 1;
}

void progress_says(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&drawing);
    draw(format, args);
    pthread_mutex_unlock(&drawing);
    va_end(args);
}

void progress_step(int64_t steps)
{
    pthread_mutex_lock(&drawing);
    progress.done += steps;
    pthread_mutex_unlock(&drawing);
}

void progress_clear(void)
{
    pthread_mutex_lock(&drawing);
    if (progress.visible)
        fprintf(stderr, "\r%*s\r", COLUMNS, "");
    progress.visible = 0;
    progress.drawn = -INFINITY;
    pthread_mutex_unlock(&drawing);
}
