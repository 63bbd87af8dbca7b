"""Sends values to the program while the call that started it is still running."""

import time


def count(sender, limit, pause):
    for number in range(limit):
        sender.send(number)
        time.sleep(pause)
    sender.close()
    return "counted to %d" % limit
