/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* Whole responses that a route gives itself. */
#include "proxy/request/request.h"

/* The route's redirect, appended to `out`; `close`: with `Connection: close`. */
void answer_redirect(const struct request *request, bool close, struct buffer *out);
/* The route's directResponse. */
void answer_directly(const struct request *request, bool close, struct buffer *out);
