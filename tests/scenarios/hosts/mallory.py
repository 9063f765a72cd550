"""mallory - sends what no honest host sends, as raw frames; runs in a lab host.

    mallory.py GATEWAY TARGET PEER FAR SPI packets|floods SEED

GATEWAY is the box's address on this link, TARGET its tunnel's address, PEER the tunnel's other end
(spoofed), FAR a host behind another port, SPI one in use at the box (hexadecimal). `packets` are
malformed in one way each, `floods` come in numbers. Prints for each kind of frame how many were sent:
"name count".
"""
import random
import socket
import struct
import subprocess
import sys

gateway, target, peer, far = sys.argv[1:5]
spi = int(sys.argv[5], 16)
chance = random.Random(int(sys.argv[7]))
port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
port.bind(("eth0", 0))
mine = port.getsockname()[4]
own = "10.4.4.10"


def gateway_mac():
    subprocess.run(["ping", "-c", "1", "-W", "2", gateway], stdout=subprocess.DEVNULL)
    line = subprocess.run(["ip", "neigh", "show", gateway], stdout=subprocess.PIPE, text=True).stdout
    words = line.split()
    return bytes.fromhex(words[words.index("lladdr") + 1].replace(":", ""))


box = gateway_mac()


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip(protocol, payload, source=own, to=target, **change):
    """An IPv4 packet; version, ihl, total, ttl, fragment, options, sum may be wrong on purpose."""
    options = change.get("options", b"")
    ihl = change.get("ihl", 5 + len(options) // 4)
    total = change.get("total", 20 + len(options) + len(payload))
    head = struct.pack(">BBHHHBBH4s4s", change.get("version", 4) << 4 | ihl, 0, total & 0xffff, 7,
                       change.get("fragment", 0), change.get("ttl", 64), protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(to)) + options
    good = checksum(head)
    head = head[:10] + struct.pack(">H", change.get("sum", good)) + head[12:]
    return head + payload


def udp(payload, source=500, to=500):
    return struct.pack(">HHHH", source, to, 8 + len(payload), 0) + payload


def frame(packet, mac=None, ethertype=0x0800):
    return (mac or box) + mine + struct.pack(">H", ethertype) + packet


def tcp(source, to):
    return struct.pack(">HHIIBBHHH", source, to, 1, 0, 0x50, 2, 1024, 0, 0)


def echo():
    body = struct.pack(">BBHHH", 8, 0, 0, 7, 7) + bytes(16)
    return body[:2] + struct.pack(">H", checksum(body)) + body[4:]


def ike(first, exchange=34, flags=8, body=b"", length=None, number=0, version=0x20, initiator=None,
        responder=bytes(8)):
    initiator = initiator or chance.randbytes(8)
    size = 28 + len(body) if length is None else length
    return initiator + responder + struct.pack(">BBBBII", first, version, exchange, flags, number, size) + body


def payload(following, body, length=None):
    return struct.pack(">BBH", following, 0, 4 + len(body) if length is None else length & 0xffff) + body


def proposal():
    """AES-256-GCM, PRF SHA-256, group 19: as the box wants it."""
    transforms = (struct.pack(">BBHBBHHH", 3, 0, 12, 1, 0, 20, 0x800e, 256) +
                  struct.pack(">BBHBBH", 3, 0, 8, 2, 0, 5) + struct.pack(">BBHBBH", 0, 0, 8, 4, 0, 19))
    return struct.pack(">BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms


def sa_init(point=None):
    # the generator of P-256: a valid point that costs the sender nothing
    generator = bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                              "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    return ike(33, body=payload(34, proposal()) + payload(40, struct.pack(">HH", 19, 0) + (point or generator)) +
               payload(0, chance.randbytes(32)))


def esp(which, size):
    return struct.pack(">II", which, 1) + chance.randbytes(size)


def ike_junk():
    all_of = []
    for n in range(60):
        all_of.append(chance.randbytes(chance.randrange(0, 300)))
    for n in range(28):
        all_of.append(ike(33)[:n])                              # no whole header
    good = sa_init()
    for n in range(28, len(good), 9):
        all_of.append(good[:n])                                 # shorter than it says
        all_of.append(good[:24] + struct.pack(">I", n) + good[28:n])    # chain ends in the middle
    for n in range(60):
        changed = bytearray(good)
        changed[chance.randrange(16, len(changed))] ^= 1 << chance.randrange(8)
        all_of.append(bytes(changed))
    all_of += [
        ike(33, length=0xffffffff), ike(33, length=0), ike(33, length=27),
        ike(33, body=payload(0, b"", 3)), ike(33, body=payload(0, b"", 0)),
        ike(33, body=payload(0, bytes(8), 0xffff)),
        ike(33, version=0x10), ike(33, version=0x30), ike(33, exchange=99), ike(33, flags=0x20),
        ike(33, initiator=bytes(8)), ike(46, exchange=35, number=1, responder=chance.randbytes(8), body=chance.randbytes(60)),
        ike(53, exchange=36, number=1, responder=chance.randbytes(8), body=payload(0, chance.randbytes(40))),
        ike(200, body=struct.pack(">BBH", 0, 0x80, 8) + bytes(4)),     # unknown and critical
        ike(33, body=payload(33, b"") * 350),
        ike(33, body=payload(34, proposal() * 30) + payload(40, bytes(4)) + payload(0, bytes(16))),
        ike(43, body=payload(0, bytes(1200))), sa_init(bytes(64)), sa_init(b"\xff" * 64),
    ]
    return all_of


packets = {
    "ip-short": [frame(ip(17, b"")[:n]) for n in range(0, 20)],
    "ip-version": [frame(ip(17, udp(b"x"), version=v)) for v in (0, 5, 6, 15)],
    "ip-ihl": [frame(ip(17, udp(bytes(40)), ihl=n)) for n in (0, 1, 4)] + [frame(ip(17, udp(b""), ihl=15))],
    "ip-total": [frame(ip(17, udp(bytes(40)), total=n)) for n in (0, 19, 69, 1500, 65535)],
    "ip-checksum": [frame(ip(17, udp(b"x"), sum=n)) for n in (1, 0xfffe)],
    "ip-source": [frame(ip(1, echo(), source=s)) for s in ("127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0")],
    "ip-ttl-0": [frame(ip(1, echo(), to=far, ttl=0))] * 3,
    "ip-ttl-1": [frame(ip(17, udp(b"x", 7, 7), to=far, ttl=1))] * 3,
    "l4-short": [frame(ip(p, bytes(n))) for p in (6, 17, 1) for n in range(0, 8)],
    "l2-short": [frame(b"")[:n] for n in (14,)] + [frame(ip(1, echo()), bytes.fromhex("02aabbccddee"))] * 2,
    "vlan": [frame(bytes(4) + ip(1, echo()), ethertype=0x8100)] * 2,
    "l2-unknown": [frame(chance.randbytes(60), ethertype=t) for t in (0x0000, 0x05dc, 0x8847, 0x88cc, 0x88e5, 0x0806)],
    "ip6": [frame((b"\x50" + chance.randbytes(60))[:n], ethertype=0x86dd) for n in range(0, 60, 4)],
    "multicast": [frame(ip(1, echo(), to="224.0.0.5"))] * 2,
    "l2-broadcast": [frame(ip(1, echo(), to=far), b"\xff" * 6)] * 2,
    "land": [frame(ip(6, tcp(500, 500), source=target))] * 3 + [frame(ip(17, udp(bytes(28)), source=target))] * 3 +
            [frame(ip(17, udp(b"x", 7, 7), source=far, to=far))] * 3,
    "options": [frame(ip(1, echo(), to=far, options=o)) for o in (b"\x07\x04\x04\x00", b"\x83\x03\x04\x00",
                b"\x00" * 40, b"\x44\x00\x00\x00", b"\x94\x04\x00\x00")],
    "fragments": [frame(ip(17, udp(bytes(16)), to=far, fragment=f)) for f in (0x2000, 0x2001, 0x1fff, 0x3fff, 3, 0x0001)] +
                 [frame(ip(6, b"", to=far, fragment=0x2000)), frame(ip(50, b"\0", to=target, fragment=1))],
    "esp-short": [frame(ip(50, bytes(n))) for n in range(0, 8)],
    "esp-anchor": [frame(ip(50, esp(0xfff00000 + n, 40))) for n in range(5)] + [frame(ip(50, esp(0, 40)))],
    "natt-anchor": [frame(ip(17, udp(esp(0xffe00000 + n, 40), 4500, 4500))) for n in range(5)],
    "natt-short": [frame(ip(17, udp(bytes([1] * n), 4500, 4500))) for n in range(2, 8)],
    "natt-keepalive": [frame(ip(17, udp(b"\xff", 4500, 4500)))] * 4,
    "natt-marker": [frame(ip(17, udp(bytes(4) + chance.randbytes(n), 4500, 4500))) for n in range(0, 60, 5)],
    "esp-spi": [frame(ip(50, esp(spi ^ 0x155, n))) for n in range(0, 50, 5)],
    "esp-forged": [frame(ip(50, struct.pack(">II", spi, 100000 + n) + chance.randbytes(72), source=peer)) for n in range(10)],
    "natt-forged": [frame(ip(17, udp(struct.pack(">II", spi, 100000 + n) + chance.randbytes(72), 4500, 4500), source=peer))
                    for n in range(5)],
}


def floods():
    return {
        "ike-junk": [frame(ip(17, udp(j))) for j in ike_junk()],
        "ike-junk-peer": [frame(ip(17, udp(j), source=peer)) for j in ike_junk()],
        "half-open-peer": [frame(ip(17, udp(sa_init()), source=peer)) for _ in range(300)],
        "half-open": [frame(ip(17, udp(sa_init()), source="198.51.100.%d" % (n % 250 + 1))) for n in range(300)],
        "random": [frame(ip(chance.randrange(256), chance.randbytes(chance.randrange(0, 200)), to=chance.choice((target, far, gateway))))
               for _ in range(300)],
    }


for name, frames in (packets if sys.argv[6] == "packets" else floods()).items():
    for one in frames:
        port.send(one)
    print(name, len(frames), flush=True)
