/* SPDX-License-Identifier: GPL-2.0-only */
/* In which phase an exchange is after what happened, and how long it may last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/exchange/phase.h"
#include "proxy/upstream/upstream.h"
#include "proxy/worker/worker.h"

#define NOW_MS 1000000
#define BODY_MS 100
#define RESPONSE_MS 200
#define TUNNEL_MS 300

static struct shared shared = {
	.options = {.body_timeout_ms = BODY_MS,
		    .upstream_response_timeout_ms = RESPONSE_MS,
		    .tunnel_timeout_ms = TUNNEL_MS},
};
static struct worker worker = {.shared = &shared, .loop = {.now_ms = NOW_MS}};

/* How its connection to an endpoint is. */
enum endpoint { NO_ENDPOINT, CONNECTING_ENDPOINT, CONNECTED_ENDPOINT };

static struct exchange exchange_after(uint16_t events, enum endpoint endpoint)
{
	static struct upstream connecting = {.connection.state = CONNECTION_CONNECTING};
	static struct upstream connected = {.connection.state = CONNECTION_WRITABLE};
	struct upstream *const upstreams[] = {NULL, &connecting, &connected};

	return (struct exchange){
		.events = events,
		.upstream = upstreams[endpoint],
		.try_deadline_ms = TIMER_NEVER,
		.deadline_ms = TIMER_NEVER,
	};
}

static void what_happened_says_the_phase(void **state)
{
	static const struct {
		uint16_t events;
		enum endpoint endpoint;
		enum exchange_phase phase;
	} rows[] = {
		{0, NO_ENDPOINT, PHASE_SENDING},
		{0, CONNECTED_ENDPOINT, PHASE_SENDING},
		{0, CONNECTING_ENDPOINT, PHASE_CONNECTING},
		{EXCHANGE_UPSTREAM_BYTES, CONNECTED_ENDPOINT, PHASE_SENDING},
		{EXCHANGE_DELAYED, NO_ENDPOINT, PHASE_DELAYED},
		{EXCHANGE_DELAYED | EXCHANGE_RETRYING, NO_ENDPOINT, PHASE_DELAYED},
		{EXCHANGE_PENDING, NO_ENDPOINT, PHASE_QUEUED},
		{EXCHANGE_PENDING | EXCHANGE_RETRYING, NO_ENDPOINT, PHASE_QUEUED},
		{EXCHANGE_RETRYING, CONNECTING_ENDPOINT, PHASE_CONNECTING},
		{EXCHANGE_REQUEST_SENT, CONNECTED_ENDPOINT, PHASE_AWAITING},
		{EXCHANGE_REQUEST_CUT, CONNECTED_ENDPOINT, PHASE_AWAITING},
		{EXCHANGE_RESPONSE_STARTED, CONNECTED_ENDPOINT, PHASE_RESPONDING},
		{EXCHANGE_RESPONSE_STARTED | EXCHANGE_REQUEST_SENT, NO_ENDPOINT, PHASE_RESPONDING},
		/* An answer of our own ends whatever was waited for. */
		{EXCHANGE_RESPONSE_STARTED | EXCHANGE_DELAYED, NO_ENDPOINT, PHASE_RESPONDING},
		{EXCHANGE_RESPONSE_STARTED | EXCHANGE_TUNNEL, CONNECTED_ENDPOINT, PHASE_TUNNEL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct exchange exchange = exchange_after(rows[i].events, rows[i].endpoint);

		assert_int_equal(exchange_phase(&exchange), rows[i].phase);
	}
}

static void events_are_noted_and_undone(void **state)
{
	struct exchange exchange = exchange_after(EXCHANGE_REQUEST_SENT, NO_ENDPOINT);

	(void)state;
	exchange_note(&exchange, EXCHANGE_UPSTREAM_SPENT, 0);
	assert_int_equal(exchange.events, EXCHANGE_REQUEST_SENT | EXCHANGE_UPSTREAM_SPENT);
	exchange_note(&exchange, 0, EXCHANGE_REQUEST_SENT | EXCHANGE_PENDING);
	assert_int_equal(exchange.events, EXCHANGE_UPSTREAM_SPENT);
	exchange_note(&exchange, EXCHANGE_TUNNEL, EXCHANGE_UPSTREAM_SPENT);
	assert_int_equal(exchange.events, EXCHANGE_TUNNEL);
}

static void a_phase_that_was_entered_ends_when_it_said(void **state)
{
	static const uint16_t events[] = {EXCHANGE_DELAYED, EXCHANGE_PENDING, EXCHANGE_REQUEST_SENT,
					  EXCHANGE_REQUEST_CUT};

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct exchange exchange = exchange_after(0, NO_ENDPOINT);

		exchange_enter(&exchange, events[i], NOW_MS + 7);
		assert_int_equal(exchange_deadline(&worker, &exchange), NOW_MS + 7);
	}
	struct exchange exchange = exchange_after(0, CONNECTING_ENDPOINT);
	exchange_enter(&exchange, 0, NOW_MS + 9);
	assert_int_equal(exchange_deadline(&worker, &exchange), NOW_MS + 9);
}

/* Each byte that goes by puts these off: they count from now. */
static void who_is_waited_for_says_how_long(void **state)
{
	struct exchange exchange = exchange_after(0, CONNECTED_ENDPOINT);
	struct exchange response = exchange_after(EXCHANGE_RESPONSE_STARTED, CONNECTED_ENDPOINT);

	(void)state;
	assert_int_equal(exchange_deadline(&worker, &exchange), NOW_MS + BODY_MS);
	assert_int_equal(exchange_deadline(&worker, &response), NOW_MS + RESPONSE_MS);
	response.response.pending.length = 1; /* the client does not take it */
	assert_int_equal(exchange_deadline(&worker, &response), NOW_MS + BODY_MS);
}

static void the_routes_timeouts_come_first_where_they_are_earlier(void **state)
{
	struct exchange exchange = exchange_after(EXCHANGE_REQUEST_SENT, CONNECTED_ENDPOINT);

	(void)state;
	exchange.phase_deadline_ms = NOW_MS + 50;
	exchange.deadline_ms = NOW_MS + 40;
	exchange.try_deadline_ms = NOW_MS + 30;
	assert_int_equal(exchange_deadline(&worker, &exchange), NOW_MS + 30);
	/* The attempt is over once the response has begun, the request is not. */
	exchange_note(&exchange, EXCHANGE_RESPONSE_STARTED, 0);
	assert_int_equal(exchange_deadline(&worker, &exchange), NOW_MS + 40);
	exchange_note(&exchange, EXCHANGE_TUNNEL, 0);
	assert_int_equal(exchange_deadline(&worker, &exchange), NOW_MS + TUNNEL_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_happened_says_the_phase),
		cmocka_unit_test(events_are_noted_and_undone),
		cmocka_unit_test(a_phase_that_was_entered_ends_when_it_said),
		cmocka_unit_test(who_is_waited_for_says_how_long),
		cmocka_unit_test(the_routes_timeouts_come_first_where_they_are_earlier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
