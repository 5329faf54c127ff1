/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* From a parsed head to an exchange: the request stage, and what its verdict leads to. */
#include "proxy/exchange/exchange.h"

/*
 * The head stands in worker->request, data[0, length) came behind it, and the request's first byte
 * stood at `position` of the stream. *ret_consumed bytes of `data` belong to the request's body and
 * are done with.
 */
enum exchange_progress dispatch_request(struct worker *worker, struct session *session, char *data,
					size_t length, uint64_t position, size_t *ret_consumed);
