/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Regular expressions, matched by RE2, as Istio's are: in time that grows with the text and the
 * pattern's size, never faster. Both are bounded: a pattern by its size when it is compiled, a
 * match by size × text. Past the bound it is not known whether a text matches.
 */
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"

/* Of a pattern: Istio's bound (re2.max_program_size.error_level). */
#define REGEX_MAX_PROGRAM 32768
/* Bytes of a text × the pattern's size: a tenth of a second at the worst. */
#define REGEX_MAX_WORK (UINT64_C(8) << 20)

struct regex;
struct regex_set; /* owns compiled patterns; equal patterns are compiled once */

struct regex_set *regex_set_new(void); /* NULL when memory is short */
void regex_set_free(struct regex_set *set);

/* What of a text a pattern has to match. */
enum regex_extent {
	REGEX_WHOLE, /* for regex_match */
	REGEX_PARTS, /* for regex_replace */
};

/* Gives the compiled pattern, or NULL with the reason in ret_error. */
const struct regex *regex_compile(struct regex_set *set, struct span pattern,
				  enum regex_extent extent, char *ret_error, size_t error_size);

enum regex_result {
	REGEX_NO_MATCH,
	REGEX_MATCH,
	REGEX_UNDECIDED, /* past the bound, or memory is short: neither is known */
};

/* What a match can take at the most; to be held against a budget over many. */
uint64_t regex_work(const struct regex *regex, struct span text);

/* Any number of threads may match at a time. */
enum regex_result regex_match(const struct regex *regex, struct span text);

/*
 * Many patterns that one run over a text is held against, in time that does not grow with their
 * number once it has met texts of that kind. The set of the patterns owns it. NULL: memory is
 * short, or they are too large together.
 */
struct regex_union;
const struct regex_union *regex_union_compile(struct regex_set *set,
					      const struct regex *const *regexes, size_t count);
/* regex_work of all together; UINT64_MAX: one of them alone is past its bound. */
uint64_t regex_union_work(const struct regex_union *all, struct span text);
/* The patterns that match, ascending, by their index in regex_union_compile's array. */
typedef void (*regex_union_found)(void *context, const int *indexes, size_t count);
/*
 * Calls `found` once if any match. REGEX_UNDECIDED: it was not called, each may match. Any number
 * of threads may match at a time.
 */
enum regex_result regex_union_match(const struct regex_union *all, struct span text,
				    regex_union_found found, void *context);

/* NULL, or why `rewrite` cannot take the place of what `regex` matches. */
const char *regex_check_rewrite(const struct regex *regex, struct span rewrite);
/*
 * Appends `text` with every match replaced, as RE2::GlobalReplace does: in `rewrite` \0 to \9 stand
 * for the match and its groups, and two backslashes for one. After REGEX_UNDECIDED, also for a text
 * with more than REGEX_MAX_REPLACED matches, `out` holds something in between.
 */
#define REGEX_MAX_REPLACED 100
enum regex_result regex_replace(const struct regex *regex, struct span text, struct span rewrite,
				struct buffer *out);
