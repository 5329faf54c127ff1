/* SPDX-License-Identifier: GPL-2.0-only */
#include "mesh/apply.h"

#include <inttypes.h>
#include <lanetag/hash.h>
#include <stdio.h>

#include "http/values.h"

/* Seeds, so that the draws of one user are independent of each other and of tag rules. */
#define SEED_SHARE UINT64_C(0x73686172)
#define SEED_BALANCE UINT64_C(0x62616c61)

int mesh_apply_operations(const struct mesh_header_operations *operations, struct http_edit *edit)
{
	int result = 0;

	for (size_t i = 0; i < operations->remove_count; i++)
		http_edit_remove_name(edit, operations->remove[i]);
	for (size_t i = 0; i < operations->set_count; i++) {
		if (http_edit_set(edit, operations->set[i].name, operations->set[i].value))
			result = -1;
	}
	for (size_t i = 0; i < operations->add_count; i++) {
		if (http_edit_add(edit, operations->add[i].name, operations->add[i].value))
			result = -1;
	}
	return result;
}

bool mesh_values_hold(const struct mesh_header_value *values, size_t count, struct span name)
{
	for (size_t i = 0; i < count; i++) {
		if (span_equal_ignore_case(values[i].name, name))
			return true;
	}
	return false;
}

bool mesh_operations_replace(const struct mesh_header_operations *operations, struct span name)
{
	if (mesh_values_hold(operations->set, operations->set_count, name))
		return true;
	for (size_t i = 0; i < operations->remove_count; i++) {
		if (span_equal_ignore_case(operations->remove[i], name))
			return true;
	}
	return false;
}

bool mesh_share_holds(uint32_t share, uint64_t draw)
{
	if (share >= MESH_SHARE_ALL)
		return true;
	return lanetag_xxh64((const __u8 *)&draw, sizeof(draw), SEED_SHARE) % MESH_SHARE_ALL <
	       share;
}

static uint64_t hash_span(struct span text)
{
	return lanetag_xxh64((const __u8 *)text.data, (__u32)text.length, SEED_BALANCE);
}

bool mesh_balance_hash(const struct mesh_cluster_policy *policy, const struct http_edit *request,
		       const uint8_t source_address[16], uint64_t *ret_hash)
{
	struct span value = {0};
	bool found = false;

	switch (policy->hash_source) {
	case MESH_HASH_HEADER:
		found = http_edit_get(request, policy->hash_name, &value);
		break;
	case MESH_HASH_COOKIE:
		found = http_cookie(request->head, policy->hash_name, &value);
		break;
	case MESH_HASH_QUERY_PARAMETER:
		found = http_query_parameter(request->head->query, policy->hash_name, &value);
		break;
	case MESH_HASH_SOURCE_IP:
		value = (struct span){(const char *)source_address, 16};
		found = true;
		break;
	}
	if (!found || !value.length)
		return false;
	*ret_hash = hash_span(value);
	return true;
}

#define COOKIE_DIGITS 16

static struct span cookie_value(uint64_t draw, char text[COOKIE_DIGITS + 1])
{
	snprintf(text, COOKIE_DIGITS + 1, "%0*" PRIx64, COOKIE_DIGITS, draw);
	return (struct span){text, COOKIE_DIGITS};
}

void mesh_write_cookie(const struct mesh_cluster_policy *policy, uint64_t draw, struct buffer *out)
{
	char text[COOKIE_DIGITS + 1];

	buffer_append_span(out, policy->hash_name);
	buffer_append_byte(out, '=');
	buffer_append_span(out, cookie_value(draw, text));
	if (policy->cookie_path.length)
		buffer_printf(out, "; Path=%.*s", SPAN_ARGUMENTS(policy->cookie_path));
	if (policy->cookie_ttl_s)
		buffer_printf(out, "; Max-Age=%u", policy->cookie_ttl_s);
	buffer_append_text(out, "; HttpOnly");
}

uint64_t mesh_cookie_hash(uint64_t draw)
{
	char text[COOKIE_DIGITS + 1];

	return hash_span(cookie_value(draw, text));
}
