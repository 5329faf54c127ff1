/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A client's connection as an exchange knows it: where its request's body comes from and its
 * response goes to. The first member of the session that it belongs to.
 */
#include "base/buffer.h"
#include "proxy/loop/connection.h"
#include "proxy/loop/timer.h"

struct http1_client {
	struct connection connection;
	struct timer timer;   /* the session's; an exchange has its own */
	struct buffer input;  /* received, not yet part of a request under way */
	uint32_t input_start; /* so much of it is done with */
	bool closes;	      /* the response under way is the connection's last */
};

/* The bytes of `input` that are not done with. */
static inline struct span http1_client_unread(const struct http1_client *client)
{
	return (struct span){client->input.data + client->input_start,
			     client->input.length - client->input_start};
}

/* Keeps bytes that came behind a request for the next one. False: out of memory. */
bool http1_client_keep(struct http1_client *client, const struct span *bytes);
void http1_client_drop(struct http1_client *client);
