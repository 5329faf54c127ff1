/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The window: a piece of the stream, copied to where it can be read quickly, whatever pages it lies
 * on. It begins with what the segment before left (the start of a line), and moves along the
 * segment.
 *
 * All positions live in a map's value, not in registers: the verifier then sees an unknown number
 * in each round of the loop, and needs two rounds to believe instead of thousands.
 */
#include "flow.h"

#define WINDOW_LOAD 1024U /* bytes copied at a time: the cheapest on measured kernels */
#define WINDOW_MASK 2047U
#define WINDOW_BYTES (WINDOW_MASK + 1 + 512) /* up to 512 are read behind any masked position */
#define SCAN_BYTES 64U

struct window {
	__u8 bytes[WINDOW_BYTES];
	__u8 salted_id[LANETAG_MAX_SALT + LANETAG_MAX_VALUE + 64];
	__u64 offset;		    /* stream offset of bytes[0] */
	__u32 at;		    /* first byte not yet used */
	__u32 scanned;		    /* no line ends between `at` and here */
	__u32 end;		    /* behind the last byte */
	__u32 carried;		    /* that many came from segments before */
	__u32 next;		    /* skb offset of the next byte to copy */
	__u32 limit;		    /* skb offset behind the segment */
	__u32 state;		    /* enum lanetag_flow_state */
	__u32 field;		    /* of FIELD and DRAW: enum lanetag_field */
	__u32 value_from, value_to; /* of VALUE and DRAW */
	__u32 salted_length;
	__u32 remainder;  /* of the draw */
	__u32 generation; /* of the ruleset it was drawn with */
	__u64 number;	  /* of NUMBER, so far */
	__u32 base, digits;
	__u32 draw; /* of DRAW: the next one */
	__u32 rule; /* of MARK: the next one */
	__u32 mark_slot;
	__u32 flow_slot; /* for the variant that goes on in a tail call */
	__u8 fin;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct window);
} lane_window SEC(".maps");

static __always_inline struct window *own_window(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lane_window, &zero);
}

static __always_inline __u64 window_word(const struct window *window, __u32 at)
{
	return *(const __u64 *)(window->bytes + (at & WINDOW_MASK));
}

static __always_inline __u8 window_byte(const struct window *window, __u32 at)
{
	return window->bytes[at & WINDOW_MASK];
}

/* Copies up to WINDOW_LOAD more bytes of the segment behind `end`. 0, or -1: there are none. */
static __always_inline int window_load(struct __sk_buff *skb, struct window *window)
{
	__u32 length = window->limit - window->next, end = window->end & (WINDOW_LOAD - 1);

	if (window->next >= window->limit)
		return -1;
	if (length > WINDOW_LOAD)
		length = WINDOW_LOAD;
	asm volatile("" : "+r"(length)); /* keeps the bounds that the verifier needs to see */
	length = ((length - 1) & (WINDOW_LOAD - 1)) + 1; /* old verifiers learn nothing from != 0 */
	asm volatile("" : "+r"(length));
	if (bpf_skb_load_bytes(skb, window->next, window->bytes + end, length))
		return -1;
	window->next += length;
	window->end = end + length;
	return 0;
}

/*
 * Moves the window on so that it begins at `at`. 0, or -1: the segment has no more. The bytes from
 * `at` on are copied anew from the segment; none of them is of one before, since a window that ends
 * before its segment does is longer than any line of interest.
 */
static __always_inline int window_move(struct __sk_buff *skb, struct window *window)
{
	if (window->next >= window->limit || window->at < window->carried)
		return -1;
	window->next -= window->end - window->at;
	window->offset += window->at;
	window->scanned -= window->at;
	window->at = 0;
	window->end = 0;
	window->carried = 0;
	return window_load(skb, window);
}

/* A bit in each byte of the word that is a line feed; bytes above the first one may be wrong. */
static __always_inline __u64 line_feeds(__u64 word)
{
	word ^= 0x0a0a0a0a0a0a0a0aULL;
	return (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;
}

/* The index of the lowest byte with a bit; `found` is not 0. There is no instruction for it. */
static __always_inline __u32 lowest_byte(__u64 found)
{
	__u32 index = 0;

	if (!(found & 0xffffffff)) {
		index = 4;
		found >>= 32;
	}
	if (!(found & 0xffff)) {
		index += 2;
		found >>= 16;
	}
	return index + !(found & 0xff);
}

/*
 * The index of the first line feed within SCAN_BYTES from `at`, or SCAN_BYTES. Four words are
 * looked at together: most have none.
 */
static __always_inline __u32 window_find_line_feed(const struct window *window, __u32 at)
{
	const __u64 *words = (const __u64 *)(window->bytes + (at & WINDOW_MASK));

#pragma unroll
	for (__u32 i = 0; i < SCAN_BYTES / 8; i += 4) {
		__u64 first = line_feeds(words[i]), second = line_feeds(words[i + 1]);
		__u64 third = line_feeds(words[i + 2]), fourth = line_feeds(words[i + 3]);

		if (!(first | second | third | fourth))
			continue;
		if (first)
			return i * 8 + lowest_byte(first);
		if (second)
			return i * 8 + 8 + lowest_byte(second);
		if (third)
			return i * 8 + 16 + lowest_byte(third);
		return i * 8 + 24 + lowest_byte(fourth);
	}
	return SCAN_BYTES;
}

/* Takes what the flow carried into a fresh window over the segment's bytes from `start` on. */
static __always_inline void window_begin(struct window *window, const struct lanetag_flow *flow,
					 __u32 start, __u32 limit)
{
	window->next = start;
	window->limit = limit;
	window->at = 0;
	window->scanned = 0;
	window->carried = flow->carried;
	window->end = flow->carried;
	window->offset = flow->offset - flow->carried;
	window->state = flow->state;
	if (!flow->carried)
		return;
	for (__u32 i = 0; i < LANETAG_LINE_MAX / 8; i++) {
		if (i * 8 >= flow->carried)
			break;
		*(__u64 *)(window->bytes + i * 8) = *(const __u64 *)(flow->carry + i * 8);
	}
}

/* Leaves in the flow what of the window is not used yet: always less than LANETAG_LINE_MAX. */
static __always_inline void window_leave(const struct window *window, struct lanetag_flow *flow)
{
	__u32 left = window->end - window->at;

	if (left >= LANETAG_LINE_MAX)
		left = 0; /* can't be; the flow's state would have been another */
	flow->carried = (__u16)left;
	for (__u32 i = 0; i < LANETAG_LINE_MAX / 8; i++) {
		if (i * 8 >= left)
			break;
		*(__u64 *)(flow->carry + i * 8) = window_word(window, window->at + i * 8);
	}
}
