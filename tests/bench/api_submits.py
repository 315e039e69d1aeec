"""api_submits.py N WQX...: how many tasks a second a Python program can submit to its manager."""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time

head = struct.Struct("<IIII")
count, wqx = int(sys.argv[1]), sys.argv[2:]
path = os.path.join(tempfile.mkdtemp(), "api")
manager = subprocess.Popen([*wqx, "manager", "--quiet", "--api", path],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
manager.stdout.readline()
link = socket.socket(socket.AF_UNIX)
link.connect(path)
reader = link.makefile("rb")


def send(kind, value, request=0):
    text = json.dumps(value).encode()
    link.sendall(head.pack(len(text), 0, kind, request) + text)


def wait_for(kind):
    while True:
        json_bytes, raw_bytes, which, _ = head.unpack(reader.read(head.size))
        reader.read(json_bytes + raw_bytes)
        if which == kind:
            return


send(1, [1, "bench"])
wait_for(16)
started = time.monotonic()
batch = []
for task in range(1, count + 1):
    batch.append([task, "true", "default", [], [], {"cores": 1}])
    if len(batch) == 500:
        send(2, batch)
        batch = []
send(2, batch)
send(3, ["stats"], 1)
wait_for(19)
print("submits/s", count / (time.monotonic() - started))
send(3, ["close", False], 2)
wait_for(19)
manager.wait()
