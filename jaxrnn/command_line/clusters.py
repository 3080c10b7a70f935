"""Which cluster started this process together with others, by what it left in the environment."""

import os
from importlib.util import find_spec
from typing import Any


def detected() -> dict[str, Any] | None:
    """The cluster that started this process with others.

    JAX is asked only where the environment shows several processes that belong together: it takes
    every pod of Kubernetes and every shell on a Slurm node for a part of a job, and fails or waits
    there.

    Returns:
        Arguments for `jax.distributed.initialize`; None for a process that was started alone.

    Raises:
        ImportError: started by an MPI that JAX knows through a package that is missing.
    """
    slurm = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
    # Of the step; SLURM_NTASKS is the allocation's in a shell inside it.
    tasks = _number("SLURM_STEP_NUM_TASKS")
    if tasks > 1 and all(name in os.environ for name in slurm):
        on_node = max(1, tasks // max(1, _number("SLURM_STEP_NUM_NODES")))
        gpus = _own_gpus(_number("SLURM_LOCALID"), on_node)
        return {"cluster_detection_method": "slurm", "num_processes": tasks} | gpus
    if max(_number("OMPI_COMM_WORLD_SIZE"), _number("PMI_SIZE")) > 1:
        if "OMPI_MCA_orte_hnp_uri" in os.environ:  # Open MPI up to 4
            on_node = max(1, _number("OMPI_COMM_WORLD_LOCAL_SIZE"))
            gpus = _own_gpus(_number("OMPI_COMM_WORLD_LOCAL_RANK"), on_node)
            return {"cluster_detection_method": "ompi"} | gpus
        if find_spec("mpi4py") is None:
            raise ImportError(
                "MPI started several processes, and JAX needs mpi4py to see them: pip install "
                "mpi4py; or name them with --coordinator, --num-processes and --process-id."
            )
        return {"cluster_detection_method": "mpi4py"}
    workers = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES", "")
    if "," in workers or _number("MEGASCALE_NUM_SLICES") > 1 or _on_cloud_tpu():
        return {}
    kubernetes = ("KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX")
    if all(name in os.environ for name in kubernetes) and find_spec("kubernetes") is not None:
        return {}
    return None


def _own_gpus(process: int, processes: int) -> dict[str, Any]:
    """This process's share of its node's GPUs.

    JAX's own choice is the one GPU with the process's number on the node: seven of eight stay
    unused by a process that has them for itself, and where the cluster shows each process its own
    GPU only, the second one finds none.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get("ROCR_VISIBLE_DEVICES")
    if not visible:
        return {}
    gpus = len(visible.split(","))
    if gpus == 1:
        return {"local_device_ids": [0]}
    share = max(1, gpus // processes)
    return {"local_device_ids": list(range(process * share, (process + 1) * share))}


def _on_cloud_tpu() -> bool:
    """Whether this is a virtual machine with TPUs, whose pod only Google's metadata tell.

    JAX notes it in the environment when it is imported.
    """
    import jax  # noqa: F401

    known = ("TPU_SKIP_MDS_QUERY", "TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES")
    return "TPU_ML_PLATFORM" in os.environ and not any(name in os.environ for name in known)


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else 0
