/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Regular expressions as RE2 takes them, since that is what Istio's are: patterns that RE2 refuses
 * are refused, although PCRE2 does the work. A pattern must match the whole text. Neither a pattern
 * nor a text can make a match take long: past its limits it gives up.
 */
#include <stddef.h>
#include "base/span.h"

struct regex;
struct regex_set; /* owns compiled patterns; equal patterns are compiled once */

struct regex_set *regex_set_new(void); /* NULL when memory is short */
void regex_set_free(struct regex_set *set);

/* Gives the compiled pattern, or NULL with the reason in ret_error. */
const struct regex *regex_compile(struct regex_set *set, struct span pattern, char *ret_error,
				  size_t error_size);

enum regex_result {
	REGEX_NO_MATCH,
	REGEX_MATCH,
	REGEX_GAVE_UP, /* a limit was reached: neither is known */
};

/* Any number of threads may match at a time. No memory is allocated. */
enum regex_result regex_match(const struct regex *regex, struct span text);
