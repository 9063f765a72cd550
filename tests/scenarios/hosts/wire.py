"""wire - a cable that can be tampered with; runs in a lab host with two ports.

    wire.py PORT PORT

Hands on frames between the two ports as they are (with their offload header) and does what it is told
by datagrams at 127.0.0.1:9: the answer to each says what was sent.

    wait PORT           an ESP frame toward PORT was seen: its SPI and sequence number
    replay PORT N       that frame N times again
    flip PORT N         that frame with a sequence number ahead of it and one bit of the text changed
    cut PORT            that frame, its IP length made right, at every length from 0 bytes of ESP on
"""
import select
import socket
import struct
import sys

SOL_PACKET, PACKET_VNET_HDR, OUTGOING = 263, 15, 4
NO_OFFLOAD = bytes(10)


def checksum(data):
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip_length(frame, length):
    """The frame cut or filled to that length of IP, with a header that says so."""
    ip = bytearray(frame[14:34])
    ip[2:4] = struct.pack(">H", length)
    ip[10:12] = bytes(2)
    ip[10:12] = struct.pack(">H", checksum(bytes(ip)))
    return frame[:14] + bytes(ip) + frame[34:14 + length]


def is_esp(frame):
    return len(frame) >= 42 and frame[12:14] == b"\x08\x00" and frame[14] == 0x45 and frame[23] == 50


class Port:
    def __init__(self, name):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.socket.bind((name, 3))
        self.last = None    # the last ESP frame that left here

    def send(self, packet):
        try:
            self.socket.send(packet)
        except OSError:
            return 0    # no carrier: a cable drops it too
        return 1

    def resend(self, frame):
        return self.send(NO_OFFLOAD + frame)


def command(ports, words):
    port = ports[words[1]]
    if not port.last:
        return "none"
    spi, sequence = struct.unpack(">II", port.last[34:42])
    if words[0] == "wait":
        return "%08x %d" % (spi, sequence)
    if words[0] == "replay":
        return str(sum(port.resend(port.last) for _ in range(int(words[2]))))
    if words[0] == "flip":
        sent = 0
        for n in range(int(words[2])):
            frame = bytearray(port.last)
            frame[38:42] = struct.pack(">I", sequence + 1000 + n)
            frame[-1] ^= 1
            sent += port.resend(bytes(frame))
        return str(sent)
    if words[0] == "cut":
        whole = len(port.last) - 34
        return str(sum(port.resend(ip_length(port.last, 20 + n)) for n in range(0, whole)))
    return "what?"


def main():
    names = sys.argv[1:3]
    ports = {name: Port(name) for name in names}
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    control.bind(("127.0.0.1", 9))
    print("ready", flush=True)
    other = {ports[names[0]].socket: ports[names[1]], ports[names[1]].socket: ports[names[0]]}
    while True:
        for ready in select.select(list(other) + [control], [], [])[0]:
            if ready is control:
                text, who = control.recvfrom(100)
                control.sendto(command(ports, text.decode().split()).encode(), who)
                continue
            try:
                packet, where = ready.recvfrom(70000)
            except OSError:
                continue    # the port went down
            if where[2] == OUTGOING:
                continue
            out = other[ready]
            out.send(packet)
            if is_esp(packet[10:]):
                out.last = packet[10:]


main()
