/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Which tags a call from one application to another has: those of the request that caused it. Asked
 * in the order of enum propagation_way; docs/propagation.md says what each way asks of an
 * application and what it promises. Pure but for the counters, as the request stage is.
 *
 * The first decision wins: where the call itself bears a tag of our rules (as a header or in
 * baggage), nothing is decided or looked up again. What has no room is dropped and counted; no call
 * fails for its tags.
 */
#include "proxy/request/request.h"

/* What a way gives for a request. */
enum correlation_outcome {
	CORRELATION_NOTHING, /* it knows nothing of this request */
	CORRELATION_FOUND,   /* header fields that travel, but no tag of our rules */
	CORRELATION_DECIDED, /* its tags, or that it has none: no further way is asked */
};

/*
 * Puts the request's tags into request->edit and sets request->propagated_by. Before it,
 * source_labels and decision are known.
 */
void correlation_restore_tags(struct request *request);
