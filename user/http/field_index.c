/* SPDX-License-Identifier: GPL-2.0-only */
#include "http/field_index.h"

#include "base/word.h"

/*
 * The seed is an address, which no client knows: names that share a place here do not share one in
 * the next agent.
 */
static uint64_t hash_name(const struct http_field_index *index, struct span name)
{
	uint64_t hash = (uint64_t)(uintptr_t)index->fields + name.length;
	size_t at = 0;

	for (; name.length - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		hash = (hash ^ word_lower(word_read(name.data + at))) *
		       UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 32;
	}
	for (; at < name.length; at++)
		hash = (hash ^ (unsigned char)ascii_lower(name.data[at])) * UINT64_C(0x100000001b3);
	return hash ^ hash >> 32;
}

void http_field_index_build(struct http_field_index *index, const struct http_field *fields,
			    size_t count)
{
	index->fields = fields;
	memset(index->first, 0, sizeof(index->first));
	for (size_t i = count; i-- > 0;) {
		uint64_t hash = hash_name(index, fields[i].name);
		uint8_t *first = &index->first[hash % HTTP_FIELD_INDEX_PLACES];

		index->hashes[i] = hash;
		index->next[i] = *first;
		*first = (uint8_t)(i + 1);
	}
}

void http_field_index_start(const struct http_field_index *index, struct span name,
			    struct http_field_search *ret_search)
{
	uint64_t hash = hash_name(index, name);

	*ret_search = (struct http_field_search){
		.name = name,
		.hash = hash,
		.at = index->first[hash % HTTP_FIELD_INDEX_PLACES],
	};
}

bool http_field_index_next(const struct http_field_index *index, struct http_field_search *search,
			   size_t *ret_field)
{
	while (search->at) {
		size_t field = search->at - 1U;

		search->at = index->next[field];
		if (index->hashes[field] != search->hash ||
		    !span_equal_ignore_case(index->fields[field].name, search->name))
			continue;
		*ret_field = field;
		return true;
	}
	return false;
}
