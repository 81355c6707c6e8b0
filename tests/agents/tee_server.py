"""Stands before a real MCP server on standard input and logs every line that reaches it.

usage: tee_server.py LOG COMMAND...

What is in LOG was sent upstream; a denied call must not be.
"""

import subprocess
import sys
import threading


def main():
    log = open(sys.argv[1], "ab", buffering=0)
    server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def down():
        for line in server.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()

    reader = threading.Thread(target=down, daemon=True)
    reader.start()
    for line in sys.stdin.buffer:
        log.write(line)
        server.stdin.write(line)
        server.stdin.flush()
    server.stdin.close()
    server.wait()
    reader.join()


main()
