"""XML answers that are changed and written again, in the namespace that they came in."""

import re
from xml.etree import ElementTree


def read(text):
    return ElementTree.fromstring(text)


def write(root):
    if space(root):
        ElementTree.register_namespace("", space(root))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def space(root):
    found = re.match(r"\{(.*)\}", root.tag)
    return found[1] if found else ""


def tag(root, name):
    return f"{{{space(root)}}}{name}" if space(root) else name


def element(root, name, text=None):
    made = ElementTree.Element(tag(root, name))
    made.text = text
    return made


def shallow(item):
    return ElementTree.Element(item.tag, item.attrib)
