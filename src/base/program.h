/* Where the running program lies. */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include "base/error.h"

enum { PROGRAM_PATH_BYTES = 4096 };

/* The folder of the program's file, links resolved; false where the system does not tell. */
bool program_folder(char out[PROGRAM_PATH_BYTES]);

/* A file in that folder.  ERROR_NOT_FOUND where there is none. */
bool program_beside(char out[PROGRAM_PATH_BYTES], const char *name, struct error *err) MUST_CHECK;

#endif
