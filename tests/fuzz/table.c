/* Shape tables: every row that is read is a valid problem. */
#include "problem.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct problem *problems;
    cvg_error error = {""};
    int64_t out[3];
    const int count = problem_read_table(&problems, file_of(data, size), &error);
    if (count < 0) {
        must_tell(&error);
        must(problems == NULL, "a refused table leaves problems");
        return 0;
    }
    for (int i = 0; i < count; i++) {
        must(cvg_output_size(&problems[i].conv, out, &error) == CVG_OK, "row %d is no problem: %s", i, error.text);
        must(strlen(problems[i].name) < sizeof problems[i].name, "the name of row %d does not end", i);
    }
    free(problems);
    return 0;
}
