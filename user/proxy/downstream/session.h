/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A client's connection. Small: while no request is under way, this struct is all that a connection
 * costs in user space. See session.c for how it lives.
 */
#include <lanetag/connection.h>
#include "base/buffer.h"
#include "proxy/loop/connection.h"
#include "proxy/loop/timer.h"

struct exchange;
struct listener;
struct worker;

enum session_state {
	SESSION_HEAD_STARTED = 1 << 0, /* a head began to arrive: its deadline stands */
	SESSION_CLOSE = 1 << 1,	       /* the response under way is the last */
	SESSION_LINGERING = 1 << 2,    /* said all; takes in what the client still sends */
	SESSION_AGAIN = 1 << 3,	       /* in worker->again */
	SESSION_MARK_MISSED = 1 << 4,  /* the kernel had no mark of the last request */
	SESSION_COUNTED = 1 << 5,      /* in the table of clients */
	SESSION_ENDS_ITSELF = 1 << 6,  /* the client asked for no more responses */
	SESSION_OVER_LIMIT = 1 << 7,   /* one connection too many: its first head gets 503 */
};

struct session {
	struct connection connection;
	struct timer timer;
	struct session *next; /* of all the worker's */
	struct session **previous_next;
	struct session *next_again;
	struct session *next_unfinished; /* of the worker's with SESSION_HEAD_STARTED, older ones */
	struct session **previous_next_unfinished;
	struct listener *listener;
	struct exchange *exchange; /* the request under way, or NULL */

	struct buffer input;	/* received, not yet part of a request under way */
	uint32_t input_start;	/* so much of it is done with */
	uint32_t input_scanned; /* bytes behind input_start that hold no whole head */
	uint64_t position;	/* stream offset of what comes behind `input` */
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
void session_expired(struct worker *worker, struct session *session);
/*
 * Closes at once, whatever is under way; with `reset` the client learns that something is missing.
 */
void session_abort(struct worker *worker, struct session *session, bool reset);
/* A head has come whole, or never will. */
void session_end_head(struct session *session);
/* Answers an incomplete head with 503, since too much memory is in use. Not within its own work. */
void session_refuse_head(struct worker *worker, struct session *session);
/* Keeps bytes that came behind a request for the next one. False: out of memory. */
bool session_keep_input(struct session *session, const struct span *bytes);
void session_drop_input(struct session *session);
/* No request is under way, and none has begun to arrive. */
bool session_is_idle(const struct session *session);
