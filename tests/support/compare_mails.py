#!/usr/bin/python3
"""Compare what mails were meant to be with what a parser found in them.

    compare_mails.py MEANT.jsonl FOUND.jsonl [--squeeze] [--without=FIELD]

--squeeze takes one blank in header text for several, --without leaves a field out. Prints a line for each difference; exit status 1 when there is one. It goes both ways: what was
meant must be found, and nothing may be found that was not meant.
"""
import json
import re
import sys


def tidy(value):
    """Without what is empty: a field that is absent, null, and a text or list with nothing in it say the same."""
    if isinstance(value, dict):
        return {k: tidy(v) for k, v in value.items() if tidy(v) is not None} or None
    if isinstance(value, list):
        return [tidy(v) for v in value] or None
    return None if value == "" else value


def squeeze(value):
    """Header text with single blanks, wherever strings are."""
    if isinstance(value, dict):
        return {k: squeeze(v) for k, v in value.items()}
    if isinstance(value, list):
        return [squeeze(v) for v in value]
    return re.sub(r"[ \t]+", " ", value) if isinstance(value, str) else value


def short(value):
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) < 400 else "%s... (%d characters)" % (text[:300], len(text))


def first_difference(a, b):
    """Where two values differ, as deep as they are alike in shape."""
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b)):
            if x != y:
                where, x, y = first_difference(x, y)
                return "[%d]%s" % (i + 1, where), x, y
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(set(a) | set(b)):
            if a.get(key) != b.get(key):
                where, x, y = first_difference(a.get(key), b.get(key))
                return ".%s%s" % (key, where), x, y
    return "", a, b


def differences(meant, found, squeezed, without):
    if "broken" in found:
        yield "it cannot be read: %s" % found["broken"]
        return
    for field in sorted((set(meant) | set(found)) - {"n"} - without):
        a, b = tidy(meant.get(field)), tidy(found.get(field))
        # A message ends in a line end, whether its only text did or not (RFC 5321, 4.1.1.4).
        if field in ("text", "html") and "(" not in meant.get("structure", "(") and (a or "") + "\n" == b:
            b = a
        if squeezed and field in ("from", "to", "cc", "reply_to", "subject", "headers", "attachments"):
            a, b = squeeze(a), squeeze(b)
        if a != b:
            where, a, b = first_difference(a, b)
            yield "%s%s: %s was meant, %s was found" % (field, where, short(a), short(b))


def main(meant, found, *options):
    without = {o.partition("=")[2] for o in options if o.startswith("--without=")}
    with open(meant, encoding="utf-8") as f:
        meant = [json.loads(line) for line in f]
    with open(found, encoding="utf-8") as f:
        found = [json.loads(line) for line in f]
    count = 0
    for number, (a, b) in enumerate(zip(meant, found), 1):
        for line in differences(a, b, "--squeeze" in options, without):
            count += 1
            print("mail %d: %s" % (number, line))
    if len(meant) != len(found):
        count += 1
        print("%d mails were meant, %d were found" % (len(meant), len(found)))
    return 1 if count or not meant else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
