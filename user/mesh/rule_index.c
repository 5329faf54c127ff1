/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/rule_index.h"

#include "mesh/compiler.h"

/* What a match asks for first, as a text that a request either has or has not. */
struct rule_key {
	struct rule_probe probe; /* without its scope */
	struct span text;
};

/* False: nothing that could be looked up. */
static bool choose_key(const struct http_match *match, struct rule_key *ret_key)
{
	for (size_t i = 0; i < match->header_count; i++) {
		const struct header_match *header = &match->headers[i];

		if (header->match.kind != STRING_MATCH_EXACT ||
		    header->slot >= MATCH_CACHED_HEADERS)
			continue;
		*ret_key = (struct rule_key){{RULE_PROBE_HEADER, .header = header},
					     header->match.text};
		return true;
	}
	if (match->uri.ignore_case)
		return false;
	if (match->uri.kind == STRING_MATCH_EXACT) {
		*ret_key = (struct rule_key){{RULE_PROBE_PATH}, match->uri.text};
		return true;
	}
	if (match->uri.kind == STRING_MATCH_PREFIX) {
		*ret_key = (struct rule_key){{RULE_PROBE_PREFIX, .length = match->uri.text.length},
					     match->uri.text};
		return true;
	}
	return false;
}

static bool is_same_probe(const struct rule_probe *one, const struct rule_probe *other)
{
	if (one->kind != other->kind || one->length != other->length)
		return false;
	return one->kind != RULE_PROBE_HEADER || one->header->slot == other->header->slot;
}

/* NULL: there are too many already. */
static const struct rule_probe *find_or_add_probe(struct mesh *mesh, struct rule_index *index,
						  const struct rule_probe *wanted)
{
	for (size_t i = 0; i < index->probe_count; i++) {
		if (is_same_probe(&index->probes[i], wanted))
			return &index->probes[i];
	}
	if (index->probe_count == RULE_INDEX_MAX_PROBES)
		return NULL;
	struct rule_probe *probe = &index->probes[index->probe_count++];
	*probe = *wanted;
	probe->scope = mesh->probe_count++;
	return probe;
}

static void append_rule(struct compiler *compiler, struct rule_list *list, uint32_t rule)
{
	if (list->count && list->rules[list->count - 1] == rule)
		return;
	if ((list->count & (list->count - 1)) == 0) {
		size_t capacity = list->count ? 2 * list->count : 1;
		uint32_t *grown = compile_array(compiler, capacity, sizeof(*grown));

		if (!grown)
			return;
		if (list->count)
			memcpy(grown, list->rules, list->count * sizeof(*grown));
		list->rules = grown;
	}
	list->rules[list->count++] = rule;
}

static void add_match(struct compiler *compiler, struct rule_index *index, uint32_t rule,
		      const struct http_match *match)
{
	struct mesh *mesh = compiler->mesh;
	const struct rule_probe *probe = NULL;
	struct rule_key key;

	if (choose_key(match, &key))
		probe = find_or_add_probe(mesh, index, &key.probe);
	if (!probe) {
		append_rule(compiler, &index->always, rule);
		return;
	}
	struct rule_list *list = name_table_get(&mesh->rules_by_text, probe->scope, key.text);
	if (!list) {
		list = compile_array(compiler, 1, sizeof(*list));
		if (!list)
			return;
		/* The text is the manifest's, which outlives the mesh. */
		if (name_table_put(&mesh->rules_by_text, probe->scope, key.text, list))
			compiler->out_of_memory = true;
	}
	append_rule(compiler, list, rule);
}

void compile_rule_index(struct compiler *compiler, struct compiled_service *service)
{
	if (service->rule_count < RULE_INDEX_MINIMUM || service->rule_count > UINT32_MAX)
		return;
	struct rule_index *index = compile_array(compiler, 1, sizeof(*index));
	if (!index)
		return;
	for (uint32_t i = 0; i < service->rule_count; i++) {
		const struct mesh_rule *rule = &service->rules[i];

		if (rule->match_count == 0)
			append_rule(compiler, &index->always, i);
		for (size_t j = 0; j < rule->match_count; j++)
			add_match(compiler, index, i, &rule->matches[j]);
	}
	service->index = index;
}

/* False: the request has no such text. */
static bool probe_text(const struct rule_probe *probe, struct match_request *request,
		       struct span *ret_text)
{
	switch (probe->kind) {
	case RULE_PROBE_HEADER:
		return match_request_header(probe->header, request, ret_text);
	case RULE_PROBE_PATH:
		*ret_text = request->path;
		return true;
	default:
		*ret_text = (struct span){request->path.data, probe->length};
		return probe->length <= request->path.length;
	}
}

void rule_cursor_start(struct rule_cursor *cursor, const struct mesh *mesh,
		       const struct rule_index *index, struct match_request *request)
{
	cursor->list_count = 0;
	if (index->always.count)
		cursor->lists[cursor->list_count++] = index->always;
	for (size_t i = 0; i < index->probe_count; i++) {
		const struct rule_probe *probe = &index->probes[i];
		struct span text;

		if (!probe_text(probe, request, &text))
			continue;
		const struct rule_list *list =
			name_table_get(&mesh->rules_by_text, probe->scope, text);
		if (list)
			cursor->lists[cursor->list_count++] = *list;
	}
}

size_t rule_cursor_next(struct rule_cursor *cursor)
{
	size_t next = SIZE_MAX;

	for (size_t i = 0; i < cursor->list_count; i++) {
		if (cursor->lists[i].count && cursor->lists[i].rules[0] < next)
			next = cursor->lists[i].rules[0];
	}
	/* A rule with several matches may stand in several lists. */
	for (size_t i = 0; i < cursor->list_count; i++) {
		if (cursor->lists[i].count && cursor->lists[i].rules[0] == next) {
			cursor->lists[i].rules++;
			cursor->lists[i].count--;
		}
	}
	return next;
}
