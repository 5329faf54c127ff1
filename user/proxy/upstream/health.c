/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/upstream/health.h"

#include "base/log.h"
#include "base/address.h"
#include "proxy/worker/worker.h"

#define EJECTION_MAXIMUM_MS 300000 /* as Envoy's */

bool health_is_ejected(const struct worker *worker, const struct backend *backend)
{
	return backend->ejected_until_ms > worker->now_ms;
}

/* Whether one more may be left out: some always may, however small the share. */
static bool may_eject(const struct lease *lease, const struct mesh_cluster *cluster)
{
	return (uint64_t)lease->clusters[cluster->index].ejected * 100 <
	       (uint64_t)cluster->policy.maximum_ejection_percent * cluster->endpoint_count;
}

static void eject(struct worker *worker, struct lease *lease, const struct mesh_cluster *cluster,
		  struct backend *backend)
{
	char address[ADDRESS_TEXT_BYTES];

	backend->errors_5xx = 0;
	backend->errors_gateway = 0;
	if (health_is_ejected(worker, backend) || !may_eject(lease, cluster))
		return;
	backend->ejections++;
	uint64_t pause = (uint64_t)cluster->policy.base_ejection_ms * backend->ejections;
	backend->ejected_until_ms =
		worker->now_ms + (pause < EJECTION_MAXIMUM_MS ? pause : EJECTION_MAXIMUM_MS);
	backend_health_changed(worker, backend);
	statistics_count(&worker->statistics.upstream_ejections);
	address_print(backend->address, address);
	log_warning("endpoint left out", log_text("host", cluster->host),
		    log_text("subset", cluster->subset ? cluster->subset : ""),
		    log_text("address", address), log_number("port", backend->port),
		    log_number("for_ms", pause));
}

static void note_success(const struct worker *worker, const struct mesh_cluster_policy *policy,
			 struct backend *backend)
{
	backend->errors_5xx = 0;
	backend->errors_gateway = 0;
	/* Who behaves for an interval is left out for a shorter time next. */
	if (backend->ejections &&
	    worker->now_ms > backend->ejected_until_ms + policy->outlier_interval_ms) {
		backend->ejections--;
		backend->ejected_until_ms = worker->now_ms;
	}
}

void health_note_status(struct worker *worker, struct lease *lease,
			const struct mesh_cluster *cluster, struct backend *backend,
			unsigned status)
{
	const struct mesh_cluster_policy *policy = &cluster->policy;

	if (status < 500) {
		note_success(worker, policy, backend);
		return;
	}
	backend->errors_5xx++;
	backend->errors_gateway = status >= 502 && status <= 504 ? backend->errors_gateway + 1 : 0;
	if ((policy->consecutive_5xx && backend->errors_5xx >= policy->consecutive_5xx) ||
	    (policy->consecutive_gateway_errors &&
	     backend->errors_gateway >= policy->consecutive_gateway_errors))
		eject(worker, lease, cluster, backend);
}
