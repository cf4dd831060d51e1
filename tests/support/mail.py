#!/usr/bin/python3
"""Make mails that are hard to carry, and compare what arrived with what was sent.

Python's email package is the judge: it shares no code with directmail.

    mail.py make DIR                     writes DIR/mails.json and the files that it names
    mail.py compare MAILS.json FOLDER    every mail of the list is in the Maildir folder, whole and as sent;
                                         prints a line for each difference, exit status 1 when there is one
"""
import email
import email.policy
import json
import os
import random
import sys


def make(where):
    dice = random.Random(20261123)          # the same octets each time: a failure can be looked at again
    every_octet = bytes(range(256)) * 5
    files = {
        "every octet.bin": every_octet,
        "empty.txt": b"",
        "dots.txt": b".\r\n..\r\n.\n" * 40,
        "报告.csv": "城市,用户\r\n杭州,1204\r\n".encode(),
        "rechnung \"märz\"; nr=1.pdf": b"%PDF-1.4\n" + dice.randbytes(3000),
        "很长的名字" * 20 + ".dat": dice.randbytes(57),
        "one megabyte.bin": dice.randbytes(1024 * 1024 + 1),
        "logo.png": b"\x89PNG\r\n\x1a\n" + dice.randbytes(900),
    }
    os.makedirs(where, exist_ok=True)
    paths = {}
    for n, (name, data) in enumerate(files.items()):
        # every second file lies under its own name, the others are renamed by the mail
        paths[name] = os.path.join(where, name if len(name.encode()) < 200 and n % 2 else "file%d" % n)
        with open(paths[name], "wb") as f:
            f.write(data)

    def attach(name, way="path", **more):
        return {"name": name, "file": paths[name], "way": way, **more}

    sender = {"name": "Shop, \"the\" größte", "address": "user@smtp.test"}
    user = {"name": "", "address": "user@smtp.test"}
    hard_text = (".\n..\n.dot at the start\nFrom the start\n" + "long " * 400 + "\ntrailing blank \ttab\t\n"
                 + "= sign, =3D, ümläut, 您好, \U0001F600\n\n" + "x" * 2000 + "\nlast line without an end")
    mails = [
        {"subject": "plain text that tempts a relay", "text": hard_text},
        {"subject": "只有 HTML, und Ümlaute in a subject that is long enough to be folded more than once, 再来一遍, for every reader",
         "html": "<p>.</p>\n<p>Grüße, 您好 " + "<b>x</b>" * 300 + "</p>"},
        {"subject": "both texts", "text": "Hi Ann", "html": "<p>Hi <i>Ann</i></p>"},
        {"subject": "every attachment", "text": "see below", "html": "<p>see below</p>",
         "attachments": [attach(name, way) for name, way in zip(
             (n for n in files if n != "logo.png"), ("path", "data", "read") * 3)]},
        {"subject": "an inline picture", "text": "a picture", "html": '<p><img src="cid:logo"></p>',
         "attachments": [attach("logo.png", cid="logo", type="image/png"), attach("报告.csv", "data")]},
        {"subject": "only an attachment and a text", "text": "t", "attachments": [attach("every octet.bin", "read")]},
        {"subject": "many readers", "text": "t", "cc": [{"name": "李雷", "address": "b@smtp.test"}],
         "reply_to": [{"name": "Help desk", "address": "help@smtp.test"}],
         "to": [{"name": "Ann \"A\" O'Neil, Dr.", "address": "user@smtp.test"}]},
        {"subject": "a blind copy", "text": "t", "bcc": [{"name": "", "address": "b@smtp.test"}]},
    ]
    for mail in mails:
        mail.setdefault("from", sender)
        mail.setdefault("to", [user])
    with open(os.path.join(where, "mails.json"), "w", encoding="utf-8") as f:
        json.dump(mails, f, ensure_ascii=False, indent=1)


def parse(path):
    with open(path, "rb") as f:
        return email.message_from_binary_file(f, policy=email.policy.default)


def people(message, field):
    return [(a.display_name, a.addr_spec) for value in message.get_all(field, []) for a in value.addresses]


def text_of(message, subtype, wanted):
    part = message.get_body((subtype,))
    if part is None:
        return None
    text = part.get_content().replace("\r\n", "\n")
    # A message ends in a line end, whether its only text did or not (RFC 5321, 4.1.1.4).
    return text[:-1] if part is message and text == (wanted or "") + "\n" else text


def short(value):
    text = repr(value)
    return text if len(text) < 160 else text[:100] + "... (%d characters)" % len(text)


def differences(want, got, base):
    """Yield a sentence for each thing in which the parsed mail differs."""
    def differ(what, wanted, found):
        if wanted != found:
            yield "%s: %s was sent, %s arrived" % (what, short(wanted), short(found))

    def names(list_):
        return [(p["name"], p["address"]) for p in list_]

    for part in got.walk():
        for defect in part.defects:
            yield "the parser finds a defect: %r" % defect
        for field, value in part.items():
            # `name` of Content-Type holds encoded words on purpose: old readers know nothing better.
            # What RFC 2231 wants stands in Content-Disposition, and is what is compared.
            for defect in getattr(value, "defects", ()):
                if field.lower() != "content-type" or "encoded" not in str(defect):
                    yield "%s: the parser finds a defect: %r" % (field, defect)
    yield from differ("Subject", want["subject"], got["subject"])
    if want.get("from"):
        yield from differ("From", names([want["from"]]), people(got, "from"))
    for field in ("to", "cc", "reply_to"):
        yield from differ(field, names(want.get(field, [])), people(got, field.replace("_", "-")))
    if got["bcc"] is not None:
        yield "Bcc arrived: %s" % got["bcc"]
    for field in ("date", "message-id", "mime-version"):
        if got[field] is None:
            yield field + " is missing"
    for subtype, key in (("plain", "text"), ("html", "html")):
        if key in want or key == "html":
            yield from differ(key, want.get(key), text_of(got, subtype, want.get(key)))
    files = [p for p in got.walk() if not p.is_multipart() and (p.get_filename() is not None or p["content-id"])]
    wanted = want.get("attachments", [])
    yield from differ("names of the attachments", sorted(a["name"] for a in wanted), sorted(p.get_filename() or "" for p in files))
    for a in wanted:
        with open(os.path.join(base, a["file"]), "rb") as f:
            octets = f.read()
        for p in files:
            if p.get_filename() == a["name"]:
                yield from differ(a["name"], octets, p.get_payload(decode=True))
                yield from differ(a["name"] + ": disposition", "inline" if a.get("cid") else "attachment", p.get_content_disposition())
                if a.get("cid"):
                    yield from differ(a["name"] + ": Content-ID", "<%s>" % a["cid"], p["content-id"])
                if a.get("type"):
                    yield from differ(a["name"] + ": type", a["type"], p.get_content_type())


def compare(mails, folder):
    with open(mails, encoding="utf-8") as f:
        wanted = json.load(f)
    arrived = [parse(os.path.join(folder, name)) for name in sorted(os.listdir(folder))]
    found = []
    for want in wanted:
        same = [m for m in arrived if m["subject"] == want["subject"]]
        if len(same) != 1:
            found.append("%d mails %s arrived, one was sent" % (len(same), short(want["subject"])))
        for got in same:
            found += ["%s: %s" % (short(want["subject"]), d) for d in differences(want, got, os.path.dirname(mails))]
    if len(arrived) != len(wanted):
        found.append("%d mails are there, %d were sent" % (len(arrived), len(wanted)))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "make":
        make(os.path.abspath(sys.argv[2]))
    elif len(sys.argv) == 4 and sys.argv[1] == "compare":
        sys.exit(compare(sys.argv[2], sys.argv[3]))
    else:
        sys.exit(__doc__)
