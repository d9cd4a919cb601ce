// The GNU calls are wanted wherever liburing is: it declares its own functions with their types.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <liburing.h>
