"""What processes agree on, how they meet, and how they end: processes that need no JAX."""

import os
import select
import signal
import socket
import subprocess
import sys
import textwrap
import threading

import pytest

from jaxrnn.charlm.settings import Settings
from jaxrnn.command_line import PEER_LOST, clusters, devices, meeting, processes
from jaxrnn.command_line.peers import Introduction, Link

# Each process of a script has `peers`, with the others, and says what it says.
BEGINNING = """
    import os, signal, socket, sys, time
    from jaxrnn.command_line import meeting, peers as peers_module
    from jaxrnn.command_line.peers import Introduction
    peers_module.SECONDS_BETWEEN_BEATS, peers_module.SILENT_BEATS = 0.4, 5
    process, count, port = map(int, sys.argv[1:])
    own = Introduction(process, count, "here", [0, 1], {"--seed": 1})
    if process == 0:
        peers = meeting.receive(meeting.listen("localhost", port), own, 20)
    else:
        peers = meeting.connect(["localhost"], port, own, 20)
    peers.advice = "Go on."
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def run(script, count=3):
    """Exit codes and standard error of each of the processes."""
    program = textwrap.dedent(BEGINNING) + textwrap.dedent(script)
    port = str(free_port())
    children = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(process), str(count), port],
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(count)
    ]
    try:
        errors = [child.communicate(timeout=60)[1] for child in children]
    finally:
        for child in children:
            child.kill()
    return [child.returncode for child in children], errors


def test_values_of_all_processes_in_order():
    codes, errors = run("""
        for turn in range(100):
            assert peers.gather([process, turn]) == [[other, turn] for other in range(count)]
        assert peers.cores == 1
        peers.agree({"--rnn-size": (2, 3)})
        try:
            peers.agree({"--same": 1, "TEXT": "x" * 70 + str(process == 2)})
        except ValueError as error:
            print(error, file=sys.stderr)
        time.sleep(0.3 * process)
        peers.close()
        """)
    assert codes == [0, 0, 0]
    line = (
        "train: TEXT: expected the same in all processes, got {0} in process 0 on here and {0} in "
    )
    assert errors == [line.format("x" * 57 + "...") + "process 2 on here.\n"] * 3


@pytest.mark.integration
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
def test_a_lost_process_ends_the_others(victim, how):
    codes, errors = run(f"""
        peers.gather()
        if process == {victim}:
            if signal.{how} == signal.SIGSTOP:  # as one that hangs: it comes to itself later
                if os.fork() == 0:
                    time.sleep(5)
                    os.kill(os.getppid(), signal.SIGCONT)
                    os._exit(0)
            os.kill(os.getpid(), signal.{how})
        time.sleep(30)
        """)
    others = [process for process in range(3) if process != victim]
    why = "its connection ended" if how == "SIGKILL" else "silent for 2 s"
    for process in others:
        assert codes[process] == PEER_LOST
        assert errors[process] == (
            f"jaxrnn: Process {victim} of 3, on here, is lost ({why}), so the others stop too. "
            "Go on.\n"
        )
    assert codes[victim] == (-signal.SIGKILL if how == "SIGKILL" else PEER_LOST)


@pytest.mark.parametrize("cause", [0, 2])
def test_whoever_stops_tells_the_others_why(cause):
    codes, errors = run(f"""
        if process == {cause}:
            peers.leave("the disk is full", 2, own_words="the disk is full")
        time.sleep(30)  # as in a collective, which does not end
        """)
    assert codes == [2, 2, 2]
    for process, error in enumerate(errors):
        whose = "" if process == cause else f"Process {cause} of 3, on here: "
        assert error == f"jaxrnn: {whose}the disk is full\n"


def meet(*others, own=(), seconds=10.0, count=2):
    """What process 0 says, and what each of the others does."""
    first = Introduction(0, count, "first", [0], dict(own))
    server = meeting.listen("localhost", 0)
    port = server.getsockname()[1]
    said = {}

    def come(name, introduction):
        try:
            peers = meeting.connect(["localhost"], port, introduction, seconds)
        except ValueError as error:
            said[name] = str(error)
        else:
            threads_end.append(peers)

    threads_end = []
    threads = [
        threading.Thread(target=come, args=(index, introduction))
        for index, introduction in enumerate(others)
    ]
    for thread in threads:
        thread.start()
    with pytest.raises(ValueError, match="train: ") as caught:
        meeting.receive(server, first, seconds)
    for thread in threads:
        thread.join()
    return str(caught.value), [said[index] for index in range(len(others))]


def test_processes_that_do_not_fit_are_told_so():
    other = Introduction(1, 2, "second", [0], {"--seed": 5})
    own, others = meet(other, own={"--seed": 123})
    assert others == [own]
    assert own == (
        "train: --seed: expected the same in all processes, got 123 in process 0 on first and 5 in "
        "process 1 on second."
    )
    own, others = meet(other._replace(processes=3))
    assert others == [own]
    assert "--num-processes: expected the same in all processes, 2 in process 0 on first" in own
    twice = other._replace(processes=3)
    own, others = meet(twice, twice._replace(host="third"), count=3)
    assert others == [own, own]
    assert "--process-id: expected another number in each process, got 1 on" in own


def test_a_process_that_does_not_come_is_missed():
    own, others = meet(Introduction(1, 3, "second", [0], {}), seconds=1.0, count=3)
    assert others == [own]
    assert own == (
        "train: --num-processes: expected 3 to come to process 0 on first within 1 seconds, got 2: "
        "2 is missing."
    )


def test_nobody_answers():
    with pytest.raises(ValueError, match=r"for 0 seconds \([A-Z][^\[]+\)"):
        meeting.connect(["localhost"], free_port(), Introduction(1, 2, "", [], {}), 0.2)


def test_strangers_at_the_port_are_no_processes():
    server = meeting.listen("localhost", 0)
    port = server.getsockname()[1]
    strangers = [socket.create_connection(("localhost", port)) for _ in range(4)]
    strangers[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
    strangers[1].sendall(b"[" * 100_000 + b"\n")
    strangers[2].sendall(b'{"comes": [1]}\n')
    strangers[3].close()
    found = []
    own = [Introduction(process, 2, "here", [0], {}) for process in (0, 1)]
    other = threading.Thread(
        target=lambda: found.append(meeting.connect(["localhost"], port, own[1], 10))
    )
    other.start()
    peers = meeting.receive(server, own[0], 10)
    other.join()
    closing = threading.Thread(target=found[0].close)
    closing.start()
    peers.close()
    closing.join()
    for stranger in strangers:
        stranger.close()


def test_what_is_no_message_ends_the_connection():
    for nonsense in (b"{\n", b"1\n", b"[" * 100_000 + b"\n", b"\xff\n"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(nonsense)
            # A socketpair has no TCP_NODELAY.
            link = Link.__new__(Link)
            link.socket, link._received = ours, b""
            with pytest.raises(ConnectionError, match="none of our messages"):
                read_on(link)


@pytest.mark.parametrize("unread", [b"", b"x"])
@pytest.mark.parametrize("read", [Link.read, lambda link: link.read_one(5.0)])
def test_an_end_is_an_end_whether_or_not_something_was_left_unread(unread, read):
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours:
        ours.sendall(unread)
        if unread:
            select.select([theirs], [], [], 5.0)
        theirs.close()
        with pytest.raises(ConnectionError, match=r"^its connection ended$"):
            read(Link(ours))


def read_on(link):
    while True:
        link.read()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((None, 2, 1), "--coordinator: expected a value beside --num-processes and --process-id"),
        (("a:1", None, 1), "--num-processes: expected a value beside --coordinator"),
        (("a:1", 2, None), "--process-id: expected a value beside --coordinator"),
        ((None, None, 0), "--coordinator: expected a value"),
        (("a:1", 0, 0), "--num-processes: expected at least 1, got 0"),
        (("a:1", 2, 2), "--process-id: expected a number from 0 to 1"),
        (("a:1", 2, -1), "--process-id: expected a number from 0 to 1"),
        (("a:1", 1, 1), "--process-id: expected a number from 0 to 0"),
        (("a", 2, 0), "--coordinator: expected HOST:PORT"),
        (("a:", 2, 0), "--coordinator: expected HOST:PORT"),
        ((":1", 2, 0), "--coordinator: expected HOST:PORT"),
        (("a:99999", 2, 0), "--coordinator: expected HOST:PORT"),
    ],
)
def test_places_that_cannot_be(arguments, sentence):
    with pytest.raises(ValueError, match=sentence.replace("+", r"\+")):
        processes.place(*arguments)


def test_places():
    assert processes.place(None, None, None) is None
    assert processes.place(None, 1, None) is None
    assert processes.place("host:1", 1, 0) is None
    assert processes.place("[::1]:80", 2, 0) == processes.Place("::1", 80, 2, 0)


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
}
AS_SLURM = {"cluster_detection_method": "slurm", "num_processes": 4}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:5"}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("environment", "packages", "expected"),
    [
        ({}, (), None),
        (SLURM, (), AS_SLURM),
        # A shell in an allocation of four tasks, and the batch script itself, are one process.
        (SLURM | {"SLURM_STEP_NUM_TASKS": "1"}, (), None),
        ({name: SLURM[name] for name in SLURM if "STEP" not in name}, (), None),
        (SLURM | {"CUDA_VISIBLE_DEVICES": "0,1"}, (), AS_SLURM | {"local_device_ids": [1]}),
        (SLURM | {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, (), AS_SLURM | {"local_device_ids": [2, 3]}),
        (SLURM | {"CUDA_VISIBLE_DEVICES": "5"}, (), AS_SLURM | {"local_device_ids": [0]}),
        (
            SLURM
            | {"SLURM_STEP_NUM_NODES": "4", "SLURM_LOCALID": "0", "CUDA_VISIBLE_DEVICES": "0,1,2"},
            (),
            AS_SLURM | {"local_device_ids": [0, 1, 2]},
        ),
        (OPEN_MPI, (), {"cluster_detection_method": "ompi"}),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, (), None),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, ("mpi4py",), {"cluster_detection_method": "mpi4py"}),
        ({"PMI_SIZE": "2"}, ("mpi4py",), {"cluster_detection_method": "mpi4py"}),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, (), {}),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, (), None),
        ({"MEGASCALE_NUM_SLICES": "2"}, (), {}),
        ({"TPU_ML_PLATFORM": "JAX"}, (), {}),
        ({"TPU_ML_PLATFORM": "JAX", "TPU_SKIP_MDS_QUERY": "1"}, (), None),
        # A pod of its own, and one of an indexed Job.
        (KUBERNETES, ("kubernetes",), None),
        (KUBERNETES | {"JOB_COMPLETION_INDEX": "0"}, ("kubernetes",), {}),
        (KUBERNETES | {"JOB_COMPLETION_INDEX": "0"}, (), None),
    ],
)
def test_clusters_are_detected(monkeypatch, environment, packages, expected):
    monkeypatch.setattr(os, "environ", dict(environment))
    monkeypatch.setattr(clusters, "find_spec", lambda name: True if name in packages else None)
    assert clusters.detected() == expected


def test_mpi_without_mpi4py(monkeypatch):
    monkeypatch.setattr(os, "environ", {"PMI_SIZE": "2"})
    monkeypatch.setattr(clusters, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install mpi4py"):
        clusters.detected()


class Few:
    """Processes that have as many devices each as said."""

    def __init__(self, *local, cores=4):
        self.local, self.cores, self.count, self.said = local, cores, len(local), []

    def gather(self, value):
        return list(self.local) if value == self.local[0] else [value] * self.count

    def say(self, text):
        self.said.append(text)


@pytest.mark.parametrize(
    ("local", "asked", "kept", "expected"),
    [
        ([2], 1, None, 1),
        ([2], "all", None, 2),
        ([2, 2], "all", None, 4),
        ([2, 2], 2, None, 2),
        ([2, 2], None, 2, 2),  # the run's own number is there
        ([2], None, 1, 1),
        ([2, 2], None, 1, 4),  # one device cannot be divided among two processes
        ([2], None, 8, 2),
        ([2, 2, 2], None, 8, 6),
        ([2, 2, 2, 2, 2], None, 2, 10),
    ],
)
def test_how_many_devices(monkeypatch, local, asked, kept, expected):
    monkeypatch.setattr("jax.local_device_count", lambda: local[0])
    peers = Few(*local)
    assert devices.choose(Settings(batch_size=60), asked, kept, peers) == expected
    changed = asked is None and kept != expected
    assert len(peers.said) == changed
    if changed:
        assert f"goes on with {expected}" in peers.said[0]


@pytest.mark.parametrize(
    ("local", "asked", "batch", "sentence"),
    [
        ([2, 2], 3, 60, "--devices: expected a multiple of 2, the number of processes, got 3"),
        ([2], 4, 60, "--devices: expected at most the 2 that JAX has here, got 4"),
        ([2, 2], 6, 60, "at most the 4 that JAX has here, 2 in each of 2 processes, got 6"),
        ([2, 1], "all", 60, "--devices: expected as many in every process, got 2, 1 in 2 proc"),
        ([2, 2], None, 61, "--batch-size: expected a multiple of 2, the number of processes, got"),
    ],
)
def test_devices_that_are_not_there(monkeypatch, local, asked, batch, sentence):
    monkeypatch.setattr("jax.local_device_count", lambda: local[0])
    with pytest.raises(ValueError, match=sentence):
        devices.choose(Settings(batch_size=batch), asked, None, Few(*local))


@pytest.mark.parametrize(
    ("cores", "batch", "units", "processes", "expected"),
    [
        (2, 32, 192, 1, 2),
        (4, 50, 128, 1, 2),  # 50 has no divisor 3 or 4
        (64, 32, 192, 1, 8),  # the most, and four streams each
        (8, 20, 192, 1, 5),
        (2, 1, 100, 1, 1),
        (2, 6, 100, 1, 1),  # two parts would have three streams each
        (2, 32, (192, 512), 1, 1),  # large products use the cores by themselves
        (4, 32, 192, 2, 4),
        (4, 16, 192, 4, 1),
    ],
)
def test_cores_that_pay(cores, batch, units, processes, expected):
    settings = Settings(batch_size=batch, rnn_size=units)
    assert devices.cores_that_pay(settings, cores, processes) == expected


def test_devices_made_of_a_cpu():
    settings = Settings(batch_size=32, rnn_size=64)
    assert devices.cpu_devices(settings, "all", None, cores=3, processes=2) == 3
    assert devices.cpu_devices(settings, 4, None, cores=1, processes=2) == 2
    assert devices.cpu_devices(settings, None, 8, cores=2, processes=1) == 2
    assert devices.cpu_devices(settings, None, 8, cores=8, processes=2) == 4
    assert devices.cpu_devices(settings, None, None, cores=4, processes=2) == 4
    assert devices.cpu_devices(settings, None, None, cores=20, processes=None) == 8
