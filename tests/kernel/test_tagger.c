/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tagger's program reads in packets made by hand, row by row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "base/array.h"
#include "kernel/tagger_run.h"

#define UNTAGGED LANETAG_POLICY_NONE
#define UNKNOWN LANETAG_POLICY_UNKNOWN
#define NO_MARK 0x100
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define REMAINDER_OF_0005 6 /* FNV-1a modulo 100: policy 0; of 0001: 82, no policy */

static struct tagger tagger;
static struct pins pins;
static struct run_flow flow;
static uint32_t next_flow;

static void begin(void)
{
	run_flow_init(&flow, next_flow++, false);
	run_begin(&tagger, &flow);
}

/* The first rule's policy in the mark of the request at `position`, or NO_MARK. */
static unsigned policy_at(uint64_t position)
{
	struct lanetag_mark mark;

	if (!tagger_find_mark(&tagger, &flow.connection, position, &mark))
		return NO_MARK;
	return mark.policy[0];
}

static void send_text(uint64_t offset, const char *text)
{
	run_send(&tagger, &flow, offset, text, strlen(text), 0);
}

static unsigned policy_of(const char *request)
{
	begin();
	send_text(0, request);
	return policy_at(0);
}

static void it_finds_the_header_and_only_the_header(void **state)
{
	static const struct {
		const char *request;
		unsigned policy;
	} rows[] = {
		{GET "X-User-Id: 0005\r\n\r\n", 0},
		{GET "x-user-id:0005\r\n\r\n", 0},
		{GET "X-USER-ID: \t 0005 \t\r\nAccept: */*\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\nx-user-id: 0005\r\nHost: a\r\n\r\n", 0},
		{GET "x-user-id: 0001\r\n\r\n", UNTAGGED},
		{GET "\r\n", UNTAGGED},
		{GET "x-user-id:\r\n\r\n", UNTAGGED},
		{GET "x-user-id: \t\r\n\r\n", UNTAGGED},
		{GET "x-user-id:\r\nx-user-id: 0005\r\n\r\n", 0},
		{"GET /x-user-id:0005 HTTP/1.1\r\nHost: a\r\n\r\n", UNTAGGED},
		{GET "Accept: x-user-id: 0005\r\n\r\n", UNTAGGED},
		{GET "xx-user-id: 0005\r\nx-user-i: 0005\r\n\r\n", UNTAGGED},
		{GET "x-user-idd: 0005\r\nx_user-id: 0005\r\n\r\n", UNTAGGED},
		{GET "x\x0d-user-id: 0005\r\n\r\n", UNTAGGED},
		{GET "Content-Length: 33\r\n\r\nx-user-id: 0005\r\nx-user-id: 0005\r\n", UNTAGGED},
		{GET "x-user-id: 0001\r\nx-user-id: 0005\r\n\r\n", UNKNOWN},
		{GET "x-user-id: 0005\r\n", NO_MARK},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		if (policy_of(rows[i].request) != rows[i].policy)
			fail_msg("row %zu: %s", i, rows[i].request);
	}
}

static void a_mark_says_connection_position_generation_and_remainder(void **state)
{
	struct lanetag_mark mark;

	(void)state;
	assert_int_equal(policy_of(GET "x-user-id: 0005\r\n\r\n"), 0);
	assert_true(tagger_find_mark(&tagger, &flow.connection, 0, &mark));
	assert_memory_equal(&mark.connection, &flow.connection, sizeof(mark.connection));
	assert_int_equal(mark.position, 0);
	assert_int_equal(mark.generation, 1);
	assert_int_equal(mark.rule_count, 1);
	assert_int_equal(mark.remainder[0], REMAINDER_OF_0005);
	assert_int_equal(mark.sequence & 1, 0);
	assert_int_equal(policy_of(GET "\r\n"), UNTAGGED);
	assert_true(tagger_find_mark(&tagger, &flow.connection, 0, &mark));
	assert_int_equal(mark.remainder[0], LANETAG_NO_REMAINDER);
}

static void it_finds_the_header_at_every_offset(void **state)
{
	char request[RUN_PAYLOAD_MAX];

	(void)state;
	for (int filler = 1; filler < 2800; filler += 7) {
		snprintf(request, sizeof(request), GET "F: %0*d\r\nx-user-id: 0005\r\n\r\n", filler,
			 1);
		if (policy_of(request) != 0)
			fail_msg("behind %d bytes", filler);
	}
}

static void a_request_may_be_cut_anywhere(void **state)
{
	static const char request[] =
		"POST / HTTP/1.1\r\nHost: a\r\nx-user: 1\r\nX-User-Id: 0005\r\n"
		"Content-Length: 3\r\n\r\nabc" GET "x-user-id: 0005\r\n\r\n";
	const char *second = strstr(request, "abc") + 3;
	size_t length = strlen(request);

	(void)state;
	for (size_t cut = 1; cut < length; cut++) {
		begin();
		run_send(&tagger, &flow, 0, request, cut, 0);
		run_send(&tagger, &flow, cut, request + cut, length - cut, 0);
		if (policy_at(0) != 0 || policy_at((uint64_t)(second - request)) != 0)
			fail_msg("cut at %zu", cut);
	}
	begin();
	for (size_t i = 0; i < length; i++)
		run_send(&tagger, &flow, i, request + i, 1, 0);
	assert_int_equal(policy_at(0), 0);
	assert_int_equal(policy_at((uint64_t)(second - request)), 0);
}

static void bodies_are_passed_over_and_the_next_request_is_found(void **state)
{
	static const char *const bodies[] = {
		"Content-Length: 0\r\n\r\n",
		"Content-Length: 19\r\n\r\n\r\nx-user-id: 0001\r\n",
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"Transfer-Encoding: Chunked\r\n\r\n5;x=\"y\"\r\nx-use\r\n0A\r\n\r\n\r\nGET / \r\n"
		"0\r\nx-user-id: 0001\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(bodies); i++) {
		char stream[1024];
		int first =
			snprintf(stream, sizeof(stream), GET "x-user-id: 0001\r\n%s", bodies[i]);

		strcat(stream, GET "x-user-id: 0005\r\n\r\n");
		begin();
		send_text(0, stream);
		assert_int_equal(policy_at(0), UNTAGGED);
		if (policy_at((uint64_t)first) != 0)
			fail_msg("behind body %zu", i);
	}
}

static void doubtful_framing_gives_no_further_marks(void **state)
{
	static const char *const heads[] = {
		"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
		"Content-Length: 3\r\nContent-Length: 3\r\n",
		"Content-Length: 3x\r\n",
		"Content-Length: +3\r\n",
		"Transfer-Encoding: gzip\r\n",
		"Transfer-Encoding: chunked, chunked\r\n",
		"Upgrade: h2c\r\n",
		"Accept: bare\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
		char stream[1024];
		int first = snprintf(stream, sizeof(stream), GET "%s\r\n", heads[i]);

		strcat(stream, GET "x-user-id: 0005\r\n\r\n");
		begin();
		send_text(0, stream);
		if (policy_at((uint64_t)first) != NO_MARK)
			fail_msg("behind %s", heads[i]);
	}
}

static void other_protocols_are_counted_and_left_alone(void **state)
{
	uint64_t http2 = run_event(&tagger, LANETAG_EVENT_HTTP2);
	uint64_t tls = run_event(&tagger, LANETAG_EVENT_TLS);

	(void)state;
	assert_int_equal(policy_of("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), NO_MARK);
	assert_int_equal(policy_of("\x16\x03\x01\x02\x07\x01\x02\x03\x03\r\n\r\n"), NO_MARK);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_HTTP2), http2 + 1);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_TLS), tls + 1);
}

static uint64_t counted_in(uint32_t lane)
{
	static uint64_t requests[LANETAG_MAX_LANES];

	assert_int_equal(tagger_lane_requests(&tagger, requests), 0);
	return requests[lane];
}

static void a_retransmission_is_not_counted_twice(void **state)
{
	uint64_t before = counted_in(1);

	(void)state;
	begin();
	send_text(0, GET "x-user-id: 0005\r\n\r\n");
	send_text(0, GET "x-user-id: 0005\r\n\r\n");
	send_text(5, &(GET "x-user-id: 0005\r\n\r\n")[5]);
	assert_int_equal(counted_in(1), before + 1);
}

static void behind_a_gap_there_are_no_marks_until_the_agent_confirms(void **state)
{
	static const char request[] = GET "x-user-id: 0005\r\n\r\n";
	uint64_t length = strlen(request);
	uint64_t gaps = run_event(&tagger, LANETAG_EVENT_GAP);

	(void)state;
	begin();
	send_text(0, request);
	send_text(2 * length, request); /* the second is missing */
	send_text(length, request);	/* it comes late */
	assert_int_equal(policy_at(0), 0);
	assert_int_equal(policy_at(length), NO_MARK);
	assert_int_equal(policy_at(2 * length), NO_MARK);
	send_text(3 * length, request);
	assert_int_equal(policy_at(3 * length), NO_MARK);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_GAP), gaps + 1);
	tagger_confirm_position(&tagger, &flow.connection, 4 * length);
	send_text(4 * length, request);
	send_text(5 * length, request);
	assert_int_equal(policy_at(4 * length), 0);
	assert_int_equal(policy_at(5 * length), 0);
}

static void connections_that_were_open_before_are_left_to_the_agent(void **state)
{
	(void)state;
	run_flow_init(&flow, next_flow++, false);
	send_text(0, GET "x-user-id: 0005\r\n\r\n");
	assert_int_equal(policy_at(0), NO_MARK);
}

static void a_closed_connection_is_followed_no_more(void **state)
{
	static const char request[] = GET "x-user-id: 0005\r\n\r\n";

	(void)state;
	begin();
	run_send(&tagger, &flow, 0, NULL, 0, RUN_RST);
	send_text(0, request);
	assert_int_equal(policy_at(0), NO_MARK);
	begin();
	run_send(&tagger, &flow, 0, request, strlen(request), RUN_FIN);
	assert_int_equal(policy_at(0), 0);
}

static void every_shape_of_packet_is_read(void **state)
{
	static const char request[] = GET "x-user-id: 0005\r\n\r\n";

	(void)state;
	for (unsigned shape = 0; shape < 16; shape++) {
		run_flow_init(&flow, next_flow++, shape & 1);
		flow.vlan = shape & 2;
		flow.tcp_options = shape & 4;
		flow.ip_options = shape & 8;
		run_begin(&tagger, &flow);
		run_send(&tagger, &flow, 0, request, strlen(request), 0);
		if (policy_at(0) != 0)
			fail_msg("shape %u", shape);
	}
}

static void sequence_numbers_may_wrap(void **state)
{
	static const char request[] = GET "x-user-id: 0005\r\n\r\n";

	(void)state;
	for (uint32_t before = 0; before < sizeof(request) + 2; before++) {
		run_flow_init(&flow, next_flow++, false);
		flow.first_sequence = -before;
		run_begin(&tagger, &flow);
		send_text(0, request);
		send_text(strlen(request), request);
		assert_int_equal(policy_at(0), 0);
		assert_int_equal(policy_at(strlen(request)), 0);
	}
}

static void ids_up_to_256_bytes_are_decided_and_longer_ones_are_unknown(void **state)
{
	char request[1024];

	(void)state;
	for (int length = 250; length < 700; length++) {
		snprintf(request, sizeof(request), GET "x-user-id: %0*d\r\n\r\n", length, 5);
		unsigned policy = policy_of(request);

		if (length > LANETAG_MAX_VALUE)
			assert_int_equal(policy, UNKNOWN);
		else
			assert_true(policy != UNKNOWN && policy != NO_MARK);
	}
}

static void a_head_read_under_two_generations_has_no_mark(void **state)
{
	struct lanetag_ruleset ruleset;
	struct lanetag_mark mark;

	(void)state;
	begin();
	send_text(0, GET);
	sandbox_rules(&ruleset, 2);
	assert_int_equal(tagger_set_rules(&tagger, &ruleset), 0);
	send_text(strlen(GET), "x-user-id: 0005\r\n\r\n");
	assert_int_equal(policy_at(0), NO_MARK);
	assert_int_equal(policy_of(GET "x-user-id: 0005\r\n\r\n"), 0);
	assert_true(tagger_find_mark(&tagger, &flow.connection, 0, &mark));
	assert_int_equal(mark.generation, 2);
	assert_int_equal(mark.rule_count, 1);
}

static void what_the_kernel_cannot_decide_is_unknown(void **state)
{
	struct lanetag_ruleset ruleset;

	(void)state;
	sandbox_rules(&ruleset, 3);
	ruleset.rules[0].flags = LANETAG_RULE_AGENT_ONLY;
	assert_int_equal(tagger_set_rules(&tagger, &ruleset), 0);
	assert_int_equal(policy_of(GET "x-user-id: 0005\r\n\r\n"), UNKNOWN);
	sandbox_rules(&ruleset, 4);
	ruleset.sources[0].kind = LANETAG_SOURCE_COOKIE;
	assert_int_equal(tagger_set_rules(&tagger, &ruleset), 0);
	assert_int_equal(policy_of(GET "x-user-id: 0005\r\n\r\n"), UNKNOWN);
	sandbox_rules(&ruleset, 5);
	assert_int_equal(tagger_set_rules(&tagger, &ruleset), 0);
}

#define NETWORK_AT ETH_HLEN
#define IPV4_BYTES 20
#define IPV6_BYTES 40

/* IPv4's header checksum, after a change. */
static void sign_network(uint8_t *packet)
{
	uint16_t sum = 0;

	memcpy(packet + NETWORK_AT + 10, &sum, 2);
	sum = run_checksum(packet + NETWORK_AT, IPV4_BYTES, 0);
	memcpy(packet + NETWORK_AT + 10, &sum, 2);
}

/* A request of this length whose id says `id`. */
static size_t make_request(char request[RUN_PAYLOAD_MAX + 1], size_t length, const char *id)
{
	int start = snprintf(request, RUN_PAYLOAD_MAX, GET "x-user-id: %s\r\nF: ", id);

	memset(request + start, 'f', length - (size_t)start);
	memcpy(request + length - 4, "\r\n\r\n", 4);
	return length;
}

/*
 * Sends a request of user 0001 with one byte spoiled, and then the one that the kernel would take:
 * of user 0005, in the same place.
 */
static void expect_passed_over(bool ipv6, size_t length, size_t at)
{
	uint64_t before = run_event(&tagger, LANETAG_EVENT_CHECKSUM);
	char request[RUN_PAYLOAD_MAX + 1];
	uint8_t packet[4096];

	run_flow_init(&flow, next_flow++, ipv6);
	run_begin(&tagger, &flow);
	make_request(request, length, "0001");
	size_t size = run_packet(&flow, 0, request, length, 0, packet);
	packet[at] ^= 0x10;
	run_changed(&tagger, packet, size);
	assert_int_equal(policy_at(0), NO_MARK);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_CHECKSUM), before + 1);
	make_request(request, length, "0005");
	run_send(&tagger, &flow, 0, request, length, 0);
	assert_int_equal(policy_at(0), 0);
}

static void a_segment_with_a_wrong_checksum_is_passed_over(void **state)
{
	static const size_t lengths[] = {60, 61, 62, 63, 491, 492, 493, 1003, 1004, 1005, 2500};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
		size_t last = NETWORK_AT + IPV4_BYTES + 20 + lengths[i] - 5;

		expect_passed_over(false, lengths[i], last);
		expect_passed_over(true, lengths[i], last - IPV4_BYTES + IPV6_BYTES);
		expect_passed_over(false, lengths[i], NETWORK_AT + IPV4_BYTES + 16); /* the sum */
		expect_passed_over(false, lengths[i], NETWORK_AT + 8); /* of IP: TTL */
	}
}

/* TCP takes no data without ACK. */
static void a_segment_without_acknowledgement_is_passed_over(void **state)
{
	char request[RUN_PAYLOAD_MAX + 1];
	uint8_t packet[4096];
	size_t segment = NETWORK_AT + IPV4_BYTES;
	uint16_t sum = 0;

	(void)state;
	begin();
	size_t length = make_request(request, 100, "0001");
	size_t size = run_packet(&flow, 0, request, length, 0, packet);
	packet[segment + 13] = 0;
	memcpy(packet + segment + 16, &sum, 2);
	sum = run_checksum(packet + segment, size - segment,
			   run_sum(&flow.connection, 32, IPPROTO_TCP + (uint32_t)(size - segment)));
	memcpy(packet + segment + 16, &sum, 2);
	run_changed(&tagger, packet, size);
	assert_int_equal(policy_at(0), NO_MARK);
	make_request(request, 100, "0005");
	run_send(&tagger, &flow, 0, request, length, 0);
	assert_int_equal(policy_at(0), 0);
}

/* Whole segments but for what IP says of them: the kernel would wait for the rest. */
static void ip_fragments_are_passed_over_and_counted(void **state)
{
	static const uint16_t offsets[] = {0x2000, 0x0001, 0x2001, 0x1fff, 0x0100};
	uint64_t before = run_event(&tagger, LANETAG_EVENT_FRAGMENT);
	char request[RUN_PAYLOAD_MAX + 1];
	uint8_t packet[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(offsets); i++) {
		uint16_t offset = htons(offsets[i]);

		begin();
		size_t length = make_request(request, 100, "0001");
		size_t size = run_packet(&flow, 0, request, length, 0, packet);
		memcpy(packet + NETWORK_AT + 6, &offset, 2);
		sign_network(packet);
		run_changed(&tagger, packet, size);
		assert_int_equal(policy_at(0), NO_MARK);
		assert_int_equal(run_event(&tagger, LANETAG_EVENT_FRAGMENT), before + i + 1);
	}
	begin();
	size_t length = make_request(request, 100, "0001");
	size_t size = run_packet(&flow, 0, request, length, 0, packet);
	packet[NETWORK_AT + 6] = 0x40; /* don't fragment: a whole packet */
	sign_network(packet);
	run_changed(&tagger, packet, size);
	assert_int_equal(policy_at(0), UNTAGGED);
}

static void ipv6_fragments_are_passed_over_and_counted(void **state)
{
	uint64_t before = run_event(&tagger, LANETAG_EVENT_FRAGMENT);
	char request[RUN_PAYLOAD_MAX + 1];
	uint8_t packet[4096 + 8];
	size_t behind = NETWORK_AT + IPV6_BYTES;

	(void)state;
	run_flow_init(&flow, next_flow++, true);
	run_begin(&tagger, &flow);
	size_t length = make_request(request, 100, "0001");
	size_t size = run_packet(&flow, 0, request, length, 0, packet);
	memmove(packet + behind + 8, packet + behind, size - behind);
	memcpy(packet + behind, "\x06\x00\x00\x01\x00\x00\x00\x07", 8); /* more fragments */
	packet[NETWORK_AT + 6] = IPPROTO_FRAGMENT;
	uint16_t payload = htons((uint16_t)(size - behind + 8));
	memcpy(packet + NETWORK_AT + 4, &payload, 2);
	run_changed(&tagger, packet, size + 8);
	assert_int_equal(policy_at(0), NO_MARK);
	assert_int_equal(run_event(&tagger, LANETAG_EVENT_FRAGMENT), before + 1);
}

static void expect_read_as_any_other(void)
{
	static const char requests[] =
		"POST / HTTP/1.1\r\nHost: a\r\nx-user-id: 0005\r\nContent-Length: 3\r\n\r\nabc" GET
		"x-user-id: 0001\r\n\r\n";

	run_begin(&tagger, &flow);
	send_text(0, requests);
	assert_int_equal(policy_at(0), 0);
	assert_int_equal(policy_at((uint64_t)(strstr(requests, "abc") + 3 - requests)), UNTAGGED);
}

/* Every byte of it is another's, but for what makes the slot free. */
static void a_slot_leaves_nothing_to_the_next_connection(void **state)
{
	struct lanetag_flow left;

	(void)state;
	for (int byte = 1; byte < 256; byte += 2) {
		run_flow_init(&flow, next_flow++, false);
		memset(&left, byte, sizeof(left));
		left.state = LANETAG_FLOW_FREE;
		left.busy = 0;
		run_write_slot(&tagger, run_slot(&flow), &left);
		expect_read_as_any_other();
		run_read_slot(&tagger, run_slot(&flow), &left);
		assert_memory_equal(&left.connection, &flow.connection, sizeof(left.connection));
		assert_int_equal(left.heads, 2);
	}
}

/* The same ends again, whatever the connection before was in the middle of. */
static void a_connection_leaves_nothing_to_the_next_of_the_same_ends(void **state)
{
	static const char *const cut[] = {
		"GET / HT",
		GET "x-user-id: 00",
		GET "x-user-id: 0005\r\nx-user-id: 0001\r\n",
		GET "Content-Length: 50\r\n\r\nsome of it",
		GET "Transfer-Encoding: chunked\r\n\r\n20\r\nabc",
		GET "Transfer-Encoding: chunked\r\n\r\n0\r\nx-user-id: 00",
		GET "Upgrade: h2c\r\n",
	};
	static const unsigned ends[] = {0, RUN_RST, RUN_FIN};

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cut) * ARRAY_LENGTH(ends); i++) {
		const char *text = cut[i / ARRAY_LENGTH(ends)];
		unsigned end = ends[i % ARRAY_LENGTH(ends)];

		begin();
		send_text(0, text);
		if (end)
			run_send(&tagger, &flow, strlen(text), NULL, 0, end);
		flow.first_sequence += 100000;
		expect_read_as_any_other();
	}
}

static int open_all(void **state)
{
	struct lanetag_ruleset ruleset;

	(void)state;
	sandbox_rules(&ruleset, 1);
	run_open(&tagger, &pins, &ruleset);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	run_close(&tagger, &pins);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_finds_the_header_and_only_the_header),
		cmocka_unit_test(a_mark_says_connection_position_generation_and_remainder),
		cmocka_unit_test(it_finds_the_header_at_every_offset),
		cmocka_unit_test(a_request_may_be_cut_anywhere),
		cmocka_unit_test(bodies_are_passed_over_and_the_next_request_is_found),
		cmocka_unit_test(doubtful_framing_gives_no_further_marks),
		cmocka_unit_test(other_protocols_are_counted_and_left_alone),
		cmocka_unit_test(a_retransmission_is_not_counted_twice),
		cmocka_unit_test(behind_a_gap_there_are_no_marks_until_the_agent_confirms),
		cmocka_unit_test(connections_that_were_open_before_are_left_to_the_agent),
		cmocka_unit_test(a_closed_connection_is_followed_no_more),
		cmocka_unit_test(every_shape_of_packet_is_read),
		cmocka_unit_test(sequence_numbers_may_wrap),
		cmocka_unit_test(ids_up_to_256_bytes_are_decided_and_longer_ones_are_unknown),
		cmocka_unit_test(a_head_read_under_two_generations_has_no_mark),
		cmocka_unit_test(what_the_kernel_cannot_decide_is_unknown),
		cmocka_unit_test(a_segment_with_a_wrong_checksum_is_passed_over),
		cmocka_unit_test(a_segment_without_acknowledgement_is_passed_over),
		cmocka_unit_test(ip_fragments_are_passed_over_and_counted),
		cmocka_unit_test(ipv6_fragments_are_passed_over_and_counted),
		cmocka_unit_test(a_slot_leaves_nothing_to_the_next_connection),
		cmocka_unit_test(a_connection_leaves_nothing_to_the_next_of_the_same_ends),
	};

	if (sandbox_is_skipped("tagger"))
		return 0;
	return cmocka_run_group_tests(tests, open_all, close_all);
}
