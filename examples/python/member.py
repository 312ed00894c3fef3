#!/usr/bin/python3
"""member.py URL GROUP MEMBER TOPIC COMMAND...: runs COMMAND BODY for each event; 0: it is done."""
import subprocess, sys, time
from struct import pack
from faultline import ACK, DELIVER, NACK, SUBSCRIBE, Session, deliveries, string

def serve(url, group, member, topic, *command):
    session, running = Session(url, member), {}
    # From the earliest event on, in order by key, 3 retries, 8 without an answer at most, 1 topic.
    session.send(SUBSCRIBE, string(group) + pack("<BBIIH", 0, 0, 3, 8, 1) + string(topic))
    while True:
        type, _, batch = session.receive(20)
        for offset, attempt, parts in deliveries(batch if type == DELIVER else b""):
            running[offset, attempt] = subprocess.Popen([*command, parts[4].decode()])
        for offset, attempt in [held for held in running if running[held].poll() is not None]:
            status = running.pop((offset, attempt)).returncode
            if status == 0:  # one run of one
                session.send(ACK, pack("<I", 1), pack("<QII", offset, 1, attempt))
            else:  # again, after the broker's own back-off
                session.send(NACK, pack("<QII", offset, attempt, 2**32 - 1) + string(f"{status=}"))

while True:
    try:
        serve(*sys.argv[1:])
    except ConnectionError as problem:  # what was not answered comes again
        print(problem, file=sys.stderr)
        time.sleep(1)
