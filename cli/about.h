/* What ran, where and when: said with every measurement. */
#ifndef CLI_ABOUT_H
#define CLI_ABOUT_H

#include <stdio.h>

struct about {
    char processor[128], isa[32], date[32], command[2000]; /* date: UTC, as ISO 8601 has it */
    int fuses, threads;                                    /* multiply and add, with one rounding */
};

/* Keeps the command line; call it first. */
void about_command(int argc, char **argv);

const struct about *about_now(int threads);

/* Three lines. */
void about_print(const struct about *about);

/* ,"version":"...","date":"...","cpu":"...","isa":"...","command":"..." */
void about_json(const struct about *about, FILE *out);

#endif
