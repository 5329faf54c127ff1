/* SPDX-License-Identifier: GPL-2.0-only */
#pragma once
/* The API server as a source of manifests, as the commands that know it have its options in common. */
#include <getopt.h>

#include "config/configuration.h"
#include "config/source.h"

/* Of struct option's `val`; the commands' own begin at 256. */
enum {
	OPTION_KUBERNETES = 512,
	OPTION_KUBECONFIG,
	OPTION_CONTEXT,
	OPTION_NAMESPACE,
	OPTION_KUBERNETES_STATE,
	OPTION_KUBERNETES_WATCH
};

#define KUBERNETES_OPTIONS                                                  \
	{"kubernetes", no_argument, NULL, OPTION_KUBERNETES},               \
		{"kubeconfig", required_argument, NULL, OPTION_KUBECONFIG}, \
		{"context", required_argument, NULL, OPTION_CONTEXT},       \
	{                                                                   \
		"namespace", required_argument, NULL, OPTION_NAMESPACE      \
	}
/* Of a command that stays. */
#define KUBERNETES_LASTING_OPTIONS                                                   \
	{"kubernetes-state", required_argument, NULL, OPTION_KUBERNETES_STATE},      \
	{                                                                            \
		"kubernetes-watch", required_argument, NULL, OPTION_KUBERNETES_WATCH \
	}

#define KUBERNETES_USAGE                                                                       \
	"      --kubernetes           manifests of the cluster that this pod runs in, by its " \
	"service account\n"                                                                    \
	"      --kubeconfig FILE      manifests of the cluster that FILE says, see "           \
	"docs/operations.md\n"                                                                 \
	"      --context NAME         of the kubeconfig (default: its current one)\n"          \
	"      --namespace NAME       only of this namespace; may be repeated (default: all)\n"

struct kubernetes_arguments {
	bool in_pod;
	const char *kubeconfig, *context;
	const char **namespaces;
	size_t namespace_count;
	struct kubernetes_options options;
};

static inline bool kubernetes_options_know(int option)
{
	return option >= OPTION_KUBERNETES && option <= OPTION_KUBERNETES_WATCH;
}

/* 0, or -1 (said to standard error in the command's name). */
int kubernetes_options_parse(const char *command, int option, const char *value,
			     struct kubernetes_arguments *arguments);
/* Once all options are read: finds the account. The same. */
int kubernetes_options_check(const char *command, struct kubernetes_arguments *arguments);
/* NULL: no API server is asked. For `subjects`: configuration_subjects. */
const struct kubernetes_options *kubernetes_options_of(struct kubernetes_arguments *arguments,
						       unsigned subjects);
void kubernetes_options_free(struct kubernetes_arguments *arguments);

/*
 * What the API server has at this moment, into the input's objects: kubernetes_options_free_objects.
 * 0, or -1 (said).
 */
int kubernetes_options_read(const char *command, struct kubernetes_arguments *arguments,
			    const struct mesh_tag_only *tag_only, struct manifest_input *input);
void kubernetes_options_free_objects(struct manifest_input *input);
