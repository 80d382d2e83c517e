#include "app/client_request.h"

#include "app/cli_request.h"
#include "base/base64.h"
#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

enum { PICTURE_MAX_BYTES = 48 << 20 };

/* Takes value; a NULL one is a lack of memory, which the end of client_request_make sees. */
static bool set(json_t *body, const char *key, json_t *value)
{
    return json_object_set_new(body, key, value) == 0;
}

/* The file as base64 text. */
static bool set_file(json_t *body, const char *key, const char *path, struct error *err)
{
    char *bytes = NULL, *text = NULL;
    size_t len, n;

    if (!path)
        return true;
    if (!fs_read(&bytes, &len, path, PICTURE_MAX_BYTES, err))
        return error_prefix(err, "--%s", key);
    n = base64_text_bytes(len);
    text = malloc(n);
    if (text)
        base64_encode(text, bytes, len);
    bool ok = text && set(body, key, json_stringn(text, n));
    free(text);
    free(bytes);
    return ok || error_set(err, ERROR_MEMORY, "no memory for --%s", key);
}

/* The server makes JPEG of what is not said; here the ending of --output says it. */
static bool set_file_type(json_t *body, const struct cli_options *o, struct error *err)
{
    static const char *const types[][2] = {{".png", "png"},   {".jpg", "jpg"},   {".jpeg", "jpg"},
                                           {".webp", "webp"}, {".avif", "avif"}, {NULL, NULL}};
    const char *dot = o->output ? strrchr(o->output, '.') : NULL;

    if (!o->output)
        return set(body, "fileType", json_string("png"));
    for (int i = 0; dot && types[i][0]; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return set(body, "fileType", json_string(types[i][1])) &&
                   set(body, "jpeg_quality", json_integer(o->settings.jpeg_quality));
    return error_set(err, ERROR_INVALID,
                     "--output ends in .png, .jpg, .jpeg, .webp or .avif, not '%.100s'", o->output);
}

/* What the server's own defaults would make of it is not what the command line means. */
static bool set_meant(json_t *body, const struct gen_job *j)
{
    json_t *hires = json_object_get(body, "hires"), *mask = json_object_get(body, "mask");

    if (mask && json_object_set(body, "mask_options", mask) != 0)
        return false;
    json_object_del(body, "mask"); /* there, the picture's own key */
    json_object_del(body, "mode");
    return (!hires ||
            (set(hires, "enabled", json_true()) && set(hires, "second_pass", json_true()))) &&
           set(body, "steps", json_integer(j->steps)) && set(body, "seed", json_integer(j->seed)) &&
           set(body, "sampler_name", json_string(j->sampler->name)) &&
           set(body, "scheduler_type", json_string(j->schedule->name));
}

bool client_request_make(json_t **out, const struct cli_options *o, struct error *err)
{
    struct cli_request request;
    json_t *body = NULL;

    if (!cli_request_make(&request, o, err))
        return false;
    request.job.model = o->settings.model;
    request.job.vae = o->settings.vae;
    request.job.preview = false;
    if (!gen_job_write(&body, &request.job, err))
        return false;
    bool ok = (set_meant(body, &request.job) ||
               error_set(err, ERROR_MEMORY, "no memory for the request")) &&
              set_file_type(body, o, err) && set_file(body, "image", o->image, err) &&
              set_file(body, "mask", o->mask, err);
    if (!ok) {
        json_decref(body);
        return false;
    }
    *out = body;
    return true;
}
