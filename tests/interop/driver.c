/*
 * A manager on Work Queue's own C library that does what a script says, a line each, fields
 * separated by tabs. `driver SCRIPT` prints the port it listens on, then what happens.
 *
 *   name PROJECT | password FILE | log FILE          before any worker comes
 *   workers N                                        waits until N workers told their resources
 *   task TAG COMMAND                                 begins a task; the next lines are about it
 *   file in|out LOCAL REMOTE FLAGS                   FLAGS as in work_queue.h, in decimal
 *   directory in|out LOCAL REMOTE FLAGS              LOCAL may be "-": an empty one
 *   piece LOCAL REMOTE FIRST LAST FLAGS              bytes FIRST to LAST of a file
 *   buffer TEXT REMOTE FLAGS | remotely COMMAND REMOTE FLAGS
 *   env NAME VALUE | cores N | memory MB | disk MB | category NAME | feature NAME | retries N
 *   seconds N                                        longest running time
 *   submit
 *   until PATH                                       works on until a local file is there
 *   cancel TAG
 *   wait                                             until all tasks are back
 *   repeat N COMMAND                                 so many one-core tasks, timed
 *
 * A task that comes back: result TAG RESULT EXIT TRIES MICROSECONDS LENGTH, its output, a line end.
 * MICROSECONDS are from its first input to its last output.
 */
#include <cctools/work_queue.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define FIELDS_MAX 8

static struct work_queue *queue;

static void fail(const char *what, const char *detail)
{
	fprintf(stderr, "driver: %s: %s\n", what, detail);
	exit(1);
}

static double now(void)
{
	struct timeval t;
	gettimeofday(&t, 0);
	return t.tv_sec + t.tv_usec / 1e6;
}

static void report(struct work_queue_task *t)
{
	const char *output = t->output ? t->output : "";
	printf("result %s %d %d %d %lld %zu\n%s\n", t->tag ? t->tag : "-", t->result, t->return_status,
		t->try_count, (long long)(t->time_when_done - t->time_when_commit_start), strlen(output), output);
	fflush(stdout);
	work_queue_task_delete(t);
}

/* The library works only within this call; a second is its smallest step. */
static void work(void)
{
	struct work_queue_task *t = work_queue_wait(queue, 1);
	if(t) report(t);
}

static void wait_for_workers(int count)
{
	struct work_queue_stats s;
	do {
		work();
		work_queue_get_stats(queue, &s);
	} while(s.workers_connected - s.workers_init < count);
	printf("workers %d\n", s.workers_connected);
	fflush(stdout);
}

static void repeat(int count, const char *command)
{
	int i, left = count;
	double started = now();
	for(i = 0; i < count; i++) {
		struct work_queue_task *t = work_queue_task_create(command);
		work_queue_task_specify_cores(t, 1);
		work_queue_submit(queue, t);
	}
	while(left > 0) {
		struct work_queue_task *t = work_queue_wait(queue, 5);
		if(!t) continue;
		if(t->result != WORK_QUEUE_RESULT_SUCCESS || t->return_status != 0) fail("a task failed", command);
		work_queue_task_delete(t);
		left--;
	}
	printf("repeated %d %.6f\n", count, now() - started);
	fflush(stdout);
}

static int direction(const char *word)
{
	return strcmp(word, "in") == 0 ? WORK_QUEUE_INPUT : WORK_QUEUE_OUTPUT;
}

/* What concerns the task that is being put together; 0 if the word is none of these. */
static int describe(struct work_queue_task *t, char **f)
{
	const char *word = f[0];
	if(!strcmp(word, "file")) {
		work_queue_task_specify_file(t, f[2], f[3], direction(f[1]), atoi(f[4]));
	} else if(!strcmp(word, "directory")) {
		const char *local = strcmp(f[2], "-") ? f[2] : 0;
		work_queue_task_specify_directory(t, local, f[3], direction(f[1]), atoi(f[4]), local != 0);
	} else if(!strcmp(word, "piece")) {
		work_queue_task_specify_file_piece(t, f[1], f[2], atoll(f[3]), atoll(f[4]), WORK_QUEUE_INPUT, atoi(f[5]));
	} else if(!strcmp(word, "buffer")) {
		work_queue_task_specify_buffer(t, f[1], strlen(f[1]), f[2], atoi(f[3]));
	} else if(!strcmp(word, "remotely")) {
#if WQ_PROTOCOL >= 11
		work_queue_task_specify_file_command(t, f[1], f[2], WORK_QUEUE_INPUT, atoi(f[3]));
#else
		work_queue_task_specify_file_command(t, f[2], f[1], WORK_QUEUE_INPUT, atoi(f[3]));
#endif
	} else if(!strcmp(word, "env")) {
		work_queue_task_specify_environment_variable(t, f[1], f[2]);
	} else if(!strcmp(word, "cores")) {
		work_queue_task_specify_cores(t, atoi(f[1]));
	} else if(!strcmp(word, "memory")) {
		work_queue_task_specify_memory(t, atoll(f[1]));
	} else if(!strcmp(word, "disk")) {
		work_queue_task_specify_disk(t, atoll(f[1]));
	} else if(!strcmp(word, "category")) {
		work_queue_task_specify_category(t, f[1]);
	} else if(!strcmp(word, "feature")) {
		work_queue_task_specify_feature(t, f[1]);
	} else if(!strcmp(word, "retries")) {
		work_queue_task_specify_max_retries(t, atoll(f[1]));
	} else if(!strcmp(word, "seconds")) {
		work_queue_task_specify_running_time_max(t, atoll(f[1]));
	} else {
		return 0;
	}
	return 1;
}

static void obey(char **f)
{
	static struct work_queue_task *task;
	const char *word = f[0];
	if(!strcmp(word, "task")) {
		task = work_queue_task_create(f[2]);
		work_queue_task_specify_tag(task, f[1]);
	} else if(!strcmp(word, "submit")) {
		work_queue_submit(queue, task);
		task = 0;
	} else if(!strcmp(word, "name")) {
		work_queue_specify_name(queue, f[1]);
	} else if(!strcmp(word, "password")) {
		if(!work_queue_specify_password_file(queue, f[1])) fail("cannot read the password", f[1]);
	} else if(!strcmp(word, "log")) {
		work_queue_specify_log(queue, f[1]);
	} else if(!strcmp(word, "workers")) {
		wait_for_workers(atoi(f[1]));
	} else if(!strcmp(word, "until")) {
		while(access(f[1], F_OK) != 0) work();
	} else if(!strcmp(word, "cancel")) {
		struct work_queue_task *t = work_queue_cancel_by_tasktag(queue, f[1]);
		if(!t) fail("nothing to cancel", f[1]);
		work_queue_task_delete(t);
		printf("canceled %s\n", f[1]);
		fflush(stdout);
	} else if(!strcmp(word, "wait")) {
		while(!work_queue_empty(queue)) work();
		printf("waited\n");
		fflush(stdout);
	} else if(!strcmp(word, "repeat")) {
		repeat(atoi(f[1]), f[2]);
	} else if(!task || !describe(task, f)) {
		fail("not known, or not now", word);
	}
}

int main(int argc, char **argv)
{
	char *line = 0;
	size_t capacity = 0;
	ssize_t length;
	FILE *script = argc == 2 ? fopen(argv[1], "r") : 0;
	if(!script) fail("cannot read the script", argc == 2 ? argv[1] : "none is named");
	queue = work_queue_create(0);
	if(!queue) fail("cannot listen", "no free port");
	printf("port %d\n", work_queue_port(queue));
	fflush(stdout);
	while((length = getline(&line, &capacity, script)) > 0) {
		char *fields[FIELDS_MAX], *rest = line;
		int n;
		if(line[length - 1] == '\n') line[length - 1] = 0;
		if(!line[0]) continue;
		for(n = 0; n < FIELDS_MAX; n++) fields[n] = rest ? strsep(&rest, "\t") : "";
		obey(fields);
	}
	free(line);
	fclose(script);
	work_queue_delete(queue);
	return 0;
}
