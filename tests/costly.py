"""Tests that take more than a second of processor time each: the part `costly` of `make proof`.

Measured with `pytest --costs=FILE`. Tests of features that have no cheaper test stay in `make test`, as does at least
one way of each command: on SQLite, without a server, or with the store in a folder. Where a test tries many values that
take nearly a second each, some stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Prefixes of names by file.
_NAMES: Mapping[str, Sequence[str]] = {
    "integration/cli/test_cli_chat": (
        "test_ctrl_c_stops_an_answer_and_not_the_chat[True]",
        "test_each_line_of_a_pipe_is_a_message",
        "test_invalid_requests_are_explained",
        "test_the_text_arrives_on_a_terminal",
    ),
    "integration/cli/test_cli_dev": (
        "test_affected_tests_run_when_files_change",
        "test_changed_files_are_served_when_they_are_valid",
    ),
    "integration/cli/test_cli_environments": (
        "test_a_project_behind_links",
        "test_a_run_survives_without_a_reader",
        "test_ctrl_c_at_any_moment_prints_no_traceback",
        "test_help_imports_nothing_slow[arguments2]",
        "test_missing_streams_and_folders[({C} schema",
        "test_missing_streams_and_folders[rmdir",
        "test_missing_streams_and_folders[{C} nope 2>/dev/full",
        "test_missing_streams_and_folders[{C} schema",
        "test_missing_streams_and_folders[{C} version <&-",
        "test_missing_streams_and_folders[{C} workflow run two --input - <&-",
        "test_missing_streams_and_folders[{C} workflow run two >/dev/full-2--the",
    ),
    "integration/cli/test_cli_events": (
        "test_a_restarted_server_is_followed",
        "test_a_run_that_has_ended",
        "test_ctrl_c_leaves_the_run_alone",
        "test_events_are_printed_as_they_are_stored[server]",
    ),
    "integration/cli/test_cli_execution_ids": ("test_the_shell_completes_ids[sqlite-here]",),
    "integration/cli/test_cli_files": ("test_compozy_yaml_is_read_once[workflow run workflows/two.yaml]",),
    "integration/cli/test_cli_follow": (
        "test_a_run_is_started_and_detached_on_a_server",
        "test_a_server_shows_the_lines_of_a_run_in_this_process",
        "test_ctrl_c_leaves_a_run_that_waits[server]",
    ),
    "integration/cli/test_cli_hermetic": ("test_a_server_on_the_default_port_is_not_found",),
    "integration/cli/test_cli_json": (
        "test_init_refreshes_the_schemas_of_a_project",
        "test_results_are_documents[command1-keys1]",
    ),
    "integration/cli/test_cli_memory": ("test_a_server_gives_the_same_output",),
    "integration/cli/test_cli_migrate": (
        "test_a_new_project_is_not_written_through_links[compozy.yaml]",
        "test_a_new_project_is_not_written_through_links[workflows]",
        "test_down_deletes_the_tables_that_it_names[YES\\n]",
        "test_down_deletes_the_tables_that_it_names[y\\n]",
    ),
    "integration/cli/test_cli_processes": (
        "test_a_process_that_does_not_wait_names_the_process_that_executes",
        "test_a_run_that_was_started_with_another_definition_keeps_it",
        "test_a_run_whose_process_is_ended_is_resumed[9]",
        "test_ctrl_c_as_json_still_prints_one_document",
        "test_ctrl_c_while_another_process_is_waited_for",
        "test_ctrl_c_while_waiting_for_an_execution",
        "test_nothing_is_left_in_the_folder_but_the_database",
        "test_the_same_run_requested_twice_concurrently_runs_once",
        "test_the_time_of_forked_commands_is_counted",
        "test_two_runs_on_one_file_take_turns",
        "test_waiting_for_a_run_of_another_process",
    ),
    "integration/cli/test_cli_run_options": (
        "test_a_fallback_is_reported",
        "test_another_database_by_flag",
    ),
    "integration/cli/test_cli_verbose": ("test_prompts_and_answers_are_shown[sqlite-server]",),
    "integration/cli/test_cli_words": ("test_the_level_of_logs",),
    "integration/database/test_database_trouble": (
        "test_a_disk_that_is_full_during_a_run",
        "test_a_disk_that_is_full_from_the_start",
        "test_a_server_whose_file_was_moved_away_reports_it",
        "test_a_table_that_was_dropped",
        "test_files_that_are_moved_away_during_a_run",
    ),
    "integration/database/test_kept_databases": ("test_a_first_start_upgrades_automatically[store1]",),
    "integration/database/test_postgres_migrations": (
        "test_a_migration_that_was_killed_is_finished_by_the_next_process",
        "test_other_programs_may_share_the_database",
    ),
    "integration/database/test_search_path": ("test_the_journal_is_that_of_the_tables_and_not_of_the_first_schema",),
    "integration/database/test_sqlite": ("test_a_hundred_concurrent_runs_encounter_no_lock",),
    "integration/database/test_vector_validation": (
        "test_postgresql_with_pgvector_and_without_any_starts[pgvector]",
        "test_sqlite_with_a_separate_store_starts[redis]",
    ),
    "integration/durable/test_unrecorded": ("test_an_answer_that_cannot_be_recorded_is_paid_for_once[postgres]",),
    "integration/durable/test_upgrade": ("test_a_release_with_another_format_leaves_the_run_untouched[postgres]",),
    "integration/knowledge/test_again": (
        "test_a_rerun_of_an_ingestion_has_the_same_input",
        "test_a_text_is_embedded_once_wherever_it_occurs",
        "test_retry_and_rerun_on_a_server",
        "test_sources_next_to_an_output_schema",
    ),
    "integration/knowledge/test_control": (
        "test_an_ingestion_is_canceled_and_the_next_one_does_the_rest",
        "test_an_ingestion_is_paused_and_resumed",
        "test_ctrl_c_cancels_an_ingestion[server]",
    ),
    "integration/knowledge/test_disagreement": (
        "test_a_collection_without_an_owner_keeps_unlisted_documents",
        "test_a_document_that_only_the_store_knows_is_deleted[sqlite-qdrant]",
        "test_a_new_database_next_to_an_older_store",
        "test_a_restored_database_and_restored_documents[sqlite-qdrant]",
        "test_a_restored_database_and_restored_documents[sqlite-redis]",
        "test_a_source_that_was_switched_and_switched_back",
        "test_a_store_that_was_switched_and_switched_back",
        "test_check_reports_and_repairs[server]",
        "test_the_collection_of_another_project_is_not_changed",
    ),
    "integration/knowledge/test_documents": ("test_pdfs_that_are_only_protected_are_read",),
    "integration/knowledge/test_ingest": (
        "test_a_failing_embedder_is_retried_and_then_reported",
        "test_a_failing_ingestion_does_not_stop_the_start",
        "test_an_address_in_the_encoding_that_its_header_names",
        "test_an_unreadable_document_is_reported_and_the_others_are_ingested",
        "test_another_embedder_needs_reindex",
        "test_new_changed_and_deleted_documents[qdrant]",
        "test_new_changed_and_deleted_documents[redis]",
        "test_undecodable_names_and_linked_folders",
    ),
    "integration/knowledge/test_kept_embedder": ("test_a_server_keeps_it_too",),
    "integration/knowledge/test_stores": (
        "test_an_index_finds_nearly_the_same_as_a_full_comparison[qdrant-folder]",
        "test_an_index_finds_nearly_the_same_as_a_full_comparison[qdrant]",
        "test_it_lists_the_chunks_of_each_document[qdrant-folder]",
        "test_search_is_exact_and_in_the_order_of_a_full_comparison[qdrant-folder]",
    ),
    "integration/model/test_model_real": (
        "test_a_path_is_relative_to_the_projects_folder",
        "test_a_prompt_that_is_too_long_is_reported_with_its_tokens",
        "test_concurrent_requests_take_turns",
        "test_it_repeats_its_answer",
        "test_max_tokens_cuts_the_answer[local_models]",
        "test_schemas_that_are_not_objects",
        "test_the_local_model_takes_parameters",
    ),
    "integration/replay/test_example_suites": (
        "test_an_example_passes_offline_in_parallel_and_again",
        "test_event_logs_are_equal_on_both_databases",
    ),
    "integration/replay/test_from_run": (
        "test_a_file_that_exists_is_kept",
        "test_a_run_of_other_files_is_refused",
        "test_a_run_with_parallel_calls_an_approval_and_a_failed_attempt_becomes_a_test",
    ),
    "integration/replay/test_replay": (
        "test_a_change_of_a_request_is_shown",
        "test_a_recording_that_is_made_again_is_the_same",
        "test_a_refresh_asks_only_what_is_new",
        "test_a_renamed_task_needs_no_new_recording",
        "test_with_ci_nothing_is_recorded",
    ),
    "integration/replay/test_replay_features": (
        "test_a_stubbed_task_is_not_run",
        "test_random_values_in_templates_are_the_same_each_time",
        "test_the_request_of_a_branch_that_loses_a_race_is_not_answered",
    ),
    "integration/replay/test_update": (
        "test_nothing_is_updated_in_ci",
        "test_only_wrong_values_change_and_the_difference_is_shown[2]",
    ),
    "integration/replay/test_watch": ("test_affected_tests_run_again",),
    "integration/server/test_hook_deliveries": ("test_signals_are_deliveries_too",),
    "integration/server/test_server_api": ("test_a_server_that_cannot_claim_runs_is_not_ready[postgres]",),
    "integration/server/test_server_commands": (
        "test_a_key_between_server_and_commands",
        "test_a_server_of_another_project",
        "test_changed_files_are_reported",
        "test_memory_is_shared_through_its_server",
        "test_no_large_library_is_imported",
        "test_without_a_project",
    ),
    "integration/server/test_server_connections": (
        "test_a_client_that_does_not_read_loses_its_connection",
        "test_idle_connections_do_not_block_others",
    ),
    "integration/server/test_server_costly_bodies": (
        "test_others_are_answered_while_values_are_validated[sqlite-costly-input]",
        "test_others_are_answered_while_values_are_validated[sqlite-costly-output]",
    ),
    "integration/server/test_server_metrics": ("test_runs_and_unknown_paths_do_not_become_series",),
    "integration/server/test_server_oidc": ("test_the_whole_flow_with_another_provider",),
    "integration/server/test_server_postgres": (
        "test_a_command_finds_the_server_at_its_port",
        "test_a_worker_next_to_a_server",
        "test_another_database_is_not_used",
        "test_cancel_reaches_a_run_of_another_process",
    ),
    "integration/server/test_server_process": (
        "test_a_second_server_on_a_hard_link_is_refused",
        "test_a_second_signal_exits_immediately",
        "test_a_silent_client_is_not_waited_for",
        "test_a_worker_resumes_remaining_runs",
        "test_an_incomplete_request_does_not_block_the_server",
        "test_garbage_is_refused",
        "test_large_bodies_are_refused_before_they_are_read",
        "test_runs_that_arrive_while_models_are_imported",
        "test_the_log_has_runs_and_requests_as_fields",
        "test_the_same_request_twice_concurrently",
    ),
    "integration/server/test_server_schedules": (
        "test_a_time_whose_run_cannot_be_prepared_is_skipped[sqlite]",
        "test_the_next_time_cancels_the_open_run[sqlite]",
    ),
    "integration/server/test_server_sessions": (
        "test_a_cookie_requires_tls_behind_a_proxy[sqlite]",
        "test_sign_ins_are_limited[sqlite]",
    ),
    "integration/server/test_server_shutdown": ("test_a_shutdown_that_overruns_is_one_line",),
    "integration/server/test_server_stream": ("test_an_idle_stream_sends_comments",),
    "integration/server/test_trace_callers": (
        "test_a_run_is_in_the_trace_of_its_caller[backfill]",
        "test_a_run_is_in_the_trace_of_its_caller[ingestion]",
        "test_a_run_is_in_the_trace_of_its_caller[mcp]",
        "test_a_run_is_in_the_trace_of_its_caller[rerun]",
        "test_a_run_is_in_the_trace_of_its_caller[schedule]",
        "test_a_server_without_traces_passes_the_caller_on[backfill]",
        "test_a_server_without_traces_passes_the_caller_on[ingestion]",
        "test_a_server_without_traces_passes_the_caller_on[mcp]",
    ),
    "integration/server/test_traces": (
        "test_a_resumed_run_stays_in_its_trace_and_repeats_no_span",
        "test_an_unavailable_collector_is_reported_once",
    ),
    "integration/task/test_compaction": ("test_a_replay_repeats_no_summary",),
    "integration/task/test_day_budgets": ("test_two_workers_exceed_the_budget_of_a_day_by_requests_in_flight_only",),
    "integration/task/test_failover": ("test_a_resumed_run_does_not_ask_the_failed_model_again[sqlite]",),
    "integration/task/test_flow": ("test_requests_of_a_task_count_also_when_it_is_canceled[sqlite-late run]",),
    "integration/task/test_flush": (
        "test_a_resumed_run_flushes_once[sqlite-1]",
        "test_a_resumed_run_flushes_once[sqlite-3]",
    ),
    "integration/task/test_memory_tasks": ("test_a_resumed_run_appends_once[sqlite-4]",),
    "integration/task/test_recall": (
        "test_a_resumed_run_recalls_what_it_recalled[sqlite-1]",
        "test_a_resumed_run_recalls_what_it_recalled[sqlite-2]",
        "test_a_resumed_run_recalls_what_it_recalled[sqlite-3]",
        "test_a_store_that_is_lost_is_filled_again",
        "test_recalled_turns_fit_their_limits",
    ),
    "integration/task/test_recall_stores": ("test_a_lost_collection_is_filled_again[sqlite-filesystem]",),
    "integration/task/test_shared_resources": ("test_a_run_in_progress_is_not_affected_by_an_edit",),
    "integration/task/test_working_memory": ("test_a_resumed_run_keeps_what_it_recorded[sqlite-4]",),
    "integration/transfer/test_move": (
        "test_a_copy_arrives_paused_and_names_its_source",
        "test_an_existing_run_in_another_state_is_kept_or_replaced",
        "test_moves_arrive_in_any_order",
    ),
    "unit/config/test_yaml_values": ("test_limits",),
    "unit/knowledge/test_html": (
        "test_no_page_takes_long[page0]",
        "test_no_page_takes_long[page1]",
    ),
    "unit/model/test_model_catalog": (
        "test_each_kind_of_provider_is_built_at_its_address[fields5-environ5-https://api.anthropic.c",
    ),
    "unit/model/test_price": ("test_commands_and_local_models_do_not_load_the_list",),
    # Two of ten patterns stay in `make test`.
    "unit/schema/test_bounded_validation": tuple(
        f"test_slow_patterns_are_refused[schema{number}-" for number in range(2, 10)
    ),
    "unit/template/test_template_bombs": (
        "test_comparing_shared_parts_is_counted[deepEqual",
        "test_comparing_shared_parts_is_counted[has $x",
    ),
    "unit/template/test_template_safety": (
        "test_endless_templates_end[text24-compozy]",
        "test_endless_templates_end[text24-go]",
        "test_endless_templates_end[text25-compozy]",
        "test_endless_templates_end[text25-go]",
        "test_endless_templates_end[{{ $s := repeat 5000000",
    ),
}
COSTLY = tuple(f"tests/{file}.py::{name}" for file, names in _NAMES.items() for name in names)
