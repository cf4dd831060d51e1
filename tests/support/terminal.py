"""Run a program at a terminal of its own and answer its questions.

Standard input is one JSON object: {"argv": [...], "env": {...}, "cwd": "...", "steps": [{"expect": TEXT, "send": TEXT, "signal": NAME}...]}.
A step waits for TEXT in what the program has said since the last one, then types, or sends a signal to the program.
Standard output is one JSON object: {"status": exit status or 128 + signal, "said": all that the terminal showed, "echo": whether it showed
what is typed, at each step, and after the program's end as the last, "missing": the text that did not come in time}.
"""
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time

PATIENCE = 60       # seconds for a step, on a busy machine


def main():
    task = json.load(sys.stdin)
    ours, theirs = pty.openpty()

    def at_terminal():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    program = subprocess.Popen(task["argv"], env=task["env"], cwd=task.get("cwd"), stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=at_terminal)
    said, seen, echo, missing = b"", 0, [], None

    def echoes():
        return bool(termios.tcgetattr(theirs)[3] & termios.ECHO)

    def listen(seconds):
        nonlocal said
        if not select.select([ours], [], [], seconds)[0]:
            return False
        said += os.read(ours, 65536)
        return True

    def wait_for(done):
        end = time.monotonic() + PATIENCE
        while not done():
            if time.monotonic() > end:
                return False
            # who has ended says no more than what lies in the terminal already
            if not listen(0.05) and program.poll() is not None and not listen(0):
                return done()
        return True

    for step in task["steps"]:
        wanted = step["expect"].encode()
        if not wait_for(lambda: wanted in said[seen:]):
            missing = step["expect"]
            break
        seen += said[seen:].index(wanted) + len(wanted)
        echo.append(echoes())
        if "send" in step:
            os.write(ours, step["send"].encode())
        if "signal" in step:
            program.send_signal(getattr(signal, "SIG" + step["signal"]))
    if missing is None and not wait_for(lambda: program.poll() is not None):
        missing = "the end"
    if program.poll() is None:
        program.kill()
    status = program.wait()
    while listen(0):
        pass
    echo.append(echoes())
    json.dump({"status": status if status >= 0 else 128 - status, "said": said.decode("utf-8", "replace").replace("\r\n", "\n"), "echo": echo,
               "missing": missing}, sys.stdout)


main()
