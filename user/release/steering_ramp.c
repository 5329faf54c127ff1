/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/steering.h"

#include <inttypes.h>
#include <stdlib.h>

#include "manifest/wasm_plugin.h"
#include "text/block_text.h"
#include "text/flow_text.h"

struct ramp_target {
	const struct tag_rule_manifest *rule;
	const struct tag_policy_manifest *policy;
	size_t matches;
};

/* `wanted` is HEADER, HEADER/VALUE, PLUGIN/HEADER or PLUGIN/HEADER/VALUE. */
static bool is_named(const char *wanted, const char *plugin, const char *header, const char *value)
{
	struct buffer name = {0};
	bool named = false;

	for (unsigned form = 0; form < 4 && !named; form++) {
		buffer_clear(&name);
		if (form & 1)
			buffer_printf(&name, "%s/", plugin);
		buffer_append_text(&name, header);
		if (form & 2)
			buffer_printf(&name, "/%s", value);
		named = span_equal(buffer_span(&name), span_of(wanted));
	}
	buffer_free(&name);
	return named;
}

static int find_policy(const struct configuration *configuration, const char *wanted,
		       struct ramp_target *target, struct buffer *says)
{
	const struct manifest_set *set = &configuration->manifests;
	struct buffer known = {0};

	for (size_t i = 0; i < set->wasm_plugin_count; i++) {
		const struct wasm_plugin_manifest *plugin = &set->wasm_plugins[i];

		for (size_t j = 0; j < plugin->rule_count; j++) {
			const struct tag_rule_manifest *rule = &plugin->rules[j];

			for (size_t k = 0; k < rule->policy_count; k++) {
				const struct tag_policy_manifest *policy = &rule->policies[k];

				buffer_printf(&known, " %s/%s", rule->tag_header,
					      policy->tag_value);
				if (!is_named(wanted, plugin->resource.name, rule->tag_header,
					      policy->tag_value))
					continue;
				*target = (struct ramp_target){rule, policy, target->matches + 1};
			}
		}
	}
	if (target->matches != 1)
		buffer_printf(says, "%s '%s'; there are:%s",
			      target->matches ? "several policies are" : "no rule is named", wanted,
			      known.length ? buffer_text(&known) : " none");
	buffer_free(&known);
	return target->matches == 1 ? 0 : -1;
}

/* How the policy's field is to be written for `count` remainders from its first on. */
static int write_share(const struct ramp_target *target, uint64_t count, uint32_t percent,
		       const char **ret_field, struct buffer *out, struct buffer *says)
{
	const struct tag_policy_manifest *policy = target->policy;

	switch (policy->form) {
	case POLICY_FORM_RANGE:
		*ret_field = "range";
		buffer_printf(out, "%" PRIu64, count - 1);
		return 0;
	case POLICY_FORM_PERCENT:
		*ret_field = "percent";
		buffer_printf(out, percent % 100 ? "%u.%02u" : "%u", percent / 100, percent % 100);
		return 0;
	case POLICY_FORM_SLOTS:
		*ret_field = "slots";
		if (policy->from + count > target->rule->modulo) {
			buffer_printf(says, "slots from %u on can't hold so much of %u",
				      policy->from, target->rule->modulo);
			return -1;
		}
		buffer_printf(out, "[%u, %" PRIu64 "]", policy->from, policy->from + count);
		return 0;
	case POLICY_FORM_WEIGHT:
		*ret_field = "weight";
		if (policy != &target->rule->policies[target->rule->policy_count - 1]) {
			buffer_append_text(says, "another weight of a policy that others follow "
						 "would move their users: edit it by hand");
			return -1;
		}
		buffer_printf(out, "%" PRIu64, count);
		return 0;
	}
	return -1;
}

static bool find_share(struct span text, size_t offset, size_t column, const char *field,
		       size_t *ret_from, size_t *ret_to)
{
	return text.data[offset] == '{' ? flow_find(text, offset, field, ret_from, ret_to)
					: block_find(text, offset, column, field, ret_from, ret_to);
}

/* The key in front of the value at `value`, of the mapping at `offset`. False: not found. */
static bool find_key(struct span text, size_t offset, size_t value, const char *field,
		     size_t *ret_key)
{
	size_t length = strlen(field);

	for (size_t at = value; at-- > offset;) {
		if (at + length < value && memcmp(text.data + at, field, length) == 0) {
			*ret_key = at;
			return true;
		}
	}
	return false;
}

/* Puts `value` in the place of the policy's share, under another key (NULL: the same one). */
static int replace_share(struct changes *changes, const struct tag_policy_manifest *policy,
			 const char *field, const char *key, const char *value, struct buffer *says)
{
	size_t offset, from, to, at;
	struct changed_file *file = changes_find(changes, policy->place, &offset);
	struct span old = file ? buffer_span(&file->old) : (struct span){0};

	if (!file || !find_share(old, offset, policy->place.column - 1, field, &from, &to) ||
	    (key && !find_key(old, offset, from, field, &at)))
		return changes_refuse(says, policy->place, "can't be edited, edit it by hand");
	if (key && changes_edit(file, at, at + strlen(field), key))
		return -1;
	return changes_edit(file, from, to, value);
}

/* True if a field of the mapping at `offset` is written. */
static bool is_written(struct span text, size_t offset, size_t column, const char *field)
{
	size_t from, to;

	return find_share(text, offset, column, field, &from, &to);
}

/*
 * Renames partitionedPolicies to policies: shares then are slots, which stay where they are when
 * one before them ends. The modulo that weights have by default must be written then.
 */
static int rename_partition(struct changes *changes, const struct tag_rule_manifest *rule,
			    struct buffer *says)
{
	static const char key[] = "partitionedPolicies";
	struct buffer text = {0};
	size_t rule_offset = 0, offset = 0, at = 0;
	struct changed_file *file = changes_find(changes, rule->place, &rule_offset);
	bool found = file && changes_find(changes, rule->policies[0].place, &offset) == file &&
		     find_key(buffer_span(&file->old), rule_offset, offset, key, &at);

	if (!found)
		return changes_refuse(says, rule->place, "can't be edited, edit it by hand");
	struct span old = buffer_span(&file->old);
	if (!is_written(old, rule_offset, rule->place.column - 1, "modulo")) {
		const char *quote = old.data[at - 1] == '"' ? "\"" : "";

		buffer_printf(&text, "modulo%s: %u", quote, rule->modulo);
		if (old.data[rule_offset] == '{')
			buffer_printf(&text, ", %s", quote);
		else
			buffer_printf(&text, "\n%*s%s", (int)rule->place.column - 1, "", quote);
	}
	buffer_append_text(&text, "policies");
	int error = buffer_text(&text)
			    ? changes_edit(file, at, at + strlen(key), buffer_text(&text))
			    : -1;
	buffer_free(&text);
	return error;
}

/* One policy of a partition ends, and those behind it keep their users. */
static int stop_part(struct changes *changes, const struct ramp_target *target, struct buffer *says)
{
	const struct tag_rule_manifest *rule = target->rule;
	int error = rename_partition(changes, rule, says);

	for (size_t i = 0; i < rule->policy_count && !error; i++) {
		const struct tag_policy_manifest *policy = &rule->policies[i];
		struct buffer slots = {0};
		bool ends = policy == target->policy || policy->from == policy->to;

		buffer_printf(&slots, "[%u, %u]", policy->from, policy->to);
		if (!buffer_text(&slots))
			error = -1;
		else
			error = replace_share(changes, policy, "weight", ends ? "percent" : "slots",
					      ends ? "0" : buffer_text(&slots), says);
		buffer_free(&slots);
	}
	return error;
}

/* `all`: the other policies of the rule end, too. */
static int stop_policy(struct changes *changes, const struct ramp_target *target, bool all,
		       struct buffer *says)
{
	const struct tag_rule_manifest *rule = target->rule;
	const struct tag_policy_manifest *policy = target->policy;

	switch (policy->form) {
	case POLICY_FORM_RANGE:
		return replace_share(changes, policy, "range", "percent", "0", says);
	case POLICY_FORM_SLOTS:
		return replace_share(changes, policy, "slots", "percent", "0", says);
	case POLICY_FORM_PERCENT:
		return replace_share(changes, policy, "percent", NULL, "0", says);
	case POLICY_FORM_WEIGHT:
		return all || policy == &rule->policies[rule->policy_count - 1]
			       ? replace_share(changes, policy, "weight", NULL, "0", says)
			       : stop_part(changes, target, says);
	}
	return -1;
}

/* The ids that the rule lists for this tag value (NULL: for any). */
static int remove_includes(struct changes *changes, const struct tag_rule_manifest *rule,
			   const char *value, struct buffer *says)
{
	struct source_place *places = calloc(rule->include_count + 1, sizeof(*places));
	size_t count = 0;
	int error = places ? 0 : -1;

	for (size_t i = 0; i < rule->include_count && !error; i++) {
		if (!value || strcmp(rule->includes[i].tag_value, value) == 0)
			places[count++] = rule->includes[i].place;
	}
	if (!error && count && count == rule->include_count)
		error = changes_empty_list(changes, "include:", places, count, says);
	for (size_t i = 0; i < count && count < rule->include_count && !error; i++)
		error = changes_remove_item(changes, places[i], says);
	free(places);
	return error;
}

static bool names_rule(const char *wanted, const char *plugin, const char *header)
{
	return is_named(wanted, plugin, header, "");
}

/* The rules that are named without a tag value; true if one was. */
static bool stop_rules(const struct configuration *configuration, struct changes *changes,
		       const char *wanted, int *ret_error, struct buffer *says)
{
	const struct manifest_set *set = &configuration->manifests;
	bool found = false;

	*ret_error = 0;
	for (size_t i = 0; i < set->wasm_plugin_count; i++) {
		const struct wasm_plugin_manifest *plugin = &set->wasm_plugins[i];

		for (size_t j = 0; j < plugin->rule_count && !*ret_error; j++) {
			const struct tag_rule_manifest *rule = &plugin->rules[j];

			if (!names_rule(wanted, plugin->resource.name, rule->tag_header))
				continue;
			found = true;
			for (size_t k = 0; k < rule->policy_count && !*ret_error; k++) {
				struct ramp_target target = {rule, &rule->policies[k], 1};

				*ret_error = stop_policy(changes, &target, true, says);
			}
			if (!*ret_error)
				*ret_error = remove_includes(changes, rule, NULL, says);
		}
	}
	return found;
}

int steering_stop(const struct configuration *configuration, struct changes *changes,
		  const char *rule, struct buffer *says)
{
	struct ramp_target target = {0};
	int error;

	if (stop_rules(configuration, changes, rule, &error, says))
		return error;
	if (find_policy(configuration, rule, &target, says))
		return -1;
	error = stop_policy(changes, &target, false, says);
	return error ? error
		     : remove_includes(changes, target.rule, target.policy->tag_value, says);
}

/* Users that the rule lists get the tag whatever the share is. */
static void remark_includes(const struct ramp_target *target, struct buffer *says)
{
	size_t count = 0;

	for (size_t i = 0; i < target->rule->include_count; i++) {
		if (strcmp(target->rule->includes[i].tag_value, target->policy->tag_value) == 0)
			count += target->rule->includes[i].id_count;
	}
	if (count)
		buffer_printf(says, "%zu ids under include still get %s: %s (abort removes them)\n",
			      count, target->rule->tag_header, target->policy->tag_value);
}

int steering_ramp(const struct configuration *configuration, struct changes *changes,
		  const char *rule, uint32_t percent, bool may_shrink, struct buffer *says)
{
	struct ramp_target target = {0};
	struct buffer value = {0};
	const char *field = NULL;

	if (find_policy(configuration, rule, &target, says))
		return -1;
	uint64_t modulo = target.rule->modulo, held = target.policy->to - target.policy->from;
	uint64_t count = modulo * percent / 10000;
	if (modulo * percent % 10000) {
		buffer_printf(says,
			      "%u.%02u %% of the modulo %" PRIu64 " is no whole number of "
			      "remainders",
			      percent / 100, percent % 100, modulo);
		return -1;
	}
	if (count < held && !may_shrink) {
		buffer_printf(says,
			      "%s/%s holds %" PRIu64 " of %" PRIu64 " remainders: with %" PRIu64
			      " users would move back (--allow-back lets them)",
			      target.rule->tag_header, target.policy->tag_value, held, modulo,
			      count);
		return -1;
	}
	if (count == 0)
		remark_includes(&target, says);
	if (count == held)
		return 0;
	if (count == 0)
		return stop_policy(changes, &target, false, says);
	int error = write_share(&target, count, percent, &field, &value, says);
	if (!error)
		error = buffer_text(&value) ? replace_share(changes, target.policy, field, NULL,
							    value.data, says)
					    : -1;
	buffer_free(&value);
	return error;
}
