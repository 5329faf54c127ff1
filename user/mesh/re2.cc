// SPDX-License-Identifier: GPL-2.0-only
// Compiles against the RE2 of Debian 12 (20220601) and of Debian 13 (20240702, on abseil).
#include "mesh/re2.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <new>
#include <vector>

#include <re2/re2.h>
#include <re2/set.h>
#include <re2/stringpiece.h>

struct re2_pattern {
	RE2 code;

	re2_pattern(re2::StringPiece pattern, const RE2::Options &options) : code(pattern, options)
	{
	}
};

struct re2_set {
	RE2::Set code;

	explicit re2_set(const RE2::Options &options) : code(options, RE2::ANCHOR_BOTH)
	{
	}
};

namespace
{

// What a pattern may take, its automaton included: little is enough for most, and then a crowd of
// hostile patterns can't grow to gigabytes; more only where a pattern does not fit.
constexpr int64_t memory_steps[] = {256 << 10, 1 << 20, 8 << 20};
constexpr size_t most_groups = 10;

re2_pattern *compile(re2::StringPiece pattern, int64_t memory)
{
	RE2::Options options(RE2::Quiet);

	options.set_max_mem(memory);
	return new re2_pattern(pattern, options);
}

// A text of nothing must still have a place: RE2 takes a null pointer for a group without part.
re2::StringPiece piece_of(const char *text, size_t length)
{
	return length ? re2::StringPiece(text, length) : re2::StringPiece("", 0);
}

} // namespace

struct re2_pattern *re2_compile(const char *pattern, size_t length, char *ret_error,
				size_t error_size)
try {
	for (int64_t memory : memory_steps) {
		re2_pattern *compiled = compile(piece_of(pattern, length), memory);
		bool more = compiled->code.error_code() == RE2::ErrorPatternTooLarge &&
			    memory != memory_steps[2];

		if (compiled->code.ok())
			return compiled;
		if (!more)
			std::snprintf(ret_error, error_size, "%s", compiled->code.error().c_str());
		delete compiled;
		if (!more)
			break;
	}
	return nullptr;
} catch (...) {
	std::snprintf(ret_error, error_size, "out of memory");
	return nullptr;
}

void re2_free(struct re2_pattern *pattern)
{
	delete pattern;
}

size_t re2_program_size(const struct re2_pattern *pattern)
{
	int size = pattern->code.ProgramSize();

	return size > 0 ? static_cast<size_t>(size) : 0;
}

size_t re2_group_count(const struct re2_pattern *pattern)
{
	return static_cast<size_t>(pattern->code.NumberOfCapturingGroups());
}

enum re2_result re2_match_whole(const struct re2_pattern *pattern, const char *text, size_t length)
try {
	return pattern->code.Match(piece_of(text, length), 0, length, RE2::ANCHOR_BOTH, nullptr, 0)
		       ? RE2_MATCH
		       : RE2_NO_MATCH;
} catch (...) {
	return RE2_NO_MEMORY;
}

enum re2_result re2_search(const struct re2_pattern *pattern, const char *text, size_t length,
			   size_t start, struct re2_group *ret_groups, size_t group_count)
try {
	re2::StringPiece whole = piece_of(text, length), groups[most_groups];
	size_t wanted = group_count < most_groups ? group_count : most_groups;

	if (!pattern->code.Match(whole, start, length, RE2::UNANCHORED, groups,
				 static_cast<int>(wanted)))
		return RE2_NO_MATCH;
	for (size_t i = 0; i < group_count; i++) {
		ret_groups[i] = {SIZE_MAX, SIZE_MAX};
		if (i >= wanted || !groups[i].data())
			continue;
		ret_groups[i].start = static_cast<size_t>(groups[i].data() - whole.data());
		ret_groups[i].end = ret_groups[i].start + groups[i].size();
	}
	return RE2_MATCH;
} catch (...) {
	return RE2_NO_MEMORY;
}

struct re2_set *re2_set_compile(const struct re2_pattern *const *patterns, size_t count,
				size_t memory)
try {
	RE2::Options options(RE2::Quiet);

	options.set_max_mem(static_cast<int64_t>(memory));
	re2_set *set = new re2_set(options);
	bool whole = true;
	for (size_t i = 0; whole && i < count; i++)
		whole = set->code.Add(patterns[i]->code.pattern(), nullptr) == static_cast<int>(i);
	if (whole && set->code.Compile())
		return set;
	delete set;
	return nullptr;
} catch (...) {
	return nullptr;
}

void re2_set_free(struct re2_set *set)
{
	delete set;
}

enum re2_result re2_set_match(const struct re2_set *set, const char *text, size_t length,
			      re2_set_found found, void *context)
try {
	std::vector<int> matched;
	RE2::Set::ErrorInfo error = {RE2::Set::kNoError};

	if (!set->code.Match(piece_of(text, length), &matched, &error))
		return error.kind == RE2::Set::kNoError ? RE2_NO_MATCH : RE2_NO_MEMORY;
	std::sort(matched.begin(), matched.end());
	found(context, matched.data(), matched.size());
	return RE2_MATCH;
} catch (...) {
	return RE2_NO_MEMORY;
}
