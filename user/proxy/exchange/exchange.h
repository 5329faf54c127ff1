/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A request under way and its response. See drive.c for how it lives; attempt.c chooses and
 * replaces upstream connections, response.c reads what comes from them, reply.c answers without.
 */
#include "proxy/loop/connection.h"
#include "proxy/loop/timer.h"
#include "proxy/sharing/holds.h"
#include "proxy/upstream/lease.h"
#include "proxy/http1/client.h"
#include "proxy/http1/relay.h"

struct backend;
struct upstream;
struct worker;

/* What has happened so far. */
enum exchange_event {
	EXCHANGE_REQUEST_SENT = 1 << 0,	    /* all of the request is with the upstream */
	EXCHANGE_REQUEST_CUT = 1 << 1,	    /* the upstream takes no more of it */
	EXCHANGE_RESPONSE_STARTED = 1 << 2, /* its head is on the way to the client */
	EXCHANGE_TUNNEL = 1 << 3,	    /* 101: two streams of bytes from here */
	EXCHANGE_UPSTREAM_BYTES = 1 << 4,   /* the upstream has said something */
	EXCHANGE_UPSTREAM_SPENT = 1 << 5,   /* its connection can't carry another request */
	EXCHANGE_TUNNEL_REQUEST_END = 1 << 6,
	EXCHANGE_TUNNEL_RESPONSE_END = 1 << 7,
	EXCHANGE_DELAYED = 1 << 8,   /* by a fault or before a retry: until phase_deadline_ms */
	EXCHANGE_PENDING = 1 << 9,   /* waits for a place in its cluster */
	EXCHANGE_RETRYING = 1 << 10, /* counted among its cluster's retries */
};

/* What kind of request it is. */
enum exchange_trait {
	EXCHANGE_TO_HEAD = 1 << 0,
	EXCHANGE_IDEMPOTENT = 1 << 1, /* RFC 9110 9.2.2 */
	EXCHANGE_KEPT = 1 << 2,	      /* `replay` holds what has come of it */
	EXCHANGE_HTTP10 = 1 << 3,
	EXCHANGE_UPGRADE = 1 << 4, /* asked for a tunnel */
};

/* Requests up to this size (with body) are kept until the response begins, to be sent again. */
#define EXCHANGE_REPLAY_BYTES (16 * 1024)

struct exchange {
	struct connection connection; /* no socket: only so that the loop finds the exchange */
	struct timer timer;

	struct worker *worker;
	struct http1_client *client; /* that it answers */
	struct exchange *next_spare;
	struct lease *lease;
	struct upstream *upstream;	    /* NULL: none yet, or no longer */
	struct backend *backend;	    /* the last that was tried */
	const struct mesh_cluster *cluster; /* of `route`, or its fallback */
	struct route_result route;
	struct exchange *next_pending; /* in the cluster's queue */
	struct exchange **previous_next_pending;

	uint16_t events;       /* enum exchange_event; exchange_note (phase.h) changes them */
	uint8_t traits;	       /* enum exchange_trait */
	uint8_t attempts;      /* connections tried */
	uint8_t retries;       /* of the route's policy */
	bool fresh_only;       /* pooled connections have failed this request */
	uint8_t end;	       /* enum series_end, of the present attempt as it stands */
	uint16_t status;       /* of the response */
	uint16_t fault_status; /* to answer with once the delay is over; 0: none */
	uint64_t hash; /* for MESH_BALANCE_HASH; has_hash: the request has what it goes by */
	bool has_hash;
	uint64_t cookie;	/* drawn for a client without one (mesh_write_cookie); 0: none */
	struct mirror *mirrors; /* wait for the request's body */

	uint64_t attempt_began_ms;
	uint64_t phase_deadline_ms; /* of a phase that has one of its own; exchange_enter */
	uint64_t try_deadline_ms;   /* retries.perTryTimeout */
	uint64_t deadline_ms;	    /* the route's timeout */

	struct hold hold; /* the user's ids, until the exchange ends */
	uint64_t began_ns;
	uint64_t upstream_answered_ns; /* the answer's first byte; 0: none came, or no log */
	uint8_t lane_count;	       /* of `lanes` */

	/* Down to here all is zeroed for a new request; the rest keeps its memory. */
	struct relay request;
	struct relay response;
	struct buffer replay;
	struct buffer response_start; /* an incomplete response head */
	struct buffer log; /* what the access log will say of the request; empty: no log */
	uint16_t lanes[LANETAG_MAX_RULES]; /* that a gateway put the request into */
};

/* How far it came. */
enum exchange_progress {
	EXCHANGE_WAITING,  /* for its sockets or its timer */
	EXCHANGE_FINISHED, /* the response is with the client, which may send the next request */
	EXCHANGE_ABORTED,  /* close the client's connection; exchange_was_cut: with a reset */
};

/* An empty exchange that belongs to the client; NULL when memory is short. */
struct exchange *exchange_open(struct worker *worker, struct http1_client *client);

/* Memory of a spare one. */
void exchange_free(struct worker *worker, struct exchange *exchange);

/*
 * From now on it is the upstream's time that passes: the route's timeout and perTryTimeout begin when
 * all of the request is here, as in Envoy, and not before a fault's delay is over.
 */
void exchange_start_timeouts(const struct worker *worker, struct exchange *exchange);
/* The status of the response that is on its way to the client. */
void exchange_note_status(struct worker *worker, struct exchange *exchange, unsigned status);
/* What the outcome of the relay to the client means once the response has begun. */
enum exchange_progress exchange_response_progress(struct worker *worker, struct exchange *exchange,
						  enum relay_outcome outcome);
/* True if all of the request is at hand, to be sent once more. */
static inline bool exchange_is_replayable(const struct exchange *exchange)
{
	return exchange->traits & EXCHANGE_KEPT && exchange->request.source_done &&
	       !exchange->replay.failed;
}
