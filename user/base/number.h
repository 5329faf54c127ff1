/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Checked decimal numbers: the whole span must be digits and the value in bounds. */
#include <stdint.h>
#include "base/span.h"

/* 0 and *ret_value, or -1 (empty, a non-digit, or above `maximum`); no sign, no white space. */
int parse_unsigned(struct span text, uint64_t maximum, uint64_t *ret_value);
