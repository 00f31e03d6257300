# SPDX-License-Identifier: MIT OR Apache-2.0
"""Drives fake_chip (its path is the argument) through the base protocol and the extensions."""
import hashlib, random, struct, subprocess, sys, zlib

chip = subprocess.Popen([sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


def frame():
    data, open_ = bytearray(), False
    while True:
        byte = chip.stdout.read(1)
        assert byte, "the stub has ended"
        if byte == b"\xc0":
            if open_ and data:
                return bytes(data).replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
            open_ = True
        elif open_:
            data += byte


def send(payload):
    chip.stdin.write(b"\xc0" + payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0")


def ask(op, data=b"", check=0):
    send(struct.pack("<BBHI", 0, op, len(data), check) + data)


def answer(op, error=0):
    got = frame()
    assert got[:2] == bytes([1, op]), got[:16].hex()
    assert struct.unpack_from("<H", got, 2)[0] == len(got) - 8
    assert got[-2:] == struct.pack(">H", error), (hex(op), got[-2:].hex(), hex(error))
    return struct.unpack_from("<I", got, 4)[0], got[8:-2]


def block(op, number, data, spoil=0):
    check = 0xEF
    for byte in data:
        check ^= byte
    ask(op, struct.pack("<4I", len(data), number, 0, 0) + data, check ^ spoil)


def words(*values):
    return struct.pack(f"<{len(values)}I", *values)


def md5(address, size):
    ask(0x13, words(address, size, 0, 0))
    return answer(0x13)[1]


def write(op, address, contents, stream, size, in_flight=1):
    blocks = [stream[i : i + size] for i in range(0, len(stream), size)]
    ask(op, words(len(contents), len(blocks), size, address, 0))
    answer(op)
    for number, data in enumerate(blocks):
        block(op + 1, number, data)
        if number >= in_flight - 1:
            answer(op + 1)
    for _ in range(min(in_flight - 1, len(blocks))):
        answer(op + 1)
    ask(op + 2, words(1))
    answer(op + 2)
    assert md5(address, len(contents)) == hashlib.md5(contents).digest()


noise = random.Random(7)
text = b" ".join(b"%d" % (i * i) for i in range(9000)) + noise.randbytes(40000)
assert frame() == b"OHAI"
ask(8, b"\x07\x07\x12\x20" + b"\x55" * 32)
for _ in range(8):
    assert answer(8)[0] == 0
ask(0x0B, words(0, 1 << 20, 65536, 4096, 256, 0xFFFF))
answer(0x0B)
write(0x10, 0x1000, text, zlib.compress(text, 9), 0x4000)
padded = text + b"\xff" * (-len(text) % 0x4000)
write(0x02, 0x20000, text, padded, 0x4000)
ask(0x02, words(4096, 1, 4096, 1 << 20, 0))
answer(0x02, 0xC000)  # outside the flash
ask(0x02, words(4096, 1, 4096, 0, 1))
answer(0x02, 0xFF00)  # encrypted
block(3, 0, b"x" * 64)
answer(3, 0xC600)  # no stream
ask(0x14)
answer(0x14, 0xFF00)  # no ROM to ask
send(struct.pack("<BBHII", 0, 0x0A, 8, 0, 0))
answer(0x0A, 0xC000)  # shorter than it says
ask(0x02, words(4096, 1, 4096, 0x50000))
answer(0x02)
block(0xD4, 0, b"x" * 64)
answer(0xD4, 0xC300)  # nothing that encrypts

# A spoilt block, one that comes twice, one that is missing.
ask(0x02, words(8192, 2, 4096, 0x50000))
answer(0x02)
first, second = noise.randbytes(4096), noise.randbytes(4096)
block(3, 0, first, spoil=1)
assert answer(3, 0xC100)[0] == 0
block(3, 1, second)
assert answer(3, 0xC200)[0] == 0
block(3, 0, first)
assert answer(3)[0] == 1
block(3, 0, first)
assert answer(3)[0] == 1
block(3, 1, second)
assert answer(3)[0] == 2
ask(4, words(1))
answer(4)
assert md5(0x50000, 8192) == hashlib.md5(first + second).digest()

# A stream that is cut, and one that is none.
stream = zlib.compress(text, 9)
ask(0x10, words(len(text), 1, 0x4000, 0x60000, 0))
answer(0x10)
block(0x11, 0, stream[:1000])
answer(0x11)
ask(0x12, words(1))
answer(0x12, 0xC800)
ask(0x10, words(len(text), 2, 0x4000, 0x60000, 0))
answer(0x10)
block(0x11, 0, b"no zlib stream at all")
answer(0x11)
block(0x11, 1, b"no zlib stream at all")
answer(0x11, 0xC700)

# A spoilt frame between the blocks of a stream is no end of it.
ask(0x10, words(len(text), 3, 0x4000, 0x60000, 0))
answer(0x10)
for number in range(0, -(-len(stream) // 0x4000)):
    send(b"noise")
    block(0x11, number, stream[number * 0x4000 : (number + 1) * 0x4000])
    answer(0x11)
ask(0x12, words(1))
answer(0x12)
assert md5(0x60000, len(text)) == hashlib.md5(text).digest()

# Reading in a window: of one packet, as nothing has been negotiated.
ask(0xD2, words(0x1000, len(text), 4096, 2))
answer(0xD2)
read = b""
while len(read) < len(text):
    read += frame()
    send(words(len(read)))
assert read == text
assert frame() == hashlib.md5(text).digest()

# Seven small blocks in flight, and the digest map.
ask(0xE0, words(0xFFFFFFFF))
assert answer(0xE0)[0] & 3 == 3
write(0x10, 0x70000, text, stream, 0x1000, in_flight=7)
write(0x02, 0x90000, text[:40960], text[:40960], 0x1000, in_flight=7)
ask(0xE1, words(0x90000, 40960))
count, digests = answer(0xE1)
assert count == 10
assert digests == b"".join(hashlib.md5(text[i : i + 4096]).digest()[:4] for i in range(0, 40960, 4096))
ask(0xD1, words(0x90000, 0x3000))
answer(0xD1)
assert md5(0x90000, 0x3000) == hashlib.md5(b"\xff" * 0x3000).digest()
ask(0x42)
answer(0x42, 0xC300)
chip.kill()
print("the stub's commands: as they should be")
