"""The Helm chart: linted, rendered with several values, compared with the schemas of Kubernetes, and its refusals.

No cluster is involved: that its objects can be applied, probes and scaling are not tested.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from compozy import __version__
from tests.deployment.conftest import CHART, VALUES, Programs
from tests.docs.pages import DOCS, read_page
from tests.harness.postgres import new_database, running_server

# Kinds of KEDA and of the Prometheus operator, for which Kubernetes has no schema.
FOREIGN = {"ScaledObject", "ServiceMonitor", "PodMonitor"}
POSTGRES = ("--set", "database.host=db")
INGRESS = ("--set", "ingress.enabled=true,ingress.hosts[0].host=a.example.com")
SQLITE = ("--set", "database.driver=sqlite,server.replicas=1,worker.replicas=0")
Object = dict[str, Any]


def named(objects: list[Object], kind: str, end: str) -> Object:
    found = [one for one in objects if one["kind"] == kind and one["metadata"]["name"].endswith(end)]
    assert len(found) == 1, f"{len(found)} objects {kind} *{end}"
    return found[0]


def titled(page: str, title: str) -> str:
    """Return the fence of a page with this title."""
    [text] = [fence.text for fence in read_page(DOCS / page).fences if fence.meta.get("title") == title]
    return text


def kinds(objects: list[Object]) -> set[str]:
    return {one["kind"] for one in objects}


def pods(objects: list[Object]) -> list[Object]:
    return [one["spec"]["template"] for one in objects if one["kind"] in {"Deployment", "Job"}]


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_lint_and_schemas(programs: Programs, values: Path, tmp_path: Path) -> None:
    linted = programs.helm("lint", "--strict", CHART, "--values", values)
    assert linted.returncode == 0, linted.stdout
    objects = programs.render("--values", values)
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    # The oldest version of Kubernetes that the chart accepts, and the newest one.
    for version in ("1.30", "1.37"):
        done = programs.validate(path, version)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count(" passed for ") == len(objects) - len([1 for one in objects if one["kind"] in FOREIGN])


def test_a_wrong_type_is_found(programs: Programs, tmp_path: Path) -> None:
    objects = programs.render(*POSTGRES)
    named(objects, "Deployment", "-server")["spec"]["replicas"] = "two"
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    done = programs.validate(path, "1.37")
    assert done.returncode != 0
    assert "replicas" in done.stdout + done.stderr


def test_the_objects_of_the_defaults(programs: Programs) -> None:
    objects = programs.render(*POSTGRES)
    assert kinds(objects) == {"Deployment", "Job", "PodDisruptionBudget", "Service"}
    assert {one["metadata"]["name"] for one in objects if one["kind"] == "Deployment"} == {
        "shop-compozy-server",
        "shop-compozy-worker",
    }
    server = named(objects, "Deployment", "-server")["spec"]
    assert server["replicas"] == 2
    assert named(objects, "Service", "compozy")["spec"]["selector"] == server["selector"]["matchLabels"]
    labels = server["template"]["metadata"]["labels"]
    assert server["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_all_containers_are_restricted(programs: Programs, values: Path) -> None:
    for pod in pods(programs.render("--values", values)):
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"]["drop"] == ["ALL"]
            writable = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
            assert writable == {"/data", "/tmp"}
            # Passwords and keys are references to Secrets.
            secret = [one for one in container["env"] if re.search("PASSWORD|KEY", one["name"])]
            assert all("secretKeyRef" in one["valueFrom"] for one in secret)


def test_migrations_are_a_hook_and_processes_do_not_migrate(programs: Programs) -> None:
    objects = programs.render("--values", CHART.parents[2] / "tests/deployment/values/files.yaml")
    job = named(objects, "Job", "-migration")
    files = named(objects, "ConfigMap", "-migration")
    hooks = [one["metadata"]["annotations"] for one in (job, files)]
    assert all(hook["helm.sh/hook"] == "pre-install,pre-upgrade" for hook in hooks)
    # The files exist before the Job that mounts them.
    assert int(hooks[1]["helm.sh/hook-weight"]) < int(hooks[0]["helm.sh/hook-weight"])
    assert job["spec"]["template"]["spec"]["containers"][0]["args"][-2:] == ["migrate", "up"]
    for pod in pods(objects):
        environ = {one["name"]: one.get("value") for one in pod["spec"]["containers"][0]["env"]}
        assert environ["DB_AUTO_MIGRATE"] == "false"
    by_hand = programs.render(*POSTGRES, "--set", "migration.enabled=false")
    assert "Job" not in kinds(by_hand)
    names = {one["name"] for pod in pods(by_hand) for one in pod["spec"]["containers"][0]["env"]}
    assert "DB_AUTO_MIGRATE" not in names


def test_changed_files_change_the_pods(programs: Programs, tmp_path: Path) -> None:
    sums: list[str] = []
    for text in ("name: a", "name: a", "name: b"):
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump({"project": {"files": {"compozy.yaml": text}}}), encoding="utf-8")
        pod = named(programs.render(*POSTGRES, "--values", path), "Deployment", "-worker")["spec"]["template"]
        sums.append(pod["metadata"]["annotations"]["checksum/project"])
    assert sums[0] == sums[1] != sums[2]


def test_the_options(programs: Programs) -> None:
    objects = programs.render("--values", CHART.parents[2] / "tests/deployment/values/files.yaml")
    assert kinds(objects) >= {"HorizontalPodAutoscaler", "NetworkPolicy", *FOREIGN}
    server = named(objects, "Deployment", "-server")["spec"]
    worker = named(objects, "Deployment", "-worker")["spec"]
    # An autoscaler sets the number of replicas.
    assert "replicas" not in server
    assert "replicas" not in worker
    assert server["template"]["metadata"]["labels"]["tier"] == "web"
    spread = server["template"]["spec"]["topologySpreadConstraints"][0]
    assert spread["labelSelector"]["matchLabels"] == server["selector"]["matchLabels"]
    scaled = named(objects, "ScaledObject", "-worker")["spec"]
    assert scaled["scaleTargetRef"]["name"] == "shop-compozy-worker"
    assert scaled["triggers"][0]["metadata"]["targetQueryValue"] == "40"
    environ = {one["name"]: one for one in worker["template"]["spec"]["containers"][0]["env"]}
    assert environ["RUNTIME_MAX_CONCURRENT_WORKFLOWS"]["value"] == "40"
    assert scaled["triggers"][0]["metadata"]["passwordFromEnv"] in environ
    monitor = named(objects, "ServiceMonitor", "-server")["spec"]
    assert monitor["endpoints"][0]["authorization"]["credentials"] == {"name": "compozy-key", "key": "token"}
    policy = named(objects, "NetworkPolicy", "-worker")["spec"]
    assert policy["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"] == {"name": "monitoring"}


def test_the_query_of_the_autoscaler_counts_open_runs(programs: Programs) -> None:
    objects = programs.render("--values", CHART.parents[2] / "tests/deployment/values/files.yaml")
    metadata = named(objects, "ScaledObject", "-worker")["spec"]["triggers"][0]["metadata"]
    with new_database() as settings, running_server().connect(str(settings.dbname)) as connection:
        row = connection.execute(metadata["query"]).fetchone()
    assert row == (0,)


def test_the_ingress_leads_to_the_service(programs: Programs) -> None:
    objects = programs.render("--values", CHART.parents[2] / "tests/deployment/values/ingress.yaml")
    ingress = named(objects, "Ingress", "compozy")
    assert ingress["metadata"]["annotations"] == {"cert-manager.io/cluster-issuer": "letsencrypt"}
    spec = ingress["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"secretName": "compozy-tls", "hosts": ["compozy.example.com"]}]
    service = named(objects, "Service", "compozy")
    backend = {"service": {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}}
    assert [(rule["host"], rule["http"]["paths"]) for rule in spec["rules"]] == [
        ("compozy.example.com", [{"path": "/", "pathType": "Prefix", "backend": backend}]),
        (
            "hooks.example.com",
            [
                {"path": "/api/v0/hooks", "pathType": "Prefix", "backend": backend},
                {"path": "/api/v0/hooks/paid", "pathType": "Exact", "backend": backend},
            ],
        ),
    ]


def test_a_host_needs_neither_paths_nor_tls_nor_a_class(programs: Programs) -> None:
    spec = named(programs.render(*POSTGRES, *INGRESS), "Ingress", "compozy")["spec"]
    assert spec.keys() == {"rules"}
    assert [rule["host"] for rule in spec["rules"]] == ["a.example.com"]


def test_the_ingress_of_the_guide_has_the_limits_of_the_proxy(programs: Programs, tmp_path: Path) -> None:
    """The annotations are the directives that `test_nginx.py` tests with nginx."""
    values = tmp_path / "values.yaml"
    values.write_text(titled("guides/kubernetes.mdx", "ingress.yaml"), encoding="utf-8")
    ingress = named(programs.render(*POSTGRES, "--values", values), "Ingress", "compozy")
    prefix = "nginx.ingress.kubernetes.io/"
    annotations = {name.removeprefix(prefix): text for name, text in ingress["metadata"]["annotations"].items()}
    proxy = titled("deployment/production.mdx", "/etc/nginx/conf.d/compozy.conf")
    directives = dict(re.findall(r"^ +(proxy_read_timeout|client_max_body_size) +(\w+);", proxy, re.MULTILINE))
    assert annotations == {
        "proxy-read-timeout": directives["proxy_read_timeout"].removesuffix("s"),
        "proxy-body-size": directives["client_max_body_size"],
    }
    # Streams pass without it.
    assert "proxy_buffering" not in proxy


def test_sqlite_has_one_process(programs: Programs) -> None:
    objects = programs.render(*SQLITE)
    assert kinds(objects) == {"Deployment", "PersistentVolumeClaim", "PodDisruptionBudget", "Service"}
    assert named(objects, "Deployment", "-server")["spec"]["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("server.replicas=2",), "SQLite allows one process, and server.replicas is 2: set server.replicas to 1"),
        (("worker.replicas=3",), "SQLite allows one process, the server, and worker.replicas is 3"),
        (("server.autoscaling.enabled=true",), "SQLite allows one process, and server.autoscaling.enabled is true"),
        (("worker.keda.enabled=true",), "SQLite allows one process, and worker.keda.enabled is true"),
    ],
)
def test_sqlite_is_refused_with_more_than_one_process(
    programs: Programs, values: tuple[str, ...], message: str
) -> None:
    assert message in programs.refuse(*SQLITE, "--set", ",".join(values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("database.host=", "database.host is empty: set it to the host name of the PostgreSQL server"),
        ("project.files.a=b", "project.files does not contain compozy.yaml"),
        ("project.existingConfigMap=files", "project.items is empty"),
        ("server.replicas=0", "minimum: got 0, want 1"),
        ("server.replica=2", "additional properties 'replica' not allowed"),
        ("server.replicas=two", "got string, want integer"),
        ("database.sslmode=prefer", "value must be one of"),
        ("terminationGracePeriodSeconds=5", "minimum: got 5, want 25"),
        ("server.autoscaling.enabled=true,server.resources.requests=null", "needs server.resources.requests.cpu"),
        ("ingress.enabled=true", "ingress.hosts is empty: list the host names"),
        ("ingress.enabled=true,ingress.hosts[0].paths[0].path=/", "missing property 'host'"),
        ("ingress.hosts[0].host=https://a.example.com", "does not match pattern"),
        ("ingress.hosts[0].host=a.example.com,ingress.hosts[0].paths[0].path=api", "does not match pattern"),
        (
            "ingress.enabled=true,ingress.hosts[0].host=a.example.com,server.publicUrl=https://b.example.com:8443",
            "refuses requests for the host a.example.com of ingress.hosts, because server.publicUrl is https://b.ex",
        ),
    ],
)
def test_values_that_cannot_work_are_refused(programs: Programs, values: str, message: str) -> None:
    assert message in programs.refuse(*POSTGRES, "--set", values)


def test_the_notes_name_the_addresses(programs: Programs) -> None:
    values = CHART.parents[2] / "tests/deployment/values/ingress.yaml"
    both = programs.notes("--values", values)
    urls = [
        "https://compozy.example.com",
        "http://hooks.example.com/api/v0/hooks",
        "http://hooks.example.com/api/v0/hooks/paid",
    ]
    assert re.findall(r"^  (http\S+)$", both, re.MULTILINE) == urls
    assert "publicUrl" not in both
    assert "server.publicUrl is empty" in programs.notes(*POSTGRES, *INGRESS)
    # TLS ends in front of the ingress.
    outer = programs.notes(*POSTGRES, *INGRESS, "--set", "server.publicUrl=https://a.example.com")
    assert "  https://a.example.com\n" in outer
    assert "ingress" not in programs.notes(*POSTGRES)


def test_the_version_is_that_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


def test_every_value_is_in_the_schema(programs: Programs) -> None:
    """The defaults are valid, and each section that is not passed on to Kubernetes refuses unknown keys."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for section in ("image", "project", "database", "apiKey", "server", "worker", "migration", "service", "ingress"):
        assert isinstance(values[section], dict)
        assert "not allowed" in programs.refuse(*POSTGRES, "--set", f"{section}.unknown=1"), section
