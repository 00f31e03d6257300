// Drives esptool-js, which is made for browsers, under Node: its serial port is a socket.
//
//     node esptool_js.mjs PACKAGE URL JOB
//
// PACKAGE: the folder of esptool-js. URL: socket://HOST:PORT or rfc2217://HOST:PORT. JOB: JSON,
// { "reset": bool, "jtag": bool, "stub": bool, "writes": [{ "file": PATH, "address": number, "compress": bool }] };
// jtag: the port is the chip's own USB-Serial/JTAG; stub: with the stub that it brings along, which reads too.
// Prints what came of it as one line of JSON.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, url, job] = process.argv.slice(2);
const { ESPLoader, Transport } = await import(pathToFileURL(join(folder, "lib/index.js")));
const { reset, jtag, stub, writes } = JSON.parse(job);

/** Milliseconds that an answer may take. */
const PATIENCE = 60_000;

const IAC = 255, SB = 250, SE = 240, WILL = 251, WONT = 252, DO = 253, DONT = 254;
const BINARY = 0, GO_AHEAD = 3, COM_PORT = 44;
const SET_BAUDRATE = 1, SET_CONTROL = 5;

/** As much of the browser's SerialPort as esptool-js uses. */
class SocketPort {
  constructor(url) {
    const { protocol, hostname, port } = new URL(url);
    this.telnet = protocol === "rfc2217:";
    this.host = hostname;
    this.port = Number(port);
    this.pending = [];
  }

  getInfo() {
    return jtag ? { usbVendorId: 0x303a, usbProductId: 0x1001 } : {};
  }

  async open({ baudRate }) {
    this.socket = connect(this.port, this.host);
    this.socket.setNoDelay(true);
    await new Promise((done, failed) => this.socket.once("connect", done).once("error", failed));
    this.readable = new ReadableStream({
      start: (stream) => {
        this.socket.on("data", (bytes) => {
          const data = this.telnet ? this.untelnet(bytes) : bytes;
          if (data.length) stream.enqueue(new Uint8Array(data));
        });
        this.socket.on("close", () => {
          try {
            stream.close();
          } catch {
            // It was cancelled by the reader.
          }
        });
      },
    });
    this.writable = new WritableStream({ write: (bytes) => this.send(escaped(bytes, this.telnet)) });
    if (this.telnet) {
      await this.send([IAC, WILL, COM_PORT, IAC, WILL, BINARY, IAC, DO, BINARY, IAC, DO, GO_AHEAD]);
      await this.control(SET_BAUDRATE, [24, 16, 8, 0].map((shift) => (baudRate >> shift) & 255));
    }
  }

  async close() {
    this.socket.end();
    this.readable = this.writable = undefined;
  }

  async setSignals({ dataTerminalReady, requestToSend }) {
    if (dataTerminalReady !== undefined) await this.control(SET_CONTROL, [dataTerminalReady ? 8 : 9]);
    if (requestToSend !== undefined) await this.control(SET_CONTROL, [requestToSend ? 11 : 12]);
  }

  async control(what, value) {
    if (this.telnet) {
      await this.send([IAC, SB, COM_PORT, what, ...escaped(value, true), IAC, SE]);
    }
  }

  send(bytes) {
    return new Promise((done, failed) =>
      this.socket.write(Uint8Array.from(bytes), (error) => (error ? failed(error) : done())));
  }

  /** What is left of the bytes without Telnet's commands; one that is cut waits for its rest. */
  untelnet(bytes) {
    const all = [...this.pending, ...bytes];
    const data = [];
    let at = 0;
    while (at < all.length) {
      const next = all[at + 1];
      let end = at + 1;
      if (all[at] !== IAC) {
        data.push(all[at]);
      } else if (next === IAC) {
        data.push(IAC);
        end = at + 2;
      } else if ([WILL, WONT, DO, DONT].includes(next)) {
        end = at + 3;
      } else if (next === SB) {
        end = at + 2;
        while (end < all.length && !(all[end] === IAC && all[end + 1] === SE)) {
          end += all[end] === IAC ? 2 : 1;
        }
        end += 2;
      } else {
        end = at + 2;
      }
      if (end > all.length) break;
      at = end;
    }
    this.pending = all.slice(at);
    return data;
  }
}

function escaped(bytes, telnet) {
  return telnet ? [...bytes].flatMap((byte) => (byte === IAC ? [IAC, IAC] : [byte])) : bytes;
}

/** What is tried is not how fast this machine is. */
class PatientLoader extends ESPLoader {
  async checkCommand(what, op, data, checksum, length, timeout = 0) {
    return super.checkCommand(what, op, data, checksum, length, Math.max(timeout, PATIENCE));
  }
}

/**
 * Without a stub esptool-js says too little, or too much, in two commands: it was never meant to
 * be used so. Both are put right as Espressif's description of the serial protocol has them.
 */
class RomLoader extends PatientLoader {
  async checkCommand(what, op, data, ...rest) {
    const old = ["ESP8266", "ESP32"].includes(this.chip?.CHIP_NAME);
    if (op === this.ESP_FLASH_BEGIN || op === this.ESP_FLASH_DEFL_BEGIN) {
      data = resized(data, old ? 16 : 20);
    } else if (op === this.ESP_SPI_ATTACH) {
      data = resized(data, 8);
    }
    return super.checkCommand(what, op, data, ...rest);
  }
}

function resized(data, length) {
  const bytes = new Uint8Array(length);
  bytes.set(data.slice(0, length));
  return bytes;
}

const said = [];
const terminal = { clean() {}, writeLine: (text) => said.push(text), write: (text) => said.push(text) };
const transport = new Transport(new SocketPort(url));
transport.trace = () => {};
const loader = new (stub ? PatientLoader : RomLoader)({ transport, baudrate: 115200, terminal });
loader.DEFAULT_TIMEOUT = PATIENCE;
try {
  const mode = reset ? "default_reset" : "no_reset";
  if (stub) {
    await loader.main(mode);
    if (!loader.IS_STUB) throw new Error("no stub runs");
  } else {
    await loader.detectChip(mode);
  }
  const { chip } = loader;
  const old = chip.CHIP_NAME === "ESP8266";
  if (!stub) {
    // Its own 16 KB are the stub's.
    loader.FLASH_WRITE_SIZE = 0x400;
    if (old) await loader.flashBegin(0, 0);
    else await loader.flashSpiAttach(0);
  }
  const result = {
    chip: chip.CHIP_NAME,
    mac: await chip.readMac(loader),
    // On an ESP8266 it puts the lengths into a wrong register, and gets one byte.
    flash_id: (await loader.readFlashId()) & (old ? 0xff : 0xffffff),
  };
  for (const { file, address, compress } of writes) {
    const data = new Uint8Array(readFileSync(file));
    const fileArray = [{ data, address }];
    const keep = { flashMode: "keep", flashFreq: "keep", flashSize: "keep" };
    await loader.writeFlash({ fileArray, compress, ...keep });
    if (stub || !old) {
      const told = await loader.flashMd5sum(address, data.length);
      // The ROM answers in letters.
      const digest = stub ? told : Buffer.from(told, "hex").toString();
      const right = createHash("md5").update(data).digest("hex");
      if (digest !== right) throw new Error(`the chip's digest is ${digest}, and not ${right}`);
    }
    if (stub) {
      const read = await loader.readFlash(address + 0x123, 0x2345);
      const right = data.slice(0x123, 0x123 + 0x2345);
      if (!Buffer.from(read).equals(Buffer.from(right))) throw new Error("it read something else");
    }
  }
  console.log(JSON.stringify(result));
  process.exit(0);
} catch (error) {
  console.error(said.join("\n"));
  console.error(error);
  process.exit(1);
}
