"""Where the program is."""

import os
import shutil
import sys

PROGRAM = "guru.exe" if sys.platform == "win32" else "guru"


class NotFound(FileNotFoundError):
    """There is no program to start."""


def find(environment=None):
    """The path of the program.

    environment -- variables in place of this process's.

    Raises NotFound with what would be right.
    """
    environment = os.environ if environment is None else environment
    named = environment.get("GURU")
    if named:
        if os.path.isfile(named):
            return os.path.abspath(named)
        raise NotFound("GURU is '{}', and there is no such file".format(named))
    packaged = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", PROGRAM)
    if os.path.isfile(packaged):
        return packaged
    on_path = shutil.which(PROGRAM, path=environment.get("PATH"))
    if on_path:
        return on_path
    raise NotFound(
        "the program 'guru' was not found; install it, put it on the PATH, or name it with the "
        "environment variable GURU"
    )
