/* From the settings to what the planner needs: the memory policy and the machine.
 *
 * The only place that knows both; settings and memory know nothing of each other. */
#ifndef PLAN_PLAN_POLICY_H
#define PLAN_PLAN_POLICY_H

#include "config/settings.h"
#include "memory/memory_policy.h"

/* max_image_size, when set, has replaced every cell of the size table. */
struct memory_policy plan_policy_of(const struct settings *s);

/* The machine to plan for: the one that source finds, or the one that device, total and available
 * describe.  source is asked only where they leave something out. */
bool plan_policy_machine(struct machine *out, const struct settings *s,
                         const struct machine_source *source, struct error *err) MUST_CHECK;

#endif
