/* A plan counts what it holds itself.
 *
 * Its networks are lists of thousands of operations: megabytes where the picture is cut into thin
 * bands.  How many is known once it is made, so it is made again, from the process that holds the
 * one before, until nothing is added. */
#ifndef PLAN_PLAN_SETTLE_H
#define PLAN_PLAN_SETTLE_H

#include "base/error.h"

/* Makes a plan for a process of base_bytes, in the place of the one before, and keeps it.  A
 * refusal may be a success that keeps none. */
typedef bool (*plan_settle_fn)(void *ctx, size_t base_bytes, struct error *err);

/* Calls `make` until its plan is settled, at most five times.  False: `make` failed, or
 * ERROR_IO, the system does not tell the process's memory. */
bool plan_settle(plan_settle_fn make, void *ctx, struct error *err) MUST_CHECK;

#endif
