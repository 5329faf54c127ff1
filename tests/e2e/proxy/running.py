# SPDX-License-Identifier: GPL-2.0-only
"""lanetag diff --running: what it counts is what diff counts of the same manifests as files."""
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

from harness import Tests, one_app, pod, service, start, tag_rules, wait_for

LANETAG = shlex.split(os.environ["LANETAG_PROXY_COMMAND"])[0]
PLACE = tempfile.TemporaryDirectory(prefix="lanetag-running-")
CONTROL = os.path.join(PLACE.name, "control.sock")

OLD = one_app() + tag_rules(("appver-a", "v2", 10), ("appver-b", "v2", 50))
NEW = one_app() + tag_rules(("appver-a", "v2", 20), ("appver-c", "v3", 50))
BROKEN = OLD + "---\nkind: [\n"


def agent(manifests=OLD, *options):
    return start(manifests, "--control", CONTROL, *options)


def file_of(name, manifests):
    path = os.path.join(PLACE.name, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(manifests)
    return path


def diff(*arguments, command=(LANETAG,)):
    return subprocess.run([*command, "diff", *arguments, "-o", "json"], capture_output=True, check=False, timeout=60)


def running(new, *options, **others):
    run = diff("--running", "--control", CONTROL, *options, new, **others)
    answer = json.loads(run.stdout) if run.stdout else None
    return run, answer, answer and answer.pop("running")["generation"]


def assert_as_files(old, new, generation):
    run, answer, told = running(new)
    files = diff(old, new)
    assert run.returncode == files.returncode and told == generation, (run, files)
    assert answer == json.loads(files.stdout) and answer["changed"] > 0, (answer, files)
    return answer


def the_agents_configuration_is_compared():
    proxy = agent()
    old, new = file_of("old.yaml", OLD), file_of("new.yaml", NEW)
    answer = assert_as_files(old, new, 1)
    assert answer["movedBack"] == 0 and {rule["tagHeader"] for rule in answer["rules"]} == {"appver-a", "appver-b", "appver-c"}
    run, answer, _ = running(old)
    assert run.returncode == 0 and answer["changed"] == 0, run
    text = subprocess.run([LANETAG, "diff", "--running", "--control", CONTROL, new], capture_output=True, check=False)
    assert text.stdout.decode().startswith(f"first: generation 1, in force at {CONTROL}\n100000 users: "), text
    assert proxy.stop() == 0


def after_a_refused_reload_it_is_what_is_in_force_not_what_lies_on_disk():
    proxy = agent()
    old, new = file_of("old.yaml", OLD), file_of("new.yaml", NEW)
    proxy.write(BROKEN)
    proxy.reload()
    wait_for(lambda: 'event="configuration refused"' in proxy.read_log())
    assert diff(proxy.directory.name, new).returncode == 2  # the files alone tell nothing
    assert_as_files(old, new, 1)
    shutil.rmtree(proxy.directory.name)
    assert_as_files(old, new, 1)
    os.mkdir(proxy.directory.name)
    proxy.write(NEW)
    proxy.reload()
    wait_for(lambda: 'event="configuration in force" generation=2' in proxy.read_log())
    assert_as_files(new, old, 2)
    assert proxy.stop() == 0


def several_paths_with_files_of_the_same_name_are_one_configuration():
    with tempfile.TemporaryDirectory() as second:
        more = service("more") + pod("more-1", "more", "127.0.0.9", "v2")
        with open(os.path.join(second, "manifests.yaml"), "w", encoding="utf-8") as file:
            file.write(more)
        proxy = agent(OLD, "--config", second)
        assert_as_files(file_of("old.yaml", OLD + more), file_of("new.yaml", NEW + more), 1)
        assert proxy.stop() == 0


def a_tag_only_agent_compares_tags_alone():
    foreign = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: {nonsense: 1}\n"
    proxy = agent(OLD + foreign, "--no-route", "127.0.0.1:9000")
    rules = OLD[len(one_app()):], NEW[len(one_app()):]
    run, answer, _ = running(file_of("new.yaml", NEW + foreign))
    files = diff(file_of("old.yaml", rules[0]), file_of("rules.yaml", rules[1]))
    assert run.returncode == files.returncode == 1 and answer == json.loads(files.stdout), (run, files)
    assert not answer["hosts"] and answer["movedBack"] > 0
    assert proxy.stop() == 0


def who_asks_and_does_not_read_holds_nobody_up():
    large = OLD + "".join(f"# {'x' * 1000}\n" for _ in range(5000))
    proxy = agent(large)
    idle = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    for client in idle:
        client.connect(CONTROL)
        client.sendall(b"configuration 1\n")
    assert_as_files(file_of("old.yaml", OLD), file_of("new.yaml", NEW), 1)
    proxy.write(NEW)
    proxy.reload()
    wait_for(lambda: 'event="configuration in force" generation=2' in proxy.read_log())
    for client in idle:
        client.close()
    assert proxy.stop() == 0


def without_an_answer_the_status_is_2_and_says_why():
    new = file_of("new.yaml", NEW)
    run, _, _ = running(new)
    assert run.returncode == 2 and b"No such file or directory" in run.stderr and not run.stdout, run
    proxy = agent()
    os.chmod(PLACE.name, 0o755)
    os.chmod(CONTROL, 0o777)
    run, _, _ = running(new, command=("setpriv", "--reuid=65534", "--clear-groups", os.path.abspath(LANETAG)))
    assert run.returncode == 2 and not run.stdout and CONTROL.encode() in run.stderr, run
    assert "control connection refused" in proxy.read_log()
    assert proxy.stop() == 0
    for answer, reason in ((b"error unknown command\n", b"not supported"), (b"manifests 1 all\n", b"Protocol error"),
                           (b"manifests x all\n", b"Protocol error"), (b"", b"reset")):
        run = against_an_agent_that_says(answer, new)
        assert run.returncode == 2 and reason in run.stderr and not run.stdout, (answer, run)


def against_an_agent_that_says(answer, new):
    path = os.path.join(PLACE.name, "other.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve():
            client, _ = listener.accept()
            with client:
                client.recv(100)
                client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        run = diff("--running", "--control", path, new)
    os.unlink(path)
    return run


def wrong_usage_is_status_2():
    new = file_of("new.yaml", NEW)
    for arguments in (("--running",), ("--running", new, new), ("--control", CONTROL, new, new)):
        assert diff(*arguments).returncode == 2, arguments


if __name__ == "__main__":
    tests = Tests()
    for claim in (the_agents_configuration_is_compared, after_a_refused_reload_it_is_what_is_in_force_not_what_lies_on_disk,
                  several_paths_with_files_of_the_same_name_are_one_configuration, a_tag_only_agent_compares_tags_alone,
                  who_asks_and_does_not_read_holds_nobody_up, without_an_answer_the_status_is_2_and_says_why,
                  wrong_usage_is_status_2):
        tests.run(claim)
    sys.exit(tests.end())
