"""Two hundred apps of Parsl on its WorkQueueExecutor; workers are started by its own provider."""
import os
import sys

import parsl
from parsl.app.app import bash_app, python_app
from parsl.config import Config
from parsl.executors import WorkQueueExecutor
from parsl.providers import LocalProvider

APPS = 200


@python_app
def double(x, parsl_resource_specification={"cores": 1, "memory": 500, "disk": 500}):
    return 2 * x


@python_app
def fails(parsl_resource_specification={"cores": 1, "memory": 500, "disk": 500}):
    raise ValueError("on purpose")


@bash_app
def shell(outputs=(), parsl_resource_specification={"cores": 1, "memory": 500, "disk": 500}):
    return "echo from the shell > {}".format(outputs[0])


def main():
    executor = WorkQueueExecutor(
        label="wqx",
        port=0,
        shared_fs=True,
        coprocess=False,
        worker_options="--cores 2 --memory 2000 --disk 2000",
        provider=LocalProvider(init_blocks=1, min_blocks=1, max_blocks=1),
    )
    config = Config(executors=[executor], run_dir="runinfo", usage_tracking=0)
    with parsl.load(config):
        futures = [double(i) for i in range(APPS)]
        broken = fails()
        written = shell(outputs=[parsl.File(os.path.abspath("written"))])
        assert [future.result() for future in futures] == [2 * i for i in range(APPS)]
        assert str(broken.exception()) == "on purpose", broken.exception()
        assert written.result() == 0
    with open("written") as file:
        assert file.read() == "from the shell\n"
    print("equal")


if __name__ == "__main__":
    main()
    sys.exit(0)
