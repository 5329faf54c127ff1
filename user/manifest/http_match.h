/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The match[] of a VirtualService's http[] entry. */
#include "manifest/builder.h"
#include "manifest/virtual_service.h"

void http_match_read(const struct builder *builder, const struct node *node,
		     const struct path *path, struct http_match_manifest *match);
