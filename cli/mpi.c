/*
 * All that knows MPI: bytes move, nothing is added (convgrad_train.h, cvg_group).
 *
 * Rank 0 alone prints.  Who dies by itself ends the job; rank 0 speaks first, since most mistakes are made by all.
 */
#include "ranks.h"

#include "cli.h"

#include <fcntl.h>
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static cvg_group group;
static int *counts; /* four for each rank */
static char who[32], resume[4300];

/* ---- the transport: MPI counts by int, here in units of 4 bytes ---- */

static const int *in_units(int which, const size_t *bytes)
{
    int *to = counts + which * group.size;
    for (int i = 0; i < group.size; i++) {
        if (bytes[i] / 4 > INT_MAX)
            die(EXIT_BAD_INPUT,
                "rank %d would be sent bytes up to %zu in one call; MPI counts to 2^31 units of 4 bytes: the model has "
                "too many parameters",
                i, bytes[i]);
        to[i] = (int)(bytes[i] / 4);
    }
    return to;
}

/* MPI's own waiting burns a core, and ranks that share one wait for each other's turn: so this gives its turn away. */
static int finish(MPI_Request *request)
{
    for (int done = 0; !done;) {
        const int bad = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (bad)
            return bad;
        if (!done)
            sched_yield();
    }
    return 0;
}

static int move_alltoallv(void *context, const void *send, const size_t *send_at, const size_t *send_size,
                          void *receive, const size_t *receive_at, const size_t *receive_size)
{
    (void)context;
    const int *at = in_units(0, send_at), *size = in_units(1, send_size);
    const int *to = in_units(2, receive_at), *taken = in_units(3, receive_size);
    MPI_Request request;
    const int bad =
        MPI_Ialltoallv(send, size, at, MPI_UINT32_T, receive, taken, to, MPI_UINT32_T, MPI_COMM_WORLD, &request);
    return bad ? bad : finish(&request);
}

static int move_allgatherv(void *context, void *buffer, const size_t *at, const size_t *size)
{
    (void)context;
    const int *places = in_units(0, at), *sizes = in_units(1, size);
    MPI_Request request;
    const int bad = MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, buffer, sizes, places, MPI_UINT32_T,
                                    MPI_COMM_WORLD, &request);
    return bad ? bad : finish(&request);
}

/* ---- ends ---- */

/*
 * A launcher kills all ranks when one is gone, often by SIGKILL: none of them can say a word.  So a child of rank 0
 * waits for its parent's end, and says how to go on unless the last thing that it read is a NUL.
 */
static int watcher = -1;

static void watch(void)
{
    int ends[2];
    if (pipe(ends))
        return;
    const pid_t child = fork();
    if (child == 0) {
        char text[sizeof resume + 1];
        size_t length = 0;
        ssize_t got;
        setsid(); /* the launcher's signals are not for it */
        signal(SIGTERM, SIG_IGN);
        close(ends[1]);
        while (length < sizeof text && (got = read(ends[0], text + length, sizeof text - length)) > 0)
            length += (size_t)got;
        if (length > 0 && text[length - 1])
            got = write(STDERR_FILENO, text, length);
        _exit(0);
    }
    close(ends[0]);
    watcher = ends[1];
    fcntl(watcher, F_SETFD, FD_CLOEXEC);
}

static void tell_watcher(const char *text, size_t size)
{
    const ssize_t written = watcher < 0 ? 0 : write(watcher, text, size);
    (void)written;
}

static void dismiss_watcher(void)
{
    tell_watcher("", 1);
    close(watcher);
    watcher = -1;
}

/* In the place of exit(): without it the others would wait. */
static void end_all(int status)
{
    struct timespec left = {.tv_nsec = 500000000};
    ranks_say_resume();
    dismiss_watcher();
    while (nanosleep(&left, &left) != 0)
        ; /* MPICH's launcher ends without what it has not yet read of us */
    MPI_Abort(MPI_COMM_WORLD, status);
}

static int end_silently(void *context, int number)
{
    (void)context;
    return number ? 128 + number : EXIT_WRONG;
}

void ranks_resume(const char *folder)
{
    if (group.size < 2)
        return;
    snprintf(resume, sizeof resume, "convgrad: resume with: mpirun -n %d convgrad-mpi train --resume %s\n", group.size,
             folder);
    tell_watcher(resume, strlen(resume));
}

void ranks_say_resume(void) { fputs(resume, stderr); }

/* ---- begin and end ---- */

void ranks_begin(int *argc, char ***argv)
{
    int provided;
    watch();
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    group = (cvg_group)CVG_GROUP_INIT;
    MPI_Comm_rank(MPI_COMM_WORLD, &group.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &group.size);
    if (group.size < 2 || group.rank > 0)
        dismiss_watcher();
    if (group.size < 2)
        return;
    group.alltoallv = move_alltoallv;
    group.allgatherv = move_allgatherv;
    counts = cli_alloc(4 * (size_t)group.size, sizeof *counts);
    interrupt_tells(end_silently, NULL); /* launchers end the others by a signal */
    if (group.rank > 0) {
        snprintf(who, sizeof who, "rank %d: ", group.rank);
        if (!freopen("/dev/null", "w", stdout))
            fclose(stdout);
    }
    die_as(who, end_all);
}

int ranks_end(int status)
{
    fflush(stdout);
    if (watcher >= 0)
        dismiss_watcher();
    free(counts);
    MPI_Finalize();
    return status;
}

void ranks_allow(const char *command, int together)
{
    if (group.size > 1 && !together)
        die(EXIT_BAD_INPUT, "%s runs in one process; there are %d ranks", command, group.size);
}

const cvg_group *ranks_group(void) { return group.size > 1 ? &group : NULL; }
