/* SPDX-License-Identifier: GPL-2.0-only */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "mesh/regex.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "mesh/name_table.h"

#define REGEX_MATCH_LIMIT 100000 /* steps; about 2 ms */
#define REGEX_HEAP_LIMIT_KIB 160 /* for backtracking */
/* The heap doubles from 20 KiB up to its limit without being given back in between. */
#define REGEX_SCRATCH_BYTES (330 * 1024)
#define REGEX_MAX_REPEAT 1000  /* RE2's */
#define REGEX_MAX_REPLACED 100 /* matches in one text: more is nobody's path */
#define REGEX_GROUPS 10	       /* \0 to \9 */

struct regex {
	pcre2_code *code;
	const struct regex_set *set;
	struct regex *next;
};

struct regex_set {
	struct arena arena;
	struct name_table by_pattern;
	struct regex *list;
	pcre2_match_context *limits;
};

struct regex_set *regex_set_new(void)
{
	struct regex_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->limits = pcre2_match_context_create(NULL);
	if (!set->limits) {
		free(set);
		return NULL;
	}
	pcre2_set_match_limit(set->limits, REGEX_MATCH_LIMIT);
	pcre2_set_heap_limit(set->limits, REGEX_HEAP_LIMIT_KIB);
	return set;
}

void regex_set_free(struct regex_set *set)
{
	if (!set)
		return;
	for (struct regex *regex = set->list; regex; regex = regex->next)
		pcre2_code_free(regex->code);
	pcre2_match_context_free(set->limits);
	name_table_free(&set->by_pattern);
	arena_free(&set->arena);
	free(set);
}

/* What stands behind a backslash outside and inside of a class. */
static const char *why_not_escape(char escaped, bool in_class)
{
	if (escaped >= '1' && escaped <= '9')
		return "back references and octal escapes are not supported";
	if (escaped == '\0')
		return "ends in a backslash";
	bool is_letter = (escaped >= 'a' && escaped <= 'z') || (escaped >= 'A' && escaped <= 'Z');
	if (!is_letter)
		return NULL;
	if (strchr(in_class ? "afnrtvxdDsSwWpPQE" : "afnrtvxdDsSwWpPQEAbBz", escaped))
		return NULL;
	return escaped == 'k' || escaped == 'g' ? "back references are not supported"
						: "RE2 has no such escape";
}

/* What stands behind "(?" */
static const char *why_not_group(const char *behind)
{
	if (*behind == 'P' && behind[1] == '<')
		return NULL;
	if (*behind == '<' && behind[1] != '=' && behind[1] != '!')
		return NULL;
	size_t flags = strspn(behind, "imsU-");
	if (behind[flags] == ':' || (flags && behind[flags] == ')'))
		return NULL;
	if (*behind == '=' || *behind == '!' || *behind == '<')
		return "look-around is not supported";
	return "RE2 has no such group";
}

static const char *why_not_repeat(const char *brace)
{
	char *end;
	unsigned long least = strtoul(brace + 1, &end, 10), most = least;

	if (*end == ',' && end[1] >= '0' && end[1] <= '9')
		most = strtoul(end + 1, &end, 10);
	return least > REGEX_MAX_REPEAT || most > REGEX_MAX_REPEAT ? "repeats more than 1000 times"
								   : NULL;
}

/* The place behind a class; *ret_why is set for what RE2 does not take in it. */
static const char *skip_class(const char *at, const char **ret_why)
{
	at++;
	at += *at == '^';
	at += *at == ']';
	while (*at && *at != ']' && !*ret_why) {
		if (*at == '[' && at[1] == ':') {
			const char *end = strstr(at, ":]");
			at = end ? end + 2 : at + 1;
			continue;
		}
		if (*at == '\\') {
			*ret_why = why_not_escape(at[1], true);
			at += at[1] != '\0';
		}
		at++;
	}
	return *at ? at + 1 : at;
}

/* The place behind one element of a pattern, as skip_class. */
static const char *skip_element(const char *at, const char **ret_why)
{
	switch (*at) {
	case '\\':
		if (at[1] == 'Q') {
			const char *end = strstr(at, "\\E");
			return end ? end + 2 : at + strlen(at);
		}
		*ret_why = why_not_escape(at[1], false);
		return at + (at[1] ? 2 : 1);
	case '[':
		return skip_class(at, ret_why);
	case '(':
		if (at[1] == '*')
			*ret_why = "RE2 has no verbs";
		else if (at[1] == '?')
			*ret_why = why_not_group(at + 2);
		return at + 1;
	case '{':
		*ret_why = why_not_repeat(at);
		return at + 1;
	case '*':
	case '+':
	case '?':
	case '}':
		if (at[1] == '+')
			*ret_why = "RE2 has no possessive repeats";
		return at + 1 + (at[1] == '?');
	default:
		return at + 1;
	}
}

/* NULL if RE2 would take the pattern too. Syntax that both refuse is left to PCRE2. */
static const char *why_not_re2(const char *pattern)
{
	const char *why = NULL;

	for (const char *at = pattern; *at && !why;)
		at = skip_element(at, &why);
	return why;
}

static struct regex *compile_new(struct regex_set *set, struct span pattern,
				 enum regex_extent extent, char *ret_error, size_t error_size)
{
	const uint32_t whole = PCRE2_ANCHORED | PCRE2_ENDANCHORED;
	const uint32_t options = (extent == REGEX_WHOLE ? whole : 0) | PCRE2_DOLLAR_ENDONLY |
				 PCRE2_NEVER_BACKSLASH_C;
	char *text = arena_copy(&set->arena, pattern);
	struct regex *regex = arena_allocate(&set->arena, sizeof(*regex));
	int error;
	PCRE2_SIZE offset;

	if (!text || !regex) {
		snprintf(ret_error, error_size, "out of memory");
		return NULL;
	}
	const char *why = why_not_re2(text);
	if (why) {
		snprintf(ret_error, error_size, "%s", why);
		return NULL;
	}
	regex->code =
		pcre2_compile((PCRE2_SPTR)text, pattern.length, options, &error, &offset, NULL);
	if (!regex->code) {
		PCRE2_UCHAR message[256];

		pcre2_get_error_message(error, message, sizeof(message));
		snprintf(ret_error, error_size, "%s (at byte %zu)", (const char *)message, offset);
		return NULL;
	}
	regex->set = set;
	regex->next = set->list;
	set->list = regex;
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

/* Memory on the stack of the one who matches: PCRE2 asks for it by these functions. */
struct scratch {
	size_t used;
	_Alignas(max_align_t) char bytes[REGEX_SCRATCH_BYTES];
};

static void *scratch_allocate(size_t size, void *data)
{
	struct scratch *scratch = data;

	size = (size + 15) & ~(size_t)15;
	if (size > sizeof(scratch->bytes) - scratch->used)
		return NULL;
	void *piece = scratch->bytes + scratch->used;
	scratch->used += size;
	return piece;
}

static void scratch_release(void *piece, void *data)
{
	(void)piece; /* all goes with the stack */
	(void)data;
}

/* Room for a match with so many groups; NULL: there is none. */
static pcre2_match_data *start_scratch(struct scratch *scratch, uint32_t groups)
{
	scratch->used = 0;
	pcre2_general_context *memory =
		pcre2_general_context_create(scratch_allocate, scratch_release, scratch);

	return memory ? pcre2_match_data_create(groups, memory) : NULL;
}

static enum regex_result match_from(const struct regex *regex, struct span text, size_t start,
				    pcre2_match_data *data)
{
	int result = pcre2_match(regex->code, (PCRE2_SPTR)(text.length ? text.data : ""),
				 text.length, start, 0, data, regex->set->limits);

	if (result >= 0)
		return REGEX_MATCH;
	return result == PCRE2_ERROR_NOMATCH ? REGEX_NO_MATCH : REGEX_GAVE_UP;
}

enum regex_result regex_match(const struct regex *regex, struct span text)
{
	struct scratch scratch;
	pcre2_match_data *data = start_scratch(&scratch, 1);

	return data ? match_from(regex, text, 0, data) : REGEX_GAVE_UP;
}

const char *regex_check_rewrite(const struct regex *regex, struct span rewrite)
{
	uint32_t groups = 0;

	pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	for (size_t i = 0; i < rewrite.length; i++) {
		if (rewrite.data[i] != '\\')
			continue;
		char next = ++i < rewrite.length ? rewrite.data[i] : '\0';
		if (next != '\\' && (next < '0' || next > '9'))
			return "a backslash must stand before a digit or a backslash";
		if (next != '\\' && (uint32_t)(next - '0') > groups)
			return "names a group that the pattern does not have";
	}
	return NULL;
}

/* A group that took no part in the match is empty. */
static void append_group(struct span text, const PCRE2_SIZE group[2], struct buffer *out)
{
	if (group[0] != PCRE2_UNSET)
		buffer_append(out, text.data + group[0], group[1] - group[0]);
}

/* `groups` are offsets in `text`, two per group. */
static void write_replacement(struct span text, struct span rewrite, const PCRE2_SIZE *groups,
			      struct buffer *out)
{
	for (size_t i = 0; i < rewrite.length; i++) {
		char byte = rewrite.data[i];

		if (byte == '\\') {
			/* regex_check_rewrite: one of these stands behind it. */
			byte = rewrite.data[++i];
			if (byte != '\\') {
				append_group(text, groups + 2 * (byte - '0'), out);
				continue;
			}
		}
		buffer_append_byte(out, byte);
	}
}

enum regex_result regex_replace(const struct regex *regex, struct span text, struct span rewrite,
				struct buffer *out)
{
	struct scratch scratch;
	pcre2_match_data *data = start_scratch(&scratch, REGEX_GROUPS);
	enum regex_result outcome = REGEX_NO_MATCH;
	size_t at = 0, last_end = SIZE_MAX;

	for (unsigned i = 0; data && i < REGEX_MAX_REPLACED; i++) {
		enum regex_result result =
			at > text.length ? REGEX_NO_MATCH : match_from(regex, text, at, data);

		if (result == REGEX_GAVE_UP)
			return result;
		if (result == REGEX_NO_MATCH) {
			if (at < text.length)
				buffer_append(out, text.data + at, text.length - at);
			return outcome;
		}
		const PCRE2_SIZE *groups = pcre2_get_ovector_pointer(data);
		buffer_append(out, text.data + at, groups[0] - at);
		at = groups[1];
		if (groups[0] != groups[1] || groups[0] != last_end) {
			write_replacement(text, rewrite, groups, out);
			outcome = REGEX_MATCH;
			last_end = at;
			continue;
		}
		/* Nothing, right behind the last match, is no match: the search goes on behind it.
		 */
		if (at < text.length)
			buffer_append_byte(out, text.data[at]);
		at++;
	}
	return REGEX_GAVE_UP;
}
