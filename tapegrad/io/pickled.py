"""A pickle stream read as data: an interpreter of its opcodes in which nothing can be imported and nothing called.

    value, end = interpret(stream, names)

Python's own unpickler imports whatever a stream names and calls it with whatever arguments it gives. Here a name is a
key into a table (`names`): it stands for a function of ours that checks its arguments and returns data, or the
stream is refused with that name in the error. The stream is bytes of a stranger: every length is checked against what
is left of it, keys of dictionaries are of types whose hash is ours and cheap, and the work is linear in its length.

Reference: the opcodes are described in the source of Python's `pickletools`; protocols 2 to 5 are read.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, Protocol

from ..devices import device
from ..dtypes import dtype
from ..errors import is_explained, message
from ..shapes import Size

Buffer = bytes | memoryview

MAX_NAME = 1000  # bytes of a module's or class's name
MAX_KEY = 100  # parts of a key of a dictionary, counted with repetition: nested tuples can hide exponential work
COPIES = 4  # how often a stream may copy as much as it is long: `set(x)` takes three bytes, however long x is


class Names(Protocol):
    """What a stream refers to by name: `find` returns a value or something with `call`, `build` fills an object."""

    def find(self, module: str, name: str) -> Any:
        """The meaning of a global name; UnpicklingError if it has none."""

    def build(self, target: Any, state: Any) -> None:
        """Give `target`, made by an earlier call, its state."""

    def persistent(self, reference: Any) -> Any:
        """The meaning of a reference to something outside the stream: a storage."""


class Record:
    """An object of an unknown class as its name and its parts; made only where names may be unknown (`weights`)."""

    __slots__ = ("args", "entries", "items", "name", "state")

    def __init__(self, name: str, args: tuple):
        self.name, self.args, self.state = name, args, None
        self.items: list = []
        self.entries: dict = {}


def damaged(what: str, **parts: Any) -> UnpicklingError:
    """The error for a stream that no pickler writes."""
    return UnpicklingError(message(f"load: the file is damaged: {what}", **parts))


def interpret(stream: Buffer, names: Names, start: int = 0, encoding: str = "utf-8") -> tuple[Any, int]:
    """The value that a stream describes, and the position after its end.

    Args:
        stream: the bytes.
        names: what the names in it mean.
        start: where it begins.
        encoding: of the byte strings that Python 2 wrote; "bytes" leaves them as they are.

    Raises:
        UnpicklingError: the stream is damaged, or holds something that is not data.
    """
    machine = _Machine(stream, names, start, encoding)
    try:
        return machine.run()
    except UnpicklingError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error) as error:
        if isinstance(error, RuntimeError) and is_explained(error):  # the archive, or a state in it, is damaged
            raise
        where = f"byte {machine.at} of the pickled part"
        raise damaged("its description of the objects makes no sense", where=where, got=_first_line(error)) from error


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# ---- what a dictionary or a set may hold as a key -----------------------------------------------------------------

_ATOMS = (str, bytes, int, float, complex, bool, type(None), dtype, device)


def check_key(key: Any) -> None:
    """Refuse keys whose hash or comparison could run foreign code or take long.

    Integers of more than 64 bits are refused: their hash is a remainder, so many of them can be given the same one.
    """
    kind = key.__class__
    if kind is str or (kind is int and -(2**63) <= key < 2**64):
        return
    pending, seen = [key], 0
    while pending:
        part = pending.pop()
        seen += 1
        if isinstance(part, (tuple, frozenset)) and type(part) in (tuple, frozenset, Size):
            if seen + len(part) > MAX_KEY:
                raise UnpicklingError(message("load: a key of a dictionary is too large", expected=f"{MAX_KEY} parts"))
            pending.extend(part)
        elif type(part) not in _ATOMS or (type(part) is int and not -(2**63) <= part < 2**64):
            what = "load: this cannot be the key of a dictionary or the member of a set"
            raise UnpicklingError(message(what, got=type(part).__name__))


# ---- the machine --------------------------------------------------------------------------------------------------

_DICTS = (dict, OrderedDict, Counter, defaultdict)
_SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset)


class _Machine:
    """Position, stack, marked places on it, and numbered values: the state of a pickle stream."""

    __slots__ = ("at", "copied", "encoding", "memo", "names", "outer", "pos", "stack", "stream")

    def __init__(self, stream: Buffer, names: Names, start: int, encoding: str):
        self.stream, self.names, self.encoding = stream, names, encoding
        self.at = self.pos = start  # `at` is where the current opcode is
        self.stack: list[Any] = []
        self.outer: list[list] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def run(self) -> tuple[Any, int]:
        stream, end = self.stream, len(self.stream)
        while True:
            self.at = pos = self.pos
            if pos >= end:
                raise damaged("its description of the objects breaks off", where=f"byte {pos}")
            code = stream[pos]
            self.pos = pos + 1
            if code == 0x2E:  # STOP
                return self.stack.pop(), self.pos
            step = _STEPS.get(code)
            if step is None:
                got = f"opcode {code:#04x} ({chr(code)!r}) at byte {pos}"
                raise damaged("it holds an instruction that descriptions of data do not have", got=got)
            step(self)

    # ---- bytes ----

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        pos = self.pos
        if n > len(self.stream) - pos:
            raise damaged("its description of the objects breaks off", where=f"byte {self.at}")
        self.pos = pos + n
        return bytes(self.stream[pos : pos + n])

    def number(self, n: int) -> int:
        """The next n bytes as an unsigned number."""
        return int.from_bytes(self.take(n), "little")

    def line(self) -> str:
        """The text up to the end of the line."""
        head = bytes(self.stream[self.pos : self.pos + MAX_NAME])
        n = head.find(b"\n")
        if n < 0:
            what = "a name in it has no end" if len(head) == MAX_NAME else "its description of the objects breaks off"
            raise damaged(what, where=f"byte {self.at}")
        self.pos += n + 1
        return head[:n].decode("utf-8")

    # ---- values ----

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list:
        """The values above the last mark, taken off together with it."""
        found, self.stack = self.stack, self.outer.pop()
        return found

    def put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def get(self, number: int) -> None:
        self.stack.append(self.memo[number])

    def extend(self, values: list) -> None:
        """Append values to the list on top."""
        target = self.stack[-1]
        if isinstance(target, list):
            list.extend(target, values)
        elif isinstance(target, Record):
            target.items.extend(values)
        else:
            raise damaged("something that is no list gets elements", got=type(target).__name__)

    def update(self, values: list) -> None:
        """Put keys and values, alternating, into the dictionary on top."""
        target = self.stack[-1]
        if isinstance(target, Record):
            target = target.entries
        if not isinstance(target, _DICTS) or len(values) % 2:
            raise damaged("something that is no dictionary gets entries", got=type(target).__name__)
        store = OrderedDict.__setitem__ if isinstance(target, OrderedDict) else dict.__setitem__
        pairs = iter(values)
        for key in pairs:
            check_key(key)
            store(target, key, next(pairs))

    def add(self, values: list) -> None:
        """Put members into the set on top."""
        target = self.stack[-1]
        if type(target) is not set:
            raise damaged("something that is no set gets members", got=type(target).__name__)
        for value in values:
            check_key(value)
            target.add(value)

    def text(self, raw: bytes) -> None:
        """A byte string of Python 2."""
        self.push(raw if self.encoding == "bytes" else raw.decode(self.encoding))

    def find(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str or len(module) + len(name) > MAX_NAME:
            raise damaged("a name in it is no name")
        self.push(self.names.find(module, name))

    def copies(self, args: Any) -> None:
        """Count what a call may copy of its arguments."""
        self.copied += len(args) if isinstance(args, _SIZED) else 1
        if isinstance(args, tuple):
            self.copied += sum(len(arg) for arg in args if isinstance(arg, _SIZED))
        if self.copied > COPIES * len(self.stream) + 10_000:
            raise damaged("its description of the objects copies the same things over and over")

    def call(self, target: Any, args: Any) -> None:
        """What a named function makes of its arguments: data."""
        call = getattr(target, "call", None)
        if call is None:
            raise damaged("it calls what cannot be called", got=getattr(target, "full", type(target).__name__))
        if type(args) is not tuple:
            raise damaged("the arguments of a call are no tuple", got=type(args).__name__)
        self.copies(args)
        self.push(call(args))

    # ---- instructions that need more than one line ----

    def protocol(self) -> None:
        version = self.number(1)
        if not 2 <= version <= 5:
            raise damaged("its pickle protocol does not exist", got=version, expected="2 to 5")

    def reduce(self) -> None:
        args = self.stack.pop()
        self.call(self.stack.pop(), args)

    def new(self) -> None:
        args = self.stack.pop()
        target = self.stack.pop()
        make = getattr(target, "new", None)
        if make is None or type(args) is not tuple:
            raise damaged("it makes an object of what is no class", got=getattr(target, "full", type(target).__name__))
        self.copies(args)
        self.push(make(args))

    def new_ex(self) -> None:
        if self.stack.pop():
            raise damaged("an object in it is made with keyword arguments, which data never needs")
        self.new()

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        self.copies(state)
        if isinstance(target, Record):
            target.state = state
        else:
            self.names.build(target, state)

    def mark(self) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def stack_global(self) -> None:
        name = self.stack.pop()
        self.find(self.stack.pop(), name)

    def frozen(self) -> None:
        members = self.since_mark()
        for member in members:
            check_key(member)
        self.push(frozenset(members))


_Step = Callable[[_Machine], Any]


def _pair(m: _Machine, n: int) -> None:
    values = m.stack[-n:]
    if len(values) < n:
        raise damaged("an instruction in it lacks its operands", where=f"byte {m.at}")
    m.stack[-n:] = [tuple(values)]


def _signed(m: _Machine, n: int) -> None:
    m.push(int.from_bytes(m.take(n), "little", signed=True))


def _one(action: Callable[[_Machine, list], None]) -> _Step:
    def step(m: _Machine) -> None:
        value = m.stack.pop()
        action(m, [value])

    return step


def _two(m: _Machine) -> None:
    value = m.stack.pop()
    key = m.stack.pop()
    m.update([key, value])


_STEPS: dict[int, _Step] = {
    ord(code): step
    for code, step in {
        "\x80": _Machine.protocol,
        "\x95": lambda m: m.number(8),  # FRAME: how many bytes follow; nothing depends on it
        "(": _Machine.mark,
        "0": lambda m: m.stack.pop(),
        "1": lambda m: m.since_mark(),
        "2": lambda m: m.push(m.stack[-1]),
        # constants
        "N": lambda m: m.push(None),
        "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False),
        "K": lambda m: m.push(m.number(1)),
        "M": lambda m: m.push(m.number(2)),
        "J": lambda m: _signed(m, 4),
        "\x8a": lambda m: _signed(m, m.number(1)),
        "\x8b": lambda m: _signed(m, m.number(4)),
        "G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
        "X": lambda m: m.push(m.take(m.number(4)).decode("utf-8", "surrogatepass")),
        "\x8c": lambda m: m.push(m.take(m.number(1)).decode("utf-8", "surrogatepass")),
        "\x8d": lambda m: m.push(m.take(m.number(8)).decode("utf-8", "surrogatepass")),
        "U": lambda m: m.text(m.take(m.number(1))),
        "T": lambda m: m.text(m.take(m.number(4))),
        "C": lambda m: m.push(m.take(m.number(1))),
        "B": lambda m: m.push(m.take(m.number(4))),
        "\x8e": lambda m: m.push(m.take(m.number(8))),
        "\x96": lambda m: m.push(bytearray(m.take(m.number(8)))),
        # containers
        ")": lambda m: m.push(()),
        "\x85": lambda m: _pair(m, 1),
        "\x86": lambda m: _pair(m, 2),
        "\x87": lambda m: _pair(m, 3),
        "t": lambda m: m.push(tuple(m.since_mark())),
        "]": lambda m: m.push([]),
        "a": _one(_Machine.extend),
        "e": lambda m: m.extend(m.since_mark()),
        "}": lambda m: m.push({}),
        "s": _two,
        "u": lambda m: m.update(m.since_mark()),
        "\x8f": lambda m: m.push(set()),
        "\x90": lambda m: m.add(m.since_mark()),
        "\x91": _Machine.frozen,
        # values that come up again
        "q": lambda m: m.put(m.number(1)),
        "r": lambda m: m.put(m.number(4)),
        "\x94": lambda m: m.put(len(m.memo)),
        "h": lambda m: m.get(m.number(1)),
        "j": lambda m: m.get(m.number(4)),
        # names
        "c": lambda m: m.find(m.line(), m.line()),
        "\x93": _Machine.stack_global,
        "Q": lambda m: m.push(m.names.persistent(m.stack.pop())),
        "R": _Machine.reduce,
        "\x81": _Machine.new,
        "\x92": _Machine.new_ex,
        "b": _Machine.build,
    }.items()
}
