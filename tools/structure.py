"""What the package's structure comes to, in numbers: ``python tools/structure.py [CHECKOUT]``.

Rooms and modules, longest import chain, circles, large modules and functions, and how much of it is typed strictly.
Needs import-linter (its grimp reads the imports; those under TYPE_CHECKING count, too). mypy's settings are taken from
the checkout's pyproject.toml: a module is strict if mypy is told to check it and no override lets its errors pass.
"""

from __future__ import annotations

import argparse
import ast
import fnmatch
import statistics
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import grimp

PACKAGE = "nerv_codec"
LONG_FUNCTION_LINES = 80

Edges = dict[str, set[str]]


def components(edges: Edges) -> list[list[str]]:
    """Strongly connected parts of a graph (Tarjan 1972), each in alphabetical order."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in order:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == order[node]:
            at = stack.index(node)
            found.append(sorted(stack[at:]))
            del stack[at:]

    for node in edges:
        if node not in order:
            visit(node)
    return found


def longest_chain(edges: Edges) -> list[str]:
    """The longest path through a graph, circles taken as one node each."""
    parts = components(edges)
    part_of = {node: "+".join(part) for part in parts for node in part}
    joined = {
        name: {part_of[b] for a in name.split("+") for b in edges.get(a, ())} - {name} for name in part_of.values()
    }
    longest: dict[str, list[str]] = {}
    for node in TopologicalSorter(joined).static_order():
        below = max((longest[other] for other in joined[node]), key=len, default=[])
        longest[node] = [node, *below]
    return max(longest.values(), key=len)


def rooms_of(edges: Edges) -> Edges:
    """Imports between what stands at the package's root: folders, or modules that lie there loose."""

    def room(module: str) -> str:
        return module.removeprefix(f"{PACKAGE}.").split(".")[0]

    rooms: Edges = {room(module): set() for module in edges if module != PACKAGE}
    for module, imported in edges.items():
        if module != PACKAGE:
            rooms[room(module)] |= {room(other) for other in imported if other != PACKAGE} - {room(module)}
    return rooms


def is_strict(path: Path, root: Path, settings: dict[str, Any]) -> bool:
    """Whether mypy, as the checkout sets it up, reports errors in this module."""
    name = path.relative_to(root).as_posix()
    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    wanted = [*settings.get("files", []), *(p.replace(".", "/") for p in settings.get("packages", []))]
    for override in settings.get("overrides", []):
        patterns = override["module"] if isinstance(override["module"], list) else [override["module"]]
        lets_pass = override.get("ignore_errors") or override.get("allow_untyped_defs")
        if lets_pass and any(fnmatch.fnmatch(module, pattern) for pattern in patterns):
            return False
    return bool(settings.get("strict")) and any(name == entry or name.startswith(f"{entry}/") for entry in wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[1])
    root = parser.parse_args().checkout.resolve()
    sys.path.insert(0, str(root))
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    edges: Edges = {module: set(graph.find_modules_directly_imported_by(module)) for module in sorted(graph.modules)}

    package = root / PACKAGE
    print(
        "root:",
        " ".join(sorted(p.name for p in package.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists())),
    )
    for folder in sorted(p for p in package.iterdir() if (p / "__init__.py").exists()):
        inside = sorted(p.name for p in folder.iterdir() if p.name not in ("__init__.py", "__pycache__"))
        print(f"  {folder.name}/ {' '.join(inside)}")
    for what, part in (("modules", edges), ("rooms", rooms_of(edges))):
        circles = [group for group in components(part) if len(group) > 1]
        chain = longest_chain(part)
        print(f"{what}: {len(part)}, longest import chain {len(chain)}, circles {len(circles)} {circles or ''}")
        print("  " + " > ".join(name.removeprefix(f"{PACKAGE}.") for name in chain))

    sources = {path: path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))}
    lines = {path: text.count("\n") for path, text in sources.items()}
    largest = max(lines, key=lambda path: lines[path])
    median = statistics.median(count for path, count in lines.items() if path.name != "__init__.py")
    print(
        f"lines: {sum(lines.values())}, largest module {largest.relative_to(root)} {lines[largest]}, median {median:g}"
    )
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONG_FUNCTION_LINES:
                    print(f"  function of {length} lines: {path.relative_to(root)} {node.name}")
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    strict = sum(count for path, count in lines.items() if is_strict(path, root, settings))
    print(f"strictly typed: {100 * strict / sum(lines.values()):.0f} % of lines")


if __name__ == "__main__":
    main()
