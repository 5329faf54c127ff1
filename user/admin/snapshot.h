/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What the agent shows of itself at one moment; the input of metrics and status. */
#include <lanetag/flow.h>
#include "config/configuration.h"
#include "config/rejections.h"
#include "kernel/interception.h"
#include "kernel/tagger.h"
#include "kernel/threads.h"
#include "kubernetes/client.h"
#include "proxy/record/series.h"
#include "proxy/record/statistics.h"

struct admin_snapshot {
	struct configuration *configuration; /* a reference of the snapshot's own */
	struct proxy_statistics statistics;
	size_t detailed_lanes; /* at the most; whole rules, in their order */
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
	struct kubernetes_kind_report kinds[KUBERNETES_MAX_KINDS]; /* of the API server's */
	size_t kind_count;
	uint64_t reloads_succeeded;
	uint64_t reloads_failed;
	uint64_t reloads_partial;
	bool last_reload_failed;
	char *last_reload_error;       /* owned; NULL: none */
	struct rejections *rejections; /* a reference; NULL: none */
};

/* What probes ask for. */
struct admin_health {
	bool draining;
	bool last_reload_failed;
	bool has_unreadable_source;
};

/* Fills a snapshot that is all zero. It may take its time; called from one thread at a time. */
typedef void (*admin_snapshot_function)(void *context, struct admin_snapshot *ret_snapshot);
/* Takes no time; called from another thread than the one above. */
typedef struct admin_health (*admin_health_function)(void *context);

struct admin_source {
	admin_snapshot_function snapshot;
	admin_health_function health;
	void *context;
};

void admin_snapshot_free(struct admin_snapshot *snapshot);
