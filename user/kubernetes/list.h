/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * A list of the API server's taken apart while its bytes arrive: each item as a text of its own, so
 * that a list of any length costs the memory of its longest item. Finds where items begin and end;
 * whether one is JSON, and what is in it, is for its reader to see.
 */
#include "base/buffer.h"

#define KUBERNETES_MAX_OBJECT_BYTES (8 << 20) /* etcd takes 1.5 MB, the API server 3 MB */

/* 0, or a negative errno, which ends the reading. The text lasts until the function returns. */
typedef int (*kubernetes_item_function)(void *context, struct span text);

/* All zero but for the first two: at a list's start. */
struct kubernetes_list {
	kubernetes_item_function take_item;
	void *context;
	unsigned depth;
	bool in_string, escaped;
	bool started, in_value;
	bool in_items;
	bool keeps; /* what comes is kept in `text` */
	struct buffer key, text;
	struct buffer metadata; /* the list's own, once it was read */
};

/* 0; -EBADMSG: no list; -EFBIG: an item or a field is too long; -ENOMEM; or the function's. */
int kubernetes_list_feed(struct kubernetes_list *list, struct span bytes);
bool kubernetes_list_is_whole(const struct kubernetes_list *list);
void kubernetes_list_free(struct kubernetes_list *list);
