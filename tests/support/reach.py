"""Runs inside the network of a pod or host. What it is told comes as one line of JSON, what it finds goes out as JSON.

matrix: tries every target at once; whatever answers, be it a refusal, was reached, and whatever is silent was not.
watch:  tries its targets again and again until standard input ends; one line for every one that was reached.
echo:   sends a line every 20 ms through one connection and says when answers begin and stop.
serve:  answers such lines.
greet:  tells everybody who connects, by either family of addresses, its name and by which address it knows who asks.
ask:    what each of its targets tells.
hear:   says from which addresses datagrams came, until standard input ends.
say:    sends one datagram under an address of its own.
"""
import errno
import json
import select
import socket
import sys
import time

DNS = bytes.fromhex("abcd01000001000000000000") + b"\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def begin(address, port, protocol):
    s = socket.socket(family(address), socket.SOCK_DGRAM if protocol == "UDP" else socket.SOCK_STREAM, socket.IPPROTO_SCTP if protocol == "SCTP" else 0)
    s.setblocking(False)
    code = s.connect_ex((address, port))
    if protocol == "UDP":
        s.send(DNS)
    return s, code


def attempt(targets, patience):
    """Indices of the targets that answered."""
    poll, open_sockets, reached = select.poll(), {}, set()
    for i, (address, port, protocol) in enumerate(targets):
        s, code = begin(address, port, protocol)
        if code in (0, errno.EINPROGRESS):
            open_sockets[s.fileno()] = (i, s)
            poll.register(s, select.POLLIN if protocol == "UDP" else select.POLLOUT)
        elif code == errno.ECONNREFUSED:
            reached.add(i)
    end = time.monotonic() + patience
    while open_sockets and time.monotonic() < end:
        for fd, _ in poll.poll(max(1, int((end - time.monotonic()) * 1000))):
            i, s = open_sockets.pop(fd)
            poll.unregister(fd)
            error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            # "No route" comes from the host, not from the target.
            if error in (0, errno.ECONNREFUSED):
                reached.add(i)
            s.close()
    for _, s in open_sockets.values():
        s.close()
    return reached


def matrix(told):
    reached = attempt(told["targets"], told["patience"])
    # A busy machine is slow to answer: what was silent is asked once more.
    rest = [i for i in range(len(told["targets"])) if i not in reached]
    again = attempt([told["targets"][i] for i in rest], told["patience"])
    print(json.dumps(sorted(reached | {rest[i] for i in again})))


def watch(told):
    tries = 0
    print("watching", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for i in attempt(told["targets"], told["patience"]):
            print(json.dumps({"at": time.time(), "reached": told["targets"][i][0]}), flush=True)
        tries += 1
    print(json.dumps({"tries": tries}), flush=True)


def serve(told):
    listener = socket.create_server(("0.0.0.0", told["port"]))
    print("serving", flush=True)
    s, _ = listener.accept()
    while True:
        data = s.recv(4096)
        if not data:
            return
        s.sendall(data)


def echo(told):
    s = socket.create_connection((told["address"], told["port"]), 20)
    s.setblocking(False)
    flowing, heard = False, 0.0
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        try:
            s.send(b"%f\n" % time.time())
        except BlockingIOError:
            pass
        if select.select([s], [], [], 0)[0]:
            s.recv(1 << 16)
            heard = time.time()
        if flowing != (time.time() - heard < 0.5):
            flowing = not flowing
            print(json.dumps({"at": heard if not flowing else time.time(), "flowing": flowing}), flush=True)


def greet(told):
    listener = socket.create_server(("::", told["port"]), family=socket.AF_INET6, dualstack_ipv6=True)
    print("serving", flush=True)
    while sys.stdin not in (ready := select.select([sys.stdin, listener], [], [])[0]):
        if listener in ready:
            s, peer = listener.accept()
            s.sendall(json.dumps([told["name"], peer[0].removeprefix("::ffff:")]).encode())
            s.close()


def ask(told):
    def one(address, port):
        try:
            with socket.create_connection((address, port), told["patience"]) as s:
                return json.loads(s.makefile().read())
        except (OSError, ValueError):
            return None

    print(json.dumps([one(address, port) for address, port in told["targets"]]))


def hear(told):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", told["port"]))
    print("listening", flush=True)
    while sys.stdin not in (ready := select.select([sys.stdin, s], [], [])[0]):
        if s in ready:
            print(json.dumps(s.recvfrom(100)[1][0].removeprefix("::ffff:")), flush=True)


def say(told):
    s = socket.socket(family(told["address"]), socket.SOCK_DGRAM)
    s.bind((told["from"], 0))
    s.sendto(b"x", (told["address"], told["port"]))
    print(json.dumps("said"), flush=True)


told = json.loads(sys.stdin.readline())
{"matrix": matrix, "watch": watch, "echo": echo, "serve": serve, "greet": greet, "ask": ask, "hear": hear, "say": say}[told["do"]](told)
