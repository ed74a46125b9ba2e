/* Stops where this library's own code breaks a contract: better no result than a wrong one. */
#ifndef CVG_BROKEN_H
#define CVG_BROKEN_H

#if defined(__GNUC__)
#define CVG_BROKEN() __builtin_trap()
#else
#include <stdlib.h>
#define CVG_BROKEN() abort()
#endif

#endif
