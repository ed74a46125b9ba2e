/* Runs a fuzz target on files, and on all files of folders: what CI does with the corpora.   usage: fuzz_NAME PATH...
 */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static long replayed;

static int replay_file(const char *path)
{
    uint8_t *data = NULL;
    size_t size = 0, room = 0, got;
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    do {
        room = room ? 2 * room : 4096;
        uint8_t *more = realloc(data, room);
        must(more != NULL, "out of memory");
        data = more;
        got = fread(data + size, 1, room - size, file);
        size += got;
    } while (size == room);
    const int good = !ferror(file);
    fclose(file);
    if (good) {
        uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees a byte too far */
        must(exact != NULL, "out of memory");
        for (size_t i = 0; i < size; i++)
            exact[i] = data[i];
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
        replayed++;
    }
    free(data);
    return good;
}

static int replay(const char *path)
{
    char name[4096];
    DIR *folder = opendir(path);
    if (!folder)
        return replay_file(path);
    int good = 1;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
            good &= replay_file(name);
        }
    closedir(folder);
    return good;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!replay(argv[i])) {
            fprintf(stderr, "%s cannot be read\n", argv[i]);
            return 1;
        }
    printf("%ld inputs replayed\n", replayed);
    return replayed == 0;
}
