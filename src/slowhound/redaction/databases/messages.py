"""The table of messages of databases that quote a value, in the English of servers and clients.

Translated messages (PostgreSQL's ``lc_messages``, the locale files of MySQL and MariaDB) are not
known here.

Sources: src/backend/po and src/interfaces/libpq of PostgreSQL, errmsg-utf8.txt of MySQL and
MariaDB, resolve.c and parse.y of SQLite, https://docs.oracle.com/error-help/db/ for Oracle,
sys.messages of SQL Server, server.c of Redis, and the clients in Python.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple


class End(Enum):
    """Where a quotation ends."""

    LAST = auto()  # at the last of its closing characters, for it may contain others
    FOUND = auto()  # at what follows it; without that as LAST, or the message was cut
    REQUIRED = auto()  # the same, but without that it is no message of a database
    LINE = auto()  # at the end of the line
    ALL = auto()  # at the end of the text, or of a part of it that PostgreSQL names


class Message(NamedTuple):
    # A text without this has no such message: a quick check, for most have none.
    has: str
    begins: re.Pattern[str]
    end: End
    closing: str = ""
    follows: re.Pattern[str] | None = None
    is_sql: bool = False


def _last(has: str, begins: str, closing: str = '"', *, is_sql: bool = False) -> Message:
    return Message(has, re.compile(begins), End.LAST, closing, is_sql=is_sql)


def _found(has: str, begins: str, follows: str, closing: str = "") -> Message:
    return Message(has, re.compile(begins), End.FOUND, closing, re.compile(follows))


def _asked(has: str, begins: str, follows: str, closing: str = '"') -> Message:
    return Message(has, re.compile(begins), End.REQUIRED, closing, re.compile(follows))


def _line(has: str, begins: str) -> Message:
    return Message(has, re.compile(begins), End.LINE)


def _all(has: str, begins: str, *, is_sql: bool = False) -> Message:
    return Message(has, re.compile(begins), End.ALL, is_sql=is_sql)


# A word of SQL or a sign gives nothing away. Quotes may be escaped: an exception shows its
# arguments as Python writes them.
_WORDS = (
    r"(?:SELECT|FROM|WHERE|AND|OR|NOT|IN|IS|AS|ON|BY|ORDER|GROUP|HAVING|LIMIT|OFFSET|UNION|ALL|SET"
    r"|DISTINCT|INSERT|INTO|VALUES|UPDATE|DELETE|CREATE|TABLE|INDEX|ALTER|DROP|ADD|COLUMN|JOIN|LEFT"
    r"|RIGHT|INNER|OUTER|CASE|WHEN|THEN|ELSE|END|NULL|LIKE|BETWEEN|EXISTS|DESC|ASC|WITH|RETURNING"
    r"|DEFAULT|USING|PRIMARY|KEY|UNIQUE|CONSTRAINT|REFERENCES|CHECK|VIEW|BEGIN|COMMIT|USER|FOR"
    r"|[^\w\s'\"]{1,3})"
)
_TOLD = rf"(?!\"(?i:{_WORDS})\")(?=\")"
_QUOTE = r"(?=\\?')"
_EITHER = r"(?=\\?['\"])"
_NOT_EMPTY = r"(?=\\?'(?!\\?' at line))"

POSTGRESQL = (
    _last(
        "ailing row contains ", r"ailing row contains (?:\([^)\n]{0,300}\) = )?(?=\()", closing=")"
    ),
    _last(
        ': "',
        r"\b(?:invalid input (?:syntax for|value for enum) [^:\n]{1,140}"
        r"|malformed (?:array|range|multirange|record) literal|out of range"
        r"|in ts(?:query|vector)|contain lexemes|escaped character|is not a valid identifier"
        r"|is not an integer|datetime format is not recognized|[Uu]nrecognized (?:key word|encoding"
        r"|privilege type|value for EXPLAIN option \"\w{1,20}\")"
        r"|invalid (?:(?:cidr|octet) value[^:\n]{0,30}"
        r"|size|snapshot identifier|hexadecimal digit|datetime format separator|binary"
        r"|(?:argument|value) for [^:\n]{1,60}|parameter list format|locale name|key word"
        r"|percent-encoded token|URI query parameter|port number|\w{1,30} value)"
        r"|in URI(?: query parameter)?|for input string|For input string"
        r"|COPY [^\n]{1,140}?, line \d{1,19}(?:, column [^\n]{1,64}?)?): (?=\\?\")",
    ),
    _last("at or near ", rf"\bat or near {_TOLD}"),
    _last("but found ", r"\bbut found (?:character )?(?=\")"),
    _asked("oken ", r"\bToken (?=\")", r'"(?= is invalid)'),
    _asked(
        'value "',
        r"\binvalid (?:integer )?value (?=\")",
        r'"(?= for (?:connection option )?")',
    ),
    _asked('value "', r"\bvalue (?=\")", r'"(?= is out of range for (?:type|\w{1,9} type))'),
    _asked('one "', r"\btime zone (?=\")", r'"(?= (?:not recognized|out of range|must not))'),
    _asked('unit "', r"\bunit (?=\")", r'"(?= not (?:recognized|supported) for type)'),
    _asked("regular expression ", r"\binvalid regular expression (?=\")", r'"(?=: )'),
    _asked("Cannot use ", r"\bCannot use (?=\")", r'"(?=: No such \w{1,9} algorithm)'),
    _last("type name ", r"\binvalid type name (?=\")"),
    _line("lower bound ", r"\bSpecified lower bound (?=\()"),
    _asked("after ", r"\bmissing \"=\" after (?=\")", r'"(?= in connection info)'),
    _asked("spaces found in ", r"\bspaces found in (?=\")", r'"(?=, use percent-encoded)'),
    _found("byte sequence 0x", r"\bcharacter with byte sequence ", r"(?= in encoding)"),
    _line(
        "invalid byte sequence",
        r"\binvalid byte sequence for encoding \"[^\"\n]{1,30}\": (?!0x00$)",
    ),
    _line("JSON data, line ", r"\bJSON data, line \d{1,9}: "),
    _all("portal", r"\bportal(?: \"[^\"\n]{1,64}\")? (?:with parameters: |parameter \$\d{1,5} = )"),
    _all("parameters: ", r"\bquery with parameters: "),
    _all("DETAIL:  line ", r"\ADETAIL:  line \d{1,9}: (?:[^\n\\]|\\(?!n))*(?:\\n|\n)"),
    # asyncpg
    _found(
        "query argument ",
        r"\binvalid input for query argument \$\d{1,5}[^:\n]{0,60}: ",
        r"(?= \([^(\n]{1,200}\)\W{0,9}$)",
    ),
    _last("SQL statement ", r"\bSQL statement (?=\")", is_sql=True),
    _last(" assignment ", r"\bPL/pgSQL (?:assignment|expression) (?=\")", is_sql=True),
    _last("SQL expression ", r"\bSQL expression (?=\")", is_sql=True),
)
MYSQL = (
    _found("uplicate entry ", rf"\b[Dd]uplicate entry {_QUOTE}", r"'(?= for key)"),
    _found("ncorrect ", rf"ncorrect [\w ]{{1,32}} value: {_QUOTE}", r"'(?= for )", "'"),
    _asked("llegal ", rf"llegal \w{{1,20}} {_QUOTE}", r"'(?= value found| when)", "'"),
    _last("character string: ", rf"\bInvalid \w{{1,20}} character string: {_QUOTE}", "'"),
    _asked(
        "onvert string ",
        rf"t convert string {_QUOTE}",
        r"'(?= (?:from|to) )",
        "'",
    ),
    _found("use near ", rf"to use near {_NOT_EMPTY}", r"'(?= at line)"),
    _asked("near ", rf"\bnear {_NOT_EMPTY}", r"'(?= at line \d)", "'"),
    _asked("uplicated value ", rf"\bhas duplicated value {_QUOTE}", r"'(?= in (?:ENUM|SET))", "'"),
    _last("to the value of ", rf"t be set to the value of {_QUOTE}", "'"),
    _asked("String ", rf"\bString {_QUOTE}", r"'(?= is too long for)", "'"),
    _line("no partition for value ", r"\bhas no partition for value "),
    _asked("Key value ", rf"\bKey value {_QUOTE}", r"'(?= was not found in)", "'"),
    _asked("', record ", rf"', record {_QUOTE}", r"'(?= would lead to)", "'"),
    _last("value is out of range in ", rf"\bvalue is out of range in {_QUOTE}", "'"),
    _last("time zone: ", rf"\bincorrect time zone: {_QUOTE}", "'"),
    Message("stored expr", re.compile(r"\bevaluating stored expression "), End.LINE, is_sql=True),
    # mysql-connector-python
    _found("process parameters: ", r"\bnot process parameters: ", r"(?=, it must be of type)"),
)
SQLITE = (
    _asked("near ", rf"\bnear {_TOLD}", r"\"(?=: syntax error)"),
    _last("syntax error near ", rf"\bsyntax error near {_TOLD}"),
    _last("error near ", rf"\bpath error near {_QUOTE}", "'"),
    _last("JSON path: ", rf"\bbad JSON path: {_QUOTE}", "'"),
    _last("unrecognized token: ", r"\bunrecognized token: (?=\")"),
    _last("MATCH expression: ", r"\bmalformed MATCH expression: (?=\[)", "]"),
    _last("to UTF-8 ", r"to UTF-8 column (?:\\?'\w{1,64}\\?' with text )?(?=\\?')", "'"),
)
ORACLE = (
    _found("(ORA-", r"\(ORA-\d{5} details\) ", r"(?=\n(?:ORA-\d|Help: ))|(?=\n\Z)"),
    _found("ORA-01438: value ", r"\bORA-01438: value ", r"(?= greater than specified)"),
    _found("string value containing ", r"\bconvert string value containing ", r"(?= to a number)"),
    _found("the symbol ", rf"\bEncountered the symbol {_TOLD}", r"\"(?= when expecting)"),
)
_STOP = r"(?=\.(?:\s|\\?['\"]|\)|\Z))"
SQL_SERVER = (
    _found("duplicate key value is ", r"\bduplicate key value is (?=\()", rf"\){_STOP}"),
    _found(" value ", rf"\bconverting the [\w ]{{1,40}} value {_QUOTE}", r"'(?= to data type)"),
    _found(" value ", rf"\bconversion of the [\w ]{{1,40}} value {_QUOTE}", r"'(?= overflowed)"),
    _found("Incorrect syntax near ", rf"\bIncorrect syntax near {_QUOTE}", rf"'{_STOP}"),
    _found("character string ", rf"\bafter the character string {_QUOTE}", rf"'{_STOP}"),
    _found("Truncated value: ", rf"\bTruncated value: {_QUOTE}", rf"'{_STOP}"),
    _found("value = ", r"\boverflow error for (?:data )?type [\w ]{1,30}, value = ", _STOP),
    _asked('name "', r"\bThe name (?=\")", r'"(?= is not permitted)'),
)
_CLICKHOUSE_GOES_ON = (
    r"(?=: (?:Cannot|In scope|[Ww]hile|\((?:at row|while ))|, should be |\. \([A-Z_]+\)|\n)"
)
OTHERS = (
    # Redis, redis-py
    _found("SETUSER modifier ", rf"\bSETUSER modifier {_QUOTE}", r"'(?=: )"),
    _line("args beginning with: ", r"\bargs beginning with: (?=\S)"),
    _found(
        "nknown ",
        r"\b[Uu]nknown (?:sub)?command (?=\\?['`\"](?![A-Z._]{1,30}\\?['`\"]))",
        r"['`\"](?=, with args|\. Try|\W{0,30}\Z)",
    ),
    _found("of pipeline", r"\bCommand # \d{1,9} \([A-Za-z._]{1,30} ", r"(?=\) of pipeline)"),
    _line("Syntax error at offset ", r"\bSyntax error at offset \d{1,9} near "),
    # MongoDB, https://pymongo.readthedocs.io
    _last("dup key: ", r"\bdup key: (?=\{)", "}"),
    _last(", full error: ", r", full error: (?=\{)", "}"),
    # ClickHouse
    _found("at position ", r"failed at position \d{1,9} ?", r"(?=\. (?:Expected|\())|(?=\n)"),
    _found("Cannot parse string ", rf"\bCannot parse string {_QUOTE}", r"'(?= as )"),
    _found("Cannot convert string ", r"\bCannot convert string (?!\\?')", r"(?= to type )"),
    _last(
        "parse input",
        rf"parse input: expected [^\n]{{1,60}}? before: {_QUOTE}",
        "'",
    ),
    _asked("Unexpected data ", rf"\bUnexpected data {_QUOTE}", r"'(?= after parsed)", "'"),
    _asked("Value [", r"\bValue (?=\[)", r"\](?= cannot be parsed as)", "]"),
    _found(
        "Cannot parse ",
        r"DB::Exception: Cannot parse (?:IPv[46]|[Uu][Uu][Ii][Dd]) ",
        _CLICKHOUSE_GOES_ON,
    ),
    _found(
        " here: ", r"DB::Exception: Cannot (?:read|parse) [\w ]{1,40} here: ", _CLICKHOUSE_GOES_ON
    ),
    _found("compile re2: ", r"\bcannot compile re2: ", r"(?=, error: )"),
    _found("compile re2: ", r", error: ", r"(?=\. Look at )"),
    _asked("nknown element ", rf"\bUnknown element {_QUOTE}", r"'(?= for (?:enum|type))", "'"),
    _asked("Decode value ", r"Decode value (?=\()", r"\)(?=, cannot be decoded)", ")"),
    _found("Invalid mode: ", r"DB::Exception: Invalid mode: ", _CLICKHOUSE_GOES_ON),
    _found("elements: ", r"\bcolumns in UNION\w* elements: ", r"(?=\. \()"),
    _all("Row ", r"(?=(?:\b|(?<=\\n))Row \d{1,9}:(?:\n|\\n)Column \d)"),
    _all("DB::", r"[ :]\s?[Ww]hile (?:executing|converting|reading) (?!\w+(?:\. \(|:|\Z))"),
    _all("DB::", r"(?:: While processing |\b[Ii]n scope |\(in query: )", is_sql=True),
    # DuckDB
    _last("Could not convert string ", r"\bCould not convert string (?=')", "'"),
    _asked("convert string ", r"\bCould not convert string (?=\")", r'"(?= to [A-Z])'),
    _asked(
        "key ",
        r"\b(?:Duplicate|because) key (?=\")",
        r'"(?= (?:violates |does not exist in the r|is still referenced by a f))',
    ),
    _asked(
        "with value ",
        rf"\bType [\w(), ]{{1,60}} with value {_QUOTE}",
        r"'(?= can\\?'t be cast)",
        "'",
    ),
    _last("Malformed JSON ", r"\bMalformed JSON at byte \d{1,9} of input: [^\"\n]{1,99}  Input: "),
    _asked(
        "field format: ",
        r"\binvalid \w{1,12} field format: (?=\")",
        r'"(?=, expected format)',
    ),
    _asked(
        "string ",
        r"\b(?:decode|parse|conversion of) string (?=\")",
        r'"(?= (?:as base64|according to format)|: \\)',
    ),
    _all("format specifier ", r"\bto format specifier (?=\"[^\"\n]{1,200}\"(?:\n|\\n))"),
    _last("to numerical: ", r"\bFailed to cast value to numerical: (?=\")"),
    _asked("pecifier ", r"\bextract specifier (?=\")", r'"(?= not recognized)'),
    # SQLAlchemy, pandas
    Message(
        "[SQL: ",
        re.compile(r"\[SQL: "),
        End.FOUND,
        follows=re.compile(r"(?=\](?:(?:\s|\\n)(?:\[parameters: |\(Background on )|\W{0,9}\Z))"),
        is_sql=True,
    ),
    _found(
        "[parameters: ",
        r"\[parameters: (?=[\[({])",
        r"(?=\](?:(?:\s|\\n)\(Background on |\W{0,9}\Z))",
    ),
    _last("failed on sql ", r"\bExecution failed on sql '", "': ", is_sql=True),
    _all("failed on sql: ", r"\bExecution failed on sql: "),
    # Django's check of foreign keys, of SQLite and MySQL
    _asked("primary key ", r"\bprimary key (?=')", r"'(?= has an invalid foreign key)", "'"),
    _asked("a value ", r"\bcontains a value (?=')", r"'(?= that does not have a corr)", "'"),
    # Elasticsearch
    _last("Preview of field", rf"\bPreview of field\\?'s value: {_QUOTE}", "'"),
    _found("ailed to parse ", r"\b[Ff]ailed to parse (?:query|date field) (?=\[)", r"\]"),
    # Python's urllib, of an address with a / in its password
    _line("to integer value as ", rf"\bPort could not be cast to integer value as {_EITHER}"),
    _found("netloc ", rf"\bnetloc {_EITHER}", r"(?= contains invalid characters)"),
    # Memcached: Django, pymemcache, pylibmc
    _line("used with memcached: ", r"\bused with memcached: "),
    _line("Key ", r"\bKey (?:is too long|contains (?:whitespace|null)): (?=b?')"),
    _found("from memcached_", r"\bfrom memcached_\w{1,30}\(", r"(?=\))"),
)
MESSAGES = (*POSTGRESQL, *MYSQL, *SQLITE, *ORACLE, *SQL_SERVER, *OTHERS)
