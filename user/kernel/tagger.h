/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The kernel tagger from the agent's side: load, attach, pin, read and write its maps. The only
 * room that calls libbpf. Everything works without it; then marks are simply never found.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <lanetag/mark.h>
#include <lanetag/rules.h>

struct tagger;

/* How the program hooks into an interface: at its ingress, for arrivals at its egress. */
enum tagger_hook {
	TAGGER_HOOK_ANY, /* TCX where the kernel has it, else clsact */
	TAGGER_HOOK_TCX,
	TAGGER_HOOK_CLSACT,
};

/* Which of the programs, see bpf/. */
enum tagger_purpose {
	TAGGER_MARKS,	 /* requests that come to the agent are marked */
	TAGGER_ARRIVALS, /* requests that come to pods are noted, see kernel/arrivals.h */
};

struct tagger_options {
	enum tagger_purpose purpose;
	uint32_t capacity;	   /* of ARRIVALS: entries of its tables, a power of two */
	bool deliveries;	   /* of ARRIVALS: noted for threads, too, see kernel/threads.h */
	const char *pin_directory; /* TAGGER_PIN_DIRECTORY; NULL: nothing outlives the agent */
	const char *const
		*interfaces; /* names or fnmatch(3) patterns, "*" for all, also later ones */
	size_t interface_count;
	enum tagger_hook hook;
	const char *
		variant; /* of the program, as tagger_variant names it; NULL: the best that loads */
};

#define TAGGER_PIN_DIRECTORY "/sys/fs/bpf/lanetag"

/*
 * Loads (or takes over what an earlier agent pinned) and attaches. 0 and *ret_tagger, or a negative
 * errno; the log then says what the kernel or the rights lack.
 */
int tagger_open(const struct tagger_options *options, struct tagger **ret_tagger);
/*
 * Leaves programs, maps and pins to another agent: from here on only tagger_find_mark,
 * tagger_confirm_position, the reading of counters and tagger_close may be called.
 */
void tagger_release(struct tagger *tagger);
/* Detaches and unpins everything of ours, but what was released. */
void tagger_close(struct tagger *tagger);

/* Which variant of the program the kernel took: "may_goto", … A constant string. */
const char *tagger_variant(const struct tagger *tagger);
/* On how many interfaces the program runs now. */
size_t tagger_attached_interfaces(const struct tagger *tagger);

/* Swaps the rules whole. 0 or a negative errno: the old rules then stay. */
int tagger_set_rules(struct tagger *tagger, const struct lanetag_ruleset *ruleset);
/* The local TCP ports whose connections are looked into. */
int tagger_set_ports(struct tagger *tagger, const uint16_t *ports, size_t port_count);
/* Names for who reads the maps: lane -> tag header and value ("" for untagged), from this
 * generation on; before its rules are set. */
int tagger_set_lane_name(struct tagger *tagger, uint32_t generation, uint32_t lane,
			 const char *tag_header, const char *tag_value);

/* A file descriptor to poll for EPOLLIN, and what to do then (interfaces that come and go). */
int tagger_event_fd(const struct tagger *tagger);
void tagger_handle_events(struct tagger *tagger);

/*
 * The mark of the request that begins at stream offset `position` of this connection. No system
 * call. Any thread may call it. False: the kernel has none; the agent decides.
 */
bool tagger_find_mark(const struct tagger *tagger, const struct lanetag_connection *connection,
		      uint64_t position, struct lanetag_mark *ret_mark);

/*
 * Tells the kernel that a request begins at `position` of this connection, so that a flow that lost
 * its place can find it again. No system call. Call it when everything before `position` is
 * consumed.
 */
void tagger_confirm_position(struct tagger *tagger, const struct lanetag_connection *connection,
			     uint64_t position);

/* Requests that the kernel counted per lane, summed over CPUs. 0 or a negative errno. */
int tagger_lane_requests(const struct tagger *tagger, uint64_t ret_requests[LANETAG_MAX_LANES]);

/* How full the tables are that forget: entries that stand, room, and what newer ones took away. */
struct tagger_table {
	uint64_t entries, capacity, evictions;
};
struct tagger_tables {
	struct tagger_table flows; /* also of connections whose end was not seen */
	struct tagger_table marks; /* needed for moments only: the latest stand */
};

/* Counts them, which takes some milliseconds. Any thread may call it. 0 or a negative errno. */
int tagger_count_tables(struct tagger *tagger, struct tagger_tables *ret_tables);

/*
 * What else the kernel counted (flows that lost their place, values too long …), since the maps
 * were made: events 0 to tagger_event_kinds() - 1, each with a name in snake_case.
 */
size_t tagger_event_kinds(void);
const char *tagger_event_name(size_t event);
/* Room for tagger_event_kinds() numbers. 0 or a negative errno. */
int tagger_events(const struct tagger *tagger, uint64_t *ret_counts);
