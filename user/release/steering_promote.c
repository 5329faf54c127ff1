/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/steering.h"

#include "base/array.h"
#include "manifest/destination_rule.h"
#include "manifest/service.h"
#include "manifest/virtual_service.h"
#include "manifest/wasm_plugin.h"
#include "text/block_text.h"
#include "text/flow_text.h"

/* Written short or in full, by someone in `namespace`. */
static bool same_host(const char *written, const char *namespace, const char *wanted)
{
	const char *domains[] = {"", ("." SERVICE_DOMAIN), ".cluster.local"};
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
	size_t routes;	 /* to the host */
	size_t untagged; /* of these, those that need no tag */
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
		return changes_refuse(promotion->says, place, "can't be edited, edit it by hand");
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

/* A subset's name that YAML would take for a number, a truth value or nothing. */
static bool needs_quotes(const char *name)
{
	static const char *const words[] = {"y",   "n",	   "yes",   "no",  "on",
					    "off", "true", "false", "null"};
	bool needs = name[0] >= '0' && name[0] <= '9';

	for (size_t i = 0; i < ARRAY_LENGTH(words) && !needs; i++)
		needs = strcasecmp(name, words[i]) == 0;
	return needs;
}

/* In the quotes that the text has where `offset` is, or in those that it needs. */
static void write_subset(const char *subset, char like, struct buffer *out)
{
	bool quoted = like == '"' || like == '\'';
	const char quote[] = {quoted ? like : needs_quotes(subset) ? '"' : '\0', '\0'};

	buffer_printf(out, "%s%s%s", quote, subset, quote);
}

/* "subset: …" and what parts it from the field of the destination that stands at `offset`. */
static void write_subset_field(const char *subset, struct span text, size_t offset, size_t column,
			       struct buffer *out)
{
	const char *end = memchr(text.data + offset, '\n', text.length - offset);
	bool is_flow = text.data[offset] == '{';
	size_t first = is_flow ? flow_skip_blank(text, offset + 1) : offset;
	char like = first < text.length ? text.data[first] : '\0';

	if (is_flow && like == '"')
		buffer_append_text(out, "\"subset\": ");
	else
		buffer_append_text(out, "subset: ");
	write_subset(subset, is_flow ? like : '\0', out);
	if (is_flow)
		buffer_append_text(out, ", ");
	else
		buffer_printf(out, "%s%*s", end && end[-1] == '\r' ? "\r\n" : "\n", (int)column - 1,
			      "");
}

static int set_subset(struct promotion *promotion, const struct destination_manifest *to)
{
	struct source_place place = to->subset ? to->subset_place : to->place;
	struct buffer text = {0};
	size_t offset, length = 0;
	struct changed_file *file = changes_find(promotion->changes, place, &offset);
	struct span old = file ? buffer_span(&file->old) : (struct span){0};

	if (file && to->subset)
		length = scalar_length(old, offset, to->subset);
	if (!file || (to->subset && !length))
		return changes_refuse(promotion->says, place, "can't be edited, edit it by hand");
	if (to->subset)
		write_subset(promotion->subset, old.data[offset], &text);
	else
		write_subset_field(promotion->subset, old, offset, place.column, &text);
	offset += !to->subset && old.data[offset] == '{';
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
	promotion->untagged += tagged == 0;
	bool there = to->subset && strcmp(to->subset, promotion->subset) == 0;
	if (tagged < 0 && there)
		return changes_refuse(promotion->says, route->place,
				      "some matches of this route need a tag and some don't: not "
				      "promoted, edit it by hand");
	if (tagged)
		return there && route->destination_count == 1 ? remove_item(promotion, route->place)
							      : 0;
	if (route->destination_count > 1)
		return changes_refuse(promotion->says, route->place,
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

/* All rules of a plug-in go: an empty list stays, "rules: []". */
static int empty_list(struct promotion *promotion, const struct wasm_plugin_manifest *plugin)
{
	struct source_place place = plugin->rules[0].place;
	size_t offset, from, to;
	struct changed_file *file = changes_find(promotion->changes, place, &offset);
	bool found = file && changes_item(file, offset, &from, &to) == 0;

	/* Of a list in brackets these stay by themselves. */
	if (found && from != offset) {
		size_t at = block_list_key(buffer_span(&file->old), from, "rules:");

		if (!at)
			return changes_refuse(promotion->says, place,
					      "can't be edited, edit it by hand");
		if (changes_edit(file, at, at, " []"))
			return -1;
	}
	for (size_t i = 0; i < plugin->rule_count; i++) {
		if (remove_item(promotion, plugin->rules[i].place))
			return -1;
	}
	return 0;
}

static int end_rules_of(struct promotion *promotion, const struct wasm_plugin_manifest *plugin)
{
	bool ends[LANETAG_MAX_RULES] = {0};
	size_t count = 0;
	int error = 0;

	for (size_t i = 0; i < plugin->rule_count && i < LANETAG_MAX_RULES; i++) {
		ends[i] = was_for(promotion, &plugin->rules[i]) &&
			  may_end(promotion, &plugin->rules[i]);
		count += ends[i];
	}
	if (count && count == plugin->rule_count)
		return empty_list(promotion, plugin);
	for (size_t i = 0; i < plugin->rule_count && i < LANETAG_MAX_RULES && !error; i++) {
		if (ends[i])
			error = remove_item(promotion, plugin->rules[i].place);
	}
	return error;
}

static int end_rules(struct promotion *promotion)
{
	const struct manifest_set *set = &promotion->configuration->manifests;
	int error = 0;

	for (size_t i = 0; i < set->wasm_plugin_count && !error; i++)
		error = end_rules_of(promotion, &set->wasm_plugins[i]);
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
	if (promotion.untagged == 0) {
		buffer_printf(says,
			      "each route to the host '%s' needs a tag: write one for those who "
			      "have none",
			      host);
		return -1;
	}
	return end_rules(&promotion);
}
