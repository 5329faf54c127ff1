/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The connections that a tagger follows, read beside the agent from the maps that it pinned,
 * through descriptors and memory for reading alone. What the maps hold is not trusted.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lanetag/mark.h>
#include "base/buffer.h"

struct flows;

/* What the next byte of the stream belongs to. */
enum flow_state {
	FLOW_IDLE, /* a request begins */
	FLOW_HEAD,
	FLOW_BODY,
	FLOW_LOST, /* the kernel doesn't know; the agent decides alone */
	FLOW_STATES,
};

/* Whether this machine ends the connection. */
enum flow_socket {
	FLOW_SOCKET_UNKNOWN, /* the tagger is in another network namespace, or the kernel can't tell */
	FLOW_SOCKET_OPEN,
	FLOW_SOCKET_NONE, /* it passes through, or has ended and its end was not seen */
};

struct flow {
	struct lanetag_connection connection;
	enum flow_state state;
	const char *lost_by; /* of FLOW_LOST: a name of tagger_event_name; else NULL */
	enum flow_socket socket;
	uint32_t requests; /* whose heads were read to their end */
	uint64_t received; /* bytes of the stream that went by */
	bool has_age;
	uint64_t age_ns; /* since the SYN */
	bool has_mark;	 /* of the latest request whose head has ended */
	struct lanetag_mark mark;
};

enum flow_outcome {
	FLOW_TAG,     /* the rule gave a tag */
	FLOW_NO_TAG,  /* no policy holds the user, or there is no id */
	FLOW_UNKNOWN, /* the kernel left this rule to the agent */
};

/* One rule of a mark. The texts are "" where the lanes of its generation are not kept any more. */
struct flow_tag {
	enum flow_outcome outcome;
	char tag_header[LANETAG_MAX_NAME + 1];
	char tag_value[LANETAG_MAX_NAME + 1]; /* of FLOW_TAG; cut where longer */
	bool has_remainder;
	uint32_t remainder;
};

/*
 * 0 and *ret_flows (flows_close), or a negative errno, and `reason` says what is not there or not
 * allowed: -ENOENT: nothing is pinned; -EPROTO: maps of another version.
 */
int flows_open(const char *pin_directory, struct flows **ret_flows, struct buffer *reason);
void flows_close(struct flows *flows);

/* All flows as they are now, by the client's address and port; the caller frees the array. 0 or a
 * negative errno. */
int flows_read(struct flows *flows, struct flow **ret_list, size_t *ret_count);

/* Of a mark that the latest flows_read gave; `rule` is less than its rule_count. */
void flows_tag(const struct flows *flows, const struct lanetag_mark *mark, size_t rule,
	       struct flow_tag *ret_tag);
