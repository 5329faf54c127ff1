/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* One http[] entry of a VirtualService. */
#include "manifest/builder.h"
#include "manifest/virtual_service.h"

void http_route_read(const struct builder *builder, const struct node *node,
		     const struct path *path, struct http_route_manifest *route);
