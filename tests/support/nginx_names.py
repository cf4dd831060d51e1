"""A name server on loopback for tests.

Usage: nginx_names.py PORT NAME=ADDRESS...
Binds a free UDP port of 127.0.0.1, tells it as one line to whoever listens on TCP PORT there, and answers until that connection
ends. A name that is not listed does not exist; the address "-" is silence.
"""
import select
import socket
import struct
import sys

names = dict(word.split("=", 1) for word in sys.argv[2:])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
parent = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
parent.sendall(b"%d\n" % udp.getsockname()[1])


def answer(query):
    """RFC 1035, 4.1: the header, the one question as it came, and the address."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("ascii").lower())
        at += 1 + query[at]
    question = query[12:at + 5]
    kind = struct.unpack("!H", query[at + 1:at + 3])[0]
    address = names.get(".".join(labels))
    if address == "-":
        return None
    record = b""
    if address and kind == 1:
        record = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton(address))
    return query[:2] + struct.pack("!HHHHH", 0x8580 if address else 0x8583, 1, bool(record), 0, 0) + question + record


while True:
    ready, _, _ = select.select([udp, parent], [], [])
    if parent in ready:
        break
    packet, peer = udp.recvfrom(512)
    reply = answer(packet)
    if reply:
        udp.sendto(reply, peer)
