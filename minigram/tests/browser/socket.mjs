// The server's side of a WebSocket (RFC 6455), as far as texts of a client go.

import { createHash } from "node:crypto";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TEXT = 1;
const CLOSE = 8;

/** Answers an upgrade; `message` gets each text. Returns `send`, for texts, and `close`. */
export function accept(request, socket, message) {
  const key = createHash("sha1").update(request.headers["sec-websocket-key"] + GUID).digest("base64");
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${key}\r\n\r\n`);
  let rest = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (let frame = read(rest); frame; frame = read(rest)) {
      rest = rest.subarray(frame.length);
      if (frame.kind === TEXT) message(frame.text);
      if (frame.kind === CLOSE) socket.end();
    }
  });
  socket.on("error", () => socket.destroy());
  return { send: (text) => socket.writable && socket.write(frameOf(text)), close: () => socket.destroy() };
}

function read(bytes) {
  if (bytes.length < 2) return null;
  let size = bytes[1] & 0x7f;
  let at = 2;
  if (size === 126) {
    if (bytes.length < 4) return null;
    size = bytes.readUInt16BE(2);
    at = 4;
  }
  const length = at + 4 + size;
  if (bytes.length < length) return null;
  const mask = bytes.subarray(at, at + 4);
  const text = bytes.subarray(at + 4, length).map((byte, index) => byte ^ mask[index % 4]);
  return { kind: bytes[0] & 0x0f, text: Buffer.from(text).toString(), length };
}

function frameOf(text) {
  const content = Buffer.from(text);
  const head = content.length < 126 ? Buffer.from([0x81, content.length]) : Buffer.from([0x81, 126, content.length >> 8, content.length & 0xff]);
  return Buffer.concat([head, content]);
}
