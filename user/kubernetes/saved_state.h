/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * What an agent knew of the cluster, in a file, so that the next one starts without the API server:
 *
 *     lanetag-kubernetes 1 DIGEST         of all that follows; the number is this form's
 *     SCOPE                               which server, which namespaces
 *     KIND <tab> NAMESPACE <tab> NAME <tab> OBJECT    a line each
 *
 * A file of another form, of another scope, or that is damaged is as none.
 */
#include "kubernetes/reflector.h"

/* All objects of these; `out` is what saved_state_read takes. */
void saved_state_write(const char *scope, const struct reflector *reflectors, size_t count,
		       struct buffer *out);
/* Fills the reflectors that have nothing yet. 0; -EINVAL: it is none of this scope; -ENOMEM. */
int saved_state_read(struct span text, const char *scope, struct reflector *reflectors,
		     size_t count);

/* The same with a file, which is replaced in one step. 0 or a negative errno. */
int saved_state_store(const char *path, struct span text);
int saved_state_load(const char *path, const char *scope, struct reflector *reflectors,
		     size_t count);
