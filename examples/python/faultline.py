"""A session with Faultline's broker: the frames and records of docs/protocol.md."""
import time, zmq
from struct import pack, unpack_from

HELLO, SUBSCRIBE, PUBLISH, ACK, NACK, BYE, PING = 1, 2, 4, 5, 6, 9, 10
WELCOME, PUBLISHED, DELIVER, ERROR, PONG = 0x81, 0x83, 0x84, 0x86, 0x8A
CRC_TABLE = range(256)
for _ in range(8):
    CRC_TABLE = [c >> 1 ^ (0x82F63B78 if c & 1 else 0) for c in CRC_TABLE]

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF

def string(text):
    return pack("<H", len(text.encode())) + text.encode()

def record(topic, key, id, body):
    parts = [part.encode() for part in (topic, key, id, "")]  # the last one: headers
    checked = pack("<4H", *map(len, parts)) + b"".join(parts) + body.encode()
    return pack("<II", len(checked) + 8, crc32c(checked)) + checked

def deliveries(batch):
    """Offset, attempt and [topic, key, id, headers, body] of each."""
    while batch:
        offset, _, attempt, size, crc, *sizes = unpack_from("<QQIII4H", batch)
        parts, at = [], 36
        for part in (*sizes, size - 16 - sum(sizes)):
            parts.append(batch[at:at + part])
            at += part
        if crc != crc32c(batch[28:at]):
            raise ConnectionError("an event was damaged on the way")  # it comes again
        yield offset, attempt, parts
        batch = batch[at:]

class Session:
    """ConnectionError from any of these: it is over; begin another one, after a pause."""

    def __init__(self, url, member, heartbeat_ms=1000):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 1000
        self.socket.connect(url)
        self.interval, self.heard = heartbeat_ms / 1000, time.monotonic()
        self.send(HELLO, string(member) + pack("<QI", time.time_ns() // 1000, heartbeat_ms))
        while self.receive(100)[0] != WELCOME: pass

    def send(self, type, fields=b"", *batch):
        self.said = time.monotonic()
        self.socket.send_multipart([bytes([2, type]) + fields, *batch])

    def receive(self, wait_ms):
        """Type, fields and batch of the next message; type 0: there was none."""
        frame, *batch = self.socket.recv_multipart() if self.socket.poll(wait_ms) else [bytes(2)]
        type, fields, now = frame[1], frame[2:], time.monotonic()
        self.heard = now if type else self.heard
        if type == BYE or now - self.heard > 3 * self.interval:
            raise ConnectionError("the broker has stopped, or is silent")
        if type == WELCOME:
            self.interval = unpack_from("<I", fields)[0] / 1000
        if type == ERROR:
            request, index, size = unpack_from("<QIH", fields)
            fields = request, fields[14:14 + size].decode()  # the code
            if index == 0xFFFFFFFF:  # about no single record: it may do later
                raise ConnectionError(fields[1])
        if type == PING or now - self.said > self.interval:
            self.send(PONG if type == PING else PING)
        return type, fields, batch[0] if batch else b""
