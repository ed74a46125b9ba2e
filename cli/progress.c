/* The clock, and the line that tells a terminal how far long work is. */
#include "cli.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

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
        snprintf(left, sizeof left, ", %.0f:%02.0f left", floor(fmin(rest, 1e6) / 60),
                 fmod(floor(fmin(rest, 1e6)), 60));
    }
    const int length =
        snprintf(text, sizeof text, "%lld of %lld%s: ", (long long)progress.done + 1, (long long)progress.total, left);
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
