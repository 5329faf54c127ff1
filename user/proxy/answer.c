/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/answer.h"

#include <time.h>

#include "http/answer.h"

static void begin(unsigned status, struct buffer *out)
{
	char date[HTTP_DATE_BYTES + 1];

	http_date(time(NULL), date);
	buffer_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n", status, http_status_phrase(status),
		      date);
}

static void append_operations(const struct mesh_header_operations *operations, struct buffer *out)
{
	for (size_t i = 0; i < operations->set_count + operations->add_count; i++) {
		const struct mesh_header_value *field =
			i < operations->set_count ? &operations->set[i]
						  : &operations->add[i - operations->set_count];

		buffer_append_span(out, field->name);
		buffer_append(out, ": ", 2);
		buffer_append_span(out, field->value);
		buffer_append(out, "\r\n", 2);
	}
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

	begin(status, out);
	buffer_append_text(out, "Location: ");
	mesh_write_location(&query, &request->route, out);
	buffer_append(out, "\r\n", 2);
	end(request, status, close, (struct span){0}, out);
}

void answer_directly(const struct request *request, bool close, struct buffer *out)
{
	const struct mesh_direct_response *response = &request->route.route->direct_response;

	begin(response->status, out);
	if (response->body.length)
		buffer_append_text(out, "Content-Type: text/plain\r\n");
	end(request, response->status, close, response->body, out);
}
