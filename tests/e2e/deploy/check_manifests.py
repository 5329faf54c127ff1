# SPDX-License-Identifier: GPL-2.0-only
"""Reads manifests from standard input and holds them against trimmed schemas (a misspelt field is an error) and against
what the deployment promises: least rights, no privileged mode, selectors that meet. Prints each breach; status 1 if any."""
import sys

import jsonschema
import yaml


def strict(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


STRING, NUMBER, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
STRINGS = {"type": "array", "items": STRING}
MAP = {"type": "object", "additionalProperties": STRING}
METADATA = strict(["name"], name=STRING, namespace=STRING, labels=MAP, annotations=MAP)
PROBE = strict(["httpGet", "timeoutSeconds"], httpGet=strict(["path", "port"], host=STRING, port=NUMBER, path={"type": "string", "pattern": "^/"}),
               initialDelaySeconds=NUMBER, periodSeconds=NUMBER, failureThreshold=NUMBER, timeoutSeconds=NUMBER)
SECURITY = strict(["allowPrivilegeEscalation", "readOnlyRootFilesystem", "capabilities", "seccompProfile"],
                  privileged={"const": False}, allowPrivilegeEscalation={"const": False},
                  readOnlyRootFilesystem={"const": True}, runAsUser=NUMBER, runAsNonRoot=FLAG,
                  capabilities=strict(["drop"], drop={"const": ["ALL"]}, add=STRINGS),
                  seccompProfile=strict(["type"], type={"enum": ["Unconfined", "RuntimeDefault"]}))
CONTAINER = strict(["name", "image", "args", "securityContext", "resources", "volumeMounts"],
                   name=STRING, image=STRING, imagePullPolicy=STRING, args=STRINGS, securityContext=SECURITY,
                   env={"type": "array", "items": strict(["name"], name=STRING, value=STRING, valueFrom={"type": "object"})},
                   livenessProbe=PROBE, readinessProbe=PROBE,
                   resources=strict(["requests", "limits"], requests=MAP, limits=MAP),
                   volumeMounts={"type": "array", "items": strict(["name", "mountPath"], name=STRING, mountPath=STRING, readOnly=FLAG)})
HOST_PATH = strict(["path", "type"], path={"enum": ["/sys/fs/bpf", "/run/lanetag", "/sys/fs/cgroup"]}, type=STRING)
VOLUME = strict(["name"], name=STRING, configMap=strict(["name"], name=STRING), emptyDir=strict([], medium=STRING, sizeLimit=STRING),
                hostPath=HOST_PATH, projected={"type": "object"})
POD = strict(["containers", "serviceAccountName"], serviceAccountName=STRING, automountServiceAccountToken={"const": False},
             hostNetwork=FLAG, dnsPolicy=STRING, priorityClassName=STRING, terminationGracePeriodSeconds=NUMBER,
             tolerations={"type": "array"}, nodeSelector=MAP, containers={"type": "array", "items": CONTAINER, "minItems": 1},
             volumes={"type": "array", "items": VOLUME})
SELECTOR = strict(["matchLabels"], matchLabels=MAP)
RULE = strict(["apiGroups", "resources", "verbs"], apiGroups=STRINGS, resources=STRINGS,
              verbs={"type": "array", "items": {"enum": ["get", "list", "watch"]}})


def kind(version, name, required=(), **properties):
    return strict(["apiVersion", "kind", "metadata", *required], apiVersion={"const": version}, kind={"const": name},
                  metadata=METADATA, **properties)


def role(name):
    return kind("rbac.authorization.k8s.io/v1", name, ["rules"], rules={"type": "array", "items": RULE})


def role_binding(name):
    return kind("rbac.authorization.k8s.io/v1", name, ["roleRef", "subjects"],
                roleRef=strict(["apiGroup", "kind", "name"], apiGroup=STRING, kind=STRING, name=STRING),
                subjects={"type": "array", "items": strict(["kind", "name"], kind=STRING, name=STRING, namespace=STRING)})


SCHEMAS = {
    "Namespace": kind("v1", "Namespace"),
    "ServiceAccount": kind("v1", "ServiceAccount", automountServiceAccountToken={"const": False}),
    "ConfigMap": kind("v1", "ConfigMap", ["data"], data=MAP),
    "ClusterRole": role("ClusterRole"),
    "Role": role("Role"),
    "ClusterRoleBinding": role_binding("ClusterRoleBinding"),
    "RoleBinding": role_binding("RoleBinding"),
    "Service": kind("v1", "Service", ["spec"],
                    spec=strict(["selector", "ports"], clusterIP=STRING, type={"enum": ["ClusterIP", "LoadBalancer"]},
                                externalTrafficPolicy={"enum": ["Cluster", "Local"]}, selector=MAP, ports={
                        "type": "array", "items": strict(["port"], name=STRING, port=NUMBER, targetPort=NUMBER, protocol=STRING)})),
    "DaemonSet": kind("apps/v1", "DaemonSet", ["spec"],
                      spec=strict(["selector", "template"], selector=SELECTOR, minReadySeconds=NUMBER,
                                  updateStrategy=strict(["type"], type={"const": "RollingUpdate"},
                                                        rollingUpdate=strict(["maxSurge", "maxUnavailable"], maxSurge=NUMBER, maxUnavailable=NUMBER)),
                                  template=strict(["metadata", "spec"], metadata=strict(["labels"], labels=MAP), spec=POD))),
    "ServiceMonitor": kind("monitoring.coreos.com/v1", "ServiceMonitor", ["spec"],
                           spec=strict(["selector", "endpoints"], selector=SELECTOR, endpoints={
                               "type": "array", "items": strict(["port"], port=STRING, path=STRING, interval=STRING)})),
}


def meets(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def check_together(documents):
    """What no schema of one kind can say."""
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], []).append(document)
    for daemon_set in by_kind.get("DaemonSet", []):
        pod = daemon_set["spec"]["template"]
        labels = pod["metadata"]["labels"]
        if not meets(daemon_set["spec"]["selector"]["matchLabels"], labels):
            yield "the DaemonSet's selector misses its pods"
        names = {volume["name"] for volume in pod["spec"]["volumes"]}
        maps = {config["metadata"]["name"] for config in by_kind.get("ConfigMap", [])}
        for container in pod["spec"]["containers"]:
            for mount in container["volumeMounts"]:
                if mount["name"] not in names:
                    yield f"no volume {mount['name']}"
        for volume in pod["spec"]["volumes"]:
            if "configMap" in volume and volume["configMap"]["name"] not in maps:
                yield f"no ConfigMap {volume['configMap']['name']}"
        for service in by_kind.get("Service", []):
            if not meets(service["spec"]["selector"], labels):
                yield "the Service misses the pods"
    for monitor in by_kind.get("ServiceMonitor", []):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        if not any(meets(wanted, service["metadata"].get("labels", {})) for service in by_kind.get("Service", [])):
            yield "the ServiceMonitor misses the Service"
    accounts = {(account["metadata"].get("namespace"), account["metadata"]["name"]) for account in by_kind.get("ServiceAccount", [])}
    for binding in by_kind.get("ClusterRoleBinding", []) + by_kind.get("RoleBinding", []):
        wanted, scope = binding["roleRef"], binding["metadata"].get("namespace")
        if not any(role["metadata"]["name"] == wanted["name"] and role["metadata"].get("namespace") == scope
                   for role in by_kind.get(wanted["kind"], [])):
            yield "the binding misses the role"
        for subject in binding["subjects"]:
            if (subject.get("namespace"), subject["name"]) not in accounts:
                yield "the binding misses the service account"


def main():
    documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
    breaches = []
    for document in documents:
        schema = SCHEMAS.get(document.get("kind"))
        if schema is None:
            breaches.append(f"unexpected kind {document.get('kind')}")
            continue
        for error in jsonschema.Draft7Validator(schema).iter_errors(document):
            breaches.append(f"{document['kind']}: {'/'.join(map(str, error.path))}: {error.message}")
    if not breaches:
        breaches = list(check_together(documents))
    if not documents:
        breaches.append("nothing to check")
    print("\n".join(breaches) or f"{len(documents)} resources are fine")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
