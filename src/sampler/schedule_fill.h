/* The formulas behind the rows of schedule_rows.  Each writes n falling sigmas above zero. */
#ifndef SAMPLER_SCHEDULE_FILL_H
#define SAMPLER_SCHEDULE_FILL_H

#include "sampler/schedule.h"

void schedule_fill_uniform(double *sigmas, int n, const struct schedule_inputs *in);
void schedule_fill_karras(double *sigmas, int n, const struct schedule_inputs *in);
void schedule_fill_exponential(double *sigmas, int n, const struct schedule_inputs *in);
void schedule_fill_sgm_uniform(double *sigmas, int n, const struct schedule_inputs *in);
void schedule_fill_kl_optimal(double *sigmas, int n, const struct schedule_inputs *in);
void schedule_fill_align_your_steps(double *sigmas, int n, const struct schedule_inputs *in);
void schedule_fill_simple(double *sigmas, int n, const struct schedule_inputs *in);
void schedule_fill_ddim(double *sigmas, int n, const struct schedule_inputs *in);
void schedule_fill_beta(double *sigmas, int n, const struct schedule_inputs *in);

#endif
