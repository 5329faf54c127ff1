/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* How `lanetag check` tells what manifests come to. */
#include <jansson.h>
#include "config/configuration.h"

void check_print(const struct configuration *configuration);

/* `configuration` is NULL where the manifests have errors. NULL when memory is short. */
json_t *check_json(const struct configuration *configuration,
		   const struct diagnostics *diagnostics);
