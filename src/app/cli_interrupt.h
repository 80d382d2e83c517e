/* Ctrl-C: SIGINT and SIGTERM ask a run to stop instead of killing it. */
#ifndef APP_CLI_INTERRUPT_H
#define APP_CLI_INTERRUPT_H

#include <stdbool.h>

void cli_interrupt_install(void);

/* True once somebody asked.  ctx is not used: the shape is struct watch's. */
bool cli_interrupt_asked(void *ctx);

#endif
