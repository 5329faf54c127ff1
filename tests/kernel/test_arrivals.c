/* SPDX-License-Identifier: GPL-2.0-only */
/* What the arrivals' program notes of requests made by hand, and what the agent finds of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include "base/array.h"
#include "kernel/arrivals.h"
#include "kernel/tagger_run.h"

#define CAPACITY 4096
#define ENTRIES (2 * CAPACITY)
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"
#define TRACE_A "4bf92f3577b34da6a3ce929d0e0e4736"
#define TRACE_B "5bf92f3577b34da6a3ce929d0e0e4736"
#define VOID "00000000000000000000000000000000"
#define PARENT(trace, span) "00-" trace "-" span "-01"
#define IN_A "traceparent: " PARENT(TRACE_A, "00f067aa0ba902b7") "\r\n"
#define OUT_A PARENT(TRACE_A, "b7ad6b7169203331")
#define NONE "(none)"
#define AMBIGUOUS "(ambiguous)"

static struct tagger arrivals;
static struct pins pins;
static struct arrivals_fields fields;
static struct run_flow flow;
static uint32_t next_flow;

static void forget_arrivals(void)
{
	int map = program_map(&arrivals.program, "lane_arrivals");
	struct lanetag_arrival_key key;

	while (bpf_map_get_next_key(map, NULL, &key) == 0)
		bpf_map_delete_elem(map, &key);
}

static void begin(void)
{
	run_flow_init(&flow, next_flow++, false);
	run_begin(&arrivals, &flow);
}

static void send_text(uint64_t offset, const char *text)
{
	run_send(&arrivals, &flow, offset, text, strlen(text), 0);
}

static void arrive(const char *request)
{
	begin();
	send_text(0, request);
}

/* The tags that a call of the flow's pod with this field gets. */
static const char *tags_of(const char *field, const char *value)
{
	static char text[LANETAG_ARRIVAL_MAX_TAGS + 1];
	struct arrivals_id id = {arrivals_field(&fields, span_of(field)), span_of(value)};
	struct arrivals_tags tags;

	switch (arrivals_find(&arrivals, &fields, flow.connection.local_address, &id, 1, &tags)) {
	case ARRIVALS_NONE:
		return NONE;
	case ARRIVALS_AMBIGUOUS:
		return AMBIGUOUS;
	default:
		memcpy(text, tags.text, tags.length);
		text[tags.length] = '\0';
		return text;
	}
}

static void only_entry(struct lanetag_arrival_key *ret_key, struct lanetag_arrival *ret_arrival)
{
	int map = program_map(&arrivals.program, "lane_arrivals");

	assert_int_equal(bpf_map_get_next_key(map, NULL, ret_key), 0);
	assert_int_equal(bpf_map_lookup_elem(map, ret_key, ret_arrival), 0);
}

static uint64_t count_of(enum lanetag_arrival_count which)
{
	uint64_t counts[LANETAG_ARRIVAL_COUNTS];

	assert_int_equal(arrivals_counts(&arrivals, counts), 0);
	return counts[which];
}

static void a_call_finds_the_tags_under_each_kind_of_id(void **state)
{
	static const struct {
		const char *inbound, *field, *value, *tags;
	} rows[] = {
		{IN_A, "traceparent", OUT_A, "t=v2"},
		{IN_A, "Traceparent", PARENT(TRACE_B, "b7ad6b7169203331"), NONE},
		{IN_A, "b3", TRACE_A "-e457b5a2e4d86bd1-1", "t=v2"},
		{IN_A, "x-b3-traceid", TRACE_A, "t=v2"},
		{IN_A, "x-request-id", TRACE_A, NONE},
		{"b3: " TRACE_A "-1-1\r\n", "x-b3-traceid", TRACE_A, "t=v2"},
		{"b3: 463ac35c9f6413ad-1\r\n", "b3", "463ac35c9f6413ad-2-1", "t=v2"},
		{"b3: 0\r\n", "b3", "0", NONE},
		{"traceparent: 00-" TRACE_A "\r\n", "traceparent", OUT_A, NONE},
		{"X-Request-Id: 0123-ABC\r\n", "x-request-id", "0123-abc", "t=v2"},
		{"X-Request-Id: 0123-ABC\r\n", "x-request-id", "0123-ab", NONE},
		{"x-datadog-trace-id: 7\r\n", "x-datadog-trace-id", "7", "t=v2"},
		{"x-datadog-trace-id: 7\r\n", "x-request-id", "7", NONE},
		{"x-call: 8\r\n", "x-call", "8", "t=v2"},
		{"x-request-id:\r\n", "x-request-id", "", NONE},
		{"x-request-id: 00-0\r\n", "x-request-id", "00-0", NONE},
		{"x-request-id: 00-1\r\n", "x-request-id", "00-1", "t=v2"},
		{"x-request-id: " VOID "/\r\n", "x-request-id", VOID "/", "t=v2"},
		{"x-datadog-trace-id: 0\r\n", "x-datadog-trace-id", "0", NONE},
		{"traceparent: " PARENT(VOID, "00f067aa0ba902b7") "\r\n", "traceparent",
		 PARENT(VOID, "b7ad6b7169203331"), NONE},
		{"b3: " VOID "-1-1\r\n", "x-b3-traceid", VOID, NONE},
		{"x-request-id: a\x01\xff\r\n", "x-request-id", "a\x01\xff", "t=v2"},
	};
	char request[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		forget_arrivals();
		snprintf(request, sizeof(request), GET "Baggage: t=v2 \r\n%s\r\n", rows[i].inbound);
		arrive(request);
		if (strcmp(tags_of(rows[i].field, rows[i].value), rows[i].tags) != 0)
			fail_msg("row %zu: %s", i, tags_of(rows[i].field, rows[i].value));
		snprintf(request, sizeof(request), GET "%sBaggage: t=v2\r\n\r\n", rows[i].inbound);
		forget_arrivals();
		arrive(request);
		assert_string_equal(tags_of(rows[i].field, rows[i].value), rows[i].tags);
	}
}

static void a_request_without_tags_is_noted_too(void **state)
{
	(void)state;
	forget_arrivals();
	arrive(GET IN_A "\r\n");
	assert_string_equal(tags_of("traceparent", OUT_A), "");
}

static void only_what_arrived_at_the_same_pod_counts(void **state)
{
	(void)state;
	forget_arrivals();
	arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
	flow.connection.local_address[15]++;
	assert_string_equal(tags_of("traceparent", OUT_A), NONE);
}

static void an_id_with_two_sets_of_tags_is_nobodys(void **state)
{
	(void)state;
	forget_arrivals();
	arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
	arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
	assert_string_equal(tags_of("traceparent", OUT_A), "t=v2");
	arrive(GET IN_A "\r\n");
	assert_string_equal(tags_of("traceparent", OUT_A), AMBIGUOUS);
	arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
	assert_string_equal(tags_of("traceparent", OUT_A), AMBIGUOUS);
}

/* An id that goes by in a head whose tags are not known must not stand for others'. */
static void what_cannot_be_read_spoils_the_id(void **state)
{
	static const char *const hostile[] = {
		"baggage: t=v1\r\nbaggage: t=v2\r\n" IN_A,
		IN_A "traceparent: " PARENT(TRACE_B, "00f067aa0ba902b7") "\r\n",
		"traceparent: " PARENT(TRACE_B, "00f067aa0ba902b7") "\r\n" IN_A,
		IN_A IN_A,
		"TRACEPARENT: 00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01\r\n",
	};
	char request[2048];

	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(hostile); i++) {
		forget_arrivals();
		arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
		snprintf(request, sizeof(request), GET "%s\r\n", hostile[i]);
		arrive(request);
		if (strcmp(tags_of("traceparent", OUT_A), AMBIGUOUS) != 0)
			fail_msg("row %zu: %s", i, tags_of("traceparent", OUT_A));
	}
	for (int length = 240; length < 1200; length += 16) {
		forget_arrivals();
		arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
		snprintf(request, sizeof(request), GET IN_A "baggage: t=%0*d\r\n\r\n", length, 0);
		arrive(request);
		assert_string_equal(tags_of("traceparent", OUT_A), AMBIGUOUS);
	}
}

static void bounds_are_exact(void **state)
{
	char request[1024], value[512];

	(void)state;
	for (int length = 1; length < 400; length++) {
		forget_arrivals();
		snprintf(value, sizeof(value), "t=%0*d", length, 7);
		snprintf(request, sizeof(request), GET "baggage: %s\r\n" IN_A "\r\n", value);
		arrive(request);
		assert_string_equal(tags_of("traceparent", OUT_A),
				    strlen(value) <= LANETAG_ARRIVAL_MAX_TAGS ? value : AMBIGUOUS);
		forget_arrivals();
		snprintf(value, sizeof(value), "%0*d", length, 7);
		snprintf(request, sizeof(request), GET "baggage: t=v2\r\nx-request-id: %s\r\n\r\n",
			 value);
		arrive(request);
		assert_string_equal(tags_of("x-request-id", value),
				    length <= LANETAG_ARRIVAL_MAX_ID ? "t=v2" : NONE);
	}
}

static void a_head_may_be_cut_anywhere(void **state)
{
	static const char request[] =
		"POST /x HTTP/1.1\r\nHost: a\r\n" IN_A
		"baggage: k=1,t=v2\r\nContent-Length: 2\r\nx-request-id: abcdefgh-1\r\n\r\nab";
	size_t length = strlen(request);

	(void)state;
	for (size_t cut = 1; cut < length; cut++) {
		forget_arrivals();
		begin();
		run_send(&arrivals, &flow, 0, request, cut, 0);
		run_send(&arrivals, &flow, cut, request + cut, length - cut, 0);
		if (strcmp(tags_of("traceparent", OUT_A), "k=1,t=v2") != 0 ||
		    strcmp(tags_of("x-request-id", "ABCDEFGH-1"), "k=1,t=v2") != 0)
			fail_msg("cut at %zu: %s", cut, tags_of("traceparent", OUT_A));
	}
	forget_arrivals();
	begin();
	for (size_t i = 0; i < length; i++)
		run_send(&arrivals, &flow, i, request + i, 1, 0);
	assert_string_equal(tags_of("traceparent", OUT_A), "k=1,t=v2");
}

static void heads_of_two_connections_do_not_mix(void **state)
{
	static const char first[] = GET "baggage: t=v2\r\n";
	struct run_flow one, two;

	(void)state;
	forget_arrivals();
	begin();
	one = flow;
	begin();
	two = flow;
	run_send(&arrivals, &one, 0, first, strlen(first), 0);
	run_send(&arrivals, &two, 0, GET "x-request-id: two\r\n", strlen(GET) + 19, 0);
	run_send(&arrivals, &one, strlen(first), IN_A "\r\n", strlen(IN_A "\r\n"), 0);
	run_send(&arrivals, &two, strlen(GET) + 19, "\r\n", 2, 0);
	assert_string_equal(tags_of("traceparent", OUT_A), "t=v2");
	assert_string_equal(tags_of("x-request-id", "two"), "");
}

/* Between its segments another connection's head goes by on the same processor. */
static void a_cut_head_has_nothing_of_another_connection(void **state)
{
	static const char begin_only[] = GET, other[] = GET "baggage: t=v2\r\n" IN_A "\r\n";
	char rest[1200];
	struct run_flow cut;

	(void)state;
	forget_arrivals();
	begin();
	cut = flow;
	run_send(&arrivals, &cut, 0, begin_only, strlen(begin_only), 0);
	arrive(other);
	snprintf(rest, sizeof(rest), "traceparent: %0600d\r\n\r\n", 0);
	run_send(&arrivals, &cut, strlen(begin_only), rest, strlen(rest), 0);
	assert_string_equal(tags_of("traceparent", OUT_A), "t=v2");
}

/* A slot of the table, and with it a place in a stream, is another connection's soon. */
static void what_was_not_kept_of_a_cut_head_is_not_taken_from_another(void **state)
{
	static const char first[] = GET "baggage: t=v2\r\n", rest[] = IN_A "\r\n";
	int map = program_map(&arrivals.program, "lane_cut_heads");
	uint64_t key[3], value[512] = {0}; /* larger than what is kept */
	struct run_flow one;

	(void)state;
	forget_arrivals();
	begin();
	one = flow;
	run_send(&arrivals, &one, 0, first, strlen(first), 0);
	assert_int_equal(bpf_map_get_next_key(map, NULL, key), 0);
	assert_int_equal(bpf_map_lookup_elem(map, key, value), 0);
	assert_int_equal(bpf_map_delete_elem(map, key), 0);
	run_send(&arrivals, &one, 0, NULL, 0, RUN_RST);
	one.first_sequence += 1000;
	run_begin(&arrivals, &one);
	run_send(&arrivals, &one, 0, GET "baggage: t=v3\r\n", strlen(first), 0);
	uint64_t fresh[3];
	assert_int_equal(bpf_map_get_next_key(map, NULL, fresh), 0);
	assert_int_equal(bpf_map_delete_elem(map, fresh), 0);
	assert_int_equal(bpf_map_update_elem(map, key, value, BPF_ANY), 0);
	run_send(&arrivals, &one, strlen(first), rest, strlen(rest), 0);
	assert_string_equal(tags_of("traceparent", OUT_A), AMBIGUOUS);
}

static void requests_follow_each_other_and_bodies_are_no_heads(void **state)
{
	static const char requests[] =
		"POST / HTTP/1.1\r\nx-request-id: r1\r\nbaggage: t=1\r\nContent-Length: 50\r\n\r\n"
		"GET / HTTP/1.1\r\nx-request-id: r1\r\nbaggage: t=9\r\n\r\n" GET
		"x-request-id: r2\r\n\r\n" GET "baggage: t=3\r\nx-request-id: r3\r\n\r\n";
	uint64_t before = count_of(LANETAG_ARRIVAL_REQUESTS);

	(void)state;
	forget_arrivals();
	arrive(requests);
	assert_string_equal(tags_of("x-request-id", "r1"), "t=1");
	assert_string_equal(tags_of("x-request-id", "r2"), "");
	assert_string_equal(tags_of("x-request-id", "r3"), "t=3");
	assert_int_equal(count_of(LANETAG_ARRIVAL_REQUESTS) - before, 3);
}

static void an_entry_ends_with_its_age(void **state)
{
	int map = program_map(&arrivals.program, "lane_arrivals");
	struct lanetag_arrival_key key;
	struct lanetag_arrival arrival;
	struct arrivals_sweep sweep;

	(void)state;
	forget_arrivals();
	arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
	only_entry(&key, &arrival);
	arrival.seen_ns -= LANETAG_ARRIVAL_AGE_NS + 1;
	assert_int_equal(bpf_map_update_elem(map, &key, &arrival, BPF_EXIST), 0);
	assert_string_equal(tags_of("traceparent", OUT_A), NONE);
	arrive(GET "baggage: t=v2\r\nx-request-id: young\r\n\r\n");
	assert_int_equal(arrivals_sweep(&arrivals, &sweep), 0);
	assert_int_equal(sweep.entries, 1);
	assert_int_equal(sweep.ended, 1);
	assert_string_equal(tags_of("x-request-id", "young"), "t=v2");
	arrive(GET "baggage: t=v3\r\n" IN_A "\r\n");
	assert_string_equal(tags_of("traceparent", OUT_A), "t=v3");
}

static void a_torn_entry_is_no_answer(void **state)
{
	int map = program_map(&arrivals.program, "lane_arrivals");
	struct lanetag_arrival_key key;
	struct lanetag_arrival arrival;

	(void)state;
	forget_arrivals();
	arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
	only_entry(&key, &arrival);
	arrival.tags[0] ^= 1;
	assert_int_equal(bpf_map_update_elem(map, &key, &arrival, BPF_EXIST), 0);
	assert_string_equal(tags_of("traceparent", OUT_A), AMBIGUOUS);
}

static void several_ids_must_agree(void **state)
{
	struct arrivals_id ids[2] = {
		{arrivals_field(&fields, span_of("x-request-id")), span_of("r1")},
		{arrivals_field(&fields, span_of("traceparent")), span_of(OUT_A)}};
	struct arrivals_tags tags;
	const uint8_t *pod;

	(void)state;
	forget_arrivals();
	arrive(GET "baggage: t=v2\r\nx-request-id: r1\r\n\r\n");
	pod = flow.connection.local_address;
	assert_int_equal(arrivals_find(&arrivals, &fields, pod, ids, 2, &tags), ARRIVALS_FOUND);
	arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
	assert_int_equal(arrivals_find(&arrivals, &fields, pod, ids, 2, &tags), ARRIVALS_FOUND);
	arrive(GET "baggage: t=v3\r\nx-request-id: r2\r\n\r\n");
	ids[0].value = span_of("r2");
	assert_int_equal(arrivals_find(&arrivals, &fields, pod, ids, 2, &tags), ARRIVALS_AMBIGUOUS);
}

static void two_ids_in_fields_of_one_name_are_nobodys(void **state)
{
	size_t field = arrivals_field(&fields, span_of("traceparent"));
	struct arrivals_id ids[2] = {
		{field, span_of(OUT_A)},
		{field, span_of(PARENT(TRACE_B, "b7ad6b7169203331"))},
	};
	struct arrivals_tags tags;

	(void)state;
	forget_arrivals();
	arrive(GET "baggage: t=v2\r\n" IN_A "\r\n");
	const uint8_t *pod = flow.connection.local_address;
	assert_int_equal(arrivals_find(&arrivals, &fields, pod, ids, 2, &tags), ARRIVALS_AMBIGUOUS);
	ids[1] = ids[0];
	assert_int_equal(arrivals_find(&arrivals, &fields, pod, ids, 2, &tags), ARRIVALS_FOUND);
}

static void a_full_map_forgets_the_oldest_and_stays_right(void **state)
{
	char request[256], id[32], tags[32];
	struct arrivals_sweep sweep;
	size_t found = 0;
	uint64_t before;

	(void)state;
	forget_arrivals();
	assert_int_equal(arrivals_sweep(&arrivals, &sweep), 0);
	before = sweep.pushed_out;
	for (int i = 0; i < ENTRIES * 2; i++) {
		snprintf(request, sizeof(request), GET "baggage: t=%d\r\nx-request-id: n%d\r\n\r\n",
			 i, i);
		if (i % 64 == 0)
			begin();
		run_send(&arrivals, &flow, 0, request, strlen(request), 0);
		flow.first_sequence += (uint32_t)strlen(request);
	}
	for (int i = 0; i < ENTRIES * 2; i++) {
		snprintf(id, sizeof(id), "n%d", i);
		snprintf(tags, sizeof(tags), "t=%d", i);
		if (strcmp(tags_of("x-request-id", id), NONE) == 0)
			continue;
		assert_string_equal(tags_of("x-request-id", id), tags);
		found++;
	}
	assert_in_range(found, ENTRIES / 2, ENTRIES);
	assert_int_equal(arrivals_sweep(&arrivals, &sweep), 0);
	assert_int_equal(sweep.entries, found);
	assert_int_equal(sweep.pushed_out - before, 2 * ENTRIES - found);
}

static void names_of_fields_are_checked(void **state)
{
	struct arrivals_fields more = fields;

	(void)state;
	assert_int_equal(arrivals_add_field(&more, span_of("")), -EINVAL);
	assert_int_equal(arrivals_add_field(&more, span_of("a b")), -EINVAL);
	assert_int_equal(arrivals_add_field(&more, span_of("a:")), -EINVAL);
	assert_int_equal(arrivals_add_field(&more, span_of("X-Call")), 0); /* is there */
	assert_int_equal(arrivals_add_field(&more, span_of("x-more")), 0);
	assert_int_equal(arrivals_add_field(&more, span_of("x-even-more")), -ENOSPC);
}

static int open_arrivals(void **state)
{
	static char directory[PATH_MAX];
	struct program_options options = {
		.kind = PROGRAM_ARRIVALS, .variant = sandbox_variant(), .capacity = CAPACITY};
	uint16_t port = RUN_PORT;

	(void)state;
	sandbox_enter(directory);
	sandbox_require(pins_open(&pins, NULL) == 0, "pins");
	sandbox_require(program_load(&pins, &options, &arrivals.program) == 0, "load");
	arrivals_standard_fields(&fields);
	sandbox_require(arrivals_add_field(&fields, span_of("X-Call")) == 0, "field");
	sandbox_require(arrivals_set_fields(&arrivals, &fields, 1) == 0, "fields");
	sandbox_require(tagger_set_ports(&arrivals, &port, 1) == 0, "ports");
	return 0;
}

static int close_arrivals(void **state)
{
	(void)state;
	program_unload(&arrivals.program);
	pins_close(&pins);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_finds_the_tags_under_each_kind_of_id),
		cmocka_unit_test(a_request_without_tags_is_noted_too),
		cmocka_unit_test(only_what_arrived_at_the_same_pod_counts),
		cmocka_unit_test(an_id_with_two_sets_of_tags_is_nobodys),
		cmocka_unit_test(what_cannot_be_read_spoils_the_id),
		cmocka_unit_test(bounds_are_exact),
		cmocka_unit_test(a_head_may_be_cut_anywhere),
		cmocka_unit_test(heads_of_two_connections_do_not_mix),
		cmocka_unit_test(a_cut_head_has_nothing_of_another_connection),
		cmocka_unit_test(what_was_not_kept_of_a_cut_head_is_not_taken_from_another),
		cmocka_unit_test(requests_follow_each_other_and_bodies_are_no_heads),
		cmocka_unit_test(an_entry_ends_with_its_age),
		cmocka_unit_test(a_torn_entry_is_no_answer),
		cmocka_unit_test(several_ids_must_agree),
		cmocka_unit_test(two_ids_in_fields_of_one_name_are_nobodys),
		cmocka_unit_test(a_full_map_forgets_the_oldest_and_stays_right),
		cmocka_unit_test(names_of_fields_are_checked),
	};

	if (sandbox_is_skipped("arrivals"))
		return 0;
	return cmocka_run_group_tests(tests, open_arrivals, close_arrivals);
}
