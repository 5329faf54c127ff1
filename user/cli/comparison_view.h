/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A comparison as text and as JSON. */
#include <jansson.h>
#include "release/comparison.h"

void comparison_print(const struct comparison *comparison);
/* NULL when memory is short. */
json_t *comparison_json(const struct comparison *comparison);
