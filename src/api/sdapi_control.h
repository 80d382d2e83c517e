/* Progress of the job that runs, and what stops it.  Only jobs that came through this API with the
 * caller's credential are seen and reached. */
#ifndef API_SDAPI_CONTROL_H
#define API_SDAPI_CONTROL_H

#include "api/api.h"

bool sdapi_control_progress(struct api_call *call, struct error *err);
bool sdapi_control_interrupt(struct api_call *call, struct error *err);
bool sdapi_control_skip(struct api_call *call, struct error *err);

#endif
