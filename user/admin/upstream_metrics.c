/* SPDX-License-Identifier: GPL-2.0-only */
#include "admin/upstream_metrics.h"

#include "admin/exposition.h"
#include "base/array.h"

/* One row, while rows are stepped through. */
struct row {
	struct span labels;
	const struct mesh_cluster *cluster; /* NULL: the rest's */
	const struct upstream_series *series;
};

typedef void row_writer(const struct row *row, const char *name, struct buffer *out);

static void write_labels(const struct mesh_cluster *cluster, struct buffer *labels)
{
	if (!cluster) {
		buffer_append_text(labels, "host=\"(other)\",subset=\"\",port=\"\"");
		return;
	}
	buffer_append_text(labels, "host=\"");
	exposition_label_value(labels, span_of(cluster->host));
	buffer_append_text(labels, "\",subset=\"");
	exposition_label_value(labels, span_of(cluster->subset ? cluster->subset : ""));
	buffer_printf(labels, "\",port=\"%u\"", (unsigned)cluster->port);
}

static void write_requests(const struct row *row, const char *name, struct buffer *out)
{
	static const char *const classes[SERIES_ENDS] = {
		[SERIES_ABANDONED] = "class=\"abandoned\"",
		[SERIES_1XX] = "class=\"1xx\"",
		[SERIES_2XX] = "class=\"2xx\"",
		[SERIES_3XX] = "class=\"3xx\"",
		[SERIES_4XX] = "class=\"4xx\"",
		[SERIES_5XX] = "class=\"5xx\"",
		[SERIES_FAILED] = "class=\"failed\"",
	};

	for (size_t i = 0; i < SERIES_ENDS; i++)
		exposition_sample(out, name, row->labels, classes[i], row->series->requests[i]);
}

static void write_durations(const struct row *row, const char *name, struct buffer *out)
{
	const struct histogram histogram = {
		.bounds = series_bounds_ms,
		.bound_count = SERIES_BUCKETS,
		.counts = row->series->durations,
		.sum = row->series->duration_ms,
		.per_second = 1000,
	};

	exposition_histogram(out, name, row->labels, &histogram);
}

static void write_failed_connects(const struct row *row, const char *name, struct buffer *out)
{
	exposition_sample(out, name, row->labels, NULL, row->series->connects_failed);
}

static void write_active(const struct row *row, const char *name, struct buffer *out)
{
	exposition_sample(out, name, row->labels, NULL, row->series->requests_active);
}

static void write_connections(const struct row *row, const char *name, struct buffer *out)
{
	exposition_sample(out, name, row->labels, NULL, row->series->connections);
}

static void write_endpoints(const struct row *row, const char *name, struct buffer *out)
{
	exposition_sample(out, name, row->labels, NULL, row->cluster->endpoint_count);
}

/* A look may be older than the configuration, which may have fewer endpoints now. */
static void write_healthy(const struct row *row, const char *name, struct buffer *out)
{
	uint64_t count = row->cluster->endpoint_count, left_out = row->series->endpoints_left_out;

	exposition_sample(out, name, row->labels, NULL, left_out < count ? count - left_out : 0);
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	row_writer *writer;
	bool is_gauge; /* which the rest has none of */
} families[] = {
	{"lanetag_upstream_endpoints", "gauge", "Ready endpoints per host, subset and port.",
	 write_endpoints, true},
	{"lanetag_upstream_endpoints_healthy", "gauge",
	 "Those that are neither left out by outlier detection nor failed to be connected to last, "
	 "for the worker that sees fewest.",
	 write_healthy, true},
	{"lanetag_upstream_requests_total", "counter",
	 "Requests given to endpoints, each retry again, by class of status; failed: no answer, or "
	 "a broken one; abandoned: the client left, or a pooled connection had closed. Not those "
	 "whose chunked body turned out to be malformed.",
	 write_requests, false},
	{"lanetag_upstream_request_duration_seconds", "histogram",
	 "From the choice of an endpoint to the end of its response, to the millisecond.",
	 write_durations, false},
	{"lanetag_upstream_connects_failed_total", "counter",
	 "Connections that endpoints did not accept in time, or refused.", write_failed_connects,
	 false},
	{"lanetag_upstream_requests_active", "gauge", "Requests that are with endpoints now.",
	 write_active, true},
	{"lanetag_upstream_connections_open", "gauge",
	 "Connections to the endpoints, idle ones included.", write_connections, true},
};

static void write_row(const struct admin_snapshot *snapshot, size_t series, size_t family,
		      struct buffer *out)
{
	struct buffer labels = {0};
	struct row row = {
		.cluster = mesh_cluster_of_series(snapshot->configuration->mesh, series),
		.series = &snapshot->upstreams[series],
	};

	write_labels(row.cluster, &labels);
	out->failed = out->failed || labels.failed;
	row.labels = buffer_span(&labels);
	families[family].writer(&row, families[family].name, out);
	buffer_free(&labels);
}

void upstream_metrics_write(const struct admin_snapshot *snapshot, struct buffer *out)
{
	const struct mesh *mesh = snapshot->configuration->mesh;
	size_t rest = mesh_clusters_without_series(mesh);

	for (size_t i = 0; i < ARRAY_LENGTH(families); i++) {
		exposition_family(out, families[i].name, families[i].type, families[i].help);
		for (size_t series = 1; series <= MESH_SERIES; series++) {
			if (mesh_cluster_of_series(mesh, series))
				write_row(snapshot, series, i, out);
		}
		if (rest && !families[i].is_gauge)
			write_row(snapshot, 0, i, out);
	}
	exposition_single(out, "lanetag_upstream_destinations_without_series", "gauge",
			  "Hosts' ports and subsets that are counted together as (other).", rest);
}
