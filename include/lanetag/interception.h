/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The maps by which pods' calls reach the agent: the kernel rewrites where a pod connects to, the
 * agent learns from a map where that was. Addresses are in network byte order, IPv4 in the
 * IPv4-mapped form; ports are in host byte order.
 */
#include <lanetag/connection.h>
#include <lanetag/types.h>

/*
 * lane_destinations: keys, the Services' addresses whose calls are for the agent; the value is 1.
 */
struct lanetag_destination {
	__u8 address[16];
	__u16 port;
	__u16 reserved[3]; /* 0 */
} __attribute__((aligned(8)));

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_destination) == 24, "destination layout");

enum lanetag_address_family {
	LANETAG_IPV4,
	LANETAG_IPV6,
	LANETAG_FAMILIES,
};

/* lane_interception, element 0. */
struct lanetag_interception {
	__u64 agent_namespace; /* netns cookie: its own calls always go directly */
	__u64 probe; /* cookie of the agent's socket whose connect shows that, before Linux 5.14 */
	struct lanetag_destination agent[LANETAG_FAMILIES]; /* port 0: none in this family */
	__u8 everyone;	  /* 1: all pods are selected; 0: those in lane_pods */
	__u8 fail_closed; /* 1: without an agent calls are refused; 0: they go directly */
	__u16 reserved[3];
};

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_interception) == 72, "interception layout");

/* lane_namespaces: the address that calls out of a network namespace were seen to come from. */
struct lanetag_namespace {
	__u64 cookie;
	__u32 family; /* enum lanetag_address_family */
	__u32 reserved;
};

struct lanetag_namespace_address {
	__u8 address[16];
};

/* lane_redirects, in the socket's own storage. */
struct lanetag_redirect {
	struct lanetag_destination original; /* where the application wanted to go */
	struct lanetag_destination agent;    /* where it goes instead */
	__u64 namespace_cookie;
};

/*
 * lane_intercepted, the key. Addresses alone would not do: a process may choose its source address,
 * and shake hands with itself in a network namespace of its own. The number is the kernel's choice
 * anew for each connection, and the agent takes it from the SYN that came to it.
 */
struct lanetag_interception_key {
	struct lanetag_connection connection; /* as the agent sees it */
	__u32 sequence;			      /* of its SYN */
	__u32 reserved;			      /* 0 */
};

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_interception_key) == 48, "interception key layout");

/* lane_intercepted, the value. */
struct lanetag_intercepted {
	struct lanetag_destination original;
	__u64 namespace_cookie;
	__u64 socket_cookie; /* of the application's socket */
};

/* lane_interceptions (per CPU): what became of connects to the destinations. */
enum lanetag_interception_count {
	LANETAG_INTERCEPTION_REDIRECTED,
	LANETAG_INTERCEPTION_BYPASSED,	 /* went directly: the agent doesn't serve */
	LANETAG_INTERCEPTION_REFUSED,	 /* the same, fail-closed */
	LANETAG_INTERCEPTION_UNSELECTED, /* went directly: the pod isn't selected */
	LANETAG_INTERCEPTION_NO_ROOM,	 /* no memory for the connection: bypassed or refused */
	LANETAG_INTERCEPTION_COUNTS,
};
