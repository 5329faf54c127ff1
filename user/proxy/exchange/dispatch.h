/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* From a parsed head to an exchange: the request stage, and what its verdict leads to. */
#include <lanetag/connection.h>
#include "proxy/exchange/exchange.h"

struct mesh_listener;

/* Where a request came from. */
struct dispatch_origin {
	const struct mesh_listener *listener;
	const struct lanetag_connection *peers;
	uint64_t position; /* of the request's first byte in the stream */
	bool mark_missed;  /* set: the kernel should have a mark of it, and has none */
};

/*
 * The head is in worker->scratch.request; data[0, length) came after it. *ret_consumed bytes
 * of `data` belong to the request's body and are done with.
 */
enum exchange_progress dispatch_request(struct worker *worker, struct exchange *exchange,
					struct dispatch_origin *origin, char *data, size_t length,
					size_t *ret_consumed);
