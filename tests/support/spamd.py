"""A stand-in for SpamAssassin's spamd: one verdict for every message, by its protocol. Prints its port; ends with stdin.

Usage: spamd.py SCORE RULES
"""
import socket
import sys
import threading

score, rules = float(sys.argv[1]), sys.argv[2]


def serve(client):
    with client:
        stream = client.makefile("rb")
        request = stream.readline()
        length = 0
        while True:
            line = stream.readline()
            if line in (b"\r\n", b""):
                break
            name, _, value = line.decode().partition(":")
            if name.lower() == "content-length":
                length = int(value)
        message = stream.read(length)
        if not request.startswith(b"SYMBOLS SPAMC/") or len(message) != length or b"\r\n\r\n" not in message:
            client.sendall(b"SPAMD/1.0 76 Bad header line\r\n\r\n")
            return
        answer = rules.encode() + b"\r\n"
        client.sendall(b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %s ; %.1f / 5.0\r\n\r\n" % (len(answer), b"True" if score >= 5 else b"False", score) + answer)


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)


def accept():
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
