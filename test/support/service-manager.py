"""What a service manager does for a service, for programs that can do neither themselves.

notify PATH                          prints each datagram that arrives on this unix socket, one a line, fields by " | "
pass tcp:PORT udp:PORT... -- COMMAND opens the sockets for both families, as systemd does with BindIPv6Only=both, and
                                     becomes COMMAND with them (sd_listen_fds(3))
keep tcp:PORT udp:PORT... -- COMMAND keeps the sockets open, starts COMMAND with them, and again whenever it ends
                                     (Restart=always), until SIGTERM, which is passed on
accept PORT -- COMMAND...            starts COMMAND for each connection, with it as descriptor 3 (Accept=yes)
"""

import os
import signal
import socket
import sys


def notify(path):
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(path)
    os.chmod(path, 0o600)
    print("listening", flush=True)
    while True:
        print(receiver.recv(65536).decode().replace("\n", " | "), flush=True)


def open_socket(kind, port):
    opened = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if kind == "tcp":
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("::", int(port)))
    if kind == "tcp":
        opened.listen(1024)
    return opened


def become(command, sockets, names):
    # Out of the way of the numbers that they are to have.
    high = [os.dup2(each.fileno(), 100 + index) for index, each in enumerate(sockets)]
    for index, fd in enumerate(high):
        os.dup2(fd, 3 + index, inheritable=True)
        os.close(fd)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=":".join(names))
    os.execvp(command[0], command)


def accept(port, command):
    listener = open_socket("tcp", port)
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            become(command, [connection], ["connection"])
        connection.close()


def keep(command, sockets, names):
    running = {"pid": 0, "stop": False}

    def stop(*_):
        running["stop"] = True
        os.kill(running["pid"], signal.SIGTERM)

    while not running["stop"]:
        running["pid"] = os.fork()
        if running["pid"] == 0:
            become(command, sockets, names)
        signal.signal(signal.SIGTERM, stop)
        status = os.waitstatus_to_exitcode(os.waitpid(running["pid"], 0)[1])
        print(f"service ended: {status}", flush=True)
    sys.exit(status)


def main(verb, *words):
    if verb == "notify":
        notify(words[0])
    at = words.index("--")
    specs, command = words[:at], words[at + 1 :]
    if verb == "accept":
        accept(specs[0], command)
    start = keep if verb == "keep" else become
    start(command, [open_socket(*spec.split(":")) for spec in specs], [spec.split(":")[0] for spec in specs])


main(*sys.argv[1:])
