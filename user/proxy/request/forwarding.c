/* SPDX-License-Identifier: GPL-2.0-only */
#include "proxy/request/forwarding.h"

#include <endian.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/address.h"
#include "mesh/apply.h"

static const struct span forwarded_for_name = {"X-Forwarded-For", 15};
static const struct span forwarded_proto_name = {"X-Forwarded-Proto", 17};
static const struct span request_id_name = {"X-Request-Id", 12};
static const struct span via_name = {"Via", 3};

static bool has_replacements(const struct mesh_header_operations *operations)
{
	return operations->set_count | operations->remove_count;
}

/* True: some field is as a route, or its destination, has set or removed it (is_routes). */
static bool has_routes_fields(const struct request *request)
{
	const struct route_result *result = &request->route;

	return result->route &&
	       (has_replacements(&result->route->request_headers) ||
		(result->destination && has_replacements(&result->destination->request_headers)));
}

/* What a route, or its destination, has set or removed stays as they want it. */
static bool is_routes(const struct request *request, struct span name)
{
	const struct route_result *result = &request->route;

	return mesh_operations_replace(&result->route->request_headers, name) ||
	       (result->destination &&
		mesh_operations_replace(&result->destination->request_headers, name));
}

/* Several fields are one list (RFC 9110 5.3): many applications only look at the first. */
static void append_received(struct request *request)
{
	const uint8_t hash = http_name_hash(forwarded_for_name);

	for (size_t i = 0; i < request->head.field_count; i++) {
		const struct http_field *field = &request->head.fields[i];

		if (field->hash != hash || http_edit_is_removed(&request->edit, i) ||
		    !span_equal_ignore_case(field->name, forwarded_for_name))
			continue;
		http_edit_remove(&request->edit, i);
		buffer_append_span(&request->values, field->value);
		buffer_append(&request->values, ", ", 2);
	}
}

#define FORWARDED_FOR "X-Forwarded-For: "
#define FORWARDED_PROTO_LINE "X-Forwarded-Proto: http\r\n"
#define REQUEST_ID_LINE "X-Request-Id: ........-....-4...-....-............\r\n"
/* By the version of the request as it came (RFC 9110 7.6.3). */
#define VIA_LINE(version) "Via: 1." version " lanetag\r\n"
/* Of the lines behind the received addresses, at most. */
#define TAIL_BYTES \
	(ADDRESS_TEXT_BYTES + sizeof("\r\n" FORWARDED_PROTO_LINE REQUEST_ID_LINE VIA_LINE("1")))

static char *put(char *at, const char *text, size_t length)
{
	memcpy(at, text, length);
	return at + length;
}

#define PUT_LITERAL(at, text) put(at, text, sizeof(text) - 1)

/* Sixteen digits of each number. */
#ifdef __SSE2__
static void write_hex(uint64_t high, uint64_t low, char text[32])
{
	const __m128i nibble = _mm_set1_epi8(0x0f), ten = _mm_set1_epi8('a' - '0' - 10);
	__m128i bytes = _mm_set_epi64x((int64_t)htobe64(low), (int64_t)htobe64(high));
	__m128i first = _mm_and_si128(_mm_srli_epi64(bytes, 4), nibble);
	__m128i second = _mm_and_si128(bytes, nibble);
	__m128i halves[2] = {_mm_unpacklo_epi8(first, second), _mm_unpackhi_epi8(first, second)};

	for (size_t half = 0; half < 2; half++) {
		__m128i letters = _mm_cmpgt_epi8(halves[half], _mm_set1_epi8(9));
		__m128i digits = _mm_add_epi8(halves[half], _mm_set1_epi8('0'));

		_mm_storeu_si128((__m128i *)(text + 16 * half),
				 _mm_add_epi8(digits, _mm_and_si128(letters, ten)));
	}
}
#else
static void write_hex(uint64_t high, uint64_t low, char text[32])
{
	for (size_t i = 0; i < 32; i++)
		text[i] = "0123456789abcdef"[(i < 16 ? high : low) >> (60 - 4 * (i % 16)) & 15];
}
#endif

/*
 * The form of a random UUID (RFC 9562 5.4): no client can work out what id another's request gets.
 * Without random numbers there is no id.
 */
static char *put_request_id(char *at, struct request *request)
{
	uint64_t high = random_take(request->random);
	uint64_t low = random_take(request->random);
	char *id = at + request_id_name.length + 2, digits[32];

	if (!(high | low))
		return at;
	write_hex(high, (low & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63, digits);
	at = PUT_LITERAL(at, REQUEST_ID_LINE);
	memcpy(id, digits, 8);
	memcpy(id + 9, digits + 8, 4);
	memcpy(id + 15, digits + 13, 3);
	memcpy(id + 19, digits + 16, 4);
	memcpy(id + 24, digits + 20, 12);
	request->id = (struct span){id, (size_t)(at - id) - 2};
	return at;
}

static char *put_via(char *at, const struct request *request)
{
	return request->head.minor_version ? PUT_LITERAL(at, VIA_LINE("1"))
					   : PUT_LITERAL(at, VIA_LINE("0"));
}

int forwarding_add_fields(struct request *request)
{
	struct http_edit *edit = &request->edit;
	struct buffer *values = &request->values;
	const bool asks_route = has_routes_fields(request);
	size_t start = values->length, count = 0;
	struct span present;

	if (!asks_route || !is_routes(request, forwarded_for_name)) {
		buffer_append(values, FORWARDED_FOR, sizeof(FORWARDED_FOR) - 1);
		if (http_names_may_hold(request->head.names, forwarded_for_name))
			append_received(request);
		count++;
	}
	char *tail = buffer_reserve(values, TAIL_BYTES), *at = tail;
	if (!tail)
		return -1;
	if (count) {
		at += address_print(request->connection->remote_address, at);
		at = PUT_LITERAL(at, "\r\n");
	}
	if (!http_edit_get(edit, forwarded_proto_name, &present) &&
	    (!asks_route || !is_routes(request, forwarded_proto_name))) {
		at = PUT_LITERAL(at, FORWARDED_PROTO_LINE);
		count++;
	}
	if (!http_edit_get(edit, request_id_name, &request->id) &&
	    (!asks_route || !is_routes(request, request_id_name))) {
		char *end = put_request_id(at, request);
		count += end > at;
		at = end;
	}
	if (!asks_route || !is_routes(request, via_name)) {
		at = put_via(at, request);
		count++;
	}
	values->length += (size_t)(at - tail);
	edit->tail = (struct span){values->data + start, values->length - start};
	/* They count among those that may be added, as if they were added one by one. */
	return edit->added_count + count > HTTP_EDIT_MAX_ADDED ? -1 : 0;
}
