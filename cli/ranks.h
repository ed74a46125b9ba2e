/* The processes of one training: cli/alone.c knows one, cli/mpi.c asks MPI.  A program has one of the two. */
#ifndef CLI_RANKS_H
#define CLI_RANKS_H

#include "convgrad_train.h"

/* Around all that main() does. */
void ranks_begin(int *argc, char ***argv);
int ranks_end(int status); /* gives the status */

/* Dies if there are many, and the command, or the program, can do nothing with them. */
void ranks_allow(const char *command, int together);

/* Many processes, of which this is one; NULL: alone. */
const cvg_group *ranks_group(void);

/* From now on an end that was not asked for says how to go on with the training in that folder; and says it now. */
void ranks_resume(const char *folder);
void ranks_say_resume(void);

#endif
