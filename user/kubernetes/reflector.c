/* SPDX-License-Identifier: GPL-2.0-only */
#include "kubernetes/reflector.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define SECOND_NS UINT64_C(1000000000)
#define MAX_BODY_BYTES (4 << 20) /* of what is neither a list nor an event */
#define MAX_TOKEN_BYTES 4096	 /* resourceVersion and continue */
#define BACKOFF_FIRST_NS (SECOND_NS / 2)
#define BACKOFF_MOST_NS (30 * SECOND_NS)
#define BACKOFF_REFUSED_MOST_NS (60 * SECOND_NS) /* no rights, no kind: a matter of minutes */
#define RETRY_AFTER_MOST_S 300
#define ABSENT_ASK_NS (60 * SECOND_NS)
/* A server that has just started may not know its kinds yet. */
#define ABSENT_SURE_NS (120 * SECOND_NS)
#define WATCH_SHORTEST_NS SECOND_NS
#define WATCHES_BEFORE_LIST 3 /* that failed one after the other */
#define LIST_TIMEOUT_S 120
#define WATCH_GRACE_S 15

const char *reflector_step_name(enum reflector_step step)
{
	static const char *const names[REFLECTOR_STEPS] = {"group", "resources", "list", "watch"};

	return names[step];
}

static bool is_core(const struct reflector *reflector)
{
	return !reflector->kind.group[0];
}

/* A kind before this one has its name in another group, as Istio's Gateway does. */
static bool shares_name(const struct manifest_kind *kind)
{
	struct manifest_kind other;

	for (size_t i = 0; manifest_kind_describe(i, &other); i++) {
		if (strcmp(other.kind, kind->kind) == 0)
			return strcmp(other.group, kind->group) != 0;
	}
	return false;
}

/* Kubernetes' rule for the names of kinds in paths. */
static void name_plural(struct reflector *reflector)
{
	size_t length = strlen(reflector->kind.kind);
	char *plural = reflector->resource;

	if (length + 3 > sizeof(reflector->resource))
		return;
	for (size_t i = 0; i < length; i++)
		plural[i] = ascii_lower(reflector->kind.kind[i]);
	if (length > 1 && plural[length - 1] == 'y' && !strchr("aeiou", plural[length - 2]))
		strcpy(plural + length - 1, "ies");
	else
		strcpy(plural + length, "s");
	if (shares_name(&reflector->kind))
		snprintf(reflector->plural, sizeof(reflector->plural), "%s.%.60s", plural,
			 reflector->kind.group);
	else
		snprintf(reflector->plural, sizeof(reflector->plural), "%s", plural);
}

static int take_item(void *context, struct span text);

void reflector_init(struct reflector *reflector, const struct manifest_kind *kind,
		    const char *namespace, unsigned watch_seconds, struct random_numbers *random)
{
	*reflector = (struct reflector){
		.kind = *kind,
		.namespace = namespace,
		.watch_seconds = watch_seconds,
		.random = random,
		.from_cache = true,
		.step = kind->group[0] ? REFLECTOR_GROUP : REFLECTOR_LIST,
	};
	name_plural(reflector);
	if (is_core(reflector))
		snprintf(reflector->version, sizeof(reflector->version), "%s", kind->versions[0]);
	/* Pods that have ended, or have no address yet, serve nothing. */
	if (is_core(reflector) && strcmp(kind->kind, "Pod") == 0)
		reflector->field_selector = "status.phase%3DRunning";
}

static void clear_answer(struct reflector *reflector)
{
	kubernetes_list_free(&reflector->answer.list);
	buffer_free(&reflector->answer.body);
	reflector->answer = (struct reflector_answer){
		.list = {.take_item = take_item, .context = reflector},
	};
}

void reflector_free(struct reflector *reflector)
{
	clear_answer(reflector);
	kubernetes_objects_free(&reflector->listing);
	kubernetes_objects_free(&reflector->objects);
	free(reflector->resource_version);
	free(reflector->rest);
	reflector->resource_version = reflector->rest = NULL;
}

/* What a query may hold as it is (RFC 3986 2.3), the rest by its number. */
static void append_escaped(struct buffer *out, const char *text)
{
	for (; *text; text++) {
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			buffer_append_byte(out, *text);
		else
			buffer_printf(out, "%%%02X", (unsigned char)*text);
	}
}

static void append_path(const struct reflector *reflector, struct buffer *target)
{
	if (is_core(reflector))
		buffer_append_text(target, "/api");
	else
		buffer_printf(target, "/apis/%s", reflector->kind.group);
	if (reflector->step == REFLECTOR_GROUP)
		return;
	buffer_printf(target, "/%s", reflector->version);
	if (reflector->step == REFLECTOR_RESOURCES)
		return;
	if (reflector->namespace)
		buffer_printf(target, "/namespaces/%s", reflector->namespace);
	buffer_printf(target, "/%s", reflector->resource);
}

static void append_list_query(const struct reflector *reflector, struct buffer *target)
{
	buffer_printf(target, "?limit=%d", KUBERNETES_PAGE);
	if (reflector->rest) {
		buffer_append_text(target, "&continue=");
		append_escaped(target, reflector->rest);
	} else if (reflector->from_cache) {
		buffer_append_text(target, "&resourceVersion=0");
	}
	if (reflector->field_selector)
		buffer_printf(target, "&fieldSelector=%s", reflector->field_selector);
}

/* Each watch lasts another time, so that those of many nodes do not end together. */
static unsigned append_watch_query(const struct reflector *reflector, struct buffer *target)
{
	unsigned seconds = reflector->watch_seconds + (unsigned)(random_take(reflector->random) %
								 (reflector->watch_seconds + 1));

	buffer_printf(target, "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u", seconds);
	buffer_append_text(target, "&resourceVersion=");
	append_escaped(target, reflector->resource_version);
	if (reflector->field_selector)
		buffer_printf(target, "&fieldSelector=%s", reflector->field_selector);
	return seconds;
}

void reflector_ask(struct reflector *reflector, uint64_t now_ns,
		   struct reflector_request *ret_request)
{
	struct reflector_request *request = ret_request;

	clear_answer(reflector);
	reflector->answer.asked_ns = now_ns;
	request->is_watch = reflector->step == REFLECTOR_WATCH;
	request->timeout_s = LIST_TIMEOUT_S;
	append_path(reflector, &request->target);
	if (reflector->step == REFLECTOR_LIST)
		append_list_query(reflector, &request->target);
	else if (request->is_watch)
		request->timeout_s =
			append_watch_query(reflector, &request->target) + WATCH_GRACE_S;
	if (reflector->step == REFLECTOR_LIST && !reflector->rest)
		kubernetes_objects_free(&reflector->listing);
}

/* Says why once more only where it is not known yet. */
static void note_reason(struct reflector *reflector, const char *reason)
{
	if (!reflector->answer.reason[0])
		snprintf(reflector->answer.reason, sizeof(reflector->answer.reason), "%s", reason);
}

/* One that cannot be read costs itself alone. */
static int refuse_object(struct reflector *reflector)
{
	reflector->refused++;
	log_warning("object of the API server not understood", log_text("kind", reflector->plural));
	return 0;
}

static int read_object(struct reflector *reflector, json_t *item,
		       struct kubernetes_object *ret_object)
{
	return kubernetes_object_read(&reflector->kind, reflector->version, item, ret_object);
}

static int take_item(void *context, struct span text)
{
	struct reflector *reflector = context;
	struct kubernetes_object object;
	json_t *item = json_loadb(text.data, text.length, 0, NULL);
	int error = item ? read_object(reflector, item, &object) : -EINVAL;

	json_decref(item);
	if (error == -EINVAL)
		return refuse_object(reflector);
	return error ? error : kubernetes_objects_add(&reflector->listing, &object);
}

static const char *version_of(json_t *object)
{
	json_t *metadata = json_object_get(object, "metadata");
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));

	return version && *version && strlen(version) <= MAX_TOKEN_BYTES ? version : NULL;
}

static int set_text(char **text, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

/* Of a Status, which errors are. */
static void note_status(struct reflector *reflector, json_t *status)
{
	const char *message = json_string_value(json_object_get(status, "message"));

	if (message)
		note_reason(reflector, message);
	reflector->answer.expired = json_integer_value(json_object_get(status, "code")) == 410 ||
				    reflector->answer.expired;
}

static int take_change(struct reflector *reflector, const char *type, json_t *object)
{
	struct kubernetes_object read;
	bool changed = false;
	int error = strcmp(type, "BOOKMARK") ? read_object(reflector, object, &read) : -ENODATA;

	if (error == -EINVAL) {
		refuse_object(reflector);
	} else if (error == 0 && strcmp(type, "DELETED") == 0) {
		changed = kubernetes_objects_remove(&reflector->objects, read.namespace, read.name);
		kubernetes_object_free(&read);
	} else if (error == 0) {
		error = kubernetes_objects_put(&reflector->objects, &read, &changed);
	}
	reflector->changed = reflector->changed || changed;
	return error == -EINVAL || error == -ENODATA ? 0 : error;
}

static int take_event(struct reflector *reflector, struct span line, uint64_t now_ns)
{
	json_t *event = json_loadb(line.data, line.length, 0, NULL);
	const char *type = json_string_value(json_object_get(event, "type"));
	json_t *object = json_object_get(event, "object");
	const char *version = version_of(object);
	int error = -EBADMSG;

	if (type && strcmp(type, "ERROR") == 0) {
		note_status(reflector, object);
		error = -ECANCELED;
	} else if (type && version &&
		   (!strcmp(type, "ADDED") || !strcmp(type, "MODIFIED") ||
		    !strcmp(type, "DELETED") || !strcmp(type, "BOOKMARK"))) {
		error = take_change(reflector, type, object);
		if (error == 0)
			error = set_text(&reflector->resource_version, version);
		reflector->answer.heard = true;
		reflector->heard_ns = now_ns;
		reflector->failures = 0;
	}
	json_decref(event);
	if (error == -EBADMSG)
		note_reason(reflector, "no event of a watch");
	return error;
}

static int keep(struct buffer *body, struct span bytes, size_t maximum)
{
	if (bytes.length > maximum - body->length)
		return -EFBIG;
	buffer_append_span(body, bytes);
	return body->failed ? -ENOMEM : 0;
}

/* An event is a line. */
static int receive_events(struct reflector *reflector, struct span bytes, uint64_t now_ns)
{
	struct buffer *body = &reflector->answer.body;
	struct span line;
	int error = 0;

	while (error == 0 && bytes.length) {
		bool whole = memchr(bytes.data, '\n', bytes.length) != NULL;

		span_cut(bytes, '\n', &line, &bytes);
		error = keep(body, line, KUBERNETES_MAX_OBJECT_BYTES);
		if (error || !whole)
			break;
		if (span_trim(buffer_span(body)).length)
			error = take_event(reflector, buffer_span(body), now_ns);
		buffer_clear(body);
	}
	return error;
}

int reflector_receive(struct reflector *reflector, int status, struct span bytes, uint64_t now_ns)
{
	int error;

	if (status == 200 && reflector->step == REFLECTOR_LIST)
		error = kubernetes_list_feed(&reflector->answer.list, bytes);
	else if (status == 200 && reflector->step == REFLECTOR_WATCH)
		error = receive_events(reflector, bytes, now_ns);
	else
		error = keep(&reflector->answer.body, bytes, MAX_BODY_BYTES);
	if (error)
		note_reason(reflector, error == -EBADMSG ? "no list" : strerror(-error));
	return error;
}

/* Full jitter: any time up to the bound, so that a thousand agents do not come back together. */
static void back_off(struct reflector *reflector, uint64_t most_ns, unsigned retry_after_s,
		     uint64_t now_ns)
{
	unsigned shift = reflector->failures < 10 ? reflector->failures : 10;
	uint64_t bound_ns = BACKOFF_FIRST_NS << shift;

	if (bound_ns > most_ns)
		bound_ns = most_ns;
	if (retry_after_s > RETRY_AFTER_MOST_S)
		retry_after_s = RETRY_AFTER_MOST_S;
	reflector->due_ns =
		now_ns + retry_after_s * SECOND_NS + random_take(reflector->random) % bound_ns + 1;
	reflector->failures++;
}

static void go_on(struct reflector *reflector, enum reflector_step step)
{
	reflector->step = step;
	reflector->due_ns = 0;
}

/* Of what the server has now, not of what it had in its copy a while ago. */
static void list_again(struct reflector *reflector)
{
	set_text(&reflector->rest, NULL);
	kubernetes_objects_free(&reflector->listing);
	reflector->from_cache = false;
	reflector->step = REFLECTOR_LIST;
}

static void fail(struct reflector *reflector, int status, unsigned retry_after_s, uint64_t now_ns)
{
	bool refused = status == 401 || status == 403 || status == 404;

	log_warning("API server", log_text("kind", reflector->plural),
		    log_text("namespace", reflector->namespace ? reflector->namespace : "*"),
		    log_text("step", reflector_step_name(reflector->step)),
		    log_number("status", (uint64_t)status),
		    log_text("reason", reflector->answer.reason));
	reflector->failed++;
	memcpy(reflector->latest_failure, reflector->answer.reason,
	       sizeof(reflector->latest_failure));
	if (reflector->step == REFLECTOR_LIST) {
		/* A list is of one moment: what is missing of it is not of this one. */
		list_again(reflector);
	} else if (reflector->step == REFLECTOR_WATCH &&
		   (reflector->answer.expired || status == 410 || status == 403 || status == 404 ||
		    reflector->failures >= WATCHES_BEFORE_LIST)) {
		list_again(reflector);
	}
	/* Perhaps the kind has gone, or has another version now. */
	if (!is_core(reflector) && (status == 403 || status == 404))
		reflector->step = REFLECTOR_GROUP;
	back_off(reflector, refused ? BACKOFF_REFUSED_MOST_NS : BACKOFF_MOST_NS, retry_after_s,
		 now_ns);
}

/* The cluster does not have the kind: then there is none of it. */
static void note_absent(struct reflector *reflector, uint64_t now_ns)
{
	bool had_some = reflector->objects.count > 0;

	if (!reflector->absent_ns)
		reflector->absent_ns = now_ns;
	reflector->step = REFLECTOR_GROUP;
	reflector->failures = 0;
	reflector->heard_ns = now_ns;
	if (!had_some || now_ns - reflector->absent_ns >= ABSENT_SURE_NS) {
		kubernetes_objects_free(&reflector->objects);
		reflector->changed = reflector->changed || had_some;
		reflector->listed = true;
	}
	reflector->due_ns = now_ns + (had_some ? 10 * SECOND_NS : ABSENT_ASK_NS) +
			    random_take(reflector->random) % ABSENT_ASK_NS;
}

static bool is_known_version(const struct reflector *reflector, const char *version)
{
	const char *const *known = reflector->kind.versions;

	while (version && *known && strcmp(*known, version))
		known++;
	return version && *known;
}

/* The server's choice, or else the last that it has of those that are known. */
static bool choose_version(struct reflector *reflector, json_t *group)
{
	json_t *preferred = json_object_get(group, "preferredVersion"), *each;
	const char *chosen = json_string_value(json_object_get(preferred, "version"));
	size_t i;

	if (!is_known_version(reflector, chosen))
		chosen = NULL;
	json_array_foreach(json_object_get(group, "versions"), i, each)
	{
		const char *version = json_string_value(json_object_get(each, "version"));

		if (!chosen && is_known_version(reflector, version))
			chosen = version;
	}
	if (chosen)
		snprintf(reflector->version, sizeof(reflector->version), "%s", chosen);
	return chosen;
}

static bool has_resource(const struct reflector *reflector, json_t *list)
{
	json_t *each;
	size_t i;

	json_array_foreach(json_object_get(list, "resources"), i, each)
	{
		const char *name = json_string_value(json_object_get(each, "name"));

		if (name && strcmp(name, reflector->resource) == 0)
			return true;
	}
	return false;
}

/* True: the body is an answer to the question; *ret_there says which. */
static bool read_discovery(struct reflector *reflector, int status, bool *ret_there)
{
	struct span body = buffer_span(&reflector->answer.body);
	json_t *answer = status == 200 ? json_loadb(body.data, body.length, 0, NULL) : NULL;
	const char *kind = json_string_value(json_object_get(answer, "kind"));
	bool is_group = reflector->step == REFLECTOR_GROUP;
	bool understood = kind && strcmp(kind, is_group ? "APIGroup" : "APIResourceList") == 0;

	*ret_there = false;
	if (understood)
		*ret_there = is_group ? choose_version(reflector, answer)
				      : has_resource(reflector, answer);
	else if (status == 200)
		note_reason(reflector, "not what was asked for");
	json_decref(answer);
	return understood || status == 404;
}

static bool end_discovery(struct reflector *reflector, int status, uint64_t now_ns)
{
	bool is_there;

	if (!read_discovery(reflector, status, &is_there))
		return false;
	if (!is_there)
		note_absent(reflector, now_ns);
	else if (reflector->step == REFLECTOR_GROUP)
		go_on(reflector, REFLECTOR_RESOURCES);
	else
		go_on(reflector, REFLECTOR_LIST);
	return true;
}

static void publish_listing(struct reflector *reflector, uint64_t now_ns)
{
	kubernetes_objects_sort(&reflector->listing);
	if (!kubernetes_objects_equal(&reflector->objects, &reflector->listing))
		reflector->changed = true;
	kubernetes_objects_free(&reflector->objects);
	reflector->objects = reflector->listing;
	reflector->listing = (struct kubernetes_objects){0};
	reflector->listed = true;
	reflector->heard_ns = now_ns;
	reflector->absent_ns = 0;
	reflector->failures = 0;
}

static bool end_list(struct reflector *reflector, uint64_t now_ns)
{
	struct span text = buffer_span(&reflector->answer.list.metadata);
	bool whole = kubernetes_list_is_whole(&reflector->answer.list);
	json_t *metadata = whole ? json_loadb(text.data, text.length, 0, NULL) : NULL;
	const char *rest = json_string_value(json_object_get(metadata, "continue"));
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));
	bool good = version && *version && strlen(version) <= MAX_TOKEN_BYTES &&
		    (!rest || strlen(rest) <= MAX_TOKEN_BYTES) &&
		    set_text(&reflector->rest, rest && *rest ? rest : NULL) == 0 &&
		    set_text(&reflector->resource_version, version) == 0;

	json_decref(metadata);
	if (!good) {
		note_reason(reflector,
			    whole ? "a list without a resourceVersion" : "no whole list");
		return false;
	}
	if (!reflector->rest)
		publish_listing(reflector, now_ns);
	go_on(reflector, reflector->rest ? REFLECTOR_LIST : REFLECTOR_WATCH);
	return true;
}

/* Watches end by themselves after the time that was asked for. One that ends at once is no good. */
static bool end_watch(struct reflector *reflector, uint64_t now_ns)
{
	if (!reflector->answer.heard && now_ns - reflector->answer.asked_ns < WATCH_SHORTEST_NS) {
		note_reason(reflector, "a watch that ended at once");
		return false;
	}
	reflector->heard_ns = now_ns;
	reflector->failures = 0;
	go_on(reflector, REFLECTOR_WATCH);
	return true;
}

static void note_error_body(struct reflector *reflector, int status)
{
	struct span body = buffer_span(&reflector->answer.body);
	json_t *answer = json_loadb(body.data, body.length, 0, NULL);
	char text[32];

	if (answer)
		note_status(reflector, answer);
	json_decref(answer);
	snprintf(text, sizeof(text), "status %d", status);
	note_reason(reflector, text);
}

void reflector_end(struct reflector *reflector, int status, const char *failure,
		   unsigned retry_after_s, uint64_t now_ns)
{
	bool good = false;

	if (failure)
		note_reason(reflector, failure);
	else if (reflector->step == REFLECTOR_GROUP || reflector->step == REFLECTOR_RESOURCES)
		good = end_discovery(reflector, status, now_ns);
	else if (status == 200)
		good = reflector->step == REFLECTOR_LIST ? end_list(reflector, now_ns)
							 : end_watch(reflector, now_ns);
	if (!good && status != 200 && status)
		note_error_body(reflector, status);
	if (!good)
		fail(reflector, status, retry_after_s, now_ns);
	clear_answer(reflector);
}
