"""Runs the reference once for each line of standard input, and marks where the next one begins."""

import shlex
import sys

import esptool

for line in sys.stdin:
    code, text = 0, ""
    try:
        esptool.main(shlex.split(line))
    except SystemExit as end:
        code = end.code or 0
    except esptool.FatalError as error:
        code, text = 2, str(error)
    except Exception as error:  # noqa: BLE001
        code, text = 1, repr(error)
    sys.stdout.flush()
    print(f"\x01{code} {text!r}", flush=True)
    print("\x01", file=sys.stderr, flush=True)
