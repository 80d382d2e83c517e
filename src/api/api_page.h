/* The page at / and its files at /web/: what src/web holds, as HTTP. */
#ifndef API_API_PAGE_H
#define API_API_PAGE_H

#include "api/api.h"

extern const struct api_route api_page_routes[];

#endif
