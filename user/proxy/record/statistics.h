/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What the proxy counts. Each worker writes its own copy (relaxed stores, one writer); readers sum.
 * All fields are 64-bit counters so that the sum is a loop.
 */
#include <stddef.h>
#include <stdint.h>
#include <lanetag/rules.h>
#include "policy/propagation.h"

#define OUTCOME_BUCKETS 14
/* Upper bounds in microseconds; the last one is followed by all that took longer. */
extern const uint64_t outcome_bounds_us[OUTCOME_BUCKETS];

/* How the requests of a lane ended, as the gateway's client saw it. */
struct lane_outcomes {
	uint64_t responses[6];	/* by class; [0]: the client or the upstream left before */
	uint64_t request_bytes; /* of bodies */
	uint64_t response_bytes;
	uint64_t durations[OUTCOME_BUCKETS + 1]; /* each by the first bound that it does not pass */
	uint64_t duration_us;			 /* the sum */
};

struct proxy_statistics {
	uint64_t connections_accepted;
	uint64_t connections_open; /* a gauge: opened less closed */
	uint64_t connections_refused;
	uint64_t waiting_bytes;	    /* a gauge: in user space, see waiting.h */
	uint64_t waiting_refused;   /* heads and requests, since too many bytes wait */
	uint64_t calls_intercepted; /* connections that were to a Service's address */
	uint64_t strangers_refused; /* that came to the port of interception by themselves */
	uint64_t requests;
	uint64_t responses[6];	/* by class: [1] 1xx .. [5] 5xx */
	uint64_t bad_requests;	/* refused with 4xx: head or body is none, or over a limit */
	uint64_t marks_agreed;	/* requests whose mark the decision confirmed */
	uint64_t marks_unused;	/* no usable mark */
	uint64_t disagreements; /* mark and decision differed: the decision holds */
	uint64_t marks_stale;	/* of another generation */
	uint64_t ids_missing;
	uint64_t ids_conflicting;
	uint64_t forged_tags_removed; /* header fields, trailers and baggage members from clients */
	uint64_t tags_restored;	      /* on hops */
	uint64_t tags_dropped;	      /* on hops, where a head had no room for them */
	uint64_t causes_ambiguous;    /* on hops, ids that several requests brought to the pod */
	uint64_t propagated_by[PROPAGATION_WAYS + 1]; /* requests at hops; the last: by nothing */
	uint64_t baggage_malformed; /* members dropped: not of the grammar, or not to be decoded */
	uint64_t baggage_overflows; /* requests whose baggage had no room for some member */
	uint64_t baggage_members_dropped; /* those members */
	uint64_t no_host;
	uint64_t no_match;
	uint64_t regex_undecided; /* requests refused: a regular expression could not say */
	uint64_t no_endpoint;
	uint64_t rejected;  /* requests to a host whose VirtualService is not in force */
	uint64_t fallbacks; /* requests sent to a fallback subset */
	uint64_t upstream_connects;
	uint64_t upstream_reuses;
	uint64_t upstream_failures; /* connections that failed, or broke within a request */
	uint64_t upstream_ejections;
	uint64_t upstream_overflows; /* requests refused by a connectionPool limit */
	uint64_t retries;
	uint64_t timeouts;	/* requests ended by a timeout of any kind */
	uint64_t client_aborts; /* clients that went away within a request */
	uint64_t faults_injected;
	uint64_t requests_mirrored;
	uint64_t access_log_dropped; /* lines that the log's reader was too slow for */
	uint64_t copied_bytes;	     /* of bodies */
	uint64_t spliced_bytes;
	/* requests at gateway listeners per lane, by who decided */
	uint64_t lane_mark_agreed[LANETAG_MAX_LANES];
	uint64_t lane_mark_unused[LANETAG_MAX_LANES];
	struct lane_outcomes lane_outcomes[LANETAG_MAX_LANES];
};

/* One request that came to its end. */
struct request_outcome {
	unsigned status; /* 0: no response was begun */
	uint64_t request_bytes;
	uint64_t response_bytes;
	uint64_t duration_us;
};

/* In each of the lanes that the request was in. */
void statistics_note_outcome(struct proxy_statistics *statistics, const uint16_t *lanes,
			     size_t lane_count, const struct request_outcome *outcome);

/* One writer, any readers: no lock prefix is needed, only a store that does not tear. */
static inline void statistics_add(uint64_t *counter, uint64_t amount)
{
	__atomic_store_n(counter, *counter + amount, __ATOMIC_RELAXED);
}

static inline void statistics_count(uint64_t *counter)
{
	statistics_add(counter, 1);
}

/* Adds what another thread writes to into *sum. */
void statistics_sum(const struct proxy_statistics *from, struct proxy_statistics *sum);
