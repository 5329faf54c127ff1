/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A client's connection. Small: while no request is under way, this struct is all that a connection
 * costs in user space. See session.c for how it lives.
 */
#include <lanetag/connection.h>
#include "proxy/http1/client.h"

struct exchange;
struct listener;
struct worker;

/* While draining: so long may a request that is on its way take to come in. */
#define SESSION_DRAIN_IDLE_MS 500

enum session_state {
	SESSION_HEAD_STARTED = 1 << 0, /* a head began to arrive: its deadline stands */
	SESSION_LINGERING = 1 << 1,    /* said all; takes in what the client still sends */
	SESSION_MARK_MISSED = 1 << 2,  /* the kernel had no mark of the last request */
	SESSION_COUNTED = 1 << 3,      /* in the table of clients */
	SESSION_ENDS_ITSELF = 1 << 4,  /* the client asked for no more responses */
	SESSION_OVER_LIMIT = 1 << 5,   /* one connection too many: its first head gets 503 */
};

struct session {
	struct http1_client client; /* its socket, and what it received */
	struct session *next;	    /* of all the worker's */
	struct session **previous_next;
	struct session *next_unfinished; /* of the worker's with SESSION_HEAD_STARTED, older ones */
	struct session **previous_next_unfinished;
	struct listener *listener;
	struct exchange *exchange; /* the request under way, or NULL */

	uint32_t input_scanned; /* bytes behind client.input_start that hold no whole head */
	uint64_t position;	/* stream offset of what comes behind client.input */
	uint32_t requests;	/* so far */
	uint32_t held;		/* bytes that wait, as noted last (waiting.h) */
	uint16_t state;		/* enum session_state */
	struct lanetag_connection peers;
};

_Static_assert(sizeof(struct session) <= 232, "an idle connection has to stay cheap");

/* Takes over an accepted socket; on failure it is closed. `state`: SESSION_COUNTED, _OVER_LIMIT. */
void session_open(struct worker *worker, struct listener *listener, int fd,
		  const struct lanetag_connection *peers, enum session_state state);
void session_handle_event(struct worker *worker, struct session *session, uint32_t events);
/* Goes on as far as its sockets let it. */
void session_drive(struct worker *worker, struct session *session);
/* Its timer, while no exchange is under way. */
void session_expired(struct worker *worker, struct session *session);
/*
 * Closes at once, whatever is under way; with `reset` the client learns that something is missing.
 */
void session_abort(struct worker *worker, struct session *session, bool reset);
/* For an event of the upstream's, or since it asked to run again. */
void session_resume_exchange(struct worker *worker, struct exchange *exchange);
/* The exchange's timer. */
void session_expire_exchange(struct worker *worker, struct exchange *exchange);
/*
 * While worker->waiting_level asks for it: answers the youngest incomplete heads with 503. Not
 * within a session's work.
 */
void session_refuse_heads(struct worker *worker);
/* No request is under way, and none has begun to arrive. */
bool session_is_idle(const struct session *session);
