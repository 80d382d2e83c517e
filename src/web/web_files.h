/* The table in the file that cmake/embed.cmake writes; web.h is for everybody else. */
#ifndef WEB_WEB_FILES_H
#define WEB_WEB_FILES_H

#include "web/web.h"

extern const struct web_file web_files[];
extern const size_t web_files_n;

#endif
