"""A folder of YAML becomes one checked project."""

from compozy.project.load import load_project
from compozy.project.loaded import LoadedProject, LoadedWorkflow

__all__ = ["LoadedProject", "LoadedWorkflow", "load_project"]
