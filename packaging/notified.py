"""Starts a program as a service manager of the kind Type=notify would, and proves that it says what it should.

    notified.py PROGRAM ARGUMENT...

Nothing like a token may stand in what it prints, because that goes into a journal. READY=1 must come before anything else is asked; then the node answers /readyz; WATCHDOG=1 comes by itself; after SIGTERM it says
STOPPING=1 and ends with 0. Any of them late by a minute is a failure. It refuses to know what the program is for.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

PATIENCE_S = 60


def main():
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(1)
            environment = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="2000000")
            with open(os.path.join(place, "said"), "w+", encoding="utf-8") as said:
                node = subprocess.Popen(sys.argv[1:], env=environment, stdout=said, stderr=said)
                try:
                    prove(node, notify)
                    for word in ("panicked", "eyJ", "token="):
                        said.seek(0)
                        if word in said.read():
                            sys.exit(f"it printed {word!r}")
                except BaseException:
                    said.seek(0)
                    print(said.read(), file=sys.stderr)
                    raise
                finally:
                    node.kill()
                    node.wait()


def until(node, notify, word):
    """Every message up to the one with a word; a node that ended says nothing more."""
    for _ in range(PATIENCE_S):
        try:
            said = notify.recv(4096).decode()
        except TimeoutError:
            if node.poll() is not None:
                sys.exit(f"it ended with {node.returncode} before it said {word}")
            continue
        print("said:", said.replace("\n", " "))
        if word in said.split("\n"):
            return
    sys.exit(f"it never said {word}")


def prove(node, notify):
    until(node, notify, "READY=1")
    address = os.environ["TIDEGATE_NOTIFIED_URL"]
    with urllib.request.urlopen(address + "/readyz", timeout=PATIENCE_S) as answer:
        print("readyz:", answer.status)
    until(node, notify, "WATCHDOG=1")
    node.send_signal(signal.SIGTERM)
    until(node, notify, "STOPPING=1")
    ended = node.wait(timeout=PATIENCE_S)
    if ended != 0:
        sys.exit(f"it ended with {ended}")
    print("ended: 0")


if __name__ == "__main__":
    main()
