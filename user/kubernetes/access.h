/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/*
 * How the API server is reached, and with which identity: a pod's service account, or a kubeconfig's.
 * Files are read anew for each request: kubelet replaces tokens and certificates as
 * they come to their ends.
 */
#include "base/buffer.h"

/* A secret or a certificate: a file's content, or a text. Both NULL: none. */
struct kubernetes_text {
	char *file, *text;
};

struct kubernetes_access {
	char *server;	   /* https://HOST:PORT, perhaps with a path; without a slash at its end */
	char *server_name; /* that its certificate is for; NULL: the host's */
	bool insecure;	   /* its certificate is not looked at */
	struct kubernetes_text authority, token, certificate, key;
	char *namespace; /* NULL: none is said */
};

/*
 * The pod's service account: the kubelet's variables of the environment, and its files in
 * `directory` ("" is where they are in a pod). 0, or -1: `why` says why in words.
 */
int kubernetes_access_of_pod(const char *directory, struct kubernetes_access *ret_access,
			     struct buffer *why);
/* `context` NULL: the file's current one. */
int kubernetes_access_of_kubeconfig(const char *file, const char *context,
				    struct kubernetes_access *ret_access, struct buffer *why);
void kubernetes_access_free(struct kubernetes_access *access);

/* The text as it is now, without white space at its end; 0 or a negative errno. None: empty. */
int kubernetes_text_read(const struct kubernetes_text *text, struct buffer *ret_text);
