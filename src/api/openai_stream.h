/* Answers of /v1/images with "stream": partial pictures while one is made, then the whole one. */
#ifndef API_OPENAI_STREAM_H
#define API_OPENAI_STREAM_H

#include "api/openai_answer.h"

/* Takes the answer. */
bool openai_stream_reply(struct api_call *call, const char *id, struct openai_answer *answer,
                         struct error *err) MUST_CHECK;

#endif
