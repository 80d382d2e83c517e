/* The page and its files. */
#ifndef API_API_PAGE_H
#define API_API_PAGE_H

#include "api/api.h"

extern const struct api_route api_page_routes[];

#endif
