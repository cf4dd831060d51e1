#!/usr/bin/python3
"""Read mails with Python's email package and say what is in them.

    parse_mail.py FILE...       prints one JSON object a line, in order, in the form of random_messages.lua

It shares no code with directmail, and no code with mailparser (tests/node/parse.mjs).
"""
import email
import email.base64mime
import email.header
import email.message
import email.policy
import email.utils
import json
import re
import sys

FIXED = {"from", "to", "cc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references", "x-priority", "importance",
         "list-unsubscribe", "list-unsubscribe-post", "x-alidm-trace", "x-alidm-settings", "mime-version"}


class Whole(email.message.EmailMessage):
    """A message inside a message stays one piece: taken apart, it would not come back octet for octet."""
    def get_content_maintype(self):
        kind = super().get_content_maintype()
        return "application" if kind == "message" else kind


POLICY = email.policy.default.clone(message_factory=Whole)


def words(raw):
    return str(email.header.make_header(email.header.decode_header(raw)))


def people(message, field):
    """The mailboxes of a field. The package has two readers of it, and each is wrong in its own way:
    the newer one (headerregistry) leaves the blank between two encoded words in the name, against
    RFC 2047, 6.2, makes one blank of several, and gives the local part ".a" without its quotes.
    So names and addresses come from the older one, and the newer one must see the same local parts
    and domains."""
    out = []
    for name, raw in message.raw_items():
        if name.lower() != field:
            continue
        raw = raw.replace("\r\n", "\n").replace("\n", "")
        pairs = [] if raw.strip() == "undisclosed-recipients:;" else email.utils.getaddresses([raw])
        newer = [a.username + "@" + a.domain for a in message.policy.header_fetch_parse(name, raw).addresses]
        older = [re.sub(r"\\(.)", r"\1", a[1:].replace('"@', "@")) if a[:1] == '"' else a for _, a in pairs]
        if newer != older:
            raise ValueError("%s: email's readers disagree: %r and %r" % (field, older, newer))
        out += [{"name": words(n), "address": a} for n, a in pairs]
    return out


def one(message, field):
    found = message.get_all(field, [])
    if len(found) > 1:
        raise ValueError("%s stands %d times" % (field, len(found)))
    return str(found[0]) if found else None


def ids(value):
    return value.split() if value else None


def structure(part):
    kind = part.get_content_type()
    if kind.startswith("multipart/"):
        return "%s(%s)" % (kind, " ".join(structure(p) for p in part.iter_parts()))
    return kind


def leaves(part):
    if part.get_content_maintype() == "multipart":
        for p in part.iter_parts():
            yield from leaves(p)
    else:
        yield part


def text(part):
    octets = part.get_payload(decode=True)
    if part.get_content_charset("us-ascii") not in ("utf-8", "us-ascii"):
        raise ValueError("the charset is %s" % part.get_content_charset())
    return octets.decode(part.get_content_charset("us-ascii")).replace("\r\n", "\n")


def attachment(part):
    # `name` of Content-Type holds encoded words in quotes, on purpose: old readers know nothing
    # better. get_filename() takes RFC 2231's `filename` first, as it should.
    return {"name": part.get_filename(), "type": part.get_content_type(), "disposition": part.get_content_disposition(),
            "cid": part["content-id"] and part["content-id"].strip("<>"), "data": part.get_payload(decode=True).hex()}


def mail(message):
    found = {"attachments": [], "headers": [], "order": []}
    for field in ("from", "to", "cc", "reply-to"):
        found[field.replace("-", "_")] = people(message, field)
    found["subject"] = one(message, "subject")
    found["date"] = int(message["date"].datetime.timestamp())
    found["message_id"] = one(message, "message-id")
    found["in_reply_to"] = one(message, "in-reply-to")
    found["references"] = ids(one(message, "references"))
    found["priority"] = one(message, "importance")
    unsubscribe = one(message, "list-unsubscribe")
    found["unsubscribe"] = unsubscribe and re.findall(r"<([^<>]*)>", unsubscribe)
    trace = one(message, "x-alidm-trace")
    found["tag"] = trace and json.loads(email.base64mime.decode(trace))["TagName"]
    for name, _ in message.raw_items():
        if not name.lower().startswith("content-"):
            found["order"].append(name)
    for name, value in message.items():
        if name.lower() not in FIXED and not name.lower().startswith("content-"):
            found["headers"].append([name, str(value)])
    found["structure"] = structure(message)
    for part in leaves(message):
        kind = part.get_content_type()
        for defect in part.defects:
            raise ValueError("a defect: %r" % defect)
        if part.get_content_disposition() is None and kind == "text/calendar":
            found["calendar"] = {"data": text(part), "method": part["content-type"].params["method"]}
        elif part.get_content_disposition() is None and kind in ("text/plain", "text/html"):
            key = {"text/plain": "text", "text/html": "html"}[kind]
            if key in found:
                raise ValueError("%s stands twice" % kind)
            found[key] = text(part)
        else:
            found["attachments"].append(attachment(part))
    return found


if __name__ == "__main__":
    for path in sys.argv[1:]:
        with open(path, "rb") as f:
            parsed = email.message_from_bytes(f.read(), policy=POLICY)    # ..._from_binary_file makes LF of CRLF
        try:
            print(json.dumps(mail(parsed)))
        except Exception as e:
            print(json.dumps({"broken": "%s: %s" % (type(e).__name__, e)}))
