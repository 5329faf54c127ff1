/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The rules of a host, of all its VirtualServices, in the order in which they count, and an index of
 * which of many a request can take at all. Each match is filed under one text that it asks for, the
 * one that the fewest others ask for: of the path, the authority, a header or a query parameter;
 * equal, as a prefix, in any case, or as a part that all matches of a regular expression have.
 * Matches with a regular expression that ask for none, or for one that many ask for, are found by
 * one run of all their regular expressions over the text. The others are always tried.
 */
#include "mesh/model.h"
#include "mesh/regex.h"

struct compiler;

#define RULE_INDEX_MINIMUM 8   /* fewer matches are faster tried one after the other */
#define RULE_INDEX_SUBJECTS 32 /* texts of a request that are looked at */
#define RULE_UNION_MINIMUM 8   /* fewer regular expressions are faster tried by themselves */

/* One match of a rule. Of those that hold the one with the lowest index counts. */
struct route_entry {
	const struct mesh_rule *rule;
	const struct http_match *match; /* NULL: holds for every request */
	size_t gateway;			/* the way in that the rule stands at */
};

enum rule_subject_kind {
	RULE_SUBJECT_PATH,
	RULE_SUBJECT_AUTHORITY,
	RULE_SUBJECT_HEADER,
	RULE_SUBJECT_QUERY,
};

struct rule_subject {
	enum rule_subject_kind kind;
	const struct header_match *header; /* of RULE_SUBJECT_HEADER */
	struct span name;		   /* of RULE_SUBJECT_QUERY */
	const struct text_index *texts;
};

/* Matches whose regular expressions of one subject are run together. */
struct rule_union {
	struct rule_subject subject;
	const struct regex_union *regexes;
	uint32_t *entries; /* of each regular expression; ascending */
	size_t count;
};

struct rule_index {
	struct rule_subject subjects[RULE_INDEX_SUBJECTS];
	size_t subject_count;
	struct rule_union *unions;
	size_t union_count;
	const uint32_t *always; /* entries under no text, ascending */
	size_t always_count;
};

struct route_table {
	struct route_entry *entries;
	size_t entry_count;
	const struct rule_index *index; /* NULL: few entries */
};

/* Makes the tables of all virtual hosts and of what explain steps over. */
void compile_route_tables(struct compiler *compiler);

/* Sets table->index where there are enough entries. */
void compile_rule_index(struct compiler *compiler, struct route_table *table);

/* The first entry that holds for a request, or NULL. With request->undecided it may not hold. */
const struct route_entry *route_table_find(const struct route_table *table,
					   struct match_request *request);
