/* A folder that a training writes: one training at a time, and each file whole or not at all. */
#ifndef CLI_TRAIN_FILES_H
#define CLI_TRAIN_FILES_H

#include "convgrad_train.h"

#include <stdio.h>

/*
 * Takes a folder, which is made if need be, until the program ends; a lock keeps other trainings out.  Dies with a
 * sentence that names the option if it cannot.  A folder that was made and is still empty at the end is removed.
 */
void folder_take(const char *option, const char *folder);

/* Lets others have the folder again. */
void folder_leave(void);

/* Writes a file of the folder beside its place, gets it onto the disk, and puts it there. */
struct new_file {
    FILE *file;
    char path[4200], part[4208];
};

/* Die with a sentence if they cannot. */
void new_file_begin(struct new_file *new, const char *folder, const char *name);
void new_file_end(struct new_file *new);

/* A cvg_writer whose context is a struct new_file's FILE. */
int new_file_write(void *file, const void *bytes, size_t size);

#endif
