/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Regular expressions as RE2 takes them, since that is what Istio's are: patterns that RE2 refuses
 * are refused, although PCRE2 does the work. Neither a pattern nor a text can make a match take
 * long: past its limits it gives up.
 */
#include <stddef.h>
#include "base/buffer.h"

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
	REGEX_GAVE_UP, /* a limit was reached: neither is known */
};

/* Any number of threads may match at a time. No memory is allocated. */
enum regex_result regex_match(const struct regex *regex, struct span text);

/* NULL, or why `rewrite` cannot take the place of what `regex` matches. */
const char *regex_check_rewrite(const struct regex *regex, struct span rewrite);
/*
 * Appends `text` with every match replaced, as RE2::GlobalReplace does: in `rewrite` \0 to \9 stand
 * for the match and its groups, and two backslashes for one. After REGEX_GAVE_UP `out` holds
 * something in between.
 */
enum regex_result regex_replace(const struct regex *regex, struct span text, struct span rewrite,
				struct buffer *out);
