"""Source under construction. Only names made here and `repr` of response keys enter it; every value is a bound constant."""

from typing import Any

CHECK = "def check(v):\n"
TEMPLATE = "async def plan(connect, v, seen, context, trouble, value):\n"


class Code:
    """One generated function in three steps: arguments are read, statements run on one connection, the rows are projected."""

    def __init__(self) -> None:
        self.arguments: list[str] = []
        """Lines that read and check arguments, before anything is fetched."""
        self.statements: list[str] = []
        """Lines that fetch, a parent before its children."""
        self.islands: list[str] = []
        """Lines that run batch functions; the connection has been given back."""
        self.functions: list[str] = []
        """Functions that the generated one calls."""
        self.constants: dict[str, Any] = {}
        self._known: dict[int, str] = {}
        self._count = 0

    def name(self, prefix: str) -> str:
        """A new name."""
        self._count += 1
        return f"{prefix}{self._count}"

    def constant(self, value: Any, prefix: str = "") -> str:
        """The name of a value that the source cannot spell."""
        found = self._known.get(id(value))
        if found is None:
            own = getattr(value, "__name__", "").strip("_")
            found = self._known[id(value)] = self.name(prefix or (own if own.isidentifier() else "k"))
            self.constants[found] = value
        return found

    def function(self, parameters: str, lines: list[str]) -> str:
        """The name of a new function."""
        name = self.name("f")
        self.functions.append(f"def {name}({parameters}):\n" + "".join(f"    {line}\n" for line in lines))
        return name

    def source(self, result: str) -> str:
        """The text of the function that returns `result`, and of one that only reads the arguments."""
        lines = [f"    {line}" for line in self.arguments]
        check = CHECK + "\n".join(lines) + "\n" if lines else ""
        if self.statements:
            lines.append("    async with connect() as connection:")
            lines.append("        fetch = connection.fetch")
            lines += [f"        {line}" for line in self.statements]
        lines += [f"    {line}" for line in self.islands]
        return "".join(self.functions) + check + TEMPLATE + "\n".join([*lines, f"    return {result}"]) + "\n"
