/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which calls of an application's threads have which tags. Each row is a process of its own, since
 * the kernel judges processes: its main thread is client and agent, its workers are the
 * application's threads.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include <bpf/btf.h>
#include <cmocka.h>
#include "kernel/sandbox.h"
#include "kernel/threads.h"

#define NONE "(none)"

static struct tagger *arrivals;
static struct threads *threads;
static int server_listener, agent_listener;
static uint16_t server_port, agent_port;

/* Ends the row's process. */
#define REQUIRE(good)                                                                             \
	do {                                                                                      \
		if (!(good)) {                                                                    \
			printf("# %s:%d: %s (%s)\n", __FILE__, __LINE__, #good, strerror(errno)); \
			fflush(stdout);                                                           \
			_exit(1);                                                                 \
		}                                                                                 \
	} while (0)

enum task { TASK_RECEIVE, TASK_RECEIVE_UNSEEN, TASK_FIND_RESET, TASK_SEND, TASK_CLOSE, TASK_END };

/* A thread that does one thing after the other, as it is told. */
struct worker {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool told;
	enum task task;
	int fd;
	int flags;
	size_t length; /* at most so many bytes are received */
};

/* splice(2) passes the tracepoint by. */
static void receive_unseen(int fd)
{
	int pipe[2];

	REQUIRE(pipe2(pipe, O_CLOEXEC) == 0);
	REQUIRE(splice(fd, NULL, pipe[1], NULL, 65536, 0) > 0);
	close(pipe[0]);
	close(pipe[1]);
}

static void do_task(const struct worker *worker)
{
	static const char bytes[] = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";
	char room[65536];

	switch (worker->task) {
	case TASK_RECEIVE:
		REQUIRE(recv(worker->fd, room, worker->length, worker->flags) > 0);
		break;
	case TASK_RECEIVE_UNSEEN:
		receive_unseen(worker->fd);
		break;
	case TASK_FIND_RESET:
		REQUIRE(recv(worker->fd, room, sizeof(room), 0) < 0 && errno == ECONNRESET);
		break;
	case TASK_SEND:
		REQUIRE(send(worker->fd, bytes, sizeof(bytes) - 1, MSG_NOSIGNAL) ==
			(ssize_t)sizeof(bytes) - 1);
		break;
	case TASK_CLOSE:
		close(worker->fd);
		break;
	case TASK_END:
		break;
	}
}

static void *work(void *context)
{
	struct worker *worker = context;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		while (!worker->told)
			pthread_cond_wait(&worker->changed, &worker->lock);
		if (worker->task == TASK_END)
			break;
		do_task(worker);
		worker->told = false;
		pthread_cond_broadcast(&worker->changed);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

static void worker_start(struct worker *worker)
{
	*worker = (struct worker){.lock = PTHREAD_MUTEX_INITIALIZER,
				  .changed = PTHREAD_COND_INITIALIZER};
	REQUIRE(pthread_create(&worker->thread, NULL, work, worker) == 0);
}

/* Waits until it is done. */
static void tell(struct worker *worker, enum task task, int fd, int flags, size_t length)
{
	pthread_mutex_lock(&worker->lock);
	worker->task = task;
	worker->fd = fd;
	worker->flags = flags;
	worker->length = length;
	worker->told = true;
	pthread_cond_broadcast(&worker->changed);
	while (worker->told)
		pthread_cond_wait(&worker->changed, &worker->lock);
	pthread_mutex_unlock(&worker->lock);
}

static void receive(struct worker *worker, int fd)
{
	tell(worker, TASK_RECEIVE, fd, 0, 65536);
}

static void reply(struct worker *worker, int fd)
{
	tell(worker, TASK_SEND, fd, 0, 0);
}

/* A connection: the application has `server` of one, `client` of one to the agent. */
static struct sandbox_connection to_application(void)
{
	struct sandbox_connection connection;

	sandbox_connect(server_listener, server_port, &connection);
	return connection;
}

static struct sandbox_connection to_agent(void)
{
	struct sandbox_connection connection;

	sandbox_connect(agent_listener, agent_port, &connection);
	return connection;
}

static void request(const struct sandbox_connection *connection, const char *tags)
{
	char text[512];
	int length = snprintf(text, sizeof(text),
			      "GET / HTTP/1.1\r\nHost: a\r\nbaggage: %s\r\n\r\n", tags);

	REQUIRE(send(connection->client, text, (size_t)length, MSG_NOSIGNAL) == length);
}

static const char *tags_at(const struct sandbox_connection *connection, uint64_t position)
{
	static char text[LANETAG_ARRIVAL_MAX_TAGS + 1];
	struct arrivals_tags tags;

	if (threads_find(threads, &connection->key, position, &tags) != ARRIVALS_FOUND)
		return NONE;
	memcpy(text, tags.text, tags.length);
	text[tags.length] = '\0';
	return text;
}

/* The worker makes a call; the tags that it has. */
static const char *call(struct worker *worker, struct sandbox_connection *connection)
{
	uint64_t position = connection->position;
	char room[256];

	tell(worker, TASK_SEND, connection->client, 0, 0);
	ssize_t length = recv(connection->server, room, sizeof(room), 0);
	REQUIRE(length > 0);
	connection->position += (uint64_t)length;
	return tags_at(connection, position);
}

static void serve(struct worker *worker, const struct sandbox_connection *connection,
		  unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		request(connection, "t=0");
		receive(worker, connection->server);
		reply(worker, connection->server);
	}
}

/* A worker of a process that is believed, with a connection to it and one to the agent. */
struct scene {
	struct worker worker, other;
	struct sandbox_connection in, out;
};

static void set_scene(struct scene *scene)
{
	worker_start(&scene->worker);
	worker_start(&scene->other);
	scene->in = to_application();
	scene->out = to_agent();
	serve(&scene->worker, &scene->in, LANETAG_THREADS_PROBATION);
}

/* What every row ends with, if it is about a process that is given up. */
static void require_given_up(struct scene *scene)
{
	struct sandbox_connection in = to_application(), out = to_agent();
	struct worker fresh;

	(void)scene;
	worker_start(&fresh);
	request(&in, "t=9");
	receive(&fresh, in.server);
	REQUIRE(strcmp(call(&fresh, &out), NONE) == 0);
}

static void row_in_hand(void)
{
	struct scene scene;

	set_scene(&scene);
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=1") == 0);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=1") == 0);
	reply(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	request(&scene.in, "t=2");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=2") == 0);
}

static void row_probation(void)
{
	struct scene scene = {0};

	worker_start(&scene.worker);
	scene.in = to_application();
	scene.out = to_agent();
	serve(&scene.worker, &scene.in, LANETAG_THREADS_PROBATION - 1);
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	reply(&scene.worker, scene.in.server);
	request(&scene.in, "t=2");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=2") == 0);
}

static void row_two_in_hand(void)
{
	struct scene scene;
	struct sandbox_connection second;

	set_scene(&scene);
	second = to_application();
	request(&scene.in, "t=1");
	request(&second, "t=2");
	receive(&scene.worker, scene.in.server);
	receive(&scene.worker, second.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_given_up(&scene);
}

static void row_other_answers(void)
{
	struct scene scene;

	set_scene(&scene);
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.other, &scene.out), NONE) == 0);
	reply(&scene.other, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_given_up(&scene);
}

static void row_other_receives_the_rest(void)
{
	struct scene scene;

	set_scene(&scene);
	request(&scene.in, "t=1");
	tell(&scene.worker, TASK_RECEIVE, scene.in.server, 0, 10);
	receive(&scene.other, scene.in.server);
	REQUIRE(strcmp(call(&scene.other, &scene.out), NONE) == 0);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_given_up(&scene);
}

static void row_nonblocking(void)
{
	struct scene scene;

	set_scene(&scene);
	request(&scene.in, "t=1");
	tell(&scene.worker, TASK_RECEIVE, scene.in.server, MSG_DONTWAIT, 65536);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_given_up(&scene);
}

static void row_watched(void)
{
	struct scene scene;
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	set_scene(&scene);
	REQUIRE(epoll_ctl(epoll, EPOLL_CTL_ADD, scene.in.server, &event) == 0);
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_given_up(&scene);
}

static void row_kept_connection_changes_hands(void)
{
	struct scene scene;
	struct sandbox_connection second;
	uint64_t first_call, second_call;

	set_scene(&scene);
	second = to_application();
	request(&scene.in, "t=1");
	request(&second, "t=2");
	receive(&scene.worker, scene.in.server);
	receive(&scene.other, second.server);
	first_call = scene.out.position;
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=1") == 0);
	second_call = scene.out.position;
	REQUIRE(strcmp(call(&scene.other, &scene.out), "t=2") == 0);
	REQUIRE(strcmp(tags_at(&scene.out, first_call), NONE) == 0);
	REQUIRE(strcmp(tags_at(&scene.out, second_call + 1), NONE) == 0);
	reply(&scene.other, second.server);
	REQUIRE(strcmp(call(&scene.other, &scene.out), NONE) == 0);
	REQUIRE(strcmp(tags_at(&scene.out, second_call), NONE) == 0);
}

static void reset(const struct sandbox_connection *connection)
{
	struct linger linger = {.l_onoff = 1};

	REQUIRE(setsockopt(connection->client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ==
		0);
	close(connection->client);
}

static void row_same_ends_again(void)
{
	struct scene scene;
	struct sockaddr_in own = {.sin_family = AF_INET}, agent = {.sin_family = AF_INET};
	struct sandbox_connection again;
	int on = 1;

	set_scene(&scene);
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=1") == 0);
	reset(&scene.out);
	close(scene.out.server);
	again = scene.out;
	own.sin_addr.s_addr = agent.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	own.sin_port = htons(again.key.remote_port);
	agent.sin_port = htons(agent_port);
	again.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	again.position = 0;
	REQUIRE(setsockopt(again.client, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	REQUIRE(bind(again.client, (struct sockaddr *)&own, sizeof(own)) == 0);
	REQUIRE(connect(again.client, (struct sockaddr *)&agent, sizeof(agent)) == 0);
	again.server = accept4(agent_listener, NULL, NULL, SOCK_CLOEXEC);
	REQUIRE(again.server >= 0);
	REQUIRE(strcmp(tags_at(&again, 0), NONE) == 0);
	REQUIRE(strcmp(call(&scene.other, &again), NONE) == 0);
}

static void row_pipelined(void)
{
	static const char both[] = "GET / HTTP/1.1\r\nHost: a\r\nbaggage: t=1\r\n\r\n"
				   "GET / HTTP/1.1\r\nHost: a\r\nbaggage: t=2\r\n\r\n";
	struct scene scene;

	set_scene(&scene);
	REQUIRE(send(scene.in.client, both, sizeof(both) - 1, MSG_NOSIGNAL) > 0);
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	reply(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	/* The process is still believed, the connection is not. */
	request(&scene.in, "t=3");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	reply(&scene.worker, scene.in.server);
	scene.in = to_application();
	request(&scene.in, "t=4");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=4") == 0);
}

static void row_received_ahead(void)
{
	struct scene scene;

	set_scene(&scene);
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	request(&scene.in, "t=2");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
}

static void row_head_in_pieces(void)
{
	struct scene scene;

	set_scene(&scene);
	request(&scene.in, "t=1");
	tell(&scene.worker, TASK_RECEIVE, scene.in.server, 0, 20);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	tell(&scene.worker, TASK_RECEIVE, scene.in.server, MSG_PEEK, 65536);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=1") == 0);
}

/* As after a restart of the agent: open before anything looked at it. */
static void row_older_connection(void)
{
	struct scene scene;
	uint16_t none = 0;
	struct sandbox_connection older;

	REQUIRE(tagger_set_ports(arrivals, &none, 1) == 0);
	older = to_application();
	REQUIRE(tagger_set_ports(arrivals, &server_port, 1) == 0);
	set_scene(&scene);
	request(&older, "t=1");
	receive(&scene.worker, older.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	request(&scene.in, "t=2");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_given_up(&scene);
}

static void row_tags_unknown(void)
{
	struct scene scene;
	char tags[400];

	set_scene(&scene);
	snprintf(tags, sizeof(tags), "t=%0300d", 1);
	request(&scene.in, tags);
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
}

/* On another connection the worker is believed as before. */
static void require_believed(struct scene *scene)
{
	scene->in = to_application();
	request(&scene->in, "t=2");
	receive(&scene->worker, scene->in.server);
	REQUIRE(strcmp(call(&scene->worker, &scene->out), "t=2") == 0);
}

static void row_closed_without_an_answer(void)
{
	struct scene scene;

	set_scene(&scene);
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	tell(&scene.worker, TASK_CLOSE, scene.in.server, 0, 0);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_believed(&scene);
}

/* The answer's first bytes make the client's side reset the connection, before send() is over. */
static void row_client_leaves(void)
{
	struct scene scene;

	set_scene(&scene);
	scene.in = to_application();
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	close(scene.in.client);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=1") == 0);
	reply(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_believed(&scene);
}

static void row_client_resets(void)
{
	struct scene scene;

	set_scene(&scene);
	REQUIRE(send(scene.in.client, "GET / HTT", 9, MSG_NOSIGNAL) == 9);
	receive(&scene.worker, scene.in.server);
	reset(&scene.in);
	tell(&scene.worker, TASK_FIND_RESET, scene.in.server, 0, 0);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	require_believed(&scene);
}

/* As where the kernel had no room for what is kept of a new process or thread. */
static void row_received_unseen(void)
{
	struct scene scene;

	set_scene(&scene);
	scene.in = to_application();
	request(&scene.in, "t=1");
	tell(&scene.worker, TASK_RECEIVE_UNSEEN, scene.in.server, 0, 0);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
	reply(&scene.worker, scene.in.server);
	/* Neither the process nor the connection is given up for it. */
	request(&scene.in, "t=2");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), "t=2") == 0);
}

static void row_not_named(void)
{
	struct scene scene;

	REQUIRE(prctl(PR_SET_NAME, "another") == 0);
	set_scene(&scene);
	request(&scene.in, "t=1");
	receive(&scene.worker, scene.in.server);
	REQUIRE(strcmp(call(&scene.worker, &scene.out), NONE) == 0);
}

#define CREW 4

/* One of several threads that work at random, each on one request at a time. */
struct hand {
	struct worker worker;
	struct sandbox_connection in;
	bool busy;
	char tags[32];
};

static unsigned random_below(unsigned bound)
{
	static uint64_t state = 88;

	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)((state * 0x2545f4914f6cdd1dULL >> 33) % bound);
}

static void take_or_answer(struct hand *hand, unsigned number)
{
	if (hand->busy) {
		reply(&hand->worker, hand->in.server);
	} else {
		if (random_below(8) == 0) {
			sandbox_disconnect(&hand->in);
			hand->in = to_application();
		}
		snprintf(hand->tags, sizeof(hand->tags), "t=%u", number);
		request(&hand->in, hand->tags);
		receive(&hand->worker, hand->in.server);
	}
	hand->busy = !hand->busy;
}

/* Threads that keep to the rules, with connections to the agent that all of them use in turn. */
static void row_at_random(void)
{
	struct sandbox_connection out[CREW];
	struct hand crew[CREW] = {0};

	for (size_t i = 0; i < CREW; i++) {
		worker_start(&crew[i].worker);
		crew[i].in = to_application();
		out[i] = to_agent();
	}
	serve(&crew[0].worker, &crew[0].in, LANETAG_THREADS_PROBATION);
	for (unsigned step = 0; step < 4000; step++) {
		struct hand *hand = &crew[random_below(CREW)];

		if (random_below(3) == 0) {
			take_or_answer(hand, step);
			continue;
		}
		const char *tags = call(&hand->worker, &out[random_below(CREW)]);
		const char *wanted = hand->busy ? hand->tags : NONE;
		if (strcmp(tags, wanted) != 0)
			printf("# step %u: %s, not %s\n", step, tags, wanted);
		REQUIRE(strcmp(tags, wanted) == 0);
	}
}

/* Runs a row in a process of its own. */
static void play(void (*row)(void))
{
	int status;
	pid_t child;

	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		row();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define ROW(claim, row)                 \
	static void claim(void **state) \
	{                               \
		(void)state;            \
		play(row);              \
	}

ROW(a_call_has_the_tags_of_the_request_in_hand, row_in_hand)
ROW(a_process_is_believed_after_64_requests, row_probation)
ROW(two_requests_in_one_threads_hands_give_the_process_up, row_two_in_hand)
ROW(an_answer_by_another_thread_gives_the_process_up, row_other_answers)
ROW(a_request_received_by_two_threads_gives_the_process_up, row_other_receives_the_rest)
ROW(receiving_without_waiting_gives_the_process_up, row_nonblocking)
ROW(a_watched_connection_gives_the_process_up, row_watched)
ROW(a_kept_connection_may_change_hands, row_kept_connection_changes_hands)
ROW(a_new_connection_with_the_same_ends_starts_anew, row_same_ends_again)
ROW(pipelined_requests_have_no_tags, row_pipelined)
ROW(a_request_received_ahead_has_no_tags, row_received_ahead)
ROW(a_head_may_be_received_in_pieces, row_head_in_pieces)
ROW(connections_from_before_count_as_requests_in_hand, row_older_connection)
ROW(tags_that_are_not_known_are_not_guessed, row_tags_unknown)
ROW(a_request_may_end_without_an_answer, row_closed_without_an_answer)
ROW(a_client_that_leaves_gives_nothing_up, row_client_leaves)
ROW(a_client_that_resets_gives_nothing_up, row_client_resets)
ROW(a_request_that_was_not_seen_received_is_passed_over, row_received_unseen)
ROW(threads_that_keep_to_the_rules_are_told_apart, row_at_random)
ROW(programs_that_are_not_named_are_not_looked_at, row_not_named)

/* Before Linux 6.3 there are no tracepoints for it. */
static void without_them_arrivals_go_on(void **state)
{
	(void)state;
	assert_int_equal(tagger_attached_interfaces(arrivals), 1);
}

static bool kernel_has_tracepoint(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	char type[64];

	snprintf(type, sizeof(type), "btf_trace_%s", name);
	bool known = btf && btf__find_by_name_kind(btf, type, BTF_KIND_TYPEDEF) > 0;
	btf__free(btf);
	return known;
}

static void open_threads(void)
{
	static const char *const interfaces[] = {"lo"}, *const programs[] = {"test_threads"};
	struct tagger_options options = {.purpose = TAGGER_ARRIVALS,
					 .capacity = 4096,
					 .deliveries = true,
					 .interfaces = interfaces,
					 .interface_count = 1};
	struct threads_options named = {programs, 1};
	struct arrivals_fields fields;
	static char directory[PATH_MAX];

	sandbox_enter(directory);
	sandbox_require(tagger_open(&options, &arrivals) == 0, "arrivals");
	arrivals_standard_fields(&fields);
	sandbox_require(arrivals_set_fields(arrivals, &fields, 1) == 0, "fields");
	server_listener = sandbox_listen(&server_port);
	agent_listener = sandbox_listen(&agent_port);
	sandbox_require(tagger_set_ports(arrivals, &server_port, 1) == 0, "ports");
	if (threads_open(arrivals, &named, &threads)) {
		sandbox_require(!kernel_has_tracepoint("sock_recv_length"), "threads");
		threads = NULL;
		return;
	}
	sandbox_require(threads_set_ports(threads, &agent_port, 1) == 0, "hop ports");
}

int main(void)
{
	const struct CMUnitTest without[] = {cmocka_unit_test(without_them_arrivals_go_on)};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_has_the_tags_of_the_request_in_hand),
		cmocka_unit_test(a_process_is_believed_after_64_requests),
		cmocka_unit_test(two_requests_in_one_threads_hands_give_the_process_up),
		cmocka_unit_test(an_answer_by_another_thread_gives_the_process_up),
		cmocka_unit_test(a_request_received_by_two_threads_gives_the_process_up),
		cmocka_unit_test(receiving_without_waiting_gives_the_process_up),
		cmocka_unit_test(a_watched_connection_gives_the_process_up),
		cmocka_unit_test(a_kept_connection_may_change_hands),
		cmocka_unit_test(a_new_connection_with_the_same_ends_starts_anew),
		cmocka_unit_test(pipelined_requests_have_no_tags),
		cmocka_unit_test(a_request_received_ahead_has_no_tags),
		cmocka_unit_test(a_head_may_be_received_in_pieces),
		cmocka_unit_test(connections_from_before_count_as_requests_in_hand),
		cmocka_unit_test(tags_that_are_not_known_are_not_guessed),
		cmocka_unit_test(a_request_may_end_without_an_answer),
		cmocka_unit_test(a_client_that_leaves_gives_nothing_up),
		cmocka_unit_test(a_client_that_resets_gives_nothing_up),
		cmocka_unit_test(a_request_that_was_not_seen_received_is_passed_over),
		cmocka_unit_test(threads_that_keep_to_the_rules_are_told_apart),
		cmocka_unit_test(programs_that_are_not_named_are_not_looked_at),
	};

	int failed;

	if (sandbox_is_skipped("threads"))
		return 0;
	open_threads();
	failed = threads ? cmocka_run_group_tests(tests, NULL, NULL)
			 : cmocka_run_group_tests(without, NULL, NULL);
	threads_close(threads);
	tagger_close(arrivals);
	return failed;
}
