"""Work with a flasher stub of Espressif's, by the API of esptool, in one session.

Arguments: port, version of the stub, address of the work, its file, what the flash held there.
"""

import sys

from esptool.cmds import (
    attach_flash,
    detect_chip,
    erase_region,
    flash_id,
    read_flash,
    reset_chip,
    run_stub,
    verify_flash,
    write_flash,
)
from esptool.loader import StubFlasher

port, version, at, app = sys.argv[1:5]
at = int(at, 0)
if version == "1":
    StubFlasher.set_stub_subdir("1")
data = open(app, "rb").read()

with detect_chip(port, connect_mode="no-reset") as esp:
    esp = run_stub(esp)
    assert esp.IS_STUB
    if esp.CHIP_NAME != "ESP8266" or version == "1":
        esp.change_baud(460800)
    attach_flash(esp)
    flash_id(esp)
    # Compressed, then raw, each compared by digest.
    write_flash(esp, [(at, data)], compress=True)
    verify_flash(esp, [(at, data)])
    write_flash(esp, [(at + 0x8000, data[:0x2345])], no_compress=True)
    read = read_flash(esp, at + 0xFC1, 0x1234)
    assert read == data[0xFC1 : 0xFC1 + 0x1234], "read other bytes"
    erase_region(esp, at + 0x1000, 0x2000)
    read = read_flash(esp, at + 0xFF0, 0x20)
    assert read == data[0xFF0:0x1000] + b"\xff" * 16, "the region is not erased"
    print("worked with stub", version, "on", esp.CHIP_NAME)
