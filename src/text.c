#include "text.h"

#include <stdarg.h>
#include <stdio.h>

void cvg_write(struct cvg_text *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const size_t at = w->length < w->size ? w->length : w->size;
    const int n = vsnprintf(w->size > at ? w->text + at : NULL, w->size - at, format, args);
    va_end(args);
    if (n > 0)
        w->length += (size_t)n;
}

#define TEXT(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *cvg_version(void) { return VERSION_TEXT(CVG_VERSION_MAJOR, CVG_VERSION_MINOR, CVG_VERSION_PATCH); }
