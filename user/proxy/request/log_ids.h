/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * User ids are personal data: what the access log may show of a request that holds them. Ids are
 * what the rules that the request is decided by, and those in force, look for.
 */
#include "base/keyed_hash.h"
#include "proxy/request/request.h"

/* A value that is not shown. */
#define LOG_IDS_HIDDEN "*"

/*
 * The request's target with the values of parameters that are ids hidden: also those that only an
 * application would take for the parameter (escapes in its name, another case, ';' for '&'). Gives
 * the target itself where nothing is to be hidden, else what it writes into `room`.
 */
struct span log_ids_target(const struct request *request, struct buffer *room);

/* True if the values of this header field are ids. */
bool log_ids_is_id_field(const struct request *request, struct span name);

/* Appends a JSON object of the ids: where each is found, and its hash by `key`; NULL: the id itself. */
void log_ids_append(const struct request *request, const struct keyed_hash_key *key,
		    struct buffer *out);
