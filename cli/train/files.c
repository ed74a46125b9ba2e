#include "files.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char lock[4200];          /* the lock's path; "" if it is not held */
static const char *taken, *made; /* the folder; the same if it was made */
static struct new_file *writing;

/* What the program's end does: nothing half done stays. */
static void clean(void)
{
    if (writing)
        remove(writing->part);
    if (*lock)
        unlink(lock);
    if (made)
        rmdir(made); /* fails, as it should, if something is in it */
}

void folder_take(const char *option, const char *folder)
{
    struct stat there, held;
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[sizeof lock];
    if (snprintf(path, sizeof path, "%s/.lock", folder) >= 4096)
        die(EXIT_BAD_INPUT, "%s is longer than 4000 characters", option);
    if (mkdir(folder, 0777) == 0)
        made = folder;
    else if (errno != EEXIST || stat(folder, &there))
        die(EXIT_WRONG, "%s: %s: %s", option, folder, strerror(errno));
    else if (!S_ISDIR(there.st_mode))
        die(EXIT_BAD_INPUT, "%s: %s: is a file; must be a folder", option, folder);
    at_end(clean);
    const int file = open(path, O_RDWR | O_CREAT, 0666);
    if (file < 0)
        die(EXIT_WRONG, "%s: %s: %s", option, folder, strerror(errno));
    if (fcntl(file, F_SETLK, &all) || fstat(file, &held) || stat(path, &there) || held.st_ino != there.st_ino) {
        all.l_pid = 0;
        fcntl(file, F_GETLK, &all);
        die(EXIT_BAD_INPUT, "%s: %s: another training is writing there (process %ld)", option, folder, (long)all.l_pid);
    }
    memcpy(lock, path, sizeof path); /* the file stays open: so it is held */
    taken = folder;
}

void folder_leave(void)
{
    at_end(NULL);
    clean();
}

void new_file_begin(struct new_file *new, const char *folder, const char *name)
{
    snprintf(new->path, sizeof new->path, "%s/%s", folder, name);
    snprintf(new->part, sizeof new->part, "%s.part", new->path);
    writing = new;
    new->file = fopen(new->part, "wb");
    if (!new->file)
        die(EXIT_WRONG, "%s: %s", new->path, strerror(errno));
}

void new_file_end(struct new_file *new)
{
    errno = 0;
    const int good = fflush(new->file) == 0 && !ferror(new->file) && fsync(fileno(new->file)) == 0;
    const int why = errno; /* closing may succeed, and say so */
    const int closed = fclose(new->file) == 0;
    if (!good || !closed || rename(new->part, new->path))
        die(EXIT_WRONG, "%s: %s", new->path,
            !good && why ? strerror(why)
            : errno      ? strerror(errno)
                         : "cannot be written");
    writing = NULL;
    const int folder = open(taken ? taken : ".", O_RDONLY); /* so that the new name is on the disk, too */
    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
}

int new_file_write(void *file, const void *bytes, size_t size) { return fwrite(bytes, 1, size, file) != size; }
