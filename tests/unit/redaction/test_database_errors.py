"""Values that databases quote in their errors are masked; names and prose stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slowhound.redaction.databases.errors import without_quoted
from slowhound.redaction.databases.messages import MESSAGES
from slowhound.redaction.mask import MASK

# As the servers and their clients in Python write them; {} is what they quote.
POSTGRESQL = [
    "DETAIL:  Key (email)={} already exists.",
    "DETAIL:  Key (lower(email::text))={} already exists.",
    'DETAIL:  Key (shop_id)={} is not present in table "shop".',
    'DETAIL:  Key (id)={} is still referenced from table "line".',
    "DETAIL:  Key (room, during)={} conflicts with existing key (room, during)={}.",
    "DETAIL:  Key (a, b)={} is duplicated.",
    "DETAIL:  Failing row contains {}.",
    "DETAIL:  Partition key of the failing row contains (name) = {}.",
    "invalid input syntax for type integer: {}",
    "invalid input syntax for type timestamp with time zone: {}",
    "invalid input value for enum mood: {}",
    'malformed array literal: {}\nDETAIL:  Array value must start with "{{" or so.',
    "value {} is out of range for type integer",
    "{} is out of range for type double precision",
    "date/time field value out of range: {}\nHINT:  Perhaps you need another setting.",
    "time zone {} not recognized",
    "invalid input syntax for type json\nDETAIL:  Token {} is invalid.\nCONTEXT:  x",
    'DETAIL:  Expected "," or "]", but found {}.',
    "syntax error in tsquery: {}",
    "unit {} not recognized for type timestamp with time zone",
    'invalid value {} for "YYYY"\nDETAIL:  Value must be an integer.',
    'invalid integer value {} for connection option "port"',
    'invalid value for parameter "work_mem": {}',
    "CONTEXT:  COPY users, line 1, column note: {}",
    "CONTEXT:  COPY users, line 3: {}",
    "syntax error at or near {}",
    "HINT:  {} <-- parse error at position 9 within geometry",
]
IN_SINGLE = [
    "(1062, \"Duplicate entry {} for key 'email'\")",
    '(1366, "Incorrect integer value: {} for column `x`.`t`.`n` at row 1")',
    '(1292, "Truncated incorrect DOUBLE value: {}")',
    '(1300, "Invalid utf8mb4 character string: {}")',
    '(1064, "... for the right syntax to use near {} at line 1")',
    '(1298, "Unknown or incorrect time zone: {}")',
    "(1231, \"Variable 'sql_mode' can't be set to the value of {}\")",
    "(1291, \"Column 'e' has duplicated value {} in ENUM\")",
    '(1690, "BIGINT UNSIGNED value is out of range in {}")',
    "JSON path error near {}",
    "Could not decode to UTF-8 column 'name' with text {}",
    "Conversion failed when converting the nvarchar value {} to data type int. (245)",
    "The conversion of the varchar value {} overflowed an int column. (248)",
    "Incorrect syntax near {}. (102) (SQLExecDirectW)",
    "Unclosed quotation mark after the character string {}. (105)",
    "... would be truncated in table 'x.dbo.t', column 'a'. Truncated value: {}. (2628)",
    "unknown subcommand {}. Try CLIENT HELP.",
    "Error in ACL SETUSER modifier {}: Syntax error",
    "DB::Exception: Cannot parse string {} as UInt64: syntax error at begin of string.",
    "failed to parse field [a] of type [long]. Preview of field's value: {}",
]
IN_DOUBLE = [
    "near {}: syntax error",
    "unrecognized token: {}",
    "fts5: syntax error near {}",
    "PLS-00103: Encountered the symbol {} when expecting one of the following:",
]
OTHERS = [
    ("no such column: hunter2", "no such column: {}"),
    (
        'no such column: "hunter2" - should this be a string literal in single-quotes?',
        "no such column: {} - should this be a string literal in single-quotes?",
    ),
    (
        "(1054, \"Unknown column 'hunter2@x' in 'ON'\")",
        "(1054, \"Unknown column {} in 'ON'\")",
    ),
    ('column "hunter2 x" does not exist', "column {} does not exist"),
    ('ORA-00904: "hunter2@x": invalid identifier', "ORA-00904: {}: invalid identifier"),
    (
        "ORA-03301: (ORA-00001 details) row with column values (A:hunter2) already exists\nHelp: a",
        "ORA-03301: (ORA-00001 details) {}\nHelp: a",
    ),
    (
        "Cannot insert ... in object 'dbo.t'. The duplicate key value is (1, hunter2). (1)",
        "Cannot insert ... in object 'dbo.t'. The duplicate key value is {}. (1)",
    ),
    (
        "Arithmetic overflow error for type varchar, value = 4111.00.",
        "Arithmetic overflow error for type varchar, value = {}.",
    ),
    (
        "unknown command 'FROB', with args beginning with: 'hunter2' 'x' ",
        "unknown command 'FROB', with args beginning with: {}",
    ),
    (
        "Command # 1 (SET k hunter2) of pipeline caused error: WRONGTYPE Operation against",
        "Command # 1 (SET {}) of pipeline caused error: WRONGTYPE Operation against",
    ),
    (
        'E11000 duplicate key error collection: a.b index: c dup key: { email: "hunter2" }',
        "E11000 duplicate key error collection: a.b index: c dup key: {}",
    ),
    ("not ok, full error: {'op': {'a': 'hunter2'}}", "not ok, full error: {}"),
    (
        "Syntax error: failed at position 8 ('hunter2'): 'hunter2' a. Expected one of: b",
        "Syntax error: failed at position 8 {}. Expected one of: b",
    ),
    (
        "DB::Exception: Wrong.: While processing toUInt32('hunter2'). (CANNOT_PARSE_TEXT)",
        "DB::Exception: Wrong.: While processing toUInt32(?). (CANNOT_PARSE_TEXT)",
    ),
    (
        "Cache key will cause errors if used with memcached: ':1:hunter2 x'",
        "Cache key will cause errors if used with memcached: {}",
    ),
    (
        'invalid byte sequence for encoding "UTF8": 0xff 0x61',
        'invalid byte sequence for encoding "UTF8": {}',
    ),
    # Statements become shapes.
    ("x\nLINE 1: SELECT 'hunter2' FROMM t\n          ^", "x\nLINE 1: SELECT ? FROMM t ^"),
    ('LINE 1: ...hunter2\' AND "t"."a" = \'b', "LINE 1: ?"),
    ('LINE 1: ...p_order"."id" FROM "t" WHERE...', 'LINE 1: ...."id" FROM "t" WHERE...'),
    ("LINE 2: hunter2', 'x' y", "LINE 2: ?"),
    ("LINE 1: SELECT 'it's hunter2'", "LINE 1: SELECT ?"),
    ("QUERY:  SELECT 'hunter2'::int\nCONTEXT:  f", "QUERY:  SELECT ?::int\nCONTEXT:  f"),
    (
        "CONTEXT:  SQL statement \"INSERT INTO t VALUES ('hunter2')\"\nPL/pgSQL function f()",
        'CONTEXT:  SQL statement "INSERT INTO t VALUES (?)"\nPL/pgSQL function f()',
    ),
    (
        "CONTEXT:  unnamed portal with parameters: $1 = 'a\nhunter2', $2 = '1'",
        "CONTEXT:  unnamed portal with parameters: {}",
    ),
    (
        "DETAIL:  line 1: Premature end of data in tag a line 1\n<a>hunter2\n   ^",
        "DETAIL:  line 1: Premature end of data in tag a line 1\n{}",
    ),
    (
        "DataError('invalid: \\nLINE 1: select \\'hunter2\\'::int\\n     ^\\nDETAIL:  x')",
        "DataError('invalid: \\nLINE 1: ?\\nDETAIL:  x')",
    ),
]
HARMLESS = [
    'duplicate key value violates unique constraint "shop_order_number_key"',
    'null value in column "id" of relation "t" violates not-null constraint',
    'insert or update on table "ch" violates foreign key constraint "ch_id_fkey"',
    'relation "shop_order" does not exist',
    'column "shop_order.total" does not exist',
    'HINT:  Perhaps you meant to reference the column "shop_order.total".',
    "permission denied for table shop_order",
    'connection to server at "db" failed: FATAL:  password authentication failed for user "a"',
    'syntax error at or near "FROM"',
    'syntax error at or near ")"',
    "value too long for type character varying(3)",
    'invalid byte sequence for encoding "UTF8": 0x00',
    "CONTEXT:  PL/pgSQL function boom(text) line 1 at RETURN",
    "(1045, \"Access denied for user 'ada'@'localhost' (using password: YES)\")",
    "(1054, \"Unknown column 'shop_line.total' in 'field list'\")",
    "(1146, \"Table 'shop.line' doesn't exist\")",
    "(1452, 'Cannot add or update a child row: a foreign key constraint fails (`x`.`c`)')",
    "(1264, \"Out of range value for column 'n' at row 1\")",
    "(1406, \"Data too long for column 'email' at row 1\")",
    "(1064, \"... for the right syntax to use near '' at line 1\")",
    "no such column: shop_line.total",
    "no such table: shop_order",
    "UNIQUE constraint failed: shop_order.number",
    'near "WHERE": syntax error',
    "datatype mismatch",
    "ORA-00001: unique constraint (SHOP.ORDER_PK) violated",
    'ORA-12899: value too large for column "S"."T"."C" (actual: 12, maximum: 10)',
    'ORA-00904: "SHOP_ORDER"."TOTAL": invalid identifier',
    "ORA-01017: invalid username/password; logon denied",
    "Invalid column name 'total'.",
    "Cannot insert the value NULL into column 'a', table 'x.dbo.t'; column does not allow nulls.",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "unknown command 'JSON.SET'",
    "ERR invalid DB index",
    "Error 111 connecting to cache:6379. Connection refused.",
    "SERVER_ERROR object too large for cache",
    # Prose that only has their words.
    "no shop near 'Main Street' is open",
    "Key (house) was lost near the door",
    'the value "blue" is not a choice',
    "LINE 7: the tram to the station is late",
    "Incorrect answers: 3 of 5",
    "The entry 'a' is a duplicate; see the DETAIL below",
    "An unknown command was given",
    "full error: none",
    "a key (private) and a lock",
    "Token expired",
    "failed to parse the date of the order",
]
VALUES = [
    "hunter2",
    "hunter2 (x) already, or [y) in {z}",
    "a\nhunter2\nb",
    "it's hunter2",
    'a "hunter2" b',
    "1",
]


def _quoted(message: str, quotes: str, value: str) -> str:
    return message.format(*[quotes[0] + value + quotes[1]] * 2)


def _quotes_of(message: str) -> str:
    return "()" if ")={}" in message or ("contains " in message and "JSON" not in message) else '""'


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("message", POSTGRESQL)
def test_value_is_masked_in_errors_of_postgresql(message: str, value: str) -> None:
    """Any value is masked, and nothing else."""
    quoted = _quoted(message, _quotes_of(message), value)
    assert without_quoted(quoted) == message.format(MASK, MASK)


@pytest.mark.parametrize("value", ["hunter2", "it's hunter2", "a hunter2\nb", 'a "hunter2"'])
@pytest.mark.parametrize("message", IN_SINGLE)
def test_value_in_single_quotes_is_masked(message: str, value: str) -> None:
    """So it is where an exception shows its arguments as Python writes them."""
    assert without_quoted(_quoted(message, "''", value)) == message.format(MASK)
    escaped = _quoted(message, "''", value).replace("'", "\\'")
    assert "hunter2" not in without_quoted(escaped)


@pytest.mark.parametrize("message", IN_DOUBLE)
def test_value_in_double_quotes_is_masked(message: str) -> None:
    """Words and signs of SQL are shown."""
    assert without_quoted(_quoted(message, '""', "hunter2")) == message.format(MASK)


@pytest.mark.parametrize(("quoted", "shown"), OTHERS)
def test_value_is_masked(quoted: str, shown: str) -> None:
    """It is in the errors of other databases, and in statements that errors repeat."""
    assert without_quoted(quoted) == shown.replace("{}", MASK)


@pytest.mark.parametrize("quoted", HARMLESS)
def test_error_without_a_value_stays(quoted: str) -> None:
    """So do names of tables, columns, constraints and users, and errors of other code."""
    assert without_quoted(quoted) == quoted


@pytest.mark.parametrize("message", [*POSTGRESQL, *IN_SINGLE, *IN_DOUBLE])
def test_value_that_was_cut_is_masked(message: str) -> None:
    """What is left of it is masked."""
    quotes = "''" if message in IN_SINGLE else _quotes_of(message)
    if not message.startswith("{}") and ":  {} <--" not in message:
        cut = message[: message.index("{}")] + quotes[0] + "hunter2\nhunter2"
        assert "hunter2" not in without_quoted(cut)


HOSTILE = [
    *("near '", 'near "', "Key (", "Key (a)=(", "key (a)=(b) ", "LINE 1: ", "\nLINE 1: '"),
    *("\nDETAIL:  ", "Duplicate entry '", "Failing row contains (", 'value "'),
    *("\nQUERY:  '", 'SQL statement "', "COPY a, line 1: ", "COPY ", "no such column: "),
    *('column "', "Unknown column '", 'ORA-00904: "', '" is out of range for type '),
    *('" <-- parse error at position', '"', "'", "\\'", "(", "\n", " "),
    *("invalid input syntax for ", 'x: "', "incorrect a value: '", "incorrect a "),
    *("unknown command '", "dup key: {", ", full error: {", "(ORA-00001 details) "),
    *(
        "INTO a (password) VALUES ('",
        "INTO a (",
        "[SQL: ",
        "[parameters: (",
        "Execution failed on sql '",
    ),
    *("DB::Exception: Cannot parse UUID ", 'key "', "with value '", "query argument $1: ", " (a"),
    *("DB:: in scope ", "Command # 1 (A "),
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("opening", HOSTILE)
def test_many_openings_take_no_more_time_than_they_are_long(opening: str) -> None:
    """For each one the end, or the beginning, might be searched."""
    without_quoted(opening * (200_000 // len(opening)))
    hostile = opening * (5_000 // len(opening))
    for message in MESSAGES:
        without_quoted(f"{message.has}{hostile}" * 4)


@given(st.lists(st.sampled_from([*HOSTILE, *HARMLESS, "a", " for key", " at line 1", ")."])))
def test_any_text_can_be_an_error(parts: list[str]) -> None:
    """Nothing fails, and masked twice it is what it was masked once."""
    once = without_quoted("".join(parts))
    assert without_quoted(once).replace(MASK, "") == once.replace(MASK, "")
