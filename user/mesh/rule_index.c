/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/rule_index.h"

#include <stdlib.h>

#include "http/values.h"
#include "mesh/compiler.h"
#include "mesh/literal.h"
#include "mesh/text_index.h"

/* A text that a match asks for, so that a request without it need not be tried. */
struct rule_key {
	struct rule_subject subject;
	enum text_relation relation;
	struct span text;
};

/* An index while it is built. */
struct index_builder {
	struct compiler *compiler;
	struct rule_index *index;
	struct name_table counts; /* scope: subject and relation; how many ask for a text */
	size_t part_count;
	struct text_entry *entries[RULE_INDEX_SUBJECTS];
	size_t entry_counts[RULE_INDEX_SUBJECTS];
};

typedef void (*key_found)(void *context, const struct rule_key *key);

static struct span lower_copy(struct compiler *compiler, struct span text)
{
	char *lower = compile_text(compiler, text);

	for (size_t i = 0; lower && i < text.length; i++)
		lower[i] = ascii_lower(lower[i]);
	return (struct span){lower, lower ? text.length : 0};
}

/* False: no text can be told that all matches of the pattern have. */
static bool regex_key(struct compiler *compiler, struct rule_key *key, struct span pattern)
{
	struct buffer literal = {0};
	bool at_start, known = regex_literal(pattern, &literal, &at_start);

	if (known) {
		const char *copy = compile_text(compiler, buffer_span(&literal));

		key->relation = at_start ? TEXT_PREFIX : TEXT_PART;
		key->text = (struct span){copy, literal.length};
		known = copy && (at_start || literal.length >= TEXT_PART_BYTES);
	}
	buffer_free(&literal);
	return known;
}

static void give_key(struct compiler *compiler, struct rule_subject subject,
		     const struct text_match *match, key_found found, void *context)
{
	struct rule_key key = {.subject = subject, .text = match->text};

	switch (match->kind) {
	case STRING_MATCH_EXACT:
		key.relation = match->ignore_case ? TEXT_EQUAL_FOLDED : TEXT_EQUAL;
		break;
	case STRING_MATCH_PREFIX:
		key.relation = match->ignore_case ? TEXT_PREFIX_FOLDED : TEXT_PREFIX;
		break;
	case STRING_MATCH_REGEX:
		if (!regex_key(compiler, &key, match->text))
			return;
		break;
	default:
		return;
	}
	if (match->ignore_case && match->kind != STRING_MATCH_REGEX)
		key.text = lower_copy(compiler, match->text);
	if (key.text.data)
		found(context, &key);
}

/* All texts that a match asks for; the path first. */
static void give_keys(struct compiler *compiler, const struct http_match *match, key_found found,
		      void *context)
{
	give_key(compiler, (struct rule_subject){RULE_SUBJECT_PATH}, &match->uri, found, context);
	for (size_t i = 0; i < match->header_count; i++) {
		const struct header_match *header = &match->headers[i];

		if (header->slot < MATCH_CACHED_HEADERS)
			give_key(compiler,
				 (struct rule_subject){RULE_SUBJECT_HEADER, .header = header},
				 &header->match, found, context);
	}
	for (size_t i = 0; i < match->query_param_count; i++) {
		const struct query_match *param = &match->query_params[i];

		give_key(compiler, (struct rule_subject){RULE_SUBJECT_QUERY, .name = param->name},
			 &param->match, found, context);
	}
	give_key(compiler, (struct rule_subject){RULE_SUBJECT_AUTHORITY}, &match->authority, found,
		 context);
}

static bool is_same_subject(const struct rule_subject *one, const struct rule_subject *other)
{
	if (one->kind != other->kind)
		return false;
	switch (one->kind) {
	case RULE_SUBJECT_HEADER:
		return one->header->slot == other->header->slot;
	case RULE_SUBJECT_QUERY:
		return span_equal(one->name, other->name);
	default:
		return true;
	}
}

/* Its number; RULE_INDEX_SUBJECTS: there are too many already. */
static size_t find_or_add_subject(struct rule_index *index, const struct rule_subject *wanted)
{
	for (size_t i = 0; i < index->subject_count; i++) {
		if (is_same_subject(&index->subjects[i], wanted))
			return i;
	}
	if (index->subject_count < RULE_INDEX_SUBJECTS)
		index->subjects[index->subject_count++] = *wanted;
	else
		return RULE_INDEX_SUBJECTS;
	return index->subject_count - 1;
}

static uint64_t scope_of(size_t subject, enum text_relation relation)
{
	return subject * TEXT_RELATIONS + relation;
}

static uintptr_t count_of(const struct index_builder *builder, size_t subject,
			  const struct rule_key *key)
{
	return (uintptr_t)name_table_get(&builder->counts, scope_of(subject, key->relation),
					 key->text);
}

static void count_key(void *context, const struct rule_key *key)
{
	struct index_builder *builder = context;
	size_t subject = find_or_add_subject(builder->index, &key->subject);

	if (subject == RULE_INDEX_SUBJECTS)
		return;
	uintptr_t count = count_of(builder, subject, key);
	if (!count && key->relation == TEXT_PART && ++builder->part_count > TEXT_PARTS_MAXIMUM)
		return;
	if (name_table_put(&builder->counts, scope_of(subject, key->relation), key->text,
			   (void *)(count + 1)))
		builder->compiler->out_of_memory = true;
}

/* The key of a match that the fewest ask for; `count` is 0: it has none. */
struct choice {
	const struct index_builder *builder;
	size_t subject;
	uintptr_t count;
	enum text_relation relation;
	struct span text;
};

static void consider_key(void *context, const struct rule_key *key)
{
	struct choice *choice = context;
	size_t subject = find_or_add_subject(choice->builder->index, &key->subject);

	if (subject == RULE_INDEX_SUBJECTS)
		return;
	uintptr_t count = count_of(choice->builder, subject, key);
	if (!count || (choice->count && count >= choice->count))
		return;
	choice->subject = subject;
	choice->count = count;
	choice->relation = key->relation;
	choice->text = key->text;
}

static bool grow(void **array, size_t count, size_t size)
{
	if (count & (count - 1))
		return true;
	void *grown = realloc(*array, (count ? 2 * count : 1) * size);
	if (grown)
		*array = grown;
	return grown;
}

static void file_entry(struct index_builder *builder, uint32_t entry,
		       const struct http_match *match, uint32_t *always)
{
	struct choice choice = {.builder = builder};

	if (match)
		give_keys(builder->compiler, match, consider_key, &choice);
	if (!choice.count) {
		always[builder->index->always_count++] = entry;
		return;
	}
	struct text_entry **entries = &builder->entries[choice.subject];
	size_t *count = &builder->entry_counts[choice.subject];
	if (!grow((void **)entries, *count, sizeof(**entries))) {
		builder->compiler->out_of_memory = true;
		return;
	}
	(*entries)[(*count)++] = (struct text_entry){choice.relation, choice.text, entry};
}

/* Subjects that no match was filed under go. */
static void build_texts(struct index_builder *builder)
{
	struct rule_index *index = builder->index;
	size_t count = index->subject_count;

	index->subject_count = 0;
	for (size_t i = 0; i < count; i++) {
		if (!builder->entry_counts[i])
			continue;
		struct rule_subject *subject = &index->subjects[index->subject_count++];
		*subject = index->subjects[i];
		subject->texts = text_index_new(&builder->compiler->mesh->arena,
						builder->entries[i], builder->entry_counts[i]);
		if (!subject->texts)
			builder->compiler->out_of_memory = true;
	}
}

void compile_rule_index(struct compiler *compiler, struct route_table *table)
{
	struct index_builder builder = {.compiler = compiler};

	if (table->entry_count < RULE_INDEX_MINIMUM || table->entry_count > UINT32_MAX / 4)
		return;
	builder.index = compile_array(compiler, 1, sizeof(*builder.index));
	uint32_t *always = compile_array(compiler, table->entry_count, sizeof(*always));
	if (!builder.index || !always)
		return;
	for (size_t i = 0; i < table->entry_count; i++) {
		if (table->entries[i].match)
			give_keys(compiler, table->entries[i].match, count_key, &builder);
	}
	for (uint32_t i = 0; i < table->entry_count; i++)
		file_entry(&builder, i, table->entries[i].match, always);
	builder.index->always = always;
	build_texts(&builder);
	for (size_t i = 0; i < RULE_INDEX_SUBJECTS; i++)
		free(builder.entries[i]);
	name_table_free(&builder.counts);
	if (!compiler->out_of_memory)
		table->index = builder.index;
}

/* False: the request has no such text. */
static bool subject_text(const struct rule_subject *subject, struct match_request *request,
			 struct span *ret_text)
{
	const struct http_request_head *head = request->query->request->head;

	switch (subject->kind) {
	case RULE_SUBJECT_PATH:
		*ret_text = request->path;
		return true;
	case RULE_SUBJECT_AUTHORITY:
		*ret_text = head->authority;
		return true;
	case RULE_SUBJECT_HEADER:
		return match_request_header(subject->header, request, ret_text);
	default:
		if (!head->query.length ||
		    !http_query_parameter(head->query, subject->name, ret_text))
			return false;
		if (!ret_text->data)
			*ret_text = span_of("");
		return true;
	}
}

/* The first entry found so far. */
struct search {
	const struct route_table *table;
	struct match_request *request;
	size_t best;
	bool undecided; /* of the best one */
};

static bool entry_holds(const struct route_entry *entry, struct match_request *request)
{
	request->undecided = false;
	return !entry->match || http_match_holds(entry->match, request, entry->gateway);
}

static void try_entries(void *context, const uint32_t *entries, size_t count)
{
	struct search *search = context;

	for (size_t i = 0; i < count && entries[i] < search->best; i++) {
		if (!entry_holds(&search->table->entries[entries[i]], search->request))
			continue;
		search->best = entries[i];
		search->undecided = search->request->undecided;
	}
}

static const struct route_entry *find_linearly(const struct route_table *table,
					       struct match_request *request)
{
	for (size_t i = 0; i < table->entry_count; i++) {
		if (entry_holds(&table->entries[i], request))
			return &table->entries[i];
	}
	return NULL;
}

const struct route_entry *route_table_find(const struct route_table *table,
					   struct match_request *request)
{
	const struct rule_index *index = table->index;
	struct search search = {table, request, table->entry_count, false};

	if (!index)
		return find_linearly(table, request);
	for (size_t i = 0; i < index->subject_count; i++) {
		const struct rule_subject *subject = &index->subjects[i];
		struct span text;

		if (subject_text(subject, request, &text))
			text_index_find(subject->texts, text, try_entries, &search);
	}
	try_entries(&search, index->always, index->always_count);
	request->undecided = search.undecided;
	return search.best < table->entry_count ? &table->entries[search.best] : NULL;
}
