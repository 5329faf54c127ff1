/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/flows_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/address.h"
#include "base/array.h"
#include "cli/output.h"

#define END_TEXT (ADDRESS_TEXT_BYTES + 8) /* an address in brackets, and a port */
#define AGE_TEXT 24

static const char *const state_names[] = {
	[FLOW_IDLE] = "idle",
	[FLOW_HEAD] = "head",
	[FLOW_BODY] = "body",
	[FLOW_LOST] = "lost",
};

_Static_assert(ARRAY_LENGTH(state_names) == FLOW_STATES, "every state has a name");

enum flow_state flows_parse_state(const char *text)
{
	size_t state = 0;

	while (state < FLOW_STATES && strcmp(text, state_names[state]) != 0)
		state++;
	return (enum flow_state)state;
}

/* Values in the maps are cut where they are longer. */
static bool value_equals(const char *value, struct span wanted)
{
	if (wanted.length > LANETAG_MAX_NAME)
		wanted.length = LANETAG_MAX_NAME;
	return span_equal(span_of(value), wanted);
}

static bool tag_matches(const struct flow_tag *tag, const struct tag_filter *filter)
{
	if (!span_equal_ignore_case(span_of(tag->tag_header), filter->header))
		return false;
	if (filter->value.length == 0)
		return tag->outcome == FLOW_NO_TAG;
	return tag->outcome == FLOW_TAG && value_equals(tag->tag_value, filter->value);
}

static bool has_tag(const struct flows *flows, const struct flow *flow,
		    const struct tag_filter *filter)
{
	struct flow_tag tag;

	for (size_t i = 0; flow->has_mark && i < flow->mark.rule_count; i++) {
		flows_tag(flows, &flow->mark, i, &tag);
		if (tag_matches(&tag, filter))
			return true;
	}
	return false;
}

static bool matches(const struct flows *flows, const struct flows_filter *filter,
		    const struct flow *flow)
{
	const struct lanetag_connection *connection = &flow->connection;

	if (!filter->all && flow->socket == FLOW_SOCKET_NONE)
		return false;
	if (filter->has_client && memcmp(connection->remote_address, filter->client,
					 sizeof(connection->remote_address)) != 0)
		return false;
	if (filter->port && connection->local_port != filter->port)
		return false;
	if (filter->state != FLOW_STATES && flow->state != filter->state)
		return false;
	for (size_t i = 0; i < filter->tag_count; i++) {
		if (!has_tag(flows, flow, &filter->tags[i]))
			return false;
	}
	return true;
}

size_t flows_without_socket(const struct flow *list, size_t count)
{
	size_t without = 0;

	for (size_t i = 0; i < count; i++)
		without += list[i].socket == FLOW_SOCKET_NONE;
	return without;
}

size_t flows_select(const struct flows *flows, const struct flows_filter *filter, struct flow *list,
		    size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (matches(flows, filter, &list[i]))
			list[kept++] = list[i];
	}
	return kept;
}

static const char *describe_end(const uint8_t address[16], uint16_t port, char text[END_TEXT])
{
	char number[ADDRESS_TEXT_BYTES];

	address_print(address, number);
	snprintf(text, END_TEXT, address_is_ipv4(address) ? "%s:%u" : "[%s]:%u", number, port);
	return text;
}

static const char *describe_client(const struct flow *flow, char text[END_TEXT])
{
	return describe_end(flow->connection.remote_address, flow->connection.remote_port, text);
}

static const char *describe_server(const struct flow *flow, char text[END_TEXT])
{
	return describe_end(flow->connection.local_address, flow->connection.local_port, text);
}

static const char *describe_age(const struct flow *flow, char text[AGE_TEXT])
{
	static const struct {
		uint64_t seconds;
		char unit;
	} units[] = {{86400, 'd'}, {3600, 'h'}, {60, 'm'}};
	uint64_t seconds = flow->age_ns / 1000000000;

	if (!flow->has_age)
		return "?";
	for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
		if (seconds < 2 * units[i].seconds)
			continue;
		snprintf(text, AGE_TEXT, "%" PRIu64 "%c", seconds / units[i].seconds,
			 units[i].unit);
		return text;
	}
	snprintf(text, AGE_TEXT, "%" PRIu64 "s", seconds);
	return text;
}

/* Bytes that would steer a terminal as \xXX. */
static void print_text(const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte < 0x20 || byte >= 0x7f)
			printf("\\x%02X", byte);
		else
			putchar(byte);
	}
}

static void print_tag(const struct flow_tag *tag, size_t rule)
{
	bool is_named = tag->tag_header[0] != '\0';

	if (is_named)
		print_text(tag->tag_header);
	else
		printf("rule %zu", rule + 1);
	if (tag->outcome == FLOW_UNKNOWN) {
		fputs(": unknown", stdout);
	} else if (!tag->has_remainder) {
		fputs(": no id", stdout);
	} else if (tag->outcome == FLOW_NO_TAG) {
		printf(": no tag (%" PRIu32 ")", tag->remainder);
	} else {
		putchar('=');
		print_text(is_named ? tag->tag_value : "?");
		printf(" (%" PRIu32 ")", tag->remainder);
	}
}

static void print_mark(const struct flows *flows, const struct flow *flow)
{
	struct flow_tag tag;

	if (!flow->has_mark) {
		printf("%10s  %10s  %s\n", "-", "-", "no mark");
		return;
	}
	printf("%10" PRIu32 "  %10" PRIu64 "  ", flow->mark.generation,
	       (uint64_t)flow->mark.position);
	for (size_t i = 0; i < flow->mark.rule_count; i++) {
		if (i > 0)
			fputs(", ", stdout);
		flows_tag(flows, &flow->mark, i, &tag);
		print_tag(&tag, i);
	}
	putchar('\n');
}

/* The widest of a column. */
static int column_width(const struct flows_report *report,
			const char *(*describe)(const struct flow *, char[END_TEXT]))
{
	char text[END_TEXT];
	size_t width = sizeof("CLIENT") - 1;

	for (size_t i = 0; i < report->shown; i++) {
		size_t length = strlen(describe(&report->list[i], text));

		if (length > width)
			width = length;
	}
	return (int)width;
}

void flows_print(const struct flows_report *report)
{
	int client_width = column_width(report, describe_client);
	int server_width = column_width(report, describe_server);

	if (report->shown > 0)
		printf("%-*s  %-*s  %-20s  %5s  %8s  %10s  %10s  %s\n", client_width, "CLIENT",
		       server_width, "SERVER", "STATE", "AGE", "REQUESTS", "GENERATION", "POSITION",
		       "TAGS (REMAINDERS)");
	for (size_t i = 0; i < report->shown; i++) {
		const struct flow *flow = &report->list[i];
		char client[END_TEXT], server[END_TEXT], age[AGE_TEXT], state[64];

		snprintf(state, sizeof(state), "%s%s%s%s", state_names[flow->state],
			 flow->lost_by ? ": " : "", flow->lost_by ? flow->lost_by : "",
			 flow->socket == FLOW_SOCKET_NONE ? ", no socket" : "");
		printf("%-*s  %-*s  %-20s  %5s  %8" PRIu32 "  ", client_width,
		       describe_client(flow, client), server_width, describe_server(flow, server),
		       state, describe_age(flow, age), flow->requests);
		print_mark(report->flows, flow);
	}
	printf("%zu of %zu connections shown", report->shown, report->total);
	if (report->matching > report->shown)
		printf(", %zu match", report->matching);
	if (report->without_socket > 0)
		printf(", %zu have no socket here (--all)", report->without_socket);
	putchar('\n');
}

static json_t *text_or_null(const char *text)
{
	return text[0] ? output_json_text(span_of(text), NULL) : json_null();
}

static json_t *describe_tag(const struct flow_tag *tag)
{
	static const char *const decisions[] = {
		[FLOW_TAG] = "tag",
		[FLOW_NO_TAG] = "none",
		[FLOW_UNKNOWN] = "unknown",
	};

	return json_pack("{s:o, s:o, s:s, s:o}", "tagHeader", text_or_null(tag->tag_header),
			 "tagValue", text_or_null(tag->tag_value), "decision",
			 decisions[tag->outcome], "remainder",
			 tag->has_remainder ? json_integer(tag->remainder) : json_null());
}

static json_t *describe_mark(const struct flows *flows, const struct flow *flow)
{
	struct flow_tag tag;

	if (!flow->has_mark)
		return json_null();
	json_t *tags = json_array();
	for (size_t i = 0; i < flow->mark.rule_count; i++) {
		flows_tag(flows, &flow->mark, i, &tag);
		json_array_append_new(tags, describe_tag(&tag));
	}
	return json_pack("{s:I, s:I, s:o}", "generation", (json_int_t)flow->mark.generation,
			 "position", (json_int_t)flow->mark.position, "tags", tags);
}

static json_t *describe_flow(const struct flows *flows, const struct flow *flow)
{
	char client[ADDRESS_TEXT_BYTES], server[ADDRESS_TEXT_BYTES];

	address_print(flow->connection.remote_address, client);
	address_print(flow->connection.local_address, server);
	return json_pack("{s:s, s:i, s:s, s:i, s:s, s:s?, s:o, s:o, s:I, s:I, s:o}",
			 "clientAddress", client, "clientPort", (int)flow->connection.remote_port,
			 "serverAddress", server, "serverPort", (int)flow->connection.local_port,
			 "state", state_names[flow->state], "lostBy", flow->lost_by, "hasSocket",
			 flow->socket == FLOW_SOCKET_UNKNOWN
				 ? json_null()
				 : json_boolean(flow->socket == FLOW_SOCKET_OPEN),
			 "ageSeconds",
			 flow->has_age ? json_real((double)flow->age_ns / 1e9) : json_null(),
			 "requests", (json_int_t)flow->requests, "receivedBytes",
			 (json_int_t)flow->received, "mark", describe_mark(flows, flow));
}

int flows_print_json(const struct flows_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->shown; i++)
		json_array_append_new(list, describe_flow(report->flows, &report->list[i]));
	return output_json(
		"flows", json_pack("{s:I, s:I, s:I, s:I, s:o}", "shown", (json_int_t)report->shown,
				   "matching", (json_int_t)report->matching, "total",
				   (json_int_t)report->total, "withoutSocket",
				   (json_int_t)report->without_socket, "connections", list));
}
