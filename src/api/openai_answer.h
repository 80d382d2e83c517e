/* What OpenAI's clients read of a job that is done. */
#ifndef API_OPENAI_ANSWER_H
#define API_OPENAI_ANSWER_H

#include "api/openai_request.h"
#include "jobs/job.h"

/* What an answer needs of the request after it is gone. */
struct openai_answer {
    bool as_url, is_edit;
    int partial_images;
    char quality[16], background[16], output_format[8];
    json_t *warnings; /* owned */
};

struct openai_answer *openai_answer_new(const struct openai_request *r); /* NULL: no memory */
void openai_answer_free(void *answer);                                   /* accepts NULL */

/* The whole answer: {"created", "data": [...], ...}.  ctx is a struct openai_answer; the shape is
 * that of struct api_late. */
json_t *openai_answer_json(void *ctx, struct api_call *call, const struct job *job,
                           struct error *err);

/* Sets the members that answers and events share: size, quality, background, output_format. */
void openai_answer_describe(const struct openai_answer *a, json_t *out, const json_t *result);

/* Zeroes: nothing is counted in tokens here. */
json_t *openai_answer_usage(void);

#endif
