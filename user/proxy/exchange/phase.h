/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * In which phase an exchange is, and how it gets there. A phase follows from the events that are
 * noted, so there is one function that gives it, and one that notes events.
 *
 *     SENDING ◀── CONNECTING ◀── QUEUED ◀── DELAYED
 *        │             ▲                      ▲
 *        ▼             └─────── lost ─────────┤
 *     AWAITING ───────────────────────────────┘
 *        │
 *        ▼
 *     RESPONDING, TUNNEL
 */
#include "proxy/exchange/exchange.h"
#include "proxy/upstream/upstream.h"

enum exchange_phase {
	PHASE_DELAYED,	  /* by a fault, or before a retry */
	PHASE_QUEUED,	  /* waits for a place in its cluster */
	PHASE_CONNECTING, /* its endpoint's connection is on its way */
	PHASE_SENDING,	  /* the request comes from the client and goes to the endpoint */
	PHASE_AWAITING, /* the endpoint has what it gets of the request: its answer is waited for */
	PHASE_RESPONDING, /* the response goes to the client; the request may still come */
	PHASE_TUNNEL,	  /* bytes both ways */
};

static inline enum exchange_phase exchange_phase(const struct exchange *exchange)
{
	const uint16_t later = EXCHANGE_TUNNEL | EXCHANGE_RESPONSE_STARTED;
	const uint16_t waits = EXCHANGE_DELAYED | EXCHANGE_PENDING;
	uint16_t events = exchange->events;

	if (events & later)
		return events & EXCHANGE_TUNNEL ? PHASE_TUNNEL : PHASE_RESPONDING;
	if (events & waits)
		return events & EXCHANGE_DELAYED ? PHASE_DELAYED : PHASE_QUEUED;
	if (exchange->upstream && upstream_is_connecting(exchange->upstream))
		return PHASE_CONNECTING;
	if (events & (EXCHANGE_REQUEST_SENT | EXCHANGE_REQUEST_CUT))
		return PHASE_AWAITING;
	return PHASE_SENDING;
}

/* Notes what has happened, and what of it is undone. The one place that changes `events`. */
static inline void exchange_note(struct exchange *exchange, uint16_t happened, uint16_t undone)
{
	exchange->events = (uint16_t)((exchange->events & ~undone) | happened);
}

/* The same for events (0: the connection says so itself) that start a phase with a deadline. */
static inline void exchange_enter(struct exchange *exchange, uint16_t happened,
				  uint64_t deadline_ms)
{
	exchange_note(exchange, happened, 0);
	exchange->phase_deadline_ms = deadline_ms;
}

/*
 * When exchange_expired (drive.h) has to be called if nothing happens until then: the phase's
 * deadline, or an earlier one of the route's.
 */
uint64_t exchange_deadline(const struct worker *worker, const struct exchange *exchange);
