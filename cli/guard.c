#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "guard.h"
#include "cli.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BEFORE = 256, GUARD_BYTE = 0x5a };

static void place(struct guarded *g, size_t bytes, size_t gap)
{
    unsigned char *data = g->block + g->size - gap - bytes;
    g->data = data;
    g->bytes = bytes;
    memset(data - BEFORE, GUARD_BYTE, BEFORE);
    memset(data + bytes, GUARD_BYTE, gap);
}

struct guarded guarded_new(size_t bytes, size_t gap)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded g;
    if (bytes > SIZE_MAX / 2)
        die(EXIT_WRONG, "out of memory for %zu bytes", bytes);
    g.size = (bytes + gap + BEFORE + page - 1) / page * page;
    void *block = mmap(NULL, g.size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        die(EXIT_WRONG, "out of memory for %zu bytes", bytes);
    g.block = block;
    if (mprotect(g.block + g.size, page, PROT_NONE))
        die(EXIT_WRONG, "memory cannot be protected");
    place(&g, bytes, gap);
    return g;
}

void guarded_again(struct guarded *g, size_t bytes, size_t gap)
{
    if (g->block && bytes + gap + BEFORE <= g->size) {
        place(g, bytes, gap);
        return;
    }
    if (g->block)
        guarded_free(g);
    *g = guarded_new(bytes, gap);
}

void guarded_free(struct guarded *g)
{
    munmap(g->block, g->size + (size_t)sysconf(_SC_PAGESIZE));
    g->block = NULL;
}

int guard_intact(const struct guarded *g)
{
    const unsigned char *data = g->data, *end = data + g->bytes;
    for (const unsigned char *p = data - BEFORE; p < data; p++)
        if (*p != GUARD_BYTE)
            return 0;
    for (const unsigned char *p = end; p < g->block + g->size; p++)
        if (*p != GUARD_BYTE)
            return 0;
    return 1;
}
