/* What the reader and the writer of jobs share. */
#ifndef REQUEST_GEN_JOB_INTERNAL_H
#define REQUEST_GEN_JOB_INTERNAL_H

#include "request/gen_job.h"

/* Fields by kind, in a job's memory.  GEN_JOB_LORAS has no single place. */
union gen_job_value {
    const char *text;
    int whole;
    double number;
    bool on;
    int64_t seed;
    const struct sampler *sampler;
    const struct schedule *schedule;
};

union gen_job_value gen_job_get(const struct gen_job *j, const struct gen_job_field *f);
void gen_job_set(struct gen_job *j, const struct gen_job_field *f, union gen_job_value v);

/* What lies beside the range stands for "not said": null. */
json_t *gen_job_write_value(const struct gen_job_field *f, union gen_job_value v);

/* "width", "hires.scale": as messages call it. */
enum { GEN_JOB_LABEL_BYTES = 64 };
void gen_job_label(char out[GEN_JOB_LABEL_BYTES], const struct gen_job_field *f);

#endif
