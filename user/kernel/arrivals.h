/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Tags of requests that arrived at the pods of this node, by trace and request ids. Everything here
 * takes a tagger that was opened with TAGGER_ARRIVALS.
 */
#include <lanetag/arrival.h>
#include "base/span.h"
#include "kernel/tagger.h"

/* The fields that hold ids, in the order in which they are looked at. */
#define ARRIVALS_MAX_FIELDS (LANETAG_MAX_SOURCES - 1)

struct arrivals_fields {
	struct lanetag_source sources[ARRIVALS_MAX_FIELDS];
	size_t count;
};

/* traceparent, b3, x-b3-traceid, x-request-id, x-datadog-trace-id. */
void arrivals_standard_fields(struct arrivals_fields *ret_fields);
/* One more, whose whole value is an id. 0; -EINVAL: no name of a field; -ENOSPC: too many. */
int arrivals_add_field(struct arrivals_fields *fields, struct span name);
/* The field of this name (in any case), or fields->count. */
size_t arrivals_field(const struct arrivals_fields *fields, struct span name);

/*
 * What the program looks for; tagger_set_ports says at which ports of pods. 0 or a negative errno.
 */
int arrivals_set_fields(struct tagger *arrivals, const struct arrivals_fields *fields,
			uint32_t generation);

/* A field's value in a request that a pod makes. */
struct arrivals_id {
	size_t field;
	struct span value;
};

enum arrivals_outcome {
	ARRIVALS_NONE,	    /* nothing arrived at the pod with one of the ids */
	ARRIVALS_FOUND,	    /* also with no tags */
	ARRIVALS_AMBIGUOUS, /* different requests did, or their tags are not known */
};

struct arrivals_tags {
	size_t length;
	char text[LANETAG_ARRIVAL_MAX_TAGS]; /* as it stood in `baggage` */
};

/*
 * What arrived at the pod with this address under these ids: at most ARRIVALS_MAX_FIELDS, in any
 * order. Costs a system call for each. Any thread may call it. *ret_tags is set if FOUND.
 */
enum arrivals_outcome arrivals_find(const struct tagger *arrivals,
				    const struct arrivals_fields *fields,
				    const uint8_t pod_address[16], const struct arrivals_id *ids,
				    size_t id_count, struct arrivals_tags *ret_tags);

/*
 * Removes the entries that are older than LANETAG_ARRIVAL_AGE_NS, and counts the others: some
 * milliseconds for each 10,000. 0 or a negative errno.
 */
struct arrivals_sweep {
	uint64_t entries;    /* that stand now */
	uint64_t ended;	     /* removed by age, in all sweeps of this process */
	uint64_t pushed_out; /* by newer ones, since this process's first sweep; about */
};

int arrivals_sweep(struct tagger *arrivals, struct arrivals_sweep *ret_sweep);

/* So many entries have room. */
uint64_t arrivals_capacity(const struct tagger *arrivals);

/* What the kernel counted since the maps were made, by enum lanetag_arrival_count; each has a name
 * in snake_case. 0 or a negative errno. */
int arrivals_counts(const struct tagger *arrivals, uint64_t ret_counts[LANETAG_ARRIVAL_COUNTS]);
const char *arrivals_count_name(size_t count);
