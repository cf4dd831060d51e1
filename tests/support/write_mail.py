#!/usr/bin/python3
"""Write the mails that random_messages.lua meant with Python's email package: other people's encoders.

    write_mail.py MEANT.jsonl DIR      writes DIR/N.eml

What the package refuses to write is left out of a mail, and so are the mailboxes that it writes wrong.
"""
import email.policy
import json
import os
import re
import sys
from email.headerregistry import Address
from email.message import EmailMessage


def address(box):
    local, _, domain = box["address"].rpartition("@")
    if local[:1] == '"':
        local = local[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return Address(box["name"], local, domain)


def sound(box):
    """It loses the quotes of ".a", and a blank beside what Unicode calls a blank; long lists it folds by encoding
    their commas."""
    return '."' not in box["address"] and not re.search(r"[^\S ]", box["name"])


def put(message, name, make):
    try:
        message[name] = make()
    except Exception:           # a control character, an encoder that gives up: not ours to judge
        del message[name]


def mail(m):
    message = EmailMessage(policy=email.policy.SMTP.clone(max_line_length=900))
    for field, name in (("from", "From"), ("to", "To"), ("cc", "Cc"), ("reply_to", "Reply-To")):
        if m.get(field):
            put(message, name, lambda: [address(b) for b in m[field][:8] if sound(b)])
    put(message, "Subject", lambda: m["subject"])
    put(message, "Message-ID", lambda: m["message_id"])
    put(message, "Date", lambda: "Thu, 01 Jan 1970 00:00:%02d +0000" % (m["date"] % 60))
    for name, value in m["headers"] or []:
        put(message, name, lambda: value)
    if m.get("text") is not None:
        message.set_content(m["text"])
    if m.get("html") is not None:
        if m.get("text") is not None:
            message.add_alternative(m["html"], subtype="html")
        else:
            message.set_content(m["html"], subtype="html")
    body = message.get_body(("html",))
    for a in m["attachments"] or []:
        if a["type"].startswith("message/"):
            continue
        kind = dict(zip(("maintype", "subtype"), a["type"].split("/")))
        if a.get("name"):
            kind["filename"] = a["name"]
        if a.get("cid"):
            kind.update(cid="<%s>" % a["cid"], disposition="inline")
        target = body if a.get("cid") and body is not None else message
        (target.add_related if target is body else target.add_attachment)(bytes.fromhex(a["data"]), **kind)
    return message


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as f:
        for line in f:
            meant = json.loads(line)
            with open(os.path.join(sys.argv[2], "%d.eml" % meant["n"]), "wb") as out:
                try:
                    out.write(mail(meant).as_bytes())
                except Exception:
                    out.write(b"Subject: the package gave up\r\n\r\n")
