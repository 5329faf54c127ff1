/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/forwarding.h"

#include "base/address.h"

static const struct span via_name = {"Via", 3};
/* By the version of the request as it came (RFC 9110 7.6.3). */
static const struct span via_values[] = {{"1.0 lanetag", 11}, {"1.1 lanetag", 11}};
static const struct span forwarded_for_name = {"X-Forwarded-For", 15};
static const struct span forwarded_proto_name = {"X-Forwarded-Proto", 17};
static const struct span request_id_name = {"X-Request-Id", 12};

static int add_forwarded_for(struct request *request)
{
	struct buffer *values = &request->values;
	size_t start = values->length;
	char address[ADDRESS_TEXT_BYTES];

	/* Several fields are one list (RFC 9110 5.3): many applications only look at the first. */
	for (size_t i = 0; i < request->head.field_count; i++) {
		const struct http_field *field = &request->head.fields[i];

		if (field->kind != HTTP_FIELD_OTHER || http_edit_is_removed(&request->edit, i) ||
		    !span_equal_ignore_case(field->name, forwarded_for_name))
			continue;
		http_edit_remove(&request->edit, i);
		buffer_append_span(values, field->value);
		buffer_append(values, ", ", 2);
	}
	size_t length = address_print(request->connection->remote_address, address);
	buffer_append(values, address, length);
	return http_edit_add(&request->edit, forwarded_for_name,
			     (struct span){values->data + start, values->length - start});
}

static void write_hex(uint64_t number, size_t digits, char *text)
{
	for (size_t i = digits; i-- > 0; number >>= 4)
		text[i] = "0123456789abcdef"[number & 15];
}

#define REQUEST_ID_BYTES 36

/* The form of a random UUID (RFC 9562 5.4). */
static int add_request_id(struct request *request)
{
	uint64_t high = random_next(request->random_state);
	uint64_t low = random_next(request->random_state);
	char *text = buffer_reserve(&request->values, REQUEST_ID_BYTES);

	if (!text)
		return -1;
	write_hex(high >> 32, 8, text);
	write_hex(high >> 16, 4, text + 9);
	write_hex((high & 0x0fff) | 0x4000, 4, text + 14);
	write_hex((low >> 48 & 0x3fff) | 0x8000, 4, text + 19);
	write_hex(low, 12, text + 24);
	text[8] = text[13] = text[18] = text[23] = '-';
	request->values.length += REQUEST_ID_BYTES;
	return http_edit_add(&request->edit, request_id_name,
			     (struct span){text, REQUEST_ID_BYTES});
}

int forwarding_add_fields(struct request *request)
{
	struct http_edit *edit = &request->edit;
	struct span present;
	int result = add_forwarded_for(request);

	if (!http_edit_get(edit, forwarded_proto_name, &present))
		result |= http_edit_add(edit, forwarded_proto_name, (struct span){"http", 4});
	if (!http_edit_get(edit, request_id_name, &present))
		result |= add_request_id(request);
	result |= http_edit_add(edit, via_name, via_values[request->head.minor_version]);
	return result ? -1 : 0;
}
