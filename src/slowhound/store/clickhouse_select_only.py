"""Checks that ad-hoc SQL for ClickHouse is one SELECT that reads one table and nothing else.

``readonly`` still allows reading other tables, dictionaries, files and the network, and the rights
of the ClickHouse user are set by others. So everything is refused that is not known to be harmless:
functions (see ``clickhouse_functions``), kinds of nodes of the syntax tree, and tables. Both the
tree and the words of the text are checked. The tree is how the server parsed the text, but before
version 26 it leaves out what is within ``OVER (...)``; the words have no such gap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from slowhound.store.answer import StoreError
from slowhound.store.clickhouse_functions import may_call
from slowhound.store.select_only import refused

# The kinds of nodes that are allowed. Not among them: settings, formats, files to write to,
# parameters, and APPLY, whose function is not in the tree.
_NODE_KINDS = """
    ArrayJoin Asterisk ColumnsExceptTransformer ColumnsListMatcher ColumnsRegexpMatcher
    ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement ColumnsTransformerList
    ExpressionList Function Identifier InterpolateElement Literal OrderByElement QualifiedAsterisk
    QualifiedColumnsListMatcher QualifiedColumnsRegexpMatcher SampleRatio
    SelectIntersectExceptQuery SelectQuery SelectWithUnionQuery Subquery TableExpression
    TableIdentifier TableJoin TablesInSelectQuery TablesInSelectQueryElement WindowDefinition
    WindowListElement WithElement
    """
# Where their second argument is a name, it is the name of a table.
IN_FUNCTIONS = frozenset(
    f"{kind}{word}" for kind in ("", "global") for word in ("in", "notin", "nullin", "notnullin")
)
# Words before a parenthesis that are no functions: keywords and types.
_GRAMMAR_WORDS = """
    all and any array as asc between by case columns cube desc distinct else end except exists
    filter from global having ilike in inner intersect interpolate is join like limit not offset
    on or order over prewhere qualify replace rollup select set sets some then union using values
    when where with
    char character datetime datetime64 decimal decimal32 decimal64 decimal128 decimal256 enum enum8
    enum16 fixedstring lowcardinality map nested nullable numeric string time64 tuple varchar
    """
NODE_KINDS, GRAMMAR_WORDS = frozenset(_NODE_KINDS.split()), frozenset(_GRAMMAR_WORDS.split())
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# This and the server must agree on where a text, a quoted name or a comment ends. So anything else
# (heredocs, quotes outside ASCII, control characters) is refused.
SQL_TOKEN = re.compile(
    r"""(?P<space>[ \t\n]+|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)
    |(?P<text>'(?:[^'\\]|\\.|'')*')
    |`(?P<quoted>(?:[^`\\]|\\.|``)*)`
    |"(?P<double>(?:[^"\\]|\\.|"")*)"
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<number>[0-9][A-Za-z0-9_.]*)
    |(?P<sign>/(?!\*)|[-+*%<>=!?:.,()\[\]{}|^~])""",
    re.VERBOSE | re.DOTALL,
)


class Node(NamedTuple):
    """A node of the syntax tree; ``name`` is that of a function, a column or a table."""

    kind: str
    name: str
    children: list[Node]


def check(text: str, tree: str, table: str, is_table: Callable[[str], bool]) -> None:
    """Raises StoreError unless the text is one SELECT over this table, and harmless.

    Args:
        text: the SQL.
        tree: the output of EXPLAIN AST for it.
        table: the name of the table.
        is_table: true for the name of a table that exists.
    """
    root = parse(tree)
    if root is None or root.kind != "SelectWithUnionQuery":
        raise StoreError("only one SELECT is allowed here")
    if [each.kind for each in root.children] != ["ExpressionList"]:
        raise StoreError("a format, a file and settings are not allowed here")
    found = list(_descendants(root))
    words = list(_words(text))
    for node in found:
        _check_node(node)
    for name in {each.name for each in found if each.kind == "TableIdentifier"} - {table}:
        # A name of WITH is allowed, unless a table has the same name: which one is read depends on
        # where the name is used.
        if not PLAIN_NAME.fullmatch(name) or name not in _names_of_with(words) or is_table(name):
            raise refused(name)
    _check_words(words, found)


def _check_node(node: Node) -> None:
    if node.kind not in NODE_KINDS:
        raise refused(node.kind)
    if node.kind == "TableExpression" and any(each.kind == "Function" for each in node.children):
        raise refused("a table function")
    if node.kind == "Function":
        if not may_call(node.name):
            raise refused(node.name)
        if node.name.lower() in IN_FUNCTIONS:
            arguments = [part for each in node.children for part in each.children]
            if any(each.kind not in ("Literal", "Function", "Subquery") for each in arguments[1:]):
                raise refused("a table by its name after IN")


def _descendants(node: Node) -> Iterator[Node]:
    todo = [node]
    while todo:
        each = todo.pop()
        yield each
        todo += each.children


TREE_LINE = re.compile(r"( *)([A-Za-z:]+)(?: (.*?))??(?: \(children (\d+)\))?")


def parse(tree: str) -> Node | None:
    """The tree in these lines, one for each node, indented by depth.

    None where the lines are inconsistent: a quoted name may contain a line break.
    """
    root = Node("", "", [])
    path = [(root, 1)]
    for line in tree.rstrip("\n").split("\n"):
        found = TREE_LINE.fullmatch(line)
        if found is None:
            return None
        depth = len(found[1])
        if depth >= len(path):
            return None
        if not _close(path, depth + 1):
            return None
        node = Node(found[2], (found[3] or "").partition(" (alias ")[0], [])
        path[-1][0].children.append(node)
        path.append((node, int(found[4] or 0)))
    return root.children[0] if _close(path, 0) and len(root.children) == 1 else None


def _close(path: list[tuple[Node, int]], depth: int) -> bool:
    """Leaves the nodes below; False when one has not as many children as its line states."""
    while len(path) > depth:
        node, wanted = path.pop()
        if len(node.children) != wanted:
            return False
    return True


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """The words and signs of the text, and whether each was quoted."""
    at = 0
    # The server treats these two as white space as well.
    text = text.replace("\r\n", "\n").replace("\u00a0", " ")
    while at < len(text):
        found = SQL_TOKEN.match(text, at)
        if found is None:
            raise StoreError(f"not supported here: {text[at : at + 20]!r}")
        at = found.end()
        kind = found.lastgroup or ""
        if kind == "text":
            yield "''", True
        elif kind in ("quoted", "double"):
            if "(alias " in found[kind]:  # the tree would cut the name off there
                raise StoreError("a name with (alias in it is not supported here")
            yield found[kind], True
        elif kind != "space":
            yield found[kind], False


def _names_of_with(words: list[tuple[str, bool]]) -> set[str]:
    """The names of the queries in WITH."""
    return {
        name
        for (name, _), (word, quoted), (sign, _) in zip(words, words[1:], words[2:], strict=False)
        if not quoted and word.lower() == "as" and sign == "("
    }


def _check_words(words: list[tuple[str, bool]], found: list[Node]) -> None:
    """Checks what the tree may leave out: a function, a subquery or IN, within OVER."""
    for (word, quoted), (sign, _) in pairwise(words):
        is_name = word != "''" and (quoted or PLAIN_NAME.fullmatch(word) is not None)
        if (
            sign == "("
            and is_name
            and not may_call(word)
            and (quoted or word.lower() not in GRAMMAR_WORDS)
        ):
            raise refused(word)
    unquoted = [word.lower() for word, quoted in words if not quoted]
    nodes = [each.name.lower() for each in found if each.kind == "Function"]
    members = sum(name in IN_FUNCTIONS for name in nodes)
    selects = sum(each.kind == "SelectQuery" for each in found)
    if unquoted.count("in") > members or unquoted.count("select") > selects or "apply" in unquoted:
        raise refused("IN or SELECT in a place that cannot be checked")
