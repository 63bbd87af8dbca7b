"""Runs a command line with its input and output copied into files: frame_log.py DIRECTORY COMMAND...

The files are DIRECTORY/PID.in and PID.out, by our own process id. Ends as the command does.
"""
import os
import select
import subprocess
import sys


def main():
    directory, command = sys.argv[1], sys.argv[2:]
    base = os.path.join(directory, str(os.getpid()))
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ways = {
        0: (child.stdin.fileno(), open(base + ".in", "wb", 0)),
        child.stdout.fileno(): (1, open(base + ".out", "wb", 0)),
    }
    while child.stdout.fileno() in ways:
        for source in select.select(list(ways), [], [])[0]:
            data = os.read(source, 65536)
            target, log = ways[source]
            if not data:
                del ways[source]
                if source == 0:
                    child.stdin.close()
                continue
            log.write(data)
            try:
                while data:
                    data = data[os.write(target, data):]
            except EnvironmentError:
                del ways[source]
    sys.exit(child.wait())


main()
