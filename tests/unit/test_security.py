"""Each claim in SECURITY.md has tests, and each test that is named here exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()
MODEL = TEXT.partition("## The threat model")[2].partition("## Limits")[0]

# The tests of each claim: files below tests/, and functions in them.
CLAIMS: dict[str, dict[str, str]] = {
    "S1": {
        "sinks/test_secrets.py": "test_files_are_the_owners_alone",
        "unit/system/test_private_dir.py": "test_folder_is_made_private",
        "servers/test_watchdog.py": "test_report_and_folder_are_the_owners_alone",
    },
    "S2": {
        "unit/system/test_private_dir.py": (
            "test_folder_that_others_can_write_to_is_refused test_link_and_file_are_refused"
        ),
        "faults/test_dir.py": "test_unusable_folder_never_hurts",
    },
    "S3": {"sinks/test_secrets.py": "test_names_of_files_are_not_of_the_request"},
    "S4": {"sinks/test_secrets.py": "test_no_secret_leaves"},
    "S5": {
        "redaction/test_corpus.py": "test_nothing_secret_is_shown_and_nothing_harmless_hidden",
        "unit/redaction/test_structures.py": (
            "test_secret_in_a_field_of_any_type_is_hidden"
            " test_secret_in_a_local_variable_of_any_type_is_hidden"
        ),
        "unit/redaction/test_masking.py": (
            "test_each_kind_is_masked_in_a_text"
            " test_query_string_is_searched_for_secrets test_address_is_searched_in_all_its_parts"
            " test_source_code_is_masked_where_a_literal_is_secret"
            " test_fields_of_the_application_are_masked_by_name_and_by_value"
        ),
        "unit/redaction/test_locals.py": "test_secrets_in_values_are_masked",
        "unit/redaction/test_path.py": (
            "test_what_the_route_calls_a_token_is_masked_in_the_path"
            " test_path_in_the_box_is_masked_in_both_halves"
        ),
    },
    "S6": {"unit/redaction/test_masking.py": "test_each_kind_is_masked_in_a_text"},
    "S7": {
        "unit/redaction/test_sql.py": (
            "test_statement_has_a_shape_without_values test_literal_is_gone_whatever_stands_in_it"
        ),
        "sinks/test_secrets.py": "test_secrets_have_been_there test_no_secret_leaves",
    },
    "S8": {"unit/redaction/test_sql.py": "test_statement_that_can_be_read_in_two_ways_is_cut"},
    "S9": {"unit/redaction/test_masking.py": "test_values_that_databases_quote_are_masked"},
    "S10": {
        "unit/redaction/test_masking.py": (
            "test_setting_extends_what_is_secret_and_can_be_taken_back"
        ),
        "sinks/test_secrets.py": "test_no_secret_leaves",
    },
    "S11": {"servers/test_watchdog.py": "test_report_holds_no_locals_unless_asked"},
    "S12": {
        "unit/redaction/test_locals.py": (
            "test_value_is_shown_without_running_code"
            " test_class_that_makes_its_own_name_is_not_called"
            " test_time_with_a_zone_of_the_application_is_not_called"
            " test_body_of_a_class_with_a_mapping_of_its_own_is_left_alone"
        ),
        "sinks/test_secrets_hostile.py": "test_report_of_variables_that_fight_back_is_whole",
    },
    "S13": {
        "unit/redaction/test_locals.py": (
            "test_huge_values_are_cut_and_not_copied test_all_variables_together_are_bounded"
        ),
    },
    "S14": {
        "unit/redaction/test_locals.py": (
            "test_declared_variables_are_masked_in_what_is_called_too"
            " test_declared_variables_of_coroutines_are_masked test_suspended_coroutine_is_masked"
            " test_declared_parameters_are_masked"
        ),
    },
    "S15": {
        "sinks/test_secrets.py": (
            "test_there_are_sixty_kinds_in_twelve_places test_secrets_have_been_there"
            " test_no_secret_leaves"
        ),
    },
    "S20": {
        "servers/test_hostile.py": (
            "test_hostile_path_parses_back test_hostile_header_parses_back"
            " test_hostile_exception_text_parses_back test_any_path_parses_back"
        ),
    },
    "S21": {
        "unit/redaction/test_masking.py": "test_hostile_text_takes_no_more_time_than_it_is_long",
        "unit/redaction/test_sql.py": "test_huge_statement_is_cut",
    },
    "S22": {
        "unit/on_demand/test_permission.py": "test_debug_allows_all_and_otherwise_no_one",
        "unit/on_demand/test_clients.py": "test_refused_client_gets_the_usual_response",
    },
    "S23": {
        "unit/on_demand/test_permission.py": (
            "test_token_is_valid_for_no_other_path test_token_expires"
            " test_other_signed_values_are_no_tokens"
        ),
    },
    "S24": {
        "unit/viewer/test_access.py": (
            "test_it_is_off_in_production_by_default"
            " test_every_page_is_behind_the_rule test_drawings_are_behind_the_rule"
        ),
        "unit/viewer/test_off.py": (
            "test_urls_of_the_viewer_cannot_be_told_from_missing_ones"
            " test_catch_all_pattern_also_matches_the_viewers_urls"
        ),
    },
    "S25": {
        "sinks/test_delivery.py": (
            "test_flood_gives_a_handful_of_messages_and_exact_counts"
            " test_limit_outlives_the_worker_and_is_shared"
        ),
    },
    "S26": {
        "servers/test_watchdog_settings.py": "test_reports_folder_is_capped",
        "unit/system/test_private_dir.py": "test_oldest_files_go_first",
    },
    "S27": {"unit/test_never_hurts.py": "", "faults/test_dir.py": "test_full_folder_never_hurts"},
    "S30": {
        "unit/system/test_private_dir.py": "test_link_and_file_are_refused",
        "unit/system/test_append_file.py": "test_pipe_without_a_reader_does_not_hang",
        "unit/system/test_files.py": "test_what_is_no_file_of_ours_is_refused",
        "unit/peers/test_dumps.py": "test_link_to_a_box_is_not_followed",
        "unit/stacks/test_fatal_errors.py": "test_pipe_in_the_place_of_the_file_is_not_waited_for",
        "store/test_files.py": "test_links_and_folders_are_no_segments",
    },
    "S31": {
        "unit/config/test_overrides.py": (
            "test_file_that_others_can_write_to_is_ignored test_link_or_pipe_is_ignored"
            " test_file_of_another_user_is_ignored"
        ),
    },
    "S32": {
        "unit/system/test_files.py": (
            "test_what_is_no_file_of_ours_is_refused test_file_of_another_user_is_refused"
        ),
    },
    "S40": {
        "deploy/test_users.py": (
            "test_root_arbiter_with_workers_of_nobody"
            " test_worker_cannot_make_the_arbiter_remove_a_file"
        ),
    },
    "S41": {
        "unit/peers/test_postmortem.py": (
            "test_any_bytes_are_read_without_an_exception test_damaged_box_gives_a_part_or_nothing"
        ),
        "unit/peers/test_hostile_boxes.py": (
            "test_reader_of_a_living_process_sees_a_part test_peer_reports_what_it_can"
            " test_ended_processes_have_their_events test_item_of_any_types_is_a_message_or_none"
        ),
        "unit/stacks/test_fatal_errors.py": "test_any_bytes_give_a_result",
    },
    "S42": {
        "unit/test_boundaries.py": "test_no_signal_is_sent_and_no_timer_armed",
        "unit/gil/test_unresponsive.py": "test_process_of_another_container_is_left_alone",
        "unit/stacks/test_fatal_errors.py": "test_no_other_signal_is_handled",
    },
    "S50": {
        "sinks/test_webhook.py": (
            "test_redirect_is_not_followed test_only_http_and_https"
            " test_inside_of_the_network_is_not_reached_unless_asked_for test_name_is_resolved_once"
            " test_of_several_addresses_only_allowed_ones_are_tried"
            " test_other_spellings_of_an_address_are_the_address"
            " test_proxies_of_the_environment_are_not_used"
        ),
        "sinks/test_addresses.py": (
            "test_addresses test_address_is_reached_when_the_settings_name_it"
            " test_wide_network_opens_what_is_in_it_but_no_metadata"
        ),
    },
    "S51": {
        "sinks/test_webhook.py": (
            "test_signature_is_that_of_time_and_body test_log_does_not_contain_the_url"
        ),
    },
    "S52": {
        "sinks/test_webhook.py": "test_nothing_of_a_client_gets_out_of_its_place",
        "unit/sinks/test_email.py": "test_client_adds_no_header_and_no_tag",
    },
    "S53": {
        "store/test_adhoc.py": (
            "test_only_one_select_is_answered test_duckdb_reads_no_file_and_writes_none"
            " test_clickhouse_reads_no_other_table_and_no_file"
            " test_sql_that_takes_too_long_is_stopped"
            " test_ad_hoc_sql_takes_no_gigabytes_of_clickhouse"
        ),
        "store/test_adhoc_process.py": (
            "test_sql_that_takes_gigabytes_is_stopped"
            " test_sql_that_ignores_an_interruption_is_stopped"
            " test_query_does_not_use_all_cpus"
        ),
    },
    "S54": {
        "unit/viewer/test_access.py": (
            "test_nothing_can_be_changed test_only_the_files_of_the_viewer_are_served"
        ),
    },
    "S55": {
        "store/test_ship.py": (
            "test_position_is_private_and_has_no_password"
            " test_connection_error_is_without_the_password"
        ),
    },
}


@cache
def functions(path: str) -> frozenset[str]:
    """The tests in a file below tests/."""
    tree = ast.parse((ROOT / "tests" / path).read_text())
    return frozenset(each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))


def test_each_claim_has_a_number_of_its_own() -> None:
    """Each claim of the threat model has a number, and no number is used twice."""
    after = MODEL.partition("\n### ")[2]
    points = re.findall(r"^- (\*\*S\d+\*\*)?", after, re.MULTILINE)
    assert points
    assert all(points)
    assert len(points) == len(set(points))
    # Between the headings there are only these list items and their continuation lines.
    rest = [
        line for line in after.split("\n")[1:] if line and not line.startswith(("- **S", "  ", "#"))
    ]
    assert rest == []


def test_claims_and_tests_belong_together() -> None:
    """Each claim has tests, and no tests are listed for a claim that is gone."""
    assert set(re.findall(r"\*\*(S\d+)\*\*", MODEL)) == set(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS)
def test_each_claim_is_tested(claim: str) -> None:
    """Each listed test exists; a file without names stands for all of its tests."""
    assert CLAIMS[claim]
    for path, names in CLAIMS[claim].items():
        found = functions(path)
        assert any(name.startswith("test_") for name in found), path
        assert set(names.split()) <= found, set(names.split()) - found


def test_no_address_is_invented() -> None:
    """Vulnerabilities are reported through the repository, and no address is invented."""
    assert "security advisories" in TEXT
    assert not re.search(r"[\w.]+@\w+\.\w+", TEXT.replace("user:password@host", ""))
