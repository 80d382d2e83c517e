/* The member "info" of AUTOMATIC1111's answers: JSON about the pictures, as text. */
#ifndef API_SDAPI_INFO_H
#define API_SDAPI_INFO_H

#include "api/sdapi_answer.h"

/* result is the job's; warnings is a list.  A JSON text value that the caller owns; NULL: no
 * memory. */
json_t *sdapi_info_text(const struct sdapi_answer *a, struct api_call *call, const struct job *job,
                        const json_t *result, const json_t *warnings);

#endif
