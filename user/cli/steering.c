/* SPDX-License-Identifier: GPL-2.0-only */
#include "cli/steering.h"

#include <inttypes.h>

#include "manifest/destination_rule.h"
#include "manifest/service.h"
#include "manifest/virtual_service.h"
#include "manifest/wasm_plugin.h"

static int refuse_place(struct buffer *says, struct source_place place, const char *what)
{
	const char *slash = place.file ? strrchr(place.file, '/') : NULL;

	buffer_printf(says, "%s:%u:%u: %s", slash ? slash + 1 : place.file, place.line,
		      place.column, what);
	return -1;
}

/* Written short or in full, by someone in `namespace`. */
static bool same_host(const char *written, const char *namespace, const char *wanted)
{
	const char *domains[] = {"", "." SERVICE_DOMAIN, ".cluster.local"};
	struct buffer full = {0};
	bool same = strcasecmp(written, wanted) == 0;

	buffer_printf(&full, "%s", written);
	if (!strchr(written, '.'))
		buffer_printf(&full, ".%s." SERVICE_DOMAIN, namespace);
	else if (span_ends_with_ignore_case(span_of(written), span_of(".svc")))
		buffer_printf(&full, "%s", ".cluster.local");
	else if (!strchr(strchr(written, '.') + 1, '.'))
		buffer_printf(&full, "%s", "." SERVICE_DOMAIN);
	for (size_t i = 0; i < 3 && !same; i++) {
		struct buffer other = {0};

		buffer_printf(&other, "%s%s", wanted, domains[i]);
		same = span_equal_ignore_case(buffer_span(&other), buffer_span(&full));
		buffer_free(&other);
	}
	if (!same && !strchr(wanted, '.'))
		same = full.length > strlen(wanted) && full.data[strlen(wanted)] == '.' &&
		       strncasecmp(full.data, wanted, strlen(wanted)) == 0 &&
		       span_ends_with_ignore_case(buffer_span(&full), span_of("." SERVICE_DOMAIN));
	buffer_free(&full);
	return same;
}

struct promotion {
	const struct configuration *configuration;
	struct changes *changes;
	const char *host, *subset;
	struct buffer *says;
	size_t routes; /* to the host */
	size_t edits;
};

static bool is_tag_header(const struct promotion *promotion, const char *name)
{
	return tag_rules_owns_header(promotion->configuration->tag_rules, span_of(name));
}

static const struct named_match_manifest *tag_of_match(const struct promotion *promotion,
						       const struct http_match_manifest *match)
{
	for (size_t i = 0; i < match->header_count; i++) {
		if (is_tag_header(promotion, match->headers[i].name))
			return &match->headers[i];
	}
	return NULL;
}

/* 0: needs no tag, 1: every match needs one, -1: some do. */
static int needs_tag(const struct promotion *promotion, const struct http_route_manifest *route)
{
	size_t count = 0;

	for (size_t i = 0; i < route->match_count; i++)
		count += tag_of_match(promotion, &route->matches[i]) != NULL;
	return count == 0 ? 0 : count == route->match_count ? 1 : -1;
}

static const struct destination_manifest *
destination_to(const struct promotion *promotion, const struct virtual_service_manifest *service,
	       const struct http_route_manifest *route)
{
	for (size_t i = 0; i < route->destination_count; i++) {
		const struct destination_manifest *to = &route->destinations[i].destination;

		if (to->host && same_host(to->host, service->resource.namespace, promotion->host))
			return to;
	}
	return NULL;
}

/* A route's list item, or its only "- " form, goes. */
static int remove_item(struct promotion *promotion, struct source_place place)
{
	size_t offset, from, to;
	struct changed_file *file = changes_find(promotion->changes, place, &offset);

	if (!file || changes_item(file, offset, &from, &to))
		return refuse_place(promotion->says, place,
				    "can't be edited: only lists with a line per field (block "
				    "style) can, edit it by hand");
	promotion->edits++;
	return changes_edit(file, from, to, "");
}

/* The bytes of a scalar that is written plainly or in quotes; 0: it is not what was read. */
static size_t scalar_length(struct span text, size_t offset, const char *value)
{
	size_t quote = text.data[offset] == '"' || text.data[offset] == '\'';
	size_t length = strlen(value);

	if (offset + length + 2 * quote > text.length ||
	    memcmp(text.data + offset + quote, value, length) ||
	    (quote && text.data[offset + quote + length] != text.data[offset]))
		return 0;
	return length + 2 * quote;
}

static int set_subset(struct promotion *promotion, const struct destination_manifest *to)
{
	struct source_place place = to->subset ? to->subset_place : to->place;
	struct buffer text = {0};
	size_t offset, length = 0;
	struct changed_file *file = changes_find(promotion->changes, place, &offset);

	if (file && to->subset)
		length = scalar_length(buffer_span(&file->old), offset, to->subset);
	if (!file || (to->subset && !length) || (!to->subset && file->old.data[offset] == '{'))
		return refuse_place(promotion->says, place, "can't be edited, edit it by hand");
	if (to->subset && file->old.data[offset] == '"')
		buffer_printf(&text, "\"%s\"", promotion->subset);
	else if (to->subset)
		buffer_printf(&text, "%s", promotion->subset);
	else
		buffer_printf(&text, "subset: %s\n%*s", promotion->subset, (int)place.column - 1,
			      "");
	promotion->edits++;
	int error =
		buffer_text(&text) ? changes_edit(file, offset, offset + length, text.data) : -1;
	buffer_free(&text);
	return error;
}

static int promote_route(struct promotion *promotion,
			 const struct virtual_service_manifest *service,
			 const struct http_route_manifest *route)
{
	const struct destination_manifest *to = destination_to(promotion, service, route);
	int tagged = needs_tag(promotion, route);

	if (!to)
		return 0;
	promotion->routes++;
	bool there = to->subset && strcmp(to->subset, promotion->subset) == 0;
	if (tagged < 0 && there)
		return refuse_place(promotion->says, route->place,
				    "some matches of this route need a tag and some don't: not "
				    "promoted, edit it by hand");
	if (tagged)
		return there && route->destination_count == 1 ? remove_item(promotion, route->place)
							      : 0;
	if (route->destination_count > 1)
		return refuse_place(promotion->says, route->place,
				    "this route without tags is split by weights: not promoted, "
				    "edit it by hand");
	return there ? 0 : set_subset(promotion, to);
}

/* True if one of the route's destinations is the subset that is promoted. */
static bool leads_to_promoted(const struct promotion *promotion,
			      const struct virtual_service_manifest *service,
			      const struct http_route_manifest *route)
{
	const struct destination_manifest *to = destination_to(promotion, service, route);

	return to && to->subset && strcmp(to->subset, promotion->subset) == 0;
}

/* True if a match asks for this tag; `value` NULL: whatever its value. */
static bool asks_for_tag(const struct promotion *promotion, const struct http_route_manifest *route,
			 const char *header, const char *value)
{
	for (size_t i = 0; i < route->match_count; i++) {
		const struct named_match_manifest *tag =
			tag_of_match(promotion, &route->matches[i]);

		if (tag && strcasecmp(tag->name, header) == 0 &&
		    (!value || tag->match.kind != STRING_MATCH_EXACT ||
		     strcmp(tag->match.text, value) == 0))
			return true;
	}
	return false;
}

/* True if a route that stays asks for this tag. */
static bool is_tag_needed(const struct promotion *promotion, const char *header, const char *value)
{
	const struct manifest_set *set = &promotion->configuration->manifests;

	for (size_t i = 0; i < set->virtual_service_count; i++) {
		const struct virtual_service_manifest *service = &set->virtual_services[i];

		for (size_t j = 0; j < service->http_count; j++) {
			const struct http_route_manifest *route = &service->http[j];
			bool ends = route->destination_count == 1 &&
				    leads_to_promoted(promotion, service, route);

			if (!ends && asks_for_tag(promotion, route, header, value))
				return true;
		}
	}
	return false;
}

/* Did a route that ends ask for a tag of this rule? */
static bool was_for(const struct promotion *promotion, const struct tag_rule_manifest *rule)
{
	const struct manifest_set *set = &promotion->configuration->manifests;

	for (size_t i = 0; i < set->virtual_service_count; i++) {
		const struct virtual_service_manifest *service = &set->virtual_services[i];

		for (size_t j = 0; j < service->http_count; j++) {
			const struct http_route_manifest *route = &service->http[j];

			if (leads_to_promoted(promotion, service, route) &&
			    asks_for_tag(promotion, route, rule->tag_header, NULL))
				return true;
		}
	}
	return false;
}

static bool may_end(const struct promotion *promotion, const struct tag_rule_manifest *rule)
{
	for (size_t i = 0; i < rule->policy_count; i++) {
		if (is_tag_needed(promotion, rule->tag_header, rule->policies[i].tag_value)) {
			buffer_printf(promotion->says,
				      "the rule %s stays: a route still asks for %s: %s\n",
				      rule->tag_header, rule->tag_header,
				      rule->policies[i].tag_value);
			return false;
		}
	}
	return true;
}

/* The last rule: an empty list stays, "rules: []". */
static int empty_list(struct promotion *promotion, struct source_place place)
{
	size_t offset, from, to;
	struct changed_file *file = changes_find(promotion->changes, place, &offset);

	if (!file || changes_item(file, offset, &from, &to) || from == 0)
		return refuse_place(promotion->says, place, "can't be edited, edit it by hand");
	size_t colon = from - 1;
	while (colon > 0 && (file->old.data[colon] == '\n' || file->old.data[colon] == ' '))
		colon--;
	if (file->old.data[colon] != ':')
		return refuse_place(promotion->says, place, "can't be edited, edit it by hand");
	promotion->edits++;
	return changes_edit(file, colon + 1, to, " []\n");
}

static int end_rules(struct promotion *promotion)
{
	const struct manifest_set *set = &promotion->configuration->manifests;
	int error = 0;

	for (size_t i = 0; i < set->wasm_plugin_count; i++) {
		const struct wasm_plugin_manifest *plugin = &set->wasm_plugins[i];

		for (size_t j = 0; j < plugin->rule_count && !error; j++) {
			const struct tag_rule_manifest *rule = &plugin->rules[j];

			if (!was_for(promotion, rule) || !may_end(promotion, rule))
				continue;
			error = plugin->rule_count == 1 ? empty_list(promotion, rule->place)
							: remove_item(promotion, rule->place);
		}
	}
	return error;
}

static bool has_subset(const struct promotion *promotion)
{
	const struct manifest_set *set = &promotion->configuration->manifests;
	bool has = false;

	buffer_printf(promotion->says, "%s has no subset '%s'; there are:", promotion->host,
		      promotion->subset);
	for (size_t i = 0; i < set->destination_rule_count; i++) {
		const struct destination_rule_manifest *rule = &set->destination_rules[i];

		if (!rule->host ||
		    !same_host(rule->host, rule->resource.namespace, promotion->host))
			continue;
		for (size_t j = 0; j < rule->subset_count; j++) {
			has |= strcmp(rule->subsets[j].name, promotion->subset) == 0;
			buffer_printf(promotion->says, " %s", rule->subsets[j].name);
		}
	}
	if (has)
		buffer_clear(promotion->says);
	return has;
}

static bool has_host(const struct promotion *promotion)
{
	const struct manifest_set *set = &promotion->configuration->manifests;
	const char *found = NULL;

	buffer_printf(promotion->says,
		      "no DestinationRule is for the host '%s'; there are:", promotion->host);
	for (size_t i = 0; i < set->destination_rule_count; i++) {
		const struct destination_rule_manifest *rule = &set->destination_rules[i];

		if (!rule->host)
			continue;
		buffer_printf(promotion->says, " %s", rule->host);
		if (!same_host(rule->host, rule->resource.namespace, promotion->host))
			continue;
		if (found && strcmp(found, rule->resource.namespace) != 0) {
			buffer_clear(promotion->says);
			buffer_printf(promotion->says,
				      "the host '%s' is in several namespaces: write it in full",
				      promotion->host);
			return false;
		}
		found = rule->resource.namespace;
	}
	if (found)
		buffer_clear(promotion->says);
	return found;
}

int steering_promote(const struct configuration *configuration, struct changes *changes,
		     const char *host, const char *subset, struct buffer *says)
{
	const struct manifest_set *set = &configuration->manifests;
	struct promotion promotion = {configuration, changes, host, subset, says};
	int error = has_host(&promotion) && has_subset(&promotion) ? 0 : -1;

	for (size_t i = 0; i < set->virtual_service_count; i++) {
		const struct virtual_service_manifest *service = &set->virtual_services[i];

		for (size_t j = 0; j < service->http_count && !error; j++)
			error = promote_route(&promotion, service, &service->http[j]);
	}
	if (error)
		return -1;
	if (promotion.routes == 0) {
		buffer_printf(says, "no route leads to the host '%s'", host);
		return -1;
	}
	return end_rules(&promotion);
}

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

/* The value of a field in the block mapping that begins at `offset`; false: not found. */
static bool find_value(struct span text, size_t offset, size_t column, const char *field,
		       size_t *ret_from, size_t *ret_to)
{
	size_t length = strlen(field);

	for (size_t at = offset; at + length + 1 < text.length;) {
		const char *end = memchr(text.data + at, '\n', text.length - at);
		size_t line_end = end ? (size_t)(end - text.data) : text.length;

		if (memcmp(text.data + at, field, length) == 0 && text.data[at + length] == ':') {
			size_t from = at + length + 1;

			while (from < line_end && text.data[from] == ' ')
				from++;
			size_t to = from;
			bool list = from < line_end && text.data[from] == '[';
			while (to < line_end &&
			       (list ? text.data[to] != ']' : !strchr(" \t\r#,}", text.data[to])))
				to++;
			*ret_from = from;
			*ret_to = to + list;
			return to > from && *ret_to <= line_end;
		}
		at = line_end + 1;
		size_t indent = 0;
		while (at + indent < text.length && text.data[at + indent] == ' ')
			indent++;
		if (at + indent >= text.length ||
		    (indent < column && text.data[at + indent] != '\n' &&
		     text.data[at + indent] != '#'))
			return false;
		at += indent;
	}
	return false;
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
	if (!error &&
	    (!file || !find_value(buffer_span(&file->old), offset + (file->old.data[offset] == '{'),
				  place.column - 1, field, &from, &to)))
		error = refuse_place(says, place, "can't be edited, edit it by hand");
	if (!error)
		error = buffer_text(&value) ? changes_edit(file, from, to, value.data) : -1;
	buffer_free(&value);
	return error;
}
