/* How errors look to clients: one shape per family, one status per kind of error. */
#ifndef API_API_ERROR_H
#define API_API_ERROR_H

#include "api/api.h"

/* By the begin of the path: "/sdapi/", "/v1/", everything else is native. */
enum api_family api_error_family_of_path(const char *path);

/* The status that errors of this code have in the family. */
int api_error_status(enum api_family family, enum error_code code);

struct api_error {
    int status;
    enum error_code code; /* ERROR_NONE where only the status is known */
    const char *text;
    const char *field; /* NULL: of no field in particular */
};

/* Fills reply with the error in the family's shape. */
void api_error_reply(struct http_reply *reply, enum api_family family, const struct api_error *e);

#endif
