/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Connections to endpoints. A worker keeps those that can carry another request, per endpoint, the
 * one used last first, so that the others can expire.
 */
#include "proxy/upstream/backend.h"

struct exchange;

struct upstream {
	struct connection connection;
	struct timer timer; /* while idle */
	struct backend *backend;
	struct exchange *exchange; /* whose request it carries; NULL: idle */
	struct upstream *next;	   /* among the idle */
	struct upstream **previous_next;
	uint32_t requests; /* carried so far, the present one included */
	/*
	 * Something may stand behind the last response: the socket was not seen empty, or servers
	 * that get it wrong send content behind such a one.
	 */
	bool suspect;
};

/*
 * An idle connection, or NULL. With `check` it is asked whether the other side has closed
 * meanwhile: for requests that could not be sent a second time. Suspect connections are always
 * asked: bytes that come unasked would be taken for the next response.
 */
struct upstream *upstream_take_idle(struct upstreams *upstreams, struct backend *backend,
				    bool check);
/* A line in the log, of those that come in time. */
void upstream_log_failed_connect(const struct backend *backend, int error);
/* A socket on its way to the backend, or a negative errno (logged). */
int upstream_open_socket(struct upstreams *upstreams, const struct backend *backend);
/* A new connection, which may still be connecting; NULL: it failed at once (*ret_error). */
struct upstream *upstream_connect(struct upstreams *upstreams, struct backend *backend,
				  int *ret_error);
/*
 * The request is through: keeps the connection for the next one, so long unless it is needed; 0: as
 * long as the options say.
 */
void upstream_keep(struct upstreams *upstreams, struct upstream *upstream,
		   uint32_t idle_timeout_ms);
void upstream_close(struct upstreams *upstreams, struct upstream *upstream);
/*
 * Closes the idle connection that nobody needed for longest in some backend; false: there is none.
 */
bool upstream_close_some_idle(struct upstreams *upstreams);

/* Of a connection that carries no request. */
void upstream_handle_idle_event(struct upstreams *upstreams, struct upstream *upstream,
				uint32_t events);
void upstream_expired(struct upstreams *upstreams, struct upstream *upstream);
/* The result of connecting, once an event said that there is one: 0 or a negative errno. */
int upstream_finish_connect(struct upstream *upstream);

static inline bool upstream_is_connecting(const struct upstream *upstream)
{
	return upstream->connection.state & CONNECTION_CONNECTING;
}

/* While it connects: an event has said how that ended (upstream_finish_connect). */
static inline bool upstream_has_outcome(const struct upstream *upstream)
{
	return upstream->connection.state & (CONNECTION_WRITABLE | CONNECTION_FAILED);
}

/* Neither failed nor closed by the endpoint. */
static inline bool upstream_is_fit(const struct upstream *upstream)
{
	return !(upstream->connection.state & (CONNECTION_PEER_CLOSED | CONNECTION_FAILED));
}

/* There may be bytes of the endpoint's that were not read. */
static inline bool upstream_has_more(const struct upstream *upstream)
{
	return connection_can_read(&upstream->connection);
}
