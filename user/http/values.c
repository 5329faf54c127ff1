/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/values.h"

#include "http/syntax.h"

bool http_list_next(struct span *rest, struct span *ret_member)
{
	while (rest->length) {
		struct span member;

		span_cut(*rest, ',', &member, rest);
		member = span_trim(member);
		if (member.length) {
			*ret_member = member;
			return true;
		}
	}
	return false;
}

bool http_query_next(struct span *rest, struct http_parameter *ret_parameter)
{
	while (rest->length) {
		struct span pair;

		span_cut(*rest, '&', &pair, rest);
		if (!pair.length)
			continue;
		if (!span_cut(pair, '=', &ret_parameter->name, &ret_parameter->value))
			ret_parameter->value = (struct span){NULL, 0};
		return true;
	}
	return false;
}

bool http_query_parameter(struct span query, struct span name, struct span *ret_value)
{
	struct http_parameter parameter;

	while (http_query_next(&query, &parameter)) {
		if (span_equal(parameter.name, name)) {
			*ret_value = parameter.value;
			return true;
		}
	}
	return false;
}

static bool next_pair(struct span *rest, struct http_parameter *ret_cookie)
{
	while (rest->length) {
		struct span pair, name, value;

		span_cut(*rest, ';', &pair, rest);
		if (!span_cut(pair, '=', &name, &value))
			continue;
		*ret_cookie = (struct http_parameter){span_trim(name), span_trim(value)};
		return true;
	}
	return false;
}

void http_cookies_start(struct http_cookies *cookies, const struct http_request_head *head)
{
	*cookies = (struct http_cookies){.head = head, .fields = head->known};
}

bool http_cookies_next(struct http_cookies *cookies, struct http_parameter *ret_cookie)
{
	while (!next_pair(&cookies->rest, ret_cookie)) {
		const struct http_field *field;
		size_t index;

		do {
			if (!http_field_set_take(&cookies->fields, &index))
				return false;
			field = &cookies->head->fields[index];
		} while (field->kind != HTTP_FIELD_COOKIE);
		cookies->rest = field->value;
	}
	return true;
}

bool http_cookie(const struct http_request_head *head, struct span name, struct span *ret_value)
{
	struct http_cookies cookies;
	struct http_parameter cookie;

	http_cookies_start(&cookies, head);
	while (http_cookies_next(&cookies, &cookie)) {
		if (span_equal(cookie.name, name)) {
			*ret_value = cookie.value;
			return true;
		}
	}
	return false;
}

bool http_percent_decode(struct span text, struct buffer *out)
{
	size_t before = out->length;

	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] != '%') {
			buffer_append_byte(out, text.data[i]);
			continue;
		}
		int high = i + 2 < text.length ? http_hex_digit(text.data[i + 1]) : -1;
		int low = i + 2 < text.length ? http_hex_digit(text.data[i + 2]) : -1;
		if (high < 0 || low < 0) {
			out->length = before;
			return false;
		}
		buffer_append_byte(out, (char)(high << 4 | low));
		i += 2;
	}
	return true;
}

size_t http_percent_decode_loosely(struct span text, char *memory)
{
	size_t length = 0;

	for (size_t i = 0; i < text.length; i++) {
		int high = -1, low = -1;

		if (text.data[i] == '%' && i + 2 < text.length) {
			high = http_hex_digit(text.data[i + 1]);
			low = http_hex_digit(text.data[i + 2]);
		}
		if (high >= 0 && low >= 0) {
			memory[length++] = (char)(high << 4 | low);
			i += 2;
		} else {
			memory[length++] = text.data[i];
		}
	}
	return length;
}

bool http_is_token(struct span text)
{
	const char *end = span_end(text);

	return text.length && http_skip(text.data, end, HTTP_BYTE_TOKEN) == end;
}

bool http_is_field_value(struct span text)
{
	const char *end = span_end(text);

	return span_trim(text).length == text.length &&
	       (!text.length || http_skip_field_bytes(text.data, end) == end);
}

bool http_is_authority(struct span text)
{
	const char *at = text.data, *end = span_end(text);

	if (!text.length)
		return false;
	if (*at == '[') {
		const char *start = ++at;
		while (at < end && (http_byte_is(*at, HTTP_BYTE_HOST) || *at == ':'))
			at++;
		if (at == start || at == end || *at++ != ']')
			return false;
	} else {
		at = http_skip_host(at, end);
		if (at == text.data)
			return false;
	}
	if (at == end)
		return true;
	if (*at++ != ':' || end - at > 5)
		return false;
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at == end;
}

bool http_is_target(struct span text)
{
	const char *end = span_end(text);

	return text.length && http_skip_target(text.data, end) == end;
}

struct span http_authority_host(struct span authority)
{
	struct span host, port;

	if (authority.length && authority.data[0] == '[') {
		const char *end = memchr(authority.data, ']', authority.length);
		size_t length = end ? (size_t)(end - authority.data) - 1 : 0;
		return (struct span){authority.data + 1, length};
	}
	span_cut(authority, ':', &host, &port);
	if (host.length && host.data[host.length - 1] == '.')
		host.length--;
	return host;
}
