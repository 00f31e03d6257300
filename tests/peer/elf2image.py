"""Runs the reference once for each line of JSON that names a folder and arguments, in one process.

Prints a line of JSON for each: the exit code, the exception that nothing caught, and what was said.
"""

import contextlib
import io
import json
import os
import sys

os.environ["COLUMNS"] = "2000"

import esptool

for line in sys.stdin:
    case = json.loads(line)
    os.chdir(case["folder"])
    sys.argv = ["esptool", *case["args"]]
    said = io.StringIO()
    code, raised = 0, ""
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            esptool._main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        except Exception as error:
            code, raised = 1, type(error).__name__
    print(json.dumps({"code": code, "raised": raised, "said": said.getvalue()}))
