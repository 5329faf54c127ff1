/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The fields by which a gateway says that it stands in between. */
#include "proxy/request/request.h"

/*
 * Via, X-Forwarded-For (the client appended), X-Forwarded-Proto and X-Request-Id (where missing).
 * None of those that the route or its destination has set or removed. -1 if there is no room.
 */
int forwarding_add_fields(struct request *request);
