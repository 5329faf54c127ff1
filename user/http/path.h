/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * Paths in the one form that routes are matched with and the next hop gets, as Istio's
 * `pathNormalization` has it (MeshConfig; Envoy's normalize_path, merge_slashes and
 * path_with_escaped_slashes_action). Else "/pub/../admin" passes a route that is meant to keep
 * "/admin" closed, and the application opens it.
 */
#include "base/buffer.h"

enum http_path_normalization {
	/*
	 * RFC 3986 6.2.2: dot segments are resolved, %-encoded letters, digits and "-._~" are
	 * decoded; '\' becomes '/'; what no path may hold is encoded. Istio's default, and ours.
	 */
	HTTP_PATH_BASE,
	HTTP_PATH_NONE,			   /* as it came */
	HTTP_PATH_MERGE_SLASHES,	   /* BASE, then one '/' for each run of them */
	HTTP_PATH_DECODE_AND_MERGE_SLASHES /* %2F and %5C are slashes, too; then as before */
};

/* -1 if `text` is none of "none", "base", "merge-slashes", "decode-and-merge-slashes". */
int http_path_normalization_parse(const char *text, enum http_path_normalization *ret_way);

enum http_path_result {
	HTTP_PATH_IS_NORMAL,  /* nothing was appended */
	HTTP_PATH_NORMALIZED, /* the normal form was appended, unless the buffer failed */
	HTTP_PATH_REFUSED     /* an encoded NUL: answer with 400, as Envoy does */
};

/*
 * `path` is that of a parsed request (http_request_head), without query. What does not begin with
 * '/' ("*") is normal. Decodes once: "%252e" stays. Linear; appends at most three times the path.
 */
enum http_path_result http_path_normalize(struct span path, enum http_path_normalization way,
					  struct buffer *out);
