/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* How an exchange goes on: when it starts, when its sockets or its timer say so, and its end. */
#include "proxy/exchange/exchange.h"

struct request;

/*
 * Begins to forward: `head` is what the upstream gets, data[0, length) what came after the
 * request's head, of which *ret_consumed bytes belong to it.
 */
enum exchange_progress exchange_forward(struct worker *worker, struct exchange *exchange,
					struct request *request, struct span head, char *data,
					size_t length, size_t *ret_consumed);
/* Goes on as far as the sockets let it. */
enum exchange_progress exchange_drive(struct worker *worker, struct exchange *exchange);
enum exchange_progress exchange_expired(struct worker *worker, struct exchange *exchange);
/* After EXCHANGE_ABORTED: the client could take what it got for the whole response. */
bool exchange_was_cut(const struct exchange *exchange);
/* Gives everything back; an upstream connection that can't be used again is closed. */
void exchange_close(struct worker *worker, struct exchange *exchange);
/* Bytes in user space that it holds, the replies' and mirrors' included. */
size_t exchange_held(const struct exchange *exchange);
