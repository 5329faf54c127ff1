/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What the proxy counts. Each worker writes its own copy (relaxed stores, one writer); readers sum.
 * All fields are 64-bit counters so that the sum is a loop.
 */
#include <stdint.h>
#include <lanetag/rules.h>

struct proxy_statistics {
	uint64_t connections_accepted;
	uint64_t connections_open; /* a gauge: opened less closed */
	uint64_t connections_refused;
	uint64_t requests;
	uint64_t responses[6];          /* by class: [1] 1xx .. [5] 5xx */
	uint64_t bad_requests;          /* refused with 4xx by the parser or a limit */
	uint64_t decided_by_kernel;     /* requests whose mark was found and agreed */
	uint64_t decided_by_agent;      /* no usable mark */
	uint64_t disagreements;         /* mark and own decision differed: must stay 0 */
	uint64_t marks_stale;           /* of another generation */
	uint64_t ids_missing;
	uint64_t ids_conflicting;
	uint64_t forged_tags_removed;   /* header fields, trailers and baggage members from clients */
	uint64_t tags_restored;         /* from baggage, on hops */
	uint64_t no_host;
	uint64_t no_match;
	uint64_t no_endpoint;
	uint64_t upstream_connects;
	uint64_t upstream_reuses;
	uint64_t upstream_failures;
	uint64_t spliced_bytes;
	/* requests at gateway listeners per lane, by who decided */
	uint64_t lane_by_kernel[LANETAG_MAX_LANES];
	uint64_t lane_by_agent[LANETAG_MAX_LANES];
};
