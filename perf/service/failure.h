// One way to give up: a sentence on stderr and exit code 1, so that a benchmark never goes on with half a service.
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

extern char *program_invocation_short_name;

__attribute__((noreturn, format(printf, 1, 2))) static inline void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}
