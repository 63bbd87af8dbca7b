"""Runs a command line with its input and output copied into files: frame_log.py DIRECTORY COMMAND...

The files are DIRECTORY/PID.in and PID.out, PID being the id of this process. Exits with the status of the command.
"""
import os
import select
import subprocess
import sys


def main():
    directory, command = sys.argv[1], sys.argv[2:]
    base = os.path.join(directory, str(os.getpid()))
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    streams = {
        0: (child.stdin.fileno(), open(base + ".in", "wb", 0)),
        child.stdout.fileno(): (1, open(base + ".out", "wb", 0)),
    }
    while child.stdout.fileno() in streams:
        for source in select.select(list(streams), [], [])[0]:
            data = os.read(source, 65536)
            target, log = streams[source]
            if not data:
                del streams[source]
                if source == 0:
                    child.stdin.close()
                continue
            log.write(data)
            try:
                while data:
                    data = data[os.write(target, data):]
            except EnvironmentError:
                del streams[source]
    sys.exit(child.wait())


main()
