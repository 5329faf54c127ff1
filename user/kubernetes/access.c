/* SPDX-License-Identifier: GPL-2.0-only */
#include "kubernetes/access.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "manifest/node.h"

#define POD_DIRECTORY "/var/run/secrets/kubernetes.io/serviceaccount"
#define MAX_FILE_BYTES (1 << 20)

static char *print(const char *format, const char *first, const char *second)
{
	char *text;

	return asprintf(&text, format, first, second) < 0 ? NULL : text;
}

static int read_file(const char *file, struct buffer *text)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t got = fd < 0 ? -1 : 1;

	while (got > 0 && text->length <= MAX_FILE_BYTES) {
		char *end = buffer_reserve(text, 4096);

		got = end ? read(fd, end, 4096) : -1;
		text->length += got > 0 ? (size_t)got : 0;
	}
	int error = got < 0 ? -errno : got > 0 ? -EFBIG : 0;
	if (fd >= 0)
		close(fd);
	return text->failed ? -ENOMEM : error;
}

int kubernetes_text_read(const struct kubernetes_text *text, struct buffer *ret_text)
{
	int error = 0;

	buffer_clear(ret_text);
	if (text->text)
		buffer_append_text(ret_text, text->text);
	else if (text->file)
		error = read_file(text->file, ret_text);
	while (ret_text->length && strchr(" \t\r\n", ret_text->data[ret_text->length - 1]))
		ret_text->length--;
	return ret_text->failed ? -ENOMEM : error;
}

static int complain(struct buffer *why, const char *what, const char *of)
{
	buffer_clear(why);
	buffer_printf(why, "%s%s%s", of ? of : "", of ? ": " : "", what);
	return -1;
}

/* An address of IPv6 in brackets. */
static char *pod_server(void)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");

	if (!host || !*host || !port || !*port)
		return NULL;
	return print(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port);
}

int kubernetes_access_of_pod(const char *directory, struct kubernetes_access *ret_access,
			     struct buffer *why)
{
	struct kubernetes_access access = {0};
	struct buffer token = {0};

	if (!*directory)
		directory = POD_DIRECTORY;
	access.server = pod_server();
	access.authority.file = print("%s/%s", directory, "ca.crt");
	access.token.file = print("%s/%s", directory, "token");
	*ret_access = access;
	if (!access.server)
		return complain(why,
				"no pod of a cluster: KUBERNETES_SERVICE_HOST and "
				"KUBERNETES_SERVICE_PORT are not set",
				NULL);
	int error = access.token.file && access.authority.file
			    ? kubernetes_text_read(&access.token, &token)
			    : -ENOMEM;
	buffer_free(&token);
	return error ? complain(why, strerror(-error), access.token.file) : 0;
}

/* kubeconfig is YAML of lists of {name: NAME, KIND: {…}}. */
struct config {
	const struct node *root;
	const char *file;
	struct buffer *why;
};

static const char *text_of(const struct node *mapping, const char *field)
{
	const struct node *node = node_get(mapping, field);

	return node && node->kind == NODE_SCALAR && !node_is_null(node) && node->text.length &&
			       strlen(node->text.data) == node->text.length
		       ? node->text.data
		       : NULL;
}

static const struct node *find(const struct config *config, const char *list, const char *kind,
			       const char *name)
{
	const struct node *items = node_get(config->root, list);

	for (size_t i = 0; name && items && items->kind == NODE_SEQUENCE && i < items->count; i++) {
		const char *known = text_of(items->items[i], "name");
		const struct node *found = node_get(items->items[i], kind);

		if (known && strcmp(known, name) == 0 && found && found->kind == NODE_MAPPING)
			return found;
	}
	buffer_clear(config->why);
	buffer_printf(config->why, "%s: there is no %s \"%s\"", config->file, kind,
		      name ? name : "");
	return NULL;
}

/* A path beside the kubeconfig's. */
static char *beside(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	char *joined;

	if (*path == '/' || !slash)
		return strdup(path);
	return asprintf(&joined, "%.*s/%s", (int)(slash - file), file, path) < 0 ? NULL : joined;
}

static char *decode(const char *base64)
{
	size_t length = strlen(base64), got = 0;
	char *text = malloc(length + 1);

	if (text && sodium_base642bin((unsigned char *)text, length, base64, length, " \r\n", &got,
				      NULL, sodium_base64_VARIANT_ORIGINAL) == 0) {
		text[got] = '\0';
		return text;
	}
	free(text);
	return NULL;
}

/* FIELD-data before FIELD, as kubectl has it. */
static int read_text(const struct config *config, const struct node *mapping, const char *field,
		     const char *data_field, struct kubernetes_text *ret_text)
{
	const char *data = text_of(mapping, data_field), *file = text_of(mapping, field);

	if (data)
		ret_text->text = decode(data);
	else if (file)
		ret_text->file = beside(config->file, file);
	if ((!data || ret_text->text) && (data || !file || ret_text->file))
		return 0;
	return complain(config->why, "is not base64", data_field);
}

static bool is_true(const struct node *mapping, const char *field)
{
	const char *text = text_of(mapping, field);

	return text && strcmp(text, "true") == 0;
}

static int read_server(const struct config *config, const struct node *cluster,
		       struct kubernetes_access *access)
{
	const char *server = text_of(cluster, "server");
	const char *server_name = text_of(cluster, "tls-server-name");

	if (!server || strncmp(server, "https://", 8) != 0)
		return complain(config->why, "the cluster's server must be https://…",
				config->file);
	if (text_of(cluster, "proxy-url"))
		return complain(config->why, "proxy-url is not supported", config->file);
	access->server = strdup(server);
	access->server_name = server_name ? strdup(server_name) : NULL;
	access->insecure = is_true(cluster, "insecure-skip-tls-verify");
	while (access->server && access->server[strlen(access->server) - 1] == '/')
		access->server[strlen(access->server) - 1] = '\0';
	return read_text(config, cluster, "certificate-authority", "certificate-authority-data",
			 &access->authority);
}

static int read_user(const struct config *config, const struct node *user,
		     struct kubernetes_access *access)
{
	static const char *const others[] = {"exec", "auth-provider", "username", "as", NULL};
	const char *token = text_of(user, "token"), *file = text_of(user, "tokenFile");

	for (const char *const *other = others; *other; other++) {
		buffer_clear(config->why);
		buffer_printf(config->why,
			      "%s: the user's %s is not supported: give it a token "
			      "(kubectl create token) or a certificate",
			      config->file, *other);
		if (node_get(user, *other))
			return -1;
	}
	access->token.text = token ? strdup(token) : NULL;
	access->token.file = file ? beside(config->file, file) : NULL;
	if (read_text(config, user, "client-certificate", "client-certificate-data",
		      &access->certificate))
		return -1;
	return read_text(config, user, "client-key", "client-key-data", &access->key);
}

static int read_config(const struct config *config, const char *context_name,
		       struct kubernetes_access *access)
{
	const char *name = context_name ? context_name : text_of(config->root, "current-context");
	const struct node *context = find(config, "contexts", "context", name);
	const struct node *cluster =
		context ? find(config, "clusters", "cluster", text_of(context, "cluster")) : NULL;
	const struct node *user =
		cluster ? find(config, "users", "user", text_of(context, "user")) : NULL;
	const char *namespace = text_of(context, "namespace");

	if (!user)
		return -1;
	access->namespace = namespace ? strdup(namespace) : NULL;
	if (read_server(config, cluster, access))
		return -1;
	return read_user(config, user, access);
}

int kubernetes_access_of_kubeconfig(const char *file, const char *context,
				    struct kubernetes_access *ret_access, struct buffer *why)
{
	struct diagnostics diagnostics = {0};
	struct node **documents;
	size_t count = nodes_read_file(file, &diagnostics, &documents);
	struct config config = {count ? documents[0] : NULL, file, why};
	int result = -1;

	*ret_access = (struct kubernetes_access){0};
	if (diagnostics.error_count)
		complain(why, diagnostics.count ? diagnostics.items[0].text : "out of memory",
			 file);
	else if (!count)
		complain(why, "it is empty", file);
	else
		result = read_config(&config, context, ret_access);
	nodes_free(documents, count);
	diagnostics_free(&diagnostics);
	return result;
}

static void free_text(struct kubernetes_text *text)
{
	free(text->file);
	free(text->text);
}

void kubernetes_access_free(struct kubernetes_access *access)
{
	free(access->server);
	free(access->server_name);
	free(access->namespace);
	free_text(&access->authority);
	free_text(&access->token);
	free_text(&access->certificate);
	free_text(&access->key);
	*access = (struct kubernetes_access){0};
}
