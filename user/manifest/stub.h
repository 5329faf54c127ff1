/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* What is in the place of a VirtualService that is wrong and never was good. */
#include "manifest/pieces.h"

/* An annotation of such a VirtualService: its hosts answer 503 where no other one has them. */
#define MANIFEST_REJECTED_ANNOTATION "lanetag.io/rejected"

bool manifest_is_stub(const struct manifest_piece *piece);
/* Appends a VirtualService with the hosts and gateways that can be read. -1: it has no host. */
int manifest_stub_print(const struct manifest_piece *piece, struct buffer *out);
