/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The trafficPolicy of a DestinationRule, of one of its subsets or ports. */
#include "manifest/builder.h"
#include "manifest/destination_rule.h"

void traffic_policy_read(const struct builder *builder, const struct node *node,
			 const struct path *path, struct traffic_policy_manifest *policy);
