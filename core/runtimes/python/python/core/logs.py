"""Forwards log records and printed lines to the master."""


def log(level, name, line):
    """Send one log record to the master."""
    parts = as_text(name), text(level), as_text(line)
    # A message above the size limit would end the link.
    send(0, FORWARD_LOG, u"\0".join(parts).encode("utf-8", "replace")[:max_size])


def log_exception(name):
    log(40, name, describe(sys.exc_info()[1]))


lines = {}


def on_printed(rfd):
    """Forward printed text, line by line."""
    while True:
        try:
            data = posix.read(rfd, CHUNK_SIZE)
        except EnvironmentError:
            return
        if not data:
            return loop.remove(rfd)
        parts = (lines.get(rfd, b"") + data).split(b"\n")
        lines[rfd] = parts.pop()
        if len(lines[rfd]) > 1048576:
            parts.append(lines.pop(rfd))
        for line in parts:
            print_line(rfd, line)
        if len(data) < CHUNK_SIZE:
            return


def print_line(rfd, line):
    log(20, "stdout" if printed[rfd] == 1 else "stderr", line.rstrip(b"\r"))


def finish_printed(rfd):
    if lines.get(rfd):
        print_line(rfd, lines.pop(rfd))


def install_logging():
    """Send log records to the master. Called after `logging` was imported."""
    logging = modules["logging"]
    busy = set()

    class LogHandler(logging.Handler):
        def emit(self, record):
            thread = get_ident()
            if record.name != "mitogen.io" and thread not in busy:
                busy.add(thread)
                try:
                    log(record.levelno, record.name, self.format(record))
                finally:
                    busy.discard(thread)

    root = logging.getLogger()
    root.handlers[:] = [LogHandler()]
    for name, level in zip((None, "mitogen", "mitogen.io"), config["log_levels"]):
        logging.getLogger(name).setLevel(level)
