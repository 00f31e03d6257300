"""A serial port behind an RFC 2217 server that is not ours.

    rfc2217_server.py esptool SERIALPORT     the server that comes with esptool
    rfc2217_server.py pyserial SERIALPORT    a loop around pySerial's PortManager

It listens on 127.0.0.1 alone, at a port that is free, and prints its number.
"""

import errno
import socket
import sys
import threading

import serial
import serial.rfc2217


class Board(serial.Serial):
    """A port whose missing modem lines do nothing: a pseudo-terminal has none, a board has."""

    def _update_dtr_state(self):
        self._without_lines(super()._update_dtr_state)

    def _update_rts_state(self):
        self._without_lines(super()._update_rts_state)

    @staticmethod
    def _without_lines(update):
        try:
            update()
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTTY):
                raise

    cts = dsr = ri = cd = property(lambda self: False)


class Listener(socket.socket):
    """Listens where this script is to, whatever it is told."""

    def bind(self, _):
        super().bind(("127.0.0.1", 0))
        print(f"listening {self.getsockname()[1]}", flush=True)


def serve_by_esptool(port):
    import esp_rfc2217_server

    socket.socket = Listener
    esp_rfc2217_server.main([port])


def serve_by_pyserial(name):
    listener = Listener()
    listener.bind(None)
    listener.listen(1)
    port = serial.serial_for_url(name, timeout=0.05)
    while True:
        client, _ = listener.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Client(port, client).serve()


class Client:
    """One client at the port, until it goes."""

    def __init__(self, port, stream):
        self.port = port
        self.stream = stream
        self.lock = threading.Lock()
        self.here = True
        self.manager = serial.rfc2217.PortManager(port, self)

    def write(self, data):
        """What the manager and the port have to say comes from two threads."""
        with self.lock:
            self.stream.sendall(data)

    def serve(self):
        upwards = threading.Thread(target=self.carry_up, daemon=True)
        upwards.start()
        try:
            while data := self.stream.recv(16384):
                self.port.write(b"".join(self.manager.filter(data)))
        except ConnectionError:
            pass
        self.here = False
        upwards.join()
        self.stream.close()

    def carry_up(self):
        while self.here:
            data = self.port.read(self.port.in_waiting or 1)
            try:
                if data:
                    self.write(b"".join(self.manager.escape(data)))
            except OSError:
                return


if __name__ == "__main__":
    serial.Serial = Board
    {"esptool": serve_by_esptool, "pyserial": serve_by_pyserial}[sys.argv[1]](sys.argv[2])
