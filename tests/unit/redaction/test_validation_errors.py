"""Values that pydantic quotes in its errors are masked, in texts and in data."""

from __future__ import annotations

import pytest

from slowhound.redaction.mask import MASK
from slowhound.redaction.masking import message
from slowhound.redaction.structures import masked

ERROR = (
    "2 validation errors for Login\n"
    "user.password\n"
    "  String should have at least 20 characters"
    " [type=string_too_short, input_value={}, input_type=str]\n"
    "    For further information visit https://errors.pydantic.dev/2.9/v/string_too_short\n"
    "user.city\n"
    "  String should have at most 3 characters"
    " [type=string_too_long, input_value='Berlin', input_type=str]"
)
CUT = (
    "1 validation error for Login\n"
    "  Value error, bad [type=value_error, input_value={}, input_type=dict]"
)


@pytest.mark.parametrize("quoted", ["'{}'", '"{}"'])
@pytest.mark.parametrize("value", ["abc", "it's", "a, input_type", "x" * 30])
def test_value_of_secret_field_is_hidden(quoted: str, value: str) -> None:
    """Its name is on the line before; the values of other fields stay."""
    error = ERROR.replace("{}", quoted)
    assert message(error.replace("{}", value)) == error.replace("{}", MASK)
    escaped = error.replace("\n", "\\n")
    assert message(escaped.replace("{}", value)) == escaped.replace("{}", MASK)


@pytest.mark.parametrize("value", ["None", "True", "{'user': 'ada'}"])
def test_what_is_no_secret_stays(value: str) -> None:
    """Empty values, flags, and data whose members have names of their own stay."""
    assert message(ERROR.replace("{}", value)) == ERROR.replace("{}", value)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        # 25 characters, and the last 24: the name is cut, or gone.
        ("{'boom': 1, 'email': 'bob...word': 'hunter2hunter2'}", "word': {}}}"),
        ("{'boom': 1, 'user': 'bobb...d': 'hunter2', 'b': 12}", "d': {}, 'b': 12}}"),
        ("{'boom': 1, 'email': 'bob...2hunter2hunter2hunter2'}", "bob...{}}}"),
        ("{'boom': 1, 'lines': [1, ...'EUR', 'status': 'paid'}", None),
        ("{'boom': 1, 'email': 'bob...hipping_id': 12, 'x': 1}", None),
    ],
)
def test_value_whose_name_was_cut_off_is_hidden(given: str, shown: str | None) -> None:
    """The name may have been secret; the rest of the data stays."""
    whole = message(CUT.replace("{}", given))
    if shown is None:
        assert whole == CUT.replace("{}", given)
    else:
        assert shown.format(MASK) in whole
        assert "hunter2" not in whole


def test_errors_as_data_hide_the_input_of_secret_fields() -> None:
    """``Context.set("errors", exc.errors())``: the last of ``loc`` is the name."""
    errors = [
        {"loc": ["body", "password"], "msg": "too short", "input": "abc"},
        {"loc": ["body", "pin"], "msg": "too short", "input": "12"},
        {"loc": ["body", "city"], "msg": "too long", "input": "Berlin"},
        {"loc": ["body", "token"], "msg": "missing", "input": {"city": "Berlin"}},
        {"loc": ["body", "token"], "msg": "no text", "input": 12},
        {"loc": ["body", "token"], "msg": "missing", "input": None},
    ]
    hidden = [{**errors[0], "input": MASK}, {**errors[1], "input": MASK}, *errors[2:]]
    assert masked({"app_errors": errors}) == {"app_errors": hidden}
    assert message(str(errors)) == str(hidden)
