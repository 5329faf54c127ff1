/* SPDX-License-Identifier: GPL-2.0-only */
#include "policy/baggage.h"

#include "http/values.h"

/* baggage-octet: printable US-ASCII without space, DQUOTE, comma, semicolon, backslash. */
static bool is_baggage_octet(unsigned char byte)
{
	return byte > 0x20 && byte < 0x7f && byte != '"' && byte != ',' && byte != ';' &&
	       byte != '\\';
}

static bool is_baggage_value(struct span value)
{
	for (size_t i = 0; i < value.length; i++) {
		if (!is_baggage_octet((unsigned char)value.data[i]))
			return false;
	}
	return true;
}

int baggage_parse(struct span whole, struct baggage_member *member)
{
	struct span pair, key, value;

	member->whole = whole;
	span_cut(whole, ';', &pair, &member->properties);
	if (!span_cut(pair, '=', &key, &value))
		return -1;
	member->key = span_trim(key);
	member->value = span_trim(value);
	return http_is_token(member->key) && is_baggage_value(member->value) ? 1 : -1;
}

bool baggage_next_whole(struct span *rest, struct span *ret_whole)
{
	/* Empty list elements are no members (RFC 9110 5.6.1.2). */
	do {
		if (rest->length == 0)
			return false;
		span_cut(*rest, ',', ret_whole, rest);
		*ret_whole = span_trim(*ret_whole);
	} while (ret_whole->length == 0);
	return true;
}

int baggage_next(struct span *rest, struct baggage_member *ret_member)
{
	struct span whole;

	return baggage_next_whole(rest, &whole) ? baggage_parse(whole, ret_member) : 0;
}

bool baggage_is_strict(const struct baggage_member *member)
{
	struct span rest, property, key, value;
	bool more = span_cut(member->whole, ';', &property, &rest);

	while (more) {
		more = span_cut(rest, ';', &property, &rest);
		span_cut(property, '=', &key, &value);
		if (!http_is_token(span_trim(key)) || !is_baggage_value(span_trim(value)))
			return false;
	}
	return true;
}

int baggage_decode(struct span value, struct buffer *out)
{
	size_t start = out->length;

	if (!http_percent_decode(value, out) || out->failed)
		return -1;
	struct span decoded = {out->data + start, out->length - start};
	if (http_is_field_value(decoded))
		return 0;
	out->length = start;
	return -1;
}

void baggage_encode(struct span value, struct buffer *out)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < value.length; i++) {
		unsigned char byte = (unsigned char)value.data[i];

		if (is_baggage_octet(byte) && byte != '%') {
			buffer_append_byte(out, (char)byte);
			continue;
		}
		buffer_append_byte(out, '%');
		buffer_append_byte(out, digits[byte >> 4]);
		buffer_append_byte(out, digits[byte & 15]);
	}
}

void baggage_append_member(struct span name, struct span value, struct buffer *out)
{
	for (size_t i = 0; i < name.length; i++)
		buffer_append_byte(out, ascii_lower(name.data[i]));
	buffer_append_byte(out, '=');
	baggage_encode(value, out);
}
