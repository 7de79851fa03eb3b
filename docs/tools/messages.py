"""Prints the messages that a user can meet: errors, warnings and notes of reports, lines of progress, help texts.

It finds a text that stands in the call that raises or shows the text. It misses texts that are put together
elsewhere.

    python docs/tools/messages.py [FOLDER…]

Each line has the file, the line number and the text. Parts that are filled in at run time stand in braces. Read
the list as a whole: a message says what is wrong, where, and what to do, in this order.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("sparkscale", "workloads", "cluster")
NOT_FOR_USERS = {"ValueError", "KeyError", "TypeError", "AssertionError", "NotImplementedError"}
BLOCKS = {"Text", "Warning", "Answer", "ErrorInfo"}
MESSAGE_KEYWORDS = {"message", "text", "would_resolve", "reason"}
SHOWN = {"echo", "line", "note", "warning", "error", "print", "say"}
"""Methods and functions that show a text."""


def text(node: ast.expr) -> str:
    """Returns the text of a string expression, with other parts in braces. Empty if it has no text."""
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(
                f"{{{ast.unparse(value.value)}}}" if isinstance(value, ast.FormattedValue) else text(value)
                for value in values
            )
        case ast.BinOp(left=left, op=ast.Add(), right=right) if text(left) or text(right):
            return (text(left) or f"{{{ast.unparse(left)}}}") + (text(right) or f"{{{ast.unparse(right)}}}")
    return ""


def name(call: ast.Call) -> str:
    """Returns the name of the called function or class, without its module."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def messages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yields the line number and the text of each message in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and name(node.exc) not in NOT_FOR_USERS:
            yield from ((node.lineno, one) for part in node.exc.args if (one := text(part)))
        elif isinstance(node, ast.Call) and name(node) in BLOCKS | SHOWN:
            parts = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in MESSAGE_KEYWORDS)]
            yield from ((node.lineno, one) for part in parts if (one := text(part)))
        elif isinstance(node, ast.Call) and name(node) in {"Option", "Argument"}:
            yield from (
                (node.lineno, one) for part in node.keywords if part.arg == "help" and (one := text(part.value))
            )


def main(folders: Sequence[str]) -> None:
    for folder in folders or FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for line, message in sorted(set(messages(ast.parse(path.read_text())))):
                if " " in message.strip():
                    print(f"{path.relative_to(ROOT)}:{line}: {' '.join(message.split())}")


if __name__ == "__main__":
    main(sys.argv[1:])
