"""A coprocess of tests: functions over the protocol that Work Queue's workers speak with theirs."""
import json
import os
import socket
import sys
import time


def add(args):
    return {"Result": args["a"] + args["b"], "StatusCode": 200}


def where(args):
    return {"Result": os.path.basename(os.getcwd()), "pid": os.getpid()}


def long(args):
    return "x" * args["length"]


def sleep(args):
    open("sleeping", "w").close()
    time.sleep(1000)


def leave(args):
    os._exit(3)


server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
hello = json.dumps({"name": "tests", "port": server.getsockname()[1]})
print("noise on the way", file=sys.stderr, flush=True)
print("%d\n%s" % (len(hello), hello), end="", flush=True)
home = os.getcwd()
while True:
    connection, _ = server.accept()
    with connection, connection.makefile("rwb") as stream:
        for line in stream:
            name, sandbox, length = line.split()
            args = json.loads(stream.read(int(length)) or b"{}")
            os.chdir(os.path.join(home, "t.%d" % int(sandbox)))
            try:
                text = json.dumps(globals()[name.decode()](args)).encode()
            except Exception as error:
                text = json.dumps({"Result": repr(error), "StatusCode": 500}).encode()
            os.chdir(home)
            stream.write(b"%d\n%s" % (len(text), text))
            stream.flush()
