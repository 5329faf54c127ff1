/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Names as other programs may read them. Servers that hand fields on as variables make one byte of
 * all that is neither letter nor digit (RFC 3875 4.1.18: HTTP_APPVER_C); libraries for baggage
 * decode escapes, take '+' for a space and remove white space. A spelling is a name after all of
 * that, so that two names which any of them takes for the same have one spelling.
 */
#include <stdint.h>
#include <lanetag/rules.h>
#include "base/buffer.h"
#include "base/span.h"

#define SPELLING_MAX_BYTES LANETAG_MAX_NAME

/* In lower case, '-' for what is neither letter nor digit; of a longer name, the first bytes. */
struct spelling {
	uint8_t length;
	bool is_cut; /* the name is longer */
	char text[SPELLING_MAX_BYTES];
};

/* In order; the zeroed struct is an empty set. */
struct spelling_set {
	size_t count;
	uint64_t firsts; /* of a set of starts: a bit for each first byte */
	struct spelling spellings[LANETAG_MAX_RULES];
};

/* Of a field's name, every byte as it stands. */
void spelling_of_field(struct span name, struct spelling *ret_spelling);

/* Adds a name of at most SPELLING_MAX_BYTES; at most LANETAG_MAX_RULES. */
void spelling_set_add(struct spelling_set *set, struct span name);
bool spelling_set_has(const struct spelling_set *set, const struct spelling *spelling);

/*
 * The same for a set of starts: without what is neither letter nor digit in front of a name, and
 * only those names that no other one of the set is the start of.
 */
void spelling_set_add_start(struct spelling_set *set, struct span name);

/*
 * True if a name in `text` (a member of baggage, or a field's name) may be read as one that starts
 * with one of the set's. Names stand at the text's start and behind each ',' and ';', and end at
 * '='; escapes are decoded not at all, once, twice, and until there are none. `scratch`
 * lends memory behind its length.
 */
bool spelling_starts_in(const struct spelling_set *set, struct span text, struct buffer *scratch);
