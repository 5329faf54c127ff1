/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* --path-normalization, which agent and commands take alike. */
#include "http/path.h"

/* 0, or -1 and why on standard error. */
int path_option_parse(const char *command, const char *text, enum http_path_normalization *ret_way);
