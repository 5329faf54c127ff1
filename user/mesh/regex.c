/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/regex.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "mesh/name_table.h"
#include "mesh/re2.h"

#define REGEX_GROUPS 10 /* \0 to \9 */

struct regex {
	struct re2_pattern *code;
	uint64_t size;
	struct regex *next;
};

/* A union's automaton may take this much for each instruction of its patterns, in these bounds. */
#define UNION_INSTRUCTION_MEMORY 1024
#define UNION_LEAST_MEMORY (UINT64_C(1) << 20)
#define UNION_MOST_MEMORY (UINT64_C(64) << 20)

struct regex_union {
	struct re2_set *code;
	uint64_t size;	  /* of all */
	uint64_t largest; /* of one */
	struct regex_union *next;
};

struct regex_set {
	struct arena arena;
	struct name_table by_pattern;
	struct regex *list;
	struct regex_union *unions;
};

struct regex_set *regex_set_new(void)
{
	return calloc(1, sizeof(struct regex_set));
}

void regex_set_free(struct regex_set *set)
{
	if (!set)
		return;
	for (struct regex *regex = set->list; regex; regex = regex->next)
		re2_free(regex->code);
	for (struct regex_union *all = set->unions; all; all = all->next)
		re2_set_free(all->code);
	name_table_free(&set->by_pattern);
	arena_free(&set->arena);
	free(set);
}

/* The place behind a class, [ included: what looks like a group in it is none. */
static const char *skip_class(const char *at)
{
	at++;
	at += *at == '^';
	at += *at == ']';
	while (*at && *at != ']') {
		const char *end = *at == '[' && at[1] == ':' ? strstr(at, ":]") : NULL;

		if (end)
			at = end + 2;
		else
			at += *at == '\\' && at[1] ? 2 : 1;
	}
	return *at ? at + 1 : at;
}

/* The place behind one element of a pattern. */
static const char *skip_element(const char *at)
{
	if (*at == '[')
		return skip_class(at);
	if (*at != '\\' || !at[1])
		return at + 1;
	const char *end = at[1] == 'Q' ? strstr(at, "\\E") : NULL;
	if (end)
		return end + 2;
	return at[1] == 'Q' ? at + strlen(at) : at + 2;
}

/* RE2 takes (?<name>…) only since 2023, and (?P<name>…) always: the one is written as the other. */
static bool write_pattern(struct span pattern, struct buffer *out)
{
	char *text = span_copy(pattern);

	for (const char *at = text; text && *at;) {
		const char *behind = skip_element(at);

		if (strncmp(at, "(?<", 3) == 0 && at[3] != '=' && at[3] != '!') {
			buffer_append_text(out, "(?P<");
			behind = at + 3;
		} else {
			buffer_append(out, at, (size_t)(behind - at));
		}
		at = behind;
	}
	free(text);
	return text && !out->failed;
}

/* The reason in words that are known to those who come from other engines; RE2's behind it. */
static void explain_error(const char *reason, char *ret_error, size_t error_size)
{
	const char *known = NULL, *at;

	if (strstr(reason, "(?=") || strstr(reason, "(?!") || strstr(reason, "(?<"))
		known = "look-around is not supported";
	else if ((at = strstr(reason, "escape sequence: \\")) &&
		 strchr("123456789kg", at[sizeof("escape sequence: \\") - 1]))
		known = "back references are not supported";
	if (known)
		snprintf(ret_error, error_size, "%s (%s)", known, reason);
	else
		snprintf(ret_error, error_size, "%s", reason);
}

static struct regex *compile_new(struct regex_set *set, struct span pattern,
				 enum regex_extent extent, char *ret_error, size_t error_size)
{
	char *text = arena_copy(&set->arena, pattern);
	struct regex *regex = arena_allocate(&set->arena, sizeof(*regex));
	struct buffer written = {0};
	char reason[200];

	if (!text || !regex || memchr(text, '\0', pattern.length) ||
	    !write_pattern(pattern, &written)) {
		snprintf(ret_error, error_size,
			 text && regex && !written.failed ? "holds a NUL byte" : "out of memory");
		buffer_free(&written);
		return NULL;
	}
	regex->code = re2_compile(written.data, written.length, reason, sizeof(reason));
	buffer_free(&written);
	if (!regex->code) {
		explain_error(reason, ret_error, error_size);
		return NULL;
	}
	regex->size = re2_program_size(regex->code);
	regex->next = set->list;
	set->list = regex;
	if (regex->size > REGEX_MAX_PROGRAM) {
		snprintf(ret_error, error_size,
			 "too large: its program has %llu instructions (at most %d)",
			 (unsigned long long)regex->size, REGEX_MAX_PROGRAM);
		return NULL;
	}
	if (name_table_put(&set->by_pattern, extent, (struct span){text, pattern.length}, regex)) {
		snprintf(ret_error, error_size, "out of memory");
		return NULL;
	}
	return regex;
}

const struct regex *regex_compile(struct regex_set *set, struct span pattern,
				  enum regex_extent extent, char *ret_error, size_t error_size)
{
	struct regex *known = name_table_get(&set->by_pattern, extent, pattern);

	return known ? known : compile_new(set, pattern, extent, ret_error, error_size);
}

uint64_t regex_work(const struct regex *regex, struct span text)
{
	return regex->size * (text.length + 1);
}

static enum regex_result result_of(enum re2_result result)
{
	switch (result) {
	case RE2_MATCH:
		return REGEX_MATCH;
	case RE2_NO_MATCH:
		return REGEX_NO_MATCH;
	default:
		return REGEX_UNDECIDED;
	}
}

enum regex_result regex_match(const struct regex *regex, struct span text)
{
	if (regex_work(regex, text) > REGEX_MAX_WORK)
		return REGEX_UNDECIDED;
	return result_of(re2_match_whole(regex->code, text.data, text.length));
}

static struct re2_set *compile_union(const struct regex *const *regexes, size_t count,
				     struct regex_union *all)
{
	const struct re2_pattern **patterns = calloc(count, sizeof(*patterns));
	struct re2_set *code;

	if (!patterns)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		patterns[i] = regexes[i]->code;
		all->size += regexes[i]->size;
		if (regexes[i]->size > all->largest)
			all->largest = regexes[i]->size;
	}
	uint64_t memory = all->size * UNION_INSTRUCTION_MEMORY;
	if (memory < UNION_LEAST_MEMORY)
		memory = UNION_LEAST_MEMORY;
	if (memory > UNION_MOST_MEMORY)
		memory = UNION_MOST_MEMORY;
	code = re2_set_compile(patterns, count, memory);
	free(patterns);
	return code;
}

const struct regex_union *regex_union_compile(struct regex_set *set,
					      const struct regex *const *regexes, size_t count)
{
	struct regex_union *all = arena_allocate(&set->arena, sizeof(*all));

	if (!all)
		return NULL;
	all->code = compile_union(regexes, count, all);
	if (!all->code)
		return NULL;
	all->next = set->unions;
	set->unions = all;
	return all;
}

uint64_t regex_union_work(const struct regex_union *all, struct span text)
{
	if (all->largest * (text.length + 1) > REGEX_MAX_WORK)
		return UINT64_MAX;
	return all->size * (text.length + 1);
}

enum regex_result regex_union_match(const struct regex_union *all, struct span text,
				    regex_union_found found, void *context)
{
	return result_of(re2_set_match(all->code, text.data, text.length, found, context));
}

const char *regex_check_rewrite(const struct regex *regex, struct span rewrite)
{
	size_t groups = re2_group_count(regex->code);

	for (size_t i = 0; i < rewrite.length; i++) {
		if (rewrite.data[i] != '\\')
			continue;
		char next = ++i < rewrite.length ? rewrite.data[i] : '\0';
		if (next != '\\' && (next < '0' || next > '9'))
			return "a backslash must stand before a digit or a backslash";
		if (next != '\\' && (size_t)(next - '0') > groups)
			return "names a group that the pattern does not have";
	}
	return NULL;
}

/* A group that took no part in the match is empty. */
static void append_group(struct span text, const struct re2_group *group, struct buffer *out)
{
	if (group->start != SIZE_MAX)
		buffer_append(out, text.data + group->start, group->end - group->start);
}

static void write_replacement(struct span text, struct span rewrite, const struct re2_group *groups,
			      struct buffer *out)
{
	for (size_t i = 0; i < rewrite.length; i++) {
		char byte = rewrite.data[i];

		if (byte == '\\') {
			/* regex_check_rewrite: one of these stands behind it. */
			byte = rewrite.data[++i];
			if (byte != '\\') {
				append_group(text, &groups[byte - '0'], out);
				continue;
			}
		}
		buffer_append_byte(out, byte);
	}
}

/* Where the character ends that begins at `at` (UTF-8; what is none counts byte by byte). */
static size_t behind_character(struct span text, size_t at)
{
	unsigned char first = (unsigned char)text.data[at];
	size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;

	for (size_t i = 1; i < length; i++) {
		if (at + i >= text.length || ((unsigned char)text.data[at + i] & 0xc0) != 0x80)
			return at + 1;
	}
	return at + length;
}

/* RE2's own GlobalReplace has no bound on how often it looks through the text. */
enum regex_result regex_replace(const struct regex *regex, struct span text, struct span rewrite,
				struct buffer *out)
{
	struct re2_group groups[REGEX_GROUPS];
	enum regex_result outcome = REGEX_NO_MATCH;
	size_t at = 0, last_end = SIZE_MAX;
	uint64_t work = 0;

	for (unsigned i = 0; i < REGEX_MAX_REPLACED; i++) {
		enum re2_result result = RE2_NO_MATCH;

		if (at <= text.length) {
			work += regex->size * (text.length - at + 1);
			if (work > REGEX_MAX_WORK)
				return REGEX_UNDECIDED;
			result = re2_search(regex->code, text.data, text.length, at, groups,
					    REGEX_GROUPS);
		}
		if (result == RE2_NO_MEMORY)
			return REGEX_UNDECIDED;
		if (result == RE2_NO_MATCH) {
			if (at < text.length)
				buffer_append(out, text.data + at, text.length - at);
			return outcome;
		}
		if (groups[0].start > at)
			buffer_append(out, text.data + at, groups[0].start - at);
		at = groups[0].end;
		if (groups[0].start != at || at != last_end) {
			write_replacement(text, rewrite, groups, out);
			outcome = REGEX_MATCH;
			last_end = at;
			continue;
		}
		/* Nothing, right behind the last match, is no match: the search goes on behind it. */
		size_t next = at < text.length ? behind_character(text, at) : at + 1;
		if (at < text.length)
			buffer_append(out, text.data + at, next - at);
		at = next;
	}
	return REGEX_UNDECIDED;
}
