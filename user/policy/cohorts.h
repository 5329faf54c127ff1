/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * How the cohorts of two rules stand to each other: computed from the rules, exactly where the two
 * remainders hang together, never by trying ids. Id lists (include, exclude) are left aside.
 */
#include "policy/tag_rules.h"

enum cohort_relation {
	COHORTS_INDEPENDENT, /* both tags are as frequent as chance makes them (within 5 %) */
	COHORTS_SAME,	     /* the same users */
	COHORTS_FIRST_INSIDE,
	COHORTS_SECOND_INSIDE,
	COHORTS_EXCLUSIVE,   /* no user gets both, or one of the rules tags nobody */
	COHORTS_OVERLAPPING, /* drawn from one number, some users get both */
};

/* What makes two rules' remainders hang together. */
enum cohort_tie {
	COHORTS_SAME_DRAW, /* the same remainder */
	COHORTS_SAME_HASH, /* the same hash by modulos with a common divisor */
	COHORTS_LOW_BITS,  /* fnv1a32 with different salts: even modulos see the same low bits */
	COHORTS_UNTIED,
};

struct cohort_pair {
	enum cohort_relation relation;
	enum cohort_tie tie;
	double first, second, both; /* shares of all ids, 0 to 1 */
};

void cohorts_compare(const struct tag_rules *rules, size_t first, size_t second,
		     struct cohort_pair *ret_pair);

/* Shares of all ids that a rule tags at all, 0 to 1. */
double cohorts_tagged_share(const struct tag_rules *rules, size_t rule);

/*
 * The canaries that the same users get: rules that draw alike, each of which tags some but not all,
 * and whose cohorts lie one in the other. `first` is the group's first rule; gives the number of
 * rules, `first` included, and their indexes in order; 0 if `first` is in an earlier rule's group
 * or alone.
 */
size_t cohorts_nested_group(const struct tag_rules *rules, size_t first,
			    size_t ret_group[LANETAG_MAX_RULES]);

/*
 * True if rules that do not draw alike draw independently, so that shares can be multiplied. (Rules
 * that tag nobody or everybody do not count.)
 */
bool cohorts_draws_are_independent(const struct tag_rules *rules);

/*
 * Share of all ids, 0 to 1, that get these lanes, one of each rule, numbered as the ruleset numbers
 * them: exact for rules that draw alike, a product over different draws.
 */
double cohorts_combination_share(const struct tag_rules *rules,
				 const uint16_t lanes[LANETAG_MAX_RULES]);
