/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Arrivals: what the kernel noted of a request that arrived at a pod, under each trace or request
 * id in its head (map `lane_arrivals`). When the pod then calls another application by a request
 * with the same id, the agent finds the tags there. docs/propagation.md says what protects whom.
 *
 * The fields that the kernel looks for stand in a struct lanetag_ruleset without rules: source 0 is
 * `baggage`, the others hold ids.
 */
#include <lanetag/connection.h>
#include <lanetag/rules.h>

#define LANETAG_ARRIVAL_MAX_ID 64    /* bytes of an id; longer ones are not noted */
#define LANETAG_ARRIVAL_MAX_TAGS 256 /* bytes of a baggage field; of longer ones no tag is known */
#define LANETAG_ARRIVAL_ID_WORDS (LANETAG_ARRIVAL_MAX_ID / 8)
#define LANETAG_ARRIVAL_TAG_WORDS (LANETAG_ARRIVAL_MAX_TAGS / 8)
#define LANETAG_ARRIVAL_BAGGAGE 0 /* the source of that number */

/* Which part of a field's value is the id. */
enum lanetag_id_form {
	LANETAG_ID_WHOLE = 0,
	LANETAG_ID_TRACEPARENT, /* version-TRACE-parent-flags, W3C Trace Context */
	LANETAG_ID_B3,		/* TRACE-span…, B3's single header */
};

struct lanetag_arrival_key {
	__u8 pod_address[16];		    /* as in struct lanetag_connection */
	__u8 space;			    /* ids of fields with the same number mean the same */
	__u8 length;			    /* of the id */
	__u8 reserved[6];		    /* 0 */
	__u64 id[LANETAG_ARRIVAL_ID_WORDS]; /* its bytes in lower case, zeros behind */
};

struct lanetag_arrival {
	__u64 seen_ns;	 /* CLOCK_MONOTONIC, of the latest request with the id */
	__u64 check;	 /* lanetag_arrival_check: this value belongs to that key, and is whole */
	__u32 ambiguous; /* two requests bore the id and not the same tags: nobody has them */
	__u32 length;	 /* of the tags */
	__u64 tags[LANETAG_ARRIVAL_TAG_WORDS]; /* the value of `baggage`, zeros behind */
};

LANETAG_STATIC_ASSERT(sizeof(struct lanetag_arrival_key) == 24 + 64, "arrival key layout");
LANETAG_STATIC_ASSERT(sizeof(struct lanetag_arrival) == 24 + 256, "arrival layout");

/* How long an entry holds after the latest request with its id; the agent then removes it. */
#define LANETAG_ARRIVAL_AGE_NS 60000000000ULL

/* What the agent sets before loading. */
struct lanetag_arrival_settings {
	__u32 flow_mask;  /* slots of `lane_flows` less one; a power of two less one */
	__u32 deliveries; /* 1: requests are noted for threads, see call.h */
};

/* What the kernel counts of arrivals (map `lane_arrival_counts`). */
enum lanetag_arrival_count {
	LANETAG_ARRIVAL_REQUESTS,     /* heads read to their end */
	LANETAG_ARRIVAL_WITHOUT_ID,   /* of them, those with nothing to note them under */
	LANETAG_ARRIVAL_NOTED,	      /* entries made */
	LANETAG_ARRIVAL_SEEN_AGAIN,   /* the same id and tags again */
	LANETAG_ARRIVAL_AMBIGUOUS,    /* entries that became so: the same id, other tags */
	LANETAG_ARRIVAL_TAGS_UNKNOWN, /* requests whose baggage is too long, or there twice */
	LANETAG_ARRIVAL_ID_TOO_LONG,
	LANETAG_ARRIVAL_ID_TWICE,  /* requests with two fields of one name */
	LANETAG_ARRIVAL_HEAD_LOST, /* heads of several segments whose begin was forgotten */
	LANETAG_ARRIVAL_NO_ROOM,   /* entries that the map did not take */
	LANETAG_ARRIVAL_COUNTS,
};

/* ASCII letters of eight bytes in lower case: ids are compared as the least strict reader would. */
LANETAG_INLINE __u64 lanetag_fold_word(__u64 word)
{
	const __u64 ones = 0x0101010101010101ULL, high = 0x8080808080808080ULL;
	__u64 low = word & ~high;
	__u64 from_a = low + (128 - 'A') * ones, beyond_z = low + (127 - 'Z') * ones;

	return word | ((from_a & ~beyond_z & ~word & high) >> 2);
}

/* The first `length` bytes (0 to 8, more count as 8) of a word in memory order; zeros behind. */
LANETAG_INLINE __u64 lanetag_first_bytes(__u64 word, __u32 length)
{
	if (length >= 8)
		return word;
	return word & ((1ULL << (length * 8)) - 1);
}

/*
 * The id in a value of `length` bytes: where it begins, and *ret_length, 0: there is none. The
 * bytes are the value's at 2, 16, 32 and 35, whatever they are behind its end.
 */
LANETAG_INLINE __u32 lanetag_id_part(__u32 form, __u32 length, __u8 at_2, __u8 at_16, __u8 at_32,
				     __u8 at_35, __u32 *ret_length)
{
	*ret_length = 0;
	if (form == LANETAG_ID_TRACEPARENT) {
		if (length >= 55 && at_2 == '-' && at_35 == '-')
			*ret_length = 32;
		return 3;
	}
	if (form == LANETAG_ID_B3) {
		if (length > 33 && at_32 == '-')
			*ret_length = 32;
		else if (length > 17 && at_16 == '-')
			*ret_length = 16;
		return 0;
	}
	*ret_length = length;
	return 0;
}

/*
 * Not 0 if a word of an id has another byte than zeros and hyphens. An id of these alone is none:
 * tracing libraries send it for whoever's request that has no id (W3C Trace Context 3.2.2.3, the nil
 * UUID of RFC 9562 5.9).
 */
LANETAG_INLINE __u64 lanetag_id_substance(__u64 word)
{
	const __u64 ones = 0x0101010101010101ULL, low = 0x7f * ones;
	__u64 zero = word ^ '0' * ones, hyphen = word ^ '-' * ones;

	/* The high bit of each byte that is none of the two, and not behind the end. */
	return (((zero & low) + low) | zero) & (((hyphen & low) + low) | hyphen) &
	       (((word & low) + low) | word) & ~low;
}

/* Tells a torn copy, or one of another key, from a whole one; no secret. */
LANETAG_INLINE __u64 lanetag_tags_check(const __u64 *key_words, __u32 key_word_count,
					const __u64 *tags, __u32 length)
{
	__u64 check = length;

	for (__u32 i = 0; i < key_word_count; i++)
		check = lanetag_mix(check, key_words[i]);
	for (__u32 i = 0; i < LANETAG_ARRIVAL_TAG_WORDS; i++) {
		if (i * 8 >= length)
			break;
		check = lanetag_mix(check, tags[i]);
	}
	return check;
}

LANETAG_INLINE __u64 lanetag_arrival_check(const struct lanetag_arrival_key *key,
					   const struct lanetag_arrival *arrival)
{
	return lanetag_tags_check((const __u64 *)key, sizeof(*key) / 8, arrival->tags,
				  arrival->length);
}
