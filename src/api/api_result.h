/* What a job that is done has made: its pictures and the JSON about them. */
#ifndef API_API_RESULT_H
#define API_API_RESULT_H

#include "api/api.h"
#include "jobs/job.h"

/* How many result files the job has. */
int api_result_count(const struct job *job);

/* Name of file n, 0 for the first; false when there is none. */
bool api_result_name(char out[JOB_FILE_NAME_BYTES], const struct job *job, int n);

/* The file as base64 text, or NULL with err.  The caller lets go of it. */
json_t *api_result_base64(struct api_call *call, const struct job *job, int n, struct error *err);

/* The file's bytes; the caller frees *out. */
bool api_result_bytes(struct api_call *call, char **out, size_t *n_bytes, const struct job *job,
                      int n, struct error *err) MUST_CHECK;

/* job->result as an object, or {} where it is missing or damaged; the caller lets go of it. */
json_t *api_result_json(const struct job *job);

/* The preview of a running job as base64; NULL while there is none. */
json_t *api_result_preview(struct api_call *call, const struct job *job);

/* "image/png" and the like, by the ending of a file name. */
const char *api_result_mime(const char *name);

/* The address of a result for other programs: "/images/<id>" and, with authentication on, a
 * signature that ends at seconds from now.  absolute: with scheme and host of this request. */
bool api_result_url(struct api_call *call, char *out, size_t room, const char *id, int n,
                    bool absolute, int64_t seconds, struct error *err) MUST_CHECK;

#endif
