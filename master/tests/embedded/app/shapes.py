"""A module of it."""


def area(width, height):
    return width * height
