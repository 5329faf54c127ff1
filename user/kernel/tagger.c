/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tagger's life. Start: the rights, the pin directory, the program with the maps of an earlier
 * agent if they fit, then its attachments, each of which goes over in one step; whatever the
 * earlier agent's program did until then it did for the same maps. A clean end takes all of it
 * away. After any other end the pins keep the program running, and the next start goes the same
 * way.
 */
#include "kernel/tagger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/array.h"
#include "base/buffer.h"
#include "base/log.h"
#include "kernel/interface_events.h"
#include "kernel/layout.h"
#include "kernel/libbpf_log.h"
#include "kernel/obstacles.h"
#include "kernel/tagger_internal.h"

static void free_options(struct tagger_options *options)
{
	for (size_t i = 0; i < options->interface_count; i++)
		free((char *)options->interfaces[i]);
	free((void *)options->interfaces);
	options->interface_count = 0;
}

/* The strings are ours from here on: interfaces are matched as long as the tagger lives. */
static int copy_options(const struct tagger_options *options, struct tagger_options *ret_copy)
{
	struct tagger_options copy = *options;
	char **names = calloc(options->interface_count + 1, sizeof(*names));

	if (names == NULL)
		return -ENOMEM;
	copy.interfaces = (const char *const *)names;
	for (copy.interface_count = 0; copy.interface_count < options->interface_count;
	     copy.interface_count++) {
		names[copy.interface_count] = strdup(options->interfaces[copy.interface_count]);
		if (names[copy.interface_count] == NULL) {
			free_options(&copy);
			return -ENOMEM;
		}
	}
	*ret_copy = copy;
	return 0;
}

static int check_rights(void)
{
	struct buffer missing = {0};
	int error = obstacles_check_rights(&missing);

	if (error)
		log_error("rights are missing for the kernel tagger",
			  log_text("missing", buffer_text(&missing)));
	buffer_free(&missing);
	return error;
}

/* From here on a later start finds maps and program, whatever becomes of us. */
static int pin_program(struct tagger *tagger)
{
	int error = layout_pin(tagger->program.object, tagger->program.layout, &tagger->pins,
			       tagger->program.taken_over);

	if (error == 0)
		error = program_pin(&tagger->program, &tagger->pins);
	if (error)
		log_error("cannot pin the tagger", log_text("path", tagger->pins.path),
			  log_errno(error));
	return error;
}

static int start_program(struct tagger *tagger)
{
	bool arrivals = tagger->options.purpose == TAGGER_ARRIVALS;
	struct program_options options = {
		.kind = arrivals ? PROGRAM_ARRIVALS : PROGRAM_TAGGER,
		.variant = tagger->options.variant,
		.capacity = tagger->options.capacity,
		.deliveries = tagger->options.deliveries,
	};
	int error = program_load(&tagger->pins, &options, &tagger->program);

	if (error)
		return error;
	error = arrivals ? 0 : marks_open(tagger);
	if (error == 0) {
		error = pin_program(tagger);
		if (error)
			marks_close(tagger);
	}
	if (error)
		program_unload(&tagger->program);
	return error;
}

static void stop_program(struct tagger *tagger)
{
	layout_unpin(&tagger->pins);
	program_unpin(&tagger->program, &tagger->pins);
	marks_close(tagger);
	program_unload(&tagger->program);
}

static int start_attachments(struct tagger *tagger)
{
	int error = interface_events_open();

	if (error < 0)
		return error;
	tagger->events = error;
	error = attachments_open(&tagger->attachments, &tagger->options, &tagger->pins,
				 tagger->program.fd);
	if (error)
		goto close_events;
	error = attachments_reconcile(&tagger->attachments);
	if (error == 0)
		error = program_settle(&tagger->program, &tagger->pins);
	if (error == 0)
		return 0;
	attachments_close(&tagger->attachments);
close_events:
	close(tagger->events);
	return error;
}

int tagger_open(const struct tagger_options *options, struct tagger **ret_tagger)
{
	struct tagger *tagger;
	int error = check_rights();

	if (error)
		return error;
	tagger = calloc(1, sizeof(*tagger));
	if (tagger == NULL)
		return -ENOMEM;
	libbpf_log_install();
	error = copy_options(options, &tagger->options);
	if (error)
		goto free_tagger;
	error = pins_open(&tagger->pins, options->pin_directory);
	if (error)
		goto free_options;
	error = start_program(tagger);
	if (error)
		goto close_pins;
	error = start_attachments(tagger);
	if (error)
		goto stop_program;
	*ret_tagger = tagger;
	return 0;

stop_program:
	log_error("the tagger could not be attached", log_errno(error));
	stop_program(tagger);
	pins_remove_directory(&tagger->pins);
close_pins:
	pins_close(&tagger->pins);
free_options:
	free_options(&tagger->options);
free_tagger:
	free(tagger);
	return error;
}

void tagger_release(struct tagger *tagger)
{
	attachments_release(&tagger->attachments);
	close(tagger->events);
	tagger->events = -1;
	pins_close(&tagger->pins);
	tagger->released = true;
}

void tagger_close(struct tagger *tagger)
{
	if (tagger == NULL)
		return;
	if (tagger->released) {
		marks_close(tagger);
		program_unload(&tagger->program);
	} else {
		attachments_close(&tagger->attachments);
		close(tagger->events);
		stop_program(tagger);
		pins_remove_directory(&tagger->pins);
	}
	free_options(&tagger->options);
	free(tagger);
}

const char *tagger_variant(const struct tagger *tagger)
{
	return tagger->program.variant;
}

size_t tagger_attached_interfaces(const struct tagger *tagger)
{
	return attachments_standing(&tagger->attachments);
}

int tagger_event_fd(const struct tagger *tagger)
{
	return tagger->events;
}

void tagger_handle_events(struct tagger *tagger)
{
	int error;

	if (!interface_events_drain(tagger->events))
		return;
	error = attachments_reconcile(&tagger->attachments);
	if (error)
		log_warning("no interface is tagged", log_errno(error));
}
