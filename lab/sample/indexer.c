// SPDX-License-Identifier: Apache-2.0
// A service of the sample's guest: threads that wait in different ways, files and sockets of several kinds.
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

static int events, fifo;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;

static int checked(int result)
{
	if (result < 0)
		exit(1);
	return result;
}

static void *listen_for_events(void *unused)
{
	struct epoll_event event;

	prctl(PR_SET_NAME, "indexer/listen");
	for (;;)
		epoll_wait(events, &event, 1, -1);
	return unused;
}

static void *read_requests(void *unused)
{
	char request[16];

	prctl(PR_SET_NAME, "indexer/read");
	for (;;)
		checked(read(fifo, request, sizeof(request)));
	return unused;
}

static void *wait_for_work(void *unused)
{
	prctl(PR_SET_NAME, "indexer/merge");
	pthread_mutex_lock(&lock);
	for (;;)
		pthread_cond_wait(&work, &lock);
	return unused;
}

static void watch(int file)
{
	struct epoll_event event = { .events = EPOLLIN };

	event.data.fd = file;
	checked(epoll_ctl(events, EPOLL_CTL_ADD, file, &event));
}

static void connect_to_oneself(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(7000) };
	int server = checked(socket(AF_INET, SOCK_STREAM, 0)), client = checked(socket(AF_INET, SOCK_STREAM, 0));

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	checked(bind(server, (struct sockaddr *)&address, sizeof(address)));
	checked(listen(server, 16));
	checked(connect(client, (struct sockaddr *)&address, sizeof(address)));
	watch(checked(accept(server, NULL, NULL)));
	watch(server);
}

// Arguments: a file to read, one to write, a FIFO, and a file to make when all is ready.
int main(int count, char **arguments)
{
	void *(*const jobs[])(void *) = { listen_for_events, read_requests, wait_for_work };
	pthread_t thread;

	if (count != 5)
		return 2;
	checked(open(arguments[1], O_RDONLY));
	checked(open(arguments[2], O_RDWR | O_CREAT, 0600));
	fifo = checked(open(arguments[3], O_RDWR));
	events = checked(epoll_create1(0));
	watch(checked(eventfd(0, 0)));
	watch(checked(timerfd_create(CLOCK_MONOTONIC, 0)));
	connect_to_oneself();
	for (size_t job = 0; job < sizeof(jobs) / sizeof(*jobs); job++)
		if (pthread_create(&thread, NULL, jobs[job], NULL))
			return 1;
	sleep(1);
	checked(creat(arguments[4], 0600));
	for (;;)
		pause();
}
