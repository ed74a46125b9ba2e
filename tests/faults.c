/*
 * The nth request for a resource fails: linked with --wrap for each function below, in place of what the library
 * and the program themselves call.  n is the environment variable CVG_FAIL_AT, or set by fault_at().
 */
#define _POSIX_C_SOURCE 200809L
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long requests, fails_at = -1; /* 0: none */

static int fails(int error)
{
    if (fails_at < 0) {
        const char *text = getenv("CVG_FAIL_AT");
        fails_at = text ? atol(text) : 0;
    }
    if (++requests != fails_at)
        return 0;
    const char *note = getenv("CVG_FAIL_NOTE"); /* a file that tells that there were n requests */
    const int file = note ? open(note, O_WRONLY | O_CREAT, 0600) : -1;
    if (file >= 0)
        close(file);
    errno = error;
    return 1;
}

void fault_at(long n)
{
    requests = 0;
    fails_at = n;
}

int fault_happened(void) { return fails_at > 0 && requests >= fails_at; }

#define WRAP(result, name, parameters, arguments, error, failure) \
    result __real_##name parameters;                              \
    result __wrap_##name parameters;                              \
    result __wrap_##name parameters { return fails(error) ? (failure) : __real_##name arguments; }

WRAP(void *, malloc, (size_t size), (size), ENOMEM, NULL)
WRAP(void *, calloc, (size_t count, size_t size), (count, size), ENOMEM, NULL)
WRAP(void *, realloc, (void *old, size_t size), (old, size), ENOMEM, NULL)
WRAP(void *, mmap, (void *at, size_t size, int protection, int flags, int file, off_t from),
     (at, size, protection, flags, file, from), ENOMEM, MAP_FAILED)
WRAP(int, mprotect, (void *at, size_t size, int protection), (at, size, protection), ENOMEM, -1)
WRAP(int, pthread_create, (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
     (thread, attributes, run, argument), EAGAIN, EAGAIN)
WRAP(FILE *, fopen, (const char *path, const char *mode), (path, mode), EMFILE, NULL)
#ifdef CVG_HAVE_ZLIB
WRAP(void *, gzopen, (const char *path, const char *mode), (path, mode), ENOMEM, NULL)
#endif
WRAP(int, mkdir, (const char *path, mode_t mode), (path, mode), ENOSPC, -1)
WRAP(int, rename, (const char *from, const char *to), (from, to), EIO, -1)
WRAP(int, fclose, (FILE * file), (file), EIO, (__real_fclose(file), errno = EIO, EOF))
