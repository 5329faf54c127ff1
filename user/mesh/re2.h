/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * RE2 (https://github.com/google/re2) for C, as much of it as is used here; re2.cc alone knows the
 * library. No exception leaves these functions: where memory is short they say so. A pattern may be
 * used by any number of threads at a time.
 */
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct re2_pattern;
struct re2_set;

enum re2_result {
	RE2_NO_MATCH,
	RE2_MATCH,
	RE2_NO_MEMORY, /* neither is known */
};

/* Offsets in the text; SIZE_MAX twice: the group took no part in the match. */
struct re2_group {
	size_t start, end;
};

/*
 * Gives the compiled pattern (re2_free), with RE2's own syntax and UTF-8, as Envoy compiles it; or
 * NULL with the reason in ret_error.
 */
struct re2_pattern *re2_compile(const char *pattern, size_t length, char *ret_error,
				size_t error_size);
void re2_free(struct re2_pattern *pattern);

/* Instructions of the compiled program: what a byte of text costs grows with them. */
size_t re2_program_size(const struct re2_pattern *pattern);
/* Groups of the pattern, the whole match not counted. */
size_t re2_group_count(const struct re2_pattern *pattern);

/* True to a match of the whole text. */
enum re2_result re2_match_whole(const struct re2_pattern *pattern, const char *text, size_t length);
/* The first match at or behind `start`; group 0 is the whole of it. */
enum re2_result re2_search(const struct re2_pattern *pattern, const char *text, size_t length,
			   size_t start, struct re2_group *ret_groups, size_t group_count);

/* Of `count` patterns one run over a text finds those that match all of it. NULL: no memory. */
struct re2_set *re2_set_compile(const struct re2_pattern *const *patterns, size_t count,
				size_t memory);
void re2_set_free(struct re2_set *set);

/* The patterns that match, ascending, by their index in re2_set_compile's array. */
typedef void (*re2_set_found)(void *context, const int *indexes, size_t count);
/* Calls `found` once where any match; RE2_NO_MEMORY: it was not called, any may match. */
enum re2_result re2_set_match(const struct re2_set *set, const char *text, size_t length,
			      re2_set_found found, void *context);

#ifdef __cplusplus
}
#endif
