"""May this SQL of a person's be asked of ClickHouse? It reads one table, and nothing else.

``readonly`` lets other tables, dictionaries, files and the network be read, and what a user of
ClickHouse may do is not ours to set. So all that is not known to be harmless is refused: functions
(see ``clickhouse_functions``), kinds of nodes of the syntax tree, and tables. Two looks are needed.
The tree says what the engine has understood, but before 26 it leaves out what stands within
``OVER (...)``; the words of the text have no such gap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from slowhound.store.answer import StoreError
from slowhound.store.clickhouse_functions import may_call

# What may stand in the tree. Not here: settings, formats, files to write to, parameters, and
# APPLY, which names a function that the tree does not tell.
_KINDS = """
    ArrayJoin Asterisk ColumnsExceptTransformer ColumnsListMatcher ColumnsRegexpMatcher
    ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement ColumnsTransformerList
    ExpressionList Function Identifier InterpolateElement Literal OrderByElement QualifiedAsterisk
    QualifiedColumnsListMatcher QualifiedColumnsRegexpMatcher SampleRatio
    SelectIntersectExceptQuery SelectQuery SelectWithUnionQuery Subquery TableExpression
    TableIdentifier TableJoin TablesInSelectQuery TablesInSelectQueryElement WindowDefinition
    WindowListElement WithElement
    """
# Their second argument is a table's name where it is a name.
MEMBERSHIP = frozenset(
    f"{kind}{word}" for kind in ("", "global") for word in ("in", "notin", "nullin", "notnullin")
)
# Words that a parenthesis may follow and that are no functions: the grammar's, and types.
_WORDS = """
    all and any array as asc between by case columns cube desc distinct else end except exists
    filter from global having ilike in inner intersect interpolate is join like limit not offset
    on or order over prewhere qualify replace rollup select set sets some then union using values
    when where with
    char character datetime datetime64 decimal decimal32 decimal64 decimal128 decimal256 enum enum8
    enum16 fixedstring lowcardinality map nested nullable numeric string time64 tuple varchar
    """
KINDS, WORDS = frozenset(_KINDS.split()), frozenset(_WORDS.split())
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Where a text, a quoted name or a remark ends, must not be a matter of opinion: what this does not
# know (heredocs, other quotes than ASCII's, control characters) is refused.
TOKEN = re.compile(
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
        tree: what EXPLAIN AST says of it.
        table: the name of the table.
        is_table: true for the name of a table that exists.
    """
    root = parse(tree)
    if root is None or root.kind != "SelectWithUnionQuery":
        raise StoreError("one SELECT is what can be asked here")
    if [each.kind for each in root.children] != ["ExpressionList"]:
        raise StoreError("a format, a file and settings cannot be named here")
    found = list(_within(root))
    words = list(_words(text))
    for node in found:
        _check_node(node)
    for name in {each.name for each in found if each.kind == "TableIdentifier"} - {table}:
        # A name that WITH gives, unless a table has it as well: which it is depends on the place.
        if not PLAIN_NAME.fullmatch(name) or name not in _given(words) or is_table(name):
            raise _refused(name)
    _check_words(words, found)


def _refused(what: str) -> StoreError:
    return StoreError(f"only events can be asked, not {what}")


def _check_node(node: Node) -> None:
    if node.kind not in KINDS:
        raise _refused(node.kind)
    if node.kind == "TableExpression" and any(each.kind == "Function" for each in node.children):
        raise _refused("a table function")
    if node.kind == "Function":
        if not may_call(node.name):
            raise _refused(node.name)
        if node.name.lower() in MEMBERSHIP:
            arguments = [part for each in node.children for part in each.children]
            if any(each.kind not in ("Literal", "Function", "Subquery") for each in arguments[1:]):
                raise _refused("a table by its name behind IN")


def _within(node: Node) -> Iterator[Node]:
    todo = [node]
    while todo:
        each = todo.pop()
        yield each
        todo += each.children


LINE = re.compile(r"( *)([A-Za-z:]+)(?: (.*?))??(?: \(children (\d+)\))?")


def parse(tree: str) -> Node | None:
    """The tree in these lines, one a node, deeper ones further to the right.

    None where the lines do not fit together: a quoted name may hold a line break.
    """
    root = Node("", "", [])
    path = [(root, 1)]
    for line in tree.rstrip("\n").split("\n"):
        found = LINE.fullmatch(line)
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
    """Leaves the nodes below; False when one of them has not as many children as it said."""
    while len(path) > depth:
        node, wanted = path.pop()
        if len(node.children) != wanted:
            return False
    return True


def _words(text: str) -> Iterator[tuple[str, bool]]:
    """The words and signs of the text, and whether each was quoted."""
    at = 0
    # The engine takes these two for blanks as well.
    text = text.replace("\r\n", "\n").replace("\u00a0", " ")
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            raise StoreError(f"what is not understood here: {text[at : at + 20]!r}")
        at = found.end()
        kind = found.lastgroup or ""
        if kind == "text":
            yield "''", True
        elif kind in ("quoted", "double"):
            if "(alias " in found[kind]:  # the tree would show less of the name than there is
                raise StoreError("a name with (alias in it is not understood here")
            yield found[kind], True
        elif kind != "space":
            yield found[kind], False


def _given(words: list[tuple[str, bool]]) -> set[str]:
    """The names that WITH gives to queries."""
    return {
        name
        for (name, _), (word, quoted), (sign, _) in zip(words, words[1:], words[2:], strict=False)
        if not quoted and word.lower() == "as" and sign == "("
    }


def _check_words(words: list[tuple[str, bool]], found: list[Node]) -> None:
    """What the tree may leave out: a function, a subquery or a membership within OVER."""
    for (word, quoted), (sign, _) in pairwise(words):
        is_name = word != "''" and (quoted or PLAIN_NAME.fullmatch(word) is not None)
        if sign == "(" and is_name and not may_call(word) and (quoted or word.lower() not in WORDS):
            raise _refused(word)
    plain = [word.lower() for word, quoted in words if not quoted]
    nodes = [each.name.lower() for each in found if each.kind == "Function"]
    members = sum(name in MEMBERSHIP for name in nodes)
    selects = sum(each.kind == "SelectQuery" for each in found)
    if plain.count("in") > members or plain.count("select") > selects or "apply" in plain:
        raise _refused("IN or SELECT where it cannot be looked into")
