/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Copies of requests to another destination (VirtualService mirror). They cost the request nothing:
 * a copy has a connection of its own, its answer is thrown away, its failure is nobody's.
 */
#include "proxy/loop/connection.h"
#include "proxy/exchange/exchange.h"
#include "proxy/loop/timer.h"

struct mirror;
struct request;

/*
 * Starts the route's mirrors: of requests that are whole in data[0, length), at once; of those whose
 * body is kept for another attempt, once it is there (mirror_release). Others are not copied.
 */
void mirror_request(struct worker *worker, struct exchange *exchange, struct request *request,
		    const char *data, size_t length);
/* All of the request has come; it stands in exchange->replay. */
void mirror_release(struct worker *worker, struct exchange *exchange);
/* Those that still wait are not made. */
void mirror_drop(struct exchange *exchange);
/* Bytes of those that wait for the request's body. */
size_t mirror_held(const struct exchange *exchange);
void mirror_handle_event(struct worker *worker, struct mirror *mirror, uint32_t events);
void mirror_expired(struct worker *worker, struct mirror *mirror);
