"""``python -m esptool``"""

from guru_esptool import _main

if __name__ == "__main__":
    _main()
