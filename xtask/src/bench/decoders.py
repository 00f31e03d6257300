"""What Espressif's decoders take, in seconds: of one step, with the tools' prefix, an ELF file and a log."""

import sys
import time

from esp_idf_panic_decoder import PanicOutputDecoder, PcAddressDecoder

step, prefix, elf, log = sys.argv[1:]
with open(log, "rb") as file:
    text = file.read()

begin = time.perf_counter()
if step == "panic":
    assert b"#0" in PanicOutputDecoder(prefix, elf, "esp32c3").process_panic_output(text)
else:
    lines = [line for line in text.decode().splitlines() if "0x4" in line]
    decoder = PcAddressDecoder(prefix, elf)
    assert decoder.translate_addresses(lines[0])
    if step == "lines":
        begin = time.perf_counter()
        for line in lines:
            assert decoder.translate_addresses(line)
print((time.perf_counter() - begin) / (len(lines) if step == "lines" else 1))
