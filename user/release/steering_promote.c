/* SPDX-License-Identifier: GPL-2.0-only */
#include "release/steering.h"

#include "base/array.h"
#include "manifest/destination_rule.h"
#include "manifest/service.h"
#include "manifest/virtual_service.h"
#include "manifest/wasm_plugin.h"
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
	struct steering_target *targets;
	size_t target_count;
	struct buffer *says;
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

/* Which of the targets a destination leads to; NULL: none. */
static struct steering_target *target_of(const struct promotion *promotion,
					 const struct virtual_service_manifest *service,
					 const struct destination_manifest *to)
{
	/* An HTTPRoute leads to Services, not to subsets. */
	if (service->is_http_route)
		return NULL;
	for (size_t i = 0; to->host && i < promotion->target_count; i++) {
		if (same_host(to->host, service->resource.namespace, promotion->targets[i].host))
			return &promotion->targets[i];
	}
	return NULL;
}

/* How many of the route's destinations are targets. */
static size_t count_targets(const struct promotion *promotion,
			    const struct virtual_service_manifest *service,
			    const struct http_route_manifest *route)
{
	size_t count = 0;

	for (size_t i = 0; i < route->destination_count; i++)
		count += target_of(promotion, service, &route->destinations[i].destination) != NULL;
	return count;
}

static bool has_untagged_route(const struct promotion *promotion,
			       const struct virtual_service_manifest *service)
{
	for (size_t i = 0; i < service->http_count; i++) {
		if (needs_tag(promotion, &service->http[i]) <= 0)
			return true;
	}
	return false;
}

/*
 * True if the matches of this route that need a tag go, and the route with them if all do: its
 * requests then take the routes of users without tags.
 */
static bool loses_tags(const struct promotion *promotion,
		       const struct virtual_service_manifest *service,
		       const struct http_route_manifest *route)
{
	return needs_tag(promotion, route) != 0 && route->destination_count &&
	       count_targets(promotion, service, route) == route->destination_count &&
	       has_untagged_route(promotion, service);
}

static int remove_item(struct promotion *promotion, struct source_place place)
{
	return changes_remove_item(promotion->changes, place, promotion->says);
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

static int set_subset(struct promotion *promotion, const struct destination_manifest *to,
		      const char *subset)
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
		write_subset(subset, old.data[offset], &text);
	else
		write_subset_field(subset, old, offset, place.column, &text);
	offset += !to->subset && old.data[offset] == '{';
	int error =
		buffer_text(&text) ? changes_edit(file, offset, offset + length, text.data) : -1;
	buffer_free(&text);
	return error;
}

static int remove_tagged_matches(struct promotion *promotion,
				 const struct http_route_manifest *route)
{
	int error = 0;

	if (needs_tag(promotion, route) > 0)
		return remove_item(promotion, route->place);
	for (size_t i = 0; i < route->match_count && !error; i++) {
		if (tag_of_match(promotion, &route->matches[i]))
			error = remove_item(promotion, route->matches[i].place);
	}
	return error;
}

/* What the destination of a route is to be; NULL: as it is, since it is no target's. */
static const char *wanted_subset(const struct promotion *promotion,
				 const struct virtual_service_manifest *service,
				 const struct http_route_manifest *route,
				 const struct destination_manifest *to)
{
	const struct steering_target *target = target_of(promotion, service, to);

	if (!target)
		return NULL;
	/* Users without tags who met one version here go on to meet it. */
	if (target->is_stable && needs_tag(promotion, route) <= 0 && route->destination_count == 1)
		return NULL;
	return target->subset;
}

static int promote_route(struct promotion *promotion,
			 const struct virtual_service_manifest *service,
			 const struct http_route_manifest *route)
{
	int error = 0;

	if (loses_tags(promotion, service, route)) {
		error = remove_tagged_matches(promotion, route);
		if (error || needs_tag(promotion, route) > 0)
			return error;
	}
	for (size_t i = 0; i < route->destination_count && !error; i++) {
		const struct destination_manifest *to = &route->destinations[i].destination;
		const char *subset = wanted_subset(promotion, service, route, to);

		if (subset && !(to->subset && strcmp(to->subset, subset) == 0))
			error = set_subset(promotion, to, subset);
	}
	return error;
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

			if (!loses_tags(promotion, service, route) &&
			    asks_for_tag(promotion, route, header, value))
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

			if (loses_tags(promotion, service, route) &&
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

/* All rules of a plug-in go. */
static int empty_list(struct promotion *promotion, const struct wasm_plugin_manifest *plugin)
{
	struct source_place places[LANETAG_MAX_RULES];
	size_t count = 0;

	for (; count < plugin->rule_count && count < LANETAG_MAX_RULES; count++)
		places[count] = plugin->rules[count].place;
	return changes_empty_list(promotion->changes, "rules:", places, count, promotion->says);
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

static bool has_subset(const struct promotion *promotion, const struct steering_target *target)
{
	const struct manifest_set *set = &promotion->configuration->manifests;
	struct buffer known = {0};
	bool has = false;

	for (size_t i = 0; i < set->destination_rule_count; i++) {
		const struct destination_rule_manifest *rule = &set->destination_rules[i];

		if (!rule->host || !same_host(rule->host, rule->resource.namespace, target->host))
			continue;
		for (size_t j = 0; j < rule->subset_count; j++) {
			has |= strcmp(rule->subsets[j].name, target->subset) == 0;
			buffer_printf(&known, " %s", rule->subsets[j].name);
		}
	}
	if (!has)
		buffer_printf(promotion->says, "%s has no subset '%s'; there are:%s", target->host,
			      target->subset, known.length ? buffer_text(&known) : "");
	buffer_free(&known);
	return has;
}

bool steering_has_host(const struct configuration *configuration, const char *host,
		       struct buffer *says)
{
	const struct manifest_set *set = &configuration->manifests;
	struct buffer known = {0};
	const char *found = NULL;
	bool several = false;

	for (size_t i = 0; i < set->destination_rule_count; i++) {
		const struct destination_rule_manifest *rule = &set->destination_rules[i];

		if (!rule->host)
			continue;
		buffer_printf(&known, " %s", rule->host);
		if (!same_host(rule->host, rule->resource.namespace, host))
			continue;
		several |= found && strcmp(found, rule->resource.namespace) != 0;
		found = rule->resource.namespace;
	}
	if (several)
		buffer_printf(says, "the host '%s' is in several namespaces: write it in full",
			      host);
	else if (!found)
		buffer_printf(says, "no DestinationRule is for the host '%s'; there are:%s", host,
			      known.length ? buffer_text(&known) : "");
	buffer_free(&known);
	return found && !several;
}

/* What the routes to a target are. */
struct target_routes {
	size_t all, untagged;
	const char *stable; /* of users without tags; NULL: none, or no subset is named */
};

/* The route takes requests without tags to this subset, which decides unless a later route does. */
static void note_stable(struct target_routes *routes, const struct route_destination_manifest *to,
			int64_t *largest)
{
	if (!to->destination.subset || to->weight <= *largest)
		return;
	*largest = to->weight;
	routes->stable = to->destination.subset;
}

static void look_at_route(const struct promotion *promotion, const struct steering_target *target,
			  const struct virtual_service_manifest *service,
			  const struct http_route_manifest *route, struct target_routes *routes)
{
	int64_t largest = -1;

	for (size_t i = 0; i < route->destination_count; i++) {
		const struct route_destination_manifest *to = &route->destinations[i];

		if (target_of(promotion, service, &to->destination) != target)
			continue;
		routes->all++;
		if (needs_tag(promotion, route) > 0)
			continue;
		routes->untagged++;
		note_stable(routes, to, &largest);
	}
}

static struct target_routes routes_of(const struct promotion *promotion,
				      const struct steering_target *target)
{
	const struct manifest_set *set = &promotion->configuration->manifests;
	struct target_routes routes = {0};

	for (size_t i = 0; i < set->virtual_service_count; i++) {
		const struct virtual_service_manifest *service = &set->virtual_services[i];

		for (size_t j = 0; j < service->http_count; j++)
			look_at_route(promotion, target, service, &service->http[j], &routes);
	}
	return routes;
}

/* Fills in the stable subset where it is asked for. */
static int check_target(const struct promotion *promotion, struct steering_target *target)
{
	if (!steering_has_host(promotion->configuration, target->host, promotion->says))
		return -1;
	if (!target->is_stable && !has_subset(promotion, target))
		return -1;
	const struct target_routes routes = routes_of(promotion, target);
	if (routes.all == 0)
		buffer_printf(promotion->says, "no route leads to the host '%s'", target->host);
	else if (routes.untagged == 0)
		buffer_printf(
			promotion->says,
			"each route to the host '%s' needs a tag: write one for users without "
			"tags",
			target->host);
	else if (target->is_stable && !routes.stable)
		buffer_printf(promotion->says,
			      "the routes to the host '%s' name no subset for users without tags",
			      target->host);
	else {
		target->subset = target->is_stable ? routes.stable : target->subset;
		return 0;
	}
	return -1;
}

int steering_promote(const struct configuration *configuration, struct changes *changes,
		     struct steering_target *targets, size_t target_count, struct buffer *says)
{
	const struct manifest_set *set = &configuration->manifests;
	struct promotion promotion = {configuration, changes, targets, target_count, says};
	int error = 0;

	for (size_t i = 0; i < target_count && !error; i++)
		error = check_target(&promotion, &targets[i]);
	for (size_t i = 0; i < set->virtual_service_count; i++) {
		const struct virtual_service_manifest *service = &set->virtual_services[i];

		for (size_t j = 0; j < service->http_count && !error; j++)
			error = promote_route(&promotion, service, &service->http[j]);
	}
	return error ? -1 : end_rules(&promotion);
}
