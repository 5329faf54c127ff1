/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Attempts of an exchange to get its request to an endpoint: places in the cluster, choice of the
 * endpoint, connections, retries by the route's policy, what endpoints' health learns from it all.
 */
#include "proxy/exchange/exchange.h"

enum attempt_result {
	ATTEMPT_STARTED, /* a connection is attached, perhaps still connecting */
	ATTEMPT_WAITS,	 /* for a place in the cluster */
	ATTEMPT_REFUSED, /* no place, and no queue for it */
	ATTEMPT_FAILED,	 /* no endpoint can be connected to */
};

/* Endpoints that one request may try. */
#define ATTEMPT_MAXIMUM 8

enum attempt_result attempt_start(struct worker *worker, struct exchange *exchange);
/* Answers for a result that is neither STARTED nor WAITS; else EXCHANGE_WAITING. */
enum exchange_progress attempt_conclude(struct worker *worker, struct exchange *exchange,
					enum attempt_result result);

enum attempt_loss {
	ATTEMPT_CONNECT_FAILED,
	ATTEMPT_RESET,	   /* the connection broke before the upstream said anything */
	ATTEMPT_TIMED_OUT, /* perTryTimeout */
};
/* The attempt came to nothing: another one, or an answer that says so. */
enum exchange_progress attempt_lost(struct worker *worker, struct exchange *exchange,
				    enum attempt_loss loss);
/* True: the response with this status is thrown away and another attempt is under way. */
bool attempt_retry_status(struct worker *worker, struct exchange *exchange, unsigned status);
/* The delay of EXCHANGE_DELAYED is over. */
enum exchange_progress attempt_resume(struct worker *worker, struct exchange *exchange);
/* What the endpoint answered, for its counters and for outlier detection. */
void attempt_note_status(struct worker *worker, struct exchange *exchange, unsigned status);
/* That it did not; `status` says to outlier detection why. */
void attempt_note_failure(struct worker *worker, struct exchange *exchange, unsigned status);
