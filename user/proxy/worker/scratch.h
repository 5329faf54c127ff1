/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Memory that one step of a worker's work uses and the next one uses again: it holds nothing from
 * one event to the next.
 */
#include "http/edit.h"
#include "http/head.h"
#include "http/chunked.h"
#include "proxy/request/request.h"
#include "proxy/sharing/options.h"

/* The one receive buffer: large enough that bodies of 64 KiB go in one piece. */
#define SCRATCH_RECEIVE_BYTES PROXY_RECEIVE_BYTES

struct scratch {
	char *received; /* SCRATCH_RECEIVE_BYTES: what came last */
	char *head;	/* a head on its way out */
	size_t head_bytes;
	struct buffer text;
	struct http_trailers trailers;
	struct http_response_head response_head;
	struct http_edit response_edit;
	struct request request; /* the one in the request stage */
};

/* `head_bytes`: of a head on its way out. 0 or -ENOMEM; scratch_free frees, after an error too. */
int scratch_start(struct scratch *scratch, size_t head_bytes);
void scratch_free(struct scratch *scratch);
