/* Memory between guards, for verify. */
#ifndef CLI_GUARD_H
#define CLI_GUARD_H

#include <stddef.h>

/*
 * bytes of data, zeroed in a new block.  gap bytes after them is the end of what may be touched: beyond that any
 * access stops the program.  The gap, and 256 bytes before the data, are checked by guard_intact().
 */
struct guarded {
    unsigned char *block;
    void *data;
    size_t bytes, size; /* of the data; of the block that may be touched */
};

struct guarded guarded_new(size_t bytes, size_t gap);
void guarded_free(struct guarded *guarded);

/* Other data in the same block, made larger if need be: cheaper than a new one. */
void guarded_again(struct guarded *guarded, size_t bytes, size_t gap);

/* Whether nothing around the data was written. */
int guard_intact(const struct guarded *guarded);

#endif
