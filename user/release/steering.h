/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * The edits that promote and ramp make in manifests. All give 0, or -1: then `says` has the reason,
 * and nothing is to be used. Else `says` has remarks, a line each (none: empty).
 */
#include "release/changes.h"
#include "config/configuration.h"

/*
 * The routes to `host` that need no tag go to `subset`; those that lead there by a tag end, and
 * with them each rule whose only tag no route needs any more.
 */
int steering_promote(const struct configuration *configuration, struct changes *changes,
		     const char *host, const char *subset, struct buffer *says);

/*
 * `rule`: TAGHEADER[/TAGVALUE], with PLUGIN/ in front where that is needed. Its policy then holds
 * `percent` (in 1/100, up to 10000) of the remainders.
 */
int steering_ramp(const struct configuration *configuration, struct changes *changes,
		  const char *rule, uint32_t percent, bool may_shrink, struct buffer *says);
