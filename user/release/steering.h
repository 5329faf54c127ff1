/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The edits that promote, ramp and abort make in manifests. All give 0, or -1: then `says` has the
 * reason, and nothing is to be used. Else `says` has remarks, a line each (none: empty).
 */
#include "config/configuration.h"
#include "release/changes.h"

struct steering_target {
	const char *host;
	const char *subset; /* what all users get; with is_stable it is filled in */
	bool is_stable;	    /* what users without tags get now; of weights the largest */
};

/*
 * All users of each host get its subset. Routes that lead to it by a tag end, the others lead to
 * the subset, and each rule ends when no route needs its tag any more.
 */
int steering_promote(const struct configuration *configuration, struct changes *changes,
		     struct steering_target *targets, size_t target_count, struct buffer *says);

/* Whether there is a DestinationRule for it, of one namespace; if not, `says` why. */
bool steering_has_host(const struct configuration *configuration, const char *host,
		       struct buffer *says);

/*
 * `rule`: TAGHEADER[/TAGVALUE], with PLUGIN/ in front where that is needed. Its policy then holds
 * `percent` (in 1/100, up to 10000) of the remainders.
 */
int steering_ramp(const struct configuration *configuration, struct changes *changes,
		  const char *rule, uint32_t percent, bool may_shrink, struct buffer *says);

/* No user gets the rule's tags any more (with /TAGVALUE: that tag), ids that it lists included. */
int steering_stop(const struct configuration *configuration, struct changes *changes,
		  const char *rule, struct buffer *says);
