/*
 * banned - calls that must not appear, as compile errors with the better way.
 *
 * Included before every source by the compiler command (see Makefile.in).
 */
#ifndef FW_BANNED_H
#define FW_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok tmpnam

#endif
