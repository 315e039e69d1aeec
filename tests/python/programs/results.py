"""How tasks end, and how their files travel: on a real worker."""
import os
import time

from helpers import finish, same, until, worker, wq

S, I, O = 0, wq.WORK_QUEUE_INPUT, wq.WORK_QUEUE_OUTPUT


def run(command, *prepare):
    task = wq.Task(command)
    task.specify_cores(1)
    for change in prepare:
        change(task)
    finish(queue, task)
    return task.result, task.return_status, task.output


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def read(path):
    with open(path) as file:
        return file.read()


queue = wq.WorkQueue(port=0)
with queue, worker(queue):
    # Exit codes and output
    same(run("echo out; echo err >&2; exit 3"), (S, 3, "out\nerr\n"))
    same(run("kill -9 $$")[:2], (S, 9))
    same(run("printf 'a\\0b'"), (S, 0, "a"))
    same(run("printf '\\377'")[2], "\udcff")
    same(run("no-such-command")[:2], (S, 127))

    # Files, relative to the folder of this process at submit
    write("in/a.sh", "#!/bin/sh\ncat $1\n", 0o755)
    write("in/b.txt", "0123456789")
    same(
        run(
            "mkdir out && ./a.sh deep/b.txt > out/c",
            lambda t: t.specify_input_file("in/a.sh", cache=True),
            lambda t: t.specify_input_file("in/b.txt", "./deep/b.txt", cache=False),
            lambda t: t.specify_output_file("made/here/c", "out/c"),
        ),
        (S, 0, ""),
    )
    same(read("made/here/c"), "0123456789")
    same(
        run("cat p", lambda t: t.specify_file_piece("in/b.txt", "p", 2, 4)), (S, 0, "234")
    )
    same(run("cat b", lambda t: t.specify_buffer("h\u00e9\n", "b")), (S, 0, "h\u00e9\n"))
    same(
        run("cat m", lambda t: t.specify_file_command("echo made > %%", "m", cache=True)),
        (S, 0, "made\n"),
    )
    url = "file://" + os.path.abspath("in/b.txt")
    same(run("cat u", lambda t: t.specify_url(url, "u")), (S, 0, "0123456789"))
    same(run("ls -d e; ls e | wc -l", lambda t: t.specify_directory("e")), (S, 0, "e\n0\n"))
    same(
        run(
            "cat d/b.txt; mkdir r; echo x > r/y",
            lambda t: t.specify_directory("in", "d", recursive=True),
            lambda t: t.specify_directory("r-here", "r", type=O),
        ),
        (S, 0, "0123456789"),
    )
    same(read("r-here/y"), "x\n")
    on_failure = wq.WORK_QUEUE_FAILURE_ONLY
    same(run("echo x > f", lambda t: t.specify_output_file("f1", "f", flags=on_failure))[0], S)
    same(run("echo x > f; exit 1", lambda t: t.specify_output_file("f2", "f", failure_only=True))[0], S)
    same((os.path.exists("f1"), os.path.exists("f2")), (False, True))

    # Environment
    os.environ["OF_MANAGER"] = "m"
    same(
        run(
            "echo $A $CORES ${HOME-none}",
            lambda t: t.specify_environment_variable("A", "a"),
            lambda t: t.specify_environment_variable("HOME"),
        ),
        (S, 0, "a 1 none\n"),
    )

    # What goes wrong
    missing = lambda t: t.specify_input_file("nowhere")  # noqa: E731
    same(run("true", missing), (wq.WORK_QUEUE_RESULT_INPUT_MISSING, -1, None))
    bad = lambda t: t.specify_file_command("false > %%", "m")  # noqa: E731
    same(run("true", bad)[:2], (wq.WORK_QUEUE_RESULT_INPUT_MISSING, 1))
    unmade = lambda t: t.specify_output_file("nowhere")  # noqa: E731
    same(run("echo x; exit 5", unmade), (wq.WORK_QUEUE_RESULT_OUTPUT_MISSING, 5, "x\n"))
    long = [lambda t: t.specify_running_time_max(1)]
    same(run("sleep 30", *long)[:2], (wq.WORK_QUEUE_RESULT_TASK_MAX_RUN_TIME, 9))
    late = [lambda t: t.specify_end_time(int((time.time() + 1) * 1e6))]
    same(run("sleep 30", *late)[:2], (wq.WORK_QUEUE_RESULT_TASK_TIMEOUT, 9))
    write("taken", "")
    no_room = [lambda t: t.specify_output_file("taken/x", "x")]
    same(run("echo > x", *no_room)[:2], (wq.WORK_QUEUE_RESULT_OUTPUT_TRANSFER_ERROR, 0))

    # Watched and measured
    same(queue.enable_monitoring(watchdog=True), 1)
    task = wq.Task("python3 -c 'x = b\"x\" * (600 << 20); import time; time.sleep(30)'")
    task.specify_memory(100)
    task.specify_cores(1)
    finish(queue, task)
    same(task.result, wq.WORK_QUEUE_RESULT_RESOURCE_EXHAUSTION)
    same(task.limits_exceeded.memory, task.resources_allocated.memory)
    assert task.resources_measured.memory > 400 and task.resources_measured.exit_type == "limits"
    same(task.exhausted_attempts, 1)

    # The same task again: new id, no trace of what was
    task.specify_command("sleep 0.1")
    before = task.id
    queue.submit(task)
    assert task.id > before
    same((task.result, task.return_status, task.limits_exceeded), (32, -1, None))
    finish(queue)
    same((task.result, task.return_status, task.resources_allocated.cores), (0, 0, 1.0))
    assert task.cmd_execution_time > 50000
    assert 0 < task.submit_time <= task.send_input_start <= task.send_input_finish
    assert task.execute_cmd_finish <= task.receive_output_finish <= task.finish_time
    same(task.host.split(":")[0], "127.0.0.1")

# Lost with its workers again and again
queue = wq.WorkQueue(port=0)
started = os.path.abspath("started")
with queue:
    task = wq.Task("echo > %s; sleep 100" % started)
    task.specify_max_retries(1)
    queue.submit(task)
    same(queue.hungry(), 1)  # it is on its way with the next question
    for _ in range(2):
        with worker(queue) as process:
            until("the task's start", lambda: os.path.exists(started))
            process.kill()
        os.unlink(started)
    same(finish(queue).result, wq.WORK_QUEUE_RESULT_MAX_RETRIES)
