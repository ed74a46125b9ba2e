/* Counting checks.  A test program ends with: return check_summary(); */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdarg.h>
#include <stdio.h>

static long checks_passed, checks_failed;

/* Records a check; prints the printf-style message when it failed. */
__attribute__((format(printf, 2, 3), unused)) static int check(int good, const char *format, ...)
{
    va_list args;
    if (good) {
        checks_passed++;
        return 1;
    }
    if (checks_failed++ < 20) {
        printf("FAIL ");
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf("\n");
    }
    return 0;
}

__attribute__((unused)) static int check_summary(void)
{
    printf("%ld checks passed, %ld failed\n", checks_passed, checks_failed);
    return checks_failed != 0 || checks_passed == 0;
}

#endif
