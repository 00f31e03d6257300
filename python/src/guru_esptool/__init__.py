"""Starts Guru in place of esptool.

It is a package of its own, beside ``esptool``, because a script named ``esptool.py`` hides a
package of that name from every script in the same folder.
"""

import subprocess
import sys

from .find import NotFound, find

__version__ = "5.6.0"
__all__ = ["NotFound", "find", "main"]


def main(argv=None, esp=None):
    """Run one command line of esptool.

    argv -- the arguments, without the program's name; those of this process by default.
    esp -- only for the signature: a connected device cannot be handed over.

    Raises SystemExit with the exit code when the command fails, and NotFound without a program.
    """
    if esp is not None:
        raise TypeError("a connected device cannot be handed over to another program")
    arguments = list(sys.argv[1:] if argv is None else argv)
    code = _run(arguments)
    if code != 0:
        raise SystemExit(code)


def _run(arguments):
    command = [find(), "esptool"] + [str(argument) for argument in arguments]
    # What Python holds back would come behind the program's own output.
    sys.stdout.flush()
    sys.stderr.flush()
    process = subprocess.Popen(command)
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            # The program got the same Ctrl-C: it says in what state the chip is, and ends.
            continue
    # Ended by a signal.
    return code if code >= 0 else 128 - code


def _main():
    try:
        sys.exit(_run(sys.argv[1:]))
    except NotFound as error:
        sys.stderr.write("ERROR: A fatal error occurred: {}\n".format(error))
        sys.exit(2)
