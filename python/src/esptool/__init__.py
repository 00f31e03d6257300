"""Starts Guru in place of esptool.

Only what build systems use is here: ``python -m esptool`` and ``esptool.main(argv)``.
"""

from guru_esptool import NotFound, __version__, find, main

__all__ = ["NotFound", "__version__", "find", "main"]
