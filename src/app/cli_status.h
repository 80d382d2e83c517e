/* How a program ends that could not do what it was asked for. */
#ifndef APP_CLI_STATUS_H
#define APP_CLI_STATUS_H

#include "base/error.h"

/* Prints the error's sentence on one line of standard error; returns the exit status. */
int cli_status_report(const struct error *err);

#endif
