/* Files that commands write: whole, or not at all. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdint.h>
#include <stdio.h>

/*
 * A file that is written beside the one that an option names and takes its place at the end: what is there stays
 * until then.  A link, pipe or device is written through.
 */
struct output {
    FILE *file;
    const char *option, *path;
    char part[4096]; /* where it is written */
    int replaces;
    struct output *next; /* others that are open */
};

/* Dies with the option's name and the reason if it cannot; as all these do. */
void output_open(struct output *output, const char *option, const char *path);
void output_close(struct output *output);

/* The same in two steps, so that some files take their places together, or none of them. */
void output_end(struct output *output);
void output_place(struct output *outputs, int64_t count);

/* Makes a folder for outputs if it is not there; it goes if they do. */
void output_folder(const char *option, const char *path);

#endif
