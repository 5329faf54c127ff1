/* SPDX-License-Identifier: GPL-2.0-only */
#include "manifest/http_actions.h"

#include "base/array.h"
#include "http/head.h"
#include "http/values.h"

#define RETRIES_MAX_ATTEMPTS 100
#define DIRECT_RESPONSE_MAX_BODY (64 * 1024) /* it is held in memory and sent in one piece */
#define PERCENT_SCALE (SHARE_ALL / 100)

/* A text that goes into a head: NULL if absent, or if it does not fit (`complaint`). */
static const char *read_fitting(const struct builder *builder, const struct node *mapping,
				const struct path *parent, const char *field,
				bool (*fits)(struct span text), const char *complaint)
{
	struct path path = path_field(parent, field);
	const char *text = builder_text(builder, mapping, parent, field);

	if (!text || !*text)
		return NULL;
	if (fits(span_of(text)))
		return text;
	reader_error(&builder->reader, node_get(mapping, field), &path, "%s", complaint);
	return NULL;
}

static bool is_word(struct span text)
{
	return http_is_field_value(text) && !memchr(text.data, ' ', text.length) &&
	       !memchr(text.data, '\t', text.length);
}

static const char *read_word(const struct builder *builder, const struct node *mapping,
			     const struct path *parent, const char *field)
{
	return read_fitting(builder, mapping, parent, field, is_word,
			    "holds bytes that no head may hold");
}

/* A host that stands in a Host field or a Location. */
static const char *read_authority(const struct builder *builder, const struct node *mapping,
				  const struct path *parent)
{
	return read_fitting(builder, mapping, parent, "authority", http_is_authority,
			    "must be a host, with or without a port");
}

/* A part of a request target. */
static const char *read_target(const struct builder *builder, const struct node *mapping,
			       const struct path *parent, const char *field)
{
	return read_fitting(builder, mapping, parent, field, http_is_target,
			    "holds bytes that no request target may hold: write them as %XX");
}

void http_redirect_read(const struct builder *builder, const struct node *node,
			const struct path *path, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {
		{"uri", FIELD_READ},  {"authority", FIELD_READ},  {"scheme", FIELD_READ},
		{"port", FIELD_READ}, {"derivePort", FIELD_READ}, {"redirectCode", FIELD_READ},
	};
	static const uint16_t codes[] = {301, 302, 303, 307, 308};
	struct path uri_path = path_field(path, "uri"), scheme_path = path_field(path, "scheme");
	struct path code_path = path_field(path, "redirectCode");
	struct path derive_path = path_field(path, "derivePort");
	struct redirect_manifest *redirect = &route->redirect;
	bool code_is_good = false;

	route->has_redirect = true;
	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	redirect->uri = read_word(builder, node, path, "uri");
	if (redirect->uri && strstr(redirect->uri, "%PREFIX()%"))
		reader_error(&builder->reader, node_get(node, "uri"), path,
			     "%%PREFIX()%% is not supported");
	else if (redirect->uri && redirect->uri[0] != '/') /* it would go on with the host */
		reader_error(&builder->reader, node_get(node, "uri"), &uri_path,
			     "must begin with /");
	redirect->authority = read_authority(builder, node, path);
	redirect->scheme = read_word(builder, node, path, "scheme");
	if (redirect->scheme && strcmp(redirect->scheme, "http") &&
	    strcmp(redirect->scheme, "https"))
		reader_error(&builder->reader, node_get(node, "scheme"), &scheme_path,
			     "must be http or https");
	redirect->port = (uint16_t)builder_number(builder, node, path, "port", 1, UINT16_MAX, 0);
	redirect->status =
		(uint16_t)builder_number(builder, node, path, "redirectCode", 300, 399, 301);
	for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
		code_is_good |= codes[i] == redirect->status;
	if (!code_is_good)
		reader_error(&builder->reader, node_get(node, "redirectCode"), &code_path,
			     "must be 301, 302, 303, 307 or 308");
	const char *derive = builder_text(builder, node, path, "derivePort");
	redirect->port_from_request = derive && strcmp(derive, "FROM_REQUEST_PORT") == 0;
	if (derive && !redirect->port_from_request && strcmp(derive, "FROM_PROTOCOL_DEFAULT"))
		reader_error(&builder->reader, node_get(node, "derivePort"), &derive_path,
			     "must be FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT");
	if (derive && redirect->port)
		reader_error(&builder->reader, node, path,
			     "port and derivePort cannot both stand here");
}

void http_direct_response_read(const struct builder *builder, const struct node *node,
			       const struct path *path, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {{"status", FIELD_READ}, {"body", FIELD_READ}};
	static const struct field_rule body_fields[] = {
		{"string", FIELD_READ},
		{"bytes", FIELD_UNSUPPORTED, "write it as `string`"},
	};
	struct path body_path = path_field(path, "body");

	route->has_direct_response = true;
	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	if (node_is_null(node_get(node, "status")))
		builder_required_text(builder, node, path, "status");
	route->direct_status =
		(uint16_t)builder_number(builder, node, path, "status", 200, 599, 200);
	struct node *body = reader_child(&builder->reader, node, path, "body", NODE_MAPPING);
	if (!body)
		return;
	reader_check_fields(&builder->reader, body, &body_path, body_fields,
			    ARRAY_LENGTH(body_fields));
	const char *text = builder_text(builder, body, &body_path, "string");
	route->direct_body = span_of(text);
	if (route->direct_body.length > DIRECT_RESPONSE_MAX_BODY)
		reader_error(&builder->reader, body, &body_path, "longer than %d bytes",
			     DIRECT_RESPONSE_MAX_BODY);
}

static void read_regex_rewrite(const struct builder *builder, const struct node *mapping,
			       const struct path *parent, struct rewrite_manifest *rewrite)
{
	static const struct field_rule fields[] = {{"match", FIELD_READ}, {"rewrite", FIELD_READ}};
	struct path path = path_field(parent, "uriRegexRewrite");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "uriRegexRewrite", NODE_MAPPING);

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	const char *pattern = builder_required_text(builder, node, &path, "match");
	builder_required_text(builder, node, &path, "rewrite");
	const char *substitution = read_target(builder, node, &path, "rewrite");
	if (rewrite->uri)
		reader_error(&builder->reader, node, &path, "cannot stand beside uri");
	if (!pattern || !substitution)
		return;
	rewrite->pattern = pattern;
	rewrite->pattern_place = builder_place(builder, node_get(node, "match"));
	rewrite->substitution = substitution;
}

void http_rewrite_read(const struct builder *builder, const struct node *node,
		       const struct path *path, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {
		{"uri", FIELD_READ},
		{"authority", FIELD_READ},
		{"uriRegexRewrite", FIELD_READ},
	};
	struct path uri_path = path_field(path, "uri");

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	struct rewrite_manifest *rewrite = &route->rewrite;
	rewrite->uri = read_target(builder, node, path, "uri");
	rewrite->authority = read_authority(builder, node, path);
	if (rewrite->uri && rewrite->uri[0] != '/')
		reader_error(&builder->reader, node_get(node, "uri"), &uri_path,
			     "must begin with /");
	read_regex_rewrite(builder, node, path, rewrite);
}

void http_retries_read(const struct builder *builder, const struct node *node,
		       const struct path *path, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {
		{"attempts", FIELD_READ},
		{"perTryTimeout", FIELD_READ},
		{"retryOn", FIELD_READ},
		{"retryRemoteLocalities", FIELD_IGNORED},    /* localities are not ours */
		{"retryIgnorePreviousHosts", FIELD_IGNORED}, /* another endpoint is always first */
		{"backoff", FIELD_LOST, "retries wait as long as without it"},
	};
	struct retries_manifest *retries = &route->retries;

	retries->present = true;
	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	retries->attempts =
		builder_number(builder, node, path, "attempts", 0, RETRIES_MAX_ATTEMPTS, 0);
	retries->per_try_timeout_ms =
		builder_positive_duration_ms(builder, node, path, "perTryTimeout");
	retries->retry_on = builder_text(builder, node, path, "retryOn");
	if (retries->retry_on)
		retries->retry_on_place = builder_place(builder, node_get(node, "retryOn"));
}

uint32_t http_percentage_read(const struct builder *builder, const struct node *mapping,
			      const struct path *parent, const char *field, uint32_t absent)
{
	static const struct field_rule fields[] = {{"value", FIELD_READ}};
	struct path path = path_field(parent, field);
	struct node *node = reader_child(&builder->reader, mapping, parent, field, NODE_MAPPING);
	uint64_t share = 0;

	if (!node)
		return absent;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	reader_decimal(&builder->reader, node, &path, "value", PERCENT_SCALE, SHARE_ALL, &share);
	return (uint32_t)share;
}

/* `percentage`, or the older `percent`; without either no request is hit, as in Istio. */
static uint32_t read_fault_share(const struct builder *builder, const struct node *node,
				 const struct path *path)
{
	uint32_t percent = builder_number(builder, node, path, "percent", 0, 100, 0);

	if (node_is_null(node_get(node, "percentage")) && node_is_null(node_get(node, "percent")))
		reader_warning(&builder->reader, node, path,
			       "hits no request: percentage is missing");
	return http_percentage_read(builder, node, path, "percentage", percent * PERCENT_SCALE);
}

void http_fault_read(const struct builder *builder, const struct node *node,
		     const struct path *path, struct http_route_manifest *route)
{
	static const struct field_rule fields[] = {{"delay", FIELD_READ}, {"abort", FIELD_READ}};
	static const struct field_rule delay_fields[] = {
		{"fixedDelay", FIELD_READ},
		{"percentage", FIELD_READ},
		{"percent", FIELD_READ},
		{"exponentialDelay", FIELD_UNSUPPORTED},
	};
	static const struct field_rule abort_fields[] = {
		{"httpStatus", FIELD_READ},	   {"percentage", FIELD_READ},
		{"percent", FIELD_READ},	   {"grpcStatus", FIELD_UNSUPPORTED},
		{"http2Error", FIELD_UNSUPPORTED},
	};
	struct path delay_path = path_field(path, "delay"), abort_path = path_field(path, "abort");
	struct node *delay = reader_child(&builder->reader, node, path, "delay", NODE_MAPPING);
	struct node *abort = reader_child(&builder->reader, node, path, "abort", NODE_MAPPING);
	struct fault_manifest *fault = &route->fault;

	reader_check_fields(&builder->reader, node, path, fields, ARRAY_LENGTH(fields));
	if (delay) {
		reader_check_fields(&builder->reader, delay, &delay_path, delay_fields,
				    ARRAY_LENGTH(delay_fields));
		builder_required_text(builder, delay, &delay_path, "fixedDelay");
		fault->delay_ms =
			builder_positive_duration_ms(builder, delay, &delay_path, "fixedDelay");
		fault->delay_share = read_fault_share(builder, delay, &delay_path);
	}
	if (abort) {
		reader_check_fields(&builder->reader, abort, &abort_path, abort_fields,
				    ARRAY_LENGTH(abort_fields));
		if (node_is_null(node_get(abort, "httpStatus")))
			builder_required_text(builder, abort, &abort_path, "httpStatus");
		fault->abort_status = (uint16_t)builder_number(builder, abort, &abort_path,
							       "httpStatus", 200, 599, 200);
		fault->abort_share = read_fault_share(builder, abort, &abort_path);
	}
}

/* Framing and connections are the proxy's; the authority has its own field. */
static const char *why_not_changeable(struct span name)
{
	switch (http_field_kind(name)) {
	case HTTP_FIELD_HOST:
		return "the authority of requests can be set, in place of the one received";
	case HTTP_FIELD_OTHER:
	case HTTP_FIELD_EXPECT:
	case HTTP_FIELD_COOKIE:
		return NULL;
	default:
		return "this header belongs to the connection";
	}
}

bool http_header_is_changeable(const struct builder *builder, const struct node *node,
			       const struct path *path, struct span name)
{
	if (!http_is_token(name)) {
		reader_error(&builder->reader, node, path, "is no header name");
		return false;
	}
	const char *why = why_not_changeable(name);
	if (why)
		reader_error(&builder->reader, node, path, "cannot be changed: %s", why);
	return !why;
}

/* Envoy puts values in for %START_TIME% and the like; we do not. */
static bool has_variable(const char *text)
{
	const char *percent = strchr(text, '%');

	for (; percent; percent = strchr(percent + 1, '%')) {
		size_t letters = strspn(percent + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_");

		if (letters && (percent[1 + letters] == '%' || percent[1 + letters] == '('))
			return true;
	}
	return false;
}

/* Host, or :authority, where requests' may be set (ret_authority is not NULL). True if it was that. */
static bool read_set_authority(const struct builder *builder, const struct node *key,
			       const struct path *path, const char *value,
			       const char **ret_authority)
{
	if (!ret_authority || !(span_equal_ignore_case(key->text, span_of("Host")) ||
				span_equal_ignore_case(key->text, span_of(":authority"))))
		return false;
	if (value && !http_is_authority(span_of(value)))
		reader_error(&builder->reader, key, path, "\"%s\" is no authority", value);
	else
		*ret_authority = value;
	return true;
}

static void read_header_values(const struct builder *builder, const struct node *mapping,
			       const struct path *parent, const char *field,
			       const struct header_manifest **ret_headers, size_t *ret_count,
			       const char **ret_authority)
{
	struct path path = path_field(parent, field);
	struct node *node = reader_child(&builder->reader, mapping, parent, field, NODE_MAPPING);
	size_t count = 0;

	if (!node)
		return;
	struct header_manifest *headers =
		builder_array(builder, node, node->count, sizeof(*headers));
	for (size_t i = 0; headers && i < node->count; i++) {
		struct path item = path_field(&path, node->keys[i]->text.data);
		const char *value = builder_text(builder, node, &path, item.field);

		if (read_set_authority(builder, node->keys[i], &item, value, ret_authority))
			continue;
		if (!http_header_is_changeable(builder, node->keys[i], &item,
					       node->keys[i]->text) ||
		    !value)
			continue;
		if (!http_is_field_value(span_of(value)) || has_variable(value)) {
			reader_error(&builder->reader, node->items[i], &item, "%s",
				     has_variable(value) ? "variables are not supported"
							 : "holds bytes that no header may hold");
			continue;
		}
		headers[count].name = arena_copy(builder->arena, node->keys[i]->text);
		headers[count].value = value;
		count += headers[count].name != NULL;
	}
	*ret_headers = headers;
	*ret_count = count;
}

static void read_operations(const struct builder *builder, const struct node *mapping,
			    const struct path *parent, const char *field,
			    struct header_operations_manifest *operations)
{
	static const struct field_rule fields[] = {
		{"set", FIELD_READ},
		{"add", FIELD_READ},
		{"remove", FIELD_READ},
	};
	struct path path = path_field(parent, field), remove_path = path_field(&path, "remove");
	struct node *node = reader_child(&builder->reader, mapping, parent, field, NODE_MAPPING);

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	read_header_values(builder, node, &path, "set", &operations->set, &operations->set_count,
			   strcmp(field, "request") == 0 ? &operations->authority : NULL);
	read_header_values(builder, node, &path, "add", &operations->add, &operations->add_count,
			   NULL);
	builder_texts(builder, node, &path, "remove", &operations->remove,
		      &operations->remove_count);
	for (size_t i = 0; i < operations->remove_count; i++)
		http_header_is_changeable(builder, node_get(node, "remove"), &remove_path,
					  span_of(operations->remove[i]));
}

void http_headers_read(const struct builder *builder, const struct node *mapping,
		       const struct path *parent, struct headers_manifest *headers)
{
	static const struct field_rule fields[] = {{"request", FIELD_READ},
						   {"response", FIELD_READ}};
	struct path path = path_field(parent, "headers");
	struct node *node =
		reader_child(&builder->reader, mapping, parent, "headers", NODE_MAPPING);

	if (!node)
		return;
	reader_check_fields(&builder->reader, node, &path, fields, ARRAY_LENGTH(fields));
	read_operations(builder, node, &path, "request", &headers->request);
	read_operations(builder, node, &path, "response", &headers->response);
}
