#include "api/api_result.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/fs.h"
#include "config/settings.h"
#include "http/http_auth.h"
#include "http/http_sign.h"
#include "image/image_format.h"
#include "jobs/job_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int api_result_count(const struct job *job)
{
    int n = 0;
    for (const char *c = job->outputs ? job->outputs : ""; *c; c++)
        n += *c == '\n';
    return n;
}

bool api_result_name(char out[JOB_FILE_NAME_BYTES], const struct job *job, int n)
{
    const char *at = job->outputs ? job->outputs : "";

    for (; n > 0 && *at; n--)
        at += strcspn(at, "\n") + 1;
    size_t len = strcspn(at, "\n");
    if (n < 0 || len == 0 || len >= JOB_FILE_NAME_BYTES)
        return false;
    memcpy(out, at, len);
    out[len] = 0;
    return true;
}

static bool read_output(struct api_call *call, char **out, size_t *n_bytes, const char *id,
                        const char *name, struct error *err)
{
    char path[JOB_FILES_PATH_BYTES];
    return job_files_output(job_queue_files(call->api->queue), path, id, name, err) &&
           fs_read(out, n_bytes, path, IMAGE_FORMAT_MAX_FILE_BYTES, err);
}

bool api_result_bytes(struct api_call *call, char **out, size_t *n_bytes, const struct job *job,
                      int n, struct error *err)
{
    char name[JOB_FILE_NAME_BYTES];
    if (!api_result_name(name, job, n))
        return error_set(err, ERROR_NOT_FOUND, "job %s has no picture %d", job->id, n);
    return read_output(call, out, n_bytes, job->id, name, err);
}

/* Takes bytes. */
static json_t *as_base64(char *bytes, size_t n_bytes)
{
    size_t len = base64_text_bytes(n_bytes);
    char *text = malloc(len ? len : 1);
    json_t *value = NULL;

    if (text) {
        base64_encode(text, bytes, n_bytes);
        value = json_stringn_nocheck(text, len);
    }
    free(text);
    free(bytes);
    return value;
}

json_t *api_result_base64(struct api_call *call, const struct job *job, int n, struct error *err)
{
    char *bytes;
    size_t n_bytes;

    if (!api_result_bytes(call, &bytes, &n_bytes, job, n, err))
        return NULL;
    json_t *value = as_base64(bytes, n_bytes);
    if (!value)
        error_set(err, ERROR_MEMORY, "no memory for the picture");
    return value;
}

json_t *api_result_preview(struct api_call *call, const struct job *job)
{
    char *bytes;
    size_t n_bytes;
    struct error ignored;

    /* It is replaced while the job runs and goes with its end: not there is as good as none. */
    if (!job->preview[0] || !read_output(call, &bytes, &n_bytes, job->id, job->preview, &ignored))
        return NULL;
    return as_base64(bytes, n_bytes);
}

json_t *api_result_json(const struct job *job)
{
    json_t *value = job->result ? json_loads(job->result, 0, NULL) : NULL;
    if (json_is_object(value))
        return value;
    json_decref(value);
    return json_object();
}

const char *api_result_mime(const char *name)
{
    const char *dot = strrchr(name, '.');
    const struct image_format *format = dot ? image_format_find_name(dot + 1) : NULL;
    return format ? format->mime : "application/octet-stream";
}

static void write_base(struct api_call *call, char *out, size_t room)
{
    const char *public = call->api->settings->public_url;
    const char *host = http_request_header(call->request, "Host");

    if (public[0]) {
        snprintf(out, room, "%s", public);
        size_t len = strlen(out);
        while (len > 0 && out[len - 1] == '/')
            out[--len] = 0;
    } else {
        snprintf(out, room, "%s://%s", call->request->is_tls ? "https" : "http",
                 host && strlen(host) < 256 ? host : "localhost");
    }
}

bool api_result_url(struct api_call *call, char *out, size_t room, const char *id, int n,
                    bool absolute, int64_t seconds, struct error *err)
{
    char base[SETTINGS_TEXT_BYTES + 16] = "", path[80], query[HTTP_SIGN_BYTES + 1] = "";

    if (n == 0)
        snprintf(path, sizeof path, "/images/%.40s", id);
    else
        snprintf(path, sizeof path, "/images/%.40s/%d", id, n);
    if (http_auth_is_on(call->api->auth)) {
        query[0] = '?';
        http_sign_make(call->api->sign, query + 1, path, clock_unix_ms() / 1000 + seconds);
    }
    if (absolute)
        write_base(call, base, sizeof base);
    int len = snprintf(out, room, "%s%s%s", base, path, query);
    return (len > 0 && (size_t)len < room) ||
           error_set(err, ERROR_LIMIT, "the address of a picture is too long");
}
