#!/usr/bin/python3
"""stop_while_asked.py PID PORT [DATABASE [FLOOD]]: ends a process while requests wait for it.

Standard input has a request a line, "METHOD PATH [BODY]". A service is kept busy by its
database, which is locked while it handles the first one; without DATABASE the process is
stopped meanwhile (SIGSTOP). FLOOD more requests are sent before, to overload it. Then comes
SIGTERM, and the process may go on. Prints "STATUS METHOD PATH" for each but the first: 503,
since what waits when a process ends is told so, or "none" when no answer came.
"""
import os, resource, signal, socket, sqlite3, sys, time

pid, port = int(sys.argv[1]), int(sys.argv[2])
database = sys.argv[3] if len(sys.argv) > 3 else None
flood = int(sys.argv[4]) if len(sys.argv) > 4 else 0
deadline = time.monotonic() + 30


def send(method, path, text=""):
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(30)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n" if text else ""
    connection.sendall((head + "\r\n" + text).encode())
    return connection


def status(connection):
    try:
        return (connection.makefile("rb").readline().split() or [b"", b"none"])[1].decode()
    except ConnectionError:
        return "none"


probes = []


def is_busy():
    """Whether a request that only reads is not answered either."""
    probes.append(send("GET", "/healthz"))
    probes[-1].settimeout(0.3)
    try:
        probes[-1].recv(1)
        return False
    except TimeoutError:
        return True


def unread():
    """Bytes that the process has not taken from its sockets."""
    rows = [row.split() for row in open("/proc/net/tcp")][1:]
    return sum(int(row[4].split(":")[1], 16) for row in rows
               if int(row[1].split(":")[1], 16) == port and row[3] == "01")


def wait(condition):
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("it took too long")


resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
requests = [line.rstrip("\n").split(" ", 2) for line in sys.stdin]
if database:
    lock = sqlite3.connect(database, timeout=30, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    busy = send(*requests.pop(0))
    wait(is_busy)
else:
    os.kill(pid, signal.SIGSTOP)
asked = [(request, send(*request)) for request in requests]
crowd = [send("GET", "/healthz") for _ in range(flood)]
if database:
    wait(lambda: unread() == 0)
os.kill(pid, signal.SIGTERM)
if database:
    lock.execute("ROLLBACK")
else:
    os.kill(pid, signal.SIGCONT)
for request, connection in asked:
    print(status(connection), *request[:2])
for connection in crowd:
    status(connection)
