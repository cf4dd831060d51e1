"""A DNS server on loopback for tests: real UDP and TCP, with the faults that a test asks for.

Usage: dns.py ZONE.json        (Debian: python3-dnslib)
Prints the port, the same for both, as one line, and ends when its stdin does.  The file is read anew when it changes:

    { "records": { "example.com": { "MX": ["10 mx1.example.com", "0 ."], "A": ["192.0.2.1"], "AAAA": ["2001:db8::1"],
                                    "TXT": ["v=spf1 -all", ["in two", " strings"]], "CNAME": ["other.example"], "NS": [...],
                                    "SOA": ["ns.example.com host.example.com 1 7200 3600 1209600 300"], "ttl": 60 },
                   "*.wild.example": { ... } },
      "faults": { "slow.example": "slow=0.5", "broken.example MX": "servfail", "*.bad.example": "silence" } }

A name that has a record below it exists (nodata); others do not (nxdomain).  "alone": true beside a CNAME leaves to the asker where it
leads.  A fault of "NAME TYPE" goes before one of "NAME":
nxdomain nodata servfail refused notimp formerr, silence, slow=SECONDS, truncated (UDP says: ask by TCP), truncated-silence (and TCP
says nothing), garbage (no DNS at all), wrong-question, wrong-id, cut (the answer ends in its middle), long (lengths that lead
behind the end), loop (a name that points at itself), lost=N (the first N questions are not answered), no-edns (FORMERR to EDNS).
"log": FILE writes one line a question, "udp example.com MX".
"""
import fnmatch
import json
import os
import selectors
import socket
import struct
import sys
import time

from dnslib import AAAA, CNAME, MX, NS, QTYPE, RCODE, RR, SOA, TXT, A, DNSHeader, DNSRecord

RCODES = {"nxdomain": RCODE.NXDOMAIN, "servfail": RCODE.SERVFAIL, "refused": RCODE.REFUSED, "notimp": RCODE.NOTIMP, "formerr": RCODE.FORMERR}
UDP_OCTETS = 512                # RFC 1035, 4.2.1; what EDNS says goes before it


class Zone:
    def __init__(self, path):
        self.path, self.stamp, self.lost = path, None, {}
        self.look()

    def look(self):
        state = os.stat(self.path)
        stamp = (state.st_mtime_ns, state.st_ino, state.st_size)
        if stamp == self.stamp:
            return
        with open(self.path, encoding="utf-8") as file:
            zone = json.load(file)
        self.stamp = stamp
        self.records = {name.lower(): types for name, types in zone.get("records", {}).items()}
        self.faults = zone.get("faults", {})
        self.log = zone.get("log")

    def fault(self, name, kind):
        for key in (name + " " + kind, name):
            if key in self.faults:
                return self.faults[key]
        for key, what in self.faults.items():
            if "*" in key and (fnmatch.fnmatchcase(name + " " + kind, key) or fnmatch.fnmatchcase(name, key)):
                return what
        return None

    def at(self, name):
        if name in self.records:
            return self.records[name]
        for key, types in self.records.items():
            if key.startswith("*.") and name.endswith(key[1:]):
                return types
        if any(key.endswith("." + name) for key in self.records):
            return {}
        return None


def data_of(kind, value):
    if kind == "A":
        return A(value)
    if kind == "AAAA":
        return AAAA(value)
    if kind == "MX":
        preference, exchange = value.split()
        return MX(exchange, int(preference))
    if kind == "TXT":
        strings = [value[i:i + 255] for i in range(0, max(1, len(value)), 255)] if isinstance(value, str) else value
        return TXT([part.encode("utf-8") for part in strings])
    if kind == "SOA":
        primary, mailbox, *numbers = value.split()
        return SOA(primary, mailbox, tuple(int(n) for n in numbers))
    return {"CNAME": CNAME, "NS": NS}[kind](value)


def fill(reply, zone, name, kind):
    """The answer section, aliases followed inside of what we know (RFC 1034, 4.3.2)."""
    seen = set()
    while name not in seen:
        seen.add(name)
        types = zone.at(name)
        if types is None:
            reply.header.rcode = RCODE.NXDOMAIN
            return
        ttl = types.get("ttl", 60)
        wanted = types.get(kind, [])
        alias = types.get("CNAME") if kind != "CNAME" else None
        for value in alias or wanted:
            of = "CNAME" if alias else kind
            reply.add_answer(RR(name, getattr(QTYPE, of), rdata=data_of(of, value), ttl=ttl))
        if not alias or types.get("alone"):
            return
        name = alias[0].lower().rstrip(".")


def answer(zone, packet, tcp):
    """What goes back: (octets or None, seconds later)."""
    try:
        query = DNSRecord.parse(packet)
    except Exception:
        return None, 0
    if not query.questions:
        return None, 0
    name, kind = str(query.q.qname).rstrip(".").lower(), QTYPE.get(query.q.qtype, "?")
    zone.look()
    if zone.log:
        with open(zone.log, "a", encoding="utf-8") as file:
            file.write("%s %s %s\n" % ("tcp" if tcp else "udp", name, kind))
    fault, wait = zone.fault(name, kind), 0
    if fault and fault.startswith("slow="):
        fault, wait = None, float(fault[5:])
    if fault and fault.startswith("lost="):
        seen = zone.lost[name] = zone.lost.get(name, 0) + 1
        fault = "silence" if seen <= int(fault[5:]) else None
    edns = [rr for rr in query.ar if rr.rtype == QTYPE.OPT]
    if fault == "no-edns":
        fault = "formerr" if edns else None
    if fault == "silence" or (fault == "truncated-silence" and tcp):
        return None, 0
    if fault == "garbage":
        return b"220 mail.example.com ESMTP\r\n", 0

    reply = DNSRecord(DNSHeader(id=query.header.id, qr=1, aa=0, ra=1, rd=query.header.rd), q=query.q)
    if fault in RCODES:
        reply.header.rcode = RCODES[fault]
    elif fault not in ("nodata", "long", "loop"):
        fill(reply, zone, name, kind)
    if fault == "wrong-id":
        reply.header.id ^= 0x5555
    octets = reply.pack()
    question_end = 12 + len(query.q.qname.label) + sum(len(part) for part in query.q.qname.label) + 1 + 4
    if fault == "wrong-question":
        octets = octets[:13] + bytes([octets[13] ^ 1]) + octets[14:]
    elif fault == "cut":
        octets = octets[:-3]
    elif fault == "long":
        record = struct.pack("!HHHIH", 0xC00C, query.q.qtype, 1, 60, 0xFFFF) + b"\x00\x0a\x03abc"
        octets = octets[:6] + b"\x00\x01\x00\x00\x00\x00" + octets[12:question_end] + record
    elif fault == "loop":
        at = question_end + 12 + (2 if kind == "MX" else 0)
        data = (b"\x00\x0a" if kind == "MX" else b"") + struct.pack("!H", 0xC000 | at)
        record = struct.pack("!HHHIH", 0xC00C, query.q.qtype, 1, 60, len(data)) + data
        octets = octets[:6] + b"\x00\x01\x00\x00\x00\x00" + octets[12:question_end] + record
    room = max([UDP_OCTETS] + [rr.rclass for rr in edns])
    if not tcp and (len(octets) > room or fault in ("truncated", "truncated-silence")):
        short = DNSRecord(DNSHeader(id=query.header.id, qr=1, tc=1, ra=1, rd=query.header.rd), q=query.q)
        octets = short.pack()
    return octets, wait


def main():
    zone = Zone(sys.argv[1])
    while True:                 # a port that is free for both
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        try:
            udp.bind(listener.getsockname())
            break
        except OSError:
            udp.close()
            listener.close()
    print(udp.getsockname()[1], flush=True)
    ready = selectors.DefaultSelector()
    ready.register(udp, selectors.EVENT_READ)
    ready.register(listener, selectors.EVENT_READ)
    ready.register(sys.stdin, selectors.EVENT_READ)
    later, waiting = [], {}     # (when, function); TCP: octets so far by connection

    def drop(sock):
        ready.unregister(sock)
        waiting.pop(sock, None)
        sock.close()

    def give(octets, wait, send):
        if octets is not None and wait == 0:
            send(octets)
        elif octets is not None:
            later.append((time.monotonic() + wait, lambda: send(octets)))

    def send_tcp(sock, octets):
        try:
            sock.sendall(struct.pack("!H", len(octets)) + octets)
        except OSError:
            pass

    while True:
        now = time.monotonic()
        for job in [job for job in later if job[0] <= now]:
            later.remove(job)
            job[1]()
        left = max(0, min(job[0] for job in later) - time.monotonic()) if later else None
        for key, _ in ready.select(left):
            sock = key.fileobj
            if sock is sys.stdin:
                if not os.read(0, 4096):
                    return
            elif sock is udp:
                packet, peer = udp.recvfrom(4096)
                octets, wait = answer(zone, packet, False)
                give(octets, wait, lambda o, peer=peer: udp.sendto(o, peer))
            elif sock is listener:
                peer, _ = listener.accept()
                waiting[peer] = b""
                ready.register(peer, selectors.EVENT_READ)
            else:
                try:
                    octets = sock.recv(65536)
                except OSError:
                    octets = b""
                if not octets:
                    drop(sock)
                    continue
                waiting[sock] += octets
                while len(waiting[sock]) >= 2:
                    size = struct.unpack("!H", waiting[sock][:2])[0]
                    if len(waiting[sock]) < 2 + size:
                        break
                    packet, waiting[sock] = waiting[sock][2:2 + size], waiting[sock][2 + size:]
                    octets, wait = answer(zone, packet, True)
                    give(octets, wait, lambda o, sock=sock: send_tcp(sock, o))


main()
