/* Text that is written into the caller's memory, as far as that goes. */
#ifndef CVG_TEXT_H
#define CVG_TEXT_H

#include "convgrad.h"

/* Text that grows past the end of its buffer without being written there. */
struct cvg_text {
    char *text;
    size_t size, length;
};

#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void cvg_write(struct cvg_text *w, const char *format, ...);

#endif
