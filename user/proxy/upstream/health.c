/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/upstream/health.h"

#include "base/log.h"
#include "base/address.h"
#include "proxy/upstream/lease.h"
#include "proxy/upstream/upstreams.h"

#define DOWN_FIRST_MS 250
#define DOWN_MAXIMUM_MS 8000
#define EJECTION_MAXIMUM_MS 300000 /* as Envoy's */

bool health_is_ejected(const struct upstreams *upstreams, const struct backend *backend)
{
	return backend->ejected_until_ms > upstreams->loop->now_ms;
}

void health_update(struct upstreams *upstreams, struct backend *backend)
{
	uint64_t now_ms = upstreams->loop->now_ms, due_ms = TIMER_NEVER;
	bool was_down = backend->is_down, was_ejected = backend->is_ejected;

	backend->is_down = backend->down_until_ms > now_ms;
	backend->is_ejected = backend->ejected_until_ms > now_ms;
	if (backend->is_down)
		due_ms = backend->down_until_ms;
	if (backend->is_ejected && backend->ejected_until_ms < due_ms)
		due_ms = backend->ejected_until_ms;
	timer_set(&upstreams->loop->timers, &backend->timer, due_ms);
	if (was_down != backend->is_down || was_ejected != backend->is_ejected)
		lease_count_backend(upstreams, backend, was_down, was_ejected);
}

void health_note_connect(struct upstreams *upstreams, struct backend *backend, bool succeeded)
{
	if (succeeded) {
		backend->failed_connects = 0;
		backend->down_until_ms = 0;
		if (backend->is_down)
			health_update(upstreams, backend);
		return;
	}
	uint32_t doublings = backend->failed_connects < 5 ? backend->failed_connects : 5;
	uint64_t pause = (uint64_t)DOWN_FIRST_MS << doublings;

	backend->failed_connects++;
	backend->down_until_ms =
		upstreams->loop->now_ms + (pause < DOWN_MAXIMUM_MS ? pause : DOWN_MAXIMUM_MS);
	health_update(upstreams, backend);
	statistics_count(&upstreams->statistics->upstream_failures);
}

/* Whether one more may be left out: some always may, however small the share. */
static bool may_eject(const struct lease *lease, const struct mesh_cluster *cluster)
{
	return (uint64_t)lease->clusters[cluster->index].ejected * 100 <
	       (uint64_t)cluster->policy.maximum_ejection_percent * cluster->endpoint_count;
}

static void eject(struct upstreams *upstreams, struct lease *lease,
		  const struct mesh_cluster *cluster, struct backend *backend)
{
	char address[ADDRESS_TEXT_BYTES];

	backend->errors_5xx = 0;
	backend->errors_gateway = 0;
	if (health_is_ejected(upstreams, backend) || !may_eject(lease, cluster))
		return;
	backend->ejections++;
	uint64_t pause = (uint64_t)cluster->policy.base_ejection_ms * backend->ejections;
	backend->ejected_until_ms = upstreams->loop->now_ms +
				    (pause < EJECTION_MAXIMUM_MS ? pause : EJECTION_MAXIMUM_MS);
	health_update(upstreams, backend);
	statistics_count(&upstreams->statistics->upstream_ejections);
	address_print(backend->address, address);
	log_warning("endpoint left out", log_text("host", cluster->host),
		    log_text("subset", cluster->subset ? cluster->subset : ""),
		    log_text("address", address), log_number("port", backend->port),
		    log_number("for_ms", pause));
}

static void note_success(const struct upstreams *upstreams,
			 const struct mesh_cluster_policy *policy, struct backend *backend)
{
	backend->errors_5xx = 0;
	backend->errors_gateway = 0;
	/* Who behaves for an interval is left out for a shorter time next. */
	if (backend->ejections &&
	    upstreams->loop->now_ms > backend->ejected_until_ms + policy->outlier_interval_ms) {
		backend->ejections--;
		backend->ejected_until_ms = upstreams->loop->now_ms;
	}
}

void health_note_status(struct upstreams *upstreams, struct lease *lease,
			const struct mesh_cluster *cluster, struct backend *backend,
			unsigned status)
{
	const struct mesh_cluster_policy *policy = &cluster->policy;

	if (status < 500) {
		note_success(upstreams, policy, backend);
		return;
	}
	backend->errors_5xx++;
	backend->errors_gateway = status >= 502 && status <= 504 ? backend->errors_gateway + 1 : 0;
	if ((policy->consecutive_5xx && backend->errors_5xx >= policy->consecutive_5xx) ||
	    (policy->consecutive_gateway_errors &&
	     backend->errors_gateway >= policy->consecutive_gateway_errors))
		eject(upstreams, lease, cluster, backend);
}
