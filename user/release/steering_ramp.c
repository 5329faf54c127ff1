/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/steering.h"

#include <inttypes.h>

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
		if (count == 0) {
			buffer_append_text(says, "a range holds at least the remainder 0: write "
						 "percent in its place");
			return -1;
		}
		buffer_printf(out, "%" PRIu64, count - 1);
		return 0;
	case POLICY_FORM_PERCENT:
		*ret_field = "percent";
		buffer_printf(out, percent % 100 ? "%u.%02u" : "%u", percent / 100, percent % 100);
		return 0;
	case POLICY_FORM_SLOTS:
		*ret_field = "slots";
		if (policy->from + count > target->rule->modulo || count == 0) {
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

int steering_ramp(const struct configuration *configuration, struct changes *changes,
		  const char *rule, uint32_t percent, bool may_shrink, struct buffer *says)
{
	struct ramp_target target = {0};
	size_t offset, from, to;
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
	if (count == held)
		return 0;
	int error = write_share(&target, count, percent, &field, &value, says);
	struct source_place place = target.policy->place;
	struct changed_file *file = error ? NULL : changes_find(changes, place, &offset);
	if (!error && (!file || !find_share(buffer_span(&file->old), offset, place.column - 1,
					    field, &from, &to)))
		error = changes_refuse(says, place, "can't be edited, edit it by hand");
	if (!error)
		error = buffer_text(&value) ? changes_edit(file, from, to, value.data) : -1;
	buffer_free(&value);
	return error;
}
