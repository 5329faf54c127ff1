/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What is in the place of a resource that is wrong and never was good, where its mere absence would do
 * harm: the hosts of a VirtualService or HTTPRoute answer 503 where no other one has them; the tag headers of a
 * WasmPlugin's rules are no client's to send, though no user gets them.
 */
#include "manifest/pieces.h"

/* An annotation of such a resource. */
#define MANIFEST_REJECTED_ANNOTATION "lanetag.io/rejected"

bool manifest_is_stub(const struct manifest_piece *piece);
/* True if there is such a thing for the piece's kind. */
bool manifest_has_stub(const struct manifest_piece *piece);
/* Appends it, of what of the piece can be read. -1: too little can be, or manifest_has_stub is false. */
int manifest_stub_print(const struct manifest_piece *piece, struct buffer *out);
