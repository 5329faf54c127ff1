/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The beginning of a response: interim heads, the final head, and what may follow from it. */
#include "proxy/exchange/exchange.h"

/* Reads from the upstream until its head is on the way to the client. */
enum exchange_progress response_read(struct worker *worker, struct exchange *exchange);
