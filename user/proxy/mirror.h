/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Copies of requests to another destination (VirtualService mirror). They cost the request nothing:
 * a copy has a connection of its own, its answer is thrown away, its failure is nobody's.
 */
#include "proxy/connection.h"
#include "proxy/exchange.h"
#include "proxy/timer.h"

struct mirror;

/*
 * Starts the route's mirrors. Only requests that are whole in data[0, length) can be copied: those
 * without a body, or with a small one that came with the head.
 */
void mirror_request(struct worker *worker, struct exchange *exchange, struct request *request,
		    const char *data, size_t length);
void mirror_handle_event(struct worker *worker, struct mirror *mirror, uint32_t events);
void mirror_expired(struct worker *worker, struct mirror *mirror);
