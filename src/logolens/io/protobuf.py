"""Messages in protocol buffers' encoding, read without a package: the core reads ONNX files with it."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["protobuf_fields"]


def protobuf_fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of one message: (number, value), values with a length as parts of `message`.

    See protobuf.dev/programming-guides/encoding.

    Raises:
        IndexError, ValueError: it is no such message.
    """
    position, end = 0, len(message)

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number that is too long")

    while position < end:
        tag = varint()
        wire = tag & 7
        if wire == 0:
            yield tag >> 3, varint()
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        elif wire == 2:
            length = varint()
            if position + length > end:
                raise ValueError("a field that is cut short")
            yield tag >> 3, message[position : position + length]
            position += length
        else:
            raise ValueError(f"a field of unknown type {wire}")
