/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * W3C Baggage (https://www.w3.org/TR/baggage/): tags as members of the `baggage` field. At least 64
 * members and 8192 bytes are carried, as the specification's limits say.
 */
#include "base/buffer.h"
#include "base/span.h"

#define BAGGAGE_MAX_MEMBERS 180
#define BAGGAGE_MAX_BYTES 8192
#define BAGGAGE_MAX_MEMBER_BYTES \
	4096 /* longer: OpenTelemetry's Go library takes none of them all */

struct baggage_member {
	struct span key;	/* a token; keys are case-sensitive */
	struct span value;	/* as it stands on the wire: percent-encoded */
	struct span properties; /* behind the first ';', or empty */
	struct span whole;	/* the member as it stands on the wire, trimmed */
};

/*
 * Steps through the members of one field value. *rest starts as the field's value. 1: *ret_member
 * is the next; 0: end; -1: a malformed member (skipped: call again).
 */
int baggage_next(struct span *rest, struct baggage_member *ret_member);

/* The same in two steps: the next member as it stands, trimmed (false: end), and its parts (1 or -1). */
bool baggage_next_whole(struct span *rest, struct span *ret_whole);
int baggage_parse(struct span whole, struct baggage_member *ret_member);

/*
 * True if the member that baggage_next gave is one by the specification's grammar (3.2.2) to its
 * end: what it has behind its value are properties, each a token, or a token and a value.
 */
bool baggage_is_strict(const struct baggage_member *member);

/*
 * Appends the decoded value; -1, and nothing appended, if an escape is broken or a byte results
 * that no field value may hold.
 */
int baggage_decode(struct span value, struct buffer *out);
/* Appends `value` with all bytes that are no baggage-octets (and '%') percent-encoded. */
void baggage_encode(struct span value, struct buffer *out);
/* Appends "name=value", the name in lower case, the value encoded. */
void baggage_append_member(struct span name, struct span value, struct buffer *out);
