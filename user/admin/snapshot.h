/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the agent shows of itself at one moment; the input of metrics and status. */
#include <lanetag/flow.h>
#include "config/configuration.h"
#include "kernel/interception.h"
#include "kernel/tagger.h"
#include "kernel/threads.h"
#include "proxy/series.h"
#include "proxy/statistics.h"

struct admin_snapshot {
	bool with_tables; /* asked for: the kernel's tables, which take milliseconds to count */
	struct configuration *configuration; /* a reference of the snapshot's own */
	struct proxy_statistics statistics;
	struct upstream_series upstreams[MESH_SERIES + 1]; /* by mesh_cluster.series */
	bool kernel_active;
	uint64_t kernel_lane_requests[LANETAG_MAX_LANES];
	uint64_t kernel_events[LANETAG_EVENTS];
	struct tagger_tables kernel_tables;
	bool arrivals_active;
	uint64_t arrivals[LANETAG_ARRIVAL_COUNTS];
	uint64_t arrivals_capacity;
	uint64_t arrivals_entries, arrivals_ended,
		arrivals_pushed_out; /* as the latest sweep found */
	bool threads_active;
	uint64_t threads[LANETAG_THREAD_COUNTS];
	bool interception_active;
	struct interception_counts interception;
	uint64_t reloads_succeeded;
	uint64_t reloads_failed;
	bool last_reload_failed;
	char *last_reload_error; /* owned; NULL: none */
	bool draining;
};

/* Fills a snapshot, zeroed but for what is asked; called from the admin server's thread. */
typedef void (*admin_snapshot_function)(void *context, struct admin_snapshot *ret_snapshot);
void admin_snapshot_free(struct admin_snapshot *snapshot);
