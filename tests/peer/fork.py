"""Runs the reference, or a program of ours with it, once for each line of JSON on standard input, in a
process of its own. Answers with a line: the exit code, or null if a signal ended it, and what was said.

What the reference builds on is imported once; it itself is imported anew each time, for then it looks
at its settings.
"""

import gc
import json
import os
import runpy
import signal
import sys
import tempfile

import esptool  # noqa: F401

for name in list(sys.modules):
    if name.partition(".")[0] in ("esptool", "esp_pylib"):
        del sys.modules[name]
gc.freeze()


def text(file):
    file.seek(0)
    return file.read().decode(errors="replace")


def answer(child, stdout, stderr):
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    answer = {
        "code": code if code >= 0 else None,
        "stdout": text(stdout),
        "stderr": text(stderr),
    }
    print(json.dumps(answer), flush=True)


def prepare(asked, stdout, stderr):
    """Makes this process what a new one would be."""
    with open(os.devnull, "rb") as nothing:
        for number, file in enumerate([nothing, stdout, stderr]):
            os.dup2(file.fileno(), number)
    os.chdir(asked["folder"])
    os.environ.update(asked["environment"])
    signal.alarm(asked["seconds"])
    sys.argv = ["-c", *asked["args"]]


for line in sys.stdin:
    asked = json.loads(line)
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if child == 0:
            prepare(asked, stdout, stderr)
            break
        answer(child, stdout, stderr)
else:
    sys.exit()

# The child alone comes to here, and ends as any program does.
if asked["program"] is None:
    runpy.run_module("esptool", run_name="__main__", alter_sys=True)
else:
    exec(compile(asked["program"], "<string>", "exec"), {"__name__": "__main__"})
