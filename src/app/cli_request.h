/* From flags to a request: what was not said comes from the model or the input picture. */
#ifndef APP_CLI_REQUEST_H
#define APP_CLI_REQUEST_H

#include "app/cli_flags.h"
#include "app/cli_model.h"
#include "request/gen_request.h"

struct gen_limits cli_request_limits(const struct settings *s);

/* input_width and input_height are img2img's picture, 0 for txt2img.  Text is borrowed from o.  The
 * request is checked. */
bool cli_request_make(struct gen_request *out, const struct cli_options *o,
                      const struct cli_model *m, const struct model_info *info, int input_width,
                      int input_height, struct error *err) MUST_CHECK;

#endif
