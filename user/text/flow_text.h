/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Where things stand in YAML's flow style ({…} and […], so in JSON as well). The text was read
 * before and is well formed; what can't be told all the same is not found.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/span.h"

/* Behind blanks, line ends and comments. */
size_t flow_skip_blank(struct span text, size_t at);
/* Behind the node that begins at `at`: a collection or a scalar. 0: it does not end. */
size_t flow_node_end(struct span text, size_t at);
/* The value of a key of the mapping whose '{' is at `at`: from <= byte < to. */
bool flow_find(struct span text, size_t at, const char *key, size_t *ret_from, size_t *ret_to);
