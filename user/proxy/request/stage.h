/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The request stage: what happens to a head between its arrival and its departure. Pure but for the
 * counters: no sockets, no allocation per request (the buffers are kept).
 *
 *   gateway:  forged tags out → decide → compare with the kernel's mark → tags in ┐
 *   service:  caller's labels → tags of the call's cause (correlation.h)         ┴→ route
 *             → tags into the baggage → hop-by-hop out, Via and forwarding fields in
 */
#include "proxy/request/request.h"

/* A request that is not forwarded: answer with `status`, which is 0 if all is well. */
struct request_verdict {
	unsigned status;
	const char *reason; /* static text */
};

/*
 * Tags and routes a parsed request. `mark` is what the kernel noted of it, or NULL. After status 0
 * with ROUTE_FORWARD comes request_prepare; ROUTE_REDIRECT and ROUTE_DIRECT_RESPONSE are the
 * caller's to answer.
 */
struct request_verdict request_tag_and_route(struct request *request,
					     const struct lanetag_mark *mark);

/*
 * Makes the head fit for the upstream: rewrite, header operations, baggage, forwarding fields,
 * hop-by-hop fields.
 */
struct request_verdict request_prepare(struct request *request);

/* A step on its own: the decided tags become header fields. */
struct request_verdict request_inject_tags(struct request *request);
