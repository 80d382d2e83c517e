/* Counters of requests, and the text that Prometheus reads. */
#ifndef API_API_METRICS_H
#define API_API_METRICS_H

#include "api/api.h"

#include <stdint.h>

struct api_metrics;

bool api_metrics_open(struct api_metrics **out, struct error *err) MUST_CHECK;
void api_metrics_close(struct api_metrics *m); /* accepts NULL */

/* Wait-free.  API_N_FAMILIES counts what has no route. */
void api_metrics_count(struct api_metrics *m, enum api_family family, int status, double seconds,
                       uint64_t bytes);

/* Appends the counters, jobs, worker and memory in Prometheus' text format. */
void api_metrics_write(struct buf *out, const struct api *api);

#endif
