/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Where things are in YAML's block style, the counterpart of flow_text.h. The text was read before
 * and is well formed; what is not certain is not found.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/span.h"

/*
 * The item of a list whose content is at `offset`: "- …" with all its lines and the line's end.
 * False: no "- " leads to it, so it is one of a list in brackets.
 */
bool block_item(struct span text, size_t offset, size_t *ret_from, size_t *ret_to);
/*
 * The value of a field of the mapping whose first key is at `offset`, `column` bytes from the start
 * of its line: from <= byte < to. False: not found.
 */
bool block_find(struct span text, size_t offset, size_t column, const char *field, size_t *ret_from,
		size_t *ret_to);
/*
 * Behind `key` (with its colon) of the list whose first item's line starts at `from`: there "[]" can
 * be written. 0: not found.
 */
size_t block_list_key(struct span text, size_t from, const char *key);
