/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* A running agent's own account, GET /status of its admin address. */
#include <jansson.h>

/* The caller drops it. NULL (told in the command's name) where nobody answers within seconds. */
json_t *agent_status(const char *command, const char *address);
