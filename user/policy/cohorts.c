/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two remainders r1 = h1 % m1 and r2 = h2 % m2 hang together through a common divisor g of m1 and
 * m2 by which both hashes are known to differ by `shift`: r2 = r1 + shift (modulo g). Of all pairs
 * that satisfy this, each is equally likely, and there are m1 * m2 / g of them. So the users that
 * both rules tag are counted class by class modulo g.
 *
 * The same hash: g = gcd(m1, m2), shift 0.
 *
 * fnv1a32 with different salts: hashing a byte is (state ^ byte) * prime with an odd prime. Both
 * keep the lowest bit in which two states differ. So with d that bit of the salts' states, the
 * hashes of every id are equal below bit d and differ at bit d: g = gcd(m1, m2, 2^(d+1)), and shift
 * is 2^d where g goes that far. (Above bit d it depends on the id.)
 */
#include "policy/cohorts.h"

#include <stdlib.h>

#include "policy/tag_rules_internal.h"

/* A rule's policies hold disjoint intervals: no more than pieces between their 2 * 16 borders. */
#define MAX_INTERVALS (2 * LANETAG_MAX_POLICIES)
#define MAX_BORDERS (4 * MAX_INTERVALS + 2)

#define AS_BY_CHANCE 0.05 /* this far off, relatively, and no further */

struct cohort {
	struct tag_interval intervals[MAX_INTERVALS];
	size_t count;
	uint64_t size; /* remainders */
	uint32_t modulo;
};

struct tie {
	enum cohort_tie kind;
	uint32_t classes; /* g above */
	uint32_t shift;	  /* < classes */
};

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static const struct lanetag_draw *draw_of(const struct tag_rules *rules, size_t rule)
{
	return &rules->ruleset.draws[rules->ruleset.rules[rule].draw];
}

static struct cohort cohort_of(const struct tag_rules *rules, size_t rule)
{
	struct cohort cohort = {.modulo = draw_of(rules, rule)->modulo};
	struct tag_interval held[LANETAG_MAX_POLICIES];

	for (uint8_t i = 0; i < rules->ruleset.rules[rule].policy_count; i++) {
		size_t count = tag_rules_intervals(rules, rule, i, held);

		for (size_t j = 0; j < count && cohort.count < MAX_INTERVALS; j++) {
			cohort.intervals[cohort.count++] = held[j];
			cohort.size += held[j].to - held[j].from;
		}
	}
	return cohort;
}

static uint32_t salted_state(const struct lanetag_draw *draw)
{
	return lanetag_fnv1a32(LANETAG_FNV1A32_BASIS, (const __u8 *)draw->salt, draw->salt_length);
}

static struct tie tie_of(const struct tag_rules *rules, size_t first, size_t second)
{
	const struct lanetag_draw *a = draw_of(rules, first), *b = draw_of(rules, second);
	uint64_t divisor = greatest_common_divisor(a->modulo, b->modulo);
	struct tie tie = {COHORTS_UNTIED, 1, 0};

	if (a == b)
		return (struct tie){COHORTS_SAME_DRAW, a->modulo, 0};
	if (a->source != b->source || a->hash != b->hash || a->seed != b->seed)
		return tie;
	if (a->salt_length == b->salt_length && memcmp(a->salt, b->salt, a->salt_length) == 0) {
		tie = (struct tie){COHORTS_SAME_HASH, (uint32_t)divisor, 0};
	} else if (a->hash == LANETAG_HASH_FNV1A32) {
		uint32_t difference = salted_state(a) ^ salted_state(b);
		uint64_t bit = difference & -difference;

		if (bit)
			divisor = greatest_common_divisor(divisor, 2 * bit);
		tie = (struct tie){COHORTS_LOW_BITS, (uint32_t)divisor,
				   bit && divisor == 2 * bit ? (uint32_t)bit : 0};
	}
	return tie.classes == 1 ? (struct tie){COHORTS_UNTIED, 1, 0} : tie;
}

/* How many remainders below `end` are in a class. */
static uint64_t count_below(uint32_t end, uint32_t class, uint32_t classes)
{
	return ((uint64_t)end + classes - 1 - class) / classes;
}

static uint64_t count_in_class(const struct cohort *cohort, uint32_t class, uint32_t classes)
{
	uint64_t count = 0;

	for (size_t i = 0; i < cohort->count; i++)
		count += count_below(cohort->intervals[i].to, class, classes) -
			 count_below(cohort->intervals[i].from, class, classes);
	return count;
}

static int compare_numbers(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

/* The classes, as the first rule counts them, at which count_in_class of `cohort` may change. */
static size_t add_borders(const struct cohort *cohort, const struct tie *tie, uint32_t shift,
			  uint32_t *borders, size_t count)
{
	uint64_t back = tie->classes - shift;

	borders[count++] = (uint32_t)(back % tie->classes);
	for (size_t i = 0; i < cohort->count; i++) {
		borders[count++] = (uint32_t)((cohort->intervals[i].from + back) % tie->classes);
		borders[count++] = (uint32_t)((cohort->intervals[i].to + back) % tie->classes);
	}
	return count;
}

/* Of the pairs of remainders that can be, those that both rules tag. At most m1 * m2 / g. */
static uint64_t count_both(const struct cohort *a, const struct cohort *b, const struct tie *tie)
{
	uint32_t borders[MAX_BORDERS];
	size_t count = add_borders(a, tie, 0, borders, 0);
	uint64_t both = 0;

	count = add_borders(b, tie, tie->shift, borders, count);
	qsort(borders, count, sizeof(*borders), compare_numbers);
	for (size_t i = 0; i < count; i++) {
		uint32_t class = borders[i], next = i + 1 < count ? borders[i + 1] : tie->classes;
		uint32_t other = (uint32_t)(((uint64_t) class + tie->shift) % tie->classes);

		if (class < next)
			both += (next - class) * count_in_class(a, class, tie->classes) *
				count_in_class(b, other, tie->classes);
	}
	return both;
}

void cohorts_compare(const struct tag_rules *rules, size_t first, size_t second,
		     struct cohort_pair *ret_pair)
{
	struct cohort a = cohort_of(rules, first), b = cohort_of(rules, second);
	struct tie tie = tie_of(rules, first, second);
	uint64_t both = count_both(&a, &b, &tie);
	/* Each remainder of one rule stands in so many pairs. */
	uint64_t pairs_of_a = a.size * (b.modulo / tie.classes);
	uint64_t pairs_of_b = b.size * (a.modulo / tie.classes);

	ret_pair->tie = tie.kind;
	ret_pair->first = (double)a.size / a.modulo;
	ret_pair->second = (double)b.size / b.modulo;
	ret_pair->both = (double)both / ((double)a.modulo * (b.modulo / tie.classes));
	double chance = ret_pair->first * ret_pair->second;
	double off = ret_pair->both - chance;
	if (both == 0)
		ret_pair->relation = COHORTS_EXCLUSIVE;
	else if (tie.kind == COHORTS_UNTIED)
		ret_pair->relation = COHORTS_INDEPENDENT;
	else if (both == pairs_of_a && both == pairs_of_b)
		ret_pair->relation = COHORTS_SAME;
	else if (both == pairs_of_a)
		ret_pair->relation = COHORTS_FIRST_INSIDE;
	else if (both == pairs_of_b)
		ret_pair->relation = COHORTS_SECOND_INSIDE;
	else if (tie.kind != COHORTS_SAME_DRAW && off < AS_BY_CHANCE * chance &&
		 -off < AS_BY_CHANCE * chance)
		ret_pair->relation = COHORTS_INDEPENDENT;
	else
		ret_pair->relation = COHORTS_OVERLAPPING;
}

double cohorts_tagged_share(const struct tag_rules *rules, size_t rule)
{
	struct cohort cohort = cohort_of(rules, rule);

	return (double)cohort.size / cohort.modulo;
}

static bool is_nested_canary(const struct tag_rules *rules, size_t first, size_t second)
{
	struct cohort_pair pair;

	cohorts_compare(rules, first, second, &pair);
	return pair.first > 0 && pair.first < 1 && pair.second > 0 && pair.second < 1 &&
	       (pair.relation == COHORTS_SAME || pair.relation == COHORTS_FIRST_INSIDE ||
		pair.relation == COHORTS_SECOND_INSIDE);
}

size_t cohorts_nested_group(const struct tag_rules *rules, size_t first,
			    size_t ret_group[LANETAG_MAX_RULES])
{
	size_t count = 0;

	for (size_t i = 0; i < first; i++) {
		if (is_nested_canary(rules, i, first))
			return 0;
	}
	ret_group[count++] = first;
	for (size_t i = first + 1; i < tag_rules_count(rules); i++) {
		bool nested = true;

		for (size_t j = 0; j < count && nested; j++)
			nested = is_nested_canary(rules, ret_group[j], i);
		if (nested)
			ret_group[count++] = i;
	}
	return count > 1 ? count : 0;
}

static uint32_t lane_of_remainder(const struct lanetag_rule *rule, uint32_t remainder)
{
	uint8_t policy = lanetag_rule_policy(rule, remainder);

	return policy == LANETAG_POLICY_NONE ? rule->untagged_lane : rule->policies[policy].lane;
}

static bool all_lanes_are(const struct lanetag_ruleset *ruleset, uint8_t draw, uint32_t remainder,
			  const uint16_t *lanes)
{
	for (uint8_t i = 0; i < ruleset->rule_count; i++) {
		const struct lanetag_rule *rule = &ruleset->rules[i];

		if (rule->draw == draw && lane_of_remainder(rule, remainder) != lanes[i])
			return false;
	}
	return true;
}

/* The share of a draw's remainders that give all rules of this draw these lanes. */
static double draw_share(const struct lanetag_ruleset *ruleset, uint8_t draw, const uint16_t *lanes)
{
	uint32_t borders[2 * LANETAG_MAX_RULES * LANETAG_MAX_POLICIES + 2];
	size_t count = 0;
	uint64_t share = 0;

	borders[count++] = 0;
	borders[count++] = ruleset->draws[draw].modulo;
	for (uint8_t i = 0; i < ruleset->rule_count; i++) {
		const struct lanetag_rule *rule = &ruleset->rules[i];

		for (uint8_t j = 0; rule->draw == draw && j < rule->policy_count; j++) {
			borders[count++] = rule->policies[j].from;
			borders[count++] = rule->policies[j].to;
		}
	}
	qsort(borders, count, sizeof(*borders), compare_numbers);
	for (size_t i = 0; i + 1 < count; i++) {
		if (borders[i] < borders[i + 1] && all_lanes_are(ruleset, draw, borders[i], lanes))
			share += borders[i + 1] - borders[i];
	}
	return (double)share / ruleset->draws[draw].modulo;
}

bool cohorts_draws_are_independent(const struct tag_rules *rules)
{
	const struct lanetag_ruleset *ruleset = &rules->ruleset;
	struct cohort_pair pair;

	for (size_t i = 0; i < ruleset->rule_count; i++) {
		for (size_t j = i + 1; j < ruleset->rule_count; j++) {
			if (ruleset->rules[i].draw == ruleset->rules[j].draw)
				continue;
			cohorts_compare(rules, i, j, &pair);
			bool trivial = pair.first == 0 || pair.first == 1 || pair.second == 0 ||
				       pair.second == 1;
			if (!trivial && pair.relation != COHORTS_INDEPENDENT)
				return false;
		}
	}
	return true;
}

double cohorts_combination_share(const struct tag_rules *rules,
				 const uint16_t lanes[LANETAG_MAX_RULES])
{
	double share = 1;

	for (uint8_t i = 0; i < rules->ruleset.draw_count; i++)
		share *= draw_share(&rules->ruleset, i, lanes);
	return share;
}
