"""Makes pySerial list the ports of the file that GURU_PORT_LIST names. Python imports it at its start."""

import os

import serial.tools.list_ports
from serial.tools.list_ports_common import ListPortInfo


def _port(line):
    words = line.split()
    port = ListPortInfo(words[0])
    if len(words) > 1:
        port.vid, port.pid = (int(half, 16) for half in words[1].split(":"))
        port.serial_number = words[2] if len(words) > 2 else None
        port.product = " ".join(words[3:]) or None
        port.apply_usb_info()
    return port


def _comports(include_links=False):
    with open(os.environ["GURU_PORT_LIST"]) as lines:
        return [_port(line) for line in lines if line.strip()]


serial.tools.list_ports.comports = _comports
