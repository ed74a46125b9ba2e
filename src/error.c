#include "error.h"

#include <stdarg.h>
#include <stdio.h>

cvg_status cvg_fail(cvg_error *error, cvg_status status, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
    }
    return status;
}

const char *cvg_status_string(cvg_status status)
{
    switch (status) {
    case CVG_OK: return "ok";
    case CVG_INVALID_ARGUMENT: return "invalid argument";
    case CVG_UNSUPPORTED: return "unsupported";
    case CVG_OUT_OF_MEMORY: return "out of memory";
    case CVG_WRONG_RESULT: return "wrong result";
    }
    return "unknown status";
}
