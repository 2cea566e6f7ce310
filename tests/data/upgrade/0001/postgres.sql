SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA compozy_journal;
CREATE FUNCTION compozy_journal.enqueue_workflow(workflow_name text, queue_name text, positional_args json[] DEFAULT ARRAY[]::json[], named_args json DEFAULT '{}'::json, class_name text DEFAULT NULL::text, config_name text DEFAULT NULL::text, workflow_id text DEFAULT NULL::text, app_version text DEFAULT NULL::text, timeout_ms bigint DEFAULT NULL::bigint, deadline_epoch_ms bigint DEFAULT NULL::bigint, deduplication_id text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, queue_partition_key text DEFAULT NULL::text, authenticated_user text DEFAULT NULL::text, authenticated_roles text DEFAULT NULL::text, delay_until_epoch_ms bigint DEFAULT NULL::bigint, application_name text DEFAULT NULL::text) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_workflow_id TEXT;
    v_serialized_inputs TEXT;
    v_owner_xid TEXT;
    v_now BIGINT;
    v_recovery_attempts INT4 := 0;
    v_priority INT4;
    v_status TEXT;
BEGIN
    -- Validate required parameters
    IF workflow_name IS NULL OR workflow_name = '' THEN
        RAISE EXCEPTION 'Workflow name cannot be null or empty';
    END IF;
    IF queue_name IS NULL OR queue_name = '' THEN
        RAISE EXCEPTION 'Queue name cannot be null or empty';
    END IF;
    IF named_args IS NOT NULL AND jsonb_typeof(named_args::jsonb) != 'object' THEN
        RAISE EXCEPTION 'Named args must be a JSON object';
    END IF;
    IF workflow_id IS NOT NULL AND workflow_id = '' THEN
        RAISE EXCEPTION 'Workflow ID cannot be an empty string if provided.';
    END IF;
    IF delay_until_epoch_ms IS NOT NULL AND delay_until_epoch_ms < 0 THEN
        RAISE EXCEPTION 'delay_until_epoch_ms must be >= 0';
    END IF;
    v_workflow_id := COALESCE(workflow_id, gen_random_uuid()::TEXT);
    v_owner_xid := gen_random_uuid()::TEXT;
    v_priority := COALESCE(priority, 0);
    v_serialized_inputs := json_build_object(
        'positionalArgs', positional_args,
        'namedArgs', named_args
    )::TEXT;
    v_now := EXTRACT(epoch FROM now()) * 1000;
    v_status := CASE WHEN delay_until_epoch_ms IS NULL THEN 'ENQUEUED' ELSE 'DELAYED' END;
    INSERT INTO "compozy_journal".workflow_status (
        workflow_uuid, status,
        name, class_name, config_name,
        queue_name, deduplication_id, priority, queue_partition_key,
        application_version,
        created_at, updated_at, recovery_attempts,
        workflow_timeout_ms, workflow_deadline_epoch_ms,
        parent_workflow_id, owner_xid, serialization,
        authenticated_user, authenticated_roles,
        delay_until_epoch_ms, application_name
    ) VALUES (
        v_workflow_id, v_status,
        workflow_name, class_name, config_name,
        queue_name, deduplication_id, v_priority, queue_partition_key,
        app_version,
        v_now, v_now, v_recovery_attempts,
        timeout_ms, deadline_epoch_ms,
        NULL, v_owner_xid, 'portable_json',
        authenticated_user, authenticated_roles,
        delay_until_epoch_ms, application_name
    )
    ON CONFLICT (workflow_uuid)
    DO UPDATE SET
        updated_at = EXCLUDED.updated_at;
    INSERT INTO "compozy_journal".workflow_input (
        workflow_uuid, inputs, retention_timestamp
    ) VALUES (
        v_workflow_id, v_serialized_inputs, v_now
    )
    ON CONFLICT (workflow_uuid) DO NOTHING;
    RETURN v_workflow_id;
EXCEPTION
    WHEN unique_violation THEN
        RAISE EXCEPTION 'DBOS queue duplicated'
            USING DETAIL = format('Workflow %s with queue %s and deduplication ID %s already exists', v_workflow_id, queue_name, deduplication_id),
                ERRCODE = 'unique_violation';
END;
$$;
CREATE FUNCTION compozy_journal.notifications_function() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    payload text := NEW.destination_uuid || '::' || NEW.topic;
BEGIN
    PERFORM pg_notify('dbos_notifications_channel', payload);
    RETURN NEW;
END;
$$;
CREATE FUNCTION compozy_journal.send_message(destination_id text, message json, topic text DEFAULT NULL::text, message_id text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_topic TEXT := COALESCE(topic, '__null__topic__');
    v_message_id TEXT := COALESCE(message_id, gen_random_uuid()::TEXT);
BEGIN
    INSERT INTO "compozy_journal".notifications (
        destination_uuid, topic, message, message_uuid, serialization
    ) VALUES (
        destination_id, v_topic, message, v_message_id, 'portable_json'
    )
    ON CONFLICT (message_uuid) DO NOTHING;
EXCEPTION
    WHEN foreign_key_violation THEN
        RAISE EXCEPTION 'DBOS non-existent workflow'
            USING DETAIL = format('Destination workflow %s does not exist', destination_id),
                ERRCODE = 'foreign_key_violation';
END;
$$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE compozy_journal.application_versions (
    version_id text NOT NULL,
    version_name text NOT NULL,
    version_timestamp bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    created_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    application_name text
);
CREATE TABLE compozy_journal.dbos_migrations (
    version bigint NOT NULL
);
CREATE TABLE compozy_journal.event_dispatch_kv (
    service_name text NOT NULL,
    workflow_fn_name text NOT NULL,
    key text NOT NULL,
    value text,
    update_seq numeric(38,0),
    update_time numeric(38,15)
);
CREATE TABLE compozy_journal.notifications (
    message_uuid text DEFAULT gen_random_uuid() NOT NULL,
    destination_uuid text NOT NULL,
    topic text,
    message text NOT NULL,
    created_at_epoch_ms bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    serialization text,
    consumed boolean DEFAULT false NOT NULL,
    consumed_by_function_id integer
);
CREATE TABLE compozy_journal.operation_outputs (
    workflow_uuid text NOT NULL,
    function_id integer NOT NULL,
    function_name text DEFAULT ''::text NOT NULL,
    output text,
    error text,
    child_workflow_id text,
    started_at_epoch_ms bigint,
    completed_at_epoch_ms bigint,
    serialization text,
    application_name text,
    retention_timestamp bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL
);
CREATE TABLE compozy_journal.queues (
    queue_id text DEFAULT (gen_random_uuid())::text NOT NULL,
    name text NOT NULL,
    concurrency integer,
    worker_concurrency integer,
    rate_limit_max integer,
    rate_limit_period_sec double precision,
    priority_enabled boolean DEFAULT false NOT NULL,
    partition_queue boolean DEFAULT false NOT NULL,
    polling_interval_sec double precision DEFAULT 1.0 NOT NULL,
    created_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    updated_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    application_name text,
    partition_concurrency integer,
    partition_worker_concurrency integer,
    partition_rate_limit_max integer,
    partition_rate_limit_period_sec double precision
);
CREATE TABLE compozy_journal.streams (
    workflow_uuid text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    "offset" integer NOT NULL,
    function_id integer DEFAULT 0 NOT NULL,
    serialization text
);
CREATE TABLE compozy_journal.workflow_events (
    workflow_uuid text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    serialization text
);
CREATE TABLE compozy_journal.workflow_events_history (
    workflow_uuid text NOT NULL,
    function_id integer NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    serialization text
);
CREATE TABLE compozy_journal.workflow_input (
    workflow_uuid text NOT NULL,
    inputs text,
    retention_timestamp bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL
);
CREATE TABLE compozy_journal.workflow_output (
    workflow_uuid text NOT NULL,
    output text,
    error text,
    retention_timestamp bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL
);
CREATE TABLE compozy_journal.workflow_schedules (
    schedule_id text NOT NULL,
    schedule_name text NOT NULL,
    workflow_name text NOT NULL,
    workflow_class_name text,
    schedule text NOT NULL,
    status text DEFAULT 'ACTIVE'::text NOT NULL,
    context text NOT NULL,
    last_fired_at text,
    automatic_backfill boolean DEFAULT false NOT NULL,
    cron_timezone text,
    queue_name text,
    application_name text
);
CREATE TABLE compozy_journal.workflow_status (
    workflow_uuid text NOT NULL,
    status text,
    name text,
    authenticated_user text,
    assumed_role text,
    authenticated_roles text,
    request text,
    output text,
    error text,
    executor_id text,
    created_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    updated_at bigint DEFAULT ((EXTRACT(epoch FROM now()) * 1000.0))::bigint NOT NULL,
    application_version text,
    application_id text,
    class_name character varying(255) DEFAULT NULL::character varying,
    config_name character varying(255) DEFAULT NULL::character varying,
    recovery_attempts bigint DEFAULT 0,
    queue_name text,
    workflow_timeout_ms bigint,
    workflow_deadline_epoch_ms bigint,
    inputs text,
    started_at_epoch_ms bigint,
    deduplication_id text,
    priority integer DEFAULT 0 NOT NULL,
    queue_partition_key text,
    forked_from text,
    owner_xid text,
    parent_workflow_id text,
    serialization text,
    delay_until_epoch_ms bigint,
    was_forked_from boolean DEFAULT false NOT NULL,
    rate_limited boolean DEFAULT false NOT NULL,
    completed_at bigint,
    attributes jsonb,
    schedule_name text,
    debounce_deadline_epoch_ms bigint,
    is_debounced boolean DEFAULT false NOT NULL,
    application_name text,
    creator_xid text
);
CREATE TABLE public.compozy_facts (
    name text NOT NULL COLLATE pg_catalog."C",
    value text NOT NULL
);
CREATE TABLE public.compozy_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.executors (
    executor_id text NOT NULL COLLATE pg_catalog."C",
    role text NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    started_ms bigint NOT NULL,
    lease_until_ms bigint NOT NULL
);
CREATE TABLE public.task_states (
    task_exec_id text NOT NULL COLLATE pg_catalog."C",
    workflow_exec_id text NOT NULL COLLATE pg_catalog."C",
    workflow_id text NOT NULL COLLATE pg_catalog."C",
    task_id text NOT NULL COLLATE pg_catalog."C",
    "position" bigint NOT NULL,
    execution_type text NOT NULL,
    status text NOT NULL,
    parent_state_id text COLLATE pg_catalog."C",
    attempts bigint NOT NULL,
    input text,
    output text,
    error text,
    usage text,
    created_ms bigint NOT NULL,
    started_ms bigint,
    finished_ms bigint,
    updated_ms bigint NOT NULL,
    CONSTRAINT task_states_error_check CHECK (((error IS NULL) OR ((error)::json IS NOT NULL))),
    CONSTRAINT task_states_input_check CHECK (((input IS NULL) OR ((input)::json IS NOT NULL))),
    CONSTRAINT task_states_output_check CHECK (((output IS NULL) OR ((output)::json IS NOT NULL))),
    CONSTRAINT task_states_status_check CHECK ((status = ANY (ARRAY['PENDING'::text, 'RUNNING'::text, 'WAITING'::text, 'PAUSED'::text, 'SUCCESS'::text, 'FAILED'::text, 'TIMED_OUT'::text, 'CANCELED'::text]))),
    CONSTRAINT task_states_usage_check CHECK (((usage IS NULL) OR (json_typeof((usage)::json) = 'array'::text)))
);
CREATE TABLE public.workflow_states (
    workflow_exec_id text NOT NULL COLLATE pg_catalog."C",
    workflow_id text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL,
    owner text COLLATE pg_catalog."C",
    journal_format bigint NOT NULL,
    parent_exec_id text COLLATE pg_catalog."C",
    input text,
    output text,
    error text,
    usage text,
    definition text NOT NULL,
    created_ms bigint NOT NULL,
    started_ms bigint,
    finished_ms bigint,
    deadline_ms bigint,
    updated_ms bigint NOT NULL,
    CONSTRAINT workflow_states_definition_check CHECK (((definition)::json IS NOT NULL)),
    CONSTRAINT workflow_states_error_check CHECK (((error IS NULL) OR ((error)::json IS NOT NULL))),
    CONSTRAINT workflow_states_input_check CHECK (((input IS NULL) OR ((input)::json IS NOT NULL))),
    CONSTRAINT workflow_states_output_check CHECK (((output IS NULL) OR ((output)::json IS NOT NULL))),
    CONSTRAINT workflow_states_status_check CHECK ((status = ANY (ARRAY['PENDING'::text, 'RUNNING'::text, 'WAITING'::text, 'PAUSED'::text, 'SUCCESS'::text, 'FAILED'::text, 'TIMED_OUT'::text, 'CANCELED'::text]))),
    CONSTRAINT workflow_states_usage_check CHECK (((usage IS NULL) OR (json_typeof((usage)::json) = 'array'::text)))
);
INSERT INTO compozy_journal.application_versions VALUES ('9c5450cd-fcbf-4183-a004-7dd33be7d1a4', '1', 1795319268014, 1795319268014, 'compozy');
INSERT INTO compozy_journal.dbos_migrations VALUES (125);
INSERT INTO compozy_journal.operation_outputs VALUES ('good', 1, 'one.model.request', '{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"first","part_kind":"text"}],"usage":{"input_tokens":3,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":2,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:48.288101Z","kind":"response","finish_reason":"stop","state":"complete"}}}', NULL, NULL, 1795319268278, 1795319268288, 'compozy_json', 'compozy', 1795319268290);
INSERT INTO compozy_journal.operation_outputs VALUES ('good', 2, 'one.end', '{"status":"SUCCESS","attempts":1,"input":{"prompt":"hello Ada \u0000 é 😀"},"output":{"text":"first","response":"first"},"error":null,"usage":[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]}', NULL, NULL, 1795319268293, 1795319268298, 'compozy_json', 'compozy', 1795319268294);
INSERT INTO compozy_journal.operation_outputs VALUES ('good', 3, 'two.model.request', '{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"second ü ''quoted''","part_kind":"text"}],"usage":{"input_tokens":0,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":0,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:48.303213Z","kind":"response","finish_reason":"stop","state":"complete"}}}', NULL, NULL, 1795319268301, 1795319268303, 'compozy_json', 'compozy', 1795319268304);
INSERT INTO compozy_journal.operation_outputs VALUES ('good', 4, 'two.end', '{"status":"SUCCESS","attempts":1,"input":{"prompt":"after first"},"output":{"text":"second ü ''quoted''","response":"second ü ''quoted''"},"error":null,"usage":[{"input_tokens":0,"output_tokens":0,"requests":1,"provider":"s","model":"scripted"}]}', NULL, NULL, 1795319268306, 1795319268309, 'compozy_json', 'compozy', 1795319268306);
INSERT INTO compozy_journal.operation_outputs VALUES ('bad', 1, 'one.model.request', '{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"first","part_kind":"text"}],"usage":{"input_tokens":3,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":2,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:48.751492Z","kind":"response","finish_reason":"stop","state":"complete"}}}', NULL, NULL, 1795319268743, 1795319268752, 'compozy_json', 'compozy', 1795319268753);
INSERT INTO compozy_journal.operation_outputs VALUES ('bad', 2, 'one.end', '{"status":"SUCCESS","attempts":1,"input":{"prompt":"a"},"output":{"text":"first","response":"first"},"error":null,"usage":[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]}', NULL, NULL, 1795319268757, 1795319268762, 'compozy_json', 'compozy', 1795319268758);
INSERT INTO compozy_journal.operation_outputs VALUES ('bad', 3, 'bad.model.request', '{"error":{"code":"model","message":"provider ''s'' answered with its scripted error: boom","details":{"provider":"s","model":"scripted"}}}', NULL, NULL, 1795319268764, 1795319268767, 'compozy_json', 'compozy', 1795319268768);
INSERT INTO compozy_journal.operation_outputs VALUES ('bad', 4, 'bad.end', '{"status":"FAILED","attempts":1,"input":{"prompt":"b"},"output":null,"error":{"code":"model","message":"provider ''s'' answered with its scripted error: boom","details":{"provider":"s","model":"scripted"}},"usage":null}', NULL, NULL, 1795319268769, 1795319268774, 'compozy_json', 'compozy', 1795319268770);
INSERT INTO compozy_journal.operation_outputs VALUES ('canceled', 1, 'one.model.request', '{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"first","part_kind":"text"}],"usage":{"input_tokens":3,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":2,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:49.272089Z","kind":"response","finish_reason":"stop","state":"complete"}}}', NULL, NULL, 1795319269263, 1795319269272, 'compozy_json', 'compozy', 1795319269274);
INSERT INTO compozy_journal.operation_outputs VALUES ('canceled', 2, 'one.end', '{"status":"SUCCESS","attempts":1,"input":{"prompt":"a"},"output":{"text":"first","response":"first"},"error":null,"usage":[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]}', NULL, NULL, 1795319269281, 1795319269285, 'compozy_json', 'compozy', 1795319269282);
INSERT INTO compozy_journal.operation_outputs VALUES ('cut', 1, 'one.model.request', '{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"first","part_kind":"text"}],"usage":{"input_tokens":3,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":2,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:50.127310Z","kind":"response","finish_reason":"stop","state":"complete"}}}', NULL, NULL, 1795319270108, 1795319270127, 'compozy_json', 'compozy', 1795319270129);
INSERT INTO compozy_journal.operation_outputs VALUES ('cut', 2, 'one.end', '{"status":"SUCCESS","attempts":1,"input":{"prompt":"a"},"output":{"text":"first","response":"first"},"error":null,"usage":[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]}', NULL, NULL, 1795319270133, 1795319270139, 'compozy_json', 'compozy', 1795319270134);
INSERT INTO compozy_journal.workflow_input VALUES ('good', '{"args":["good"],"kwargs":{}}', 1795319268074);
INSERT INTO compozy_journal.workflow_input VALUES ('bad', '{"args":["bad"],"kwargs":{}}', 1795319268538);
INSERT INTO compozy_journal.workflow_input VALUES ('canceled', '{"args":["canceled"],"kwargs":{}}', 1795319269024);
INSERT INTO compozy_journal.workflow_input VALUES ('cut', '{"args":["cut"],"kwargs":{}}', 1795319269886);
INSERT INTO compozy_journal.workflow_output VALUES ('good', 'null', NULL, 1795319268314);
INSERT INTO compozy_journal.workflow_output VALUES ('bad', 'null', NULL, 1795319268779);
INSERT INTO compozy_journal.workflow_status VALUES ('good', 'SUCCESS', 'compozy.run', NULL, NULL, NULL, NULL, NULL, NULL, '18831-7355c9f354d5', 1795319268074, 1795319268314, '1', '', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, 'compozy_json', NULL, false, false, 1795319268314, 'null', NULL, NULL, false, 'compozy', 'c899990b-3192-46c3-be67-7fb7a1e4c5b9');
INSERT INTO compozy_journal.workflow_status VALUES ('bad', 'SUCCESS', 'compozy.run', NULL, NULL, NULL, NULL, NULL, NULL, '18849-e84aca5f99f4', 1795319268538, 1795319268779, '1', '', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, 'compozy_json', NULL, false, false, 1795319268779, 'null', NULL, NULL, false, 'compozy', '83be5a17-fdba-4d7c-b802-9a1958346bf4');
INSERT INTO compozy_journal.workflow_status VALUES ('canceled', 'CANCELLED', 'compozy.run', NULL, NULL, NULL, NULL, NULL, NULL, '18867-97e64cd3a01f', 1795319269024, 1795319269612, '1', '', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, 'compozy_json', NULL, false, false, 1795319269612, 'null', NULL, NULL, false, 'compozy', 'e448d587-a3fb-4380-95f6-37df222ddaca');
INSERT INTO compozy_journal.workflow_status VALUES ('cut', 'PENDING', 'compozy.run', NULL, NULL, NULL, NULL, NULL, NULL, '18918-1f76fb790353', 1795319269886, 1795319269886, '1', '', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL, NULL, '54d0aa02-70a2-461c-b876-2026b62b6f00', NULL, 'compozy_json', NULL, false, false, NULL, 'null', NULL, NULL, false, 'compozy', '54d0aa02-70a2-461c-b876-2026b62b6f00');
INSERT INTO public.compozy_facts VALUES ('project', 'demo');
INSERT INTO public.compozy_version VALUES ('0001');
INSERT INTO public.executors VALUES ('18918-1f76fb790353', 'server', 'elsewhere', 18918, 1795319269743, 1795319279747);
INSERT INTO public.task_states VALUES ('good/0', 'good', 'good', 'one', 0, 'basic', 'SUCCESS', NULL, 1, '{"prompt":"hello Ada \u0000 é 😀"}', '{"text":"first","response":"first"}', NULL, '[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]', 1795319268069, 1795319268069, 1795319268295, 1795319268295);
INSERT INTO public.task_states VALUES ('good/1', 'good', 'good', 'two', 1, 'basic', 'SUCCESS', NULL, 1, '{"prompt":"after first"}', '{"text":"second ü ''quoted''","response":"second ü ''quoted''"}', NULL, '[{"input_tokens":0,"output_tokens":0,"requests":1,"provider":"s","model":"scripted"}]', 1795319268297, 1795319268297, 1795319268307, 1795319268307);
INSERT INTO public.task_states VALUES ('bad/0', 'bad', 'bad', 'one', 0, 'basic', 'SUCCESS', NULL, 1, '{"prompt":"a"}', '{"text":"first","response":"first"}', NULL, '[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]', 1795319268533, 1795319268533, 1795319268758, 1795319268758);
INSERT INTO public.task_states VALUES ('bad/1', 'bad', 'bad', 'bad', 1, 'basic', 'FAILED', NULL, 1, '{"prompt":"b"}', NULL, '{"code":"model","message":"provider ''s'' answered with its scripted error: boom","details":{"provider":"s","model":"scripted"}}', NULL, 1795319268761, 1795319268761, 1795319268771, 1795319268771);
INSERT INTO public.task_states VALUES ('canceled/0', 'canceled', 'late', 'one', 0, 'basic', 'SUCCESS', NULL, 1, '{"prompt":"a"}', '{"text":"first","response":"first"}', NULL, '[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]', 1795319269017, 1795319269017, 1795319269282, 1795319269282);
INSERT INTO public.task_states VALUES ('canceled/1', 'canceled', 'late', 'late', 1, 'basic', 'CANCELED', NULL, 1, NULL, NULL, NULL, NULL, 1795319269284, 1795319269284, 1795319269613, 1795319269613);
INSERT INTO public.task_states VALUES ('waiting/0', 'waiting', 'late', 'one', 0, 'basic', 'PENDING', NULL, 0, NULL, NULL, NULL, NULL, 1795319269896, NULL, NULL, 1795319269896);
INSERT INTO public.task_states VALUES ('cut/0', 'cut', 'late', 'one', 0, 'basic', 'SUCCESS', NULL, 1, '{"prompt":"a"}', '{"text":"first","response":"first"}', NULL, '[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]', 1795319269880, 1795319269880, 1795319270135, 1795319270135);
INSERT INTO public.task_states VALUES ('cut/1', 'cut', 'late', 'late', 1, 'basic', 'RUNNING', NULL, 1, NULL, NULL, NULL, NULL, 1795319270138, 1795319270138, NULL, 1795319270138);
INSERT INTO public.workflow_states VALUES ('good', 'good', 'SUCCESS', NULL, 1, NULL, '{"name":"Ada \u0000 é 😀","deep":[[[1.5,null,true]]]}', '{"last":"second ü ''quoted''"}', NULL, '[{"provider":"s","model":"scripted","input_tokens":3,"output_tokens":2,"requests":2}]', '{"workflow":{"id":"good","tasks":[{"id":"one","prompt":"hello {{ .input.name | default \"World\" }}","agent":{"llm":"s"}},{"id":"two","prompt":"after {{ .tasks.one.output.text }}","agent":{"llm":"s"}}],"output":{"last":"{{ .tasks.two.output.text }}"}},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/good.yaml","places":{"tasks/0/prompt":[[0,1,51],[32,1,84],[38,1,91]],"tasks/1/prompt":[[0,1,123]],"output/last":[[0,1,182]]}}}', 1795319268064, 1795319268064, 1795319268307, NULL, 1795319268307);
INSERT INTO public.workflow_states VALUES ('bad', 'bad', 'FAILED', NULL, 1, NULL, '{}', NULL, '{"code":"model","message":"provider ''s'' answered with its scripted error: boom","details":{"provider":"s","model":"scripted","task":"bad"}}', '[{"provider":"s","model":"scripted","input_tokens":3,"output_tokens":2,"requests":1}]', '{"workflow":{"id":"bad","tasks":[{"id":"one","prompt":"a","agent":{"llm":"s"}},{"id":"bad","prompt":"b","agent":{"llm":"s"}}]},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/bad.yaml","places":{}}}', 1795319268528, 1795319268528, 1795319268772, NULL, 1795319268772);
INSERT INTO public.workflow_states VALUES ('canceled', 'late', 'CANCELED', NULL, 1, NULL, '{}', NULL, '{"code":"canceled","message":"canceled with Ctrl-C","details":{}}', NULL, '{"workflow":{"id":"late","tasks":[{"id":"one","prompt":"a","agent":{"llm":"s"}},{"id":"late","prompt":"after {{ .tasks.one.output.text }}","agent":{"llm":"s"}}],"output":{"all":"{{ .tasks.one.output.text }} {{ .tasks.late.output.text }}"}},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/late.yaml","places":{"tasks/1/prompt":[[0,1,82]],"output/all":[[0,1,140]]}}}', 1795319269011, 1795319269011, 1795319269615, NULL, 1795319269615);
INSERT INTO public.workflow_states VALUES ('cut', 'late', 'RUNNING', '18918-1f76fb790353', 1, NULL, '{}', NULL, NULL, NULL, '{"workflow":{"id":"late","tasks":[{"id":"one","prompt":"a","agent":{"llm":"s"}},{"id":"late","prompt":"after {{ .tasks.one.output.text }}","agent":{"llm":"s"}}],"output":{"all":"{{ .tasks.one.output.text }} {{ .tasks.late.output.text }}"}},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/late.yaml","places":{"tasks/1/prompt":[[0,1,82]],"output/all":[[0,1,140]]}}}', 1795319269877, 1795319269877, NULL, NULL, 1795319269877);
INSERT INTO public.workflow_states VALUES ('waiting', 'late', 'PENDING', NULL, 1, NULL, '{}', NULL, NULL, NULL, '{"workflow":{"id":"late","tasks":[{"id":"one","prompt":"a","agent":{"llm":"s"}},{"id":"late","prompt":"after {{ .tasks.one.output.text }}","agent":{"llm":"s"}}],"output":{"all":"{{ .tasks.one.output.text }} {{ .tasks.late.output.text }}"}},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/late.yaml","places":{"tasks/1/prompt":[[0,1,82]],"output/all":[[0,1,140]]}}}', 1795319269895, NULL, NULL, NULL, 1795319269895);
ALTER TABLE ONLY compozy_journal.application_versions
    ADD CONSTRAINT application_versions_pkey PRIMARY KEY (version_id);
ALTER TABLE ONLY compozy_journal.application_versions
    ADD CONSTRAINT application_versions_version_name_key UNIQUE (version_name);
ALTER TABLE ONLY compozy_journal.dbos_migrations
    ADD CONSTRAINT dbos_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY compozy_journal.event_dispatch_kv
    ADD CONSTRAINT event_dispatch_kv_pkey PRIMARY KEY (service_name, workflow_fn_name, key);
ALTER TABLE ONLY compozy_journal.notifications
    ADD CONSTRAINT notifications_pkey PRIMARY KEY (message_uuid);
ALTER TABLE ONLY compozy_journal.operation_outputs
    ADD CONSTRAINT operation_outputs_pkey PRIMARY KEY (workflow_uuid, function_id);
ALTER TABLE ONLY compozy_journal.queues
    ADD CONSTRAINT queues_name_key UNIQUE (name);
ALTER TABLE ONLY compozy_journal.queues
    ADD CONSTRAINT queues_pkey PRIMARY KEY (queue_id);
ALTER TABLE ONLY compozy_journal.streams
    ADD CONSTRAINT streams_pkey PRIMARY KEY (workflow_uuid, key, "offset");
ALTER TABLE ONLY compozy_journal.workflow_events_history
    ADD CONSTRAINT workflow_events_history_pkey PRIMARY KEY (workflow_uuid, function_id, key);
ALTER TABLE ONLY compozy_journal.workflow_events
    ADD CONSTRAINT workflow_events_pkey PRIMARY KEY (workflow_uuid, key);
ALTER TABLE ONLY compozy_journal.workflow_input
    ADD CONSTRAINT workflow_input_pkey PRIMARY KEY (workflow_uuid);
ALTER TABLE ONLY compozy_journal.workflow_output
    ADD CONSTRAINT workflow_output_pkey PRIMARY KEY (workflow_uuid);
ALTER TABLE ONLY compozy_journal.workflow_schedules
    ADD CONSTRAINT workflow_schedules_pkey PRIMARY KEY (schedule_id);
ALTER TABLE ONLY compozy_journal.workflow_schedules
    ADD CONSTRAINT workflow_schedules_schedule_name_key UNIQUE (schedule_name);
ALTER TABLE ONLY compozy_journal.workflow_status
    ADD CONSTRAINT workflow_status_pkey PRIMARY KEY (workflow_uuid);
ALTER TABLE ONLY public.compozy_facts
    ADD CONSTRAINT compozy_facts_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.compozy_version
    ADD CONSTRAINT compozy_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.executors
    ADD CONSTRAINT executors_pkey PRIMARY KEY (executor_id);
ALTER TABLE ONLY public.task_states
    ADD CONSTRAINT task_states_pkey PRIMARY KEY (task_exec_id);
ALTER TABLE ONLY public.workflow_states
    ADD CONSTRAINT workflow_states_pkey PRIMARY KEY (workflow_exec_id);
CREATE INDEX idx_application_versions_owner_timestamp ON compozy_journal.application_versions USING btree (application_name, version_timestamp DESC);
CREATE INDEX idx_application_versions_timestamp ON compozy_journal.application_versions USING btree (version_timestamp DESC);
CREATE INDEX idx_operation_outputs_completed_at_function_name_v2 ON compozy_journal.operation_outputs USING btree (completed_at_epoch_ms, function_name) INCLUDE (application_name);
CREATE INDEX idx_operation_outputs_retention ON compozy_journal.operation_outputs USING btree (retention_timestamp);
CREATE INDEX idx_workflow_input_retention ON compozy_journal.workflow_input USING btree (retention_timestamp);
CREATE INDEX idx_workflow_output_retention ON compozy_journal.workflow_output USING btree (retention_timestamp);
CREATE INDEX idx_workflow_status_attributes ON compozy_journal.workflow_status USING gin (attributes) WHERE (attributes IS NOT NULL);
CREATE INDEX idx_workflow_status_completed_at ON compozy_journal.workflow_status USING btree (completed_at) WHERE (completed_at IS NOT NULL);
CREATE INDEX idx_workflow_status_deadline ON compozy_journal.workflow_status USING btree (workflow_deadline_epoch_ms) WHERE ((status = ANY (ARRAY['ENQUEUED'::text, 'PENDING'::text, 'DELAYED'::text])) AND (workflow_deadline_epoch_ms IS NOT NULL));
CREATE INDEX idx_workflow_status_delayed ON compozy_journal.workflow_status USING btree (delay_until_epoch_ms) WHERE (status = 'DELAYED'::text);
CREATE INDEX idx_workflow_status_failed ON compozy_journal.workflow_status USING btree (status, created_at) WHERE (status = ANY (ARRAY['ERROR'::text, 'CANCELLED'::text, 'MAX_RECOVERY_ATTEMPTS_EXCEEDED'::text]));
CREATE INDEX idx_workflow_status_forked_from ON compozy_journal.workflow_status USING btree (forked_from) WHERE (forked_from IS NOT NULL);
CREATE INDEX idx_workflow_status_in_flight_v2 ON compozy_journal.workflow_status USING btree (queue_name, status, priority, created_at) INCLUDE (application_name) WHERE (status = ANY (ARRAY['ENQUEUED'::text, 'PENDING'::text]));
CREATE INDEX idx_workflow_status_parent_workflow_id ON compozy_journal.workflow_status USING btree (parent_workflow_id) WHERE (parent_workflow_id IS NOT NULL);
CREATE INDEX idx_workflow_status_partition_dequeue_v3 ON compozy_journal.workflow_status USING btree (queue_name, status, queue_partition_key, priority, created_at, workflow_uuid) INCLUDE (application_name) WHERE ((status = ANY (ARRAY['ENQUEUED'::text, 'PENDING'::text])) AND (queue_partition_key IS NOT NULL));
CREATE INDEX idx_workflow_status_pending ON compozy_journal.workflow_status USING btree (created_at) WHERE (status = 'PENDING'::text);
CREATE INDEX idx_workflow_status_rate_limited ON compozy_journal.workflow_status USING btree (queue_name, started_at_epoch_ms) WHERE (rate_limited = true);
CREATE INDEX idx_workflow_status_schedule_name ON compozy_journal.workflow_status USING btree (schedule_name) WHERE (schedule_name IS NOT NULL);
CREATE INDEX idx_workflow_status_started_at ON compozy_journal.workflow_status USING btree (started_at_epoch_ms) WHERE (started_at_epoch_ms IS NOT NULL);
CREATE INDEX idx_workflow_topic ON compozy_journal.notifications USING btree (destination_uuid, topic);
CREATE UNIQUE INDEX uq_application_versions_owner_version ON compozy_journal.application_versions USING btree (application_name, version_name) WHERE (application_name IS NOT NULL);
CREATE UNIQUE INDEX uq_application_versions_unclaimed_version ON compozy_journal.application_versions USING btree (version_name) WHERE (application_name IS NULL);
CREATE UNIQUE INDEX uq_workflow_status_dedup_id ON compozy_journal.workflow_status USING btree (queue_name, deduplication_id) WHERE (deduplication_id IS NOT NULL);
CREATE INDEX workflow_status_created_at_index ON compozy_journal.workflow_status USING btree (created_at);
CREATE INDEX ix_task_states_parent ON public.task_states USING btree (parent_state_id) WHERE (parent_state_id IS NOT NULL);
CREATE INDEX ix_workflow_states_created ON public.workflow_states USING btree (created_ms);
CREATE INDEX ix_workflow_states_open ON public.workflow_states USING btree (owner, created_ms) WHERE (status = ANY (ARRAY['PENDING'::text, 'RUNNING'::text, 'WAITING'::text, 'PAUSED'::text]));
CREATE INDEX ix_workflow_states_parent ON public.workflow_states USING btree (parent_exec_id) WHERE (parent_exec_id IS NOT NULL);
CREATE INDEX ix_workflow_states_status ON public.workflow_states USING btree (status, created_ms);
CREATE INDEX ix_workflow_states_workflow ON public.workflow_states USING btree (workflow_id, created_ms);
CREATE UNIQUE INDEX ux_task_states_position ON public.task_states USING btree (workflow_exec_id, "position");
CREATE TRIGGER dbos_notifications_trigger AFTER INSERT ON compozy_journal.notifications FOR EACH ROW EXECUTE FUNCTION compozy_journal.notifications_function();
ALTER TABLE ONLY compozy_journal.notifications
    ADD CONSTRAINT notifications_destination_uuid_fkey FOREIGN KEY (destination_uuid) REFERENCES compozy_journal.workflow_status(workflow_uuid) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY compozy_journal.streams
    ADD CONSTRAINT streams_workflow_uuid_fkey FOREIGN KEY (workflow_uuid) REFERENCES compozy_journal.workflow_status(workflow_uuid) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY compozy_journal.workflow_events_history
    ADD CONSTRAINT workflow_events_history_workflow_uuid_fkey FOREIGN KEY (workflow_uuid) REFERENCES compozy_journal.workflow_status(workflow_uuid) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY compozy_journal.workflow_events
    ADD CONSTRAINT workflow_events_workflow_uuid_fkey FOREIGN KEY (workflow_uuid) REFERENCES compozy_journal.workflow_status(workflow_uuid) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE ONLY public.task_states
    ADD CONSTRAINT task_states_parent_state_id_fkey FOREIGN KEY (parent_state_id) REFERENCES public.task_states(task_exec_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.task_states
    ADD CONSTRAINT task_states_workflow_exec_id_fkey FOREIGN KEY (workflow_exec_id) REFERENCES public.workflow_states(workflow_exec_id) ON DELETE CASCADE;
ALTER TABLE ONLY public.workflow_states
    ADD CONSTRAINT workflow_states_parent_exec_id_fkey FOREIGN KEY (parent_exec_id) REFERENCES public.workflow_states(workflow_exec_id) ON DELETE CASCADE;
