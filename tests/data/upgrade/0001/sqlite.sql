BEGIN TRANSACTION;
CREATE TABLE application_versions (
    version_id TEXT NOT NULL PRIMARY KEY,
    version_name TEXT NOT NULL UNIQUE,
    version_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL);
INSERT INTO "application_versions" VALUES('cfbae5cc-7432-42b2-af1c-e419737748d1','1',1795319261000,1795319261000,'compozy');
CREATE TABLE compozy_facts (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "compozy_facts" VALUES('project','demo');
CREATE TABLE compozy_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT compozy_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "compozy_version" VALUES('0001');
CREATE TABLE dbos_migrations (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO "dbos_migrations" VALUES(125);
CREATE TABLE executors (
        executor_id TEXT NOT NULL PRIMARY KEY,
        role TEXT NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started_ms INTEGER NOT NULL,
        lease_until_ms INTEGER NOT NULL
    ) STRICT
    ;
INSERT INTO "executors" VALUES('18655-b455fbb15111','server','elsewhere',18655,1795319262964,1795319272964);
CREATE TABLE notifications (
    message_uuid TEXT NOT NULL DEFAULT (hex(randomblob(16))) PRIMARY KEY,
    destination_uuid TEXT NOT NULL,
    topic TEXT,
    message TEXT NOT NULL,
    created_at_epoch_ms INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000), "serialization" TEXT DEFAULT NULL, "consumed" BOOLEAN NOT NULL DEFAULT FALSE, consumed_by_function_id INTEGER,
    FOREIGN KEY (destination_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE "operation_outputs" (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    function_name TEXT NOT NULL DEFAULT '',
    output TEXT,
    error TEXT,
    child_workflow_id TEXT,
    started_at_epoch_ms INTEGER,
    completed_at_epoch_ms INTEGER,
    serialization TEXT,
    application_name TEXT DEFAULT NULL,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    PRIMARY KEY (workflow_uuid, function_id)
);
INSERT INTO "operation_outputs" VALUES('good',1,'one.model.request','{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"first","part_kind":"text"}],"usage":{"input_tokens":3,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":2,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:41.341023Z","kind":"response","finish_reason":"stop","state":"complete"}}}',NULL,NULL,1795319261333,1795319261341,'compozy_json','compozy',1795319261000);
INSERT INTO "operation_outputs" VALUES('good',2,'one.end','{"status":"SUCCESS","attempts":1,"input":{"prompt":"hello Ada \u0000 é 😀"},"output":{"text":"first","response":"first"},"error":null,"usage":[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]}',NULL,NULL,1795319261347,1795319261350,'compozy_json','compozy',1795319261000);
INSERT INTO "operation_outputs" VALUES('good',3,'two.model.request','{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"second ü ''quoted''","part_kind":"text"}],"usage":{"input_tokens":0,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":0,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:41.354290Z","kind":"response","finish_reason":"stop","state":"complete"}}}',NULL,NULL,1795319261352,1795319261354,'compozy_json','compozy',1795319261000);
INSERT INTO "operation_outputs" VALUES('good',4,'two.end','{"status":"SUCCESS","attempts":1,"input":{"prompt":"after first"},"output":{"text":"second ü ''quoted''","response":"second ü ''quoted''"},"error":null,"usage":[{"input_tokens":0,"output_tokens":0,"requests":1,"provider":"s","model":"scripted"}]}',NULL,NULL,1795319261357,1795319261358,'compozy_json','compozy',1795319261000);
INSERT INTO "operation_outputs" VALUES('bad',1,'one.model.request','{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"first","part_kind":"text"}],"usage":{"input_tokens":3,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":2,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:41.874021Z","kind":"response","finish_reason":"stop","state":"complete"}}}',NULL,NULL,1795319261864,1795319261874,'compozy_json','compozy',1795319261000);
INSERT INTO "operation_outputs" VALUES('bad',2,'one.end','{"status":"SUCCESS","attempts":1,"input":{"prompt":"a"},"output":{"text":"first","response":"first"},"error":null,"usage":[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]}',NULL,NULL,1795319261880,1795319261883,'compozy_json','compozy',1795319261000);
INSERT INTO "operation_outputs" VALUES('bad',3,'bad.model.request','{"error":{"code":"model","message":"provider ''s'' answered with its scripted error: boom","details":{"provider":"s","model":"scripted"}}}',NULL,NULL,1795319261885,1795319261888,'compozy_json','compozy',1795319261000);
INSERT INTO "operation_outputs" VALUES('bad',4,'bad.end','{"status":"FAILED","attempts":1,"input":{"prompt":"b"},"output":null,"error":{"code":"model","message":"provider ''s'' answered with its scripted error: boom","details":{"provider":"s","model":"scripted"}},"usage":null}',NULL,NULL,1795319261890,1795319261894,'compozy_json','compozy',1795319261000);
INSERT INTO "operation_outputs" VALUES('canceled',1,'one.model.request','{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"first","part_kind":"text"}],"usage":{"input_tokens":3,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":2,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:42.431480Z","kind":"response","finish_reason":"stop","state":"complete"}}}',NULL,NULL,1795319262420,1795319262432,'compozy_json','compozy',1795319262000);
INSERT INTO "operation_outputs" VALUES('canceled',2,'one.end','{"status":"SUCCESS","attempts":1,"input":{"prompt":"a"},"output":{"text":"first","response":"first"},"error":null,"usage":[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]}',NULL,NULL,1795319262439,1795319262443,'compozy_json','compozy',1795319262000);
INSERT INTO "operation_outputs" VALUES('cut',1,'one.model.request','{"value":{"provider":"s","model":"scripted","fell_back_from":null,"reason":null,"response":{"parts":[{"content":"first","part_kind":"text"}],"usage":{"input_tokens":3,"cache_write_tokens":0,"cache_write_1h_tokens":0,"cache_read_tokens":0,"output_tokens":2,"output_reasoning_tokens":0,"input_audio_tokens":0,"cache_audio_read_tokens":0,"output_audio_tokens":0,"audio_seconds":0.0,"details":{}},"model_name":"scripted","timestamp":"2026-11-22T03:47:43.417235Z","kind":"response","finish_reason":"stop","state":"complete"}}}',NULL,NULL,1795319263407,1795319263418,'compozy_json','compozy',1795319263000);
INSERT INTO "operation_outputs" VALUES('cut',2,'one.end','{"status":"SUCCESS","attempts":1,"input":{"prompt":"a"},"output":{"text":"first","response":"first"},"error":null,"usage":[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]}',NULL,NULL,1795319263422,1795319263425,'compozy_json','compozy',1795319263000);
CREATE TABLE queues (
    queue_id TEXT PRIMARY KEY DEFAULT (hex(randomblob(16))),
    name TEXT NOT NULL UNIQUE,
    concurrency INTEGER,
    worker_concurrency INTEGER,
    rate_limit_max INTEGER,
    rate_limit_period_sec REAL,
    priority_enabled BOOLEAN NOT NULL DEFAULT FALSE,
    partition_queue BOOLEAN NOT NULL DEFAULT FALSE,
    polling_interval_sec REAL NOT NULL DEFAULT 1.0,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
, "application_name" TEXT DEFAULT NULL, "partition_concurrency" INTEGER DEFAULT NULL, "partition_worker_concurrency" INTEGER DEFAULT NULL, "partition_rate_limit_max" INTEGER DEFAULT NULL, "partition_rate_limit_period_sec" REAL DEFAULT NULL);
CREATE TABLE streams (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    "offset" INTEGER NOT NULL, function_id INTEGER NOT NULL DEFAULT 0, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key, "offset"),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE task_states (
        task_exec_id TEXT NOT NULL PRIMARY KEY,
        workflow_exec_id TEXT NOT NULL REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        workflow_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        execution_type TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('PENDING','RUNNING','WAITING','PAUSED','SUCCESS','FAILED','TIMED_OUT','CANCELED')),
        parent_state_id TEXT REFERENCES task_states (task_exec_id) ON DELETE CASCADE,
        attempts INTEGER NOT NULL,
        input TEXT CHECK (input IS NULL OR json_valid(input)),
        output TEXT CHECK (output IS NULL OR json_valid(output)),
        error TEXT CHECK (error IS NULL OR json_valid(error)),
        usage TEXT CHECK (usage IS NULL OR (json_valid(usage) AND json_type(usage) = 'array')),
        created_ms INTEGER NOT NULL,
        started_ms INTEGER,
        finished_ms INTEGER,
        updated_ms INTEGER NOT NULL
    ) STRICT
    ;
INSERT INTO "task_states" VALUES('good/0','good','good','one',0,'basic','SUCCESS',NULL,1,'{"prompt":"hello Ada \u0000 é 😀"}','{"text":"first","response":"first"}',NULL,'[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]',1795319261118,1795319261118,1795319261348,1795319261348);
INSERT INTO "task_states" VALUES('good/1','good','good','two',1,'basic','SUCCESS',NULL,1,'{"prompt":"after first"}','{"text":"second ü ''quoted''","response":"second ü ''quoted''"}',NULL,'[{"input_tokens":0,"output_tokens":0,"requests":1,"provider":"s","model":"scripted"}]',1795319261350,1795319261350,1795319261357,1795319261357);
INSERT INTO "task_states" VALUES('bad/0','bad','bad','one',0,'basic','SUCCESS',NULL,1,'{"prompt":"a"}','{"text":"first","response":"first"}',NULL,'[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]',1795319261590,1795319261590,1795319261881,1795319261881);
INSERT INTO "task_states" VALUES('bad/1','bad','bad','bad',1,'basic','FAILED',NULL,1,'{"prompt":"b"}',NULL,'{"code":"model","message":"provider ''s'' answered with its scripted error: boom","details":{"provider":"s","model":"scripted"}}',NULL,1795319261883,1795319261883,1795319261891,1795319261891);
INSERT INTO "task_states" VALUES('canceled/0','canceled','late','one',0,'basic','SUCCESS',NULL,1,'{"prompt":"a"}','{"text":"first","response":"first"}',NULL,'[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]',1795319262125,1795319262125,1795319262440,1795319262440);
INSERT INTO "task_states" VALUES('canceled/1','canceled','late','late',1,'basic','CANCELED',NULL,1,NULL,NULL,NULL,NULL,1795319262442,1795319262442,1795319262765,1795319262765);
INSERT INTO "task_states" VALUES('cut/0','cut','late','one',0,'basic','SUCCESS',NULL,1,'{"prompt":"a"}','{"text":"first","response":"first"}',NULL,'[{"input_tokens":3,"output_tokens":2,"requests":1,"provider":"s","model":"scripted"}]',1795319263072,1795319263072,1795319263423,1795319263423);
INSERT INTO "task_states" VALUES('waiting/0','waiting','late','one',0,'basic','PENDING',NULL,0,NULL,NULL,NULL,NULL,1795319263090,NULL,NULL,1795319263090);
INSERT INTO "task_states" VALUES('cut/1','cut','late','late',1,'basic','RUNNING',NULL,1,NULL,NULL,NULL,NULL,1795319263425,1795319263425,NULL,1795319263425);
CREATE TABLE workflow_events (
    workflow_uuid TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid) 
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_events_history (
    workflow_uuid TEXT NOT NULL,
    function_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL, "serialization" TEXT DEFAULT NULL,
    PRIMARY KEY (workflow_uuid, function_id, key),
    FOREIGN KEY (workflow_uuid) REFERENCES workflow_status(workflow_uuid)
        ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE TABLE workflow_input (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    inputs TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_input" VALUES('good','{"args":["good"],"kwargs":{}}',1795319261000);
INSERT INTO "workflow_input" VALUES('bad','{"args":["bad"],"kwargs":{}}',1795319261000);
INSERT INTO "workflow_input" VALUES('canceled','{"args":["canceled"],"kwargs":{}}',1795319262000);
INSERT INTO "workflow_input" VALUES('cut','{"args":["cut"],"kwargs":{}}',1795319263000);
CREATE TABLE workflow_output (
    workflow_uuid TEXT NOT NULL PRIMARY KEY,
    output TEXT,
    error TEXT,
    retention_timestamp INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000)
);
INSERT INTO "workflow_output" VALUES('good','null',NULL,1795319261000);
INSERT INTO "workflow_output" VALUES('bad','null',NULL,1795319261000);
CREATE TABLE workflow_schedules (
    schedule_id TEXT PRIMARY KEY,
    schedule_name TEXT NOT NULL UNIQUE,
    workflow_name TEXT NOT NULL,
    workflow_class_name TEXT,
    schedule TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'ACTIVE',
    context TEXT NOT NULL
, "last_fired_at" TEXT DEFAULT NULL, "automatic_backfill" BOOLEAN NOT NULL DEFAULT FALSE, "cron_timezone" TEXT DEFAULT NULL, "queue_name" TEXT DEFAULT NULL, "application_name" TEXT DEFAULT NULL);
CREATE TABLE workflow_states (
        workflow_exec_id TEXT NOT NULL PRIMARY KEY,
        workflow_id TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('PENDING','RUNNING','WAITING','PAUSED','SUCCESS','FAILED','TIMED_OUT','CANCELED')),
        owner TEXT,
        journal_format INTEGER NOT NULL,
        parent_exec_id TEXT REFERENCES workflow_states (workflow_exec_id) ON DELETE CASCADE,
        input TEXT CHECK (input IS NULL OR json_valid(input)),
        output TEXT CHECK (output IS NULL OR json_valid(output)),
        error TEXT CHECK (error IS NULL OR json_valid(error)),
        usage TEXT CHECK (usage IS NULL OR (json_valid(usage) AND json_type(usage) = 'array')),
        definition TEXT NOT NULL CHECK (json_valid(definition)),
        created_ms INTEGER NOT NULL,
        started_ms INTEGER,
        finished_ms INTEGER,
        deadline_ms INTEGER,
        updated_ms INTEGER NOT NULL
    ) STRICT
    ;
INSERT INTO "workflow_states" VALUES('good','good','SUCCESS',NULL,1,NULL,'{"name":"Ada \u0000 é 😀","deep":[[[1.5,null,true]]]}','{"last":"second ü ''quoted''"}',NULL,'[{"provider":"s","model":"scripted","input_tokens":3,"output_tokens":2,"requests":2}]','{"workflow":{"id":"good","tasks":[{"id":"one","prompt":"hello {{ .input.name | default \"World\" }}","agent":{"llm":"s"}},{"id":"two","prompt":"after {{ .tasks.one.output.text }}","agent":{"llm":"s"}}],"output":{"last":"{{ .tasks.two.output.text }}"}},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/good.yaml","places":{"tasks/0/prompt":[[0,1,51],[32,1,84],[38,1,91]],"tasks/1/prompt":[[0,1,123]],"output/last":[[0,1,182]]}}}',1795319261116,1795319261116,1795319261357,NULL,1795319261357);
INSERT INTO "workflow_states" VALUES('bad','bad','FAILED',NULL,1,NULL,'{}',NULL,'{"code":"model","message":"provider ''s'' answered with its scripted error: boom","details":{"provider":"s","model":"scripted","task":"bad"}}','[{"provider":"s","model":"scripted","input_tokens":3,"output_tokens":2,"requests":1}]','{"workflow":{"id":"bad","tasks":[{"id":"one","prompt":"a","agent":{"llm":"s"}},{"id":"bad","prompt":"b","agent":{"llm":"s"}}]},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/bad.yaml","places":{}}}',1795319261588,1795319261588,1795319261892,NULL,1795319261892);
INSERT INTO "workflow_states" VALUES('canceled','late','CANCELED',NULL,1,NULL,'{}',NULL,'{"code":"canceled","message":"canceled with Ctrl-C","details":{}}',NULL,'{"workflow":{"id":"late","tasks":[{"id":"one","prompt":"a","agent":{"llm":"s"}},{"id":"late","prompt":"after {{ .tasks.one.output.text }}","agent":{"llm":"s"}}],"output":{"all":"{{ .tasks.one.output.text }} {{ .tasks.late.output.text }}"}},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/late.yaml","places":{"tasks/1/prompt":[[0,1,82]],"output/all":[[0,1,140]]}}}',1795319262123,1795319262123,1795319262766,NULL,1795319262766);
INSERT INTO "workflow_states" VALUES('cut','late','RUNNING','18655-b455fbb15111',1,NULL,'{}',NULL,NULL,NULL,'{"workflow":{"id":"late","tasks":[{"id":"one","prompt":"a","agent":{"llm":"s"}},{"id":"late","prompt":"after {{ .tasks.one.output.text }}","agent":{"llm":"s"}}],"output":{"all":"{{ .tasks.one.output.text }} {{ .tasks.late.output.text }}"}},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/late.yaml","places":{"tasks/1/prompt":[[0,1,82]],"output/all":[[0,1,140]]}}}',1795319263069,1795319263069,NULL,NULL,1795319263069);
INSERT INTO "workflow_states" VALUES('waiting','late','PENDING',NULL,1,NULL,'{}',NULL,NULL,NULL,'{"workflow":{"id":"late","tasks":[{"id":"one","prompt":"a","agent":{"llm":"s"}},{"id":"late","prompt":"after {{ .tasks.one.output.text }}","agent":{"llm":"s"}}],"output":{"all":"{{ .tasks.one.output.text }} {{ .tasks.late.output.text }}"}},"providers":[{"id":"s","type":"scripted"}],"source":{"file":"workflows/late.yaml","places":{"tasks/1/prompt":[[0,1,82]],"output/all":[[0,1,140]]}}}',1795319263090,NULL,NULL,NULL,1795319263090);
CREATE TABLE workflow_status (
    workflow_uuid TEXT PRIMARY KEY,
    status TEXT,
    name TEXT,
    authenticated_user TEXT,
    assumed_role TEXT,
    authenticated_roles TEXT,
    request TEXT,
    output TEXT,
    error TEXT,
    executor_id TEXT,
    created_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    updated_at INTEGER NOT NULL DEFAULT (strftime('%s','now') * 1000),
    application_version TEXT,
    application_id TEXT,
    class_name TEXT DEFAULT NULL,
    config_name TEXT DEFAULT NULL,
    recovery_attempts INTEGER DEFAULT 0,
    queue_name TEXT,
    workflow_timeout_ms INTEGER,
    workflow_deadline_epoch_ms INTEGER,
    inputs TEXT,
    started_at_epoch_ms INTEGER,
    deduplication_id TEXT,
    priority INTEGER NOT NULL DEFAULT 0
, queue_partition_key TEXT, forked_from TEXT, "owner_xid" TEXT DEFAULT NULL, "parent_workflow_id" TEXT DEFAULT NULL, "serialization" TEXT DEFAULT NULL, "delay_until_epoch_ms" BIGINT DEFAULT NULL, "was_forked_from" BOOLEAN NOT NULL DEFAULT FALSE, "rate_limited" BOOLEAN NOT NULL DEFAULT FALSE, "completed_at" BIGINT, "attributes" TEXT, "schedule_name" TEXT, "debounce_deadline_epoch_ms" BIGINT DEFAULT NULL, "is_debounced" BOOLEAN NOT NULL DEFAULT FALSE, "application_name" TEXT DEFAULT NULL, "creator_xid" TEXT DEFAULT NULL);
INSERT INTO "workflow_status" VALUES('good','SUCCESS','compozy.run',NULL,NULL,NULL,NULL,NULL,NULL,'18615-76a71a344fa4',1795319261000,1795319261000,'1','',NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,'compozy_json',NULL,0,0,1795319261000,'null',NULL,NULL,0,'compozy','7062c923-d2bc-4908-9209-52b1bf0f1fca');
INSERT INTO "workflow_status" VALUES('bad','SUCCESS','compozy.run',NULL,NULL,NULL,NULL,NULL,NULL,'18628-76c1a3f6275a',1795319261000,1795319261000,'1','',NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,'compozy_json',NULL,0,0,1795319261000,'null',NULL,NULL,0,'compozy','9c340898-10e3-4e5a-90b8-92ffa9afc820');
INSERT INTO "workflow_status" VALUES('canceled','CANCELLED','compozy.run',NULL,NULL,NULL,NULL,NULL,NULL,'18641-255cbd7ccba7',1795319262000,1795319262000,'1','',NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,'compozy_json',NULL,0,0,1795319262000,'null',NULL,NULL,0,'compozy','84a7bcef-9299-4249-be0a-e206a9f896b3');
INSERT INTO "workflow_status" VALUES('cut','PENDING','compozy.run',NULL,NULL,NULL,NULL,NULL,NULL,'18655-b455fbb15111',1795319263000,1795319263000,'1','',NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'da7bd579-e860-41eb-aaae-ddbf088bcf1b',NULL,'compozy_json',NULL,0,0,NULL,'null',NULL,NULL,0,'compozy','da7bd579-e860-41eb-aaae-ddbf088bcf1b');
CREATE INDEX ix_workflow_states_created ON workflow_states (created_ms);
CREATE INDEX ix_workflow_states_workflow ON workflow_states (workflow_id, created_ms);
CREATE INDEX ix_workflow_states_status ON workflow_states (status, created_ms);
CREATE INDEX ix_workflow_states_open ON workflow_states (owner, created_ms) WHERE status IN ('PENDING','RUNNING','WAITING','PAUSED');
CREATE INDEX ix_workflow_states_parent ON workflow_states (parent_exec_id) WHERE parent_exec_id IS NOT NULL;
CREATE UNIQUE INDEX ux_task_states_position ON task_states (workflow_exec_id, position);
CREATE INDEX ix_task_states_parent ON task_states (parent_state_id) WHERE parent_state_id IS NOT NULL;
CREATE INDEX workflow_status_created_at_index ON workflow_status (created_at);
CREATE INDEX idx_workflow_topic ON notifications (destination_uuid, topic);
CREATE INDEX "idx_workflow_status_delayed" ON "workflow_status" ("delay_until_epoch_ms") WHERE status = 'DELAYED';
CREATE INDEX "idx_workflow_status_forked_from" ON "workflow_status" ("forked_from") WHERE "forked_from" IS NOT NULL;
CREATE INDEX "idx_workflow_status_parent_workflow_id" ON "workflow_status" ("parent_workflow_id") WHERE "parent_workflow_id" IS NOT NULL;
CREATE UNIQUE INDEX "uq_workflow_status_dedup_id" ON "workflow_status" ("queue_name", "deduplication_id") WHERE "deduplication_id" IS NOT NULL;
CREATE INDEX "idx_workflow_status_pending" ON "workflow_status" ("created_at") WHERE "status" = 'PENDING';
CREATE INDEX "idx_workflow_status_failed" ON "workflow_status" ("status", "created_at") WHERE "status" IN ('ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED');
CREATE INDEX "idx_workflow_status_rate_limited" ON "workflow_status" ("queue_name", "started_at_epoch_ms") WHERE "rate_limited" = TRUE;
CREATE INDEX "idx_workflow_status_completed_at" ON "workflow_status" ("completed_at") WHERE "completed_at" IS NOT NULL;
CREATE INDEX "idx_workflow_status_started_at" ON "workflow_status" ("started_at_epoch_ms") WHERE "started_at_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_workflow_status_schedule_name" ON "workflow_status" ("schedule_name") WHERE "schedule_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_owner_version"
    ON application_versions ("application_name", "version_name")
    WHERE "application_name" IS NOT NULL;
CREATE UNIQUE INDEX "uq_application_versions_unclaimed_version"
    ON application_versions ("version_name")
    WHERE "application_name" IS NULL;
CREATE INDEX idx_workflow_input_retention
    ON workflow_input (retention_timestamp);
CREATE INDEX idx_workflow_output_retention
    ON workflow_output (retention_timestamp);
CREATE INDEX idx_operation_outputs_retention
    ON operation_outputs (retention_timestamp);
CREATE INDEX "idx_workflow_status_in_flight_v2" ON "workflow_status" ("queue_name", "status", "priority", "created_at", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING');
CREATE INDEX "idx_workflow_status_partition_dequeue_v3" ON "workflow_status" ("queue_name", "status", "queue_partition_key", "priority", "created_at", "workflow_uuid", "application_name") WHERE "status" IN ('ENQUEUED', 'PENDING') AND "queue_partition_key" IS NOT NULL;
CREATE INDEX "idx_operation_outputs_completed_at_function_name_v2" ON "operation_outputs" ("completed_at_epoch_ms", "function_name", "application_name");
CREATE INDEX "idx_workflow_status_deadline" ON "workflow_status" ("workflow_deadline_epoch_ms") WHERE "status" IN ('ENQUEUED', 'PENDING', 'DELAYED') AND "workflow_deadline_epoch_ms" IS NOT NULL;
CREATE INDEX "idx_application_versions_timestamp" ON "application_versions" ("version_timestamp" DESC);
CREATE INDEX "idx_application_versions_owner_timestamp" ON "application_versions" ("application_name", "version_timestamp" DESC);
COMMIT;
