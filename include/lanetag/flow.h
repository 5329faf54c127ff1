/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What the kernel tagger remembers of a connection between two segments (map `lane_flows`). */
#include <linux/bpf.h>
#include <lanetag/connection.h>
#include <lanetag/rules.h>

#define LANETAG_FLOW_SLOTS 16384U /* a power of two */
#define LANETAG_FLOW_PROBES 4U	  /* slots that a connection may take, one behind the other */
#define LANETAG_LINE_MAX 512U	  /* longest line of interest, CRLF included; longer: abstains */

/* Where in the stream the next byte stands. */
enum lanetag_flow_state {
	LANETAG_FLOW_FREE = 0,
	LANETAG_FLOW_UNSYNCHRONISED, /* not known; see docs/map-abi.md for the way back */
	LANETAG_FLOW_REQUEST_START,
	LANETAG_FLOW_LINE_START, /* of a field line, or the empty line */
	LANETAG_FLOW_LINE_REST,	 /* inside the request line or a line of no interest */
	LANETAG_FLOW_FIELD,	 /* a line of interest; never between segments */
	LANETAG_FLOW_VALUE,	 /* its value; never between segments */
	LANETAG_FLOW_NUMBER,	 /* a length or a size; never between segments */
	LANETAG_FLOW_DRAW,	 /* an id was found: numbers are drawn; never between segments */
	LANETAG_FLOW_HEAD_END,	 /* never between segments */
	LANETAG_FLOW_MARK,	 /* never between segments */
	LANETAG_FLOW_CHUNK_SIZE,
	LANETAG_FLOW_BODY, /* body_left bytes of no interest */
};

/* What a source of the head under way has given. */
enum lanetag_source_state {
	LANETAG_ID_MISSING = 0,
	LANETAG_ID_PRESENT,
	LANETAG_ID_UNKNOWN, /* too long, or there twice: the agent looks */
};

struct lanetag_flow {
	struct bpf_spin_lock lock; /* guards `busy` where the kernel has no atomic exchange */
	__u32 busy;		   /* 1 while a CPU works on the flow */
	struct lanetag_connection connection;
	__u32 state;	      /* enum lanetag_flow_state */
	__u32 first_sequence; /* the SYN's sequence number + 1: of stream offset 0 */
	__u32 next_sequence;  /* of the next byte in order */
	__u32 generation;     /* of the ruleset that the head under way is read with */
	__u32 heads;	      /* read to their end */
	__u32 lost_by;	      /* of UNSYNCHRONISED: enum lanetag_event, why */
	__u64 began_ns;	      /* CLOCK_MONOTONIC, when the SYN came */
	__u64 offset;	      /* stream offset of the next byte in order */
	__u64 position;	      /* stream offset of the first byte of the request under way */
	__u64 body_left;      /* of BODY */
	__u8 contended;	      /* a packet came while another CPU was at work */
	__u8 in_trailers;     /* LINE_START and LINE_REST are of trailers */
	__u8 chunked;
	__u8 has_content_length;
	__u8 upgrade;	/* the head under way asks for another protocol */
	__u8 last_byte; /* before the next byte */
	__u16 carried;	/* bytes of `carry`: the start of a line that is not whole yet */
	__u8 sources[LANETAG_MAX_SOURCES]; /* enum lanetag_source_state */
	__u64 content_length;
	__u32 remainders[LANETAG_MAX_DRAWS];
	__u8 carry[LANETAG_LINE_MAX];
};

/* The slot that a connection of this hash takes at this probe, in a table of a power of two of slots. */
LANETAG_INLINE __u32 lanetag_flow_slot(__u64 hash, __u32 probe, __u32 slots)
{
	return ((__u32)(hash >> 8) + probe) & (slots - 1);
}

/* What the tagger counts besides lanes (map `lane_events`). */
enum lanetag_event {
	LANETAG_EVENT_MARKS,		  /* marks written */
	LANETAG_EVENT_UNKNOWN_SOURCE,	  /* requests with an id too long, or there twice */
	LANETAG_EVENT_GAP,		  /* flows that lost their place by a missing segment */
	LANETAG_EVENT_RESYNCHRONISED,	  /* flows that found it again */
	LANETAG_EVENT_RETRANSMISSION,	  /* segments seen before, passed over */
	LANETAG_EVENT_NOT_FOLLOWED,	  /* segments of flows whose start was not seen */
	LANETAG_EVENT_CONTENDED,	  /* two CPUs on one flow at once */
	LANETAG_EVENT_TABLE_FULL,	  /* flows that took another one's slot */
	LANETAG_EVENT_HTTP2,		  /* connections that begin with the HTTP/2 preface */
	LANETAG_EVENT_TLS,		  /* connections that begin with a TLS record */
	LANETAG_EVENT_NOT_HTTP,		  /* requests that begin with no method */
	LANETAG_EVENT_AMBIGUOUS,	  /* framing or a line that the agent may read otherwise */
	LANETAG_EVENT_UPGRADE,		  /* requests behind which the stream may leave HTTP */
	LANETAG_EVENT_GENERATION_CHANGED, /* heads read with two rulesets: no mark */
	LANETAG_EVENT_SLOT_BUSY,	  /* marks lost because two CPUs wanted one slot */
	LANETAG_EVENT_FRAGMENT,		  /* IP fragments, passed over */
	LANETAG_EVENT_TOO_MANY_STEPS,	  /* packets too long to be read to the end */
	LANETAG_EVENT_CHECKSUM,		  /* packets that the kernel will drop for their checksum */
	LANETAG_EVENTS,
};
