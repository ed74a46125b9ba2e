/* A sentence for each mistake. */
#ifndef CVG_ERROR_H
#define CVG_ERROR_H

#include "convgrad.h"

/* Writes a sentence (printf style) to error unless that is NULL, and returns status. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
cvg_status
cvg_fail(cvg_error *error, cvg_status status, const char *format, ...);

#endif
