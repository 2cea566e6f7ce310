"""The parts of `make proof`: runs them one after another and prints their times.

    python -m tests.proof [PART ...]

Without names it runs all parts. It ends with 1 when a part failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.costly import COSTLY

_ROOT = Path(__file__).parents[1]
# Tests of each part by prefixes of their node IDs, in which one "*" stands for any text. `make test` runs none of them,
# except one shard of kills on each driver.
TESTS: Mapping[str, Sequence[str]] = {
    "kills": (
        "tests/integration/durable/test_kills.py::test_a_run_is_resumed_after_a_kill_at_any_commit",
        "tests/integration/durable/test_kills.py::test_a_program_that_forgets_answers_is_detected",
        "tests/integration/durable/test_kills.py::test_a_conversation_with_tools_is_resumed_after_a_kill_at_any_commit",
        "tests/integration/durable/test_kills.py::test_a_budget_is_raised_once_after_a_kill_at_any_commit",
        "tests/integration/durable/test_kills.py::test_no_turn_of_a_conversation_is_lost_or_doubled",
        "tests/integration/durable/test_kills.py::test_no_recalled_turn_is_lost_or_doubled",
        "tests/integration/durable/test_upkeep_kills.py",
        "tests/integration/durable/test_approval_kills.py",
        "tests/integration/knowledge/test_ingest_kills.py",
        "tests/integration/server/test_server_stream_kills.py",
        "tests/integration/server/test_schedule_kills.py",
        "tests/integration/server/test_schedule_clock.py::test_a_stopped_server",
        "tests/integration/server/test_traces.py::test_a_run_whose_process_was_killed",
        "tests/integration/server/test_hook_kills.py",
        "tests/integration/server/test_notification_kills.py",
        "tests/integration/tool/test_mcp_kills.py",
        "tests/integration/task/test_restart.py::test_a_run_that_is_cut_anywhere_has_the_same_result",
        # SQLite stays in `make test`.
        "tests/integration/task/test_restart.py::test_a_process_that_stops_leaves_the_rest_to_the_next[postgres",
        "tests/integration/task/test_memory_tasks.py::test_a_resumed_run_appends_once[postgres",
        "tests/integration/task/test_remembering.py::test_a_resumed_run_reads_what_it_read_before[postgres",
        "tests/integration/task/test_agent_calls.py::test_a_run_that_is_cut_anywhere",
        "tests/integration/task/test_tool_outcomes.py::test_a_run_that_is_cut_anywhere",
        "tests/integration/cli/test_cli_processes.py::test_the_next_command_resumes_a_run_killed_at_any_commit",
    ),
    "moves": (
        # Moves from one database to the other stay in `make test`.
        *(
            f"tests/integration/transfer/{file}.py::*[{driver}-to-{driver}"
            for file in ("test_document", "test_move")
            for driver in ("postgres", "sqlite")
        ),
        "tests/integration/transfer/test_histories.py::test_a_move_there_and_back",
    ),
    "chaos": ("tests/integration/durable/test_chaos.py", "tests/integration/verify"),
    "trouble": (
        "tests/integration/durable/test_trouble.py",
        "tests/integration/database/test_multi_driver.py",
        "tests/integration/database/test_search_path.py::test_the_journal_follows_the_tables",
        "tests/integration/database/test_search_path.py::test_installations_that_share_a_journal",
        "tests/integration/database/test_search_path.py::test_a_restore_does_not_replace",
        "tests/integration/database/test_search_path.py::test_an_installation_keeps_the_journal",
        "tests/integration/knowledge/test_stores.py::test_recall_of_pgvector_with_clustered_texts",
        # The store in a folder stays in `make test`.
        *(
            f"tests/integration/task/test_recall_stores.py::{name}[sqlite-{kind}]"
            for name in ("test_turns_are_recalled_and_forgotten", "test_a_lost_collection_is_filled_again")
            for kind in ("pgvector", "redis", "qdrant", "qdrant-folder")
        ),
        "tests/integration/task/test_recall_processes.py",
        "tests/integration/server/test_server_process.py::test_a_server_drains_and_the_next_one_resumes",
        "tests/integration/cli/test_cli_execution_ids.py::test_the_start_of_an_id_is_enough",
        # Without a server, it stays in `make test`.
        "tests/integration/cli/test_cli_execution_ids.py::test_the_shell_completes_ids[sqlite-server]",
        "tests/integration/database/test_database_trouble.py::test_a_run_that_is_ended_while_another",
        "tests/integration/server/test_server_commands.py::test_output_is_the_same_with_and_without_a_server",
        "tests/integration/server/test_server_postgres.py::test_two_servers_share_the_runs",
        # The refusal on SQLite stays in `make test`.
        "tests/integration/server/test_server_processes.py::test_a_",
        "tests/integration/server/test_server_processes.py::test_processes_share_one_address",
        "tests/integration/server/test_process_trouble.py",
        "tests/integration/task/test_attachments.py::test_a_resumed_run_sends_what_it_read",
        "tests/integration/task/test_collection.py::test_a_thousand_items",
        "tests/integration/transfer/test_upkeep.py::test_a_backup_that_is_taken_under_load_is_intact",
        "tests/integration/transfer/test_upkeep.py::test_pg_dump_makes_a_backup_under_load",
        "tests/integration/tool/test_mcp_servers.py::test_a_server_of_the_sdk",
        "tests/integration/server/test_mcp_restart.py::test_a_server_without_a_trigger",
        "tests/integration/server/test_mcp_stdio.py::test_two_clients",
        "tests/integration/server/test_mcp_stdio.py::test_the_output",
        "tests/integration/durable/test_disk.py",
        "tests/integration/server/test_prometheus_scrape.py",
        "tests/integration/durable/test_workers.py",
        "tests/integration/durable/test_limited_workers.py::test_limits_hold",
        "tests/integration/durable/test_stopped_worker.py",
        "tests/integration/durable/test_failover.py",
        "tests/integration/durable/test_rolling_upgrade.py",
        "tests/integration/server/test_server_connections.py::test_thirty_clients_that_read_nothing_use_no_memory",
        "tests/integration/database/test_postgres_migrations.py::test_ten_concurrent_processes_migrate_once",
        "tests/integration/cli/test_cli_environments.py::test_a_terminal_that_lacks_characters",
        "tests/integration/cli/test_cli_environments.py::test_without_a_home",
        "tests/integration/cli/test_cli_environments.py::test_reading_commands_load_neither_engine_nor_models",
        "tests/integration/model/test_model_real.py::test_the_local_model_is_silent_and_listens_nowhere",
        # Models in this process stay in `make test`.
        "tests/integration/model/test_model_real.py::*[server_models",
        "tests/integration/server/test_server_costly_conditions.py::test_others_are_answered_while_a_run_computes",
    ),
    "fuzz": (
        "tests/integration/server/test_server_fuzz.py",
        "tests/unit/template/test_template_bombs.py::test_no_function_is_slow_with_shared_parts",
    ),
    "benchmark": (
        "tests/integration/bench",
        "tests/integration/server/test_server_large_lists.py",
        "tests/integration/server/test_server_memory.py::test_ten_thousand_messages_are_read_in_pages",
    ),
    "pages": (
        "tests/docs/test_fences.py::test_commands",
        "tests/docs/test_recording.py::test_it_shows_what_the_program_prints",
        "tests/integration/knowledge/test_walkthrough.py::test_the_walkthrough",
    ),
    "website": ("tests/website",),
    "ui": ("tests/ui", "tests/setup/test_page.py::test_wheel_and_sdist_hold_the_page"),
    "forge": ("tests/forge/test_workflow_files.py::test_blocks",),
    "clients": ("tests/clients",),
    "deployment": ("tests/deployment", "tests/integration/server/test_nginx.py"),
    "edge": ("tests/integration/edge",),
    "release": (
        "tests/setup/test_release.py",
        "tests/setup/test_pythons.py",
        "tests/setup/test_locks.py::test_newer_releases_do_not_reach_the_environment",
        "tests/setup/test_locks.py::test_a_lock_that_lacks_a_package_is_an_error",
        "tests/setup/test_locks.py::test_a_changed_wheel_is_an_error",
    ),
    # The features above the database use it through functions whose tests run on both databases in `make test`. There,
    # they run on SQLite; here, on PostgreSQL.
    "databases": (
        "tests/integration/replay/test_example_suites.py::test_event_logs_are_equal_on_both_databases[agents",
        *(f"tests/integration/{folder}/*[postgres" for folder in ("cli", "knowledge", "server", "task")),
    ),
    "costly": COSTLY,
}
# Files in these folders that `make test` runs on both databases: they test queries, claims, locks and events.
ON_BOTH = frozenset(
    f"tests/integration/{path}.py"
    for path in (
        "server/test_event_reader",
        "server/test_server_api",
        "server/test_server_costs",
        "server/test_server_labels",
        "server/test_server_lists",
        "server/test_server_postgres",
        "server/test_server_requests",
        "server/test_server_workers",
        "task/test_costs",
        "task/test_day_budgets",
        "task/test_event_log",
        "task/test_restart",
        "task/test_wait",
    )
)
# The binary is built first. `properties` runs the property tests of `make test` with more examples. `types` runs
# pyright, in place of which `make test` runs a quicker check.
PARTS = (*TESTS, "binary", "properties", "types")


def find_part(node_id: str) -> str | None:
    """Return the part of the proof that contains a test, or None for a test of `make test`."""
    return next((part for part, start in _named_in(node_id.partition("::")[0]) if selects(start, node_id)), None)


@cache
def _named_in(file: str) -> list[tuple[str, str]]:
    """Return the parts that may contain tests of a file, each with a prefix of their node IDs."""
    if file.startswith("tests/integration/binary"):
        return [("binary", file)]
    starts = ((part, start) for part, starts in TESTS.items() for start in starts)
    return [
        (part, start)
        for part, start in starts
        if file.startswith(path_of(start)) and not (part == "databases" and "::" not in start and file in ON_BOTH)
    ]


def path_of(start: str) -> str:
    """Return the file or the folder of a prefix."""
    return start.partition("::")[0].partition("*")[0]


def selects(start: str, node_id: str) -> bool:
    """Return whether a test has this prefix, in which one "*" stands for any text."""
    head, _, rest = start.partition("*")
    return node_id.startswith(head) and rest in node_id[len(head) :]


def main() -> None:
    """Run the named parts, print their times, and exit with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}")
    names: list[str] = parser.parse_args().parts or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"unknown part {unknown[0]!r}: the parts are {', '.join(PARTS)}")
    rows: list[tuple[str, float, int]] = []
    for name in names:
        print(f"== {name}", flush=True)
        started_s = time.monotonic()
        status = subprocess.run(_command(name), cwd=_ROOT, check=False).returncode
        rows.append((name, time.monotonic() - started_s, status))
    print(f"\n{'PART':<12}{'TIME':>8}  RESULT")
    for name, took_s, status in rows:
        print(f"{name:<12}{took_s:>6.0f} s  {'passed' if status == 0 else f'failed with status {status}'}")
    print(f"{'total':<12}{sum(took_s for _, took_s, _ in rows):>6.0f} s")
    sys.exit(any(status for _, _, status in rows))


def _command(part: str) -> list[str]:
    pytest = [sys.executable, "-m", "pytest", "--durations=30"]
    if part == "binary":
        return ["make", "test-binary"]
    if part == "types":
        return ["make", "check-types"]
    if part == "properties":
        return [*pytest, "-m", "hypothesis and not proof", "--hypothesis-profile=proof"]
    return [*pytest, *sorted({path_of(start) for start in TESTS[part]}), f"--part={part}"]


if __name__ == "__main__":
    main()
