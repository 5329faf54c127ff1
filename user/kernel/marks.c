/* SPDX-License-Identifier: GPL-2.0-only */
/* Marks and resynchronisation: memory that kernel and agent share, no system call on the request
 * path. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "kernel/tagger_internal.h"

/* How often a mark that the kernel is writing is looked at again: it writes for less than a
 * microsecond. */
#define READ_ATTEMPTS 64

int marks_map_memory(int map, size_t size, int protection, void **ret_memory, size_t *ret_size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *memory;

	if (map < 0)
		return map;
	size = (size + page - 1) / page * page;
	memory = mmap(NULL, size, protection, MAP_SHARED, map, 0);
	if (memory == MAP_FAILED)
		return -errno;
	*ret_memory = memory;
	*ret_size = size;
	return 0;
}

int marks_open(struct tagger *tagger)
{
	const struct program *program = &tagger->program;
	void *marks;
	int error = marks_map_memory(program_map(program, "lane_marks"),
				     LANETAG_MARK_SLOTS * sizeof(struct lanetag_mark), PROT_READ,
				     &marks, &tagger->marks_size);

	if (error)
		return error;
	tagger->marks = marks;
	error = marks_map_memory(program_map(program, "lane_resync"),
				 LANETAG_RESYNC_SLOTS * sizeof(uint64_t), PROT_READ | PROT_WRITE,
				 &marks, &tagger->confirmations_size);
	if (error) {
		marks_close(tagger);
		return error;
	}
	tagger->confirmations = marks;
	return 0;
}

void marks_close(struct tagger *tagger)
{
	if (tagger->marks)
		munmap((void *)tagger->marks, tagger->marks_size);
	if (tagger->confirmations)
		munmap(tagger->confirmations, tagger->confirmations_size);
	tagger->marks = NULL;
	tagger->confirmations = NULL;
}

/* True if the copy is whole: the kernel was not at it meanwhile. */
static bool copy_mark(const struct lanetag_mark *mark, struct lanetag_mark *ret_mark)
{
	uint32_t before = __atomic_load_n(&mark->sequence, __ATOMIC_ACQUIRE);

	if (before & 1)
		return false;
	memcpy(ret_mark, mark, sizeof(*ret_mark));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&mark->sequence, __ATOMIC_RELAXED) == before;
}

bool marks_find(const struct lanetag_mark *marks, const struct lanetag_connection *connection,
		uint64_t position, struct lanetag_mark *ret_mark)
{
	uint64_t hash = lanetag_connection_hash(connection);
	const struct lanetag_mark *mark = &marks[lanetag_mark_slot(hash, position)];
	struct lanetag_mark copy;

	for (int i = 0; i < READ_ATTEMPTS; i++) {
		if (!copy_mark(mark, &copy))
			continue;
		if (copy.generation == 0 || copy.position != position ||
		    !lanetag_connection_equal(&copy.connection, connection))
			return false;
		*ret_mark = copy;
		return true;
	}
	return false;
}

bool tagger_find_mark(const struct tagger *tagger, const struct lanetag_connection *connection,
		      uint64_t position, struct lanetag_mark *ret_mark)
{
	return marks_find(tagger->marks, connection, position, ret_mark);
}

void tagger_confirm_position(struct tagger *tagger, const struct lanetag_connection *connection,
			     uint64_t position)
{
	uint64_t hash = lanetag_connection_hash(connection), *words = tagger->confirmations;

	__atomic_store_n(&words[lanetag_resync_slot(hash)], lanetag_resync_word(hash, position),
			 __ATOMIC_RELEASE);
}
