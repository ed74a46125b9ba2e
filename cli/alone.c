/* A program without MPI: one process, which should not have been started as many. */
#include "ranks.h"

#include "cli.h"

#include <stdlib.h>

void ranks_begin(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
}

int ranks_end(int status) { return status; }

/* Launchers tell their processes how many there are. */
void ranks_allow(const char *command, int together)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    (void)command;
    for (size_t i = 0; together && i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        if (text && atoi(text) > 1)
            die(EXIT_BAD_INPUT, "%d ranks but this program has no MPI; use convgrad-mpi", atoi(text));
    }
}

const cvg_group *ranks_group(void) { return NULL; }

void ranks_resume(const char *folder) { (void)folder; }

void ranks_say_resume(void) {}
