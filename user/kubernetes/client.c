/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One thread with one transfer per kind and namespace (libcurl's multi interface). HTTP/1.1: each
 * watch has a connection of its own, so that TCP itself finds out that one has died. The lock guards
 * the reflectors; it is never held while the thread waits.
 */
#include "kubernetes/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "kubernetes/saved_state.h"
#include "version.h"

#define SECOND_NS UINT64_C(1000000000)
#define CONNECT_TIMEOUT_S 10L
#define SILENCE_S 30L /* of a list */
#define KEEPALIVE_IDLE_S 15L
#define KEEPALIVE_INTERVAL_S 5L
#define UNACKNOWLEDGED_MS 30000
#define NOTICE_NS SECOND_NS	 /* at least, between two */
#define SAVE_NS (10 * SECOND_NS) /* at least, between two */
#define POLL_MOST_MS 1000

struct transfer {
	struct kubernetes_client *client;
	struct reflector *reflector;
	CURL *easy;
	struct curl_slist *fields, *connect_to;
	bool under_way;
	char error[CURL_ERROR_SIZE];
};

struct kubernetes_client {
	struct kubernetes_options options;
	pthread_t thread;
	bool runs;
	atomic_bool stopping;
	CURLM *multi;
	int notices;
	char *scope;
	struct transfer *transfers;
	size_t count; /* of transfers and of reflectors */
	bool has_saved;
	uint64_t next_notice_ns, next_save_ns;
	bool notice_due, save_due;

	pthread_mutex_t lock;
	struct reflector *reflectors;
	struct random_numbers random;
	uint64_t started_ns;
	bool listed; /* all of them */
};

/* Whatever is done here is asked for by an account of the cluster's: it needs no right here. */
static void give_up_rights(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
	sigset_t signals;

	syscall(SYS_capset, &header, none);
	sigfillset(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static size_t receive(char *bytes, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	pthread_mutex_lock(&transfer->client->lock);
	int error = reflector_receive(transfer->reflector, (int)status,
				      (struct span){bytes, size * count}, clock_now_ns());
	pthread_mutex_unlock(&transfer->client->lock);
	return error ? CURL_WRITEFUNC_ERROR : size * count;
}

/* What was sent and is never acknowledged ends the connection, as what was never sent does. */
static int set_socket_options(void *context, curl_socket_t socket, curlsocktype purpose)
{
	int milliseconds = UNACKNOWLEDGED_MS;

	(void)context;
	(void)purpose;
	setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof(milliseconds));
	return CURL_SOCKOPT_OK;
}

/* A secret that could end its line would be two fields of the head. */
static bool is_token(const struct buffer *text)
{
	for (size_t i = 0; i < text->length; i++) {
		if ((unsigned char)text->data[i] <= ' ' || (unsigned char)text->data[i] >= 0x7f)
			return false;
	}
	return true;
}

static int set_fields(struct transfer *transfer)
{
	struct buffer text = {0}, line = {0};
	int error = kubernetes_text_read(&transfer->client->options.access.token, &text);

	if (error == 0 && !is_token(&text))
		error = -EINVAL;
	curl_slist_free_all(transfer->fields);
	transfer->fields = curl_slist_append(NULL, "Accept: application/json");
	if (error == 0 && text.length) {
		buffer_append_text(&line, "Authorization: Bearer ");
		buffer_append_span(&line, buffer_span(&text));
		if (buffer_text(&line))
			transfer->fields = curl_slist_append(transfer->fields, buffer_text(&line));
	}
	if (text.data)
		explicit_bzero(text.data, text.length);
	if (line.data)
		explicit_bzero(line.data, line.length);
	buffer_free(&text);
	buffer_free(&line);
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->fields);
	return error;
}

static int set_blob(struct transfer *transfer, CURLoption option,
		    const struct kubernetes_text *source)
{
	struct buffer text = {0};
	int error = kubernetes_text_read(source, &text);

	if (error == 0 && text.length) {
		struct curl_blob blob = {text.data, text.length, CURL_BLOB_COPY};

		error = curl_easy_setopt(transfer->easy, option, &blob) ? -ENOMEM : 0;
	}
	if (text.data)
		explicit_bzero(text.data, text.length);
	buffer_free(&text);
	return error;
}

static int set_secrets(struct transfer *transfer)
{
	const struct kubernetes_access *access = &transfer->client->options.access;
	int error = set_fields(transfer);

	if (error == 0)
		error = set_blob(transfer, CURLOPT_CAINFO_BLOB, &access->authority);
	if (error == 0)
		error = set_blob(transfer, CURLOPT_SSLCERT_BLOB, &access->certificate);
	if (error == 0)
		error = set_blob(transfer, CURLOPT_SSLKEY_BLOB, &access->key);
	return error;
}

/* Where the certificate is for another name than the address that is connected to. */
static char *name_server(struct transfer *transfer, const char *server, const char *name)
{
	CURLU *url = curl_url();
	char *host = NULL, *port = NULL, *text = NULL, *named = NULL, *connect_to = NULL;

	if (url && !curl_url_set(url, CURLUPART_URL, server, 0) &&
	    !curl_url_get(url, CURLUPART_HOST, &host, 0) &&
	    !curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
	    !curl_url_set(url, CURLUPART_HOST, name, 0) &&
	    !curl_url_get(url, CURLUPART_URL, &text, 0) &&
	    asprintf(&connect_to, "::%s:%s", host, port) >= 0) {
		curl_slist_free_all(transfer->connect_to);
		transfer->connect_to = curl_slist_append(NULL, connect_to);
		curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, transfer->connect_to);
		free(connect_to);
		named = strdup(text);
		while (named && *named && named[strlen(named) - 1] == '/')
			named[strlen(named) - 1] = '\0';
	}
	curl_free(host);
	curl_free(port);
	curl_free(text);
	curl_url_cleanup(url);
	return named;
}

static int set_url(struct transfer *transfer, const struct reflector_request *request)
{
	const struct kubernetes_access *access = &transfer->client->options.access;
	char *named = access->server_name
			      ? name_server(transfer, access->server, access->server_name)
			      : NULL;
	struct buffer url = {0};
	int error = -ENOMEM;

	if (named || !access->server_name) {
		buffer_append_text(&url, named ? named : access->server);
		buffer_append_span(&url, buffer_span(&request->target));
		if (!request->target.failed && buffer_text(&url) &&
		    !curl_easy_setopt(transfer->easy, CURLOPT_URL, buffer_text(&url)))
			error = 0;
	}
	free(named);
	buffer_free(&url);
	return error;
}

static void set_way(struct transfer *transfer, const struct reflector_request *request)
{
	CURL *easy = transfer->easy;
	bool secure = !transfer->client->options.access.insecure;

	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, secure ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, secure ? 2L : 0L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)request->timeout_s);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, request->is_watch ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, request->is_watch ? 0L : SILENCE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, set_socket_options);
	/* The server writes for people where it knows a browser or curl. */
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "lanetag/" LANETAG_VERSION);
	curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
}

static void end_transfer(struct transfer *transfer, int status, const char *failure)
{
	struct kubernetes_client *client = transfer->client;
	curl_off_t retry_after_s = 0;

	if (transfer->easy)
		curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	pthread_mutex_lock(&client->lock);
	reflector_end(transfer->reflector, status, failure,
		      retry_after_s > 0 && retry_after_s < UINT16_MAX ? (unsigned)retry_after_s : 0,
		      clock_now_ns());
	pthread_mutex_unlock(&client->lock);
	transfer->under_way = false;
}

static void start_transfer(struct transfer *transfer)
{
	struct kubernetes_client *client = transfer->client;
	struct reflector_request request = {0};
	int error = -ENOMEM;

	pthread_mutex_lock(&client->lock);
	reflector_ask(transfer->reflector, clock_now_ns(), &request);
	pthread_mutex_unlock(&client->lock);
	if (!transfer->easy)
		transfer->easy = curl_easy_init();
	if (transfer->easy) {
		curl_easy_reset(transfer->easy);
		transfer->error[0] = '\0';
		set_way(transfer, &request);
		error = set_url(transfer, &request);
	}
	if (error == 0)
		error = set_secrets(transfer);
	if (error == 0 && curl_multi_add_handle(client->multi, transfer->easy))
		error = -ENOMEM;
	if (error)
		end_transfer(transfer, 0,
			     error == -ENOMEM ? "out of memory"
					      : "the account's token or certificate "
						"cannot be read");
	else
		transfer->under_way = true;
	buffer_free(&request.target);
}

static void read_ends(struct kubernetes_client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left))) {
		struct transfer *transfer = NULL;
		long status = 0;
		CURLcode result = message->data.result;
		CURL *easy = message->easy_handle;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		curl_multi_remove_handle(client->multi, easy);
		const char *said =
			transfer->error[0] ? transfer->error : curl_easy_strerror(result);
		end_transfer(transfer, (int)status, result ? said : NULL);
	}
}

/* Gives how long to wait, in ms. */
static int start_due(struct kubernetes_client *client)
{
	uint64_t now = clock_now_ns(), due = now + POLL_MOST_MS * UINT64_C(1000000);

	for (size_t i = 0; i < client->count; i++) {
		struct transfer *transfer = &client->transfers[i];

		if (transfer->under_way)
			continue;
		if (transfer->reflector->due_ns <= now)
			start_transfer(transfer);
		if (!transfer->under_way && transfer->reflector->due_ns < due)
			due = transfer->reflector->due_ns;
	}
	if (client->notice_due && client->next_notice_ns < due)
		due = client->next_notice_ns;
	return due <= now ? 0 : (int)((due - now) / 1000000 + 1);
}

static void look_for_changes(struct kubernetes_client *client)
{
	bool listed = true, changed = false;

	pthread_mutex_lock(&client->lock);
	for (size_t i = 0; i < client->count; i++) {
		struct reflector *reflector = &client->reflectors[i];

		listed = listed && reflector->listed;
		changed = changed || reflector->changed;
		reflector->changed = false;
	}
	/* When all are known for the first time, that is something new. */
	changed = changed || (listed && !client->listed);
	client->listed = client->listed || listed;
	client->notice_due = client->notice_due || changed;
	client->save_due = client->save_due || changed;
	pthread_mutex_unlock(&client->lock);
}

static void notify(struct kubernetes_client *client, uint64_t now)
{
	const uint64_t one = 1;

	if (!client->notice_due || now < client->next_notice_ns)
		return;
	if (!client->listed && !client->has_saved)
		return;
	client->notice_due = false;
	client->next_notice_ns = now + NOTICE_NS;
	if (write(client->notices, &one, sizeof(one)) < 0)
		log_error("change of the cluster not passed on", log_errno(-errno));
}

static void save(struct kubernetes_client *client, uint64_t now)
{
	const char *path = client->options.state_file;
	struct buffer text = {0};

	if (!path || !*path || !client->save_due || !client->listed || now < client->next_save_ns)
		return;
	client->save_due = false;
	client->next_save_ns = now + SAVE_NS;
	pthread_mutex_lock(&client->lock);
	saved_state_write(client->scope, client->reflectors, client->count, &text);
	pthread_mutex_unlock(&client->lock);
	int error = text.failed ? -ENOMEM : saved_state_store(path, buffer_span(&text));
	if (error)
		log_warning("state of the cluster not saved", log_text("file", path),
			    log_errno(error));
	buffer_free(&text);
}

static void *run(void *context)
{
	struct kubernetes_client *client = context;
	int running;

	give_up_rights();
	while (!client->stopping) {
		int wait_ms = start_due(client);

		curl_multi_perform(client->multi, &running);
		read_ends(client);
		look_for_changes(client);
		notify(client, clock_now_ns());
		save(client, clock_now_ns());
		/* What ended just now has a next request, perhaps at once. */
		for (size_t i = 0; i < client->count; i++) {
			if (!client->transfers[i].under_way && !client->reflectors[i].due_ns)
				wait_ms = 0;
		}
		curl_multi_poll(client->multi, NULL, 0, wait_ms, NULL);
	}
	save(client, UINT64_MAX);
	return NULL;
}

/* The kinds that the subjects are about, in each namespace. */
static int make_reflectors(struct kubernetes_client *client)
{
	const struct kubernetes_options *options = &client->options;
	size_t namespaces = options->namespace_count ? options->namespace_count : 1;
	struct manifest_kind kind;
	size_t kinds = 0;

	while (manifest_kind_describe(kinds, &kind))
		kinds++;
	client->reflectors = calloc(kinds * namespaces, sizeof(*client->reflectors));
	client->transfers = calloc(kinds * namespaces, sizeof(*client->transfers));
	if (!client->reflectors || !client->transfers)
		return -ENOMEM;
	for (size_t i = 0; manifest_kind_describe(i, &kind); i++) {
		for (size_t j = 0; j < namespaces && (kind.subject & options->subjects); j++) {
			size_t index = client->count++;

			reflector_init(&client->reflectors[index], &kind,
				       options->namespace_count ? options->namespaces[j] : NULL,
				       options->watch_seconds, &client->random);
			client->transfers[index] = (struct transfer){
				.client = client, .reflector = &client->reflectors[index]};
		}
	}
	return 0;
}

static int name_scope(struct kubernetes_client *client)
{
	const struct kubernetes_options *options = &client->options;
	struct buffer scope = {0};

	buffer_printf(&scope, "%s %u", options->access.server, options->subjects);
	for (size_t i = 0; i < options->namespace_count; i++)
		buffer_printf(&scope, " %s", options->namespaces[i]);
	client->scope = buffer_text(&scope) ? strdup(buffer_text(&scope)) : NULL;
	buffer_free(&scope);
	return client->scope ? 0 : -ENOMEM;
}

static void load_saved(struct kubernetes_client *client)
{
	const char *path = client->options.state_file;

	if (!path || !*path)
		return;
	int error = saved_state_load(path, client->scope, client->reflectors, client->count);
	client->has_saved = error == 0;
	if (error && error != -ENOENT)
		log_warning("saved state of the cluster passed over", log_text("file", path),
			    log_errno(error));
}

static int start(struct kubernetes_client *client)
{
	int error = make_reflectors(client);

	if (error == 0)
		error = name_scope(client);
	if (error)
		return error;
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return -ENOMEM;
	client->multi = curl_multi_init();
	client->notices = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!client->multi || client->notices < 0)
		return client->multi ? -errno : -ENOMEM;
	load_saved(client);
	error = -pthread_create(&client->thread, NULL, run, client);
	client->runs = error == 0;
	return error;
}

int kubernetes_open(const struct kubernetes_options *options, struct kubernetes_client **ret_client)
{
	struct kubernetes_client *client = calloc(1, sizeof(*client));

	if (!client)
		return -ENOMEM;
	client->options = *options;
	if (!client->options.watch_seconds)
		client->options.watch_seconds = KUBERNETES_WATCH_SECONDS;
	client->notices = -1;
	client->started_ns = clock_now_ns();
	pthread_mutex_init(&client->lock, NULL);
	int error = start(client);
	if (error)
		kubernetes_close(client);
	else
		*ret_client = client;
	return error;
}

void kubernetes_close(struct kubernetes_client *client)
{
	if (!client)
		return;
	client->stopping = true;
	if (client->runs) {
		curl_multi_wakeup(client->multi);
		pthread_join(client->thread, NULL);
	}
	for (size_t i = 0; i < client->count; i++) {
		struct transfer *transfer = &client->transfers[i];

		if (transfer->under_way)
			curl_multi_remove_handle(client->multi, transfer->easy);
		curl_easy_cleanup(transfer->easy);
		curl_slist_free_all(transfer->fields);
		curl_slist_free_all(transfer->connect_to);
		reflector_free(&client->reflectors[i]);
	}
	curl_multi_cleanup(client->multi);
	if (client->notices >= 0)
		close(client->notices);
	pthread_mutex_destroy(&client->lock);
	free(client->transfers);
	free(client->reflectors);
	free(client->scope);
	free(client);
}

int kubernetes_fd(const struct kubernetes_client *client)
{
	return client->notices;
}

bool kubernetes_changed(struct kubernetes_client *client)
{
	uint64_t count;

	return read(client->notices, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

bool kubernetes_is_listed(struct kubernetes_client *client)
{
	pthread_mutex_lock(&client->lock);
	bool listed = client->listed;
	pthread_mutex_unlock(&client->lock);
	return listed;
}

bool kubernetes_has_saved(const struct kubernetes_client *client)
{
	return client->has_saved;
}

void kubernetes_describe_failure(struct kubernetes_client *client, char *ret_text, size_t size,
				 uint64_t *ret_failures)
{
	*ret_failures = 0;
	*ret_text = '\0';
	pthread_mutex_lock(&client->lock);
	for (size_t i = 0; i < client->count; i++) {
		const struct reflector *reflector = &client->reflectors[i];

		if (reflector->listed || reflector->failed <= *ret_failures)
			continue;
		*ret_failures = reflector->failed;
		snprintf(ret_text, size, "%s: %s", reflector->plural, reflector->latest_failure);
	}
	pthread_mutex_unlock(&client->lock);
}

static int copy_object(const struct reflector *reflector, const struct kubernetes_object *object,
		       struct manifest_file *file)
{
	if (asprintf(&file->name, "%s/%s/%s", object->namespace, reflector->plural, object->name) <
	    0)
		file->name = NULL;
	file->text = strdup(object->text);
	file->length = file->text ? strlen(file->text) : 0;
	return file->name && file->text ? 0 : -ENOMEM;
}

static size_t count_objects(const struct kubernetes_client *client)
{
	size_t count = 0;

	for (size_t i = 0; i < client->count; i++)
		count += client->reflectors[i].objects.count;
	return count;
}

int kubernetes_read(struct kubernetes_client *client, struct manifest_file **ret_objects,
		    size_t *ret_count)
{
	int error = 0;
	size_t count = 0;

	pthread_mutex_lock(&client->lock);
	struct manifest_file *files = calloc(count_objects(client) + 1, sizeof(*files));
	for (size_t i = 0; i < client->count && files && !error; i++) {
		const struct reflector *reflector = &client->reflectors[i];

		for (size_t j = 0; j < reflector->objects.count && !error; j++)
			error = copy_object(reflector, &reflector->objects.items[j],
					    &files[count++]);
	}
	pthread_mutex_unlock(&client->lock);
	if (!files || error) {
		manifest_files_free(files, count);
		return -ENOMEM;
	}
	*ret_objects = files;
	*ret_count = count;
	return 0;
}

static void add_to_report(const struct kubernetes_client *client, const struct reflector *reflector,
			  struct kubernetes_kind_report *report)
{
	uint64_t heard = reflector->heard_ns ? reflector->heard_ns : client->started_ns;
	uint64_t now = clock_now_ns(), age_s = now > heard ? (now - heard) / SECOND_NS : 0;

	memcpy(report->plural, reflector->plural, sizeof(report->plural));
	if (age_s > report->age_s)
		report->age_s = age_s;
	report->objects += reflector->objects.count;
	report->failed += reflector->failed;
	report->refused += reflector->refused;
}

size_t kubernetes_report(struct kubernetes_client *client,
			 struct kubernetes_kind_report reports[KUBERNETES_MAX_KINDS])
{
	size_t count = 0;

	pthread_mutex_lock(&client->lock);
	for (size_t i = 0; i < client->count; i++) {
		const struct reflector *reflector = &client->reflectors[i];
		bool is_next =
			i == 0 || strcmp(client->reflectors[i - 1].plural, reflector->plural) != 0;

		if (is_next && count == KUBERNETES_MAX_KINDS)
			break;
		if (is_next)
			reports[count++] = (struct kubernetes_kind_report){0};
		add_to_report(client, reflector, &reports[count - 1]);
	}
	pthread_mutex_unlock(&client->lock);
	return count;
}
