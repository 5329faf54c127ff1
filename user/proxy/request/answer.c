/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/request/answer.h"

#include <time.h>

#include "http/answer.h"
#include "mesh/apply.h"

/*
 * True: the route removes this field, or puts its own in its place. Also by `add`: none of ours may
 * stand twice in a head.
 */
static bool is_replaced(const struct mesh_header_operations *operations, struct span name)
{
	return mesh_operations_replace(operations, name) ||
	       mesh_values_hold(operations->add, operations->add_count, name);
}

static void append_field(struct span name, struct span value, struct buffer *out)
{
	buffer_append_span(out, name);
	buffer_append(out, ": ", 2);
	buffer_append_span(out, value);
	buffer_append(out, "\r\n", 2);
}

/* One of ours, unless the route knows better. */
static void append_own(const struct request *request, const char *name, struct span value,
		       struct buffer *out)
{
	if (!is_replaced(&request->route.route->response_headers, span_of(name)))
		append_field(span_of(name), value, out);
}

static void begin(const struct request *request, unsigned status, struct buffer *out)
{
	char date[HTTP_DATE_BYTES + 1];

	http_date(time(NULL), date);
	buffer_printf(out, "HTTP/1.1 %u %s\r\n", status, http_status_phrase(status));
	append_own(request, "Date", span_of(date), out);
}

static void append_operations(const struct mesh_header_operations *operations, struct buffer *out)
{
	for (size_t i = 0; i < operations->set_count; i++)
		append_field(operations->set[i].name, operations->set[i].value, out);
	for (size_t i = 0; i < operations->add_count; i++)
		append_field(operations->add[i].name, operations->add[i].value, out);
}

static bool has_content(unsigned status)
{
	return status != 204 && status != 304;
}

static void end(const struct request *request, unsigned status, bool close, struct span content,
		struct buffer *out)
{
	append_operations(&request->route.route->response_headers, out);
	if (close)
		buffer_append_text(out, "Connection: close\r\n");
	if (has_content(status))
		buffer_printf(out, "Content-Length: %zu\r\n", content.length);
	buffer_append(out, "\r\n", 2);
	if (has_content(status) && !request->head.is_head)
		buffer_append_span(out, content);
}

void answer_redirect(const struct request *request, bool close, struct buffer *out)
{
	unsigned status = request->route.route->redirect.status;
	const struct route_query query = {
		.listener = request->listener,
		.request = &request->edit,
		.source_labels = request->source_labels,
		.source_namespace = request->source_namespace,
		.hash = request->hash,
	};

	begin(request, status, out);
	if (!is_replaced(&request->route.route->response_headers, span_of("Location"))) {
		buffer_append_text(out, "Location: ");
		mesh_write_location(&query, &request->route, out);
		buffer_append(out, "\r\n", 2);
	}
	end(request, status, close, (struct span){0}, out);
}

void answer_directly(const struct request *request, bool close, struct buffer *out)
{
	const struct mesh_direct_response *response = &request->route.route->direct_response;

	begin(request, response->status, out);
	if (response->body.length)
		append_own(request, "Content-Type", span_of("text/plain"), out);
	end(request, response->status, close, response->body, out);
}
