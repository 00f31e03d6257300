"""Work with a flasher stub, by the API of esptool, in one session.

Arguments: port; how the chip gets into its loader; folder of stubs, or nothing for esptool's own; their
version; address of the work; its file; "all" to try all commands; "erase" to erase all before; what the application in flash says once it
is started.
"""

import sys
import time

from esptool.cmds import (
    attach_flash,
    detect_chip,
    dump_mem,
    erase_flash,
    erase_region,
    flash_id,
    read_flash,
    read_mac,
    read_mem,
    reset_chip,
    run,
    run_stub,
    verify_flash,
    write_flash,
    write_mem,
)
from esptool.loader import StubFlasher

port, before, folder, version, at, app, jobs, erase, says = sys.argv[1:10]
at = int(at, 0)
if folder:
    StubFlasher.STUB_DIR = folder
StubFlasher.set_stub_subdir(version)
data = open(app, "rb").read()


def memory(esp):
    """A register keeps what is written, and the stub is found where it stands."""
    word = esp.SPI_REG_BASE + esp.SPI_W0_OFFS
    write_mem(esp, word, 0x12345678)
    write_mem(esp, word, 0xFFFFFFFF, 0xFF00)
    read_mem(esp, word)
    assert esp.read_reg(word) == 0x1234FF78
    stub = StubFlasher(esp)
    assert dump_mem(esp, stub.text_start, 64) == stub.text[:64], "another program"


def hear(esp, text):
    """Waits for what the application says once it is started, at the rate of the ROM."""
    esp._set_port_baudrate(115200)
    heard, end = b"", time.time() + 20
    while text not in heard and time.time() < end:
        heard += esp._port.read(max(1, esp._port.in_waiting))
    assert text in heard, heard


with detect_chip(port, connect_mode=before) as esp:
    name, of_rom = esp.CHIP_NAME, type(esp)
    esp = run_stub(esp)
    assert esp.IS_STUB
    # The second version's way to know the ESP8266's clock does not survive it.
    if name != "ESP8266" or version == "1" or folder:
        esp.change_baud(460800)
    attach_flash(esp)
    flash_id(esp)
    if jobs == "all":
        read_mac(esp)
        memory(esp)
    if erase == "erase":
        erase_flash(esp)
        read = read_flash(esp, at, 0x2000)
        assert read == b"\xff" * 0x2000, "the flash is not erased"
    # Compressed, then raw, each compared by digest.
    write_flash(esp, [(at, data)], compress=True)
    verify_flash(esp, [(at, data)])
    write_flash(esp, [(at + 0x8000, data[:0x2345])], no_compress=True)
    read = read_flash(esp, at + 0xFC1, 0x1234)
    assert read == data[0xFC1 : 0xFC1 + 0x1234], "read other bytes"
    erase_region(esp, at + 0x1000, 0x2000)
    read = read_flash(esp, at + 0xFF0, 0x20)
    assert read == data[0xFF0:0x1000] + b"\xff" * 16, "the region is not erased"
    if jobs == "all":
        # The stub stays, whatever a program that was left open to it.
        run(esp)
        flash_id(esp)
        # Back to the ROM's loader, which does not answer as a stub.
        reset_chip(esp, "no-reset")
        esp._set_port_baudrate(115200)
        rom = of_rom(esp._port)
        rom.connect("no-reset", detecting=True)
        assert not rom.sync_stub_detected, "still in the stub"
        if name == "ESP8266":
            # There the stub knows a way to the program in flash.
            esp = run_stub(rom)
            reset_chip(esp, "soft-reset")
            hear(esp, says.encode())
    if before != "no-reset":
        reset_chip(esp, "hard-reset")
    print("worked with stub", version, "on", name)
