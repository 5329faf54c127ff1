/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/exchange/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "proxy/request/log_ids.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

#define MAXIMUM_WAITING_BYTES (1024 * 1024)

int access_log_open(const char *path)
{
	const int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC;
	bool is_standard_output = path[0] == '-' && path[1] == '\0';
	/* Opened anew: that it does not block must not become everybody's affair. */
	int fd = is_standard_output ? open("/proc/self/fd/1", flags)
				    : open(path, flags | O_CREAT, 0640);

	if (fd < 0 && is_standard_output)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3); /* a socket can't be opened */
	return fd < 0 ? -errno : fd;
}

static void append_json_member(struct buffer *out, const char *name, struct span value)
{
	buffer_printf(out, ",\"%s\":", name);
	json_append_bytes(out, value);
}

/* Quotes and what is no printable ASCII as \xXX, as Apache and nginx write it. */
static void append_quoted(struct buffer *out, struct span text)
{
	for (size_t i = 0; i < text.length; i++) {
		unsigned char byte = (unsigned char)text.data[i];

		if (byte == '"' || byte == '\\' || byte < 0x20 || byte >= 0x7f)
			buffer_printf(out, "\\x%02X", byte);
		else
			buffer_append_byte(out, (char)byte);
	}
}

static void append_common_start(struct buffer *out, const char *client)
{
	char when[64];
	time_t now = time(NULL);
	struct tm local;

	localtime_r(&now, &local);
	strftime(when, sizeof(when), "%d/%b/%Y:%H:%M:%S %z", &local);
	buffer_printf(out, "%s - - [%s] \"", client, when);
}

static void append_json_start(struct buffer *out, const char *client)
{
	struct timespec now;
	struct tm utc;
	char when[64];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &utc);
	buffer_printf(out, "{\"time\":\"%s.%03ldZ\",\"client\":\"%s\"", when, now.tv_nsec / 1000000,
		      client);
}

/* What stands in the line of the request's field, which may be a user's id. */
static struct span shown_field(struct worker *worker, struct span name, struct span value)
{
	bool raw = worker->shared->options.access_log_user_ids == ACCESS_LOG_USER_IDS_RAW;

	return raw || !log_ids_is_id_field(&worker->scratch.request, name)
		       ? value
		       : span_of(LOG_IDS_HIDDEN);
}

static struct span shown_target(struct worker *worker)
{
	bool raw = worker->shared->options.access_log_user_ids == ACCESS_LOG_USER_IDS_RAW;

	return raw ? worker->scratch.request.head.target
		   : log_ids_target(&worker->scratch.request, &worker->scratch.text);
}

static void begin_common(struct buffer *out, struct worker *worker, const char *client)
{
	const struct request *request = &worker->scratch.request;

	append_common_start(out, client);
	append_quoted(out, request->head.method);
	buffer_append_byte(out, ' ');
	append_quoted(out, shown_target(worker));
	buffer_printf(out, " HTTP/1.%u\"", (unsigned)request->head.minor_version);
}

/* The tags that go upstream: decided here, or restored on a hop. */
static void append_tags(struct buffer *out, const struct request *request)
{
	const struct tag_rules *rules = request->rules;
	bool first = true;

	buffer_append_text(out, ",\"tags\":{");
	for (size_t i = 0; i < tag_rules_count(rules); i++) {
		struct span value;

		if (!http_edit_get(&request->edit, tag_rules_header(rules, i), &value))
			continue;
		if (!first)
			buffer_append_byte(out, ',');
		first = false;
		json_append_bytes(out, tag_rules_header(rules, i));
		buffer_append_byte(out, ':');
		json_append_bytes(out, value);
	}
	buffer_append_byte(out, '}');
}

static void append_route(struct buffer *out, const struct route_result *result)
{
	const struct mesh_route *route = result->route;

	if (route && route->virtual_service)
		append_json_member(out, "virtual_service", span_of(route->virtual_service));
	if (route && route->name)
		append_json_member(out, "route", span_of(route->name));
}

static void begin_json(struct buffer *out, struct worker *worker, const char *client)
{
	const struct span host = {"Host", 4}, request_id = {"X-Request-Id", 12};
	const struct proxy_options *options = &worker->shared->options;
	bool raw = options->access_log_user_ids == ACCESS_LOG_USER_IDS_RAW;
	const struct request *request = &worker->scratch.request;
	struct span id = request->id;

	append_json_start(out, client);
	append_json_member(out, "method", request->head.method);
	append_json_member(out, "host", shown_field(worker, host, request->head.authority));
	append_json_member(out, "target", shown_target(worker));
	if (id.data || http_edit_get(&request->edit, request_id, &id))
		append_json_member(out, "request_id", shown_field(worker, request_id, id));
	if (options->access_log_user_ids != ACCESS_LOG_USER_IDS_NONE) {
		buffer_append_text(out, ",\"users\":");
		log_ids_append(request, raw ? NULL : &options->access_log_key, out);
	}
	append_tags(out, request);
	if (request->listener->kind == MESH_LISTENER_GATEWAY)
		buffer_printf(out, ",\"mark\":\"%s\"", request->mark_agreed ? "agreed" : "unused");
	else
		append_json_member(out, "propagated_by",
				   span_of(request->propagated_by < PROPAGATION_WAYS
						   ? propagation_way_name(request->propagated_by)
						   : "none"));
	append_route(out, &request->route);
}

void access_log_begin(struct worker *worker, struct exchange *exchange)
{
	char client[ADDRESS_TEXT_BYTES];

	if (worker->shared->access_log_fd < 0)
		return;
	address_print(worker->scratch.request.connection->remote_address, client);
	if (worker->shared->options.access_log_is_common)
		begin_common(&exchange->log, worker, client);
	else
		begin_json(&exchange->log, worker, client);
}

void access_log_begin_refused(struct worker *worker, struct exchange *exchange,
			      const struct lanetag_connection *connection, const char *reason)
{
	char client[ADDRESS_TEXT_BYTES];

	if (worker->shared->access_log_fd < 0)
		return;
	address_print(connection->remote_address, client);
	if (worker->shared->options.access_log_is_common) {
		append_common_start(&exchange->log, client);
		buffer_append_text(&exchange->log, "-\"");
	} else {
		append_json_start(&exchange->log, client);
		append_json_member(&exchange->log, "refused", span_of(reason));
	}
}

void access_log_note_refused(const struct worker *worker, struct exchange *exchange,
			     const char *reason)
{
	if (exchange->log.length && !worker->shared->options.access_log_is_common)
		append_json_member(&exchange->log, "refused", span_of(reason));
}

static void append_milliseconds(struct buffer *out, const char *name, uint64_t from_ns,
				uint64_t to_ns)
{
	buffer_printf(out, ",\"%s\":%.3f", name, (double)(to_ns - from_ns) / 1e6);
}

static void end_json(struct buffer *out, const struct exchange *exchange)
{
	char address[ADDRESS_TEXT_BYTES];

	if (exchange->cluster) {
		append_json_member(out, "cluster", span_of(exchange->cluster->host));
		if (exchange->cluster->subset)
			append_json_member(out, "subset", span_of(exchange->cluster->subset));
	}
	if (exchange->backend) {
		address_print(exchange->backend->address, address);
		buffer_printf(out, ",\"upstream\":\"%s\",\"upstream_port\":%u", address,
			      (unsigned)exchange->backend->port);
	}
	if (exchange->upstream_answered_ns)
		append_milliseconds(out, "upstream_ms", exchange->began_ns,
				    exchange->upstream_answered_ns);
	append_milliseconds(out, "duration_ms", exchange->began_ns, clock_now_ns());
	buffer_printf(out,
		      ",\"status\":%u,\"retries\":%u,\"request_body_bytes\":%llu,"
		      "\"response_body_bytes\":%llu}\n",
		      (unsigned)exchange->status, (unsigned)exchange->retries,
		      (unsigned long long)exchange->request.bytes,
		      (unsigned long long)exchange->response.bytes);
}

void access_log_write(struct worker *worker, const struct exchange *exchange)
{
	struct buffer *out = &worker->access_log;
	size_t before = out->length;

	if (before > MAXIMUM_WAITING_BYTES) {
		statistics_count(&worker->statistics.access_log_dropped);
		return;
	}
	buffer_append_span(out, buffer_span(&exchange->log));
	if (worker->shared->options.access_log_is_common)
		buffer_printf(out, " %u %llu\n", (unsigned)exchange->status,
			      (unsigned long long)exchange->response.bytes);
	else
		end_json(out, exchange);
	if (out->failed || exchange->log.failed) {
		out->length = before;
		out->failed = false;
		statistics_count(&worker->statistics.access_log_dropped);
	}
}

void access_log_flush(struct worker *worker)
{
	struct buffer *out = &worker->access_log;

	if (out->length == 0)
		return;
	ssize_t length = write(worker->shared->access_log_fd, out->data, out->length);
	if (length > 0)
		buffer_consume(out, (size_t)length);
	else if (length < 0 && errno != EAGAIN && errno != EINTR)
		buffer_clear(out); /* a full disk must not grow the process */
}
