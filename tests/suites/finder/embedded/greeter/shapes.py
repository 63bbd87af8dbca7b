"""A member of the package."""


def area(width, height):
    return width * height
