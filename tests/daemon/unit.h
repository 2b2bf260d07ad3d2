/* What every test here includes before cmocka. */
#ifndef PMP_TESTS_DAEMON_UNIT_H
#define PMP_TESTS_DAEMON_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#endif
