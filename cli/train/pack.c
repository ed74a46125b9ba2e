/* convgrad pack: a folder of pictures, one folder a class, as arrays for train. */
#include "dataset.h"
#include "image.h"

#include "cli.h"
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { MOST_SIZE = 4096, MOST_PATH = 4096 };

/* ---- names ---- */

/* Sorted by bytes, so that the same folder gives the same files everywhere. */
struct names {
    char **name;
    int64_t count, room;
};

static void add_name(struct names *names, const char *name)
{
    if (names->count == names->room) {
        names->room = 2 * names->room + 16;
        char **more = realloc(names->name, (size_t)names->room * sizeof *more);
        if (!more)
            die(EXIT_WRONG, "out of memory for %" PRId64 " names", names->room);
        names->name = more;
    }
    char *copy = cli_alloc(strlen(name) + 1, 1);
    names->name[names->count++] = strcpy(copy, name);
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void join(char path[MOST_PATH], const char *folder, const char *name)
{
    if (snprintf(path, MOST_PATH, "%s/%s", folder, name) >= MOST_PATH)
        die(EXIT_BAD_INPUT, "%.100s/...: a file's name is longer than %d characters", folder, MOST_PATH - 1);
}

static void names_free(struct names *names)
{
    for (int64_t i = 0; i < names->count; i++)
        free(names->name[i]);
    free(names->name);
    *names = (struct names){NULL, 0, 0};
}

static int is_picture(const char *name)
{
    static const char *const ends[] = {".pgm", ".ppm", ".pnm", ".png", ".jpg", ".jpeg"};
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && i < 6; i++)
        if (!strcasecmp(dot, ends[i]))
            return 1;
    return 0;
}

/* What is left out, for a line at the end: how many, and the first. */
struct skipped {
    int64_t count;
    char first[MOST_PATH];
};

static void skip(struct skipped *skipped, const char *path)
{
    if (!skipped->count++)
        snprintf(skipped->first, sizeof skipped->first, "%s", path);
}

/*
 * The folders in a folder, or its pictures.  Links are followed.  Hidden files are nobody's business; others are
 * skipped, but for a folder among pictures and what is no file: these would be missed.
 */
static struct names names_in(const char *folder, int folders, struct skipped *skipped)
{
    struct names names = {NULL, 0, 0};
    char path[MOST_PATH];
    DIR *open = opendir(folder);
    if (!open)
        die(EXIT_BAD_INPUT, "%s: %s", folder, strerror(errno));
    for (struct dirent *entry; errno = 0, (entry = readdir(open));) {
        struct stat there;
        if (entry->d_name[0] == '.')
            continue;
        join(path, folder, entry->d_name);
        if (stat(path, &there))
            die(EXIT_BAD_INPUT, "%s: %s", path, strerror(errno));
        if (!folders && S_ISDIR(there.st_mode))
            die(EXIT_BAD_INPUT, "%s: is a folder; a class's folder must hold pictures alone", path);
        if (!folders && is_picture(path) && !S_ISREG(there.st_mode))
            die(EXIT_BAD_INPUT, "%s: is no file", path);
        if (folders && strchr(entry->d_name, '\n'))
            die(EXIT_BAD_INPUT, "%s: the name of a class has two lines", path);
        if (folders ? S_ISDIR(there.st_mode) : is_picture(path))
            add_name(&names, entry->d_name);
        else
            skip(skipped, path);
    }
    const int why = errno;
    closedir(open);
    if (why)
        die(EXIT_BAD_INPUT, "%s: %s", folder, strerror(why));
    if (names.count)
        qsort(names.name, (size_t)names.count, sizeof *names.name, by_bytes);
    return names;
}

/* ---- pictures ---- */

struct pack {
    const char *folder;
    int64_t height, width; /* of --size; 0: as they are */
    int gray;
    struct names classes, *pictures; /* pictures: of each class */
    int64_t count;
    struct skipped skipped;
    int channels;
    int64_t shape[2]; /* height and width of all */
    char first[MOST_PATH];
    unsigned char *bytes, *planes; /* of the picture that is read: the file's, and channels first */
    struct image image;
};

static void find(struct pack *p)
{
    char path[MOST_PATH];
    p->classes = names_in(p->folder, 1, &p->skipped);
    if (p->classes.count < 2)
        die(EXIT_BAD_INPUT, "%s: has %s; must have a folder for each of 2 classes or more", p->folder,
            p->classes.count ? "one folder" : "no folder");
    p->pictures = cli_alloc((size_t)p->classes.count, sizeof *p->pictures);
    for (int64_t i = 0; i < p->classes.count; i++) {
        join(path, p->folder, p->classes.name[i]);
        p->pictures[i] = names_in(path, 0, &p->skipped);
        if (!p->pictures[i].count)
            die(EXIT_BAD_INPUT, "%s: has no picture (.pgm, .ppm, .png, .jpg)", path);
        p->count += p->pictures[i].count;
    }
}

/* To p->image. */
static void read_picture(struct pack *p, const char *path)
{
    struct image *image = &p->image;
    cvg_error error;
    size_t size;
    p->bytes = file_read(path, &size, &error);
    if (!p->bytes || !image_read(image, path, p->bytes, size, &error))
        die(strstr(error.text, "out of memory") ? EXIT_WRONG : EXIT_BAD_INPUT, "%s", error.text);
    free(p->bytes);
    p->bytes = NULL;
    if (p->gray)
        image_gray(image);
    if (p->height && !image_fit(image, p->height, p->width))
        die(EXIT_WRONG, "%s: out of memory for %" PRId64 "x%" PRId64 " pixels", path, p->height, p->width);
    if (!p->channels) {
        p->channels = image->channels;
        p->shape[0] = image->height;
        p->shape[1] = image->width;
        snprintf(p->first, sizeof p->first, "%s", path);
    }
    if (image->channels != p->channels || image->height != p->shape[0] || image->width != p->shape[1])
        die(EXIT_BAD_INPUT,
            "%s: is %dx%" PRId64 "x%" PRId64 ", %s %dx%" PRId64 "x%" PRId64
            " (channels, height, width): all must be alike; --size HxW and --gray make them so",
            path, image->channels, image->height, image->width, p->first, p->channels, p->shape[0], p->shape[1]);
}

/* Channels first. */
static void write_planes(const struct image *image, unsigned char *planes, FILE *file)
{
    const int64_t pixels = image->height * image->width;
    for (int c = 0; c < image->channels; c++)
        for (int64_t i = 0; i < pixels; i++)
            planes[c * pixels + i] = image->pixels[i * image->channels + c];
    fwrite(planes, 1, (size_t)(pixels * image->channels), file);
}

static void write_pictures(struct pack *p, FILE *file)
{
    char folder[MOST_PATH], path[MOST_PATH];
    progress_begin(p->count);
    for (int64_t i = 0; i < p->classes.count; i++) {
        join(folder, p->folder, p->classes.name[i]);
        for (int64_t j = 0; j < p->pictures[i].count; j++) {
            join(path, folder, p->pictures[i].name[j]);
            read_picture(p, path);
            if (!p->planes) {
                const int64_t shape[4] = {p->count, p->channels, p->shape[0], p->shape[1]};
                npy_begin(file, "|u1", 4, shape);
                p->planes = cli_alloc((size_t)(p->shape[0] * p->shape[1]), (size_t)p->channels);
            }
            write_planes(&p->image, p->planes, file);
            free(p->image.pixels);
            p->image.pixels = NULL;
            if (ferror(file))
                return; /* the output says why */
            progress_step(1);
        }
    }
    progress_clear();
}

static void write_labels(const struct pack *p, FILE *file)
{
    npy_begin(file, "<i8", 1, &p->count);
    for (int64_t i = 0; i < p->classes.count; i++)
        for (int64_t j = 0; j < p->pictures[i].count; j++)
            for (int byte = 0; byte < 8; byte++)
                fputc((int)(i >> 8 * byte & 255), file);
}

/* ---- the command ---- */

static void read_size(const struct args *args, struct pack *p)
{
    const char *text = args->option[OPT_SIZE];
    char *end = NULL;
    if (!text)
        return;
    p->height = text[0] >= '1' && text[0] <= '9' ? strtoll(text, &end, 10) : 0;
    p->width = end && *end == 'x' && end[1] >= '1' && end[1] <= '9' ? strtoll(end + 1, &end, 10) : 0;
    if (p->height < 1 || p->width < 1 || p->height > MOST_SIZE || p->width > MOST_SIZE || *end)
        die(EXIT_BAD_INPUT, "--size is \"%s\"; must be HEIGHTxWIDTH, such as 32x32, each at most %d", text, MOST_SIZE);
}

int command_pack(const struct args *args)
{
    static struct pack p;
    static char name[3][MOST_PATH];
    struct output output[3];
    const char *path = args->option[OPT_OUTPUT];
    if (args->count != 1)
        die(EXIT_BAD_INPUT, "pack takes one folder; has %d arguments", args->count);
    if (!path)
        die(EXIT_BAD_INPUT, "-o is missing; must be the file to write, such as data.npy");
    const size_t length = strlen(path);
    if (length < 5 || strcmp(path + length - 4, ".npy") || length > 4000)
        die(EXIT_BAD_INPUT, "-o is \"%.100s\"; must end in .npy, with at most 4000 characters", path);
    p.folder = args->word[0];
    p.gray = args->option[OPT_GRAY] != NULL;
    read_size(args, &p);
    find(&p);
    static const char *const ends[3] = {".npy", ".labels.npy", ".classes.txt"};
    for (int i = 0; i < 3; i++) {
        snprintf(name[i], sizeof name[i], "%.*s%s", (int)length - 4, path, ends[i]);
        output_open(&output[i], "-o", name[i]);
    }
    write_pictures(&p, output[0].file);
    write_labels(&p, output[1].file);
    for (int64_t i = 0; i < p.classes.count; i++)
        fprintf(output[2].file, "%s\n", p.classes.name[i]);
    for (int i = 0; i < 3; i++)
        output_end(&output[i]);
    output_place(output, 3);
    printf("%" PRId64 " pictures of %dx%" PRId64 "x%" PRId64 " in %" PRId64 " classes: %s, %s, %s\n", p.count,
           p.channels, p.shape[0], p.shape[1], p.classes.count, name[0], name[1], name[2]);
    if (p.skipped.count)
        printf("skipped: %" PRId64 " that are no pictures, such as %s\n", p.skipped.count, p.skipped.first);
    for (int64_t i = 0; i < p.classes.count; i++)
        names_free(&p.pictures[i]);
    names_free(&p.classes);
    free(p.pictures);
    free(p.planes);
    return 0;
}
