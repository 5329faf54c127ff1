/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The fields of one head by name, for many look-ups: each takes as long as the name is, however
 * many fields there are and however alike their names look. Where few names are looked for, going
 * through the fields is cheaper. Fixed size, no allocation.
 */
#include "http/head.h"

#define HTTP_FIELD_INDEX_PLACES 256 /* a power of two */

struct http_field_index {
	const struct http_field *fields;
	uint64_t hashes[HTTP_MAX_FIELDS];
	uint8_t first[HTTP_FIELD_INDEX_PLACES]; /* a field's number, from 1 on; 0: none */
	uint8_t next[HTTP_MAX_FIELDS];		/* of the same place; likewise */
};

struct http_field_search {
	struct span name;
	uint64_t hash;
	uint8_t at;
};

/* `fields` must live as long as the index. */
void http_field_index_build(struct http_field_index *index, const struct http_field *fields,
			    size_t count);
/* All fields of this name (ASCII case ignored), in order. */
void http_field_index_start(const struct http_field_index *index, struct span name,
			    struct http_field_search *ret_search);
bool http_field_index_next(const struct http_field_index *index, struct http_field_search *search,
			   size_t *ret_field);
