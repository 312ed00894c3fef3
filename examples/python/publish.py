#!/usr/bin/python3
"""publish.py URL TOPIC: publishes each line "ID KEY BODY" of standard input."""
import os, sys, time
from struct import pack, unpack
from faultline import BYE, ERROR, PUBLISH, PUBLISHED, Session, record

unanswered = {n: line.rstrip("\n").split(" ", 2) for n, line in enumerate(sys.stdin, start=1)}
while unanswered:
    try:
        session = Session(sys.argv[1], f"publisher-{os.getpid()}")
        for request, (id, key, body) in unanswered.items():  # 1: to be answered; 1 record
            session.send(PUBLISH, pack("<QBI", request, 1, 1), record(sys.argv[2], key, id, body))
        while unanswered:
            type, fields, _ = session.receive(100)
            if type == PUBLISHED:
                request, offset, _, duplicate = unpack("<QQIB", fields)
                print(unanswered.pop(request)[0], "was there, at" if duplicate else "is at", offset)
            elif type == ERROR:
                print(unanswered.pop(fields[0])[0], "is refused:", fields[1])
        session.send(BYE)
    except ConnectionError as problem:  # what has no answer goes again, with the same ids
        print(problem, file=sys.stderr)
        time.sleep(1)
