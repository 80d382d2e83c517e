/* Handler of POST /img-info. */
#ifndef API_API_NATIVE_INFO_H
#define API_API_NATIVE_INFO_H

#include "api/api.h"

bool api_native_info_read(struct api_call *call, struct error *err);

#endif
