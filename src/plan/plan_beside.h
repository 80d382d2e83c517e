/* Planning on two threads: where the picture does not fit whole, the last decode's way takes as
 * long to find as those of all other phases.  Internal to plan/. */
#ifndef PLAN_PLAN_BESIDE_H
#define PLAN_PLAN_BESIDE_H

#include "plan/planner.h"

/* Plans some phases of p->plan.  False is an error. */
typedef bool (*plan_beside_fn)(struct planner *p, struct error *err);

/* Does what `first` and then, where that leaves planner_goes_on, `last` do with p, but at the same
 * time; if there is no thread to be had, one after the other.  The two fill in phases of their own
 * and read no other's; of the rest of p they change how it was refused alone. */
bool plan_beside(struct planner *p, plan_beside_fn first, plan_beside_fn last,
                 struct error *err) MUST_CHECK;

#endif
