/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/metrics.h"

#include <inttypes.h>
#include <stddef.h>

#include "admin/exposition.h"
#include "admin/lane_metrics.h"
#include "admin/upstream_metrics.h"
#include "base/array.h"
#include "version.h"

#define NAMED_REJECTIONS 50 /* a scrape is bounded whatever the manifests are */

/* Each rejected resource up to a bound; what they are in number always. */
static void write_rejections(const struct rejections *rejections, struct buffer *out)
{
	size_t named = 0;

	exposition_family(out, "lanetag_rejected_resources", "gauge",
			  "Resources with errors, by what the errors cost.");
	for (int outcome = 0; outcome < REJECTION_OUTCOMES; outcome++)
		buffer_printf(out, "lanetag_rejected_resources{outcome=\"%s\"} %zu\n",
			      rejection_outcome_name((enum rejection_outcome)outcome),
			      rejections_count(rejections, (enum rejection_outcome)outcome));
	exposition_family(
		out, "lanetag_resources_rejected", "gauge",
		"1 for each resource whose newest version is not in force (the first 50).");
	for (size_t i = 0; rejections && i < rejections->count && named < NAMED_REJECTIONS; i++) {
		const struct rejection *item = &rejections->items[i];

		if (item->outcome == REJECTION_ROUTE)
			continue;
		named++;
		buffer_append_text(out, "lanetag_resources_rejected{kind=\"");
		exposition_label_value(out, span_of(item->kind));
		buffer_append_text(out, "\",namespace=\"");
		exposition_label_value(out, span_of(item->namespace));
		buffer_append_text(out, "\",name=\"");
		exposition_label_value(out, span_of(item->name));
		buffer_append_text(out, "\"} 1\n");
	}
	exposition_single(out, "lanetag_sources_unreadable", "gauge",
			  "Files and directories of manifests that cannot be read to their end.",
			  rejections ? rejections->unreadable : 0);
}

static void write_configuration(const struct admin_snapshot *snapshot, struct buffer *out)
{
	exposition_family(out, "lanetag_build_info", "gauge", "The build that runs.");
	buffer_printf(out, "lanetag_build_info{version=\"%s\"} 1\n", LANETAG_VERSION);
	exposition_single(out, "lanetag_configuration_generation", "gauge",
			  "Generation of the configuration in force.",
			  snapshot->configuration->generation);
	exposition_family(out, "lanetag_configuration_reloads_total", "counter",
			  "Reloads of the manifests by result.");
	buffer_printf(out, "lanetag_configuration_reloads_total{result=\"success\"} %" PRIu64 "\n",
		      snapshot->reloads_succeeded);
	buffer_printf(out, "lanetag_configuration_reloads_total{result=\"failure\"} %" PRIu64 "\n",
		      snapshot->reloads_failed);
	buffer_printf(out, "lanetag_configuration_reloads_total{result=\"partial\"} %" PRIu64 "\n",
		      snapshot->reloads_partial);
	exposition_single(
		out, "lanetag_configuration_last_reload_successful", "gauge",
		"1 if the configuration in force is the newest one, 0 if that was refused, in part "
		"or as a whole.",
		!snapshot->last_reload_failed);
	write_rejections(snapshot->rejections, out);
	exposition_single(out, "lanetag_kernel_tagger_active", "gauge",
			  "1 if the kernel tagger is loaded, 0 if the agent decides alone.",
			  snapshot->kernel_active);
}

static void write_decisions(const struct proxy_statistics *statistics, struct buffer *out)
{
	exposition_family(out, "lanetag_decisions_total", "counter",
			  "Requests at the gateway by whether the kernel had decided alike.");
	buffer_printf(out, "lanetag_decisions_total{mark=\"agreed\"} %" PRIu64 "\n",
		      statistics->marks_agreed);
	buffer_printf(out, "lanetag_decisions_total{mark=\"unused\"} %" PRIu64 "\n",
		      statistics->marks_unused);
	exposition_family(out, "lanetag_responses_total", "counter",
			  "Responses by class of status.");
	for (size_t class = 1; class < ARRAY_LENGTH(statistics->responses); class ++)
		buffer_printf(out, "lanetag_responses_total{class=\"%zuxx\"} %" PRIu64 "\n", class,
			      statistics->responses[class]);
}

/* The plain counters: name, type, help, where. */
static const struct {
	const char *name;
	const char *type;
	const char *help;
	size_t offset;
} plain_metrics[] = {
#define COUNTER(metric, field, text)                                                         \
	{                                                                                    \
		"lanetag_" metric, "counter", text, offsetof(struct proxy_statistics, field) \
	}
	COUNTER("connections_total", connections_accepted, "Client connections accepted."),
	{"lanetag_connections_open", "gauge", "Client connections open now.",
	 offsetof(struct proxy_statistics, connections_open)},
	COUNTER("connections_refused_total", connections_refused,
		"Client connections over a limit."),
	{"lanetag_waiting_bytes", "gauge",
	 "Bytes of requests and responses that wait in the agent.",
	 offsetof(struct proxy_statistics, waiting_bytes)},
	COUNTER("waiting_refused_total", waiting_refused,
		"Incomplete heads and requests refused since too many bytes wait (503)."),
	COUNTER("http_requests_total", requests, "Requests read, on gateways and hops."),
	COUNTER("bad_requests_total", bad_requests,
		"Requests refused as malformed, incomplete or over a limit."),
	COUNTER("decision_disagreements_total", disagreements,
		"Marks of the kernel that differed from the agent's decision, which holds."),
	COUNTER("stale_marks_total", marks_stale, "Marks of another generation, passed over."),
	COUNTER("ids_missing_total", ids_missing, "Requests without the user id of some rule."),
	COUNTER("ids_conflicting_total", ids_conflicting,
		"Requests with several, differing user ids; not tagged."),
	COUNTER("forged_tags_removed_total", forged_tags_removed,
		"Tag headers, trailers and baggage members that clients sent, removed."),
	COUNTER("tags_restored_total", tags_restored, "Tags restored on hops."),
	COUNTER("tags_dropped_total", tags_dropped, "Tags that a hop's request had no room for."),
	COUNTER("causes_ambiguous_total", causes_ambiguous,
		"Calls whose ids several requests, or one with unknown tags, brought to the pod."),
	COUNTER("no_host_total", no_host, "Requests whose host no route has (404)."),
	COUNTER("regex_undecided_total", regex_undecided,
		"Requests refused as too long for a route's regular expression (431, 500)."),
	COUNTER("no_match_total", no_match, "Requests that no route of their host matches (404)."),
	COUNTER("no_endpoint_total", no_endpoint, "Requests whose subset has no endpoint (503)."),
	COUNTER("configuration_rejected_total", rejected,
		"Requests to a host whose only VirtualService was rejected (503)."),
	COUNTER("upstream_connects_total", upstream_connects, "Connections opened to endpoints."),
	COUNTER("upstream_reuses_total", upstream_reuses, "Requests sent on a pooled connection."),
	COUNTER("upstream_failures_total", upstream_failures,
		"Connects that failed and responses that broke off."),
	COUNTER("upstream_ejections_total", upstream_ejections,
		"Endpoints left out by outlier detection."),
	COUNTER("upstream_overflows_total", upstream_overflows,
		"Requests refused by a limit of connectionPool (503)."),
	COUNTER("fallbacks_total", fallbacks, "Requests sent to a fallback subset."),
	COUNTER("retries_total", retries, "Further attempts of requests."),
	COUNTER("timeouts_total", timeouts, "Requests ended, or begun in vain, by a timeout."),
	COUNTER("client_aborts_total", client_aborts, "Clients that left within a request."),
	COUNTER("faults_injected_total", faults_injected,
		"Requests delayed or aborted by a fault."),
	COUNTER("requests_mirrored_total", requests_mirrored, "Copies sent to mirrors."),
	COUNTER("baggage_malformed_total", baggage_malformed,
		"Baggage members dropped: not of W3C's grammar, or not to be decoded."),
	COUNTER("baggage_overflows_total", baggage_overflows,
		"Requests with members that had no room in the baggage."),
	COUNTER("baggage_members_dropped_total", baggage_members_dropped,
		"Members that had no room in the baggage, others' before tags."),
	COUNTER("access_log_dropped_total", access_log_dropped,
		"Lines that the access log's reader was too slow for."),
	COUNTER("copied_bytes_total", copied_bytes, "Body bytes moved by copying."),
	COUNTER("spliced_bytes_total", spliced_bytes, "Body bytes moved by splice(2)."),
#undef COUNTER
};

static void write_propagation(const struct proxy_statistics *statistics, struct buffer *out)
{
	exposition_family(out, "lanetag_propagation_total", "counter",
			  "Requests on hops by the way in which their tags came.");
	for (size_t i = 0; i <= PROPAGATION_WAYS; i++)
		buffer_printf(out, "lanetag_propagation_total{by=\"%s\"} %" PRIu64 "\n",
			      i < PROPAGATION_WAYS ? propagation_way_name(i) : "none",
			      statistics->propagated_by[i]);
}

/* A family whose label is what happened; `names` gives the label's value of each count. */
static void write_events(struct buffer *out, const char *name, const char *help,
			 const uint64_t *counts, size_t count, const char *(*names)(size_t))
{
	exposition_family(out, name, "counter", help);
	for (size_t i = 0; i < count; i++)
		buffer_printf(out, "%s{event=\"%s\"} %" PRIu64 "\n", name, names(i), counts[i]);
}

static void write_table(struct buffer *out, const char *name, const char *type, const char *help,
			uint64_t flows, uint64_t marks)
{
	exposition_family(out, name, type, help);
	buffer_printf(out, "%s{table=\"flows\"} %" PRIu64 "\n", name, flows);
	buffer_printf(out, "%s{table=\"marks\"} %" PRIu64 "\n", name, marks);
}

/* What the tagger met, and how full its tables are. */
static void write_tagger(const struct admin_snapshot *snapshot, struct buffer *out)
{
	const struct tagger_table *flows = &snapshot->kernel_tables.flows;
	const struct tagger_table *marks = &snapshot->kernel_tables.marks;

	if (!snapshot->kernel_active)
		return;
	write_events(out, "lanetag_kernel_events_total",
		     "What the kernel tagger met in packets; docs/map-abi.md says what each means.",
		     snapshot->kernel_events, LANETAG_EVENTS, tagger_event_name);
	write_table(out, "lanetag_kernel_table_entries", "gauge",
		    "Connections (flows) and latest requests (marks) that the kernel tagger keeps.",
		    flows->entries, marks->entries);
	write_table(out, "lanetag_kernel_table_capacity", "gauge",
		    "Connections and latest requests that the kernel tagger has room for.",
		    flows->capacity, marks->capacity);
	write_table(out, "lanetag_kernel_table_evictions_total", "counter",
		    "Connections and marks that newer ones took the place of.", flows->evictions,
		    marks->evictions);
}

/* What became of requests at the pods, and of their threads' calls. */
static void write_causes(const struct admin_snapshot *snapshot, struct buffer *out)
{
	if (!snapshot->arrivals_active)
		return;
	write_events(out, "lanetag_arrivals_total",
		     "Requests that the kernel saw arrive at pods, by what it could note.",
		     snapshot->arrivals, LANETAG_ARRIVAL_COUNTS, arrivals_count_name);
	exposition_single(out, "lanetag_arrivals_entries", "gauge",
			  "Arrivals that are kept, as of the latest sweep.",
			  snapshot->arrivals_entries);
	exposition_single(out, "lanetag_arrivals_capacity", "gauge",
			  "Arrivals that there is room for.", snapshot->arrivals_capacity);
	exposition_single(out, "lanetag_arrivals_ended_total", "counter",
			  "Arrivals that were removed by their age.", snapshot->arrivals_ended);
	exposition_single(out, "lanetag_arrivals_pushed_out_total", "counter",
			  "Arrivals that newer ones took the room of: --arrivals is too small.",
			  snapshot->arrivals_pushed_out);
	if (snapshot->threads_active)
		write_events(out, "lanetag_threads_total",
			     "Requests and calls of applications' threads, and processes given up.",
			     snapshot->threads, LANETAG_THREAD_COUNTS, threads_count_name);
}

/* What became of pods' calls to Services. */
static void write_interception(const struct admin_snapshot *snapshot, struct buffer *out)
{
	const struct interception_counts *interception = &snapshot->interception;

	if (!snapshot->interception_active)
		return;
	write_events(out, "lanetag_interception_total",
		     "Connects of pods to Services' addresses by what the kernel did.",
		     interception->counts, LANETAG_INTERCEPTION_COUNTS, interception_count_name);
	exposition_single(out, "lanetag_interception_destinations", "gauge",
			  "Services' addresses whose calls are intercepted.",
			  interception->destinations);
	exposition_single(out, "lanetag_interception_accepted_total", "counter",
			  "Intercepted connections that the agent accepted.",
			  snapshot->statistics.calls_intercepted);
	exposition_single(
		out, "lanetag_interception_strangers_total", "counter",
		"Connections to the port of interception that were not intercepted, refused.",
		snapshot->statistics.strangers_refused);
}

static void write_kinds(const struct admin_snapshot *snapshot, struct buffer *out, const char *name,
			const char *type, const char *help, size_t offset)
{
	exposition_family(out, name, type, help);
	for (size_t i = 0; i < snapshot->kind_count; i++) {
		const struct kubernetes_kind_report *report = &snapshot->kinds[i];
		uint64_t value;

		memcpy(&value, (const char *)report + offset, sizeof(value));
		buffer_printf(out, "%s{kind=\"%s\"} %" PRIu64 "\n", name, report->plural, value);
	}
}

/* What came from the API server, and how. */
static void write_kubernetes(const struct admin_snapshot *snapshot, struct buffer *out)
{
	if (!snapshot->kind_count)
		return;
	write_kinds(snapshot, out, "lanetag_kubernetes_age_seconds", "gauge",
		    "Time since the API server last said how a kind's objects are.",
		    offsetof(struct kubernetes_kind_report, age_s));
	write_kinds(snapshot, out, "lanetag_kubernetes_objects", "gauge",
		    "Objects of a kind that are known.",
		    offsetof(struct kubernetes_kind_report, objects));
	write_kinds(snapshot, out, "lanetag_kubernetes_requests_failed_total", "counter",
		    "Requests to the API server that failed, or broke off.",
		    offsetof(struct kubernetes_kind_report, failed));
	write_kinds(snapshot, out, "lanetag_kubernetes_objects_refused_total", "counter",
		    "Objects of the API server that were not understood, and passed over.",
		    offsetof(struct kubernetes_kind_report, refused));
}

void metrics_write(const struct admin_snapshot *snapshot, struct buffer *out)
{
	write_configuration(snapshot, out);
	lane_metrics_write(snapshot, out);
	write_decisions(&snapshot->statistics, out);
	write_propagation(&snapshot->statistics, out);
	upstream_metrics_write(snapshot, out);
	write_tagger(snapshot, out);
	write_causes(snapshot, out);
	write_interception(snapshot, out);
	write_kubernetes(snapshot, out);
	for (size_t i = 0; i < ARRAY_LENGTH(plain_metrics); i++) {
		const char *base = (const char *)&snapshot->statistics;
		uint64_t value;

		memcpy(&value, base + plain_metrics[i].offset, sizeof(value));
		exposition_single(out, plain_metrics[i].name, plain_metrics[i].type,
				  plain_metrics[i].help, value);
	}
}
