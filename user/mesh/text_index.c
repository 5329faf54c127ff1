/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/text_index.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/word.h"

struct text_key {
	struct span text;
	uint32_t first, count; /* of the index's values */
};

/* Keys by their whole text. */
struct text_table {
	uint32_t *slots; /* key + 1; 0: empty */
	size_t mask;
	uint64_t lengths; /* bit n: some key's length is n, modulo 64 */
};

/* A node's children stand side by side, in the order of their labels' first bytes. */
struct text_node {
	struct span label;
	uint32_t key; /* key + 1; 0: no key ends here */
	uint32_t first_child;
	uint32_t child_count;
};

/* Keys by what they begin with: a radix tree. */
struct text_tree {
	struct text_node *nodes; /* [0] is the root; NULL: no keys */
	char *first_bytes;	 /* of the nodes' labels */
	size_t count;
};

struct text_part {
	uint32_t key;
	uint32_t offset; /* of the three bytes that it is found by */
	uint32_t next;	 /* part + 1 */
};

/* Keys by three bytes that they have. */
struct text_parts {
	uint64_t *present; /* a bit for each hash that some part has */
	uint32_t *heads;   /* part + 1, by hash */
	struct text_part *parts;
	uint32_t count;
	unsigned shift;
};

struct text_index {
	struct text_key *keys; /* by relation, then by text */
	uint32_t *values;
	uint32_t starts[TEXT_RELATIONS + 1]; /* of the keys of a relation */
	struct text_table equal, equal_folded;
	struct text_tree prefix, prefix_folded;
	struct text_parts parts;
};

static int compare_entries(const void *left, const void *right)
{
	const struct text_entry *a = left, *b = right;
	size_t common = a->text.length < b->text.length ? a->text.length : b->text.length;

	if (a->relation != b->relation)
		return a->relation < b->relation ? -1 : 1;
	int order = common ? memcmp(a->text.data, b->text.data, common) : 0;
	if (!order && a->text.length != b->text.length)
		order = a->text.length < b->text.length ? -1 : 1;
	return order ? order : (a->value > b->value) - (a->value < b->value);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

static uint64_t hash_text(struct span text, bool folds)
{
	uint64_t hash = text.length;
	size_t at = 0;

	for (; text.length - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
		uint64_t word = word_read(text.data + at);

		hash = mix(hash, folds ? word_lower(word) : word);
	}
	uint64_t rest = word_read_part(text.data + at, text.length - at);
	return mix(hash, folds ? word_lower(rest) : rest);
}

static bool texts_equal(struct span one, struct span other, bool folds)
{
	return folds ? span_equal_ignore_case(one, other) : span_equal(one, other);
}

static size_t power_of_two(size_t least)
{
	size_t power = 1;

	while (power < least)
		power *= 2;
	return power;
}

static int build_table(struct arena *arena, const struct text_index *index,
		       enum text_relation relation, struct text_table *table)
{
	uint32_t first = index->starts[relation], end = index->starts[relation + 1];

	if (first == end)
		return 0;
	table->mask = power_of_two(2 * (size_t)(end - first)) - 1;
	table->slots = arena_allocate_array(arena, table->mask + 1, sizeof(*table->slots));
	if (!table->slots)
		return -1;
	for (uint32_t i = first; i < end; i++) {
		struct span text = index->keys[i].text;
		size_t slot = hash_text(text, false) & table->mask;

		while (table->slots[slot])
			slot = (slot + 1) & table->mask;
		table->slots[slot] = i + 1;
		table->lengths |= UINT64_C(1) << (text.length % 64);
	}
	return 0;
}

/* A node while the tree is built: its keys, and how much of them its way down has taken. */
struct node_range {
	uint32_t first, end;
	size_t depth;
};

struct tree_builder {
	const struct text_key *keys;
	struct text_tree *tree;
	struct node_range *ranges;
};

static size_t common_length(struct span one, struct span other, size_t from)
{
	size_t length = from;

	while (length < one.length && length < other.length &&
	       one.data[length] == other.data[length])
		length++;
	return length;
}

static void add_node(struct tree_builder *builder, uint32_t first, uint32_t end, size_t depth)
{
	const struct text_key *keys = builder->keys;
	size_t number = builder->tree->count++;
	size_t reach = common_length(keys[first].text, keys[end - 1].text, depth);

	builder->tree->nodes[number].label =
		(struct span){keys[first].text.data + depth, reach - depth};
	builder->tree->first_bytes[number] = reach > depth ? keys[first].text.data[depth] : 0;
	builder->ranges[number] = (struct node_range){first, end, reach};
}

static void add_children(struct tree_builder *builder, size_t number)
{
	struct text_node *node = &builder->tree->nodes[number];
	struct node_range range = builder->ranges[number];

	if (builder->keys[range.first].text.length == range.depth)
		node->key = ++range.first;
	node->first_child = (uint32_t)builder->tree->count;
	while (range.first < range.end) {
		char byte = builder->keys[range.first].text.data[range.depth];
		uint32_t end = range.first + 1;

		while (end < range.end && builder->keys[end].text.data[range.depth] == byte)
			end++;
		add_node(builder, range.first, end, range.depth);
		node->child_count++;
		range.first = end;
	}
}

/* Level by level, so that siblings stand side by side and depth costs no stack. */
static int build_tree(struct arena *arena, const struct text_index *index,
		      enum text_relation relation, struct text_tree *tree)
{
	uint32_t first = index->starts[relation], end = index->starts[relation + 1];
	size_t most = 2 * (size_t)(end - first) + 1;
	struct tree_builder builder = {index->keys, tree, NULL};

	if (first == end)
		return 0;
	tree->nodes = arena_allocate_array(arena, most, sizeof(*tree->nodes));
	tree->first_bytes = arena_allocate(arena, most);
	builder.ranges = calloc(most, sizeof(*builder.ranges));
	if (!tree->nodes || !tree->first_bytes || !builder.ranges) {
		free(builder.ranges);
		return -1;
	}
	/* The root takes nothing: its label would have to be compared, too. */
	tree->count = 1;
	builder.ranges[0] = (struct node_range){first, end, 0};
	for (size_t i = 0; i < tree->count; i++)
		add_children(&builder, i);
	free(builder.ranges);
	return 0;
}

static uint32_t part_at(const char *at)
{
	return (uint32_t)(unsigned char)at[0] | (uint32_t)(unsigned char)at[1] << 8 |
	       (uint32_t)(unsigned char)at[2] << 16;
}

static uint32_t part_hash(const struct text_parts *parts, const char *at)
{
	return part_at(at) * UINT32_C(0x9e3779b1) >> parts->shift;
}

/* The three bytes of a text that the fewest others were filed under so far. */
static uint32_t rarest_part(const struct text_parts *parts, const uint32_t *loads, struct span text)
{
	uint32_t rarest = 0;

	for (uint32_t i = 1; i + TEXT_PART_BYTES <= text.length; i++) {
		if (loads[part_hash(parts, text.data + i)] <
		    loads[part_hash(parts, text.data + rarest)])
			rarest = i;
	}
	return rarest;
}

static void file_part(struct text_parts *parts, uint32_t *loads, uint32_t key, struct span text)
{
	uint32_t offset = rarest_part(parts, loads, text);
	uint32_t hash = part_hash(parts, text.data + offset);

	loads[hash]++;
	parts->parts[parts->count] = (struct text_part){key, offset, parts->heads[hash]};
	parts->heads[hash] = ++parts->count;
	parts->present[hash / 64] |= UINT64_C(1) << (hash % 64);
}

static int build_parts(struct arena *arena, struct text_index *index)
{
	struct text_parts *parts = &index->parts;
	uint32_t first = index->starts[TEXT_PART], end = index->starts[TEXT_PART + 1];
	size_t hashes = power_of_two(16 * (size_t)(end - first));

	if (first == end)
		return 0;
	hashes = hashes < 1024 ? 1024 : hashes;
	parts->shift = 32 - (unsigned)__builtin_ctzl(hashes);
	parts->present = arena_allocate_array(arena, hashes / 64, sizeof(*parts->present));
	parts->heads = arena_allocate_array(arena, hashes, sizeof(*parts->heads));
	parts->parts = arena_allocate_array(arena, end - first, sizeof(*parts->parts));
	uint32_t *loads = calloc(hashes, sizeof(*loads));
	if (!parts->present || !parts->heads || !parts->parts || !loads) {
		free(loads);
		return -1;
	}
	for (uint32_t i = first; i < end; i++)
		file_part(parts, loads, i, index->keys[i].text);
	free(loads);
	return 0;
}

/* Entries with one text become one key. */
static void fill_keys(struct text_index *index, const struct text_entry *entries, size_t count)
{
	uint32_t keys = 0;
	enum text_relation relation = 0;

	for (uint32_t i = 0; i < count; i++) {
		for (; relation < entries[i].relation; relation++)
			index->starts[relation + 1] = keys;
		index->values[i] = entries[i].value;
		if (i && entries[i - 1].relation == entries[i].relation &&
		    span_equal(entries[i - 1].text, entries[i].text)) {
			index->keys[keys - 1].count++;
			continue;
		}
		index->keys[keys++] = (struct text_key){entries[i].text, i, 1};
	}
	for (; relation < TEXT_RELATIONS; relation++)
		index->starts[relation + 1] = keys;
}

const struct text_index *text_index_new(struct arena *arena, struct text_entry *entries,
					size_t count)
{
	struct text_index *index = arena_allocate(arena, sizeof(*index));

	if (!index || count > UINT32_MAX / 4)
		return NULL;
	index->keys = arena_allocate_array(arena, count, sizeof(*index->keys));
	index->values = arena_allocate_array(arena, count, sizeof(*index->values));
	if (!index->keys || !index->values)
		return NULL;
	qsort(entries, count, sizeof(*entries), compare_entries);
	fill_keys(index, entries, count);
	if (build_table(arena, index, TEXT_EQUAL, &index->equal) ||
	    build_table(arena, index, TEXT_EQUAL_FOLDED, &index->equal_folded) ||
	    build_tree(arena, index, TEXT_PREFIX, &index->prefix) ||
	    build_tree(arena, index, TEXT_PREFIX_FOLDED, &index->prefix_folded) ||
	    build_parts(arena, index))
		return NULL;
	return index;
}

struct finder {
	const struct text_index *index;
	struct span text;
	text_found found;
	void *context;
};

static void give(const struct finder *finder, uint32_t key)
{
	const struct text_key *found = &finder->index->keys[key];

	finder->found(finder->context, &finder->index->values[found->first], found->count);
}

static void find_equal(const struct finder *finder, const struct text_table *table, bool folds)
{
	if (!table->slots || !(table->lengths >> (finder->text.length % 64) & 1))
		return;
	for (size_t slot = hash_text(finder->text, folds) & table->mask; table->slots[slot];
	     slot = (slot + 1) & table->mask) {
		uint32_t key = table->slots[slot] - 1;

		if (texts_equal(finder->index->keys[key].text, finder->text, folds)) {
			give(finder, key);
			return;
		}
	}
}

/* The child that the text goes on with at `at`, or NULL. */
static const struct text_node *find_child(const struct text_tree *tree,
					  const struct text_node *node, struct span text, size_t at,
					  bool folds)
{
	if (at == text.length || !node->child_count)
		return NULL;
	const char *bytes = tree->first_bytes + node->first_child;
	const char *byte = memchr(bytes, folds ? ascii_lower(text.data[at]) : text.data[at],
				  node->child_count);
	if (!byte)
		return NULL;
	const struct text_node *child = &tree->nodes[node->first_child + (size_t)(byte - bytes)];
	struct span rest = {text.data + at, child->label.length};
	return text.length - at >= child->label.length && texts_equal(child->label, rest, folds)
		       ? child
		       : NULL;
}

static void find_prefixes(const struct finder *finder, const struct text_tree *tree, bool folds)
{
	size_t at = 0;

	for (const struct text_node *node = tree->nodes; node;
	     node = find_child(tree, node, finder->text, at, folds)) {
		at += node->label.length;
		if (node->key)
			give(finder, node->key - 1);
	}
}

/* What may stand several times in a text is given once. */
struct given_parts {
	uint64_t bits[TEXT_PARTS_MAXIMUM / 64];
	bool any;
};

static void try_part(const struct finder *finder, const struct text_part *part, size_t at,
		     struct given_parts *given)
{
	struct span text = finder->index->keys[part->key].text;
	uint32_t number = part->key - finder->index->starts[TEXT_PART];

	if (at < part->offset || finder->text.length - (at - part->offset) < text.length ||
	    memcmp(finder->text.data + at - part->offset, text.data, text.length) != 0)
		return;
	if (!given->any)
		memset(given->bits, 0, sizeof(given->bits));
	given->any = true;
	if (given->bits[number / 64] >> (number % 64) & 1)
		return;
	given->bits[number / 64] |= UINT64_C(1) << (number % 64);
	give(finder, part->key);
}

static void find_parts(const struct finder *finder)
{
	const struct text_parts *parts = &finder->index->parts;
	struct given_parts given;

	given.any = false;
	if (!parts->count)
		return;
	for (size_t at = 0; at + TEXT_PART_BYTES <= finder->text.length; at++) {
		uint32_t hash = part_hash(parts, finder->text.data + at);

		if (!(parts->present[hash / 64] >> (hash % 64) & 1))
			continue;
		for (uint32_t part = parts->heads[hash]; part; part = parts->parts[part - 1].next)
			try_part(finder, &parts->parts[part - 1], at, &given);
	}
}

void text_index_find(const struct text_index *index, struct span text, text_found found,
		     void *context)
{
	const struct finder finder = {index, text, found, context};

	find_equal(&finder, &index->equal, false);
	find_equal(&finder, &index->equal_folded, true);
	find_prefixes(&finder, &index->prefix, false);
	find_prefixes(&finder, &index->prefix_folded, true);
	find_parts(&finder);
}
