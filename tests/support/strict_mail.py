#!/usr/bin/python3
"""Check mails against the letter of RFC 5322, 2045, 2046 and 2047, octet by octet.

    strict_mail.py FILE...      prints a line for each fault, exit status 1 when there is one

It reads no more than the syntax wants and shares no code with a parser, which would forgive.
"""
import base64
import binascii
import quopri
import re
import sys

WORD = re.compile(rb"=\?UTF-8\?([BQ])\?([!->@-~]*)\?=")
PARAMETER = re.compile(rb';[ \t]*(?:\r\n[ \t]+)?([!#$&+.0-9A-Z^_`a-z{|}~*-]+)=("(?:[^"\\\r\n]|\\[ -~]|\r\n[ \t])*"|[!#$%&\'*+.0-9A-Z^_`a-z{|}~-]+)')
ONCE = [b"date", b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc", b"message-id", b"in-reply-to", b"references", b"subject",
        b"mime-version", b"content-type", b"content-transfer-encoding", b"content-disposition", b"content-id"]


class Fault(Exception):
    pass


def need(good, why, shown=b""):
    if not good:
        raise Fault("%s: %r" % (why, shown[:120]) if shown else why)


def header(section):
    """The fields of a header section, by lower-case name; values as they stand, folded."""
    fields = []
    for line in section.split(b"\r\n")[:-1]:
        need(all(c == 9 or 32 <= c < 127 for c in line), "a header line holds more than printable ASCII", line)
        if line[:1] in b" \t":
            need(fields, "the header begins with a folded line", line)
            need(line.strip(b" \t"), "a folded line holds blanks only (RFC 5322, 4.2)", line)
            fields[-1][1] += b"\r\n" + line
        else:
            name, colon, value = line.partition(b":")
            need(colon and re.fullmatch(rb"[!-9;-~]+", name), "no field name and colon", line)
            need(not value or value[:1] == b" ", "no blank behind the colon", line)
            fields.append([name.lower(), value])
        need(line[-1:] not in (b" ", b"\t"), "a header line ends in a blank", line)
        # RFC 5322, 2.1.1: 78 where a fold is possible, and it is at every blank but those that lead
        body = line.partition(b": ")[2] if line[:1] not in b" \t" else line
        need(len(line) <= 78 or not re.search(rb"[^ \t][ \t]+[^ \t]", body), "a line of %d octets could be folded" % len(line), line)
        if b"=?UTF-8?" in line:
            need(len(line) <= 76, "a line with an encoded word has %d octets (RFC 2047, 2)" % len(line), line)
    for name in ONCE:
        need(sum(f[0] == name for f in fields) <= 1, "the field %s stands twice" % name.decode())
    for name, value in fields:
        # Not in our X-AliDM-* and not where a quoted string shows one: those are no encoded words.
        for word in WORD.finditer(value):
            need(len(word.group()) <= 75, "an encoded word of %d octets" % len(word.group()), word.group())
            octets = base64.b64decode(word[2], validate=True) if word[1] == b"B" else \
                re.sub(rb"=([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), word[2].replace(b"_", b" "))
            try:
                octets.decode()
            except UnicodeDecodeError:
                raise Fault("an encoded word cuts a character (RFC 2047, 5): %r" % word.group())
    return dict(fields)


def parameters(value):
    """Type and parameters of a field like Content-Type, which must be nothing else."""
    kind = re.match(rb" ([A-Za-z0-9!#$&^_.+/-]+)", value)
    need(kind, "no type", value)
    found, at = {}, kind.end()
    while at < len(value):
        m = PARAMETER.match(value, at)
        need(m, "no parameter", value[at:])
        need(m[1].lower() not in found, "a parameter stands twice", value)
        found[m[1].lower()] = m[2].strip(b'"') if m[2][:1] == b'"' else m[2]
        at = m.end()
    numbers = {}
    for name in found:
        m = re.fullmatch(rb"(.*?)\*(\d+)\*?", name)
        if m:
            numbers.setdefault(m[1], []).append(int(m[2]))
        if name.endswith(b"*"):
            need(re.fullmatch(rb"(?:UTF-8'')?(?:%[0-9A-F]{2}|[A-Za-z0-9!#$&+.^_`{|}~-])*", found[name]), "no value of RFC 2231", found[name])
    for name, list_ in numbers.items():
        need(list_ == list(range(len(list_))), "continuations of %r out of order" % name)
    return kind[1].lower(), found


def leaf(body, coding):
    if coding in (b"7bit", b"8bit"):
        return
    lines = body.split(b"\r\n")
    if lines[-1] == b"":
        lines.pop()                     # the message's own last line end
    if coding == b"base64":
        need(all(len(line) == 76 for line in lines[:-1]), "a base64 line that is not full")
        need(not lines or 0 < len(lines[-1]) <= 76, "the last base64 line has %d octets" % len(lines[-1] if lines else b""))
        try:
            base64.b64decode(b"".join(lines), validate=True)
        except binascii.Error as e:
            raise Fault("no base64: %s" % e)
    elif coding == b"quoted-printable":
        for line in lines:
            need(len(line) <= 76, "a quoted-printable line of %d octets" % len(line), line)
            need(re.fullmatch(rb"(?:[\t -<>-~]|=[0-9A-F]{2})*=?", line), "no quoted-printable", line)
            need(line[-1:] not in (b" ", b"\t"), "a blank at a quoted-printable line's end", line)
            need(line[:1] != b"." and line[:5] != b"From ", "a line that a gateway would change", line)
        quopri.decodestring(body).decode()
    else:
        raise Fault("an unknown coding: %r" % coding)


def entity(octets, top=False):
    """Check one entity; true when it holds octets over 127."""
    section, empty, body = octets.partition(b"\r\n\r\n")
    need(empty, "a header section without its empty line", octets)
    fields = header(section + b"\r\n")
    need((b"mime-version" in fields) == top, "MIME-Version stands at the top and nowhere else")
    if top:
        need(fields[b"mime-version"] == b" 1.0", "MIME-Version is not 1.0")
        need(b"date" in fields and b"from" in fields and b"message-id" in fields, "Date, From or Message-ID is missing")
    kind, params = parameters(fields[b"content-type"])
    coding = fields.get(b"content-transfer-encoding", b" 7bit").strip()
    if b"content-disposition" in fields:
        parameters(fields[b"content-disposition"])
    elif kind.startswith(b"text/"):
        need(params.get(b"charset") == b"utf-8", "a text without charset=utf-8")
    high = any(c > 127 for c in body)
    need(not high or coding == b"8bit", "octets over 127 in a part that is %s" % coding.decode())
    need(coding != b"8bit" or high, "8bit is said of a part that is not")
    if kind.startswith(b"multipart/"):
        need(coding in (b"7bit", b"8bit"), "a multipart in %s (RFC 2045, 6.4)" % coding.decode())
        boundary = params.get(b"boundary", b"")
        need(re.fullmatch(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", boundary), "no boundary", boundary)
        parts = (b"\r\n" + body).split(b"\r\n--" + boundary)
        need(parts[0] == b"", "something stands before the first boundary", parts[0])
        need(len(parts) >= 3 and parts[-1] in (b"--", b"--\r\n"), "the last boundary is not closed", parts[-1])
        need(parts[-1] == b"--\r\n" or not top, "the message does not end in a line end")
        for part in parts[1:-1]:
            need(part[:2] == b"\r\n", "a line begins like the boundary and goes on", part)
            entity(part[2:])
    elif kind.startswith(b"message/"):
        need(coding in (b"7bit", b"8bit"), "a message in %s (RFC 2046, 5.2.1)" % coding.decode())
    else:
        need(coding != b"8bit", "only what is passed on as it stands may be 8bit")
        leaf(body, coding)


def check(octets):
    need(not re.search(rb"\r(?!\n)|(?<!\r)\n", octets), "a CR or LF alone")
    need(b"\0" not in octets, "a NUL")
    need(octets[-2:] == b"\r\n", "the message does not end in a line end")
    need(all(len(line) <= 998 for line in octets.split(b"\r\n")), "a line over 998 octets")
    entity(octets, top=True)


if __name__ == "__main__":
    faults = 0
    for path in sys.argv[1:]:
        with open(path, "rb") as f:
            try:
                check(f.read())
            except (Fault, KeyError, ValueError) as e:
                faults += 1
                print("%s: %s" % (path, e))
    print("%d mails checked, %d with a fault" % (len(sys.argv) - 1, faults), file=sys.stderr)
    sys.exit(1 if faults or len(sys.argv) == 1 else 0)
