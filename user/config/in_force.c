/* SPDX-License-Identifier: GPL-2.0-only */
#include "config/in_force.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/number.h"
#include "base/unix_socket.h"

#define LINE_BYTES 128
#define ANSWER "manifests "
#define MAX_BYTES (UINT64_C(1) << 32) /* of all files together */
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int write_all(int fd, struct span bytes)
{
	while (bytes.length) {
		ssize_t written = write(fd, bytes.data, bytes.length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes.data += written;
		bytes.length -= (size_t)written;
	}
	return 0;
}

static int write_file(int fd, const struct manifest_file *file)
{
	char start[LINE_BYTES];
	struct span name = span_of(file->name), text = {file->text, file->length};

	snprintf(start, sizeof(start), "%zu %zu\n", name.length, text.length);
	int error = write_all(fd, span_of(start));
	if (error == 0)
		error = write_all(fd, name);
	return error ? error : write_all(fd, text);
}

int in_force_write(const struct manifest_set *manifests, int *ret_fd)
{
	int fd = memfd_create("lanetag-manifests", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error = fd < 0 ? -errno : 0;

	for (size_t i = 0; i < manifests->file_count && !error; i++)
		error = write_file(fd, &manifests->files[i]);
	if (!error && fcntl(fd, F_ADD_SEALS, SEALS))
		error = -errno;
	if (error && fd >= 0)
		close(fd);
	if (!error)
		*ret_fd = fd;
	return error;
}

int in_force_tell(int connection, const struct configuration *configuration)
{
	const struct manifest_set *manifests = &configuration->manifests;
	char line[LINE_BYTES];
	int fd, error = in_force_write(manifests, &fd);

	if (error)
		return error;
	snprintf(line, sizeof(line), ANSWER "%u %s\n", configuration->generation,
		 manifests->subjects == MANIFEST_ALL ? "all" : "tags");
	error = unix_socket_write(connection, line);
	if (error == 0)
		error = unix_socket_send_descriptors(connection, "", 1, &fd, 1);
	close(fd);
	return error;
}

/* Takes `length` bytes off the front. */
static bool take(struct span *rest, uint64_t length, struct span *ret_bytes)
{
	if (length > rest->length)
		return false;
	*ret_bytes = (struct span){rest->data, length};
	rest->data += length;
	rest->length -= length;
	return true;
}

static int take_file(struct span *rest, struct in_force *in_force)
{
	struct span line, name_length, text_length, name, text;
	uint64_t name_bytes, text_bytes;

	if (!span_cut(*rest, '\n', &line, rest) ||
	    !span_cut(line, ' ', &name_length, &text_length) ||
	    parse_unsigned(name_length, MAX_BYTES, &name_bytes) ||
	    parse_unsigned(text_length, MAX_BYTES, &text_bytes) || !take(rest, name_bytes, &name) ||
	    !take(rest, text_bytes, &text))
		return -EPROTO;
	struct manifest_file *file = ARRAY_APPEND(in_force->files, in_force->file_count);
	if (!file)
		return -ENOMEM;
	*file = (struct manifest_file){span_copy(name), span_copy(text), text.length};
	return file->name && file->text ? 0 : -ENOMEM;
}

int in_force_read(int fd, struct in_force *in_force)
{
	struct stat status;
	int error = 0, seals = fcntl(fd, F_GET_SEALS);

	/* Unsealed it could shrink under our eyes. */
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) ||
	    (uint64_t)status.st_size > MAX_BYTES)
		return -EPROTO;
	if (status.st_size == 0)
		return 0;
	size_t length = (size_t)status.st_size;
	void *memory = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	struct span rest = {memory, length};
	while (rest.length && !error)
		error = take_file(&rest, in_force);
	munmap(memory, length);
	return error;
}

static int read_answer(const char *line, struct in_force *in_force)
{
	struct span rest = span_of(line), generation, what;
	uint64_t number;

	if (span_starts_with(rest, span_of("error")))
		return -EOPNOTSUPP;
	if (!span_starts_with(rest, span_of(ANSWER)))
		return -EPROTO;
	rest = span_of(line + strlen(ANSWER));
	if (!span_cut(rest, ' ', &generation, &what) ||
	    parse_unsigned(generation, UINT32_MAX, &number))
		return -EPROTO;
	in_force->generation = (uint32_t)number;
	in_force->tags_only = span_equal(what, span_of("tags"));
	return in_force->tags_only || span_equal(what, span_of("all")) ? 0 : -EPROTO;
}

static int receive(int connection, struct in_force *in_force)
{
	int descriptors[UNIX_SOCKET_MAX_DESCRIPTORS];
	size_t count = 0;
	char line[LINE_BYTES], byte;
	int error = unix_socket_write(connection, IN_FORCE_COMMAND "\n");

	if (error == 0)
		error = unix_socket_read_line(connection, line, sizeof(line));
	if (error == 0)
		error = read_answer(line, in_force);
	if (error == 0)
		error = unix_socket_receive_descriptors(connection, &byte, 1, descriptors, &count);
	if (error == 0)
		error = count == 1 ? in_force_read(descriptors[0], in_force) : -EPROTO;
	for (size_t i = 0; i < count; i++)
		close(descriptors[i]);
	return error;
}

int in_force_ask(const char *path, struct in_force *ret_in_force)
{
	struct in_force in_force = {0};
	int connection = unix_socket_connect(path);

	if (connection < 0)
		return connection;
	int error = receive(connection, &in_force);
	close(connection);
	if (error)
		in_force_free(&in_force);
	else
		*ret_in_force = in_force;
	return error;
}

void in_force_free(struct in_force *in_force)
{
	manifest_files_free(in_force->files, in_force->file_count);
	*in_force = (struct in_force){0};
}
