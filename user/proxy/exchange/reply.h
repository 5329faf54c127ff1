/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Answers of our own: in the upstream's place, or before there is one. */
#include "proxy/exchange/exchange.h"

/* Answers in the upstream's place, or cuts a response that has begun. */
enum exchange_progress exchange_fail(struct worker *worker, struct exchange *exchange,
				     unsigned status, const char *reason);
/*
 * The same for what the client did wrong: counted among bad requests, with the reason in the access
 * log. A connection on which nothing of it was sent stays.
 */
enum exchange_progress exchange_refuse(struct worker *worker, struct exchange *exchange,
				       unsigned status, const char *reason);
/* Sends an answer of our own: a whole response, as it is sent. */
enum exchange_progress exchange_answer(struct worker *worker, struct exchange *exchange,
				       unsigned status, struct span response);
