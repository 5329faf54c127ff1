/* SPDX-License-Identifier: GPL-2.0-only */
#include "kubernetes/saved_state.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD "lanetag-kubernetes 1 "
#define DIGEST_BYTES 32
#define DIGEST_TEXT (2 * DIGEST_BYTES + 1)
#define MAX_STATE_BYTES (512LL << 20)

static void digest(struct span text, char ret_text[DIGEST_TEXT])
{
	unsigned char bytes[DIGEST_BYTES];

	crypto_generichash(bytes, sizeof(bytes), (const unsigned char *)text.data, text.length,
			   NULL, 0);
	sodium_bin2hex(ret_text, DIGEST_TEXT, bytes, sizeof(bytes));
}

static void write_body(const char *scope, const struct reflector *reflectors, size_t count,
		       struct buffer *out)
{
	buffer_printf(out, "%s\n", scope);
	for (size_t i = 0; i < count; i++) {
		const struct kubernetes_objects *objects = &reflectors[i].objects;

		for (size_t j = 0; j < objects->count; j++) {
			const struct kubernetes_object *object = &objects->items[j];

			buffer_printf(out, "%s\t%s\t%s\t", reflectors[i].plural, object->namespace,
				      object->name);
			buffer_append_text(out, object->text);
			buffer_append_byte(out, '\n');
		}
	}
}

void saved_state_write(const char *scope, const struct reflector *reflectors, size_t count,
		       struct buffer *out)
{
	char text[DIGEST_TEXT];
	struct buffer body = {0};

	write_body(scope, reflectors, count, &body);
	digest(buffer_span(&body), text);
	buffer_printf(out, HEAD "%s\n", text);
	buffer_append_span(out, buffer_span(&body));
	out->failed = out->failed || body.failed;
	buffer_free(&body);
}

static struct reflector *find(struct reflector *reflectors, size_t count, struct span plural,
			      struct span namespace)
{
	for (size_t i = 0; i < count; i++) {
		struct reflector *reflector = &reflectors[i];

		if (span_equal(span_of(reflector->plural), plural) &&
		    (!reflector->namespace || span_equal(span_of(reflector->namespace), namespace)))
			return reflector;
	}
	return NULL;
}

static int read_line(struct span line, struct reflector *reflectors, size_t count)
{
	struct span plural, namespace, name, text;

	if (!span_cut(line, '\t', &plural, &text) || !span_cut(text, '\t', &namespace, &text) ||
	    !span_cut(text, '\t', &name, &text) || !text.length)
		return -EINVAL;
	struct reflector *reflector = find(reflectors, count, plural, namespace);
	if (!reflector)
		return -EINVAL;
	struct kubernetes_object object = {span_copy(namespace), span_copy(name), span_copy(text)};
	if (object.namespace && object.name && object.text)
		return kubernetes_objects_add(&reflector->objects, &object);
	kubernetes_object_free(&object);
	return -ENOMEM;
}

static bool is_intact(struct span head, struct span body)
{
	char text[DIGEST_TEXT];
	const size_t prefix = strlen(HEAD);

	digest(body, text);
	return span_starts_with(head, span_of(HEAD)) &&
	       span_equal((struct span){head.data + prefix, head.length - prefix}, span_of(text));
}

int saved_state_read(struct span text, const char *scope, struct reflector *reflectors,
		     size_t count)
{
	struct span head, body, line;
	int error = 0;

	if (!span_cut(text, '\n', &head, &body) || !is_intact(head, body) ||
	    !span_cut(body, '\n', &line, &body) || !span_equal(line, span_of(scope)))
		return -EINVAL;
	while (error == 0 && body.length) {
		span_cut(body, '\n', &line, &body);
		error = read_line(line, reflectors, count);
	}
	for (size_t i = 0; i < count; i++) {
		if (error)
			kubernetes_objects_free(&reflectors[i].objects);
		else
			kubernetes_objects_sort(&reflectors[i].objects);
	}
	return error;
}

static int write_whole(int fd, struct span text)
{
	while (text.length) {
		ssize_t written = write(fd, text.data, text.length);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0)
			text = (struct span){text.data + written, text.length - (size_t)written};
	}
	return fsync(fd) ? -errno : 0;
}

int saved_state_store(const char *path, struct span text)
{
	char *name;

	if (asprintf(&name, "%s.new", path) < 0)
		return -ENOMEM;
	unlink(name); /* of an agent that ended while it wrote */
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error = fd < 0 ? -errno : write_whole(fd, text);

	if (fd >= 0)
		close(fd);
	if (error == 0 && rename(name, path))
		error = -errno;
	if (error && fd >= 0)
		unlink(name);
	free(name);
	return error;
}

int saved_state_load(const char *path, const char *scope, struct reflector *reflectors,
		     size_t count)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;
	struct buffer text = {0};
	int error = fd < 0 || fstat(fd, &status) ? -errno : 0;

	if (error == 0 && (!S_ISREG(status.st_mode) || status.st_size > MAX_STATE_BYTES))
		error = -EINVAL;
	for (ssize_t got = 1; error == 0 && got > 0;) {
		char *end = buffer_reserve(&text, 64 * 1024);

		got = end ? read(fd, end, 64 * 1024) : -1;
		if (got < 0)
			error = end ? -errno : -ENOMEM;
		else
			text.length += (size_t)got;
	}
	if (error == 0)
		error = saved_state_read(buffer_span(&text), scope, reflectors, count);
	if (fd >= 0)
		close(fd);
	buffer_free(&text);
	return error;
}
