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

/* The key of a match that the fewest ask for; `count` is 0: it has none. */
struct choice {
	const struct index_builder *builder;
	size_t subject;
	uintptr_t count;
	enum text_relation relation;
	struct span text;
	size_t in_union; /* RULE_INDEX_SUBJECTS: in none */
};

/* A union while it is built; not made where its regular expressions are few. */
struct union_builder {
	struct rule_union made;
	const struct regex **regexes;
};

/* An index while it is built. */
struct index_builder {
	struct compiler *compiler;
	struct rule_index *index;
	struct name_table counts; /* scope: subject and relation; how many ask for a text */
	size_t part_count;
	struct text_entry *entries[RULE_INDEX_SUBJECTS];
	size_t entry_counts[RULE_INDEX_SUBJECTS];
	struct union_builder unions[RULE_INDEX_SUBJECTS];
	size_t union_count;
	struct choice *choices; /* of each entry */
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

/* NULL: none of a text that an index can look at. */
static const struct regex *first_regex(const struct http_match *match,
				       struct rule_subject *ret_subject)
{
	*ret_subject = (struct rule_subject){RULE_SUBJECT_PATH};
	if (match->uri.kind == STRING_MATCH_REGEX)
		return match->uri.regex;
	for (size_t i = 0; i < match->header_count; i++) {
		const struct header_match *header = &match->headers[i];

		*ret_subject = (struct rule_subject){RULE_SUBJECT_HEADER, .header = header};
		if (header->slot < MATCH_CACHED_HEADERS && header->match.kind == STRING_MATCH_REGEX)
			return header->match.regex;
	}
	for (size_t i = 0; i < match->query_param_count; i++) {
		const struct query_match *param = &match->query_params[i];

		*ret_subject = (struct rule_subject){RULE_SUBJECT_QUERY, .name = param->name};
		if (param->match.kind == STRING_MATCH_REGEX)
			return param->match.regex;
	}
	*ret_subject = (struct rule_subject){RULE_SUBJECT_AUTHORITY};
	return match->authority.kind == STRING_MATCH_REGEX ? match->authority.regex : NULL;
}

/* Its number; RULE_INDEX_SUBJECTS: there are too many, or memory is short. */
static size_t find_or_add_union(struct index_builder *builder, const struct rule_subject *subject,
				size_t entry_count)
{
	for (size_t i = 0; i < builder->union_count; i++) {
		if (is_same_subject(&builder->unions[i].made.subject, subject))
			return i;
	}
	if (builder->union_count == RULE_INDEX_SUBJECTS)
		return RULE_INDEX_SUBJECTS;
	struct union_builder *added = &builder->unions[builder->union_count];
	*added = (struct union_builder){.made.subject = *subject};
	added->made.entries = calloc(entry_count, sizeof(*added->made.entries));
	added->regexes = calloc(entry_count, sizeof(*added->regexes));
	if (added->made.entries && added->regexes)
		return builder->union_count++;
	free(added->made.entries);
	free(added->regexes);
	builder->compiler->out_of_memory = true;
	return RULE_INDEX_SUBJECTS;
}

/* Under which text a match is filed, and else in which union. */
static void choose(struct index_builder *builder, const struct route_table *table, uint32_t entry)
{
	const struct http_match *match = table->entries[entry].match;
	struct choice *choice = &builder->choices[entry];
	struct rule_subject subject;
	const struct regex *regex;

	*choice = (struct choice){.builder = builder, .in_union = RULE_INDEX_SUBJECTS};
	if (!match)
		return;
	give_keys(builder->compiler, match, consider_key, choice);
	if (choice->count && choice->count < RULE_UNION_MINIMUM)
		return;
	regex = first_regex(match, &subject);
	if (!regex)
		return;
	choice->in_union = find_or_add_union(builder, &subject, table->entry_count);
	if (choice->in_union == RULE_INDEX_SUBJECTS)
		return;
	struct union_builder *all = &builder->unions[choice->in_union];
	all->regexes[all->made.count] = regex;
	all->made.entries[all->made.count++] = entry;
}

/* Those with enough regular expressions; of the others, each match is filed by itself. */
static void build_unions(struct index_builder *builder)
{
	struct rule_index *index = builder->index;
	struct compiler *compiler = builder->compiler;

	if (!builder->union_count)
		return;
	index->unions = compile_array(compiler, builder->union_count, sizeof(*index->unions));
	for (size_t i = 0; index->unions && i < builder->union_count; i++) {
		struct rule_union *made = &builder->unions[i].made;
		uint32_t *entries;

		if (made->count < RULE_UNION_MINIMUM)
			continue;
		entries = compile_array(compiler, made->count, sizeof(*entries));
		made->regexes = regex_union_compile(compiler->mesh->regexes,
						    builder->unions[i].regexes, made->count);
		if (!entries || !made->regexes)
			continue;
		memcpy(entries, made->entries, made->count * sizeof(*entries));
		index->unions[index->union_count] = *made;
		index->unions[index->union_count++].entries = entries;
	}
}

static void file_entry(struct index_builder *builder, uint32_t entry, uint32_t *always)
{
	const struct choice choice = builder->choices[entry];

	if (choice.in_union != RULE_INDEX_SUBJECTS && builder->unions[choice.in_union].made.regexes)
		return;
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

static void free_builder(struct index_builder *builder)
{
	for (size_t i = 0; i < RULE_INDEX_SUBJECTS; i++)
		free(builder->entries[i]);
	for (size_t i = 0; i < builder->union_count; i++) {
		free(builder->unions[i].made.entries);
		free(builder->unions[i].regexes);
	}
	free(builder->choices);
	name_table_free(&builder->counts);
}

void compile_rule_index(struct compiler *compiler, struct route_table *table)
{
	struct index_builder builder = {.compiler = compiler};

	if (table->entry_count < RULE_INDEX_MINIMUM || table->entry_count > UINT32_MAX / 4)
		return;
	builder.index = compile_array(compiler, 1, sizeof(*builder.index));
	uint32_t *always = compile_array(compiler, table->entry_count, sizeof(*always));
	builder.choices = calloc(table->entry_count, sizeof(*builder.choices));
	if (!builder.index || !always || !builder.choices) {
		compiler->out_of_memory = true;
		free(builder.choices);
		return;
	}
	for (size_t i = 0; i < table->entry_count; i++) {
		if (table->entries[i].match)
			give_keys(compiler, table->entries[i].match, count_key, &builder);
	}
	for (uint32_t i = 0; i < table->entry_count; i++)
		choose(&builder, table, i);
	build_unions(&builder);
	for (uint32_t i = 0; i < table->entry_count; i++)
		file_entry(&builder, i, always);
	builder.index->always = always;
	build_texts(&builder);
	free_builder(&builder);
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
	bool undecided;		      /* of the best one */
	uint64_t union_work;	      /* of the unions so far, as regex_union_work */
	const struct rule_union *all; /* the one that is looked at */
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

static void try_union_entries(void *context, const int *indexes, size_t count)
{
	struct search *search = context;

	for (size_t i = 0; i < count; i++)
		try_entries(search, &search->all->entries[indexes[i]], 1);
}

/* Where the bounds allow no run of all together, each match is tried, and held to them by itself. */
static void try_union(struct search *search, const struct rule_union *all)
{
	enum regex_result result = REGEX_UNDECIDED;
	struct span text;

	if (all->entries[0] >= search->best || !subject_text(&all->subject, search->request, &text))
		return;
	uint64_t work = regex_union_work(all->regexes, text);
	if (work <= MATCH_MAX_REGEX_WORK - search->union_work) {
		search->union_work += work;
		search->all = all;
		result = regex_union_match(all->regexes, text, try_union_entries, search);
	}
	if (result == REGEX_UNDECIDED)
		try_entries(search, all->entries, all->count);
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
	struct search search = {.table = table, .request = request, .best = table->entry_count};

	if (!index)
		return find_linearly(table, request);
	for (size_t i = 0; i < index->subject_count; i++) {
		const struct rule_subject *subject = &index->subjects[i];
		struct span text;

		if (subject_text(subject, request, &text))
			text_index_find(subject->texts, text, try_entries, &search);
	}
	try_entries(&search, index->always, index->always_count);
	for (size_t i = 0; i < index->union_count; i++)
		try_union(&search, &index->unions[i]);
	request->undecided = search.undecided;
	return search.best < table->entry_count ? &table->entries[search.best] : NULL;
}
