/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Interception from the agent's side: calls of the node's pods to the mesh's hosts are led to the
 * agent where they begin, at connect(2), without rules in any firewall and without a word to the
 * application. bpf/interception.bpf.c decides by what stands in the maps here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lanetag/interception.h>
#include "kernel/saved_syn.h"

struct interception;

struct interception_options {
	const char *cgroup;	   /* whose processes; NULL: all (the root of cgroup v2) */
	const char *pin_directory; /* NULL: agents that overlap don't know each other's calls */
	/* Where the agent accepts, one address per family that pods reach; port 0: none. */
	struct lanetag_destination agent[LANETAG_FAMILIES];
	bool fail_closed; /* without an agent calls are refused, also after it ended */
};

/*
 * Loads and attaches. Nothing is intercepted before interception_renew. 0 and *ret_interception, or
 * a negative errno; the log then says what the kernel or the rights lack.
 */
int interception_open(const struct interception_options *options,
		      struct interception **ret_interception);
/*
 * No more calls are led here; those that were can still be found, and their applications still see
 * what they called. NULL is fine.
 */
void interception_detach(struct interception *interception);
void interception_close(struct interception *interception); /* NULL is fine */

/* What is intercepted. Sorted by interception_sort; no key twice. */
struct interception_scope {
	struct lanetag_destination *destinations;
	size_t destination_count;
	bool everyone; /* all pods, also unknown ones; else those of `pods` */
	struct lanetag_namespace_address *pods;
	size_t pod_count;
};

void interception_sort(struct interception_scope *scope);
/* Takes out what isn't in the scope, and puts in what is: in this order around a swap of the
 * proxy's configuration no call reaches an agent that doesn't know its destination, and none of a
 * host that stays passes by. 0 or a negative errno. */
int interception_narrow(struct interception *interception, const struct interception_scope *scope);
int interception_widen(struct interception *interception, const struct interception_scope *scope);

/* The agent serves, and will for this long. Any one thread. 0 or a negative errno. */
int interception_renew(struct interception *interception, unsigned milliseconds);

/*
 * Where an accepted connection was going. False: it was not intercepted, but came by itself. The
 * entry is then gone: ask once. A system call; any thread may call it.
 */
bool interception_take(const struct interception *interception,
		       const struct lanetag_interception_key *key,
		       struct lanetag_intercepted *ret_intercepted);

/* Where the agent has to accept: `options->agent`. */
const struct lanetag_destination *interception_agent(const struct interception *interception,
						     enum lanetag_address_family family);

/* By enum lanetag_interception_count, each with a name in snake_case; and how many destinations
 * stand in the kernel. 0 or a negative errno. */
struct interception_counts {
	uint64_t counts[LANETAG_INTERCEPTION_COUNTS];
	size_t destinations;
};

int interception_read_counts(const struct interception *interception,
			     struct interception_counts *ret_counts);
const char *interception_count_name(size_t count);
