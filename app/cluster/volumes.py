"""Volumes for claims without a class: here no storage driver makes any."""

from plane import Plane


def offer_volumes(plane: Plane, count: int = 12) -> None:
    plane.apply([
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"volume-{number}"},
         "spec": {"capacity": {"storage": "500Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/nowhere"},
                  "persistentVolumeReclaimPolicy": "Retain"}}
        for number in range(count)
    ])  # fmt: skip
