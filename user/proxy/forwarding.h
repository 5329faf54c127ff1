/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The fields by which a gateway says that it stands in between. */
#include "proxy/request.h"

/*
 * Via, X-Forwarded-For (the client appended), X-Forwarded-Proto and X-Request-Id (where missing).
 * -1 if there is no room.
 */
int forwarding_add_fields(struct request *request);

#define ADDRESS_TEXT_BYTES 46
/* An address in its usual form (IPv4-mapped ones as IPv4); gives the length, without NUL. */
size_t address_write(const uint8_t address[16], char ret_text[ADDRESS_TEXT_BYTES]);
