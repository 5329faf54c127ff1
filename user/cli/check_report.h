/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* How `lanetag check` tells what manifests come to. */
#include <jansson.h>
#include "config/configuration.h"
#include "config/rejections.h"

void check_print(const struct configuration *configuration);

/*
 * `configuration` is NULL where the manifests have errors; `rejections` are what these cost at an
 * agent. NULL when memory is short.
 */
json_t *check_json(const struct configuration *configuration, const struct diagnostics *diagnostics,
		   const struct rejections *rejections);
